"""The judge `whisper`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from areca.errors import InvalidConfig
from areca.types import Audio, require_audio
from areca_judges import SAMPLE_RATE_HZ, WhisperConfig


class Whisper:
    """Whisper (Radford et al. 2022, arXiv 2212.04356), run by faster-whisper.

    Decoding is deterministic: beam search at temperature 0 without the fallback to sampling. No audio is conditioned on
    earlier text.
    """

    def __init__(self, config: WhisperConfig, device: torch.device) -> None:
        """Open the model.

        Raises:
            InvalidConfig: the folder has no model, or the hub does not provide it.
        """
        from faster_whisper import WhisperModel

        self._config = config
        if config.path and not (config.path / "model.bin").is_file():
            raise InvalidConfig(
                f"judge 'whisper': {config.path} has no model.bin; expected the folder of a CTranslate2 Whisper "
                "model, such as Systran/faster-whisper-base on the Hugging Face hub"
            )
        source = str(config.path or config.model)
        try:
            self._model = WhisperModel(
                source,
                device=device.type,
                compute_type=config.compute_type,
                cpu_threads=config.threads,
                num_workers=1,
            )
        except (OSError, RuntimeError, ValueError) as e:
            raise InvalidConfig(f"judge 'whisper': {source} cannot be opened: {e}") from e

    @classmethod
    def load(
        cls,
        config: WhisperConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Whisper:
        """Open the model on `device`."""
        return cls(config, device)

    def transcribe(self, audios: list[Audio], language: str) -> list[str]:
        """Return Whisper's transcript of each audio, not normalised.

        Args:
            audios: mono, 16 kHz.
            language: the spoken language (ISO 639-1).

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
            InvalidConfig: a language that the model does not know.
        """
        known = self._model.supported_languages
        if language not in known:
            raise InvalidConfig(f"judge 'whisper' does not know language {language!r}; it knows {', '.join(known)}")
        require_audio(audios, SAMPLE_RATE_HZ, 1)
        return [self._recognise(audio, language) for audio in audios]

    def _recognise(self, audio: Audio, language: str) -> str:
        segments, _ = self._model.transcribe(
            audio.samples[0].numpy(),
            language=language,
            beam_size=self._config.beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            initial_prompt=self._config.initial_prompt or None,
            without_timestamps=True,
        )
        return " ".join(segment.text.strip() for segment in segments)
