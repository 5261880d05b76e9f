"""Metrics of faults: the shares of answers that are empty, silent or cut, that repeat themselves, or say the prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.nn import functional

from areca.languages import UNSEGMENTED
from areca.types import Example
from areca_metrics import NoConfig
from areca_metrics.normalisers import Basic
from areca_metrics.shares import Share
from areca_metrics.texts import texts

_FRAME_S = 0.02


class Empty(Share):
    """The share of answers without a word: no text, or a recording in which the judge hears nothing."""

    def holds(self, example: Example) -> bool:
        """Return whether no letter or digit is in the answer."""
        return not any(c.isalnum() for c in example.answer.text or "")


class Silent(Share):
    """The share of recordings without sound."""

    def holds(self, example: Example) -> bool:
        """Return whether the RMS of every frame of 20 ms is at most `below_db`, relative to full scale."""
        audio = example.answer.audio
        assert audio is not None
        size, samples = round(_FRAME_S * audio.sample_rate_hz), audio.samples[0]
        frames = functional.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
        below: float = 10 ** (self.config.below_db / 10)
        return float(frames.square().mean(dim=1).max()) <= below


class AtLimit(Share):
    """The share of answers that a length limit ended."""

    def holds(self, example: Example) -> bool:
        """Return whether the limit ended the answer."""
        return example.cut


class Loop(Share):
    """The share of answers in which words are repeated in direct succession more often than in the reference."""

    def holds(self, example: Example) -> bool:
        """Return whether an n-gram occurs at least `times` times in a row, and more often than in the reference."""
        answer, reference = (
            count_repeats(split_words(text, example.language), self.config.longest) for text in texts([example])[0]
        )
        return answer >= self.config.times and answer > reference


class PromptWords(Share):
    """The share of answers that contain words of the question which are not in the reference."""

    def holds(self, example: Example) -> bool:
        """Return whether an n-gram of the question is in the answer and not in the reference."""
        answer, reference = (split_words(text, example.language) for text in texts([example])[0])
        question = split_words(example.question.text or "", example.language)
        size = min(self.config.words, len(question))
        leaked = set(_ngrams(question, size)) - set(_ngrams(reference, size))
        return size > 0 and not leaked.isdisjoint(_ngrams(answer, size))


def count_repeats(words: Sequence[str], longest: int) -> int:
    """Return how often an n-gram occurs in direct succession, at most: 3 for ``a b a b a b``; 0 without words.

    Args:
        words: the words.
        longest: maximum length of the n-gram.
    """
    most = min(1, len(words))
    for size in range(1, min(longest, len(words) // 2) + 1):
        run = 0  # words that equal the word `size` before them
        for before, word in zip(words, words[size:], strict=False):
            run = run + 1 if word == before else 0
            most = max(most, run // size + 1)
    return most


def split_words(text: str, language: str | None) -> list[str]:
    """Return the lowercase words of a text; its characters if the language is written without spaces."""
    plain = Basic(NoConfig()).normalise(text, language or "")
    return list(plain.replace(" ", "")) if language in UNSEGMENTED else plain.split()


def _ngrams(words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[i : i + size]) for i in range(len(words) - size + 1))
