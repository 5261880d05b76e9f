"""Audio files in every container that can be written here: intact, truncated, with wrong lengths, and malicious."""

from __future__ import annotations

import math
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from tests import DATA

from areca.audio import header, read
from areca.errors import InvalidAudio, MissingDependency
from areca.sound import decoding, pyav_client

RATE = 16_000
CRASH = DATA / "crash.m4a"


def noise(seconds: float, rate: int = RATE, *, fading: bool = False) -> np.ndarray[Any, Any]:
    x = np.random.default_rng(0).normal(0, 0.1, round(seconds * rate))
    return (x * np.linspace(1, 0, len(x)) ** 4 if fading else x).astype(np.float32)


def encode(path: Path, samples: np.ndarray[Any, Any], codec: str, container: str, rate: int = RATE, **mux: str) -> Path:
    """Write mono samples by PyAV."""
    whole = (samples.clip(-1, 1) * 32767).astype(np.int16)[None]
    with av.open(str(path), "w", format=container, options=mux) as out:
        stream: Any = out.add_stream(codec, rate=rate, layout="mono")
        if "write_xing" in mux:
            stream.options = {"flags": "+qscale", "global_quality": "236"}  # a variable bit rate
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", frame_size=stream.frame_size or 320)
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="mono")
        frame.sample_rate = rate
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            for packet in stream.encode(part):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return path


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])
    return path


PYAV = {
    "webm": ("libopus", "webm", 48_000),
    "mka": ("pcm_s16le", "matroska", RATE),
    "mkv": ("aac", "matroska", RATE),
    "m4a": ("aac", "mp4", RATE),
    "mov": ("pcm_s16le", "mov", RATE),
    "alac.m4a": ("alac", "ipod", RATE),
    "3gp": ("libopencore_amrnb", "3gp", 8_000),
    "avi": ("libmp3lame", "avi", RATE),
    "flv": ("aac", "flv", 44_100),
    "wv": ("wavpack", "wv", RATE),
    "tta": ("tta", "tta", RATE),
}
SOUNDFILE = {
    "wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III", "aiff": "PCM_16", "au": "PCM_16",
    "w64": "PCM_16", "rf64": "PCM_16", "caf": "ALAC_16", "voc": "PCM_16", "nist": "PCM_16", "svx": "PCM_16",
    "avr": "PCM_16", "mat4": "FLOAT",
}  # fmt: skip
"""Formats that state how long they are."""


def written(directory: Path, name: str, seconds: float) -> Path:
    path = directory / f"a.{name}"
    if name in PYAV:
        codec, container, rate = PYAV[name]
        front = {"movflags": "faststart"} if container in ("mp4", "mov", "ipod", "3gp") else {}
        return encode(path, noise(seconds, rate), codec, container, rate, **front)
    soundfile.write(path, noise(seconds), RATE, format=name.upper(), subtype=SOUNDFILE[name])
    return path


@pytest.mark.parametrize("name", [*PYAV, *SOUNDFILE])
def test_whole_files_are_read_whole_and_cut_ones_refused(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, 5.0)
    whole = read(path)
    assert whole.seconds == pytest.approx(5.0, abs=0.15)  # AAC pads
    assert header(path).seconds == pytest.approx(whole.seconds, abs=0.15)
    content = path.read_bytes()
    for share in (0.9, 0.5, 0.3):
        path.write_bytes(content[: round(len(content) * share)])
        with pytest.raises(InvalidAudio, match=r"truncated|damaged|not audio that can be decoded|contains no"):
            read(path)


@pytest.mark.parametrize("name", ["webm", "mka", "mkv", "m4a", "wav", "flac", "ogg", "mp3"])
def test_a_part_is_complete_or_an_error(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, 5.0)
    rate = header(path).sample_rate_hz
    part = read(path, offset_s=1.0, duration_s=3.0)
    assert part.samples.shape[1] == 3 * rate
    assert bool((part.samples - read(path).samples[:, rate : 4 * rate]).abs().max() < 0.05)
    with pytest.raises(InvalidAudio, match=r"expected 3 s from 4 s on, got (0\.9|1\.[01])\d? s"):
        read(path, offset_s=4.0, duration_s=3.0)
    with pytest.raises(InvalidAudio, match="expected samples from 7 s on, got none"):
        read(path, offset_s=7.0)


def test_a_part_after_the_cut_is_refused_and_one_before_it_is_read(tmp_path: Path) -> None:
    path = cut(written(tmp_path, "webm", 5.0), 0.6)
    assert read(path, offset_s=0.5, duration_s=1.0).seconds == 1.0
    with pytest.raises(InvalidAudio, match=r"truncated, its header declares 5\.01 s, got 2\.\d\d s"):
        read(path, offset_s=2.0, duration_s=3.0)


