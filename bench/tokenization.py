"""Tokenization against decoding, resampling and the bare encoder one after the other; and its growth with the corpus.

python -m bench.tokenization
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from bench.figures import Figure, child, in_turns, peak_mb, seconds, show

from areca import audio
from areca.component import Kind
from areca.fitting import Workshop
from areca.manifest import Manifest, Utterance, write_manifest
from areca.parts import Part, resolve
from areca.registry import Registry
from areca.specs import TokenizerSpec
from areca.store import Store
from areca.testing.corpus import speak, write_corpus
from areca.tokens import tokenize
from areca.training.batches import bucket
from areca.types import Audio

BATCH_S = 60.0
RATE_HZ = 22_050
ROUNDS = 3
TOKENIZER = {"name": "usm-v2", "steps": 2}


def corpus(directory: Path, total_s: float) -> Manifest:
    """Write about `total_s` seconds of buzzes of 2 to 6 s at 22.05 kHz, which have to be resampled."""
    directory.mkdir(parents=True)
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    rows: list[Utterance] = []
    length_s = 0.0
    sound = speak("abcdefgh" * 10, 120.0, generator).samples  # 6.4 s at 16 kHz, played faster below
    while length_s < total_s:
        count = int(rng.uniform(2, 6) * RATE_HZ)
        path = f"{len(rows)}.wav"
        audio.write(directory / path, Audio(sound.repeat(1, 2)[:, :count].contiguous(), RATE_HZ))
        rows.append(Utterance(id=str(len(rows)), audio=path, language="fr"))
        length_s += count / RATE_HZ
    write_manifest(directory / "manifest.jsonl", rows)
    return Manifest.read(directory / "manifest.jsonl")


def fitted(directory: Path) -> tuple[Part, Workshop]:
    part = resolve(Registry.discover(), Kind.TOKENIZER, TOKENIZER, role="speech")
    shop = Workshop(Store(directory / "store"), data=write_corpus(directory / "fit"))
    shop.instance(part)
    return part, shop


def bare(manifest: Manifest, part: Part, shop: Workshop) -> None:
    """Decode, resample and encode in a plain loop, in batches cut as areca cuts them."""
    assert isinstance(part.spec, TokenizerSpec)
    sounds = [audio.conform(manifest.audio(row), part.spec.sample_rate_hz, part.spec.channels) for row in manifest.rows]
    lengths = np.array([round(sound.seconds * 1000) for sound in sounds])
    encoder = shop.instance(part)
    for batch in bucket(lengths, round(BATCH_S * 1000)):
        encoder.encode([sounds[i] for i in batch])


def areca(manifest: Manifest, part: Part, shop: Workshop) -> None:
    with TemporaryDirectory() as name:  # an empty store each time, or there would be nothing to do
        fresh = Workshop(Store(Path(name)), data=shop.data, artifacts={part.role: shop.artifact(part)})  # type: ignore[dict-item]
        fresh.instance(part)
        tokenize(manifest, "audio", part, fresh, batch_s=BATCH_S)


def measure(rounds: int = ROUNDS, total_s: float = 900.0) -> list[Figure]:
    with TemporaryDirectory() as name:
        part, shop = fitted(Path(name))
        manifest = corpus(Path(name) / "corpus", total_s)
        bare(manifest, part, shop)
        mine, theirs, ratio = in_turns(
            partial(seconds, lambda: areca(manifest, part, shop)),
            partial(seconds, lambda: bare(manifest, part, shop)),
            rounds,
        )
    return [
        Figure("tokenization: time over the bare encoder's", ratio, "x", ("<=", 1.2), f"median of {rounds} rounds"),
        Figure("tokenization: areca", total_s / mine, "x real time"),
        Figure("tokenization: decode, resample, encode", total_s / theirs, "x real time"),
    ]


def once(total_s: float) -> None:
    with TemporaryDirectory() as name:
        part, shop = fitted(Path(name))
        manifest = corpus(Path(name) / "corpus", total_s)
        took_s = seconds(lambda: areca(manifest, part, shop))
    print(json.dumps({"seconds": took_s, "mb": peak_mb()}))


def growth(unit_s: float = 30.0) -> list[Figure]:
    """Corpora that take about `unit_s` seconds, four times and sixteen times as much; each in its own process."""
    trial = json.loads(child("bench.tokenization", "once", "300"))
    audio_s = 300.0 * unit_s / trial["seconds"]
    runs = [json.loads(child("bench.tokenization", "once", str(audio_s * factor))) for factor in (1, 4, 16)]
    times, peaks = [run["seconds"] for run in runs], [run["mb"] for run in runs]
    return [
        Figure("corpus x 4: time", times[1] / times[0], "x", ("<=", 4 * 1.2), f"1x took {times[0]:.0f} s"),
        Figure("corpus x 16: time", times[2] / times[0], "x", ("<=", 16 * 1.2)),
        Figure("corpus x 16: memory", peaks[2] / peaks[0], "x", ("<=", 1.2), f"{peaks[0]:.0f} to {peaks[2]:.0f} MB"),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["once"]:
        once(float(sys.argv[2]))
    else:
        show([*measure(), *growth()])
