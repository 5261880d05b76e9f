"""Measure tokenizers' units and bits per second, the use of their codebooks, and the time to fit them.

    python -m bench.units recipes/ablations/tokenizers.yaml
    python -m bench.units --data manifest.jsonl --tokenizer '{name: mel-rvq}' --tokenizer '{name: lyra, path: DIR}'
    python -m bench.units --data '{name: say}' --tokenizer '{name: dedup, tokenizer: {name: usm-v2}}'

The recordings come from the test split, with one table for each source. The tokenizers of a study are those of its
first seed. Missing artifacts are built; the time to fit is that of the call that finished the artifact.

For a tokenizer that wraps another, units a second start with the inner one's, as in `25.0 > 16.7`. The cost of
durations is not counted. For several streams, units and bits are summed; use and perplexity are those of the least and
of the most used stream.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from bench.described import resolve_text

from areca.artifact import META
from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.audio import conform
from areca.component import Kind
from areca.errors import ArecaError
from areca.evaluation.answering import select_rows
from areca.manifest import Manifest, Utterance, read_manifest
from areca.pipeline.pipeline import Pipeline
from areca.registry.parts import Part
from areca.registry.registry import Registry
from areca.run.study import read_study
from areca.specs import Stream, TokenizerSpec
from areca.types import Codes

LIMIT = 40
"""Recordings of each source and language."""
HEADER = "| tokenizer | units/s | bit/s (entropy) | codes used | perplexity | fit, s |\n|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Subject:
    """A tokenizer to measure, and the loader that holds its data."""

    label: str
    part: Part
    loader: PartLoader

    @property
    def data(self) -> Manifest:
        assert self.loader.data is not None
        return self.loader.data


@dataclass(frozen=True)
class Use:
    """A stream's units and bits per second, and the use of its codes."""

    units_hz: float
    most_bits_hz: float
    bits_hz: float
    used: int
    size: int
    perplexity: float

    @classmethod
    def of(cls, stream: Stream, codes: torch.Tensor, seconds: float) -> Use:
        counts = torch.bincount(codes, minlength=stream.size).double()
        shares = counts[counts > 0] / counts.sum()
        bits = float(-(shares * shares.log2()).sum())
        units_hz = len(codes) / seconds
        return cls(units_hz, units_hz * math.log2(stream.size), units_hz * bits, len(shares), stream.size, 2**bits)


def sum_fit_s(part: Part, loader: PartLoader) -> float:
    """Return the seconds in which the part and its needs were fitted."""
    total = sum(sum_fit_s(need, loader) for need in part.needs.values())
    artifact = loader.artifact(part)
    if artifact is None:
        return total
    took_s = json.loads((artifact.directory / META).read_text(encoding="utf-8")).get("took_s")
    return total + (math.nan if took_s is None else took_s)  # NaN: built before artifacts recorded their time


def measure_use(part: Part, subject: Subject, rows: Sequence[Utterance]) -> list[Use]:
    """Return the use of each stream of `part` over the recordings of `rows`."""
    spec = part.spec
    assert isinstance(spec, TokenizerSpec)
    audios = [conform(subject.data.audio(row), spec.sample_rate_hz, spec.channels) for row in rows]
    encoded: list[Codes] = subject.loader.instance(part).encode(audios)
    seconds = sum(a.seconds for a in audios)
    joined = [torch.cat([codes.streams[k] for codes in encoded]) for k in range(len(spec.streams))]
    return [Use.of(stream, codes, seconds) for stream, codes in zip(spec.streams, joined, strict=True)]


def build_line(subject: Subject, rows: Sequence[Utterance]) -> str:
    """Return the tokenizer's row of the table."""
    chain = [part for part in subject.part.walk() if part.entry.component.kind is Kind.TOKENIZER]
    found = [measure_use(part, subject, rows) for part in chain]
    last = found[-1]
    units = " > ".join(f"{sum(use.units_hz for use in streams):.1f}" for streams in found)
    most, bits = sum(use.most_bits_hz for use in last), sum(use.bits_hz for use in last)
    used, sizes = _range([use.used for use in last]), _range([use.size for use in last])
    perplexity = _range([use.perplexity for use in last])
    times = f"{len(last)} x " if len(last) > 1 else ""
    took = f"{sum_fit_s(subject.part, subject.loader):.0f}"
    return f"| {subject.label} | {units} | {most:.0f} ({bits:.0f}) | {times}{used} of {sizes} | {perplexity} | {took} |"


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"


def open_study(path: Path) -> list[Subject]:
    """Return the tokenizers of `lm.reads` in the runs of a study's first seed."""
    cells = read_study(path)
    subjects = []
    for cell in cells:
        if cell.seed == cells[0].seed:
            pipeline = Pipeline(cell.run, Store())
            pipeline.data()
            subjects.append(Subject(cell.label, cell.run.tokenizers[cell.run.lm.reads], pipeline.loader))
    return subjects


def open_texts(texts: Sequence[str], data: str, seed: int) -> list[Subject]:
    """Return the tokenizers given as YAML in `texts`; `data` is a manifest's path, or the YAML of a dataset."""
    registry, store = Registry.discover(), Store()
    if data.lstrip().startswith("{"):
        dataset = resolve_text(registry, Kind.DATASET, data, "data")
        manifest = PartLoader(store, seed=seed).instance(dataset)
    else:
        manifest = read_manifest(Path(data))
    loader = PartLoader(store, data=manifest, seed=seed)
    parts = [resolve_text(registry, Kind.TOKENIZER, text, "speech") for text in texts]
    return [Subject(text, part, loader) for text, part in zip(texts, parts, strict=True)]


def print_tables(subjects: Sequence[Subject]) -> None:
    """Print a table for each source."""
    chosen = [select_rows(subject.data, "test", (), (), LIMIT, 0) for subject in subjects]
    for source in sorted({row.source or "" for row in chosen[0]}):
        print(f"\n{source}\n\n{HEADER}")
        for subject, rows in zip(subjects, chosen, strict=True):
            print(build_line(subject, [row for row in rows if (row.source or "") == source]), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables of a study's tokenizers, or of the tokenizers given."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.units",
        usage="%(prog)s STUDY | --data DATA --tokenizer YAML [--tokenizer YAML ...] [--seed SEED]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", nargs="?", type=Path, metavar="STUDY", help="YAML of a study")
    parser.add_argument("--tokenizer", action="append", default=[], help="YAML of a tokenizer; may be repeated")
    parser.add_argument("--data", help="with --tokenizer: a manifest's path, or the YAML of a dataset")
    parser.add_argument("--seed", type=int, default=0, help="with --tokenizer")
    options = parser.parse_args(arguments)
    if bool(options.study) == bool(options.tokenizer) or bool(options.data) != bool(options.tokenizer):
        parser.error("expected a study, or --tokenizer and --data")
    try:
        named = options.tokenizer
        print_tables(open_texts(named, options.data, options.seed) if named else open_study(options.study))
    except (ArecaError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
