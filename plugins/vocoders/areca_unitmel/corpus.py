"""The speech that a voice is learnt from: units, their durations and log-mels, flat in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from areca.audio import conform
from areca.errors import InvalidManifest
from areca.fitting.sampling import Recording, conform_and_encode, iterate_recordings
from areca.interfaces import Job, report_quota
from areca.manifest import Manifest
from areca.mel import SPEECH, log_mel
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes
from areca_unitmel import SAMPLE_RATE_HZ, UnitMelConfig, unit_rate_hz

_CHUNK = 32
"""Utterances encoded at once."""


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


def prepared(config: UnitMelConfig, tokenizer: Any, data: Manifest, job: Job) -> list[Clip]:
    """Return `config.speech_s` of clips to learn from, encoding those that an interrupted call did not leave.

    Raises:
        InvalidManifest: the training split has no such speech.
    """
    spec = job.specs["tokenizer"]
    assert isinstance(spec, TokenizerSpec)

    def compute(audios: list[Audio]) -> dict[str, torch.Tensor]:
        codes = conform_and_encode(tokenizer, spec, audios)
        frames_per_unit = SPEECH.frame_rate_hz / unit_rate_hz(spec)
        clips = [_clip(c, a, frames_per_unit) for c, a in zip(codes, audios, strict=True)]
        columns = {name: torch.cat([getattr(c, name) for c in clips]) for name in ("units", "durations", "mel")}
        sizes = torch.tensor([(len(c.units), len(c.mel)) for c in clips])
        return columns | {"sizes": sizes, "seconds": torch.tensor([a.seconds for a in audios], dtype=torch.float64)}

    found = recordings(config, data)
    clips: list[Clip] = []
    seconds, seen = 0.0, 0
    for made in iterate_recordings(data, found, compute, seed=job.seed, chunk_size=_CHUNK, folder=job.work / "clips"):
        clips += _clips(made)
        seconds += float(made["seconds"].sum())
        seen = min(seen + _CHUNK, len(found))
        report_quota(
            job.progress, seconds, config.speech_s, seen, len(found), unit="seconds of speech", doing="encoded"
        )
        if seconds >= config.speech_s:
            break
    return clips


def recordings(config: UnitMelConfig, data: Manifest) -> list[Recording]:
    """Return the rows of the training split with the voice, each recording once, and the column it is in.

    Raises:
        InvalidManifest: there is none.
    """
    rows = data.select(split="train").rows
    found: dict[str, Recording]
    if config.voice is None:
        found = {row.target_audio: (row, "target_audio") for row in rows if row.target_audio}
        missing = "translated side (target_audio); name a speaker of its own: voice=..."
    else:
        mine = [row for row in rows if row.speaker == config.voice and row.audio]
        found = {f"{row.audio} {row.offset_s} {row.duration_s}": (row, "audio") for row in mine}
        missing = f"audio of speaker {config.voice!r}"
    if not found:
        speakers = sorted({row.speaker for row in rows if row.speaker})
        raise InvalidManifest(f"unit-mel: the training split has no {missing}\n  speakers: {', '.join(speakers)}")
    return list(found.values())


def _clips(made: Mapping[str, torch.Tensor]) -> Iterator[Clip]:
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
