"""`usm-v1` and `w2v-bert-nano`: units of an encoder that is trained only on audio.

They follow AudioPaLM (Rubenstein et al. 2023, section 3.1), in sizes that train on a CPU. The clustered features are
the layer's output with zero mean and unit variance over the channels of each frame, not normalised over time. The
encoder's input, the log-mel, is normalised over the utterance in each band.
"""

from __future__ import annotations

from pathlib import Path

from areca.interfaces import Job
from areca.manifest import Manifest
from areca_units.best_rq import train_best_rq
from areca_units.encoder import Encoder, build_encoder
from areca_units.encoder_units import Compute, EncoderUnits
from areca_units.options import MaskedConfig, UsmV1Config, W2vBertNanoConfig
from areca_units.w2v_bert import train_w2v_bert


class _MaskedUnits(EncoderUnits):
    config: MaskedConfig
    model: Encoder

    @classmethod
    def build_model(cls, config: MaskedConfig, files: Path) -> Encoder:
        """Return an encoder with random weights."""
        return build_encoder(config)

    def feature_function(self) -> Compute:
        """Return the function that computes the layer's output."""
        return lambda x, n: self.model(x, n, self.config.layer)


class UsmV1(_MaskedUnits):
    """Units of an encoder trained with BEST-RQ."""

    @classmethod
    def train(cls, config: UsmV1Config, data: Manifest, job: Job) -> Encoder:
        """Train the encoder on the audio of the training split."""
        return train_best_rq(config, data, job)


class W2vBertNano(_MaskedUnits):
    """Units of an encoder trained with the losses of w2v-BERT."""

    @classmethod
    def train(cls, config: W2vBertNanoConfig, data: Manifest, job: Job) -> Encoder:
        """Train the encoder on the audio of the training split."""
        return train_w2v_bert(config, data, job)
