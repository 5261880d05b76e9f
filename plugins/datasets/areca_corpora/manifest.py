"""The manifest of a corpus whose recordings stay where they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from areca.errors import InvalidAudio, InvalidManifest, MissingDependency, quote
from areca.manifest import Column, Utterance, filter_rows, selected_key
from areca.types import Audio
from areca_corpora.places import Place


@dataclass(frozen=True)
class CorpusManifest:
    """A `areca.manifest.Manifest` whose recordings are in the user's folders or Parquet files.

    Args:
        rows: the utterances.
        key: key of the artifact, or of a selection from it.
        places: where the recordings in each column are.
        digests: sha256 of the content of each recording, by column and name.
        skipped: messages about rows that were left out.
    """

    rows: tuple[Utterance, ...]
    key: str
    places: Mapping[Column, Place]
    digests: Mapping[Column, Mapping[str, str]]
    skipped: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The folders of the recordings."""
        return " and ".join(dict.fromkeys(str(place.root) for place in self.places.values()))

    def select(
        self, split: str | None = None, source: str | None = None, language: str | None = None
    ) -> CorpusManifest:
        """Return the rows of a split, a source and a language (None: any), with their own key.

        Raises:
            InvalidManifest: there is no such row.
        """
        rows, key = filter_rows(self, split, source, language), selected_key(self.key, split, source, language)
        return dataclasses.replace(self, rows=rows, key=key)

    def audio(self, row: Utterance) -> Audio:
        """Decode the row's recording, from `offset_s` on for `duration_s`, at its own sampling rate.

        Raises:
            InvalidManifest: the row has no recording.
            InvalidAudio: the recording cannot be decoded, or has changed since the dataset was built.
            MissingDependency: PyAV is needed and not installed.
        """
        return self._read(row, "audio", row.offset_s, row.duration_s)

    def target_audio(self, row: Utterance) -> Audio:
        """Decode the recording of the row's translated side; errors as for `audio`."""
        return self._read(row, "target_audio", 0.0, None)

    def _read(self, row: Utterance, column: Column, offset_s: float, duration_s: float | None) -> Audio:
        name = getattr(row, column)
        if name is None:
            raise InvalidManifest(f"{self.name}: row {quote(row.id)} has no {column}")
        place = self.places[column]
        try:
            if place.digest(name) != self.digests[column].get(name):
                raise InvalidAudio(
                    f"{place.root}/{name}: changed since the dataset was built\n  put the old file back, or run the "
                    "command again to build the dataset from the new one; if both have one size, set ARECA_HOME to "
                    "another folder"
                )
            return place.read(name, offset_s, duration_s)
        except (InvalidAudio, MissingDependency) as error:
            raise type(error)(f"row {quote(row.id)}: {error}") from error
