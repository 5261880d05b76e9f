"""The mu-law, which has more levels for small samples than for large ones (ITU-T G.711, continuous form)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes, require_audio, require_codes

from areca_acme_tokenizer import MulawConfig, spec

MU = 255.0


class Mulaw:
    """The target of the component `acme-mulaw`, and its instance."""

    def __init__(self, config: MulawConfig) -> None:
        self._spec: TokenizerSpec = spec(config, {})
        self._levels = config.levels

    @classmethod
    def load(
        cls,
        config: MulawConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Mulaw:
        """Return the tokenizer. It has no weights and always computes on the CPU; `device` and `dtype` are ignored."""
        return cls(config)

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Encode mono audio at the spec's rate, one token per sample; samples outside [-1, 1] are clipped.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        require_audio(audios, self._spec.sample_rate_hz, 1)
        return [Codes((self._quantise(audio.samples[0]),)) for audio in audios]

    def decode(self, codes: list[Codes]) -> list[Audio]:
        """Decode tokens to mono audio at the spec's rate: each token is the middle of its level.

        Raises:
            InvalidCodes: an empty list, or tokens out of range.
        """
        require_codes(codes, self._spec.streams)
        rate_hz = self._spec.sample_rate_hz
        return [Audio(self._restore(c.streams[0])[None], rate_hz, f"codes {i}") for i, c in enumerate(codes)]

    def _quantise(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the tokens, int64 ``[T]``, of samples ``[T]``."""
        x = samples.clamp(-1, 1)
        companded = x.sign() * torch.log1p(MU * x.abs()) / math.log1p(MU)
        return ((companded + 1) / 2 * self._levels).long().clamp(max=self._levels - 1)

    def _restore(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the samples, float32 ``[T]``, of tokens ``[T]``."""
        companded = (2 * tokens.float() + 1) / self._levels - 1
        return companded.sign() * torch.expm1(companded.abs() * math.log1p(MU)) / MU
