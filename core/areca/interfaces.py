"""What the instances of each kind do, and what `fit` is given.

A component's target is a class with ``load`` and, under the tag ``fit``, ``fit``; both are static or class methods::

    fit(config, needs: Mapping[str, instance], data: Manifest, job: Job) -> None
    load(config, needs: Mapping[str, instance], files: Path | None, *, device, dtype) -> instance

A target whose options name something that can move, as a branch of the hub, may say what that is now; a checkpoint
keeps it, so that it loads what it was made with::

    pinned(config) -> config

A backbone's target may also say its architecture without weights, for a dry run: see `areca.pipeline.budget`::

    architecture(config) -> transformers.PreTrainedConfig

`fit` writes files into ``job.directory`` and returns nothing; `load` reads them back from `files`, which is None for
a component without the tag ``fit``. Randomness comes from ``job.seed`` or a given generator, never from global state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from areca.artifact import WORK
from areca.specs import Spec
from areca.types import Audio, Codes, VoicePrompt


class Progress(Protocol):
    """Told how far a long job is. Calls are cheap and may come as often as every step."""

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """`done` of `total` units are ready; `message` says what matters now, as ``"loss 1.23"``."""


def no_progress(done: int, total: int, message: str = "") -> None:
    """Ignore progress."""


Stage = Callable[[str], AbstractContextManager[Progress]]
"""Given a label of what is about to be made, returns a context in which its progress is shown."""


def silent(label: str) -> AbstractContextManager[Progress]:
    """Show nothing: the `Stage` of those who give none."""
    return nullcontext(no_progress)


def report_quota(
    progress: Progress, have: float, wanted: float, seen: int, there: int, *, unit: str, doing: str
) -> None:
    """Report a pass over recordings that ends when it has `wanted` units or at the last recording.

    What is counted is what will end the pass, as far as the recordings seen so far tell: the total is always done.

    Args:
        progress: told.
        have: units so far.
        wanted: units that are enough.
        seen: recordings so far.
        there: recordings in all.
        unit: what is wanted, as ``"frames"``.
        doing: what happens to it, as ``"to cluster"``.
    """
    if have * there >= wanted * seen:
        progress(min(round(have), round(wanted)), round(wanted), f"{unit} {doing}")
    else:
        progress(seen, there, f"recordings {doing}")


@dataclass(frozen=True, slots=True)
class Job:
    """What core gives to a `fit`.

    Args:
        directory: where to write; exists; becomes the artifact. Under the tag ``resume`` it still holds what an
            interrupted `fit` of the same key left there, otherwise it is empty.
        seed: the only source of randomness.
        device: where to compute.
        progress: to be told how far the job is.
        specs: what the needs say of themselves, by the component's names for them.
    """

    directory: Path
    seed: int
    device: torch.device
    progress: Progress = no_progress
    specs: Mapping[str, Spec] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """A folder in `directory`, made when it is asked for, for what a `fit` goes on from after an interruption.

        Under the tag ``resume`` an interrupted `fit` finds it again. Core removes it when the `fit` has returned and
        its other files are known by their hashes.
        """
        work = self.directory / WORK
        work.mkdir(exist_ok=True)
        return work


@runtime_checkable
class Tokenizer(Protocol):
    """Turns speech into codes. Padding and batching happen inside."""

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Encode audio of the spec's rate and channels; any batch gives (nearly) the codes of encoding alone.

        Raises:
            InvalidAudio: nothing, or audio of another rate or channel count.
        """


@runtime_checkable
class Featured(Tokenizer, Protocol):
    """A tokenizer with tag ``features``."""

    def features(self, audios: list[Audio]) -> list[torch.Tensor]:
        """Return what its first stream's codes are clusters of, one row a code: float32 ``[F, D]`` of each audio.

        Raises:
            InvalidAudio: nothing, or audio of another rate or channel count.
        """


@runtime_checkable
class Decoder(Tokenizer, Protocol):
    """A tokenizer with tag ``decode``."""

    def decode(self, codes: list[Codes]) -> list[Audio]:
        """Turn codes back into audio of the spec's rate.

        Raises:
            InvalidCodes: nothing, or codes out of range.
        """


@dataclass(frozen=True, slots=True)
class Backbone:
    """What a backbone's `load` returns: a text LM before any audio is added.

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
        """Speak each of `codes` in the voice beside it (None: the vocoder's own).

        Raises:
            InvalidCodes: nothing, or codes that its streams do not have.
            ArecaError: a voice was given and the component lacks the tag ``voice``.
        """


@runtime_checkable
class Judge(Protocol):
    """An independent recogniser that says what was spoken."""

    def transcribe(self, audios: list[Audio], language: str) -> list[str]:
        """Return what each audio says, in `language` (ISO 639-1), as plain text.

        Raises:
            InvalidAudio: nothing, or audio of another rate.
        """
