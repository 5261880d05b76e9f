"""Encode and decode with the networks of Lyra v2, one utterance at a time, so that batches cannot change a code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from areca.specs import Stream
from areca.types import Audio, Codes, require_audio, stack_codes
from areca_lyra import FILES, FRAME_RATE_HZ, SAMPLE_RATE_HZ, LyraConfig, spec
from areca_lyra.networks import FEATURES, Quantizer, StatefulNet
from areca_lyra.pairs import merge_pairs, split_pairs

HOP = SAMPLE_RATE_HZ // FRAME_RATE_HZ
"""Samples per frame."""


class LyraTokenizer:
    """The target of the component `lyra`, and its instance. It computes on the CPU, in the precision of its files."""

    def __init__(self, config: LyraConfig) -> None:
        self._config, self._streams = config, spec(config, {}).streams
        assert config.path is not None, "spec() requires `path`"
        encoder, quantizer, generator = (config.path / name for name in FILES)
        self._encoder = StatefulNet(encoder, (1, HOP), (1, 1, FEATURES))
        self._quantizer = Quantizer(quantizer)
        self._generator = StatefulNet(generator, (1, 1, FEATURES), (1, HOP))

    @classmethod
    def load(
        cls,
        config: LyraConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> LyraTokenizer:
        """Return the tokenizer with the networks in ``config.path``; `device` and `dtype` are ignored.

        Raises:
            InvalidConfig: an option is out of range, there is no folder, or its files are not these networks.
        """
        return cls(config)

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Encode mono audio at 16 kHz: one frame per 320 samples, the last one padded with zeros.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        require_audio(audios, SAMPLE_RATE_HZ, 1)
        return [self._encode(a.samples) for a in audios]

    def decode(self, codes: list[Codes]) -> list[Audio]:
        """Decode codes to mono audio at 16 kHz, 320 samples per frame.

        Raises:
            InvalidCodes: an empty list, another number of streams, streams of unequal length, or codes out of range.
        """
        return [self._start(f"codes {i}")(c) for i, c in enumerate(stack_codes(codes, self._streams))]

    def open(self) -> LyraSession:
        """Begin an utterance whose audio is that of `decode`. Each frame becomes 320 samples at once."""
        return LyraSession(self._start("codes"), self._streams)

    def _encode(self, samples: torch.Tensor) -> Codes:
        padded = torch.nn.functional.pad(samples, (0, -samples.shape[1] % HOP))
        features = self._encoder(padded.reshape(-1, 1, HOP).numpy(force=True))
        codes = torch.from_numpy(self._quantizer.encode(features, self._config.quantizers))
        return Codes((codes if self._config.merge == 1 else merge_pairs(codes)).unbind(0))

    def _start(self, name: str) -> Callable[[torch.Tensor], Audio]:
        """Return a function that decodes the next codes ``[K, F]`` of one utterance."""
        run = self._generator.start()

        def decode(codes: torch.Tensor) -> Audio:
            single = codes if self._config.merge == 1 else split_pairs(codes)
            samples = run(self._quantizer.decode(single.numpy(force=True)))
            return Audio(torch.from_numpy(samples).reshape(1, -1), SAMPLE_RATE_HZ, name)

        return decode


class LyraSession:
    """An utterance that `lyra` decodes while its codes arrive."""

    def __init__(self, decode: Callable[[torch.Tensor], Audio], streams: tuple[Stream, ...]) -> None:
        self._decode, self._streams = decode, streams

    def push(self, codes: Codes) -> Audio | None:
        """Return the audio of the next codes, 320 samples per frame.

        Raises:
            InvalidCodes: no codes, another number of streams, streams of unequal length, or codes out of range.
        """
        [stacked] = stack_codes([codes], self._streams)
        return self._decode(stacked)

    def finish(self) -> Audio | None:
        """Return None: all audio has been returned."""
        return None
