"""Kaldi data folders. Light: no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from areca import identified_by
from areca.options import content_hash, sizes_hash
from areca.rows.columns import Utterance
from areca.specs import DatasetSpec
from areca_corpora.options import (
    CorpusOptions,
    Dropped,
    check_language,
    code_of,
    codes,
    make_relative,
    require,
    text_of,
)
from areca_corpora.tables import Line, read_words

_TABLES = ("wav.scp", "segments", "text", "utt2spk", "utt2lang")


@dataclass(frozen=True, slots=True, kw_only=True)
class KaldiOptions(CorpusOptions):
    """Options of `kaldi`.

    The layout is that of https://kaldi-asr.org/doc/data_prep.html: ``wav.scp`` names the recordings; ``segments``,
    ``text``, ``utt2spk`` and ``utt2lang`` are optional. A recording must be a file: a command that ends in ``|`` is
    never run. Texts are unchanged except for white space at their ends.

    Raises:
        ValueError: there is no folder, or the language is not known.
    """

    train: Path | None = identified_by("identity", default=None)
    """Folder of the training split."""
    validation: Path | None = identified_by("identity", default=None)
    """Folder of the validation split."""
    test: Path | None = identified_by("identity", default=None)
    """Folder of the test split."""
    root: Path | None = identified_by("recordings_identity", default=None)
    """Folder of the recordings, where relative paths start (default: ``/``). Absolute paths must be in it."""
    language: str | None = None
    """Language of rows that ``utt2lang`` does not name."""

    def __post_init__(self) -> None:
        if not any((self.train, self.validation, self.test)):
            raise ValueError("give a folder: train=data/train")
        if self.language:
            check_language(self.language)

    def identity(self) -> Any:
        """Return the content of the files of the folders."""
        return [
            [split, [[name, content_hash(folder / name)] for name in _TABLES if (folder / name).is_file()]]
            for split, folder in self._splits()
        ]

    def recordings_identity(self) -> Any:
        """Return the names and sizes of the recordings."""
        names = {row.audio for row in self.rows(Dropped(skip_bad=True)) if row.audio}
        return sizes_hash(self.folders()[0], names)

    def folders(self) -> tuple[Path, Path]:
        """Return the folder of the recordings twice."""
        root = self.root or Path("/")
        return root, root

    def describe(self) -> DatasetSpec:
        """Return the language, if it is given."""
        return DatasetSpec(codes([self.language]) if self.language else (), None)

    def rows(self, dropped: Dropped) -> Iterator[Utterance]:
        """Yield a row for each segment, or for each recording if there are no segments."""
        for split, folder in self._splits():
            require(folder / "wav.scp", "a Kaldi data folder")
            recordings = {
                line.values["id"]: line.values["text"].strip() for line in read_words(folder / "wav.scp", dropped)
            }
            texts, speakers, languages = (_read(folder / name, dropped) for name in ("text", "utt2spk", "utt2lang"))
            for line, recording, start_s, end_s in _list_segments(folder, dropped):
                name, path = line.values["id"], recordings.get(recording)
                text = texts.get(name)
                if path is None:
                    dropped.add("its recording is not in wav.scp", line.where)
                elif path.endswith("|"):
                    dropped.add("the recording is a command, which is not run", line.where)
                elif texts and text is None:
                    dropped.add("it has no text", line.where)
                else:
                    yield Utterance(
                        id=name,
                        audio=make_relative(path, self.folders()[0]),
                        text=text,
                        language=code_of(languages.get(name) or self.language),
                        speaker=speakers.get(name),
                        split=split,
                        offset_s=start_s,
                        duration_s=end_s and round(end_s - start_s, 6),
                    )

    def _splits(self) -> list[tuple[str, Path]]:
        given = {"train": self.train, "validation": self.validation, "test": self.test}
        return [(split, folder) for split, folder in given.items() if folder is not None]


def _read(path: Path, dropped: Dropped) -> dict[str, str]:
    """Return what a file says of each utterance; nothing if there is no such file."""
    lines = read_words(path, dropped) if path.is_file() else ()
    found = {line.values["id"]: text_of(line.values["text"]) for line in lines}
    return {name: value for name, value in found.items() if value is not None}


def _list_segments(folder: Path, dropped: Dropped) -> Iterator[tuple[Line, str, float, float | None]]:
    """Yield line, recording, start and end of each segment; without segments, whole recordings."""
    path = folder / "segments"
    if not path.is_file():
        yield from ((line, line.values["id"], 0.0, None) for line in read_words(folder / "wav.scp", dropped))
        return
    for line in read_words(path, dropped):
        try:
            recording, start, end = line.values["text"].split()
            start_s, end_s = float(start), float(end)
            if not 0 <= start_s < end_s <= 1e9:
                raise ValueError
        except ValueError:
            dropped.refuse(line.where, "expected UTTERANCE RECORDING START END, in seconds")
        else:
            yield line, recording, start_s, end_s
