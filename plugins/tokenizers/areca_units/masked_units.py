"""`usm-v1` and `w2v-bert-nano`: units of an encoder that has learnt from audio alone.

After AudioPaLM (Rubenstein et al. 2023, section 3.1), in sizes that train on a CPU. What is clustered is the layer's
output as it is, each frame of zero mean and unit variance over its channels; it is not normalised over time. The
log-mels that the encoder hears are, band by band over the utterance.
"""

from __future__ import annotations

from pathlib import Path

from areca.interfaces import Job
from areca.manifest import Manifest
from areca_units.best_rq import train_best_rq
from areca_units.encoder import Encoder, encoder_of
from areca_units.encoder_units import Compute, EncoderUnits
from areca_units.options import MaskedConfig, UsmV1Config, W2vBertNanoConfig
from areca_units.w2v_bert import train_w2v_bert


class _MaskedUnits(EncoderUnits):
    config: MaskedConfig
    model: Encoder

    @classmethod
    def empty(cls, config: MaskedConfig, files: Path) -> Encoder:
        """Return an encoder."""
        return encoder_of(config)

    def clustered(self) -> Compute:
        """Return the computation of the layer."""
        return lambda x, n: self.model(x, n, self.config.layer)


class UsmV1(_MaskedUnits):
    """Units of an encoder trained by BEST-RQ."""

    @classmethod
    def train(cls, config: UsmV1Config, data: Manifest, job: Job) -> Encoder:
        """Train on the training split's audio."""
        return train_best_rq(config, data, job)


class W2vBertNano(_MaskedUnits):
    """Units of an encoder trained as w2v-BERT is."""

    @classmethod
    def train(cls, config: W2vBertNanoConfig, data: Manifest, job: Job) -> Encoder:
        """Train on the training split's audio."""
        return train_w2v_bert(config, data, job)
