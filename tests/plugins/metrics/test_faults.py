"""Faults of answers, alone and in an evaluation whose system makes them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.core.evaluation.test_evaluation import (
    GREEDY,
    RATE,
    UN,
    WORDS,
    ToneJudge,
    ToneSystem,
    manifest,  # noqa: F401
    open_tone_judge,
    pitch,
    scorers,
)
from tests.scoring import METRIC_CHECKS, REGISTRY

from areca.component import Kind
from areca.errors import InvalidConfig
from areca.evaluation.evaluate import evaluate, question_path
from areca.evaluation.report import write_report
from areca.evaluation.results import read_results
from areca.evaluation.scoring import open_metrics
from areca.generation.requests import Result, Sound
from areca.manifest import Manifest
from areca.options import build
from areca.run.options import EvaluationConfig
from areca.statistics import wilson
from areca.testing import CheckedComponent, run
from areca.types import Audio, Example, Passage
from areca_metrics.faults import count_repeats

FAULTS = ["empty", "silent", "at-limit", "loop", "prompt-words"]


def found(name: str, *answers: Any, **options: Any) -> list[float]:
    """Return 1 or 0 for each answer: an `Example`, or the texts of answer, reference and question."""
    [metric] = open_metrics(REGISTRY, [{"name": name, **options}])
    examples = [a if isinstance(a, Example) else Example(*map(Passage, a), language="en") for a in answers]
    return [counts[0] for counts in metric.count(examples)]


@pytest.mark.parametrize("name", FAULTS)
def test_faults_pass_the_kit(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "faults"
    folder.mkdir(exist_ok=True)
    outcomes = list(run(CheckedComponent(REGISTRY.find(Kind.METRIC, name), folder, registry=REGISTRY), METRIC_CHECKS))
    assert [o for o in outcomes if o.state == "fail"] == []


def test_an_answer_without_a_word_is_empty() -> None:
    assert found("empty", ("",), (" ... ?",), ("7",), ("да",), ("一",)) == [1, 1, 0, 0, 0]


def test_a_recording_without_sound_is_silent() -> None:
    click, hum = torch.zeros(1, 16_000), 1e-4 * torch.sin(torch.arange(16_000) / 9)[None]
    click[0, 8000:8020] = 0.5
    examples = [Example(Passage(audio=Audio(x, 16_000))) for x in (torch.zeros(1, 1), click, hum)]
    assert found("silent", *examples) == [1, 0, 1]
    assert found("silent", *examples, below_db=-90) == [1, 0, 0]


def test_repeats_are_those_of_the_best_ngram() -> None:
    cases = {"": 0, "a": 1, "a b": 1, "a a": 2, "a b a b a": 2, "x a b a b a b y": 3, "a b c a b c": 2, "a b b b b": 4}
    for text, repeats in cases.items():
        words = text.split()
        slow = [  # by definition: the same n-gram at i, i + n, i + 2 n, ...
            times
            for n in range(1, 5)
            for i in range(len(words) - n + 1)
            for times in range(1, len(words) // n + 1)
            if words[i : i + n] * times == words[i : i + n * times]
        ]
        assert count_repeats(words, 4) == repeats == max(slow, default=0)
    assert count_repeats(["a", "b", "c", "a", "b", "c"], 2) == 1


def test_a_loop_has_more_repeats_than_the_reference() -> None:
    answers = ["we go we go, we go", "we go we go", "No, no, no!", "no no no no"]
    assert found("loop", *((answer, "no no no") for answer in answers)) == [0, 0, 0, 1]
    assert found("loop", *((answer, "we go") for answer in answers)) == [1, 0, 1, 1]
    assert found("loop", ("we go we go", "we go"), times=2) == [1]
    chinese = Example(Passage("我去我去我去"), Passage("我去"), language="zh")
    assert found("loop", chinese) == [1]
    with pytest.raises(InvalidConfig, match="expected times >= 2 and longest >= 1, got 1 and 16"):
        found("loop", times=1)


def test_prompt_words_are_those_that_the_reference_lacks() -> None:
    question, reference = "Le train part de Paris Nord.", "The train leaves from Paris Nord."
    answers = [reference, "le train leaves", "Le Train", "part the de paris", "the part"]
    assert found("prompt-words", *((a, reference, question) for a in answers)) == [0, 1, 1, 1, 0]
    assert found("prompt-words", (answers[-1], reference, question), words=1) == [1]
    assert found("prompt-words", ("deux", "two", "Deux!"), ("two", "two", "deux"), ("two", "two", "")) == [1, 0, 0]


class FaultySystem(ToneSystem):
    """Says nothing for three, and is cut at seven."""

    def _one(self, task: str, item: Sound) -> Result:
        result, value = super()._one(task, item), self.answered[-1][1]
        if value == 3 and result.audio is not None:
            result = dataclasses.replace(result, audio=Audio(torch.zeros(1, RATE), RATE))
        return dataclasses.replace(result, cut=value == 7)


class FaultyJudge(ToneJudge):
    """Hears the question, and a loop, for two."""

    def transcribe(self, audios: list[Audio], language: str) -> list[str]:
        heard = super().transcribe(audios, language)
        return [f"{UN[2]} two two two" if pitch(a, 2) == 2 else text for a, text in zip(audios, heard, strict=True)]


def test_an_evaluation_counts_faults_and_plays_the_worst_answers_first(
    manifest: Manifest,  # noqa: F811
    tmp_path: Path,
) -> None:
    options = {"tasks": ["asr", "s2st"], "batch": 3, "metrics": ["exact", *FAULTS], "normaliser": "basic"}
    config = build(EvaluationConfig, options, "evaluation")
    judge = dataclasses.replace(open_tone_judge(), instance=FaultyJudge())
    of = scorers(config, judge)
    evaluate(FaultySystem(), manifest, config, of, tmp_path, identity="faulty", decoding=GREEDY)
    rows = read_results(tmp_path / "results.jsonl")
    faulty = {(r.metric, r.reference) for r in rows if r.task == "s2st" and r.metric in FAULTS and r.value}
    expected = {"empty": (3, 8), "silent": (3,), "at-limit": (7,), "loop": (2,), "prompt-words": (2,)}
    assert {(m, w) for m, w in faulty if w} == {(m, WORDS[n]) for m, values in expected.items() for n in values}
    assert {r.reference for r in rows if r.task == "asr" and r.metric in FAULTS and r.value} == {UN[7]}

    [scores, faults, _] = write_report(tmp_path)
    assert scores.header[6:] == ("exact %", "ceiling %", "of ceiling %") and faults.title == "Faults"
    assert faults.header[6:] == ("empty %", "at limit %", "loop %", "prompt words %", "silent %")
    lines = {line[:5]: line[5:] for line in faults.rows}
    estimate = wilson(1, 8)
    shown = f"12.5 [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
    assert lines["s2st", "target.audio", judge.label, "human", "fr"][2] == shown
    page = (tmp_path / "index.html").read_text()
    sections = page.split("<section")[1:]
    marked = [["faults: " in section for section in sections], ["faults: loop, prompt-words" in s for s in sections]]
    assert marked[0] == sorted(marked[0], reverse=True) and sum(marked[0]) == 8, "faulty answers come first"
    assert len(sections) == 16, "four with and four without faults, of each source"
    kept = [row.id for row in manifest.rows if row.id.endswith("/7")]
    assert kept and all((tmp_path / question_path(row_id)).is_file() for row_id in kept)
