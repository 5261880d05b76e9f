"""The judge `pocketsphinx`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pocketsphinx import Decoder

from areca.errors import InvalidConfig
from areca.types import Audio, require_audio
from areca_judges import SAMPLE_RATE_HZ, PocketsphinxConfig
from areca_judges.grammar import build_values_grammar


class Pocketsphinx:
    """The decoder of CMU Sphinx with its en-us model. It recognises only the sentences of a grammar."""

    def __init__(self, config: PocketsphinxConfig) -> None:
        """Compile the grammar.

        Raises:
            InvalidConfig: the grammar cannot be read or compiled, or contains a word that the dictionary lacks.
        """
        # Without cmn="batch", the cepstral mean carries over from one audio to the next, and the order would matter.
        self._decoder = Decoder(lm=None, loglevel="FATAL", cmn="batch", lw=config.language_weight)
        name = str(config.grammar) if config.grammar else "the built-in grammar"
        try:
            jsgf = config.grammar.read_text(encoding="utf-8") if config.grammar else build_values_grammar()
            self._decoder.add_jsgf_string("grammar", jsgf)
            self._decoder.activate_search("grammar")
        except (OSError, UnicodeDecodeError, RuntimeError, ValueError, KeyError) as e:
            raise InvalidConfig(
                f"judge 'pocketsphinx': grammar {name}: {e}; expected a JSGF file whose words are all in "
                "pocketsphinx's cmudict-en-us.dict"
            ) from e

    @classmethod
    def load(
        cls,
        config: PocketsphinxConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Pocketsphinx:
        """Load the model in the package. It always computes on the CPU; `device` and `dtype` are ignored."""
        return cls(config)

    def transcribe(self, audios: list[Audio], language: str) -> list[str]:
        """Return the grammar's best sentence for each audio, or ``""`` if no sentence matches.

        Args:
            audios: mono, 16 kHz.
            language: must be ``"en"``.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
            InvalidConfig: a language other than English.
        """
        if language != "en":
            raise InvalidConfig(f"judge 'pocketsphinx' knows only English ('en'), got {language!r}; use 'whisper'")
        require_audio(audios, SAMPLE_RATE_HZ, 1)
        return [self._recognise(audio) for audio in audios]

    def _recognise(self, audio: Audio) -> str:
        samples = (audio.samples[0].clamp(-1, 1) * 32767).round().to(torch.int16)
        self._decoder.reinit_feat()  # resets the noise estimate, which carries over as well
        self._decoder.start_utt()
        self._decoder.process_raw(samples.numpy().tobytes(), no_search=False, full_utt=True)
        self._decoder.end_utt()
        best = self._decoder.hyp()
        return best.hypstr if best else ""
