"""Deliver answers while they grow: text to the screen, speech to a file or to standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from areca.cli.delivery import Delivery, format_ending, format_field, to_row
from areca.errors import StorageError
from areca.generation.requests import Result
from areca.generation.speaking import join_audio
from areca.sound.wav import GrowingWav, to_bytes, wav_header

if TYPE_CHECKING:
    from areca.system import AnswerPiece
    from areca.types import Audio


class _Sink(Protocol):
    """Takes the speech of one answer."""

    def push(self, audio: Audio) -> None: ...

    def finish(self) -> Path | None:
        """Complete the speech, and return its file."""

    def discard(self) -> None:
        """Leave nothing half-written."""


class StreamDelivery(Delivery):
    """Delivers each answer while it grows, and states its latencies.

    Speech to a file is written as in `Delivery`: under its name once it is complete, elsewhere if that fails. Speech to
    standard output is one WAV of unknown length, and texts then go to standard error.

    Args:
        items: as in `Delivery`, as are the following.
        output: a file or folder for speech.
        as_json: print all answers as JSON at the end.
        to_output: write speech to standard output.
    """

    def __init__(self, items: Sequence[Any], output: Path | None, *, as_json: bool, to_output: bool) -> None:
        super().__init__(items, None if to_output else output, as_json=as_json)
        self._output_sink = _StandardOutput() if to_output else None

    def probe(self) -> None:
        """Check that speech can be written; see `Delivery.probe`."""
        if self._output_sink is None:
            super().probe()

    def follow(self, task: str, pieces: Iterable[AnswerPiece], took_s: float) -> None:
        """Deliver one answer.

        Args:
            task: name of the task.
            pieces: the pieces of the answer.
            took_s: seconds that it took to read and encode the request.
        """
        item, number = self._items[len(self._rows)], len(self._rows) + 1
        path = self._path(task, item, number)
        sink = self._output_sink or _File(path, lambda audio: self._write(audio, path))
        answer = _Answer(sink, self._show, took_s)
        self._show(f"{item}\n")
        try:
            for piece in pieces:
                answer.push(piece)
            file = sink.finish()
        except BaseException:
            sink.discard()
            raise
        result = answer.result(str(item), task)
        self._rows.append(to_row(result, file) | answer.latencies)
        del self._rows[-1]["trimmed_seconds"]  # not known here
        where = "standard output" if self._output_sink else file
        self._show("".join(f"{line}\n" for line in format_ending(result, where)))
        if not self._as_json:
            print(f"{item}: {answer.describe_latencies()}", file=sys.stderr)

    def _show(self, text: str) -> None:
        if self._output_sink:
            print(text, end="", file=sys.stderr, flush=True)
        elif not self._as_json:
            self._print(text, end="")


class _Answer:
    """One answer while it grows."""

    def __init__(self, sink: _Sink, show: Callable[[str], None], took_s: float) -> None:
        self._sink, self._show = sink, show
        self._start_s = time.perf_counter() - took_s
        self._texts: dict[str, str] = {}
        self._audios: list[Audio] = []
        self._cut = False
        self._first_s: dict[str, float] = {}
        self._seconds = 0.0

    def push(self, piece: AnswerPiece) -> None:
        """Deliver a piece."""
        self._seconds = time.perf_counter() - self._start_s
        self._cut |= piece.cut
        if piece.audio is not None:
            self._first_s.setdefault("audio", self._seconds)
            self._audios.append(piece.audio)
            self._sink.push(piece.audio)
        if piece.kind == "audio":
            return
        if piece.text:
            self._first_s.setdefault("text", self._seconds)
        lead = "" if piece.field in self._texts else format_field(piece.field)
        self._texts[piece.field] = self._texts.get(piece.field, "") + piece.text
        self._show(lead + piece.text + "\n" * piece.last)

    def result(self, name: str, task: str) -> Result:
        """Return the whole answer, without its codes."""
        return Result(name, task, self._texts, join_audio(self._audios), None, self._cut, self._seconds)

    @property
    def latencies(self) -> dict[str, float | None]:
        """Seconds to the first text and audio, and seconds of work for a second of speech; None: there is none."""
        speech_s = sum(audio.seconds for audio in self._audios)
        values = {
            "first_text_seconds": self._first_s.get("text"),
            "first_audio_seconds": self._first_s.get("audio"),
            "real_time_factor": self._seconds / speech_s if speech_s else None,
        }
        return {name: None if value is None else round(value, 3) for name, value in values.items()}

    def describe_latencies(self) -> str:
        """Return the latencies as one line."""
        text_s, audio_s, factor = self.latencies.values()
        parts = [
            "no text" if text_s is None else f"first text after {text_s:.2f} s",
            "no audio" if audio_s is None else f"first audio after {audio_s:.2f} s",
            "" if factor is None else f"real-time factor {factor:.2f}",
        ]
        return ", ".join(filter(None, parts))


class _File:
    """A WAV file that grows. If that fails, the whole speech is written at the end.

    Args:
        path: the file.
        write: writes the whole speech; returns its file.
    """

    def __init__(self, path: Path, write: Callable[[Audio], Path | None]) -> None:
        self._path, self._write = path, write
        self._audios: list[Audio] = []
        self._wav: GrowingWav | None = None
        self._failed = False

    def push(self, audio: Audio) -> None:
        self._audios.append(audio)
        self._try(lambda: self._open(audio).write(audio))

    def _open(self, audio: Audio) -> GrowingWav:
        self._wav = self._wav or GrowingWav(self._path, audio.sample_rate_hz, audio.channels)
        return self._wav

    def _try(self, work: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            work()
        except StorageError:
            self._failed = True
            self.discard()

    def finish(self) -> Path | None:
        whole = join_audio(self._audios)
        if whole is None:
            return None
        if self._wav is not None:
            self._try(self._wav.finish)
        return self._write(whole) if self._failed else self._path

    def discard(self) -> None:
        if self._wav is not None:
            self._wav.discard()


class _StandardOutput:
    """One WAV of unknown length, for the speech of all answers."""

    def __init__(self) -> None:
        self._begun = False

    def push(self, audio: Audio) -> None:
        header = b"" if self._begun else wav_header(audio.sample_rate_hz, audio.channels, None)
        self._begun, data = True, memoryview(header + to_bytes(audio))
        while data:  # unbuffered output takes only a part
            data = data[sys.stdout.buffer.write(data) :]
        sys.stdout.buffer.flush()

    def finish(self) -> None:
        return None

    def discard(self) -> None:
        pass
