"""Metrics of speech: the speaker's voice, quality, intelligibility, intonation, speaking rate and duration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from areca import Component, Kind, hookimpl
from areca.specs import MetricSpec, Spec
from areca_speech_metrics.weights import find_resemblyzer

ARECA_PLUGIN_API = 1
SAMPLE_RATE_HZ = 16_000
Other = Literal["reference", "question", "voice"]
"""The recordings that an answer can be compared with."""
_EXTRA = "speech-metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareConfig:
    """Options of metrics that compare the answer with another recording."""

    compare_with: Other = "reference"
    """Recording that the answer is compared with: the reference, the question or the voice prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PitchConfig:
    """Options of `f0-correlation`."""

    compare_with: Other = "reference"
    """Recording that the answer is compared with: the reference, the question or the voice prompt."""
    align: Literal["stretch", "none"] = "stretch"
    """``stretch``: silence at both ends is cut, and the answer's contour gets the length of the other. ``none``:
    frames at the same time are compared, as for a codec's output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerConfig:
    """Options of `speaker-similarity`."""

    compare_with: Other = "question"
    """Recording of the wanted speaker: the question, the reference or the voice prompt."""
    path: Path | None = None
    """Resemblyzer's ``pretrained.pt`` (default: the file in the installed package)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsmosConfig:
    """Options of `dnsmos`."""

    scale: Literal["overall", "signal", "background"] = "overall"
    """What is rated: the overall quality, that of the speech, or the absence of noise (OVRL, SIG and BAK of P.835)."""


def stoi_spec(config: CompareConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return the inputs of STOI, from 0 to 1."""
    return _compared("STOI", config.compare_with, digits=3)


def duration_ratio_spec(config: CompareConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return the inputs of the ratio of durations, which should be 1."""
    return _compared("duration ratio", config.compare_with, higher_is_better=None)


def speaking_rate_spec(config: CompareConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return the inputs of the ratio of speaking rates, which should be 1."""
    return _compared("speaking rate ratio", config.compare_with, higher_is_better=None)


def f0_correlation_spec(config: PitchConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return the inputs of the correlation, from -1 to 1."""
    return _compared("F0 correlation", config.compare_with)


def speaker_similarity_spec(config: SpeakerConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return the inputs of the cosine, from 0 to 1.

    Raises:
        MissingWeights: there is no file of weights.
    """
    find_resemblyzer(config.path)
    return _compared("speaker similarity", config.compare_with, digits=3)


def dnsmos_spec(config: DnsmosConfig, needs: Mapping[str, Spec]) -> MetricSpec:
    """Return the input of DNSMOS, a rating of about 1 to 5."""
    name = {"overall": "OVRL", "signal": "SIG", "background": "BAK"}[config.scale]
    return MetricSpec("audio", f"DNSMOS {name}", inputs=("answer",), sample_rate_hz=SAMPLE_RATE_HZ, digits=2)


def _compared(header: str, other: Other, *, higher_is_better: bool | None = True, digits: int = 2) -> MetricSpec:
    return MetricSpec(
        "audio",
        header if other == "reference" else f"{header} ({other})",
        higher_is_better=higher_is_better,
        inputs=("answer", other),
        sample_rate_hz=SAMPLE_RATE_HZ,
        digits=digits,
    )


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the metrics."""
    yield _metric(
        "stoi",
        "intelligibility:Stoi",
        "short-time objective intelligibility by pystoi, from 0 to 1; for resynthesised speech",
        requires=("pystoi",),
        extra=_EXTRA,
        paper="https://doi.org/10.1109/TASL.2011.2114881",
    )
    yield _metric("duration-ratio", "prosody:DurationRatio", "duration of the answers by that of the references")
    yield _metric(
        "speaking-rate",
        "prosody:SpeakingRate",
        "syllables a second in the answers by those in the references",
        paper="https://doi.org/10.3758/BRM.41.2.385",
    )
    yield _metric(
        "f0-correlation",
        "prosody:PitchCorrelation",
        "correlation of the intonation (log F0) of answer and reference, from -1 to 1",
        config=PitchConfig,
        paper="https://www.fon.hum.uva.nl/paul/papers/Proceedings_1993.pdf",
    )
    yield _metric(
        "speaker-similarity",
        "speakers:SpeakerSimilarity",
        "cosine of the voices of answer and question by Resemblyzer's encoder, from 0 to 1",
        config=SpeakerConfig,
        paper="https://arxiv.org/abs/1710.10467",
        weights_license="Apache-2.0",
    )
    yield _metric(
        "dnsmos",
        "quality:Dnsmos",
        "quality as listeners would rate it, from 1 to 5, by Microsoft's DNSMOS P.835",
        config=DnsmosConfig,
        requires=("onnxruntime", "speechmos"),
        extra=_EXTRA,
        paper="https://arxiv.org/abs/2110.01763",
        weights_license="MIT",
    )


def _metric(name: str, target: str, summary: str, **other: Any) -> Component:
    fields: dict[str, Any] = {
        "config": CompareConfig,
        "spec": f"areca_speech_metrics:{name.replace('-', '_')}_spec",
        "license": "Apache-2.0",
    }
    return Component(
        kind=Kind.METRIC, name=name, target=f"areca_speech_metrics.{target}", summary=summary, **(fields | other)
    )
