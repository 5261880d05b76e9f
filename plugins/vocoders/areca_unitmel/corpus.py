"""The training data of a voice, in memory: units, their durations and log-mels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from safetensors.torch import load_file
from torch.nn import functional

from areca.audio import conform
from areca.fitting.resume import cached_chunks
from areca.fitting.sampling import Recording, read_recording
from areca.fitting.voices import choose_recordings, recordings_of_voice
from areca.interfaces import Job
from areca.manifest import Column, Manifest
from areca.mel import SPEECH, log_mel
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes
from areca_unitmel import SAMPLE_RATE_HZ, UnitMelConfig, unit_rate_hz

_CHUNK = 32
"""Utterances that are selected and prepared together."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance.

    Args:
        units: int64 ``[U]``.
        durations: int64 ``[U]``, in frames of the base rate; all 1 at a constant rate.
        mel: float16 ``[sum of durations * frames per unit, 80]``: its precision is finer than the network's error.
    """

    units: torch.Tensor
    durations: torch.Tensor
    mel: torch.Tensor


def read_clips(config: UnitMelConfig, data: Manifest, job: Job) -> list[Clip]:
    """Return clips of `config.speech_s` seconds in all; clips of an interrupted call are reused.

    Raises:
        InvalidManifest: the training split has no speech of the voice.
    """
    spec = job.specs["tokenizer"]
    assert isinstance(spec, TokenizerSpec)
    frames_per_unit = SPEECH.frame_rate_hz / unit_rate_hz(spec)
    found = recordings_of_voice(data, config.voice, "unit-mel")
    selected = choose_recordings(data, found, config.speech_s, job, _CHUNK)
    codes = job.tokens("tokenizer", _column(config), [row for row, _ in selected])

    def compute(chunk: Sequence[Recording]) -> dict[str, torch.Tensor]:
        clips = [_build_clip(codes[r[0].id], read_recording(data, r), frames_per_unit) for r in chunk]
        columns = {name: torch.cat([getattr(c, name) for c in clips]) for name in ("units", "durations", "mel")}
        return columns | {"sizes": torch.tensor([(len(c.units), len(c.mel)) for c in clips])}

    chunks = (selected[start : start + _CHUNK] for start in range(0, len(selected), _CHUNK))
    clips: list[Clip] = []
    for path in cached_chunks(job.work / f"clips-{_CHUNK}", chunks, compute):
        clips += _split_chunk(load_file(path))
        job.progress(len(clips), len(selected), "recordings read")
    return clips


def _column(config: UnitMelConfig) -> Column:
    return "target_audio" if config.voice is None else "audio"


def _split_chunk(chunk: Mapping[str, torch.Tensor]) -> Iterator[Clip]:
    """Yield the clips of a chunk's tensors."""
    units, frames = chunk["sizes"].T.tolist()
    sizes = {"units": units, "durations": units, "mel": frames}
    pieces = [torch.split(chunk[name], lengths) for name, lengths in sizes.items()]
    return (Clip(*row) for row in zip(*pieces, strict=True))


def _build_clip(codes: Codes, audio: Audio, frames_per_unit: float) -> Clip:
    """Return a clip whose log-mel is cut or padded with silence to the duration of its units."""
    units = codes.streams[0]
    durations = torch.ones_like(units) if codes.durations is None else codes.durations
    length = int(durations.sum() * frames_per_unit) * SPEECH.hop
    samples = conform(audio, SAMPLE_RATE_HZ, 1).samples[0]
    mel = log_mel(functional.pad(samples, (0, length - len(samples))))  # a negative pad cuts
    return Clip(units, durations, mel.T.half())
