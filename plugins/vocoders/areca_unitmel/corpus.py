"""The speech that a voice is trained on: units, their durations and log-mels, in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from safetensors.torch import load_file
from torch.nn import functional

from areca.audio import conform
from areca.errors import InvalidManifest
from areca.fitting.resume import cached_chunks
from areca.fitting.sampling import Recording, read_recording, shuffle
from areca.interfaces import Job, report_quota
from areca.manifest import Column, Manifest
from areca.mel import SPEECH, log_mel
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes
from areca_unitmel import SAMPLE_RATE_HZ, UnitMelConfig, unit_rate_hz

_CHUNK = 32
"""Utterances that are chosen, and prepared, together."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance.

    Args:
        units: int64 ``[U]``.
        durations: int64 ``[U]``, frames of the base rate; all 1 at a constant rate.
        mel: float16 ``[sum of durations * frames per unit, 80]``: half precision is finer than any net's error.
    """

    units: torch.Tensor
    durations: torch.Tensor
    mel: torch.Tensor


def read_clips(config: UnitMelConfig, data: Manifest, job: Job) -> list[Clip]:
    """Return `config.speech_s` of clips to train on; those of an interrupted call are reused.

    Raises:
        InvalidManifest: the training split has no such speech.
    """
    spec = job.specs["tokenizer"]
    assert isinstance(spec, TokenizerSpec)
    frames_per_unit = SPEECH.frame_rate_hz / unit_rate_hz(spec)
    chosen = _choose(config, data, job)
    codes = job.tokens("tokenizer", _column(config), [row for row, _ in chosen])

    def compute(chunk: Sequence[Recording]) -> dict[str, torch.Tensor]:
        made = [_clip(codes[r[0].id], read_recording(data, r), frames_per_unit) for r in chunk]
        columns = {name: torch.cat([getattr(c, name) for c in made]) for name in ("units", "durations", "mel")}
        return columns | {"sizes": torch.tensor([(len(c.units), len(c.mel)) for c in made])}

    chunks = (chosen[start : start + _CHUNK] for start in range(0, len(chosen), _CHUNK))
    clips: list[Clip] = []
    for path in cached_chunks(job.work / f"clips-{_CHUNK}", chunks, compute):
        clips += _split(load_file(path))
        job.progress(len(clips), len(chosen), "recordings read")
    return clips


def _choose(config: UnitMelConfig, data: Manifest, job: Job) -> list[Recording]:
    """Return recordings in random order that last `config.speech_s` together, or all of them."""
    found = shuffle(recordings(config, data), job.seed)
    seconds = 0.0
    for seen, recording in enumerate(found, start=1):
        seconds += read_recording(data, recording).seconds
        report_quota(job.progress, seconds, config.speech_s, seen, len(found), unit="seconds of speech", doing="chosen")
        if seconds >= config.speech_s and not seen % _CHUNK:
            return found[:seen]
    return found


def recordings(config: UnitMelConfig, data: Manifest) -> list[Recording]:
    """Return the rows of the training split that have the voice, one per recording, and the recording's column.

    Raises:
        InvalidManifest: there is none.
    """
    rows = data.select(split="train").rows
    found: dict[str, Recording]
    if config.voice is None:
        found = {row.target_audio: (row, "target_audio") for row in rows if row.target_audio}
        missing = "translated side (target_audio); name one of its speakers: voice=..."
    else:
        mine = [row for row in rows if row.speaker == config.voice and row.audio]
        found = {f"{row.audio} {row.offset_s} {row.duration_s}": (row, "audio") for row in mine}
        missing = f"audio of speaker {config.voice!r}"
    if not found:
        speakers = sorted({row.speaker for row in rows if row.speaker})
        raise InvalidManifest(f"unit-mel: the training split has no {missing}\n  speakers: {', '.join(speakers)}")
    return list(found.values())


def _column(config: UnitMelConfig) -> Column:
    return "target_audio" if config.voice is None else "audio"


def _split(made: Mapping[str, torch.Tensor]) -> Iterator[Clip]:
    units, frames = made["sizes"].T.tolist()
    sizes = {"units": units, "durations": units, "mel": frames}
    pieces = [torch.split(made[name], lengths) for name, lengths in sizes.items()]
    return (Clip(*row) for row in zip(*pieces, strict=True))


def _clip(codes: Codes, audio: Audio, frames_per_unit: float) -> Clip:
    units = codes.streams[0]
    durations = torch.ones_like(units) if codes.durations is None else codes.durations
    wanted = int(durations.sum() * frames_per_unit) * SPEECH.hop
    samples = conform(audio, SAMPLE_RATE_HZ, 1).samples[0]
    mel = log_mel(functional.pad(samples, (0, wanted - len(samples))))  # a negative pad cuts
    return Clip(units, durations, mel.T.half())
