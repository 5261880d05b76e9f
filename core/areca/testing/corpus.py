"""A small synthetic corpus: texts, spoken with a different sound for each letter."""

from __future__ import annotations

from pathlib import Path

import torch

from areca import audio
from areca.manifest import Manifest, Utterance, read_manifest, write_manifest
from areca.types import Audio

SAMPLE_RATE_HZ = 16_000
UTTERANCES = 32
LETTER_S = 0.08
"""Duration of a letter, in seconds."""
_WORDS = {
    "fr": ("un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix"),
    "en": ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
}
_SPEAKERS_HZ = {"low": 110.0, "high": 190.0}
"""Pitch by speaker."""


def write_corpus(directory: Path) -> Manifest:
    """Write French rows with English translations, about 1 to 3 s each, and return the manifest.

    Every call writes the same corpus; if `directory` already holds it, it is only read.
    """
    path = directory / "manifest.jsonl"
    if path.is_file():
        return read_manifest(path, depth="path")
    directory.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(7)
    rows = []
    for i in range(UTTERANCES):
        numbers = torch.randint(10, (2 + i % 4,), generator=generator).tolist()
        speaker, pitch_hz = list(_SPEAKERS_HZ.items())[i % 2]
        texts = {language: " ".join(words[n] for n in numbers) for language, words in _WORDS.items()}
        for language, text in texts.items():
            audio.write(directory / f"{i}-{language}.wav", speak(text, pitch_hz, generator))
        rows.append(
            Utterance(
                id=str(i),
                audio=f"{i}-fr.wav",
                text=texts["fr"],
                language="fr",
                speaker=speaker,
                split=("validation", "test")[i % 2] if i >= UTTERANCES - 8 else "train",
                source="synthetic",
                target_audio=f"{i}-en.wav",
                target_text=texts["en"],
                target_language="en",
            )
        )
    write_manifest(path, rows)
    return read_manifest(path, depth="path")


def speak(text: str, pitch_hz: float, generator: torch.Generator) -> Audio:
    """Return `text` as speech-like sound: a buzz at `pitch_hz` with one formant per letter, and a little noise.

    Args:
        text: lower-case letters and spaces.
        pitch_hz: fundamental frequency.
        generator: draws the noise.

    Returns:
        Mono, 16 kHz, `LETTER_S` seconds per letter.
    """
    length = round(LETTER_S * SAMPLE_RATE_HZ)
    times_s = torch.arange(length) / SAMPLE_RATE_HZ
    harmonics_hz = pitch_hz * torch.arange(1, 30)
    waves = torch.sin(2 * torch.pi * harmonics_hz[:, None] * times_s)
    fade = torch.hann_window(length, periodic=False) ** 0.5
    pieces = [fade * (_formant(letter, harmonics_hz)[:, None] * waves).sum(0) for letter in text]
    samples = torch.cat(pieces) + 1e-3 * torch.randn(length * len(text), generator=generator)
    return Audio((0.3 * samples / samples.abs().max())[None], SAMPLE_RATE_HZ, text)


def _formant(letter: str, harmonics_hz: torch.Tensor) -> torch.Tensor:
    if letter == " ":
        return torch.zeros_like(harmonics_hz)
    center_hz = 300.0 + 100.0 * (ord(letter) - ord("a"))
    return torch.exp(-(((harmonics_hz - center_hz) / 250.0) ** 2))
