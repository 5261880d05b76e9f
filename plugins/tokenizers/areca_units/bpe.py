"""Acoustic byte-pair encoding (Shen et al. 2023, arXiv 2310.14580): merge units that often follow each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer as Merger
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from areca.errors import InvalidArtifact, InvalidCodes
from areca.fitting.sampling import conform_and_encode, iterate_recordings, recordings
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes
from areca_units.options import BpeConfig

FIRST_CHARACTER = 0xF0000
"""Character of unit 0; later units follow through Unicode's private planes, which no text uses and no rule changes."""
_FILE = "bpe.json"
_CHUNK = 64
"""Recordings encoded at once."""
_LEAST_COUNT = 2
"""A pair must occur at least twice to be merged."""


class Bpe:
    """A tokenizer that replaces frequent sequences of another tokenizer's units by single units.

    The merger treats a recording as one word: a merge can be anywhere in a recording, but never spans two.

    Args:
        tokenizer: the inner tokenizer.
        merger: a ``tokenizers.Tokenizer`` with the merges.
    """

    def __init__(self, tokenizer: Any, merger: Any) -> None:
        self.tokenizer, self._merger = tokenizer, merger
        pieces = merger.get_vocab()
        self._units = [torch.tensor(text_to_units(p)) for p in sorted(pieces, key=pieces.__getitem__)]
        self._lengths = torch.tensor([len(u) for u in self._units])

    @staticmethod
    def fit(config: BpeConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Train the merges on the units of the training split, source and target side.

        Raises:
            InvalidManifest: the training split has no audio.
        """
        spec = job.specs["tokenizer"]
        assert isinstance(spec, TokenizerSpec), "core gives each need a part of its kind"
        selected = recordings(data)
        count = min(len(selected), config.sample_utterances)

        def compute(audios: list[Audio]) -> dict[str, torch.Tensor]:
            units = [codes.streams[0] for codes in conform_and_encode(needs["tokenizer"], spec, audios)]
            return {"units": torch.cat(units), "lengths": torch.tensor([len(x) for x in units])}

        units: list[torch.Tensor] = []
        for chunk in iterate_recordings(
            data, selected, compute, seed=job.seed, chunk_size=_CHUNK, folder=job.work / "units", limit=count
        ):
            units += torch.split(chunk["units"], chunk["lengths"].tolist())
            job.progress(len(units), count, "recordings encoded")
        train_merges(units, spec.streams[0].size, config.size).save(str(job.directory / _FILE))

    @staticmethod
    def load(
        config: BpeConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Bpe:
        """Wrap the inner tokenizer with the merges in `files`.

        Raises:
            InvalidArtifact: the file with the merges is missing or damaged.
        """
        assert files is not None, "a component with the tag fit is loaded from its artifact"
        try:
            return Bpe(needs["tokenizer"], Merger.from_file(str(files / _FILE)))
        except Exception as error:  # the library raises a plain Exception
            raise InvalidArtifact(f"{files / _FILE}: expected merges of units, got: {error}") from error

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Encode with the inner tokenizer and merge its units.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        return self.merge(self.tokenizer.encode(audios))

    def merge(self, codes: list[Codes]) -> list[Codes]:
        """Merge the inner tokenizer's units. `durations` are in frames of its base rate, so their sum is unchanged."""
        merged = self._merger.encode_batch([units_to_text(c.streams[0]) for c in codes])
        return [self._with_durations(c, torch.tensor(m.ids)) for c, m in zip(codes, merged, strict=True)]

    def expand(self, codes: Codes) -> Codes:
        """Undo `merge`: return the inner units, without durations, which cannot be recovered from their sums.

        Raises:
            InvalidCodes: a unit that the merger does not have.
        """
        ids = codes.streams[0]
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < len(self._units):
            raise InvalidCodes(
                f"bpe: expected units in [0, {len(self._units)}), got {int(ids.min())}, {int(ids.max())}"
            )
        return Codes((torch.cat([ids[:0], *(self._units[i] for i in ids.tolist())]),), None, codes.fingerprint)

    def _with_durations(self, codes: Codes, ids: torch.Tensor) -> Codes:
        lengths = self._lengths[ids]
        if codes.durations is not None:
            ends = codes.durations.cumsum(0)[lengths.cumsum(0) - 1]
            lengths = ends.diff(prepend=ends.new_zeros(1))
        return Codes((ids,), lengths, codes.fingerprint)


def train_merges(sequences: Iterable[torch.Tensor], units: int, size: int) -> Any:
    """Train merges with the Hugging Face library tokenizers.

    Args:
        sequences: one int64 ``[F]`` per recording, units in ``[0, units)``.
        units: number of distinct units; these keep their numbers.
        size: maximum number of units after merging; fewer if no remaining pair occurs twice.

    Returns:
        A ``tokenizers.Tokenizer``.
    """
    characters = [chr(FIRST_CHARACTER + i) for i in range(units)]
    merger = Merger(BPE())
    trainer = BpeTrainer(
        vocab_size=size, min_frequency=_LEAST_COUNT, initial_alphabet=characters, special_tokens=[], show_progress=False
    )
    merger.train_from_iterator(map(units_to_text, sequences), trainer)
    return merger


def units_to_text(units: torch.Tensor) -> str:
    """Return units, int64 ``[F]``, as private characters of Unicode."""
    return "".join(chr(FIRST_CHARACTER + u) for u in units.tolist())


def text_to_units(text: str) -> list[int]:
    """Undo `units_to_text`."""
    return [ord(c) - FIRST_CHARACTER for c in text]
