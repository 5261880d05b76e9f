"""Scores of answers against references, each with its 95 % interval and a signature of how it was computed.

Texts are compared as given: read both with an `areca.scoring.normalize.Normaliser` first.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from areca.errors import InvalidConfig

CONFIDENCE = 0.95
_Z = 1.959963984540054
"""Standard normal quantile at 0.975."""
RESAMPLES = 1000
EXACT = "exact"
_DRAWN = f"bs:{RESAMPLES}|seed:0"
Pairs = Sequence[tuple[str, str]]
"""Answers, each with its reference."""
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score of `n` items and its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Metric:
    """A way to score.

    Args:
        name: what it is called.
        item: scores one answer against its reference.
        counts: what is added up over many, float64 ``[n, k]``.
        score: of such sums ``[k]``; not always the mean of `item`.
        signature: how it is computed, with versions.
    """

    name: str
    item: Callable[[str, str], float]
    counts: Callable[[Pairs], _Floats]
    score: Callable[[_Floats], float]
    signature: str

    def corpus(self, pairs: Pairs, questions: Sequence[Any] | None = None) -> Estimate:
        """Score many answers together.

        Args:
            pairs: answers and references.
            questions: what each answers; answers to one question are drawn together for the interval. None: each has
                its own.

        Raises:
            InvalidConfig: no answers.
        """
        _require_items(len(pairs))
        counts = self.counts(pairs)
        if questions is not None and len(set(questions)) < len(pairs):
            index = {question: i for i, question in enumerate(dict.fromkeys(questions))}
            together = np.zeros((len(index), counts.shape[1]))
            np.add.at(together, [index[question] for question in questions], counts)
            counts = together
        elif self.name == EXACT:
            return wilson(int(counts[:, 0].sum()), len(pairs))
        return replace(_bootstrap(counts, self.score, seed=0), n=len(pairs))


def wilson(successes: int, n: int) -> Estimate:
    """Return a share and its score interval (Wilson 1927, JASA 22), which holds for shares near 0 and 1 too.

    Raises:
        InvalidConfig: no items.
    """
    _require_items(n)
    share, spread = successes / n, _Z**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return Estimate(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)), n)


def ratio(numerators: Sequence[float], denominators: Sequence[float], *, seed: int = 0) -> Estimate:
    """Return a ratio of two sums over the same items, and its percentile bootstrap interval (items resampled in pairs).

    A resample whose denominators sum to 0 counts as infinite, and one where both do as 0.

    Raises:
        InvalidConfig: no items.
    """
    return _bootstrap(np.array([numerators, denominators], dtype=np.float64).T, _divide, seed)


def _bootstrap(counts: _Floats, score: Callable[[_Floats], float], seed: int) -> Estimate:
    """Score the sums of `counts` ``[n, k]``; the interval is of `RESAMPLES` draws of n items with replacement."""
    n = len(counts)
    _require_items(n)
    rng = np.random.default_rng(seed)
    sums = (rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)) @ counts
    low, high = np.quantile(
        [score(row) for row in sums], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], method="nearest"
    )
    return Estimate(score(counts.sum(axis=0)), float(low), float(high), n)


def _rate(sums: _Floats) -> float:
    """Return errors by length. Of empty references each insertion counts 1, as jiwer has it: never infinite."""
    return float(sums[0] / (sums[1] or 1.0))


def _divide(sums: _Floats) -> float:
    return float(sums[0] / sums[1]) if sums[1] else (math.inf if sums[0] else 0.0)


def word_errors(answer: str, reference: str) -> tuple[int, int]:
    """Return substituted, deleted and inserted words, and the words of the reference."""
    import jiwer

    return _errors(jiwer.process_words([reference], [answer]))


def character_errors(answer: str, reference: str) -> tuple[int, int]:
    """Return substituted, deleted and inserted characters, and the characters of the reference."""
    import jiwer

    return _errors(jiwer.process_characters([reference], [answer]))


def _errors(found: Any) -> tuple[int, int]:
    wrong = found.substitutions + found.deletions
    return wrong + found.insertions, wrong + found.hits


def _share(name: str, count: Callable[[str, str], tuple[int, int]], signature: str) -> Metric:
    """Return a metric that divides what `count` returns."""

    def counts(pairs: Pairs) -> _Floats:
        return np.array([count(answer, reference) for answer, reference in pairs], dtype=np.float64)

    return Metric(name, lambda a, r: _rate(counts([(a, r)])[0]), counts, _rate, signature)


def _sacrebleu(name: str, metric: Any, sentence: Any) -> Metric:
    # sacrebleu's own bootstrap fails where a resample of chrF scores 0; its counts by sentence are what it adds up.
    def counts(pairs: Pairs) -> _Floats:
        found = metric._extract_corpus_statistics([a for a, _ in pairs], [[r for _, r in pairs]])
        return np.array(found, dtype=np.float64)

    def score(sums: _Floats) -> float:
        return float(metric._compute_score_from_stats([int(x) for x in sums]).score)

    def item(answer: str, reference: str) -> float:
        return float(sentence.sentence_score(answer, [reference]).score)

    return Metric(name, item, counts, score, _signature(metric))


def _require_items(n: int) -> None:
    if n < 1:
        raise InvalidConfig("nothing to score: expected at least one answer")


@functools.cache
def metrics(bleu_tokenize: str = "13a") -> Mapping[str, Metric]:
    """Return the metrics by name: ``exact`` and the error rates as shares, ``bleu`` and ``chrf`` from 0 to 100.

    Of an empty reference the error rates count each insertion as 1, so they are 0 where the answer is empty, too;
    ``bleu`` and ``chrf`` are 0 where either is empty.

    Args:
        bleu_tokenize: sacrebleu's name of what ``bleu`` takes for words, see `areca.scoring.bleu_tokenizers`.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    bleu, chrf = BLEU(force=True, tokenize=bleu_tokenize), CHRF()
    # most answers here are too short for 4-grams
    sentence = BLEU(force=True, tokenize=bleu_tokenize, effective_order=True)
    jiwer = f"jiwer:{metadata.version('jiwer')}"
    found = (
        _share(EXACT, lambda a, r: (a == r, 1), "exact|interval:wilson"),
        _share("wer", word_errors, f"wer|{_DRAWN}|{jiwer}"),
        _share("cer", character_errors, f"cer|{_DRAWN}|{jiwer}"),
        _sacrebleu("bleu", bleu, sentence),
        _sacrebleu("chrf", chrf, chrf),
    )
    return MappingProxyType({metric.name: metric for metric in found})


def tokenizer_in(signature: str) -> str:
    """Return the name of the tokenizer that a signature states; metrics that have none are the same under each."""
    stated = re.search(r"\|tok:([^|]+)", signature)
    return stated[1] if stated else "13a"


def _signature(metric: Any) -> str:
    metric.corpus_score(["a"], [["a"]])  # sacrebleu knows the number of references after the first call alone
    return f"{type(metric).__name__}|{_DRAWN}|{metric.get_signature()}"
