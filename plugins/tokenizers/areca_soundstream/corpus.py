"""The training data: speech in memory, and random crops of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from areca.audio import conform
from areca.fitting.sampling import iterate_recordings, recordings
from areca.interfaces import Job, report_quota
from areca.manifest import Manifest
from areca.types import Audio
from areca_soundstream.options import SoundStreamConfig

_CHUNK = 32
_FULL_SCALE = 32_767


@dataclass(frozen=True, slots=True)
class Speech:
    """Recordings, one after another.

    Args:
        samples: int16 ``[T]``.
        ends: int64 ``[R]``, the end of each recording.
    """

    samples: torch.Tensor
    ends: torch.Tensor

    def crops(self, count: int, length: int, generator: torch.Generator) -> torch.Tensor:
        """Return random crops, float32 ``[count, length]``; zeros follow recordings that are shorter.

        Every sample is as likely: longer recordings are drawn more often.
        """
        return torch.stack([self._crop(length, generator) for _ in range(count)]).float() / _FULL_SCALE

    def _crop(self, length: int, generator: torch.Generator) -> torch.Tensor:
        drawn = int(torch.randint(len(self.samples), (), generator=generator))
        row = int(torch.searchsorted(self.ends, drawn, right=True))
        first, end = int(self.ends[row - 1]) if row else 0, int(self.ends[row])
        start = max(first, min(drawn - length // 2, end - length))
        crop = self.samples[start : min(start + length, end)]
        return torch.nn.functional.pad(crop, (0, length - len(crop)))


def read_speech(config: SoundStreamConfig, data: Manifest, job: Job) -> Speech:
    """Return `config.speech_s` seconds of the training split, source and target side, in random order.

    Raises:
        InvalidManifest: the training split has no audio.
    """

    def compute(audios: list[Audio]) -> dict[str, torch.Tensor]:
        waves = [conform(a, config.sample_rate_hz, 1).samples[0] for a in audios]
        samples = (torch.cat(waves).clamp(-1, 1) * _FULL_SCALE).round().to(torch.int16)
        return {"samples": samples, "lengths": torch.tensor([len(w) for w in waves])}

    selected = recordings(data)
    samples, lengths = [], []
    total_s, done = 0.0, 0
    for chunk in iterate_recordings(
        data, selected, compute, seed=job.seed, chunk_size=_CHUNK, folder=job.work / "speech"
    ):
        samples.append(chunk["samples"])
        lengths.append(chunk["lengths"])
        total_s, done = total_s + len(chunk["samples"]) / config.sample_rate_hz, done + len(chunk["lengths"])
        report_quota(
            job.progress, total_s, config.speech_s, done, len(selected), unit="seconds of speech", doing="read"
        )
        if total_s >= config.speech_s:
            break
    return Speech(torch.cat(samples), torch.cat(lengths).cumsum(0))
