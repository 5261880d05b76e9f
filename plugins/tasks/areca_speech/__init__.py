"""The tasks of AudioPaLM: ASR, speech translation to text or speech, TTS and text translation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from areca import Component, Kind, hookimpl
from areca.specs import Spec, TaskSpec

ARECA_PLUGIN_API = 1
_PAPER = "https://arxiv.org/abs/2306.12925"


@dataclass(frozen=True, slots=True)
class AsrConfig:
    """Options of `asr`."""

    side: Literal["source", "target"] = "source"
    """Side of a translated utterance to transcribe."""


@dataclass(frozen=True, slots=True)
class TtsConfig:
    """Options of `tts`."""

    side: Literal["source", "target"] = "source"
    """Side of a translated utterance to speak."""


@dataclass(frozen=True, slots=True)
class AstConfig:
    """Options of `ast`: none."""


@dataclass(frozen=True, slots=True)
class S2stConfig:
    """Options of `s2st`: none."""


@dataclass(frozen=True, slots=True)
class MtConfig:
    """Options of `mt`: none."""


Config = AsrConfig | TtsConfig | AstConfig | S2stConfig | MtConfig
_BOTH = ("source", "target")


def tag_and_languages(config: Config) -> tuple[str, tuple[str, ...]]:
    """Return the task's tag, and the sides whose languages the prompt names."""
    match config:
        case AsrConfig(side):
            return "ASR", (side,)
        case TtsConfig(side):
            return "TTS", (side,)
        case AstConfig():
            return "AST", _BOTH
        case S2stConfig():
            return "S2ST", _BOTH
        case MtConfig():
            return "MT", _BOTH


def spec(config: Config, needs: Mapping[str, Spec]) -> TaskSpec:
    """Return the task's input and output fields."""
    match config:
        case AsrConfig(side):
            return TaskSpec((f"{side}.audio",), (f"{side}.text",))
        case TtsConfig(side):
            return TaskSpec((f"{side}.text",), (f"{side}.audio",))
        case AstConfig():
            return TaskSpec(("source.audio",), ("target.text",))
        case S2stConfig():
            return TaskSpec(("source.audio",), ("target.audio",))
        case MtConfig():
            return TaskSpec(("source.text",), ("target.text",))


def _component(name: str, config: type[Config], summary: str) -> Component:
    return Component(
        kind=Kind.TASK,
        name=name,
        config=config,
        spec="areca_speech:spec",
        target="areca_speech.task:SpeechTask",
        summary=summary,
        license="Apache-2.0",
        paper=_PAPER,
    )


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the tasks `asr`, `ast`, `s2st`, `tts` and `mt`."""
    return (
        _component("asr", AsrConfig, "speech to its transcript; prompt [ASR French]"),
        _component("ast", AstConfig, "speech to translated text; prompt [AST French English]"),
        _component("s2st", S2stConfig, "speech to translated speech; prompt [S2ST French English]"),
        _component("tts", TtsConfig, "text to speech; prompt [TTS English]"),
        _component("mt", MtConfig, "text to translated text; prompt [MT French English]"),
    )
