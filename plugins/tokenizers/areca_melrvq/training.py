"""Train the neural inverter on what the codebooks keep of log-mels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from areca.audio import conform
from areca.fitting.hifigan.clips import CHUNK, read_clips
from areca.fitting.hifigan.training import (
    Attempt,
    Schedule,
    draw_segments,
    pack_samples,
    train_hifigan,
    unpack_samples,
)
from areca.fitting.loop import generator_for
from areca.fitting.resume import save_tensors
from areca.fitting.sampling import Recording, read_recording, recordings
from areca.fitting.voices import choose_recordings
from areca.job import Job
from areca.manifest import Manifest
from areca.mel import SPEECH
from areca.types import Audio
from areca_melrvq import SAMPLE_RATE_HZ, MelRvqConfig
from areca_melrvq.inverter import INVERTER, build_inverter
from areca_melrvq.model import MelRvq

_DECAY, _MEL_WEIGHT, _FEATURE_WEIGHT = 0.999, 45.0, 2.0
"""The paper's decay of the learning rate in each epoch, and its weights of the losses."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording: decoded log-mels, float16 ``[F, 80]``, and samples, int16 ``[F * 160]``."""

    mels: torch.Tensor
    samples: torch.Tensor


def train_inverter(config: MelRvqConfig, tokenizer: MelRvq, data: Manifest, job: Job) -> None:
    """Train the inverter, and write it to the job's directory. An interrupted training resumes.

    Raises:
        InvalidManifest: no recording is as long as a segment.
    """
    clips = _read_clips(config, tokenizer, data, job)
    inverter = build_inverter(config.inverter_channels, tokenizer.mean, tokenizer.deviation, job.seed).to(job.device)
    lengths, frames = [len(clip.mels) for clip in clips], config.inverter_segment // SPEECH.hop

    def batches(start: int) -> Iterator[list[tuple[Clip, slice]]]:
        for number in itertools.count(start):
            generator = generator_for(job.seed, "segments", number)
            drawn = draw_segments(lengths, frames, config.inverter_batch, generator)
            yield [(clips[index], window) for index, window in drawn]

    def attempt(batch: Sequence[tuple[Clip, slice]]) -> Attempt:
        real = torch.stack([unpack_samples(c.samples[w.start * SPEECH.hop : w.stop * SPEECH.hop]) for c, w in batch])
        mels = torch.stack([clip.mels[window] for clip, window in batch]).to(job.device).float()
        return Attempt(real.to(job.device), inverter(mels))

    schedule = Schedule(
        steps=config.inverter_steps,
        learning_rate=config.inverter_learning_rate,
        decay=_DECAY,
        epoch_steps=-(-len(clips) // config.inverter_batch),
        save_every=config.checkpoint_steps,
        discriminator_channels=config.inverter_discriminator_channels,
        mel_weight=_MEL_WEIGHT,
        feature_weight=_FEATURE_WEIGHT,
    )
    train_hifigan(inverter, inverter.generator, batches, attempt, job, schedule)
    save_tensors(job.directory / INVERTER, {name: x.cpu() for name, x in inverter.state_dict().items()})


def _read_clips(config: MelRvqConfig, tokenizer: MelRvq, data: Manifest, job: Job) -> list[Clip]:
    """Return clips of `config.inverter_speech_s` seconds in all; clips of an interrupted call are reused."""
    selected = choose_recordings(data, recordings(data), config.inverter_speech_s, job, CHUNK)

    def compute(chunk: Sequence[Recording]) -> dict[str, torch.Tensor]:
        clips = [_build_clip(tokenizer, read_recording(data, recording)) for recording in chunk]
        columns = {name: torch.cat([getattr(c, name) for c in clips]) for name in ("mels", "samples")}
        return columns | {"sizes": torch.tensor([len(c.mels) for c in clips])}

    return read_clips(
        selected, compute, _split_chunk, job, segment=config.inverter_segment, part="mel-rvq", option="inverter_segment"
    )


def _split_chunk(chunk: Mapping[str, torch.Tensor]) -> Iterator[Clip]:
    """Yield the clips of a chunk's tensors."""
    frames = chunk["sizes"].tolist()
    mels, samples = torch.split(chunk["mels"], frames), torch.split(chunk["samples"], [n * SPEECH.hop for n in frames])
    return (Clip(*pair) for pair in zip(mels, samples, strict=True))


def _build_clip(tokenizer: MelRvq, audio: Audio) -> Clip:
    """Return a recording's log-mels as they are decoded from its codes, and its samples, padded with silence."""
    mono = conform(audio, SAMPLE_RATE_HZ, 1)
    [codes] = tokenizer.encode([mono])
    mels = tokenizer.reconstruct_mel(torch.stack(codes.streams)).T.cpu()
    samples = functional.pad(mono.samples[0], (0, len(mels) * SPEECH.hop - mono.samples.shape[1]))
    return Clip(mels.half(), pack_samples(samples))