@pytest.mark.parametrize(("name", "codec", "container"), [("a.g722", "g722", "g722"), ("a.aac", "aac", "adts")])
def test_headerless_streams_are_decoded_whole(tmp_path: Path, name: str, codec: str, container: str) -> None:
    path = encode(tmp_path / name, noise(1.0), codec, container)
    audio = read(path)
    assert (audio.sample_rate_hz, audio.channels) == (RATE, 1)
    assert audio.seconds == pytest.approx(1.0, abs=0.15)
    assert header(path).seconds == audio.seconds


@pytest.mark.parametrize("stated_s", [1.0, 3600.0])
def test_a_wrong_stated_length_is_refused(tmp_path: Path, stated_s: float) -> None:
    path = written(tmp_path, "mka", 5.0)
    content = path.read_bytes()
    place = content.index(b"\x44\x89\x88") + 3  # the element Duration, of 8 bytes
    path.write_bytes(content[:place] + struct.pack(">d", stated_s * 1000) + content[place + 8 :])
    assert header(path).seconds == stated_s
    with pytest.raises(InvalidAudio, match=rf"declares {stated_s:.2f} s, (but more follow|got 5\.00 s)"):
        read(path)


@pytest.mark.parametrize("fading", [False, True])
def test_mp3_without_a_stated_length_is_as_long_as_it_sounds(tmp_path: Path, fading: bool) -> None:
    path = encode(tmp_path / "a.mp3", noise(5.0, fading=fading), "libmp3lame", "mp3", write_xing="0")
    assert abs(soundfile.info(path).duration - 5.0) > 0.02  # an estimate, by far too low where it starts loud
    assert read(path).seconds == pytest.approx(5.0, abs=0.1)
    assert header(path).seconds == read(path).seconds
    assert read(path, offset_s=4.0, duration_s=0.9).seconds == pytest.approx(0.9)


def test_joined_mp3_files_are_rejected(tmp_path: Path) -> None:
    path = written(tmp_path, "mp3", 2.0)
    path.write_bytes(2 * path.read_bytes())
    for function in (read, header):
        with pytest.raises(InvalidAudio, match="another recording follows: files were joined"):
            function(path)


def wave(samples: bytes, riff: int, data: int) -> bytes:
    fmt = struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + fmt + b"data" + struct.pack("<I", data) + samples


@pytest.mark.parametrize("riff", [0, 36, 0xFFFF_FFFF])
def test_a_streamed_wav_is_read_and_one_with_a_wrong_size_rejected(tmp_path: Path, riff: int) -> None:
    path = tmp_path / "a.wav"
    whole = (noise(1.0) * 32767).astype("<i2")
    for data in (0, 0xFFFF_FFFF):
        path.write_bytes(wave(whole.tobytes(), riff, data))
        assert (read(path).samples[0].numpy() * 32768).astype(np.int16).tolist() == whole.tolist()
        assert header(path).seconds == 1.0
    path.write_bytes(wave(whole.tobytes(), riff, RATE))
    with pytest.raises(InvalidAudio, match="declares 16000 bytes of samples, but 16000 more follow"):
        read(path)
    path.write_bytes(wave(whole.tobytes() + b"LIST" + struct.pack("<I", 4) + b"INFO", riff, 2 * RATE))
    assert read(path).seconds == 1.0
    path.write_bytes(wave(b"LIST" + struct.pack("<I", 4) + b"INFO", riff, 0))
    with pytest.raises(InvalidAudio, match="expected samples from 0 s on, got none"):
        read(path)


