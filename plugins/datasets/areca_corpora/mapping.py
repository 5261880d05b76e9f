"""Tables whose columns the user maps to those of a manifest. Light: no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from areca.errors import InvalidManifest, quote, shorten, suggest
from areca.rows.columns import Utterance
from areca.specs import DatasetSpec
from areca_corpora.options import CorpusOptions, Dropped, check_language, code_of, codes, text_of
from areca_corpora.tables import Line

COLUMNS = tuple(f.name for f in fields(Utterance) if f.name != "extra")
"""Columns of a manifest that a column of a table can give."""
SPLIT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "train": "train",
        "validation": "validation",
        "valid": "validation",
        "val": "validation",
        "dev": "validation",
        "test": "test",
    }
)
"""Splits by the usual names of their folders and files."""
_SECONDS = ("offset_s", "duration_s")
_MOST_S = 1e9
_LANGUAGES = ("language", "target_language")


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedOptions(CorpusOptions):
    """Options of tables by column mapping. Texts are unchanged except for white space at their ends.

    Raises:
        ValueError: `columns` names a column that a manifest does not have, or a language is not known.
    """

    columns: dict[str, str] = field(default_factory=dict)
    """Column of the table for each column of a manifest: ``{audio: path, text: sentence, extra.age: age}``. Others are
    not read. By default all columns of the table that have the name of a manifest's column."""
    language: str | None = None
    """Language of all rows, if no column has it."""
    target_language: str | None = None
    """Language of all translations, if no column has it."""
    split: str = "train"
    """Split of the rows, if nothing else states it."""

    def __post_init__(self) -> None:
        for name in self.columns:
            if name not in COLUMNS and not name.startswith("extra."):
                raise ValueError(
                    f"columns: a manifest has no column {name!r}{suggest(name, COLUMNS)}; it has "
                    f"{', '.join(COLUMNS)}, and extra.NAME for anything else"
                )
        for language in filter(None, (self.language, self.target_language)):
            check_language(language)

    def source(self) -> Path:
        """Return the file or folder of the table."""
        raise NotImplementedError

    def lines(self, dropped: Dropped) -> Iterator[Line]:
        """Yield the lines of the table."""
        raise NotImplementedError

    def choose(self, line: Line) -> Mapping[str, str]:
        """Return the column of the table for each column of the manifest, given the first line."""
        return choose_columns(self.source(), self.columns, tuple(line.values))

    def name_row(self, line: Line, recording: str) -> str:
        """Return the id of a row that no column names: it is unique in the table."""
        return f"{Path(recording).stem}-{line.where.rpartition(':')[2]}"

    def locate(self, recording: str) -> str:
        """Return the name of a recording in its place."""
        return recording

    def describe(self) -> DatasetSpec:
        """Return the language if it is known without the table."""
        return DatasetSpec(codes([self.language]) if self.language else (), None)

    def rows(self, dropped: Dropped) -> Iterator[Utterance]:
        """Yield a row for each line that names a recording."""
        columns: Mapping[str, str] | None = None
        for line in self.lines(dropped):
            columns = columns or self.choose(line)
            given = {name: text for name, column in columns.items() if (text := text_of(line.values.get(column, "")))}
            if "audio" not in given:
                dropped.add("it names no recording", line.where)
            elif problem := _find_problem(given):
                dropped.refuse(line.where, problem)
            else:
                yield self._row(line, given)

    def _row(self, line: Line, given: Mapping[str, str]) -> Utterance:
        values: dict[str, Any] = {"language": self.language, "target_language": self.target_language}
        values |= {"split": line.split or self.split} | {name: given[name] for name in given if name in COLUMNS}
        if "target_text" not in values and "target_audio" not in values:
            values["target_language"] = None
        values |= {name: code_of(values[name]) for name in _LANGUAGES}
        values |= {name: self.locate(values[name]) for name in ("audio", "target_audio") if name in values}
        values |= {name: float(values[name]) for name in _SECONDS if name in values}
        values.setdefault("id", self.name_row(line, given["audio"]))
        extra = {name.removeprefix("extra."): text for name, text in given.items() if name not in COLUMNS}
        return Utterance(**values, extra=extra)


def choose_columns(source: Path, wanted: Mapping[str, str], present: tuple[str, ...]) -> Mapping[str, str]:
    """Return the column of the table for each column of the manifest.

    Args:
        source: the table, for messages.
        wanted: the user's mapping; empty: columns of the table that have the name of a manifest's column.
        present: the columns of the table.

    Raises:
        InvalidManifest: the table lacks a column, or no column names the recording.
    """
    columns = wanted or {name: name for name in COLUMNS if name in present}
    there = f"the table has {shorten(', '.join(present))}"
    for name, column in columns.items():
        if column not in present:
            raise InvalidManifest(f"{source}: no column {quote(column)} for {name!r}; {there}")
    if "audio" not in columns:
        raise InvalidManifest(f"{source}: which column names the recording? {there}; type: columns={{audio: NAME}}")
    return columns


def _find_problem(given: Mapping[str, str]) -> str | None:
    for name in _SECONDS:
        if name in given and not _is_span(given[name], may_be_zero=name == "offset_s"):
            return f"{name} is {quote(given[name])}, expected a number of seconds"
    return None


def _is_span(value: str, *, may_be_zero: bool) -> bool:
    try:
        seconds = float(value)
    except ValueError:
        return False
    return 0 < seconds <= _MOST_S or (may_be_zero and seconds == 0)
