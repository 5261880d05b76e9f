"""A corpus of synthetic vowels for the tests of vocoders, and the codes of its recordings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from areca import audio
from areca.fitting.sampling import conform_and_encode, read_recording
from areca.job import TokenSource
from areca.manifest import Column, Manifest, Utterance, read_manifest, write_manifest
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes

FORMANTS = ((300, 2300), (700, 1200), (400, 900), (550, 1800))


def vowels(seed: int, pitch_hz: float = 120.0) -> Audio:
    """Four vowels in random order, each of 0.12 to 0.3 s, with a breath between."""
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.zeros(1_600)]
    for _ in range(4):
        low, high = FORMANTS[int(torch.randint(len(FORMANTS), (), generator=generator))]
        t = torch.arange(int(1_920 + 2_880 * torch.rand((), generator=generator))) / 16_000
        hz = pitch_hz * torch.arange(1, 31)[:, None]
        gain = torch.exp(-(((hz - low) / 150) ** 2)) + 0.5 * torch.exp(-(((hz - high) / 200) ** 2))
        voice = ((gain + 0.003) * torch.sin(2 * math.pi * hz * t)).sum(0)
        parts += [0.1 * voice * torch.hann_window(len(t)).sqrt(), torch.zeros(800)]
    x = torch.cat(parts)
    return Audio((x + 1e-4 * torch.randn(x.shape, generator=generator))[None], 16_000, f"vowels {seed}")


def write_vowels(root: Path) -> Manifest:
    """12 target recordings, each the target of two rows whose own audio is of other speakers."""
    rows = []
    for i in range(12):
        audio.write(root / f"t{i}.wav", vowels(i))
        audio.write(root / f"s{i}.wav", vowels(100 + i, 180.0))
        for copy in "ab":
            rows.append(Utterance(id=f"{i}{copy}", audio=f"s{i}.wav", speaker=copy, target_audio=f"t{i}.wav"))
    rows.append(Utterance(id="held", audio="s0.wav", target_audio="t0.wav", split="test", speaker="held"))
    write_manifest(root / "manifest.jsonl", rows)
    return read_manifest(root / "manifest.jsonl")


def encoder(tokenizer: Any, spec: Any, data: Manifest) -> TokenSource:
    """Return a `Job.table` that encodes recordings with a loaded tokenizer, 32 at a time."""
    assert isinstance(spec, TokenizerSpec)

    def table(need: str, column: Column, rows: Sequence[Utterance] | None) -> dict[str, Codes]:
        assert need == "tokenizer" and rows is not None
        found: dict[str, Codes] = {}
        for start in range(0, len(rows), 32):
            batch = rows[start : start + 32]
            sounds = [read_recording(data, (row, column)) for row in batch]
            found |= {row.id: c for row, c in zip(batch, conform_and_encode(tokenizer, spec, sounds), strict=True)}
        return found

    return table
