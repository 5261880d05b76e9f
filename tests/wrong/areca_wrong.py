"""Correct components, and components with exactly one fault each, for tests of the conformance kit. The light half."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from areca import Component, Kind, hookimpl, runtime
from areca.fields import Field
from areca.patterns import OrderOptions
from areca.specs import (
    BackboneSpec,
    DatasetSpec,
    DecodingSpec,
    JudgeSpec,
    KindSpec,
    MetricSpec,
    NormaliserSpec,
    OptimizerSpec,
    PatternSpec,
    ScheduleSpec,
    Spec,
    Stream,
    TaskSpec,
    TokenizerSpec,
    VocoderSpec,
)

ARECA_PLUGIN_API = 1
RATE_HZ = 16_000
STREAMS = (Stream("level", 64, 25.0), Stream("side", 2, 25.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    gain: float = 1.0
    """Factor on the samples."""


@dataclass(frozen=True, slots=True)
class PlainSpec:
    """The spec of a component of the kind ``plain``; it is empty."""


PLAIN = KindSpec(name="plain", spec=PlainSpec)
"""A kind that this plugin adds; only the checks for all kinds apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BareConfig:
    gain: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestlessConfig:
    gain: float = 1.0
    """Doubled in every copy."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", self.gain * 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat(OrderOptions):
    backwards: bool = runtime(False)
    """Whether the streams of a frame are reversed; declared as a runtime option, although it changes results."""

    def sequence(self, per_frame: Sequence[int], frames: int) -> list[int]:
        frame = [k for k, n in enumerate(per_frame) for _ in range(n)]
        return (frame[::-1] if self.backwards else frame) * frames

    def turn(self, per_frame: Sequence[int], frames: int) -> int:
        return sum(per_frame) * frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Tired(Flat):
    def sequence(self, per_frame: Sequence[int], frames: int) -> list[int]:
        return Flat.sequence(self, per_frame, min(frames, 30))


@dataclass(frozen=True, slots=True, kw_only=True)
class Late(Flat):
    def turn(self, per_frame: Sequence[int], frames: int) -> int:
        return Flat.turn(self, per_frame, frames) + (frames > 10)


def tokenizer_spec(config: Any, needs: Mapping[str, Spec]) -> TokenizerSpec:
    return TokenizerSpec(STREAMS, RATE_HZ)


def sized_tokenizer_spec(config: Any, needs: Mapping[str, Spec]) -> TokenizerSpec:
    return TokenizerSpec(STREAMS, RATE_HZ, feature_size=640)


def backbone_spec(config: Any, needs: Mapping[str, Spec]) -> BackboneSpec:
    return BackboneSpec("gpt2")


def small_backbone_spec(config: Any, needs: Mapping[str, Spec]) -> BackboneSpec:
    return BackboneSpec("gpt2", parameters=3)


def vocoder_spec(config: Any, needs: Mapping[str, Spec]) -> VocoderSpec:
    return VocoderSpec(STREAMS, RATE_HZ)


def task_spec(config: Any, needs: Mapping[str, Spec]) -> TaskSpec:
    return TaskSpec(("source.audio",), ("source.text",))


def other_task_spec(config: Any, needs: Mapping[str, Spec]) -> TaskSpec:
    return TaskSpec((Field("source.audio", role="acoustic"),), ("source.text",))


def judge_spec(config: Any, needs: Mapping[str, Spec]) -> JudgeSpec:
    return JudgeSpec(("en",), RATE_HZ)


def dataset_spec(config: Any, needs: Mapping[str, Spec]) -> DatasetSpec:
    return DatasetSpec(("en", "fr"), RATE_HZ)


def metric_spec(config: Any, needs: Mapping[str, Spec]) -> MetricSpec:
    return MetricSpec("text", "match")


def inverted_metric_spec(config: Any, needs: Mapping[str, Spec]) -> MetricSpec:
    return MetricSpec("text", "match", higher_is_better=False)


def normaliser_spec(config: Any, needs: Mapping[str, Spec]) -> NormaliserSpec:
    return NormaliserSpec(("en",))


def pattern_spec(config: Any, needs: Mapping[str, Spec]) -> PatternSpec:
    return PatternSpec(config)


def decoding_spec(config: Any, needs: Mapping[str, Spec]) -> DecodingSpec:
    return DecodingSpec()


def random_decoding_spec(config: Any, needs: Mapping[str, Spec]) -> DecodingSpec:
    return DecodingSpec(random=True)


def optimizer_spec(config: Any, needs: Mapping[str, Spec]) -> OptimizerSpec:
    return OptimizerSpec(math.prod)


def forgetful_optimizer_spec(config: Any, needs: Mapping[str, Spec]) -> OptimizerSpec:
    return OptimizerSpec(len)


def schedule_spec(config: Any, needs: Mapping[str, Spec]) -> ScheduleSpec:
    return ScheduleSpec(last=0.0)


def other_schedule_spec(config: Any, needs: Mapping[str, Spec]) -> ScheduleSpec:
    return ScheduleSpec(last=0.5)


def plain_spec(config: Any, needs: Mapping[str, Spec]) -> PlainSpec:
    return PlainSpec()


def heavy_plain_spec(config: Any, needs: Mapping[str, Spec]) -> PlainSpec:
    import numpy  # noqa: F401  # the fault

    return PlainSpec()


@hookimpl
def areca_kinds() -> Iterable[KindSpec]:
    yield PLAIN


def _row(kind: str, name: str, target: str, **other: Any) -> Component:
    row = {
        "config": Config,
        "spec": f"areca_wrong:{kind}_spec",
        "summary": "exists for tests of the conformance kit",
        "requires": ("torch",),
    }
    return Component(kind=kind, name=name, target=f"areca_wrong_parts:{target}", **(row | other))


@hookimpl
def areca_components() -> Iterable[Component]:
    fit, everything = frozenset({"fit"}), frozenset({"fit", "resume", "features", "codebooks", "decode", "stream"})
    yield _row("plain", "good", "Plain")
    yield _row("plain", "summary", "Plain", summary="This is a sentence.")
    yield _row("plain", "options-documented", "Plain", config=BareConfig)
    yield _row("plain", "config-round-trip", "Plain", config=RestlessConfig)
    yield _row("plain", "spec-is-light", "Plain", spec="areca_wrong:heavy_plain_spec")
    yield _row("plain", "target", "Nothing")

    yield _row(Kind.JUDGE, "good", "Judge")
    yield _row(Kind.JUDGE, "transcripts", "Terse")
    yield _row(Kind.JUDGE, "batch-equals-alone", "Comparing")
    yield _row(Kind.JUDGE, "repeat-is-exact", "Moody")
    yield _row(Kind.JUDGE, "refuses-wrong-audio", "HearsAnything")

    yield _row(Kind.METRIC, "good", "Match")
    yield _row(Kind.METRIC, "counts", "Unequal")
    yield _row(Kind.METRIC, "batch-equals-alone", "Ranking")
    yield _row(Kind.METRIC, "repeat-is-exact", "Wavering")
    yield _row(Kind.METRIC, "score", "Infinite")
    yield _row(Kind.METRIC, "direction", "Match", spec="areca_wrong:inverted_metric_spec")
    yield _row(Kind.METRIC, "empty-texts", "Dividing")

    yield _row(Kind.NORMALISER, "good", "Lower")
    yield _row(Kind.NORMALISER, "texts", "Splitting")
    yield _row(Kind.NORMALISER, "empty-text", "Chatty")
    yield _row(Kind.NORMALISER, "repeat-is-exact", "Drifting")
    yield _row(Kind.NORMALISER, "refuses-other-languages", "Polyglot")

    resumable = frozenset({"fit", "resume"})
    yield _row(Kind.DATASET, "good", "Dataset", tags=resumable)
    yield _row(Kind.DATASET, "rows", "Leaking", tags=resumable)
    yield _row(Kind.DATASET, "key", "Unkeyed", tags=resumable)
    yield _row(Kind.DATASET, "select", "Unselective", tags=resumable)
    yield _row(Kind.DATASET, "languages", "Foreign", tags=resumable)
    yield _row(Kind.DATASET, "audio", "Telephone", tags=resumable)

    sized = {"spec": "areca_wrong:sized_tokenizer_spec"}
    yield _row(Kind.TOKENIZER, "good", "Tokenizer", tags=everything, **sized)
    yield _row(Kind.TOKENIZER, "weights-out-of-reach", "OutOfReach", weights_license="MIT")
    yield _row(Kind.TOKENIZER, "weights-wrong", "WrongWeights", weights_license="MIT")
    yield _row(Kind.TOKENIZER, "fit-is-deterministic", "FitsAnyhow", tags=fit)
    yield _row(Kind.TOKENIZER, "fit-resumes", "FitsTwice", tags=frozenset({"fit", "resume"}))
    yield _row(Kind.TOKENIZER, "codes", "OutOfRange")
    yield _row(Kind.TOKENIZER, "frames", "TooMany")
    yield _row(Kind.TOKENIZER, "batch-equals-alone", "Crowded")
    yield _row(Kind.TOKENIZER, "repeat-is-exact", "Counting")
    yield _row(Kind.TOKENIZER, "short-audio", "Floored")
    yield _row(Kind.TOKENIZER, "refuses-wrong-audio", "TakesAnything")
    yield _row(Kind.TOKENIZER, "randomness", "Gambling")
    yield _row(Kind.TOKENIZER, "features", "EveryOther", tags=frozenset({"features"}))
    yield _row(Kind.TOKENIZER, "feature-size", "HalfWidth", tags=frozenset({"features"}), **sized)
    yield _row(Kind.TOKENIZER, "codebooks", "OneCodeTooFew", tags=frozenset({"codebooks"}))
    yield _row(Kind.TOKENIZER, "decode", "HalfRate", tags=frozenset({"decode"}))
    yield _row(Kind.TOKENIZER, "decode-refuses-wrong-codes", "Clamping", tags=frozenset({"decode"}))

    streaming = frozenset({"decode", "stream"})
    yield _row(Kind.TOKENIZER, "stream", "Clicking", tags=streaming)
    yield _row(Kind.TOKENIZER, "stream-sessions", "SharesOneSession", tags=streaming)
    yield _row(Kind.TOKENIZER, "stream-is-early", "Hoarding", tags=streaming)
    yield _row(Kind.TOKENIZER, "stream-refuses-wrong-codes", "PushesAnything", tags=streaming)

    yield _row(Kind.BACKBONE, "good", "TextLM")
    yield _row(Kind.BACKBONE, "model-and-tokenizer-match", "TooFewRows")
    yield _row(Kind.BACKBONE, "text-round-trip", "Forgetful")
    yield _row(Kind.BACKBONE, "spec-matches", "TextLM", spec="areca_wrong:small_backbone_spec")
    yield _row(Kind.BACKBONE, "randomness", "AnyWeights")
    yield _row(Kind.BACKBONE, "architecture", "OtherShape")

    stream = frozenset({"stream"})
    yield _row(Kind.VOCODER, "good", "Vocoder", tags=stream)
    yield _row(Kind.VOCODER, "good-voice", "VoiceVocoder", tags=frozenset({"voice", "stream"}))
    yield _row(Kind.VOCODER, "audio", "OtherRate")
    yield _row(Kind.VOCODER, "randomness", "Whistling")
    yield _row(Kind.VOCODER, "voice", "Deaf")
    yield _row(Kind.VOCODER, "voices-differ", "Deaf", tags=frozenset({"voice"}))
    yield _row(Kind.VOCODER, "refuses-wrong-codes", "SpeaksAnything")

    yield _row(Kind.VOCODER, "stream", "ClickingVocoder", tags=stream)
    yield _row(Kind.VOCODER, "stream-voice", "OpensInAnyVoice", tags=stream)
    yield _row(Kind.VOCODER, "stream-sessions", "SharesOneSessionVocoder", tags=stream)
    yield _row(Kind.VOCODER, "stream-is-early", "HoardingVocoder", tags=stream)
    yield _row(Kind.VOCODER, "stream-refuses-wrong-codes", "PushesAnythingVocoder", tags=stream)

    yield _row(Kind.TASK, "good", "Transcribe")
    yield _row(Kind.TASK, "spec-matches", "Transcribe", spec="areca_wrong:other_task_spec")
    yield _row(Kind.TASK, "prompt-needs-no-target", "Peeking")
    yield _row(Kind.TASK, "parse-inverts-target", "Mangling")
    yield _row(Kind.TASK, "chains", "Polite")

    yield _row(Kind.PATTERN, "good", "Ordered", config=Flat)
    yield _row(Kind.PATTERN, "every-code-once", "Ordered", config=Tired)
    yield _row(Kind.PATTERN, "turn", "Ordered", config=Late)
    yield _row(Kind.PATTERN, "layout", "Ordered", config=Flat, check={"backwards": True})

    yield _row(Kind.DECODING, "good", "Likeliest")
    yield _row(Kind.DECODING, "rules", "Unending")
    yield _row(Kind.DECODING, "batch-equals-alone", "Polling")
    yield _row(Kind.DECODING, "repeat-is-exact", "Whimsical")
    yield _row(Kind.DECODING, "spec-matches", "Likeliest", spec="areca_wrong:random_decoding_spec")
    yield _row(Kind.OPTIMIZER, "good", "Descent")
    yield _row(Kind.OPTIMIZER, "groups", "OwnRate")
    yield _row(Kind.OPTIMIZER, "lowers-loss", "Ascent")
    yield _row(Kind.OPTIMIZER, "learning-rate", "Hasty")
    yield _row(Kind.OPTIMIZER, "weight-decay", "Undecayed")
    yield _row(Kind.OPTIMIZER, "state-elements", "Descent", spec="areca_wrong:forgetful_optimizer_spec")
    yield _row(Kind.OPTIMIZER, "resumes-exactly", "Amnesic")
    yield _row(Kind.OPTIMIZER, "randomness", "Noisy")

    yield _row(Kind.SCHEDULE, "good", "Falling")
    yield _row(Kind.SCHEDULE, "factor", "Overshooting")
    yield _row(Kind.SCHEDULE, "repeat-is-exact", "Winding")
    yield _row(Kind.SCHEDULE, "spec-matches", "Falling", spec="areca_wrong:other_schedule_spec")
