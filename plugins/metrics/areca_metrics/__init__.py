"""Metrics of text (exact match, WER, CER, BLEU, chrF), and normalisers of the compared texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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
    fields: dict[str, Any] = {"config": NoConfig, "spec": f"areca_metrics:{name}_spec", "license": "Apache-2.0"}
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
