"""The protocol of a manifest, which a dataset's `load` returns: rows, and access to their recordings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from areca.errors import InvalidManifest, shorten
from areca.rows.columns import Utterance

if TYPE_CHECKING:
    from areca.types import Audio

Column = Literal["audio", "target_audio"]
"""A column that names a recording."""


@runtime_checkable
class Manifest(Protocol):
    """Rows, and access to their recordings, which may be in a folder, in an archive or behind a stream.

    `areca.manifest.FileManifest` is the one that areca reads from JSON Lines. Any other object with these members can
    replace it, because core and plugins use no others. Rows with equal `audio`, `offset_s` and `duration_s` share
    a recording, and so do rows with equal `target_audio`: it is encoded once.
    """

    @property
    def rows(self) -> Sequence[Utterance]:
        """The utterances, in a fixed order, with unique ids. The sequence may read them lazily."""

    @property
    def key(self) -> str:
        """Hex digest that identifies rows and recordings; a dataset's is the key of its artifact."""

    @property
    def name(self) -> str:
        """Name for messages, such as the path of the manifest's file."""

    def select(self, split: str | None = None, source: str | None = None, language: str | None = None) -> Manifest:
        """Return the rows of a split, a source and a language (None: any), with their own key.

        `filter_rows` and `selected_key` do this for any manifest.

        Raises:
            InvalidManifest: there is no such row.
        """

    def audio(self, row: Utterance) -> Audio:
        """Return the row's recording, from `offset_s` on for `duration_s`, at its own sampling rate.

        Raises:
            InvalidManifest: the row has no recording.
            InvalidAudio: the recording cannot be decoded, or is not the one that the dataset was made from.
        """

    def target_audio(self, row: Utterance) -> Audio:
        """Return the recording of the row's translated side; errors as for `audio`."""


def filter_rows(
    manifest: Manifest, split: str | None = None, source: str | None = None, language: str | None = None
) -> tuple[Utterance, ...]:
    """Return a manifest's rows of a split, a source and a language (None: any).

    Raises:
        InvalidManifest: there is no such row.
    """
    wanted = _drop_none(split, source, language)
    chosen = tuple(row for row in manifest.rows if all(getattr(row, k) == v for k, v in wanted.items()))
    if not chosen:
        present = {k: sorted({str(getattr(row, k)) for row in manifest.rows}) for k in wanted}
        raise InvalidManifest(f"{manifest.name}: no row with {shorten(wanted)}; there are {shorten(present)}")
    return chosen


def selected_key(key: str, split: str | None = None, source: str | None = None, language: str | None = None) -> str:
    """Return the key of a selection from the manifest with `key`; the arguments are those of `filter_rows`."""
    return hash_json([key, _drop_none(split, source, language)])


def hash_json(value: Any) -> str:
    """Return the sha256 of `value` as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _drop_none(split: str | None, source: str | None, language: str | None) -> dict[str, str]:
    values = {"split": split, "source": source, "language": language}
    return {name: value for name, value in values.items() if value is not None}
