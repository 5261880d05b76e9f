"""The metric `speaker-similarity`: the speaker encoder of Wan et al. (2018), with the weights of Resemblyzer.

Only the tensors of the file are read. Resemblyzer's own code is not imported.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torchaudio
from torch import nn
from torch.nn import functional

from areca.errors import InvalidConfig, summarise
from areca.sound.hearing import trim_silence
from areca.types import Audio, Example
from areca_speech_metrics import SAMPLE_RATE_HZ, SpeakerConfig
from areca_speech_metrics.comparing import Mean, recordings
from areca_speech_metrics.weights import find_resemblyzer

_MELS, _SIZE, _LAYERS = 40, 256, 3
_WINDOW, _HOP = 400, 160
_PART = 160
"""Frames of a part of a recording; a recording's embedding is the mean over its parts."""
_STEP = 77
"""Frames from one part to the next: 1.3 parts a second."""
_FULLEST = 0.75
"""A last part with less than this share of speech is left out."""
_LEVEL = 10 ** (-30 / 20)
"""RMS to which quieter recordings are amplified: -30 dB of full scale."""


class SpeakerEncoder(nn.Module):
    """Three LSTM layers over mel energies, and a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_MELS, _SIZE, _LAYERS, batch_first=True)
        self.linear = nn.Linear(_SIZE, _SIZE)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of mel energies.

        Args:
            mels: float32 ``[B, F, 40]``.

        Returns:
            float32 ``[B, 256]``, of length 1, not negative.
        """
        _, (hidden, _) = self.lstm(mels)
        return functional.normalize(functional.relu(self.linear(hidden[-1])), dim=1)

    @torch.inference_mode()
    def embed(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the embedding ``[256]``, of length 1, of a recording ``[T]`` at 16 kHz."""
        starts = _cut_parts(len(samples))
        padded = functional.pad(samples, (0, max(0, (starts[-1] + _PART) * _HOP - len(samples))))
        mels = _mel_energies(padded)
        parts = torch.stack([mels[start : start + _PART] for start in starts])
        return functional.normalize(self(parts.to(self.linear.weight.device)).mean(dim=0), dim=0).cpu()


class SpeakerSimilarity(Mean):
    """The cosine of two recordings' speaker embeddings; for raw cosines of different speakers, 0.5 is common."""

    def __init__(self, config: SpeakerConfig, device: torch.device) -> None:
        super().__init__(config)
        self._device = device

    @classmethod
    def load(
        cls, config: SpeakerConfig, needs: Mapping[str, Any], files: Path | None, *, device: Any, dtype: Any
    ) -> SpeakerSimilarity:
        """Return the metric; the weights are read at the first call of `count`."""
        return cls(config, torch.device(device))

    def value(self, example: Example) -> float:
        """Return the cosine, from 0 to 1."""
        answer, other = (self._embed(audio) for audio in recordings(example, self.config.compare_with))
        return float(answer @ other)

    def _embed(self, audio: Audio) -> torch.Tensor:
        return self._encoder.embed(amplify(trim_silence(audio, 0.1, 0.1)[0].samples[0]))

    @cached_property
    def _encoder(self) -> SpeakerEncoder:
        return read_encoder(find_resemblyzer(self.config.path)).to(self._device)


def read_encoder(path: Path) -> SpeakerEncoder:
    """Return the encoder with the weights of Resemblyzer's ``pretrained.pt``.

    Raises:
        InvalidConfig: the file does not hold these weights.
    """
    encoder = SpeakerEncoder()
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        encoder.load_state_dict({name: stored[name] for name in encoder.state_dict()})
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as e:
        raise InvalidConfig(
            f"metric 'speaker-similarity': {path}: expected the weights of Resemblyzer, got {summarise(e)}; "
            "pip install --no-deps resemblyzer brings them"
        ) from e
    return encoder.eval()


def amplify(samples: torch.Tensor) -> torch.Tensor:
    """Return a recording with an RMS of at least -30 dB of full scale; silence is unchanged."""
    rms = float(samples.square().mean().sqrt())
    return samples * (_LEVEL / rms) if 0 < rms < _LEVEL else samples


def _cut_parts(samples: int) -> Sequence[int]:
    """Return the first frames of the parts of a recording; the last part may extend beyond it."""
    frames = math.ceil((samples + 1) / _HOP)
    starts = range(0, max(1, frames - _PART + _STEP + 1), _STEP)
    fullness = (samples - starts[-1] * _HOP) / (_PART * _HOP)
    return starts[:-1] if len(starts) > 1 and fullness < _FULLEST else starts


def _mel_energies(samples: torch.Tensor) -> torch.Tensor:
    """Return mel energies ``[F, 40]`` of samples ``[T]``; frame i is centred on sample 160 i."""
    window = torch.hann_window(_WINDOW)
    spectrum = torch.stft(samples, _WINDOW, _HOP, window=window, pad_mode="constant", return_complex=True)
    filters = torchaudio.functional.melscale_fbanks(
        _WINDOW // 2 + 1, 0.0, SAMPLE_RATE_HZ / 2, _MELS, SAMPLE_RATE_HZ, norm="slaney", mel_scale="slaney"
    )
    energies: torch.Tensor = spectrum.abs().square().T @ filters
    return energies
