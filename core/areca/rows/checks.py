"""Checks of the files that a manifest row names: they exist, are long enough, and can be decoded."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from areca import audio
from areca.errors import InvalidAudio, InvalidManifest, MissingDependency
from areca.rows.columns import Utterance
from areca.rows.paths import Paths
from areca.sound.decoding import LONGEST_S, ROUNDED_S
from areca.sound.hearing import require_audible

Depth = Literal["path", "header", "decode"]


class Files(Paths):
    """The files of one manifest. A file that several rows share is opened once."""

    def __init__(self, root: Path, *, allow_absolute: bool) -> None:
        super().__init__(root, allow_absolute=allow_absolute)
        self._headers: dict[str, audio.Header] = {}
        self._decoded: set[tuple[str, float, float | None]] = set()

    def check(self, row: Utterance, depth: Depth) -> None:
        """Check the files of a row.

        Args:
            row: the row.
            depth: ``"path"``: the files exist; ``"header"``: they are also long enough; ``"decode"``: they can also be
                decoded in full.

        Raises:
            InvalidManifest: a check fails, or a decoder is not installed.
        """
        spans = {"audio": (row.offset_s, row.duration_s), "target_audio": (0.0, None)}
        for column, (offset_s, duration_s) in spans.items():
            if (relative := getattr(row, column)) is None:
                continue
            path = self.resolve(relative)
            try:
                if depth == "path":
                    audio.require_file(path)
                    continue
                if depth == "decode" and duration_s is None and not offset_s:
                    self._decode(path, offset_s, duration_s)  # which also finds the length
                _check_length(column, path, self._header(path), offset_s, duration_s)
                if depth == "decode":
                    self._decode(path, offset_s, duration_s)
            except (InvalidAudio, MissingDependency) as error:
                raise InvalidManifest(f"{column}: {error}") from error

    def _decode(self, path: str, offset_s: float, duration_s: float | None) -> None:
        if (path, offset_s, duration_s) in self._decoded:
            return
        recording = require_audible(audio.read(path, offset_s=offset_s, duration_s=duration_s))
        if duration_s is None and not offset_s:
            self._headers[path] = audio.Header(recording.seconds, recording.sample_rate_hz, recording.channels)
        self._decoded.add((path, offset_s, duration_s))

    def _header(self, path: str) -> audio.Header:
        if path not in self._headers:
            self._headers[path] = audio.header(path)
        return self._headers[path]


def _check_length(column: str, path: str, header: audio.Header, offset_s: float, duration_s: float | None) -> None:
    seconds = header.seconds
    if offset_s >= seconds:
        raise InvalidManifest(f"offset_s is {offset_s:g}, but the {column} lasts {seconds:.3f} s")
    if duration_s is not None and offset_s + duration_s > seconds + ROUNDED_S:
        end_s = offset_s + duration_s
        raise InvalidManifest(f"offset_s + duration_s is {end_s:g}, but the {column} lasts {seconds:.3f} s")
    if (length_s := seconds - offset_s if duration_s is None else duration_s) > LONGEST_S:
        raise InvalidManifest(
            f"{column} lasts {length_s:.0f} s, more than {LONGEST_S:g} s; cut it with offset_s and duration_s"
        )
    audio.require_short(path, dataclasses.replace(header, seconds=length_s))
