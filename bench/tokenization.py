"""Compare tokenization with a plain loop of decoding, resampling and encoding; and its cost on growing corpora.

python -m bench.tokenization
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from bench.figures import Figure, alternate, measure_s, read_peak_mb, run_child, show

from areca import audio
from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.artifacts.tokens import TokenTable
from areca.batching import bucket
from areca.component import Kind
from areca.manifest import Manifest, Utterance, read_manifest, write_manifest
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry
from areca.specs import TokenizerSpec
from areca.testing.corpus import speak, write_corpus
from areca.types import Audio

BATCH_S = 30.0
RATE_HZ = 22_050
MODEL_RATE_HZ = 16_000
MIXED_LOG_S = (math.log(0.5), math.log(20.0))
IDEAL_S = 5.0
ROUNDS = 3
NANO = {"name": "usm-v2", "steps": 2}
BASE = {"name": "usm-v2", "steps": 2, "batch_s": 8.0, "width": 512, "layers": 8, "heads": 8, "expansion": 4}
"""61 M parameters, as in published encoders. With nano's encoder, reading files takes a sixth of the time."""


def write_recordings(
    directory: Path, total_s: float, rate_hz: int = RATE_HZ, draw_s: Callable[[], float] | None = None
) -> Manifest:
    """Write recordings of `total_s` seconds in all; by default 2 to 6 s each at 22.05 kHz, to need resampling."""
    directory.mkdir(parents=True)
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    rows: list[Utterance] = []
    length_s = 0.0
    sound = speak("abcdefgh" * 10, 120.0, generator).samples  # 6.4 s at 16 kHz, played faster below
    while length_s < total_s:
        count = int((draw_s() if draw_s else rng.uniform(2, 6)) * rate_hz)
        path = f"{len(rows)}.wav"
        audio.write(directory / path, Audio(sound.repeat(1, 4)[:, :count].contiguous(), rate_hz))
        rows.append(Utterance(id=str(len(rows)), audio=path, language="fr"))
        length_s += count / rate_hz
    write_manifest(directory / "manifest.jsonl", rows)
    return read_manifest(directory / "manifest.jsonl")


def fit_tokenizer(directory: Path, tokenizer: Mapping[str, Any]) -> tuple[Part, PartLoader]:
    part = resolve(Registry.discover(), Kind.TOKENIZER, tokenizer, role="speech")
    loader = PartLoader(Store(directory / "store"), data=write_corpus(directory / "fit"))
    loader.instance(part)
    return part, loader


def run_plain(manifest: Manifest, part: Part, loader: PartLoader) -> None:
    """Decode, resample and encode in a plain loop, with the same batches as areca."""
    assert isinstance(part.spec, TokenizerSpec)
    sounds = [audio.conform(manifest.audio(row), part.spec.sample_rate_hz, part.spec.channels) for row in manifest.rows]
    lengths = np.array([round(sound.seconds * 1000) for sound in sounds])
    encoder = loader.instance(part)
    for batch in bucket(lengths, round(BATCH_S * 1000)):
        encoder.encode([sounds[i] for i in batch])


def run_areca(manifest: Manifest, part: Part, loader: PartLoader) -> None:
    with TemporaryDirectory() as name:  # an empty store each time, because areca would reuse the tokens
        fresh = PartLoader(Store(Path(name)), data=loader.data, artifacts={part.role: loader.artifact(part)})  # type: ignore[dict-item]
        fresh.instance(part)
        TokenTable.make(manifest, "audio", part, fresh, batch_s=BATCH_S)


def measure(rounds: int = ROUNDS, total_s: float = 900.0) -> list[Figure]:
    with TemporaryDirectory() as name:
        part, loader = fit_tokenizer(Path(name), NANO)
        manifest = write_recordings(Path(name) / "corpus", total_s)
        run_plain(manifest, part, loader)
        areca_s, plain_s, ratio = alternate(
            partial(measure_s, lambda: run_areca(manifest, part, loader)),
            partial(measure_s, lambda: run_plain(manifest, part, loader)),
            rounds,
        )
    return [
        Figure("tokenization: time over the bare encoder's", ratio, "x", ("<=", 1.2), f"median of {rounds} rounds"),
        Figure("tokenization: areca", total_s / areca_s, "x real time"),
        Figure("tokenization: decode, resample, encode", total_s / plain_s, "x real time"),
    ]


def measure_mixed(rounds: int = ROUNDS, total_s: float = 900.0) -> list[Figure]:
    """Compare recordings of half a second to 20 s with batches of one length that are already in memory."""
    label = "tokenization, mixed lengths: share of ideal batches'"
    return [
        Figure(f"{label}, 61 M encoder", _mixed(BASE, rounds, total_s), "x", (">=", 0.9), "0.5 to 20 s"),
        Figure(f"{label}, nano's", _mixed(NANO, rounds, total_s), "x", note="0.5 to 20 s"),
    ]


def _mixed(tokenizer: Mapping[str, Any], rounds: int, total_s: float) -> float:
    with TemporaryDirectory() as name:
        part, loader = fit_tokenizer(Path(name), tokenizer)
        encoder, rng = loader.instance(part), np.random.default_rng(1)
        manifest = write_recordings(
            Path(name) / "corpus", total_s, MODEL_RATE_HZ, lambda: float(np.exp(rng.uniform(*MIXED_LOG_S)))
        )
        heard_s = sum(manifest.audio(row).seconds for row in manifest.rows)
        sound = manifest.audio(manifest.rows[0]).samples.repeat(1, 100)[:, : round(IDEAL_S * MODEL_RATE_HZ)]
        batch = [Audio(sound, MODEL_RATE_HZ)] * round(BATCH_S / IDEAL_S)
        batches = round(heard_s / BATCH_S)

        def ideal() -> None:
            for _ in range(batches):
                encoder.encode(batch)

        ideal()
        _, _, ratio = alternate(
            partial(measure_s, lambda: run_areca(manifest, part, loader)), partial(measure_s, ideal), rounds
        )
    return (heard_s / (batches * BATCH_S)) / ratio


def print_one(total_s: float) -> None:
    with TemporaryDirectory() as name:
        part, loader = fit_tokenizer(Path(name), BASE)
        manifest = write_recordings(Path(name) / "corpus", total_s)
        took_s = measure_s(lambda: run_areca(manifest, part, loader))
    print(json.dumps({"seconds": took_s, "mb": read_peak_mb()}))


def measure_growth(unit_s: float = 30.0) -> list[Figure]:
    """Tokenize corpora that take about `unit_s` seconds, 4 and 16 times as much; each in a separate process."""
    trial = json.loads(run_child("bench.tokenization", "once", "300"))
    audio_s = 300.0 * unit_s / trial["seconds"]
    runs = [json.loads(run_child("bench.tokenization", "once", str(audio_s * factor))) for factor in (1, 4, 16)]
    times, peaks = [run["seconds"] for run in runs], [run["mb"] for run in runs]
    return [
        Figure("corpus x 4: time", times[1] / times[0], "x", ("<=", 4 * 1.2), f"1x took {times[0]:.0f} s"),
        Figure("corpus x 16: time", times[2] / times[0], "x", ("<=", 16 * 1.2)),
        Figure("corpus x 16: memory", peaks[2] / peaks[0], "x", ("<=", 1.2), f"{peaks[0]:.0f} to {peaks[2]:.0f} MB"),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["once"]:
        print_one(float(sys.argv[2]))
    else:
        for figures in (measure, measure_mixed, measure_growth):
            show(figures())
