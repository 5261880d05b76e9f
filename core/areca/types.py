"""The values that components exchange: audio, codes and voice prompts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from areca.errors import InvalidAudio, InvalidCodes
from areca.specs import Stream


@dataclass(frozen=True, slots=True)
class Audio:
    """One recording.

    Args:
        samples: float32 ``[C, T]``, nominally in [-1, 1], T >= 1, on the CPU.
        sample_rate_hz: samples per second.
        name: label for error messages, usually the path.

    Raises:
        InvalidAudio: wrong shape or dtype, no samples, NaN or infinity, or a rate that is not positive.

    Example:
        >>> Audio(torch.zeros(1, 24_000), 24_000).seconds
        1.0
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
        # NumPy is fast and, unlike torch's reductions, safe in a forked process. min and max propagate NaN.
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
    """Check that recordings have the sample rate and channels of a component's spec.

    Args:
        audios: the recordings that the component received.
        sample_rate_hz: rate in the spec.
        channels: number of channels in the spec.

    Raises:
        InvalidAudio: the list is empty, or a recording has another rate or number of channels.

    Example:
        >>> require_audio(audios, self.spec.sample_rate_hz, self.spec.channels)
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
        streams: int64 ``[F_k]`` for each stream of the tokenizer's spec, in the spec's order. Lengths may differ.
        durations: int64 ``[F_0]``, the duration of each code of the first stream in frames of the base rate, for
            deduplicated codes; None at a constant rate.
        fingerprint: fingerprint of the tokenizer that encoded them; ``""`` if an LM generated them.

    Raises:
        InvalidCodes: wrong shape or dtype.

    Example:
        >>> Codes((torch.tensor([5, 3, 3]), torch.tensor([0, 9, 1])))  # two streams, three frames
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
    """Check that codes belong to the streams that a component accepts.

    Args:
        codes: the codes that the component received, one item per utterance.
        streams: the streams in the spec.

    Raises:
        InvalidCodes: the list is empty, or an item has another number of streams, an empty stream, or a code out of
            range.
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
                raise InvalidCodes(
                    f"codes {i}: stream {stream} holds {low if low < 0 else high}, out of range: expected 0 to "
                    f"{stream.size - 1}"
                )


def stack_codes(codes: list[Codes], streams: tuple[Stream, ...]) -> list[torch.Tensor]:
    """Stack the K streams of each utterance, for components whose streams all have one code per frame.

    Args:
        codes: one item per utterance.
        streams: the streams in the spec.

    Returns:
        int64 ``[K, F]`` per utterance.

    Raises:
        InvalidCodes: as in `require_codes`, or the streams of an utterance differ in length.
    """
    require_codes(codes, streams)
    for i, c in enumerate(codes):
        if len(set(lengths := [len(x) for x in c.streams])) > 1:
            raise InvalidCodes(f"codes {i}: expected streams of equal length, got {lengths}")
    return [torch.stack(c.streams) for c in codes]


@dataclass(frozen=True, slots=True)
class VoicePrompt:
    """The voice to synthesize speech in.

    Args:
        audio: a few seconds of the speaker's speech.
        speaker: the speaker's name, if known.
    """

    audio: Audio
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A text, a recording, or both; None for a missing one."""

    text: str | None = None
    audio: Audio | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """An answer, with everything that a metric may compare it to.

    Args:
        answer: the system's answer; the text of a spoken answer is a judge's transcript.
        reference: the correct answer.
        question: the system's input.
        voice: the requested voice.
        language: language of answer and reference (ISO 639-1), if known.
        cut: whether a length limit ended the answer, instead of the system.
    """

    answer: Passage
    reference: Passage = Passage()
    question: Passage = Passage()
    voice: Passage = Passage()
    language: str | None = None
    cut: bool = False
