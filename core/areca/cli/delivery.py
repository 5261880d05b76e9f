"""Deliver answers to the user: speech to files, text to the screen. If that fails, answers are saved elsewhere."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from areca.cli.reporting import FAILED, NO_READER, drop_output, to_json
from areca.errors import StorageError
from areca.files import writing
from areca.files.faults import describe_machine_error
from areca.files.names import shorten_file_name

if TYPE_CHECKING:
    from areca.generation.requests import Result
    from areca.types import Audio

ANSWERS = "areca-answers"
"""Prefix of the files and folders for answers that could not be delivered."""


class Delivery:
    """Delivers each answer when it is ready. Leaving the context prints the JSON and saves undelivered texts.

    If speech cannot be written to its path, it is written to a new temporary folder. If standard output fails, speech
    is still written, and all texts are saved to a JSON file at the end. If the reader of a pipe has closed it, which is
    not a failure, only speech is written from then on.

    Args:
        items: the requests, in the order of their answers: paths of recordings, or texts.
        output: a file or folder for speech; None: the working directory.
        as_json: print all answers as JSON at the end, instead of each answer when it is ready.
    """

    def __init__(self, items: Sequence[Any], output: Path | None, *, as_json: bool) -> None:
        self._items, self._output, self._as_json = items, output, as_json
        self._rows: list[dict[str, Any]] = []
        self._paths: set[Path] = set()
        self._refused: OSError | None = None
        self._failed = False
        self._elsewhere: Path | None = None

    def probe(self) -> None:
        """Check that speech can be written.

        Raises:
            StorageError: speech cannot be written; the message says what to type.
        """
        try:
            writing.probe(self._folder)
        except StorageError as error:
            raise StorageError(f"{error}\n  to write speech to another folder: -o FOLDER") from error

    @property
    def _folder(self) -> Path:
        output = self._output or Path()
        return output.parent if output.suffix else output

    def __enter__(self) -> Delivery:
        return self

    def add(self, result: Result) -> None:
        """Write the answer's speech and print its text."""
        item, number = self._items[len(self._rows)], len(self._rows) + 1
        path = None if result.audio is None else self._write(result.audio, self._path(result.task, item, number))
        self._rows.append(to_row(result, path))
        if not self._as_json:
            self._print("\n".join(_format_lines(result, path)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._as_json and (self._rows or error is None):
            self._print(to_json(self._rows))
        if self._refused is not None:
            drop_output()
        if self._refused is not None and self._refused.errno != errno.EPIPE:
            self._failed = True
            self._save_texts(str(describe_machine_error(self._refused)))
        if error is None and self._failed:
            raise SystemExit(FAILED)
        if error is None and self._refused is not None:
            raise SystemExit(NO_READER)

    def _print(self, text: str, end: str = "\n") -> None:
        if self._refused is not None:
            return
        try:
            print(text, end=end, flush=True)
        except OSError as error:
            self._refused = error

    def _save_texts(self, reason: str) -> None:
        name = f"{ANSWERS}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.json"
        content = json.dumps(self._rows, indent=1) + "\n"  # ASCII: a file name may not be valid UTF-8
        for folder in self._list_folders():
            with contextlib.suppress(OSError):
                writing.write_text(folder / name, content)
                print(f"error: {reason}\n  the answers are in {folder / name}", file=sys.stderr)
                return
        print(f"error: {reason}\n  the answers: {content}", file=sys.stderr)

    def _list_folders(self) -> Iterator[Path]:
        yield self._folder
        yield Path()
        with contextlib.suppress(OSError):  # no temporary folder
            yield Path(tempfile.gettempdir())

    def _write(self, sound: Audio, path: Path) -> Path | None:
        """Write speech to `path` or, if that fails, to a temporary folder; return its path."""
        from areca import audio

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            audio.write(path, sound)
        except OSError as error:
            self._failed, reason = True, describe_machine_error(error) or str(error)
        else:
            return path
        try:
            self._elsewhere = self._elsewhere or Path(tempfile.mkdtemp(prefix=f"{ANSWERS}-"))
            audio.write(self._elsewhere / path.name, sound)
        except OSError:
            print(
                f"error: {reason}; its speech is lost, because temporary files cannot be written either",
                file=sys.stderr,
            )
            return None
        print(f"error: {reason}\n  the answer is in {self._elsewhere / path.name}", file=sys.stderr)
        return self._elsewhere / path.name

    def _path(self, task: str, item: Any, number: int) -> Path:
        """Return a path for the answer to a request, different from all others."""
        if self._output is not None and self._output.suffix:
            return self._output
        stem = item.stem if isinstance(item, Path) else f"text-{number}"
        path = self._folder / shorten_file_name(stem, f".{task}.wav")
        if path in self._paths:
            path = self._folder / shorten_file_name(stem, f"-{number}.{task}.wav")
        self._paths.add(path)
        return path


def to_row(result: Result, path: Path | None) -> dict[str, Any]:
    """Return an answer as JSON values.

    Args:
        result: the answer.
        path: the file of its speech, if there is one.
    """
    return {
        "input": result.name,
        "task": result.task,
        "texts": dict(result.texts),
        "audio": None if path is None else str(path),
        "audio_seconds": None if result.audio is None else round(result.audio.seconds, 3),
        "cut": result.cut,
        "trimmed_seconds": [round(seconds, 3) for seconds in result.trimmed_s],
        "seconds": round(result.seconds, 3),
    }


def _format_lines(result: Result, path: Path | None) -> Iterator[str]:
    yield result.name
    for field, text in result.texts.items():
        yield format_field(field) + text
    yield from format_ending(result, path)


def format_field(field: str) -> str:
    """Return what is before the text of a field."""
    return f"  {field:<12} "


def format_ending(result: Result, path: object) -> Iterator[str]:
    """Yield the lines after the texts of an answer.

    Args:
        result: the answer.
        path: where its speech is; None: it has none.
    """
    if path is not None and result.audio is not None:
        yield f"{format_field('speech')}{path} ({result.audio.seconds:.1f} s, made in {result.seconds:.1f} s)"
    if any(result.trimmed_s):
        before_s, behind_s = result.trimmed_s
        yield f"  left out     {before_s:.1f} s of silence before and {behind_s:.1f} s after the sound"
    if result.cut:
        yield "  the answer reached the length limit and was cut"
