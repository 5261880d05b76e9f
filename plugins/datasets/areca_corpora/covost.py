"""CoVoST 2: translations of Common Voice. Light: no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from areca import identified_by
from areca.rows.columns import Utterance
from areca.specs import DatasetSpec
from areca_corpora import common_voice
from areca_corpora.options import SPLITS, Dropped, SplitOptions, check_names, code_of, codes, require, text_of
from areca_corpora.tables import Line, hash_tables, read_tsv

_LAYOUT = (
    "the folder with covost_v2.PAIR.tsv as it is unpacked, or with the tables covost_v2.PAIR.SPLIT.tsv that "
    "get_covost_splits.py writes"
)
_TRAIN = ("train", "train_covost")
"""Values of the column ``split`` that belong to the training split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CovostOptions(SplitOptions):
    """Options of `covost2`.

    The layout is that of https://github.com/facebookresearch/covost: tables ``covost_v2.fr_en.train.tsv`` with the
    columns ``path, sentence, translation, client_id``, or, if there are none, ``covost_v2.fr_en.tsv`` with the columns
    ``path, translation, split``, joined to ``validated.tsv`` of Common Voice. Both write a backslash before special
    characters. Sentences and translations are unchanged except for these backslashes and white space at their ends.

    Raises:
        ValueError: an option is empty or names something twice, or a pair has not the form ``fr_en``.
    """

    root: Path = identified_by("identity")
    """Folder of the tables."""
    common_voice: Path = identified_by("common_voice_identity")
    """Folder of Common Voice, release 4, which holds ``fr/clips``."""
    pairs: tuple[str, ...]
    """Pairs of languages, as in the names of the tables: ``fr_en``, ``en_de``, ``zh-CN_en``."""

    def __post_init__(self) -> None:
        check_names("pairs", self.pairs)
        check_names("splits", self.splits, SPLITS)
        for pair in self.pairs:
            if len([name for name in pair.split("_") if name]) != 2:
                raise ValueError(f"pairs: {pair!r} is not a pair of languages like fr_en")

    def identity(self) -> Any:
        """Return the content of the tables."""
        return [hash_tables(self._tables(pair) or [self._whole(pair)]) for pair in self.pairs]

    def common_voice_identity(self) -> Any:
        """Return the names and sizes of the clips, and the tables of Common Voice that are read."""
        return [
            common_voice.identify(self.common_voice, pair.split("_")[0], [] if self._tables(pair) else ["validated"])
            for pair in self.pairs
        ]

    def folders(self) -> tuple[Path, Path]:
        """Return the folder of Common Voice twice."""
        return self.common_voice, self.common_voice

    def describe(self) -> DatasetSpec:
        """Return the source languages. The sampling rate differs between clips."""
        return DatasetSpec(codes([pair.split("_")[0] for pair in self.pairs]), None)

    def rows(self, dropped: Dropped) -> Iterator[Utterance]:
        """Yield a row for each translated clip."""
        for pair in self.pairs:
            for split, line in self._lines(pair, dropped):
                values = line.values
                name, sentence, translation = map(text_of, (values["path"], values["sentence"], values["translation"]))
                if name and sentence and translation:
                    yield _row(pair, split, common_voice.clip_name(name), sentence, translation, values["client_id"])
                else:
                    dropped.add("the sentence or its translation is empty", line.where)

    def _tables(self, pair: str) -> list[Path]:
        """Return the table of each split; nothing if there is none."""
        paths = [self.root / f"covost_v2.{pair}.{SPLITS[split]}.tsv" for split in self.splits]
        return [require(path, _LAYOUT) for path in paths] if any(path.exists() for path in paths) else []

    def _whole(self, pair: str) -> Path:
        return require(self.root / f"covost_v2.{pair}.tsv", _LAYOUT)

    def _lines(self, pair: str, dropped: Dropped) -> Iterator[tuple[str, Line]]:
        """Yield split and line of each clip, with the columns of the tables of splits."""
        needed = ("path", "sentence", "translation", "client_id")
        if tables := self._tables(pair):
            for split, path in zip(self.splits, tables, strict=True):
                yield from ((split, line) for line in read_tsv(path, dropped, needed=needed, escaped=True))
        else:
            yield from self._join(pair, dropped)

    def _join(self, pair: str, dropped: Dropped) -> Iterator[tuple[str, Line]]:
        splits = {SPLITS[split]: split for split in self.splits}
        if "train" in splits:
            splits |= dict.fromkeys(_TRAIN, "train")
        needed = ("path", "translation", "split")
        lines = list(read_tsv(self._whole(pair), dropped, needed=needed, escaped=True))
        lines = [line for line in lines if line.values["split"] in splits]
        wanted = {common_voice.clip_name(line.values["path"]) for line in lines}
        clips = common_voice.read_validated(self.common_voice, pair.split("_")[0], wanted, dropped)
        for line in lines:
            if clip := clips.get(common_voice.clip_name(line.values["path"])):
                joined = {"sentence": clip[0], "client_id": clip[1]}
                yield splits[line.values["split"]], Line(line.where, line.values | joined)
            else:
                dropped.add("not in validated.tsv of Common Voice", line.where)


def _row(pair: str, split: str, name: str, sentence: str, translation: str, speaker: str) -> Utterance:
    source, target = pair.split("_")
    return Utterance(
        id=f"{pair}/{Path(name).stem}",
        audio=common_voice.clip(source, name),
        text=sentence,
        language=code_of(source),
        speaker=text_of(speaker),
        split=split,
        source="covost2",
        target_text=translation,
        target_language=code_of(target),
    )
