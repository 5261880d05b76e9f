"""What the tokenizers of a study say: units and bits a second, how much of the codebook is used, the time to fit.

    python -m bench.units recipes/ablations/tokenizers.yaml

Recordings are of the test split, one table for each source. The tokenizers are those of the study's first seed, made
if they are not there; the time to fit is that of the call that finished it.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import torch

from areca.audio import conform
from areca.evaluation.answering import choose
from areca.manifest import Manifest
from areca.parts import Part
from areca.pipeline import Pipeline
from areca.specs import TokenizerSpec
from areca.store import META, Store
from areca.study import read_study
from areca.types import Audio

LIMIT = 40
"""Recordings of each source and language."""
HEADER = "| tokenizer | units/s | bit/s (entropy) | codes used | perplexity | fit, s |\n|---|---|---|---|---|---|"


def fit_s(part: Part, pipeline: Pipeline) -> float:
    """Return how long the part and what it needs took to fit."""
    total = sum(fit_s(need, pipeline) for need in part.needs.values())
    made = pipeline.shop.artifact(part)
    if made is None:
        return total
    took_s = json.loads((made.directory / META).read_text(encoding="utf-8")).get("took_s")
    return total + (math.nan if took_s is None else took_s)  # made before times were noted


def line(label: str, pipeline: Pipeline, manifest: Manifest, source: str) -> str:
    part = pipeline.run.tokenizers[pipeline.run.lm.reads]
    spec = part.spec
    assert isinstance(spec, TokenizerSpec)
    [stream] = spec.streams
    rows = choose(manifest, "test", (source,) if source else (), (), LIMIT, 0)
    audios: list[Audio] = [conform(manifest.audio(row), spec.sample_rate_hz, spec.channels) for row in rows]
    codes = pipeline.shop.instance(part).encode(audios)
    counts = torch.bincount(torch.cat([c.streams[0] for c in codes]), minlength=stream.size).double()
    shares = counts[counts > 0] / counts.sum()
    bits = float(-(shares * shares.log2()).sum())
    rate_hz = float(counts.sum()) / sum(a.seconds for a in audios)
    used = f"{len(shares)} of {stream.size}"
    return (
        f"| {label} | {rate_hz:.1f} | {rate_hz * math.log2(stream.size):.0f} ({rate_hz * bits:.0f}) | {used} "
        f"| {2**bits:.0f} | {fit_s(part, pipeline):.0f} |"
    )


def main(study: Path) -> None:
    cells = read_study(study)
    store = Store()
    pipelines = {cell.label: Pipeline(cell.run, store) for cell in cells if cell.seed == cells[0].seed}
    for pipeline in pipelines.values():
        pipeline.fit()
    for source in sorted({row.source or "" for row in next(iter(pipelines.values())).data().select(split="test").rows}):
        print(f"\n{source}\n\n{HEADER}")
        for label, pipeline in pipelines.items():
            print(line(label, pipeline, pipeline.data(), source), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
