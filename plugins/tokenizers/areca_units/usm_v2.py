"""`usm-v2`: units of a speech encoder trained with an ASR loss.

It follows the second USM tokenizer of AudioPaLM (Rubenstein et al. 2023, section 3.1), in a size that trains on a CPU.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import torch

from areca.errors import InvalidArtifact, quote
from areca.files.reading import read_json
from areca.files.writing import write_text
from areca.fitting.unfinished import newest_state
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.types import Audio
from areca_units.best_rq import train_best_rq
from areca_units.ctc import Alphabet, CtcModel, train_ctc
from areca_units.encoder_units import Compute, EncoderUnits
from areca_units.options import EncoderConfig, UsmV1Config, UsmV2Config

_ALPHABET = "alphabet.json"


class UsmV2(EncoderUnits):
    """Units of an encoder trained with an ASR loss."""

    config: UsmV2Config
    model: CtcModel

    @classmethod
    def train(cls, config: UsmV2Config, data: Manifest, job: Job) -> CtcModel:
        """Train the encoder on the transcribed rows of the training split, and write the alphabet.

        Raises:
            InvalidManifest: no row of the training split has audio and text.
        """
        encoder = None
        # Once the ASR training has saved a state, it no longer needs the pretrained encoder.
        if config.pretraining_steps and newest_state(job.work) is None:
            pretraining = job.work / "pretraining"
            pretraining.mkdir(exist_ok=True)
            encoder = train_best_rq(_best_rq(config), data, replace(job, directory=pretraining))
        model = train_ctc(config, data, job, encoder)
        write_text(job.directory / _ALPHABET, json.dumps({"symbols": model.alphabet.symbols}))
        return model

    @classmethod
    def build_model(cls, config: UsmV2Config, files: Path) -> CtcModel:
        """Return a model with random weights whose head has the stored alphabet."""
        symbols = read_json(files / _ALPHABET).get("symbols")
        if not isinstance(symbols, str) or not symbols:
            raise InvalidArtifact(f"{files / _ALPHABET}: expected {{symbols: ...}}, got {quote(symbols)}")
        return CtcModel(config, Alphabet(symbols))

    def feature_function(self) -> Compute:
        """Return the function that computes the bottleneck's points, the posteriors, or a layer's output."""
        if self.model.bottleneck is not None:
            return self.model.points
        if self.config.features == "posteriors":
            return self.model.posteriors
        return lambda x, n: self.model.encoder(x, n, self.config.layer)

    def codes(self) -> torch.Tensor | None:
        """Return the bottleneck's codes, ``[K, D]``, or None if there is no bottleneck."""
        return None if self.model.bottleneck is None else self.model.bottleneck.codes().detach()

    def transcribe(self, audios: list[Audio]) -> list[str]:
        """Return greedy CTC transcripts, which show how well the encoder recognises words."""
        return [self.model.alphabet.decode(x.argmax(-1)) for x in self.run(audios, self.model)]


def _best_rq(config: UsmV2Config) -> UsmV1Config:
    """Return the options for pretraining the same encoder, without SpecAugment, as in `usm-v1`."""
    same = {field.name: getattr(config, field.name) for field in fields(EncoderConfig)}
    return UsmV1Config(**{**same, "steps": config.pretraining_steps, "layer": config.layers, "masks": 0})
