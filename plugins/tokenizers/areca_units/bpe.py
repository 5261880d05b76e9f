"""Acoustic byte-pair encoding (Shen et al. 2023, arXiv 2310.14580): units that often follow each other become one."""

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
"""Unit 0 is this character, and so on through Unicode's private planes: nobody's text, and no rule changes them."""
_FILE = "bpe.json"
_CHUNK = 64
"""Recordings encoded at once."""
_LEAST_COUNT = 2
"""A pair that was heard once is no regularity."""


class Bpe:
    """A tokenizer that says frequent sequences of another's units as one unit each.

    A recording is one word to the merger: a merge may reach anywhere in it, and none reaches across two.
    """

    def __init__(self, tokenizer: Any, merger: Any) -> None:
        self.tokenizer, self._merger = tokenizer, merger
        pieces = merger.get_vocab()
        self._units = [torch.tensor(units_of(p)) for p in sorted(pieces, key=pieces.__getitem__)]
        self._lengths = torch.tensor([len(u) for u in self._units])

    @staticmethod
    def fit(config: BpeConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Learn the merges on the units of the training split, of the translated side too where it has audio.

        Raises:
            InvalidManifest: the training split has no audio.
        """
        spec = job.specs["tokenizer"]
        assert isinstance(spec, TokenizerSpec), "core gives each need a part of its kind"
        found = recordings(data)
        wanted = min(len(found), config.sample_utterances)

        def compute(audios: list[Audio]) -> dict[str, torch.Tensor]:
            units = [codes.streams[0] for codes in conform_and_encode(needs["tokenizer"], spec, audios)]
            return {"units": torch.cat(units), "lengths": torch.tensor([len(x) for x in units])}

        units: list[torch.Tensor] = []
        for made in iterate_recordings(
            data, found, compute, seed=job.seed, at_once=_CHUNK, folder=job.work / "units", most=wanted
        ):
            units += torch.split(made["units"], made["lengths"].tolist())
            job.progress(len(units), wanted, "recordings to merge units of")
        learn(units, spec.streams[0].size, config.size).save(str(job.directory / _FILE))

    @staticmethod
    def load(
        config: BpeConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Bpe:
        """Wrap the loaded need ``tokenizer`` with the merges in `files`.

        Raises:
            InvalidArtifact: the file of the merges is missing or damaged.
        """
        assert files is not None, "a component with tag fit is loaded from its artifact"
        try:
            return Bpe(needs["tokenizer"], Merger.from_file(str(files / _FILE)))
        except Exception as error:  # the library raises no class of its own
            raise InvalidArtifact(f"{files / _FILE}: expected merges of units, got: {error}") from error

    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Encode with the inner tokenizer and merge.

        Raises:
            InvalidAudio: nothing, or audio of another rate or channel count.
        """
        return self.merge(self.tokenizer.encode(audios))

    def merge(self, codes: list[Codes]) -> list[Codes]:
        """Merge the inner tokenizer's units; `durations` counts frames of its base rate, so their sum stays."""
        merged = self._merger.encode_batch([text_of(c.streams[0]) for c in codes])
        return [self._joined(c, torch.tensor(m.ids)) for c, m in zip(codes, merged, strict=True)]

    def expand(self, codes: Codes) -> Codes:
        """Undo `merge`: return the inner units; durations that inner units had cannot be told from their sums.

        Raises:
            InvalidCodes: a unit that was never learnt.
        """
        ids = codes.streams[0]
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < len(self._units):
            raise InvalidCodes(
                f"bpe: expected units in [0, {len(self._units)}), got {int(ids.min())}, {int(ids.max())}"
            )
        return Codes((torch.cat([ids[:0], *(self._units[i] for i in ids.tolist())]),), None, codes.fingerprint)

    def _joined(self, codes: Codes, ids: torch.Tensor) -> Codes:
        lengths = self._lengths[ids]
        if codes.durations is not None:
            ends = codes.durations.cumsum(0)[lengths.cumsum(0) - 1]
            lengths = ends.diff(prepend=ends.new_zeros(1))
        return Codes((ids,), lengths, codes.fingerprint)


def learn(sequences: Iterable[torch.Tensor], units: int, size: int) -> Any:
    """Learn merges by the Hugging Face tokenizers library.

    Args:
        sequences: int64 ``[F]``, one a recording, units in ``[0, units)``.
        units: number of distinct units; these keep their numbers.
        size: units after merging, at most: fewer where no pair is left that occurs twice.

    Returns:
        A ``tokenizers.Tokenizer``.
    """
    characters = [chr(FIRST_CHARACTER + i) for i in range(units)]
    merger = Merger(BPE())
    trainer = BpeTrainer(
        vocab_size=size, min_frequency=_LEAST_COUNT, initial_alphabet=characters, special_tokens=[], show_progress=False
    )
    merger.train_from_iterator(map(text_of, sequences), trainer)
    return merger


def text_of(units: torch.Tensor) -> str:
    """Return units int64 ``[F]`` as private characters."""
    return "".join(chr(FIRST_CHARACTER + u) for u in units.tolist())


def units_of(text: str) -> list[int]:
    """Undo `text_of`."""
    return [ord(c) - FIRST_CHARACTER for c in text]
