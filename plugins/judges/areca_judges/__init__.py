"""Independent speech recognisers as judges: pocketsphinx with a grammar, and Whisper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from areca import Component, Kind, hookimpl, runtime
from areca.specs import JudgeSpec, Spec

ARECA_PLUGIN_API = 1
SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketsphinxConfig:
    """Options of `pocketsphinx`.

    Raises:
        ValueError: an option out of range.
    """

    grammar: Path | None = None
    """JSGF file of the sentences to recognise (default: numbers 0 to 9,999, dates and times, worded as by `say`)."""
    language_weight: float = 3.0
    """Weight of the grammar's probabilities relative to the acoustic scores."""

    def __post_init__(self) -> None:
        if not self.language_weight > 0:
            raise ValueError(f"language_weight must be positive, got {self.language_weight}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WhisperConfig:
    """Options of `whisper`. Give either `path` or `model`.

    Raises:
        ValueError: both or neither of `path` and `model` are given, or an option is out of range.
    """

    path: Path | None = None
    """Folder of a CTranslate2 Whisper model (``model.bin``, ``tokenizer.json``, ...). Give either this or `model`."""
    model: str | None = None
    """Hub id of a CTranslate2 Whisper model, such as ``Systran/faster-whisper-base``. Give either this or `path`."""
    initial_prompt: str = ""
    """Text before the transcript, whose format Whisper imitates, such as ``The number is one hundred and one.``"""
    beam_size: int = 5
    """Width of the beam search."""
    compute_type: Literal["float32", "int8"] = "float32"
    """Numeric type of the computation; int8 is faster, but transcripts can differ."""
    threads: int = runtime(1)
    """Number of processor threads."""

    def __post_init__(self) -> None:
        if (self.path is None) == (self.model is None):
            raise ValueError("give either path (a folder) or model (a Hugging Face id), as 'whisper:FOLDER'")
        if self.beam_size < 1 or self.threads < 1:
            raise ValueError(f"beam_size and threads must be at least 1, got {self.beam_size} and {self.threads}")


def pocketsphinx_spec(config: PocketsphinxConfig, needs: Mapping[str, Spec]) -> JudgeSpec:
    """Return the spec: only English, the language of the acoustic model in the package."""
    return JudgeSpec(languages=("en",), sample_rate_hz=SAMPLE_RATE_HZ)


def whisper_spec(config: WhisperConfig, needs: Mapping[str, Spec]) -> JudgeSpec:
    """Return the spec: any language that the model knows."""
    return JudgeSpec(languages=(), sample_rate_hz=SAMPLE_RATE_HZ)


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `pocketsphinx` and `whisper`."""
    return [
        Component(
            kind=Kind.JUDGE,
            name="pocketsphinx",
            revision=2,  # earlier audio no longer changes a transcript
            config=PocketsphinxConfig,
            spec="areca_judges:pocketsphinx_spec",
            target="areca_judges.sphinx:Pocketsphinx",
            summary="recognises English sentences of a grammar; the acoustic model comes with the package",
            license="Apache-2.0",
            requires=("pocketsphinx",),
            extra="judges",
            weights_license="BSD-2-Clause",
        ),
        Component(
            kind=Kind.JUDGE,
            name="whisper",
            config=WhisperConfig,
            spec="areca_judges:whisper_spec",
            target="areca_judges.whisper:Whisper",
            summary="recognises speech with Whisper (faster-whisper), from a folder or a hub id",
            license="Apache-2.0",
            requires=("faster_whisper",),
            extra="judges",
            paper="https://arxiv.org/abs/2212.04356",
            check={"model": "Systran/faster-whisper-base"},
            weights_license="MIT",
        ),
    ]
