"""The values that travel between the rooms: audio, codes, voice prompts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from areca.errors import InvalidAudio, InvalidCodes
from areca.specs import Stream


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound.

    Args:
        samples: float32 ``[C, T]``, nominally in [-1, 1], T >= 1, on the CPU.
        sample_rate_hz: samples per second.
        name: where it came from, for error messages.

    Raises:
        InvalidAudio: another shape or dtype, nothing in it, NaN or infinity.
    """

    samples: torch.Tensor
    sample_rate_hz: int
    name: str = "audio"

    def __post_init__(self) -> None:
        x = self.samples
        if x.ndim != 2 or x.dtype != torch.float32:
            raise InvalidAudio(f"{self.name}: expected float32 [C, T], got {x.dtype} {list(x.shape)}")
        if x.numel() == 0:
            raise InvalidAudio(f"{self.name}: no samples (shape {list(x.shape)})")
        # By numpy, which is quick and, unlike torch's reductions, safe in a forked process; NaN is its own extreme.
        values = x.detach().numpy()
        if not math.isfinite(float(values.min()) + float(values.max())):
            raise InvalidAudio(f"{self.name}: has NaN or infinite samples")
        if self.sample_rate_hz < 1:
            raise InvalidAudio(f"{self.name}: sample_rate_hz must be positive, got {self.sample_rate_hz}")

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return self.samples.shape[0]

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples.shape[1] / self.sample_rate_hz


def require_audio(audios: list[Audio], sample_rate_hz: int, channels: int) -> None:
    """Check what a component was given against its spec.

    Raises:
        InvalidAudio: nothing was given, or one has another rate or number of channels.
    """
    if not audios:
        raise InvalidAudio("expected at least one Audio, got an empty list")
    for a in audios:
        if (a.sample_rate_hz, a.channels) != (sample_rate_hz, channels):
            raise InvalidAudio(
                f"{a.name}: expected {sample_rate_hz} Hz with {channels} channel(s), "
                f"got {a.sample_rate_hz} Hz with {a.channels}; use areca.audio.conform(audio, sample_rate_hz, channels)"
            )


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes of one utterance.

    Args:
        streams: int64 ``[F_k]``, one a stream of the tokenizer's spec, in its order; they may differ in length.
        durations: int64 ``[F_0]``, frames of the base rate that each code of the first stream lasts
            (deduplicated codes), or None at a constant rate.
        fingerprint: of the tokenizer that made them; "" where an LM generated them.

    Raises:
        InvalidCodes: another shape or dtype.
    """

    streams: tuple[torch.Tensor, ...]
    durations: torch.Tensor | None = None
    fingerprint: str = ""

    def __post_init__(self) -> None:
        for k, s in enumerate(self.streams):
            if s.ndim != 1 or s.dtype != torch.int64:
                raise InvalidCodes(f"stream {k}: expected int64 [F], got {s.dtype} {list(s.shape)}")
        if self.durations is not None and self.durations.shape != self.streams[0].shape:
            raise InvalidCodes(
                f"durations: expected shape {list(self.streams[0].shape)}, got {list(self.durations.shape)}"
            )


def require_codes(codes: list[Codes], streams: tuple[Stream, ...]) -> None:
    """Check codes against the streams a component accepts.

    Raises:
        InvalidCodes: nothing was given, another number of streams, an empty stream, or a code out of range.
    """
    if not codes:
        raise InvalidCodes("expected at least one Codes, got an empty list")
    for i, c in enumerate(codes):
        if len(c.streams) != len(streams):
            raise InvalidCodes(f"codes {i}: expected {len(streams)} stream(s), got {len(c.streams)}")
        for stream, x in zip(streams, c.streams, strict=True):
            if x.numel() == 0:
                raise InvalidCodes(f"codes {i}: stream {stream.name!r} is empty")
            low, high = int(x.min()), int(x.max())
            if low < 0 or high >= stream.size:
                raise InvalidCodes(f"codes {i}: stream {stream} holds {low if low < 0 else high}, out of range")


def stacked_codes(codes: list[Codes], streams: tuple[Stream, ...]) -> list[torch.Tensor]:
    """Return each of `codes` as int64 ``[K, F]``: for components whose K streams go frame by frame.

    Raises:
        InvalidCodes: as `require_codes`, or streams of unequal length.
    """
    require_codes(codes, streams)
    for i, c in enumerate(codes):
        if len(set(lengths := [len(x) for x in c.streams])) > 1:
            raise InvalidCodes(f"codes {i}: expected streams of one length, got {lengths}")
    return [torch.stack(c.streams) for c in codes]


@dataclass(frozen=True, slots=True)
class VoicePrompt:
    """A voice to speak in: some seconds of a person's speech, and the person's name if known."""

    audio: Audio
    speaker: str | None = None
