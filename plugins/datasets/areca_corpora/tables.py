"""Read the tables of corpora, line by line. Light: no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from areca.errors import InvalidManifest, quote, shorten, suggest
from areca.options import content_hash
from areca_corpora.options import Dropped


class Line(NamedTuple):
    """A line of a table.

    Args:
        where: file and line, for messages.
        values: its values by column.
        split: its split, if the place of the line states it.
    """

    where: str
    values: dict[str, str]
    split: str | None = None


def read_tsv(
    path: Path,
    dropped: Dropped,
    *,
    columns: Sequence[str] | None = None,
    needed: Sequence[str] = (),
    escaped: bool = False,
) -> Iterator[Line]:
    """Yield the lines of a table whose values are separated by tabs. Quotation marks have no meaning.

    Args:
        path: the file, in UTF-8, plain or compressed with gzip.
        dropped: counts corrupt lines, or refuses them.
        columns: names of the columns of a table without a header; None: the first line has them.
        needed: columns that the header must have.
        escaped: whether a backslash takes the special meaning from the character behind it.

    Raises:
        InvalidManifest: the header lacks a column, or a line is corrupt: not UTF-8, or with more or fewer values than
            the table has columns.
    """
    for where, line in _decode_lines(path, dropped):
        values = _split(line, escaped)
        if columns is None:
            columns = require_columns(where, values, needed)
        elif len(values) != len(columns):
            dropped.refuse(where, f"expected {len(columns)} values separated by tabs, got {len(values)}")
        else:
            yield Line(where, dict(zip(columns, values, strict=True)))


def read_words(path: Path, dropped: Dropped) -> Iterator[Line]:
    """Yield ``id`` and ``text`` of each line; a space separates them. Arguments and errors are those of `read_tsv`."""
    for where, line in _decode_lines(path, dropped):
        name, _, text = line.partition(" ")
        yield Line(where, {"id": name, "text": text})


def _decode_lines(path: Path, dropped: Dropped) -> Iterator[tuple[str, str]]:
    """Yield place and text of each line that is not blank."""
    from areca.rows.lines import read_lines  # imported here because `areca list` reads no table

    for number, content in read_lines(path):
        where = f"{path}:{number}"
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            dropped.refuse(where, f"not UTF-8 text ({error.reason} at byte {error.start})")
        else:
            yield where, text.rstrip("\r\n")


def read_csv(path: Path, dropped: Dropped, delimiter: str) -> Iterator[Line]:
    """Yield the lines of a table with a header and with quotation marks around values that need them.

    Args:
        path: the file, in UTF-8.
        dropped: counts corrupt lines, or refuses them.
        delimiter: the character between values.

    Raises:
        InvalidManifest: the header is corrupt, or a line is, as for `read_tsv`.
        StorageError: the file cannot be read.
    """
    import csv

    from areca.files.writing import wrap_storage_errors

    columns: Sequence[str] | None = None
    with (
        wrap_storage_errors(path, "read"),
        path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file,
    ):
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        while True:
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                dropped.refuse(f"{path}:{reader.line_num}", str(error))
                continue
            where = f"{path}:{reader.line_num}"
            if columns is None:
                columns = require_columns(where, values, ())
            elif problem := _find_problem(values, columns):
                dropped.refuse(where, problem)
            elif values:
                yield Line(where, dict(zip(columns, values, strict=True)))


def _find_problem(values: Sequence[str], columns: Sequence[str]) -> str | None:
    if values and len(values) != len(columns):
        return f"expected {len(columns)} values, got {len(values)}"
    if any("\ud800" <= c <= "\udfff" for value in values if not value.isascii() for c in value):
        return "not UTF-8 text"  # the decoder replaces such bytes by half of a surrogate pair
    return None


def _split(line: str, escaped: bool) -> list[str]:
    if not escaped or "\\" not in line:
        return line.split("\t")
    import csv

    return next(csv.reader([line], delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\"))


def require_columns(where: str, header: Sequence[str], needed: Sequence[str]) -> Sequence[str]:
    """Return a table's header.

    Raises:
        InvalidManifest: it lacks one of the columns in `needed`, or has one twice.
    """
    if len(set(header)) < len(header):
        raise InvalidManifest(f"{where}: the header has a column twice: {shorten(', '.join(header))}")
    for column in needed:
        if column not in header:
            hint = suggest(column, header)
            raise InvalidManifest(f"{where}: no column {quote(column)}{hint}; there are {shorten(', '.join(header))}")
    return header


def hash_tables(paths: Sequence[Path]) -> list[str]:
    """Return the sha256 of the content of each table, for artifact keys."""
    return [content_hash(path) for path in paths]
