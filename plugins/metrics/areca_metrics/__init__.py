"""Metrics of text (exact match, WER, CER, BLEU, chrF), faults of answers, and normalisers of the compared texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from areca import Component, Kind, hookimpl
from areca.specs import MetricSpec, NormaliserSpec, Spec
from areca_metrics.bleu_tokenizers import BleuTokenize, check_bleu_tokenizer

ARECA_PLUGIN_API = 1
SPOKEN_LANGUAGES = ("en", "es", "fr", "de", "it")
"""Languages that `spoken-values` supports."""
_SHARE = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NoConfig:
    """A component without options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BleuConfig:
    """Options of `bleu`."""

    tokenize: BleuTokenize = "auto"
    """Tokenizer of sacrebleu. ``auto``: ``char`` for languages written without spaces, ``13a`` for all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentConfig:
    """Options of `silent`."""

    below_db: float = -60.0
    """Level of the loudest 20 ms, in dB of full scale, up to which a recording is silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """Options of `loop`.

    Raises:
        ValueError: an option out of range.
    """

    times: int = 3
    """Number of times in a row at which a repetition is a loop."""
    longest: int = 16
    """Maximum number of repeated words (characters in languages written without spaces)."""

    def __post_init__(self) -> None:
        if self.times < 2 or self.longest < 1:
            raise ValueError(f"expected times >= 2 and longest >= 1, got {self.times} and {self.longest}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptWordsConfig:
    """Options of `prompt-words`.

    Raises:
        ValueError: an option out of range.
    """

    words: int = 2
    """Number of consecutive words of the question that count as a fault; all of them if it has fewer."""

    def __post_init__(self) -> None:
        if self.words < 1:
            raise ValueError(f"words must be at least 1, got {self.words}")


def exact_spec(config: NoConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return the column header and scale of exact match."""
    return MetricSpec("text", "exact %", scale=_SHARE)


def wer_spec(config: NoConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return the column header and scale of the word error rate."""
    return MetricSpec("text", "WER %", higher_is_better=False, scale=_SHARE)


def cer_spec(config: NoConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return the column header and scale of the character error rate."""
    return MetricSpec("text", "CER %", higher_is_better=False, scale=_SHARE)


def bleu_spec(config: BleuConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return the column header of BLEU.

    Raises:
        MissingDependency: the tokenizer's packages are not installed.
    """
    check_bleu_tokenizer(config.tokenize)
    return MetricSpec("text", "BLEU" if config.tokenize == "auto" else f"BLEU ({config.tokenize})")


def chrf_spec(config: NoConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return the column header of chrF."""
    return MetricSpec("text", "chrF")


def silent_spec(config: SilentConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return what `silent` reads: the recording."""
    return _fault("silent", "audio", sample_rate_hz=16_000)


def empty_spec(config: NoConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return what `empty` reads: the text as written or heard."""
    return _fault("empty")


def at_limit_spec(config: NoConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return what `at-limit` reads: the answer."""
    return _fault("at limit")


def loop_spec(config: LoopConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return what `loop` reads: the texts of answer and reference."""
    return _fault("loop", inputs=("answer", "reference"))


def prompt_words_spec(config: PromptWordsConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return what `prompt-words` reads: the texts of answer, reference and question."""
    return _fault("prompt words", inputs=("answer", "reference", "question"))


def _fault(name: str, reads: Literal["text", "audio"] = "text", **other: Any) -> MetricSpec:
    fields: dict[str, Any] = {"inputs": ("answer",), "normalised": False, **other}
    return MetricSpec(reads, f"{name} %", higher_is_better=False, scale=_SHARE, fault=True, **fields)


def any_language(config: NoConfig, needs: Mapping[str, Spec]) -> NormaliserSpec:
    """Accept text in any language."""
    return NormaliserSpec()


def spoken_languages(config: NoConfig, needs: Mapping[str, Spec]) -> NormaliserSpec:
    """Accept text in the languages of the lexicon."""
    return NormaliserSpec(SPOKEN_LANGUAGES)


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the metrics and the normalisers."""
    yield _metric("exact", "exact:Exact", "share of answers whose words are those of the reference")
    yield _metric("wer", "error_rates:WordErrors", "edits for each word of the reference", requires=("jiwer",))
    yield _metric(
        "cer", "error_rates:CharacterErrors", "edits for each character of the reference", requires=("jiwer",)
    )
    yield _metric(
        "bleu",
        "sacrebleu_scores:Bleu",
        "BLEU by sacrebleu, from 0 to 100",
        config=BleuConfig,
        requires=("sacrebleu",),
        paper="https://arxiv.org/abs/1804.08771",
    )
    yield _metric(
        "chrf",
        "sacrebleu_scores:Chrf",
        "chrF by sacrebleu, from 0 to 100",
        requires=("sacrebleu",),
        paper="https://aclanthology.org/W15-3049",
    )
    yield _metric("empty", "faults:Empty", "fault: share of answers without a word")
    yield _metric("silent", "faults:Silent", "fault: share of recordings without sound", config=SilentConfig)
    yield _metric("at-limit", "faults:AtLimit", "fault: share of answers that a length limit ended")
    yield _metric("loop", "faults:Loop", "fault: share of answers that repeat words in a row", config=LoopConfig)
    yield _metric(
        "prompt-words",
        "faults:PromptWords",
        "fault: share of answers with words of the question that the reference lacks",
        config=PromptWordsConfig,
    )
    yield _normaliser("basic", "any_language", "Basic", "open text: lowercase words without punctuation")
    yield _normaliser(
        "spoken-values",
        "spoken_languages",
        "SpokenValues",
        "numbers, dates and times read as values, written as words",
        revision=2,
    )
    yield _normaliser(
        "whisper",
        "any_language",
        "Whisper",
        "the normalisers of Whisper: the English one for English, the basic one for other languages",
        requires=("whisper_normalizer",),
        extra="whisper-normalizer",
        paper="https://arxiv.org/abs/2212.04356",
    )


def _metric(name: str, target: str, summary: str, **other: Any) -> Component:
    spec = f"areca_metrics:{name.replace('-', '_')}_spec"
    fields: dict[str, Any] = {"config": NoConfig, "spec": spec, "license": "Apache-2.0"}
    return Component(kind=Kind.METRIC, name=name, target=f"areca_metrics.{target}", summary=summary, **(fields | other))


def _normaliser(name: str, spec: str, target: str, summary: str, **other: Any) -> Component:
    return Component(
        kind=Kind.NORMALISER,
        name=name,
        config=NoConfig,
        spec=f"areca_metrics:{spec}",
        target=f"areca_metrics.normalisers:{target}",
        summary=summary,
        license="Apache-2.0",
        **other,
    )
