"""`usm-v2`: a speech encoder trained with an ASR loss, and clusters of what it computes.

After the second USM tokenizer of AudioPaLM (Rubenstein et al. 2023, section 3.1), in a size that trains on a CPU.
"""

from __future__ import annotations

import json
from pathlib import Path

from areca.interfaces import Job
from areca.manifest import Manifest
from areca.types import Audio
from areca_units import UsmV2Config
from areca_units.ctc import Alphabet, CtcModel, train_ctc
from areca_units.encoder_units import Compute, EncoderUnits

_ALPHABET = "alphabet.json"


class UsmV2(EncoderUnits):
    """Units of an encoder that has learnt to read."""

    config: UsmV2Config
    model: CtcModel

    @classmethod
    def train(cls, config: UsmV2Config, data: Manifest, job: Job, state: Path, mels: Path) -> CtcModel:
        """Train on the training split's transcripts and write the alphabet.

        Raises:
            InvalidManifest: no row of the training split has audio and text.
        """
        model = train_ctc(config, data, job, state, mels)
        symbols = {"symbols": model.alphabet.symbols}
        (job.directory / _ALPHABET).write_text(json.dumps(symbols), encoding="utf-8")
        return model

    @classmethod
    def empty(cls, config: UsmV2Config, files: Path) -> CtcModel:
        """Return a model with the alphabet's outputs."""
        return CtcModel(config, Alphabet(json.loads((files / _ALPHABET).read_text(encoding="utf-8"))["symbols"]))

    def clustered(self) -> Compute:
        """Return the posteriors' computation, or that of a layer."""
        if self.config.features == "posteriors":
            return self.model.posteriors
        return lambda x, n: self.model.encoder(x, n, self.config.layer)

    def transcribe(self, audios: list[Audio]) -> list[str]:
        """Return what the CTC head reads, greedily: how much of the words the encoder has understood."""
        return [self.model.alphabet.decode(x.argmax(-1)) for x in self.run(audios, self.model)]
