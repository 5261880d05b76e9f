"""Conformance checks of metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from areca.audio import conform
from areca.manifest import Utterance
from areca.specs import MetricSpec
from areca.testing.checked import CheckedComponent, Skipped
from areca.testing.tools import with_global_seed
from areca.types import Audio, Example, Passage

_ANY = "en"
"""The language of the examples given to a metric of any language."""
_EXAMPLES = 6
_CLOSE = 1e-3
"""Maximum difference of counts due to batching, as in matrix products of a neural metric."""


def check_counts(checked: CheckedComponent) -> None:
    """It returns a row of finite counts for each example, all of one length."""
    examples = _examples(checked)
    rows = _count(checked, examples)
    assert len(rows) == len(examples), f"{len(examples)} examples gave {len(rows)} rows of counts"
    lengths = sorted({len(row) for row in rows})
    assert len(lengths) == 1 and lengths[0] > 0, f"expected rows of one length, 1 or more, got {lengths}"
    assert all(math.isfinite(x) for row in rows for x in row), f"expected finite counts, got {rows}"


def check_batch_equals_alone(checked: CheckedComponent) -> None:
    """The counts of an example do not depend on the other examples in the list."""
    examples = _examples(checked)
    together, alone = _count(checked, examples), [_count(checked, [example])[0] for example in examples]
    differing = [pair for pair in zip(together, alone, strict=False) if not _close(*pair)]
    assert not differing, f"counts (in a list, alone) differ: {differing[:1]}"


def check_repeat_is_exact(checked: CheckedComponent) -> None:
    """The same examples give the same counts; the global random state is neither used nor changed."""
    examples = _examples(checked)
    first, again = (with_global_seed(seed, lambda: _count(checked, examples), "counting") for seed in (1, 2))
    assert first == again, f"the same examples were counted as {first[:1]}, then as {again[:1]}"


def check_score(checked: CheckedComponent) -> None:
    """The counts of one example and the summed counts of all have finite scores."""
    rows = _count(checked, _examples(checked))
    item = getattr(checked.instance, "item_score", checked.instance.score)
    scores = [item(rows[0]), checked.instance.score([sum(column) for column in zip(*rows, strict=False)])]
    assert all(math.isfinite(score) for score in scores), f"expected finite scores, got {scores}"


def check_direction(checked: CheckedComponent) -> None:
    """Right answers score no worse than answers to other questions, by the spec's `higher_is_better`."""
    spec = _spec(checked)
    if not {"answer", "reference"} <= set(spec.inputs):
        raise Skipped("it does not compare answers with references")
    if spec.higher_is_better is None:
        raise Skipped("neither a higher nor a lower score is better")
    right, swapped = (_corpus_score(checked, _examples(checked, shift=shift)) for shift in (0, 1))
    gain = right - swapped if spec.higher_is_better else swapped - right
    assert gain >= -_CLOSE * abs(right), (
        f"higher_is_better is {spec.higher_is_better}, but right answers score {right:g} and the answers of other "
        f"questions {swapped:g}"
    )


def check_empty_texts(checked: CheckedComponent) -> None:
    """Empty answers and empty references have finite scores, because a judge's transcript may be empty."""
    if _spec(checked).reads != "text":
        raise Skipped("it reads audio")
    for example in (Example(Passage(a), Passage(r), Passage("x"), Passage("x"), _language(checked)) for a, r in _EMPTY):
        score = _corpus_score(checked, [example])
        texts = example.answer.text, example.reference.text
        assert math.isfinite(score), f"answer {texts[0]!r} and reference {texts[1]!r} score {score}"


_EMPTY = (("", ""), ("", "x"), ("x", ""))


def _corpus_score(checked: CheckedComponent, examples: Sequence[Example]) -> float:
    rows = _count(checked, examples)
    return float(checked.instance.score([sum(column) for column in zip(*rows, strict=False)]))


def _count(checked: CheckedComponent, examples: Sequence[Example]) -> list[tuple[float, ...]]:
    return [tuple(map(float, row)) for row in checked.instance.count(examples)]


def _close(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(
        math.isclose(a, b, rel_tol=_CLOSE, abs_tol=_CLOSE) for a, b in zip(one, other, strict=True)
    )


def _examples(checked: CheckedComponent, shift: int | None = None) -> list[Example]:
    """Return examples with the spec's inputs; an answer comes from `shift` rows on (None: every other one is right)."""
    _ = checked.instance
    rows = checked.manifest.rows[:_EXAMPLES]
    return [
        _example(checked, row, rows[(i + (i % 2 if shift is None else shift)) % len(rows)])
        for i, row in enumerate(rows)
    ]


def _example(checked: CheckedComponent, row: Utterance, answer: Utterance) -> Example:
    passages = {
        "answer": _passage(checked, answer),
        "reference": _passage(checked, row),
        "question": _passage(checked, row),
        "voice": _passage(checked, row),
    }
    given: dict[str, Any] = {name: passages[name] if name in _spec(checked).inputs else Passage() for name in passages}
    return Example(**given, language=_language(checked))


def _passage(checked: CheckedComponent, row: Utterance) -> Passage:
    rate_hz = _spec(checked).sample_rate_hz
    if rate_hz is None:
        return Passage(text=row.target_text)
    audio: Audio = conform(checked.manifest.target_audio(row), rate_hz, 1)
    return Passage(audio=audio)


def _language(checked: CheckedComponent) -> str:
    return next(iter(_spec(checked).languages), _ANY)


def _spec(checked: CheckedComponent) -> MetricSpec:
    spec = checked.part.spec
    assert isinstance(spec, MetricSpec)
    return spec
