"""The options of an evaluation. No torch: they are checked before any work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from areca.evaluation.normalize import find_normaliser
from areca.evaluation.tokenize import BleuTokenize, check_bleu_tokenizer
from areca.generation.decoding import Decoding


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """What is evaluated, and how it is read.

    Raises:
        ValueError: an option out of range.
        InvalidConfig: no normaliser has that name.
        MissingDependency: the tokenizer of BLEU is not installed.
    """

    tasks: tuple[str, ...] = ()
    """Tasks and chains (``asr+ast``); empty: those that the checkpoint was trained for."""
    split: str = "test"
    """Split of the manifest."""
    sources: tuple[str, ...] = ()
    """Sources of rows to take, as ``human``; empty: all."""
    languages: tuple[str, ...] = ()
    """Source languages of rows to take; empty: all."""
    limit: int | None = None
    """Rows of each source and language, at most; the same ones for every task that they serve."""
    judges: tuple[Any, ...] = ()
    """Judges of spoken answers: a name, ``name:value`` with the value of its first option, or ``{name: ...}``."""
    normaliser: str = "basic"
    """How answers and references are read: ``basic``, or ``spoken-values`` for numbers, dates and times."""
    bleu_tokenize: BleuTokenize = "auto"
    """What BLEU takes for words: ``auto`` is ``char`` for languages written without spaces, ``13a`` for others."""
    decoding: Decoding = field(default_factory=Decoding)
    """How answers are chosen: ``{method: beam, beams: 8}``."""
    batch: int = 8
    """Questions answered at once."""
    seed: int = 0
    """Of the choice of rows."""

    def __post_init__(self) -> None:
        if self.batch < 1 or (self.limit is not None and self.limit < 1):
            raise ValueError(f"batch and limit must be at least 1, got {self.batch} and {self.limit}")
        find_normaliser(self.normaliser)
        check_bleu_tokenizer(self.bleu_tokenize)
