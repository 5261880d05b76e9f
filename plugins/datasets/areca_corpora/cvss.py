"""CVSS: English speech for CoVoST 2. Light: no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from areca import identified_by
from areca.options import listing_hash
from areca.rows.columns import Utterance
from areca.specs import DatasetSpec
from areca_corpora import common_voice
from areca_corpora.options import SPLITS, Dropped, SplitOptions, check_names, code_of, codes, require, text_of
from areca_corpora.tables import hash_tables, read_tsv

_COMMON_VOICE: Mapping[str, str] = MappingProxyType({"sv": "sv-SE", "zh": "zh-CN"})
"""Names of languages in Common Voice, where they differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CvssOptions(SplitOptions):
    """Options of `cvss`.

    The layout is that of https://github.com/google-research-datasets/cvss: a folder ``cvss_c_fr_en_v1.0`` for each
    language, with tables ``train.tsv`` (clip and translation, without a header) and speech ``train/CLIP.wav``. A clip
    is a file of Common Voice release 4. The translation is CVSS's normalised text: it is spelled as it is spoken.
    Sentences come from ``validated.tsv`` of Common Voice, unchanged except for white space at their ends.

    Raises:
        ValueError: an option is empty or names something twice.
    """

    root: Path = identified_by("identity")
    """Folder that holds the folders of the languages, such as ``cvss_c_fr_en_v1.0``."""
    common_voice: Path = identified_by("common_voice_identity")
    """Folder of Common Voice, release 4, which holds ``fr/clips`` and ``fr/validated.tsv``."""
    languages: tuple[str, ...]
    """Source languages, as in the names of the folders: ``fr``, ``zh``, ``sv``."""
    version: Literal["c", "t"] = "c"
    """``c``: all translations in one voice. ``t``: each in the voice of its source."""

    def __post_init__(self) -> None:
        check_names("languages", self.languages)
        check_names("splits", self.splits, SPLITS)

    def identity(self) -> Any:
        """Return the content of the tables, and the names and sizes of the translations' recordings."""
        names = [SPLITS[split] for split in self.splits]
        return [
            [hash_tables([self._table(language, name) for name in names])]
            + [listing_hash(self._folder(language) / name) for name in names]
            for language in self.languages
        ]

    def common_voice_identity(self) -> Any:
        """Return the names and sizes of the clips, and the table with their sentences."""
        names = [_COMMON_VOICE.get(language, language) for language in self.languages]
        return [common_voice.identify(self.common_voice, name, ["validated"]) for name in names]

    def folders(self) -> tuple[Path, Path]:
        """Return the folder of Common Voice and the folder of CVSS."""
        return self.common_voice, self.root

    def describe(self) -> DatasetSpec:
        """Return the source languages. The two sides have different sampling rates."""
        return DatasetSpec(codes(self.languages), None)

    def rows(self, dropped: Dropped) -> Iterator[Utterance]:
        """Yield a row for each translated clip."""
        for language in self.languages:
            yield from self._language_rows(language, dropped)

    def _language_rows(self, language: str, dropped: Dropped) -> Iterator[Utterance]:
        tables = {split: self._table(language, SPLITS[split]) for split in self.splits}
        columns = ("clip", "translation")
        lines = [(split, line) for split, path in tables.items() for line in read_tsv(path, dropped, columns=columns)]
        source = _COMMON_VOICE.get(language, language)
        wanted = {line.values["clip"] for _, line in lines}
        clips = common_voice.read_validated(self.common_voice, source, wanted, dropped)
        for split, line in lines:
            name, translation = line.values["clip"], text_of(line.values["translation"])
            sentence, speaker = map(text_of, clips.get(name, ("", "")))
            if name not in clips:
                dropped.add("not in validated.tsv of Common Voice", line.where)
            elif not sentence or not translation:
                dropped.add("the sentence or its translation is empty", line.where)
            else:
                yield Utterance(
                    id=f"{language}_en/{Path(name).stem}",
                    audio=common_voice.clip(source, name),
                    text=sentence,
                    language=code_of(language),
                    speaker=speaker,
                    split=split,
                    source=f"cvss-{self.version}",
                    target_audio=f"{self._folder(language).name}/{SPLITS[split]}/{name}.wav",
                    target_text=translation,
                    target_language="en",
                )

    def _folder(self, language: str) -> Path:
        name = f"cvss_{self.version}_{language}_en_v1.0"
        return require(self.root / name, f"the files of {name}.tar.gz, unpacked into a folder of that name")

    def _table(self, language: str, name: str) -> Path:
        return require(self._folder(language) / f"{name}.tsv", "the tables train.tsv, dev.tsv and test.tsv of CVSS")
