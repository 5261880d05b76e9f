"""The interface of each kind's instances, and the `Job` that `fit` receives.

A component's target is a class with ``load`` and, under the tag ``fit``, ``fit``; both are static or class methods::

    fit(config, needs: Mapping[str, instance], data: Manifest, job: Job) -> None
    load(config, needs: Mapping[str, instance], files: Path | None, *, device, dtype) -> instance

`fit` writes files into ``job.directory`` and returns nothing. `load` reads them from `files`, which is None for a
component without the tag ``fit``. Randomness comes from ``job.seed`` or a given generator, never from global state.

Options may name something that moves, such as a branch of the hub. The target may then resolve it, and a checkpoint
stores the result, so that it loads the same files later::

    pinned(config) -> config

A backbone's target may also return its architecture without weights, for a dry run (`areca.pipeline.budget`)::

    architecture(config) -> transformers.PreTrainedConfig
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from areca.artifact import WORK
from areca.errors import ArecaError
from areca.rows.columns import Utterance
from areca.rows.protocol import Column
from areca.specs import Spec
from areca.types import Audio, Codes, Example, VoicePrompt


class Progress(Protocol):
    """Receives the progress of a long job. Calls are cheap: one every step is fine."""

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Report that `done` of `total` units are ready; `message` is a detail such as ``"loss 1.23"``."""


def no_progress(done: int, total: int, message: str = "") -> None:
    """Ignore progress."""


Stage = Callable[[str], AbstractContextManager[Progress]]
"""Takes the label of a step, and returns a context in which its progress is shown."""


def silent(label: str) -> AbstractContextManager[Progress]:
    """Show nothing: the default `Stage`."""
    return nullcontext(no_progress)


def report_quota(
    progress: Progress, have: float, wanted: float, seen: int, total: int, *, unit: str, doing: str
) -> None:
    """Report a pass over recordings that ends when it has `wanted` units, or at the last recording.

    The count that is expected to end the pass, judging by the recordings so far, is reported: the bar always fills.

    Args:
        progress: receives the report.
        have: units so far.
        wanted: units that are enough.
        seen: recordings so far.
        total: recordings in all.
        unit: what is counted, such as ``"frames"``.
        doing: the purpose, such as ``"to cluster"``.
    """
    if have * total >= wanted * seen:
        progress(min(round(have), round(wanted)), round(wanted), f"{unit} {doing}")
    else:
        progress(seen, total, f"recordings {doing}")


class TokenSource(Protocol):
    """Returns codes for `Job.tokens`."""

    def __call__(self, need: str, column: Column, rows: Sequence[Utterance] | None) -> Mapping[str, Codes]:
        """Return the codes of the training split's rows (None: all) by row id."""


@dataclass(frozen=True, slots=True)
class Job:
    """What core passes to a `fit`.

    Args:
        directory: exists; the files written into it become the artifact. Under the tag ``resume`` it still holds the
            files of an interrupted `fit` with the same key, otherwise it is empty.
        seed: the only source of randomness.
        device: where to compute.
        progress: receives the progress.
        specs: the specs of the needs, by the component's names for them.
        table: returns the codes for `tokens`; None: there is no data.
    """

    directory: Path
    seed: int
    device: torch.device
    progress: Progress = no_progress
    specs: Mapping[str, Spec] = field(default_factory=dict)
    table: TokenSource | None = None

    def tokens(
        self, need: str, column: Column = "audio", rows: Sequence[Utterance] | None = None
    ) -> Mapping[str, Codes]:
        """Return the codes of recordings of the training split by row id, encoded by one of the needs.

        They come from a token table, an artifact that is encoded once and read from disk on access. The table of the
        whole split is the one that a run's LM is trained on. A fit of few rows names them: the whole table is then
        used only if the run's LM needs it, if it exists already, or if the rows have all of its recordings.
        Otherwise only these rows are encoded, into a separate table::

            codes = job.tokens("tokenizer", "target_audio")
            for row in data.select(split="train").rows:
                units = codes[row.id].streams[0]

        Args:
            need: the component's name for a tokenizer that it needs.
            column: the recordings to encode; rows without one are not in the result.
            rows: the rows of the training split whose codes are needed; None: all.

        Raises:
            ArecaError: there is no data, or the component needs no tokenizer of that name.
            InvalidAudio: a recording cannot be decoded; the message names row and file.
            InvalidManifest: no row has the column.
        """
        if self.table is None:
            raise ArecaError(f"job.tokens({need!r}, {column!r}): this job has no data to encode; pass Job(table=...)")
        return self.table(need, column, rows)

    @property
    def work(self) -> Path:
        """A folder in `directory`, created on access, for the state from which an interrupted `fit` resumes.

        Under the tag ``resume`` an interrupted `fit` finds it again. Core removes it when `fit` has returned and the
        hashes of its other files are stored.
        """
        work = self.directory / WORK
        work.mkdir(exist_ok=True)
        return work


