"""Audio codes without a neural codec: residual k-means over log-mel frames, decoded by Griffin-Lim or by a GAN."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from areca import Component, Kind, hookimpl, runtime
from areca.component import added
from areca.specs import Spec, Stream, TokenizerSpec

ARECA_PLUGIN_API = 1
SAMPLE_RATE_HZ = 16_000
SAMPLES_PER_MEL = 160
STRIDES = (5, 4, 4, 2)
"""Upsampling factors of the neural inverter; their product is `SAMPLES_PER_MEL`."""
CHANNEL_STEP = 2 ** len(STRIDES)
_POSITIVE = (
    *("inverter_speech_s", "inverter_channels", "inverter_segment", "inverter_steps", "inverter_batch"),
    *("inverter_learning_rate", "inverter_discriminator_channels", "checkpoint_steps"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MelRvqConfig:
    """Options of `mel-rvq`."""

    levels: int = 8
    """Number of codebooks, one per stream. Each quantizes the residual of the previous one."""
    clusters: int = 256
    """Codes in a codebook."""
    frame_rate_hz: Literal[25, 50, 100] = 50
    """Codes per second in each stream. At 25, 50 or 100 a code covers 4, 2 or 1 mel frames of 10 ms."""
    sample_frames: int = 100_000
    """Maximum number of training frames, at the code rate, for the codebooks; drawn by whole utterances."""
    phase_iterations: int = 48
    """Griffin-Lim iterations in decoding; decoding time is proportional to them."""
    inverter: Literal["griffin-lim", "neural"] = added("griffin-lim")
    """What turns log-mels into audio: griffin-lim, or neural, a HiFi-GAN that is trained on the decoded log-mels. The
    other options of the inverter are those of the neural one."""
    inverter_speech_s: float = added(3_600.0)
    """Maximum seconds of speech to train the inverter on."""
    inverter_channels: int = added(128)
    """Channels before the first upsampling, each of four halves them; 128 and 512 in the paper's versions 2 and 1."""
    inverter_segment: int = added(8_960)
    """Samples of audio that a training step takes from a recording; shorter recordings are left out."""
    inverter_steps: int = added(5_000)
    """Training steps of the inverter."""
    inverter_batch: int = added(8)
    """Segments in a training step."""
    inverter_learning_rate: float = added(2e-4)
    """Initial learning rate of inverter and discriminators (AdamW); it falls by 0.1 % after each epoch."""
    inverter_discriminator_channels: int = added(256)
    """Channels of the widest layers of the discriminators, which take most of the training time; 1024 in the paper."""
    checkpoint_steps: int = runtime(100)
    """Training steps of the inverter between two saved states; an interruption loses at most this many."""

    def __post_init__(self) -> None:
        for name in ("levels", "clusters", "sample_frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.phase_iterations < 0:
            raise ValueError(f"phase_iterations must not be negative, got {self.phase_iterations}")
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.inverter_channels % CHANNEL_STEP:
            raise ValueError(f"inverter_channels must be divisible by {CHANNEL_STEP}, got {self.inverter_channels}")
        if self.inverter_segment % SAMPLES_PER_MEL:
            raise ValueError(f"inverter_segment must be a multiple of {SAMPLES_PER_MEL}, got {self.inverter_segment}")


def spec(config: MelRvqConfig, needs: Mapping[str, Spec]) -> TokenizerSpec:
    """Return `config.levels` streams of `config.clusters` codes, coarsest first."""
    rate = float(config.frame_rate_hz)
    streams = tuple(Stream(f"rvq-{k}", config.clusters, rate) for k in range(config.levels))
    return TokenizerSpec(streams, SAMPLE_RATE_HZ)


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `mel-rvq`."""
    yield Component(
        kind=Kind.TOKENIZER,
        name="mel-rvq",
        config=MelRvqConfig,
        spec="areca_melrvq:spec",
        target="areca_melrvq.model:MelRvq",
        summary="residual k-means over log-mel frames, decoded by Griffin-Lim or a GAN",
        license="Apache-2.0",
        requires=("torch", "transformers", "safetensors"),
        tags=frozenset({"fit", "resume", "codebooks", "decode", "stream"}),
        revision=3,
        loads_revisions=frozenset({2}),  # revision 3 changed only k-means, so older artifacts load unchanged
        check={"levels": 2, "clusters": 16, "phase_iterations": 4},
    )
