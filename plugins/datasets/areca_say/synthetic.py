"""Speech of espeak-ng: many voices, pitches and speeds."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from areca.errors import ArecaError, MissingDependency
from areca.types import Audio
from areca_say import espeak_process
from areca_say.variants import Mixture, Variant, mixture, require, with_mixtures

_VOICES = {"en": "en-us", "es": "es-419", "fr": "fr", "de": "de", "it": "it"}
_PITCH = (30, 71)
_WORDS_PER_MINUTE = (130, 191)
_LETTER = re.compile(r"\b([ap]) m\b")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and how espeak-ng speaks it.

    Args:
        text: plain words.
        language: ISO 639-1 code.
        variant: espeak-ng's name of the speaker, as ``"m3"``, or a mixture of speakers.
        pitch: 0 to 99, 50 is the voice's own.
        words_per_minute: speed.
    """

    text: str
    language: str
    variant: Variant
    pitch: int
    words_per_minute: int


def sentence(
    text: str, language: str, variants: Sequence[str], rng: np.random.Generator, mixed: float = 0.0
) -> Sentence:
    """Draw a speaker, a pitch (30 to 70) and a speed (130 to 190 words per minute) for `text`.

    Args:
        text: plain words.
        language: ISO 639-1 code.
        variants: names of the speakers to draw from.
        rng: what is drawn.
        mixed: how often the speaker is a mixture of three of them.
    """
    if mixed and rng.random() < mixed:
        variant: Variant = mixture(variants, rng)
    else:
        variant = variants[int(rng.integers(len(variants)))]
    return Sentence(text, language, variant, int(rng.integers(*_PITCH)), int(rng.integers(*_WORDS_PER_MINUTE)))


def loader() -> Any:
    """Return the module that locates espeak-ng.

    Raises:
        MissingDependency: espeakng-loader is not installed.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingDependency("synthetic speech needs espeak-ng: pip install 'areca[synthetic]'") from error
    return espeakng_loader


def speak(sentences: Sequence[Sentence]) -> Iterator[Audio]:
    """Speak `sentences`, mono at espeak-ng's sampling rate; equal lists give equal audio.

    Raises:
        MissingDependency: espeakng-loader is not installed.
        ArecaError: espeak-ng failed.
    """
    espeak = loader()
    data = Path(espeak.get_data_path())
    require(data, [said.variant for said in sentences])
    with tempfile.TemporaryDirectory() as folder:
        mixtures = [said.variant for said in sentences if isinstance(said.variant, Mixture)]
        names = with_mixtures(data, mixtures, Path(folder) / data.name) if mixtures else {}
        job = {
            "library": str(espeak.get_library_path()),
            "data": str(Path(folder) / data.name if mixtures else data),
            "sentences": [_request(said, names) for said in sentences],
        }
        command = [sys.executable, "-I", str(Path(espeak_process.__file__))]
        # In a session of its own: Ctrl-C is for the caller alone, who would take a stopped child for a failed one.
        done = subprocess.run(
            command, input=json.dumps(job).encode(), capture_output=True, check=False, start_new_session=True
        )
    if done.returncode != 0:
        raise ArecaError(done.stderr.decode(errors="replace").strip() or f"espeak-ng died ({done.returncode})")
    start = 0
    for said in sentences:
        rate, count = struct.unpack_from("<II", done.stdout, start)
        samples = np.frombuffer(done.stdout, dtype="<i2", count=count, offset=start + 8)
        start += 8 + 2 * count
        yield Audio(torch.from_numpy(samples.astype(np.float32) / 32768.0)[None], rate, name=said.text)


def _request(said: Sentence, names: Mapping[Mixture, str]) -> list[str | int]:
    # "a m" alone would be an article and a letter.
    text = _LETTER.sub(lambda match: f"{match[1].upper()}.M.", said.text)
    variant = names[said.variant] if isinstance(said.variant, Mixture) else said.variant
    return [text, f"{_VOICES[said.language]}+{variant}", said.pitch, said.words_per_minute]