NOT_AUDIO = {
    "page.mp3": (b"\n<!DOCTYPE html>\n<html><head><title>404</title></head></html>", "a web page"),
    "pointer.flac": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
    "annex.wav": (b"../../.git/annex/objects/X/y.wav", "git-annex pointer"),
    "answer.wav": (b'{"error": "not found"}', r"text \(JSON\): '{\"error\""),
    "list.m3u8": (b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:5,\nother.aac\n", "text: '#EXTM3U"),
    "list.mp3": (b"ffconcat version 1.0\nfile secret.wav\n", "text: 'ffconcat"),
    "wide.wav": ("\ufeffdeux mots".encode("utf-16-le"), "text: "),
    "book.mp3": (b"%PDF-1.7 \x00\x01", "a PDF document"),
    "corpus.wav": (b"PK\x03\x04" + bytes(40), "a ZIP archive: unpack it"),
    "numbers.wav": (b"\x93NUMPY\x01\x00", r"give \(numpy\.load\(path\), rate\)"),
    "long.wav": (b"word " * 4000, r"text: '.{0,80}$"),
}


@pytest.mark.parametrize("name", NOT_AUDIO)
def test_other_file_types_are_identified(tmp_path: Path, name: str) -> None:
    content, says = NOT_AUDIO[name]
    (tmp_path / name).write_bytes(content)
    for function in (read, header):
        with pytest.raises(InvalidAudio, match=rf"{name}: not audio that can be decoded: the file is .*{says}"):
            function(tmp_path / name)


def test_a_file_that_crashes_the_decoder_is_an_error_and_the_next_is_read(tmp_path: Path) -> None:
    good = written(tmp_path, "m4a", 1.0)
    for function in (read, header):
        with pytest.raises(InvalidAudio, match=r"crash\.m4a: crashes the decoder \(SIG[A-Z]+\)"):
            function(CRASH)
        assert read(good).seconds == pytest.approx(1.0, abs=0.15)


def test_the_worker_is_not_shared_with_forks_and_is_restarted_after_a_kill(tmp_path: Path) -> None:
    good = written(tmp_path, "m4a", 1.0)
    expected = read(good).samples
    helper = pyav_client._worker._process
    assert helper is not None
    assert read(good).samples.equal(expected) and pyav_client._worker._process is helper
    if (child := os.fork()) == 0:
        other = read(good).samples.equal(expected) and pyav_client._worker._process is not helper
        os._exit(0 if other else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert read(good).samples.equal(expected) and pyav_client._worker._process is helper
    helper.kill()
    helper.wait()
    assert read(good).samples.equal(expected)


def test_the_decoder_ends_with_its_caller(tmp_path: Path) -> None:
    good = written(tmp_path, "m4a", 1.0)
    code = f"""
import os
from areca import audio
from areca.sound import pyav_client
audio.read({str(good)!r})
print(pyav_client._worker._process.pid, flush=True)
if os.fork() == 0:
    os.close(1); os.close(2)
    import time; time.sleep(20)  # a fork that lives on holds the pipe open
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    helper = Path("/proc", done.stdout.strip(), "cmdline")
    deadline = 5.0
    while helper.exists() and b"pyav_worker" in helper.read_bytes() and deadline > 0:
        deadline -= 0.1
        subprocess.run(["sleep", "0.1"])
    assert deadline > 0


def test_the_worker_does_not_import_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = written(tmp_path, "m4a", 1.0)
    for name in ("av", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('ran')")
    monkeypatch.chdir(tmp_path)
    pyav_client.close()
    assert read(good.name).seconds == pytest.approx(1.0, abs=0.15)


def test_a_file_that_keeps_the_decoder_busy_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    source = Path(pyav_client._PROGRAM).read_text().replace("STALLED_S = 10.0", "STALLED_S = 0.3")
    program.write_text(source.replace("with av.open(", "while True: pass\n    with av.open("))
    good = written(tmp_path, "m4a", 1.0)
    monkeypatch.setattr(pyav_client, "_PROGRAM", program)
    pyav_client.close()
    with pytest.raises(InvalidAudio, match=r"a\.m4a: takes the decoder too long"):
        read(good)
    monkeypatch.undo()
    assert read(good).seconds == pytest.approx(1.0, abs=0.15)


def test_a_missing_or_unreadable_file_is_an_error_and_the_worker_continues(tmp_path: Path) -> None:
    read(written(tmp_path, "m4a", 1.0))
    helper = pyav_client._worker._process
    request = {"path": str(tmp_path / "gone.m4a"), "format": None, "offset_s": 0.0, "duration_s": None}
    with pytest.raises(InvalidAudio, match=r"gone\.m4a: not audio that can be decoded \(.*No such file"):
        pyav_client.decode(tmp_path / "gone.m4a", request | {"samples": True, "most": 1})
    assert pyav_client._worker._process is helper


def test_without_pyav_the_pip_line_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "a.g722", noise(0.1), "g722", "g722")
    pyav_client.close()  # the next file needs a new process, which needs PyAV
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependency, match=r"pip install 'areca\[formats\]'"):
        read(path)


def hostile(directory: Path, kind: str) -> Path:
    """Make a file of more samples than it says, or than its size lets one think."""
    if kind == "mka":
        path = encode(directory / "a.mka", np.zeros(120 * 48_000, np.float32), "alac", "matroska", 48_000)
        content = path.read_bytes()
        place = content.index(b"\x44\x89\x88") + 3
        path.write_bytes(content[:place] + struct.pack(">d", 1000.0) + content[place + 8 :])  # says that it lasts 1 s
        return path
    path = directory / "a.flac"
    with soundfile.SoundFile(path, "w", 192_000, 8) as file:
        block = np.zeros((192_000, 8), np.int16)
        for _ in range(39):
            file.write(block)
    if kind == "open":  # states no length, as what comes through a pipe
        content = path.read_bytes()
        path.write_bytes(content[:21] + bytes([content[21] & 0xF0, 0, 0, 0, 0]) + content[26:])
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        pytest.param("mka", "declares 1.00 s, but more follow", marks=pytest.mark.slow),
        pytest.param("wide", "more than 57600000", marks=pytest.mark.slow),
        ("open", "more than 57600000"),
    ],
)
def test_files_of_many_samples_take_little_memory(tmp_path: Path, kind: str, says: str) -> None:
    path = hostile(tmp_path, kind)
    code = f"""
import re
from areca import audio, errors
from areca.sound import pyav_client
def peak(pid):
    return int(re.search(r"VmHWM:\\s+(\\d+)", open(f"/proc/{{pid}}/status").read())[1]) // 1024
before = peak("self")
try:
    audio.read({str(path)!r})
    print("read")
except errors.InvalidAudio as error:
    print(error)
print(peak("self") - before, peak(pyav_client._worker._process.pid) if pyav_client._worker._process else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, sizes = done.stdout.splitlines()
    assert says in said
    assert all(int(size) < 300 for size in sizes.split()), sizes


def test_many_samples_are_refused_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_SAMPLES", 20_000)
    for name in ("flac", "m4a", "mp3"):
        path = written(tmp_path, name, 2.0)
        with pytest.raises(
            InvalidAudio, match=r"more than 20000 samples to decode at once .* 1 channel\(s\) at 16000 Hz"
        ):
            read(path)
        assert read(path, offset_s=0.5, duration_s=1.0).seconds == 1.0


def test_an_absurd_sample_rate_is_not_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    content = bytearray(wave((noise(1.0) * 32767).astype("<i2").tobytes(), 36 + 2 * RATE, 2 * RATE))
    for rate in (0, 1, 15_993, 33_000_000, 0x7FFF_FFFF, 0xFFFF_FFFF):
        content[24:28] = struct.pack("<I", rate)
        path.write_bytes(content)
        try:
            assert math.isfinite(header(path).seconds)
            assert bool(read(path).samples.isfinite().all())
        except InvalidAudio as error:
            assert str(path) in str(error)


def test_the_program_does_not_import_torch() -> None:
    code = f"import sys, runpy; runpy.run_path({str(pyav_client._PROGRAM)!r}); import av; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


PLAYLISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\n../outside.ts\n#EXT-X-ENDLIST\n",
    "b.mka": "ffconcat version 1.0\nfile 'beside.ts'\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_opens_no_other_file(name: str, tmp_path: Path) -> None:
    """Not text by the byte at its end, and so given to FFmpeg, which would read the files that it names."""
    (tmp_path / "data").mkdir()
    for place in ("outside.ts", "data/beside.ts"):
        encode(tmp_path / place, noise(1.0), "mp2", "mpegts")
    path = tmp_path / "data" / name
    path.write_bytes(PLAYLISTS[name].encode() + b"#\1\n")
    with pytest.raises(InvalidAudio, match=f"{name}: not audio that can be decoded"):
        read(path)


@pytest.mark.parametrize(
    "codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_s64le", "pcm_f32le", "pcm_f64le"]
)
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_every_sample_format_is_scaled_as_ffmpeg_scales_it(tmp_path: Path, codec: str, layout: str) -> None:
    path, samples = tmp_path / "x.nut", noise(0.5).reshape(1 if layout == "mono" else 2, -1)
    with av.open(str(path), "w", format="nut") as out:
        stream: Any = out.add_stream(codec, rate=RATE, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
        frame.sample_rate = RATE
        for part in av.AudioResampler(format=stream.format.name, layout=layout).resample(frame):
            for packet in [*stream.encode(part), *stream.encode(None)]:
                out.mux(packet)
    to_float = av.AudioResampler(format="fltp")
    with av.open(str(path)) as container:
        parts = [p.to_ndarray() for f in container.decode(audio=0) for p in to_float.resample(f)]
    np.testing.assert_array_equal(read(path).samples.numpy(), np.concatenate(parts, axis=1))


def test_the_suffix_does_not_determine_the_format(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", noise(0.5), RATE)
    os.rename(tmp_path / "x.wav", tmp_path / "x.raw")
    assert (read(tmp_path / "x.raw").seconds, header(tmp_path / "x.raw").seconds) == (0.5, 0.5)
