"""The tasks of AudioPaLM: ASR, speech translation to text or speech, TTS and text translation; and any other fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from areca import Component, Kind, hookimpl
from areca.fields import Field
from areca.specs import Spec, TaskSpec

ARECA_PLUGIN_API = 1
_CHECK = {
    "tag": "VOICED",
    "inputs": ({"path": "voice.audio", "role": "acoustic"}, "source.text"),
    "outputs": ({"path": "source.audio", "role": "acoustic", "streams": (0, 2)},),
}
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


@dataclass(frozen=True, slots=True)
class FieldsConfig:
    """Options of `fields`.

    Raises:
        ValueError: the fields cannot belong to one task.
    """

    tag: str
    """Name in the prompt."""
    outputs: tuple[Any, ...]
    """Fields of the answer, each a path or ``{path: source.audio, role: acoustic, streams: [0, 4], crop_s: 10}``."""
    inputs: tuple[Any, ...] = ()
    """Fields of the prompt, in the same form."""
    languages: tuple[str, ...] = ("source",)
    """Sides whose language the prompt names: ``source``, ``target``."""
    format: str = "[{tag} {languages}]"
    """Start of the prompt; empty: it has only the inputs."""

    def __post_init__(self) -> None:
        spec(self, {})


Config = AsrConfig | TtsConfig | AstConfig | S2stConfig | MtConfig | FieldsConfig
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
        case FieldsConfig():
            return config.tag, config.languages


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
        case FieldsConfig():
            return TaskSpec(tuple(map(Field.of, config.inputs)), tuple(map(Field.of, config.outputs)))


def _component(name: str, config: type[Config], summary: str, **other: Any) -> Component:
    return Component(
        kind=Kind.TASK,
        name=name,
        config=config,
        spec="areca_speech:spec",
        target="areca_speech.task:SpeechTask",
        summary=summary,
        license="Apache-2.0",
        **({"paper": _PAPER} | other),
    )


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the tasks `asr`, `ast`, `s2st`, `tts`, `mt` and `fields`."""
    return (
        _component("asr", AsrConfig, "speech to its transcript; prompt [ASR French]"),
        _component("ast", AstConfig, "speech to translated text; prompt [AST French English]"),
        _component("s2st", S2stConfig, "speech to translated speech; prompt [S2ST French English]"),
        _component("tts", TtsConfig, "text to speech; prompt [TTS English]"),
        _component("mt", MtConfig, "text to translated text; prompt [MT French English]"),
        _component("fields", FieldsConfig, "the fields that its options name", paper=None, check=_CHECK),
    )
