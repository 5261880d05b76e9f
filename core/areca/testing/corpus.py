"""A small corpus made of nothing: texts, and for each letter a sound of its own."""

from __future__ import annotations

from pathlib import Path

import torch

from areca import audio
from areca.manifest import Manifest, Utterance, write_manifest
from areca.types import Audio

SAMPLE_RATE_HZ = 16_000
UTTERANCES = 32
LETTER_S = 0.08
"""Seconds that a letter sounds."""
_WORDS = {
    "fr": ("un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix"),
    "en": ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
}
_SPEAKERS_HZ = {"low": 110.0, "high": 190.0}
"""Pitch by speaker."""


def write_corpus(directory: Path) -> Manifest:
    """Write French rows with their English side, some 1 to 3 s each, the same at every call; return the manifest."""
    path = directory / "manifest.jsonl"
    if path.is_file():
        return Manifest.read(path, depth="path")
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
    return Manifest.read(path, depth="path")


def speak(text: str, pitch_hz: float, generator: torch.Generator) -> Audio:
    """Return `text` as buzzes of `pitch_hz`, a formant by letter, with a little noise; 16 kHz mono, `LETTER_S` each."""
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
