"""``areca run --stream``: answers that are printed and written while they grow."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tests import ROOT
from typer.testing import CliRunner

from areca import audio
from areca.cli.app import app
from areca.cli.streaming import StreamDelivery
from areca.errors import StorageError
from areca.sound.wav import GrowingWav, to_bytes, wav_header
from areca.system import AnswerPiece, System, load
from areca.types import Audio

SPEECH = str(ROOT / "examples" / "in.wav")
ASK = (SPEECH, "--source", "French", "--target", "English", "--stream")
RATE = 16_000
LINE = r"first text after \d+\.\d\d s, first audio after \d+\.\d\d s, real-time factor \d+\.\d\d"


@pytest.fixture(scope="module")
def nano() -> System:
    return load()


@pytest.fixture
def run(nano: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """``areca run`` in this process and a new folder, with the shipped model loaded once."""
    monkeypatch.setattr("areca.system.load", lambda *_, **__: nano)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: copy_context().run(CliRunner().invoke, app, ["run", *map(str, arguments)])


def chunk(count: int, seed: int = 0) -> Audio:
    return Audio(torch.rand(1, count, generator=torch.Generator().manual_seed(seed)) * 2.2 - 1.1, RATE)


def pieces(*counts: int, text: str = "fünf sechs") -> list[AnswerPiece]:
    """An answer of one text, a character a piece, and of chunks of audio."""
    words = [AnswerPiece("target.text", "text", c, None, n == len(text) - 1) for n, c in enumerate(text)]
    sounds = [
        AnswerPiece("target.audio", "audio", "", chunk(count, n) if count else None, n == len(counts) - 1)
        for n, count in enumerate(counts)
    ]
    return words + sounds


def whole(*counts: int) -> torch.Tensor:
    samples = torch.cat([chunk(count, n).samples for n, count in enumerate(counts)], 1)
    return (samples * 32768).round().clamp(-32768, 32767) / 32768


def deliver(items: list[Any], output: Path | None, answers: list[Any], **options: bool) -> None:
    with StreamDelivery(items, output, **{"as_json": False, "to_output": False, **options}) as delivery:
        for answer in answers:
            delivery.follow("s2st", answer, 0.5)


def test_a_streamed_answer_is_that_of_run(run: Any, nano: System, tmp_path: Path) -> None:
    done = run(*ASK, "-o", "new/out.wav")
    assert done.exit_code == 0, done.stderr
    expected = nano.run("asr+ast+s2st", audio=SPEECH, source="fr", target="en")
    assert expected.audio is not None
    texts = "".join(f"  {field:<12} {text}\n" for field, text in expected.texts.items())
    assert done.stdout.startswith(
        f"{SPEECH}\n{texts}  speech       new/out.wav ({expected.audio.seconds:.1f} s, made in"
    )
    assert re.fullmatch(f"{SPEECH}: {LINE}\n", done.stderr)
    written = audio.read(tmp_path / "new" / "out.wav")
    torch.testing.assert_close(written.samples, expected.audio.samples, atol=0.01, rtol=0)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.wav"]


def test_latencies_in_json(run: Any, tmp_path: Path) -> None:
    done = run("--text", "vingt trois", "--text", "onze", "-t", "tts", "--source", "fr", "--stream", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    assert [row["input"] for row in rows] == ["vingt trois", "onze"]
    for number, row in enumerate(rows, 1):
        assert row["audio"] == f"text-{number}.tts.wav"
        assert audio.read(tmp_path / row["audio"]).seconds == pytest.approx(row["audio_seconds"], abs=1e-3)
        assert row["first_text_seconds"] is None
        assert 0 < row["first_audio_seconds"] <= row["seconds"]
        assert row["real_time_factor"] == pytest.approx(row["seconds"] / row["audio_seconds"], rel=0.02)


def test_text_and_audio_come_while_the_answer_grows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen, out = list[tuple[str, int]](), tmp_path / "out.wav"

    def watched() -> Iterator[AnswerPiece]:
        for piece in pieces(100, 0, 300):
            yield piece
            drafts = [path.stat().st_size for path in tmp_path.iterdir()]
            seen.append((capsys.readouterr().out, sum(drafts)))
            assert not out.exists()

    deliver([Path("in.wav")], out, [watched()])
    assert "".join(text for text, _ in seen) == "in.wav\n  target.text  fünf sechs\n"
    assert [text for text, _ in seen[1:9]] == [*"ünf sech"]
    assert [size for _, size in seen[10:]] == [244, 244, 844]
    assert torch.equal(audio.read(out).samples, torch.cat([whole(100), whole(100, 1, 300)[:, 101:]], 1))
    assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]


def test_standard_output_is_one_wav_of_unknown_length(run: Any, tmp_path: Path) -> None:
    done = run(SPEECH, SPEECH, *ASK[1:], "-o", "-")
    assert done.exit_code == 0, done.stderr
    data = done.stdout_bytes
    assert data[:4] == b"RIFF" and data[4:8] == data[40:44] == b"\xff" * 4 and data[8:16] == b"WAVEfmt "
    assert done.stderr.count(SPEECH) == 4 and "  speech       standard output (" in done.stderr
    assert list(tmp_path.iterdir()) == []
    samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    assert samples.tobytes() == data[44:]
    (tmp_path / "piped.wav").write_bytes(data)  # and areca reads what it writes
    assert audio.read(tmp_path / "piped.wav").samples.shape[1] == len(samples)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-o", "-"), "--output -: standard output takes speech only with --stream: add it, or name a file"),
        (("-o", "-", "--stream", "--json"), "--output - and --json both use standard output: leave one out"),
        (("-o", "-", "--stream", "-t", "asr"), "--output -: task asr answers in text, which is printed: leave it out"),
        (("-o", "out.flac", "--stream"), "--output out.flac: --stream writes only .wav"),
    ],
)
def test_impossible_outputs_are_refused(run: Any, arguments: tuple[str, ...], says: str) -> None:
    done = run(SPEECH, "--source", "fr", "--target", "en", *arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"error: {says}\n")


def test_all_inputs_are_read_before_the_first_answer(run: Any, tmp_path: Path) -> None:
    soundfile.write("silent.wav", np.zeros(RATE), RATE)
    done = run(SPEECH, "silent.wav", *ASK[1:])
    assert done.exit_code == 1 and done.stdout == "" and "silent.wav" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["silent.wav"]


@pytest.mark.filterwarnings("default::areca.errors.ArecaWarning")
def test_beam_search_says_that_all_comes_at_the_end(run: Any) -> None:
    done = run("--text", "onze", "--text", "dix", "-t", "mt", *ASK[1:], "--decoding", "beam")
    assert done.exit_code == 0 and done.stdout.count("target.text") == 2
    assert done.stderr.count("warning: the decoding method Beam chooses among whole answers") == 1


def test_a_failure_leaves_nothing_half_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def failing() -> Iterator[AnswerPiece]:
        yield from pieces(100, 200)[:-1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver([Path("a.wav"), Path("b.wav")], tmp_path, [pieces(50), failing()], as_json=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.s2st.wav"]
    assert [row["input"] for row in json.loads(capsys.readouterr().out)] == ["a.wav"]


def test_speech_that_cannot_grow_is_written_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise StorageError("no space")

    monkeypatch.setattr(GrowingWav, "write", full)
    deliver([Path("in.wav")], tmp_path, [pieces(100, 200)])
    assert [path.name for path in tmp_path.iterdir()] == ["in.s2st.wav"]
    assert torch.equal(audio.read(tmp_path / "in.s2st.wav").samples, whole(100, 200))


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_written(tmp_path: Path) -> None:
    # A shell without job control starts what runs in its background deaf to Ctrl-C.
    code = "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from areca import cli\nsys.argv = ['areca', *sys.argv[1:]]\ncli.main()\n"
    command = [sys.executable, "-c", code, "run", *ASK, "-o", "out/out.wav"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert next(itertools.islice(process.stdout, 1, 2)).startswith(b"  source.text  ")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_header_is_that_of_libsndfile(tmp_path: Path) -> None:
    for channels in (1, 2):
        sound = Audio(torch.rand(channels, 50), 8000)
        audio.write(tmp_path / "a.wav", sound)
        data = to_bytes(sound)
        assert (tmp_path / "a.wav").read_bytes() == wav_header(8000, channels, len(data)) + data
