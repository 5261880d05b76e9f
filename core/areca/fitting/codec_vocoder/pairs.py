"""Pairs of units and codec tokens of the same recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from areca.errors import InvalidManifest
from areca.fitting.codec_vocoder.layout import Layout
from areca.fitting.codec_vocoder.options import CodecVocoderOptions
from areca.fitting.sampling import Recording, recordings, shuffle
from areca.job import Job
from areca.manifest import Column, Manifest
from areca.types import Codes


@dataclass(frozen=True, slots=True)
class Pair:
    """The codes of one recording, of the same duration.

    Args:
        units: the semantic tokenizer's codes, int64 ``[U]``.
        durations: int64 ``[U]``, in frames of the base rate; all 1 at a constant rate.
        condition: the unit of each codec frame, int64 ``[F]``.
        codes: int64 ``[Q, F]``.
    """

    units: torch.Tensor
    durations: torch.Tensor
    condition: torch.Tensor
    codes: torch.Tensor

    def crop(self, start: int, frames: int) -> Pair:
        """Return the pair with only the codec frames from `start` on, `frames` of them; units are kept."""
        piece = slice(start, start + frames)
        return replace(self, condition=self.condition[piece], codes=self.codes[:, piece])


def spread(units: torch.Tensor, durations: torch.Tensor | None, repeats: int) -> torch.Tensor:
    """Return the unit of each codec frame, int64 ``[F]``, for units and durations ``[U]`` (None: all 1)."""
    return units.repeat_interleave(repeats if durations is None else durations.to(units.device) * repeats)


def pair_codes(semantic: Codes, acoustic: Codes, layout: Layout) -> Pair:
    """Return the codes of one recording, cut to whole base frames that both have."""
    units, durations = semantic.streams[0], semantic.durations
    condition = spread(units, durations, layout.repeats)
    shorter = min(len(condition), *(len(stream) for stream in acoustic.streams))
    frames = shorter - shorter % layout.repeats
    codes = torch.stack([stream[:frames] for stream in acoustic.streams])
    return Pair(units, torch.ones_like(units) if durations is None else durations, condition[:frames], codes)


class Pairs:
    """The training pairs, read from token tables on access.

    Args:
        selected: the recordings.
        tables: for each column, the semantic and acoustic codes by row id.
        layout: how they fit together.
    """

    def __init__(
        self,
        selected: Sequence[Recording],
        tables: Mapping[Column, tuple[Mapping[str, Codes], Mapping[str, Codes]]],
        layout: Layout,
    ) -> None:
        self._tables, self._layout = tables, layout
        measured = [(recording, self._read(recording).codes.shape[1]) for recording in selected]
        self._recordings = [recording for recording, frames in measured if frames]
        self.frames = [frames for _, frames in measured if frames]
        """Codec frames of each pair, at least one base frame."""

    def __len__(self) -> int:
        return len(self._recordings)

    def __getitem__(self, index: int) -> Pair:
        return self._read(self._recordings[index])

    def codes(self, index: int) -> tuple[Codes, Codes]:
        """Return the semantic and acoustic codes of a pair's recording, as the tokenizers encoded them."""
        return self._find(self._recordings[index])

    def _read(self, recording: Recording) -> Pair:
        return pair_codes(*self._find(recording), self._layout)

    def _find(self, recording: Recording) -> tuple[Codes, Codes]:
        row, column = recording
        semantic, acoustic = self._tables[column]
        return semantic[row.id], acoustic[row.id]


def select_recordings(config: CodecVocoderOptions, data: Manifest, seed: int) -> list[Recording]:
    """Return the training recordings in random order, at most `config.utterances`.

    Raises:
        InvalidManifest: the training split has no audio.
    """
    return shuffle(recordings(data), seed)[: config.utterances]


def read_pairs(selected: Sequence[Recording], layout: Layout, job: Job) -> Pairs:
    """Return the pairs of recordings, encoded by the two needs.

    Raises:
        InvalidManifest: every recording is shorter than a base frame.
    """
    columns: tuple[Column, Column] = ("audio", "target_audio")
    rows = {column: [row for row, side in selected if side == column] for column in columns}
    tables = {
        column: (job.tokens("semantic", column, chosen), job.tokens("acoustic", column, chosen))
        for column, chosen in rows.items()
        if chosen
    }
    pairs = Pairs(selected, tables, layout)
    if not len(pairs):
        raise InvalidManifest(f"vocoder: expected recordings of {1 / layout.base_rate_hz:g} s or more, got none")
    return pairs
