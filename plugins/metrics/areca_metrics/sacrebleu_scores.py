"""The metrics `bleu` and `chrf`, by sacrebleu (Post 2018, arXiv 1804.08771).

Counts are the statistics that sacrebleu sums over sentences. Core draws the bootstrap samples, because sacrebleu's
bootstrap fails if the chrF of a sample is 0.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from areca.component import Configured
from areca.types import Example
from areca_metrics.bleu_tokenizers import choose_tokenizer
from areca_metrics.texts import texts


def _counts(metric: Any, answer: str, reference: str) -> list[float]:
    [statistics] = metric._extract_corpus_statistics([answer], [[reference]])
    return list(map(float, statistics))


def _score(metric: Any, sums: Sequence[float]) -> float:
    return float(metric._compute_score_from_stats([int(x) for x in sums]).score)


@functools.cache
def _signature(metric: Any) -> str:
    metric.corpus_score(["a"], [["a"]])  # sets the number of references, which the signature contains
    return str(metric.get_signature())


class _Sacrebleu(Configured[Any]):
    def p_value(self, differences: Sequence[float], observed: float) -> float:
        """Return the p-value of sacrebleu's ``PairedTest``.

        The test centres absolute differences, so it finds about twice as many significant differences as it should.
        """
        from sacrebleu.significance import _compute_p_value

        absolute = np.abs(np.array(differences))
        return float(_compute_p_value(absolute - absolute.mean(), abs(observed)))


class Bleu(_Sacrebleu):
    """BLEU from 0 to 100. The tokenizer depends on the answer's language."""

    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        """Return sacrebleu's statistics of each sentence."""
        return [
            _counts(self._metric(example.language), *pair)
            for example, pair in zip(examples, texts(examples), strict=True)
        ]

    def score(self, sums: Sequence[float]) -> float:
        """Return the corpus score; it is 0 if no four consecutive words are right."""
        return _score(self._metric(None), sums)

    def item_score(self, counts: Sequence[float]) -> float:
        """Return the sentence score with effective order, since most answers are too short for 4-grams."""
        return _score(_bleu("13a", effective_order=True), counts)

    def details(self, language: str | None) -> str:
        """Return sacrebleu's signature for texts in `language`."""
        return _signature(self._metric(language))

    def _metric(self, language: str | None) -> Any:
        return _bleu(choose_tokenizer(self.config.tokenize, language))


class Chrf(_Sacrebleu):
    """chrF from 0 to 100."""

    def count(self, examples: Sequence[Example]) -> list[list[float]]:
        """Return sacrebleu's statistics of each sentence."""
        return [_counts(_chrf(), answer, reference) for answer, reference in texts(examples)]

    def score(self, sums: Sequence[float]) -> float:
        """Return the corpus score."""
        return _score(_chrf(), sums)

    def details(self, language: str | None) -> str:
        """Return sacrebleu's signature."""
        return _signature(_chrf())


@functools.cache
def _bleu(tokenize: str, *, effective_order: bool = False) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(force=True, tokenize=tokenize, effective_order=effective_order)


@functools.cache
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()
