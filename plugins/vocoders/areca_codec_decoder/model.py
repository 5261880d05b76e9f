"""`codec-decoder`: the decoder of a tokenizer as a vocoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from areca.errors import ArecaError
from areca.interfaces import Decoder, SpeechSession, StreamingDecoder
from areca.types import Audio, Codes, VoicePrompt
from areca_codec_decoder import CodecConfig


class Codec:
    """A vocoder that decodes codec tokens. The tokens include the voice."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    @staticmethod
    def load(
        config: CodecConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Codec:
        """Wrap the loaded need ``tokenizer``. Core has checked that it has the tag ``decode``."""
        return Codec(needs["tokenizer"])

    def synthesize(
        self, codes: list[Codes], voices: Sequence[VoicePrompt | None], *, generator: torch.Generator
    ) -> list[Audio]:
        """Decode each of `codes`. `generator` is not used.

        Raises:
            InvalidCodes: an empty list, or codes out of range.
            ArecaError: a voice is given.
        """
        _refuse(voices)
        return self.decoder.decode(codes)

    def open(self, voice: VoicePrompt | None, *, generator: torch.Generator) -> SpeechSession:
        """Begin an utterance, if the codec has the tag ``stream``. `generator` is not used.

        Raises:
            ArecaError: a voice is given.
        """
        _refuse([voice])
        return cast("StreamingDecoder", self.decoder).open()


def _refuse(voices: Sequence[VoicePrompt | None]) -> None:
    if given := [v for v in voices if v is not None]:
        raise ArecaError(f"codec-decoder: the voice is in the tokens, got {len(given)} voice prompt(s)")
