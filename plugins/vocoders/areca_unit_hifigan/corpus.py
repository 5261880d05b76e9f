"""The training data of a vocoder, in memory: units, their durations and samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from areca.audio import conform
from areca.errors import InvalidManifest
from areca.fitting.hifigan import clips
from areca.fitting.hifigan.training import pack_samples
from areca.fitting.sampling import Recording, read_recording
from areca.fitting.voices import choose_recordings, recordings_of_voice
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes
from areca_unit_hifigan.options import SAMPLE_RATE_HZ, UnitHifiganConfig
from areca_unit_hifigan.specs import frames_per_unit


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance.

    Args:
        units: int64 ``[U]``.
        durations: int64 ``[U]``, in frames of the network.
        samples: int16 ``[sum of durations * hop]``.
        speaker: its row in the table of speakers.
    """

    units: torch.Tensor
    durations: torch.Tensor
    samples: torch.Tensor
    speaker: int

    @property
    def frames(self) -> torch.Tensor:
        """The unit of each frame, int64 ``[F]``."""
        return self.units.repeat_interleave(self.durations)


def choose_speakers(config: UnitHifiganConfig, data: Manifest) -> tuple[list[str], list[Recording]]:
    """Return the names of the speakers, those with the most recordings first, and their recordings.

    Raises:
        InvalidManifest: the training split has no speech of the voice, or too few speakers.
    """
    if config.speakers == 1:
        return [config.voice or "target"], recordings_of_voice(data, config.voice, "unit-hifigan")
    rows = data.select(split="train").rows
    names = sorted({row.speaker for row in rows if row.speaker and row.audio})
    if len(names) < config.speakers:
        raise InvalidManifest(
            f"unit-hifigan: expected {config.speakers} speakers with audio in the training split, got {len(names)}"
        )
    first = [] if config.voice is None else recordings_of_voice(data, config.voice, "unit-hifigan")
    found = {name: recordings_of_voice(data, name, "unit-hifigan") for name in names if name != config.voice}
    others = sorted(found, key=lambda name: (-len(found[name]), name))[: config.speakers - bool(first)]
    if first:
        assert config.voice is not None
        found[config.voice] = first
        others.append(config.voice)
    chosen = sorted(others, key=lambda name: (-len(found[name]), name))
    return chosen, [recording for name in chosen for recording in found[name]]


def read_clips(
    config: UnitHifiganConfig, found: Sequence[Recording], speakers: Sequence[str], data: Manifest, job: Job
) -> list[Clip]:
    """Return clips of `config.speech_s` seconds in all; clips of an interrupted call are reused.

    Raises:
        InvalidManifest: no recording is as long as a segment.
    """
    spec = job.specs["tokenizer"]
    assert isinstance(spec, TokenizerSpec)
    repeats = frames_per_unit(config, spec)
    selected = choose_recordings(data, found, config.speech_s, job, clips.CHUNK)
    codes = job.tokens("tokenizer", selected[0][1], [row for row, _ in selected])

    def compute(chunk: Sequence[Recording]) -> dict[str, torch.Tensor]:
        built = [
            _build_clip(
                codes[row.id],
                read_recording(data, (row, column)),
                repeats,
                config.hop,
                speakers.index(row.speaker) if row.speaker in speakers else 0,
            )
            for row, column in chunk
        ]
        columns = {name: torch.cat([getattr(c, name) for c in built]) for name in ("units", "durations", "samples")}
        return columns | {"sizes": torch.tensor([(len(c.units), len(c.samples), c.speaker) for c in built])}

    return clips.read_clips(
        selected, compute, _split_chunk, job, segment=config.segment, part="unit-hifigan", option="segment"
    )


def _split_chunk(chunk: Mapping[str, torch.Tensor]) -> Iterator[Clip]:
    """Yield the clips of a chunk's tensors."""
    units, samples, speakers = chunk["sizes"].T.tolist()
    sizes = {"units": units, "durations": units, "samples": samples}
    pieces = [torch.split(chunk[name], lengths) for name, lengths in sizes.items()]
    return (Clip(*row) for row in zip(*pieces, speakers, strict=True))


def _build_clip(codes: Codes, audio: Audio, repeats: int, hop: int, speaker: int) -> Clip:
    """Return a clip whose samples are cut or padded with silence to the duration of its units."""
    units = codes.streams[0]
    durations = (torch.ones_like(units) if codes.durations is None else codes.durations) * repeats
    samples = conform(audio, SAMPLE_RATE_HZ, 1).samples[0]
    missing = int(durations.sum()) * hop - len(samples)
    whole = functional.pad(samples, (0, missing))  # a negative pad cuts
    return Clip(units, durations, pack_samples(whole), speaker)
