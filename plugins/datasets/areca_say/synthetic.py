"""Speech made by espeak-ng: many voices, pitches and rates."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from areca.errors import ArecaError, MissingDependency
from areca.types import Audio
from areca_say import espeak_process

_VOICES = {"en": "en-us", "es": "es-419", "fr": "fr", "de": "de", "it": "it"}
_PITCH = (30, 71)
_WORDS_PER_MINUTE = (130, 191)
_LETTER = re.compile(r"\b([ap]) m\b")


@dataclass(frozen=True, slots=True)
class Sentence:
    """What to say, and how.

    Args:
        text: plain words.
        language: ISO 639-1 code.
        variant: espeak-ng's name of the speaker, as ``"m3"``.
        pitch: 0 to 99, 50 is the voice's own.
        words_per_minute: speed.
    """

    text: str
    language: str
    variant: str
    pitch: int
    words_per_minute: int


def sentence(text: str, language: str, variants: Sequence[str], rng: np.random.Generator) -> Sentence:
    """Draw a variant, a pitch (30 to 70) and a speed (130 to 190 words per minute) for `text`."""
    variant = variants[int(rng.integers(len(variants)))]
    return Sentence(text, language, variant, int(rng.integers(*_PITCH)), int(rng.integers(*_WORDS_PER_MINUTE)))


def speak(sentences: Sequence[Sentence]) -> Iterator[Audio]:
    """Say all of `sentences`, mono at espeak-ng's own rate; the same list always sounds the same.

    Raises:
        MissingDependency: espeakng-loader is not installed.
        ArecaError: espeak-ng failed.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingDependency("synthetic speech needs espeak-ng: pip install 'areca[synthetic]'") from error
    data = Path(espeakng_loader.get_data_path())
    for variant in sorted({said.variant for said in sentences}):
        if not (data / "voices" / "!v" / variant).is_file():  # espeak-ng would silently use its plain voice
            raise ArecaError(f"this espeak-ng has no voice {variant!r}: pip install -U espeakng-loader")
    job = {
        "library": str(espeakng_loader.get_library_path()),
        "data": str(data),
        "sentences": [_request(s) for s in sentences],
    }
    command = [sys.executable, "-I", str(Path(espeak_process.__file__))]
    done = subprocess.run(command, input=json.dumps(job).encode(), capture_output=True, check=False)
    if done.returncode != 0:
        raise ArecaError(done.stderr.decode(errors="replace").strip() or f"espeak-ng died ({done.returncode})")
    start = 0
    for said in sentences:
        rate, count = struct.unpack_from("<II", done.stdout, start)
        samples = np.frombuffer(done.stdout, dtype="<i2", count=count, offset=start + 8)
        start += 8 + 2 * count
        yield Audio(torch.from_numpy(samples.astype(np.float32) / 32768.0)[None], rate, name=said.text)


def _request(said: Sentence) -> list[str | int]:
    # "a m" alone would be an article and a letter.
    text = _LETTER.sub(lambda match: f"{match[1].upper()}.M.", said.text)
    return [text, f"{_VOICES[said.language]}+{said.variant}", said.pitch, said.words_per_minute]
