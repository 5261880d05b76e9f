"""Synthetic speech of espeak-ng in many voices, pitches and speeds."""

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
from areca_say.variants import Mixture, Variant, build_data_folder, draw_mixture, require_speakers

_VOICES = {"en": "en-us", "es": "es-419", "fr": "fr", "de": "de", "it": "it"}
_PITCH = (30, 71)
_WORDS_PER_MINUTE = (130, 191)
"""Ranges to draw from; the end is excluded."""
_LETTER = re.compile(r"\b([ap]) m\b")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and how espeak-ng speaks it.

    Args:
        text: plain words.
        language: ISO 639-1 code.
        variant: espeak-ng's name of the speaker, such as ``"m3"``, or a mixture of speakers.
        pitch: 0 to 99; 50 leaves the voice unchanged.
        words_per_minute: speed.
    """

    text: str
    language: str
    variant: Variant
    pitch: int
    words_per_minute: int


def draw_sentence(
    text: str, language: str, variants: Sequence[str], rng: np.random.Generator, mixed: float = 0.0
) -> Sentence:
    """Draw a speaker, a pitch (30 to 70) and a speed (130 to 190 words per minute) for `text`.

    Args:
        text: plain words.
        language: ISO 639-1 code.
        variants: names of the speakers to draw from.
        rng: the only source of randomness.
        mixed: probability that the speaker is a mixture of three of them.
    """
    if mixed and rng.random() < mixed:
        variant: Variant = draw_mixture(variants, rng)
    else:
        variant = variants[int(rng.integers(len(variants)))]
    return Sentence(text, language, variant, int(rng.integers(*_PITCH)), int(rng.integers(*_WORDS_PER_MINUTE)))


def find_espeak() -> Any:
    """Return the module `espeakng_loader`, which locates espeak-ng.

    Raises:
        MissingDependency: espeakng-loader is not installed.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingDependency("synthetic speech needs espeak-ng: pip install 'areca[synthetic]'") from error
    return espeakng_loader


def speak(sentences: Sequence[Sentence]) -> Iterator[Audio]:
    """Yield the speech of each sentence, mono at espeak-ng's sampling rate. Equal lists give equal audio.

    Raises:
        MissingDependency: espeakng-loader is not installed.
        ArecaError: espeak-ng failed.
    """
    espeak = find_espeak()
    data = Path(espeak.get_data_path())
    require_speakers(data, [sentence.variant for sentence in sentences])
    with tempfile.TemporaryDirectory() as folder:
        # Mixtures are speakers of a temporary data folder.
        mixtures = [sentence.variant for sentence in sentences if isinstance(sentence.variant, Mixture)]
        names = build_data_folder(data, mixtures, Path(folder) / data.name) if mixtures else {}
        request = {
            "library": str(espeak.get_library_path()),
            "data": str(Path(folder) / data.name if mixtures else data),
            "sentences": [_request(sentence, names) for sentence in sentences],
        }
        command = [sys.executable, "-I", str(Path(espeak_process.__file__))]
        # A new session, so that only the caller handles Ctrl-C: a stopped child would look like a failed one.
        finished = subprocess.run(
            command, input=json.dumps(request).encode(), capture_output=True, check=False, start_new_session=True
        )
    if finished.returncode != 0:
        message = finished.stderr.decode(errors="replace").strip()
        raise ArecaError(message or f"espeak-ng ended with exit code {finished.returncode}")
    # Split the output: for each sentence, the rate and the number of samples, then the samples.
    start = 0
    for sentence in sentences:
        rate, count = struct.unpack_from("<II", finished.stdout, start)
        samples = np.frombuffer(finished.stdout, dtype="<i2", count=count, offset=start + 8)
        start += 8 + 2 * count
        yield Audio(torch.from_numpy(samples.astype(np.float32) / 32768.0)[None], rate, name=sentence.text)


def _request(sentence: Sentence, names: Mapping[Mixture, str]) -> list[str | int]:
    """Return the sentence as `areca_say.espeak_process` takes it: text, voice, pitch and words per minute."""
    # Without capitals and dots, espeak-ng reads "a m" as an article and a letter.
    text = _LETTER.sub(lambda match: f"{match[1].upper()}.M.", sentence.text)
    variant = names[sentence.variant] if isinstance(sentence.variant, Mixture) else sentence.variant
    return [text, f"{_VOICES[sentence.language]}+{variant}", sentence.pitch, sentence.words_per_minute]