@runtime_checkable
class Tokenizer(Protocol):
    """Turns speech into codes. It pads and batches by itself."""

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Encode audio of the spec's rate and channels. Codes (nearly) do not depend on the batch.

        Raises:
            InvalidAudio: no audio, or audio of another rate or channel count.
        """


@runtime_checkable
class Featured(Tokenizer, Protocol):
    """A tokenizer with tag ``features``."""

    def features(self, audios: list[Audio]) -> list[torch.Tensor]:
        """Return the vectors that the first stream's codes are clusters of: float32 ``[F, D]``, one row per code.

        Raises:
            InvalidAudio: no audio, or audio of another rate or channel count.
        """


@runtime_checkable
class Decoder(Tokenizer, Protocol):
    """A tokenizer with tag ``decode``."""

    def decode(self, codes: list[Codes]) -> list[Audio]:
        """Turn codes back into audio of the spec's rate.

        Raises:
            InvalidCodes: no codes, or codes out of range.
        """


@dataclass(frozen=True, slots=True)
class Backbone:
    """What a backbone's `load` returns: a text LM without audio tokens.

    Args:
        model: a transformers ``PreTrainedModel`` with a language-modelling head.
        tokenizer: its fast tokenizer (``PreTrainedTokenizerFast``).
    """

    model: Any
    tokenizer: Any


@runtime_checkable
class Vocoder(Protocol):
    """Turns codes into speech."""

    def synthesize(
        self, codes: list[Codes], voices: Sequence[VoicePrompt | None], *, generator: torch.Generator
    ) -> list[Audio]:
        """Speak each of `codes` in its voice from `voices` (None: the vocoder's own voice).

        Raises:
            InvalidCodes: no codes, or codes that its streams do not have.
            ArecaError: a voice is given, and the component lacks the tag ``voice``.
        """


@runtime_checkable
class Judge(Protocol):
    """An independent speech recogniser."""

    def transcribe(self, audios: list[Audio], language: str) -> list[str]:
        """Return the words of each audio, in `language` (ISO 639-1), as plain text.

        Raises:
            InvalidAudio: no audio, or audio of another rate.
        """


@runtime_checkable
class Optimizer(Protocol):
    """Builds an optimizer for an LM's training."""

    def build(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """Return an optimizer over `groups`.

        Args:
            groups: ``{"params": [parameters], "weight_decay": float}``; a parameter is in one of them. The optimizer's
                own groups must hold the same parameters. Matrices and vectors may share a group.
            learning_rate: the highest. Each group of the optimizer has it as ``lr``; core sets ``lr`` before each step.
        """


@runtime_checkable
class Schedule(Protocol):
    """Sets the learning rate of each step after the warm-up."""

    def factor(self, step: int, steps: int) -> float:
        """Return the factor on the highest learning rate, in [0, 1]; the same for the same arguments.

        Args:
            step: the number of a step, from 0 to `steps`, counted from the end of the warm-up.
            steps: number of steps after the warm-up; may be 0.
        """


@runtime_checkable
class Metric(Protocol):
    """Scores answers. What it counts of single examples is added up over a corpus, and scored.

    An instance may have more methods::

        item_score(counts: Sequence[float]) -> float
        interval(counts: Sequence[Sequence[float]]) -> tuple[float, float]
        p_value(differences: Sequence[float], observed: float) -> float
        details(language: str | None) -> str

    `item_score` scores the counts of one example, where that is not what `score` does. `interval` returns the bounds
    of the 95 % interval of examples that are independent of each other; without it core draws a bootstrap interval.
    `p_value` returns the p-value of a difference of two systems, given the differences of their bootstrap samples;
    without it core uses `areca.statistics.two_sided_p`. `details` is added to the signature: what else decides how an
    answer in that language is scored. Counts are added up only where signatures are equal.
    """

    def count(self, examples: Sequence[Example]) -> Sequence[Sequence[float]]:
        """Return a row of finite counts for each example; all rows have the same length.

        Texts are normalised and audio has the rate of the spec. What the spec's `inputs` does not name is empty.
        Load large weights here, when first called: a report loads the metric only to call `score`.
        """

    def score(self, sums: Sequence[float]) -> float:
        """Return the score of counts that were added up, of one example or of many."""


@runtime_checkable
class Normaliser(Protocol):
    """Brings texts that say the same into one form, before they are compared."""

    def normalise(self, text: str, language: str) -> str:
        """Return `text` in `language` (ISO 639-1; ``""``: not known) as a text metric compares it.

        Raises:
            InvalidConfig: a language that the spec does not name.
        """
