"""Score a run's judges on its test recordings after encoding and decoding: the ceiling of an LM that writes the codes.

    python -m bench.ceiling recipes/ablations/patterns.yaml

A study's run is that of its first cell and seed. Rows, judges, metrics and normaliser are those of ``evaluation:``. The
vocoder speaks the tokenizer's own codes. Missing artifacts are built.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch

from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.audio import conform
from areca.evaluation.answering import select_rows
from areca.evaluation.columns import format_estimate
from areca.evaluation.inputs import resolve_evaluation
from areca.evaluation.judging import open_judge
from areca.evaluation.scoring import open_metrics, open_normaliser
from areca.manifest import Manifest, Utterance
from areca.pipeline.pipeline import Pipeline
from areca.run.config import RunConfig
from areca.run.study import read_study
from areca.specs import TokenizerSpec
from areca.types import Audio, Example, Passage

HEADER = "| judge | speech | n | metric | score [95 %] |\n|---|---|---|---|---|"


def decode(run: RunConfig, data: Manifest, rows: list[Utterance]) -> list[Audio]:
    """Return the recordings of `rows` after the run's tokenizer and vocoder."""
    assert run.vocoder is not None, "the run has no vocoder"
    loader = PartLoader(Store(), data=data, seed=run.seed)
    part = run.tokenizers[run.lm.writes]
    tokenizer, vocoder, spec = loader.instance(part), loader.instance(run.vocoder), part.spec
    assert isinstance(spec, TokenizerSpec)
    decoded = []
    for row in rows:
        codes = tokenizer.encode([conform(data.audio(row), spec.sample_rate_hz, spec.channels)])
        decoded += vocoder.synthesize(codes, [None], generator=torch.Generator().manual_seed(0))
    return decoded


def measure(run: RunConfig) -> Iterator[str]:
    """Yield the lines of the table."""
    options, data = resolve_evaluation(run), Pipeline(run, Store()).data()
    rows = select_rows(data, options.split, options.sources, options.languages, options.limit, options.seed)
    rows = [row for row in rows if row.audio and row.text]
    speech = {"original": [data.audio(row) for row in rows], "decoded": decode(run, data, rows)}
    normalise = open_normaliser(run.registry, options.normaliser)
    metrics = [m for m in open_metrics(run.registry, options.metrics) if m.spec.reads == "text" and not m.spec.fault]
    languages = [row.language or "" for row in rows]
    texts = [normalise(row.text or "", language) for row, language in zip(rows, languages, strict=True)]
    for judge in (open_judge(run.registry, wanted) for wanted in options.judges):
        for name, audios in speech.items():
            heard = [judge.transcribe([a], language)[0] for a, language in zip(audios, languages, strict=True)]
            examples = [
                Example(Passage(normalise(answer, language)), Passage(text), language=language)
                for answer, text, language in zip(heard, texts, languages, strict=True)
            ]
            for metric in metrics:
                score = metric.corpus(metric.count(examples))
                shown = format_estimate(score, metric.spec.scale, metric.spec.digits)
                yield f"| {judge.name} | {name} | {len(rows)} | {metric.label} | {shown} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    print(HEADER)
    for line in measure(read_study(parser.parse_args().study)[0].run):
        print(line, flush=True)


if __name__ == "__main__":
    main()
