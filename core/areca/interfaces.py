"""The protocols of components. The names of `areca.job` can be imported from here, too.

A component's target is a class with ``load`` and, under the tag ``fit``, ``fit``; both are static or class methods::

    fit(config, needs: Mapping[str, instance], data: Manifest, job: Job) -> None
    load(config, needs: Mapping[str, instance], files: Path | None, *, device, dtype) -> instance

`fit` writes files into ``job.directory`` and returns nothing. `load` reads them from `files`, which is None for a
component without the tag ``fit``. Randomness comes from ``job.seed`` or a given generator, never from global state.

Options may name something that changes, such as a branch of the hub. The target may then return options that name a
fixed version, which a checkpoint stores, so that it loads the same files later::

    pinned(config) -> config

A backbone's target may also return its architecture without weights, for a dry run (`areca.pipeline.budget`)::

    architecture(config) -> transformers.PreTrainedConfig
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from areca.job import Job, Progress, Stage, TokenSource, no_progress, report_quota, silent
from areca.types import Audio, Codes, Example, VoicePrompt

__all__ = [
    "Backbone", "Decoder", "Featured", "Job", "Judge", "Metric", "Normaliser", "Optimizer", "Progress", "Quantized",
    "Schedule", "SpeechSession", "Stage", "StreamingDecoder", "StreamingVocoder", "TokenSource", "Tokenizer", "Vocoder",
    "no_progress", "report_quota", "silent",
]  # fmt: skip


@runtime_checkable
class Tokenizer(Protocol):
    """Turns speech into codes: what a tokenizer's `load` returns.

    Its `areca.specs.TokenizerSpec` states the streams of the codes and the audio format. Core resamples and mixes down
    before it calls `encode`; the tokenizer pads and batches by itself. With the tag ``features`` it is also `Featured`,
    with the tag ``codebooks`` also `Quantized`, with the tag ``decode`` also a `Decoder`, with the tags ``decode`` and
    ``stream`` also a `StreamingDecoder`.
    """

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Return the codes of each recording: int64 streams ``[F_k]``, as in the spec.

        The same batch gives the same codes. At least 99.9 % of the first stream's codes do not depend on the batch.

        Args:
            audios: recordings with the spec's sample rate and channels; at least one.

        Raises:
            InvalidAudio: the list is empty, or a recording has another rate or channel count, or is too short.
        """


@runtime_checkable
class Featured(Tokenizer, Protocol):
    """A tokenizer with tag ``features``."""

    def features(self, audios: list[Audio]) -> list[torch.Tensor]:
        """Return the vectors that the first stream's codes quantize: float32 ``[F, D]`` per recording, a row per code.

        D is the spec's `feature_size`; if the spec states none, D is the same for all recordings.

        Raises:
            InvalidAudio: no audio, or audio of another rate or channel count.
        """


@runtime_checkable
class Quantized(Tokenizer, Protocol):
    """A tokenizer with tag ``codebooks``."""

    def codebooks(self) -> list[torch.Tensor]:
        """Return the vectors that the codes of each stream stand for: float32 ``[size, D]``, a row per code.

        Sizes are those of the spec. D may differ between streams. In a residual quantizer it is the same, and a frame
        is the sum of its codes' vectors.
        """


@runtime_checkable
class Decoder(Tokenizer, Protocol):
    """A tokenizer with tag ``decode``."""

    def decode(self, codes: list[Codes]) -> list[Audio]:
        """Return each utterance's audio, with the sample rate and channels of the spec.

        Raises:
            InvalidCodes: the list is empty, or codes are out of range.
        """


@runtime_checkable
class SpeechSession(Protocol):
    """One utterance that is turned into audio while its codes arrive: what `open` returns.

    The audio of all calls, joined, is that of the whole utterance at once, whatever the sizes of the pushes; rounding
    may change a sample by 1 % of the highest one. Sessions are independent: several may be open at the same time.
    """

    def push(self, codes: Codes) -> Audio | None:
        """Append codes, and return the audio that they complete, float32 ``[C, T]``; None: no audio yet.

        Args:
            codes: the next whole frames: for each code of the slowest stream, the codes of every stream for the same
                time; at least one frame.

        Raises:
            InvalidCodes: a stream is missing, empty or of another length, or codes are out of range. The session is
                unchanged.
        """

    def finish(self) -> Audio | None:
        """End the utterance, and return the rest of its audio; None: there is none. The session is then over."""


