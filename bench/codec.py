"""Measure a codec's real-time factor: processor seconds of encoding and of decoding per second of audio.

    OMP_NUM_THREADS=1 python -m bench.codec '{name: lyra, path: DIR}' '{name: lyra, path: DIR, quantizers: 46}'

The audio is synthetic, because the computation in a frame does not depend on its content.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from bench.described import resolve_text
from bench.figures import Figure, show

from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.audio import conform
from areca.component import Kind
from areca.registry.registry import Registry
from areca.specs import TokenizerSpec
from areca.testing.corpus import speak
from areca.types import Audio

ROUNDS = 5
UTTERANCES = 8


def measure_processor_s(work: Callable[[], Any]) -> float:
    start_s = time.process_time()
    work()
    return time.process_time() - start_s


def measure(text: str) -> list[Figure]:
    """Time a tokenizer with the tag decode, given as YAML in `text`."""
    torch.set_num_threads(1)
    part = resolve_text(Registry.discover(), Kind.TOKENIZER, text, "speech")
    tokenizer, spec = PartLoader(Store()).instance(part), part.spec
    assert isinstance(spec, TokenizerSpec)
    recordings = [
        speak("zero one two three four five six", 110.0, torch.Generator().manual_seed(i)) for i in range(UTTERANCES)
    ]
    audios: list[Audio] = [conform(a, spec.sample_rate_hz, spec.channels) for a in recordings]
    seconds = sum(a.seconds for a in audios)
    codes = tokenizer.encode(audios)
    encoding = [measure_processor_s(lambda: tokenizer.encode(audios)) / seconds for _ in range(ROUNDS)]
    decoding = [measure_processor_s(lambda: tokenizer.decode(codes)) / seconds for _ in range(ROUNDS)]
    note = f"median of {ROUNDS}, {UTTERANCES} utterances of {audios[0].seconds:.1f} s"
    streams = f"{len(spec.streams)} x {spec.streams[0].size}"
    return [
        Figure(f"{part.name} {streams}: encode", statistics.median(encoding), "s/s", note=note),
        Figure(f"{part.name} {streams}: decode", statistics.median(decoding), "s/s", note=note),
    ]


if __name__ == "__main__":
    for text in sys.argv[1:]:
        show(measure(text))
