"""Units of pretrained speech encoders: k-means over a layer of HuBERT, WavLM, wav2vec 2.0, Whisper, w2v-BERT 2.0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from areca import Component, Kind, hookimpl, runtime
from areca.errors import InvalidConfig
from areca.files.reading import read_json
from areca.hub.weights import HUB_ID
from areca.specs import Spec, Stream, TokenizerSpec

ARECA_PLUGIN_API = 1
SAMPLE_RATE_HZ = 16_000
_WIDTHS = {"utter-project/mHuBERT-147": 768, "openai/whisper-small": 768, "facebook/w2v-bert-2.0": 1024}
"""Widths of the default models, so that their specs need no download."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SslConfig:
    """Options common to all tokenizers of this package."""

    model: str
    """Hub id of the encoder."""
    path: Path | None = None
    """Directory in the hub's layout (config.json, preprocessor_config.json, *.safetensors), instead of `model`."""
    revision: str = "main"
    """Branch, tag or commit of the hub model; only a commit always means the same weights."""
    layer: int
    """Layer whose output is clustered, counted from 1 (`hidden_states[layer]` in transformers)."""
    clusters: int = 1024
    """Number of units."""
    frame_rate_hz: Literal[25, 50] = 50
    """Units per second. At 25, the encoder's frames are averaged in pairs."""
    normalise: bool = False
    """Scale each dimension to mean 0 and variance 1 over the training speech before clustering."""
    longest_s: float = 30.0
    """Maximum seconds encoded as one window; longer recordings are cut into equal windows, encoded separately."""
    sample_frames: int = 200_000
    """Maximum number of frames of training speech to cluster, drawn by whole utterances; limits the memory."""
    encode_batch_s: float = runtime(60.0)
    """Maximum seconds of speech in an encoding batch, padding included; a corpus is encoded 30 s at a time."""

    def __post_init__(self) -> None:
        for name in ("layer", "clusters", "sample_frames", "encode_batch_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.longest_s < 1:
            raise ValueError(f"longest_s must be at least 1 second, got {self.longest_s:g}")
        if not HUB_ID.fullmatch(self.model):
            raise ValueError(
                f"model: expected a hub id like 'org/name', got {self.model!r}; give a directory as `path`"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class HubertConfig(SslConfig):
    """Options of `hubert`."""

    model: str = "utter-project/mHuBERT-147"
    """Hub id of a HuBERT, mHuBERT, WavLM or wav2vec 2.0 encoder."""
    layer: int = 9
    """Layer whose output is clustered, counted from 1. mHuBERT-147's training labels came from layer 9."""
    clusters: int = 1000
    """Number of units. mHuBERT-147 was trained on 1000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhisperConfig(SslConfig):
    """Options of `whisper`."""

    model: str = "openai/whisper-small"
    """Hub id of a Whisper model; its decoder is not used."""
    layer: int = 12
    """Layer of the encoder whose output is clustered, counted from 1. The decoder reads the last one (12 in small)."""
    silence_to_s: float = 30.0
    """Speech is padded with silence to the next multiple of this many seconds. Whisper was trained with 30."""

    def __post_init__(self) -> None:
        SslConfig.__post_init__(self)  # super() fails here: slots=True replaces the class after its creation
        if not 0.1 <= self.silence_to_s <= 30:
            raise ValueError(f"silence_to_s must be from 0.1 to 30 seconds, got {self.silence_to_s:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class W2vBertConfig(SslConfig):
    """Options of `w2v-bert`."""

    model: str = "facebook/w2v-bert-2.0"
    """Hub id of a w2v-BERT 2.0 encoder."""
    layer: int = 17
    """Layer whose output is clustered, counted from 1 (w2v-BERT 2.0 has 24)."""
    frame_rate_hz: Literal[25, 50] = 25
    """Units per second. At 25, the rate of AudioPaLM, the encoder's frames are averaged in pairs."""
    normalise: bool = False
    """Scale each dimension to mean 0 and variance 1 over the training speech before clustering. AudioPaLM does not."""


def spec(config: SslConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return one stream of `config.clusters` units at `config.frame_rate_hz`, for mono audio at 16 kHz.

    Raises:
        InvalidConfig: `path` is not a directory in the hub's layout.
    """
    if config.path is not None and not (config.path / "config.json").is_file():
        problem = "has no config.json" if config.path.is_dir() else "is not a directory"
        raise InvalidConfig(f"path: {config.path} {problem}; give a directory in the hub's layout")
    streams = (Stream("unit", config.clusters, float(config.frame_rate_hz)),)
    return TokenizerSpec(streams, SAMPLE_RATE_HZ, feature_size=_find_width(config))


def _find_width(config: SslConfig) -> int | None:
    """Return the width of the encoder; None: it is on the hub, and not among the models in `_WIDTHS`."""
    if config.path is None:
        return _WIDTHS.get(config.model)
    values = read_json(config.path / "config.json", links=True, infinity=True, error=InvalidConfig)
    width = values.get("hidden_size", values.get("d_model"))  # Whisper's is called d_model
    return width if type(width) is int and width > 0 else None  # loading the encoder reports a wrong file


def _component(name: str, config: type[SslConfig], summary: str, paper: str, weights_license: str) -> Component:
    return Component(
        kind=Kind.TOKENIZER,
        name=name,
        config=config,
        spec="areca_ssl:spec",
        target="areca_ssl.model:SslUnits",
        summary=summary,
        license="Apache-2.0",
        requires=("torch", "transformers", "huggingface_hub", "safetensors"),
        tags=frozenset({"fit", "resume", "features"}),
        revision=3,
        loads_revisions=frozenset({2}),  # revision 3 changed only k-means, so older artifacts load unchanged
        paper=paper,
        weights_license=weights_license,
        check={"clusters": 16, "sample_frames": 2_000},
    )


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `hubert`, `whisper` and `w2v-bert`. The weight licences are those of the default models."""
    yield _component(
        "hubert",
        HubertConfig,
        "k-means units over a layer of HuBERT, mHuBERT, WavLM or wav2vec 2.0, 50 or 25 Hz",
        "https://arxiv.org/abs/2106.07447",
        "CC-BY-NC-SA-4.0",
    )
    yield _component(
        "whisper",
        WhisperConfig,
        "k-means units over a layer of Whisper's encoder, 50 or 25 Hz",
        "https://arxiv.org/abs/2212.04356",
        "Apache-2.0",
    )
    yield _component(
        "w2v-bert",
        W2vBertConfig,
        "k-means units over a layer of w2v-BERT 2.0, 25 or 50 Hz, like AudioPaLM's first tokenizer",
        "https://arxiv.org/abs/2312.05187",
        "MIT",
    )