@runtime_checkable
class StreamingDecoder(Decoder, Protocol):
    """A tokenizer with the tags ``decode`` and ``stream``."""

    def open(self) -> SpeechSession:
        """Begin an utterance whose audio is that of `decode`, with the sample rate and channels of the spec."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """A text LM without audio tokens: what a backbone's `load` returns.

    Args:
        model: a transformers ``PreTrainedModel`` with a language-modelling head.
        tokenizer: its fast tokenizer (``PreTrainedTokenizerFast``).
    """

    model: Any
    tokenizer: Any


@runtime_checkable
class Vocoder(Protocol):
    """Turns codes into speech: what a vocoder's `load` returns. With the tag ``stream``, also a `StreamingVocoder`."""

    def synthesize(
        self, codes: list[Codes], voices: Sequence[VoicePrompt | None], *, generator: torch.Generator
    ) -> list[Audio]:
        """Return the speech of each utterance, with the sample rate of the spec.

        Args:
            codes: one item per utterance, with the streams of the spec; at least one.
            voices: the voice of each utterance; None: the vocoder's own voice.
            generator: the only source of randomness.

        Raises:
            InvalidCodes: the list is empty, or codes are out of range.
            ArecaError: a voice is given, and the component lacks the tag ``voice``.
        """


@runtime_checkable
class StreamingVocoder(Vocoder, Protocol):
    """A vocoder with the tag ``stream``."""

    def open(self, voice: VoicePrompt | None, *, generator: torch.Generator) -> SpeechSession:
        """Begin an utterance whose audio is that of `synthesize`, with the sample rate of the spec.

        Args:
            voice: the voice of the utterance; None: the vocoder's own voice.
            generator: the only source of randomness. The session draws from it until it is over.

        Raises:
            ArecaError: a voice is given, and the component lacks the tag ``voice``.
        """


@runtime_checkable
class Judge(Protocol):
    """A speech recogniser that transcribes spoken answers for text metrics: what a judge's `load` returns."""

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
            groups: ``{"params": [parameters], "weight_decay": float}``; each parameter is in one group. The optimizer's
                own groups must hold the same parameters. Matrices and vectors may share a group.
            learning_rate: the highest learning rate, which each of the optimizer's groups has as ``lr``. Core sets
                ``lr`` before each step.
        """


@runtime_checkable
class Schedule(Protocol):
    """Sets the learning rate of each step after the warm-up."""

    def factor(self, step: int, steps: int) -> float:
        """Return the factor on the highest learning rate, in [0, 1]; the same for the same arguments.

        Args:
            step: number of the step, from 0 to `steps`, counted from the end of the warm-up.
            steps: number of steps after the warm-up; may be 0.
        """


@runtime_checkable
class Metric(Protocol):
    """Scores answers: what a metric's `load` returns. Counts of examples are added up over a corpus, then scored.

    An instance may have more methods::

        item_score(counts: Sequence[float]) -> float
        interval(counts: Sequence[Sequence[float]]) -> tuple[float, float]
        p_value(differences: Sequence[float], observed: float) -> float
        details(language: str | None) -> str

    `item_score` scores the counts of one example, if this differs from `score`. `interval` returns the bounds of the
    95 % interval of independent examples, given their counts; without it core computes a bootstrap interval. `p_value`
    returns the p-value of a difference of two systems, given the differences of their bootstrap samples; without it
    core uses `areca.statistics.two_sided_p`. `details` returns a text for the signature: anything else that determines
    how an answer in that language is scored. Counts are added up only if their signatures are equal.
    """

    def count(self, examples: Sequence[Example]) -> Sequence[Sequence[float]]:
        """Return a row of finite counts for each example; all rows have the same length.

        Texts are normalised, and audio is mono with the spec's rate. Inputs that the spec does not name are empty.
        Load large weights here, at the first call: a report loads the metric only to call `score`.
        """

    def score(self, sums: Sequence[float]) -> float:
        """Return the score of the summed counts of one or more examples, a finite number."""


@runtime_checkable
class Normaliser(Protocol):
    """Brings texts with the same meaning into one form before metrics compare them."""

    def normalise(self, text: str, language: str) -> str:
        """Return the normalised text; it is empty if `text` has no word.

        Args:
            text: any text.
            language: language of the text (ISO 639-1); ``""``: not known.

        Raises:
            InvalidConfig: the spec names languages, and `language` is not among them.
        """
