"""Turn log-mels into audio with the generator of HiFi-GAN (Kong et al. 2020, arXiv 2010.05646)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import SeamlessM4TConfig
from transformers.models.seamless_m4t.modeling_seamless_m4t import SeamlessM4THifiGan

from areca.fitting.hifigan.generator import generator_sizes, initialise, reach_of
from areca.hub.tensors import read_module
from areca.mel import SPEECH
from areca.sliding import Sliding
from areca_melrvq import STRIDES

INVERTER = "inverter.safetensors"
_KERNELS = (3, 7, 11)
_BLOCK = 16
"""Frames that `NeuralInversion` computes together: single frames take several times as long, larger blocks delay."""


def describe(channels: int) -> Any:
    """Return the sizes of the generator, whose inputs are the bands of a log-mel."""
    sizes = generator_sizes(STRIDES, channels, _KERNELS)
    return SeamlessM4TConfig(unit_embed_dim=SPEECH.mels, spkr_embed_dim=0, lang_embed_dim=0, **sizes)


class NeuralInverter(nn.Module):
    """A generator of audio from log-mels.

    Args:
        channels: before its first upsampling.
        mean: of each band in the training data, float32 ``[80]``.
        deviation: of each band, float32 ``[80]``.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, channels: int, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        super().__init__()
        described = describe(channels)
        self.reach = reach_of(described)
        self.generator = SeamlessM4THifiGan(described)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """Return the audio, float32 ``[B, F * 160]``, of log-mels, float32 ``[B, F, 80]``."""
        audio: torch.Tensor = self.generator(((mels - self.mean) / self.deviation).transpose(1, 2))
        return audio

    @torch.inference_mode()
    def invert(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return the audio, float32 ``[F * 160]``, of a log-mel, float32 ``[80, F]``."""
        audio: torch.Tensor = self(log_mel.T[None])[0]
        return audio

    def open(self) -> NeuralInversion:
        """Begin a log-mel that arrives in pieces."""
        return NeuralInversion(self)


class NeuralInversion:
    """`NeuralInverter.invert` for one log-mel that arrives in pieces: the pieces together are that of the whole."""

    def __init__(self, inverter: NeuralInverter) -> None:
        self._none = inverter.mean.new_zeros(0, SPEECH.mels)
        self._sliding = Sliding(lambda mels: inverter.invert(mels.T).reshape(len(mels), -1), inverter.reach, _BLOCK)

    def push(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Append frames, float32 ``[80, F]``, and return the samples that they complete, float32 ``[T]``, T >= 0."""
        samples = self._sliding.push(log_mel.T)
        return log_mel.new_zeros(0) if samples is None else samples.flatten()

    def finish(self) -> torch.Tensor:
        """Return the remaining samples, float32 ``[T]``, T >= 0; nothing may be pushed afterwards."""
        samples = self._sliding.push(self._none, last=True)
        return torch.zeros(0) if samples is None else samples.flatten()


def build_inverter(channels: int, mean: torch.Tensor, deviation: torch.Tensor, seed: int) -> NeuralInverter:
    """Return an inverter to train, with weights drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inverter = NeuralInverter(channels, mean, deviation)
        initialise(inverter.generator)
    return inverter


def load_inverter(files: Path, channels: int, mean: torch.Tensor, deviation: torch.Tensor) -> NeuralInverter:
    """Return the trained inverter in an artifact, in evaluation mode, on the CPU.

    Raises:
        InvalidArtifact: the file is missing, damaged, or of other sizes.
    """
    return read_module(files / INVERTER, lambda: NeuralInverter(channels, mean, deviation)).eval().requires_grad_(False)
