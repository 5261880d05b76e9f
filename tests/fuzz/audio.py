"""Recordings of every container that is written here, damaged; headers of WAV made up; other things called audio."""

from __future__ import annotations

import contextlib
import shutil
import struct
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile
from hypothesis import strategies as st

from areca.audio import conform, header, read
from areca.generation.requests import read_sound
from tests.fuzz.inputs import Input
from tests.fuzz.mutate import NUMBERS, damaged

INPUTS = 4500
WRITES = False
_WAV = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610")
_AV = (
    *("m4a:aac", "mp4:aac", "mka:libopus", "mka:flac", "mka:pcm_s16le", "mka:aac", "webm:libopus", "ogg:libopus"),
    *("g722:g722", "wma:wmav2", "ac3:ac3", "tta:tta", "wv:wavpack", "caf:alac", "ts:aac", "avi:pcm_s16le"),
    *("amr:libopencore_amrnb", "mov:pcm_s16le", "mp2:mp2", "aac:aac", "mp3:libmp3lame", "flac:flac", "nut:mp2"),
)
_OTHER = {
    "page.mp3": b"<!DOCTYPE html><html><head><title>404</title></head><body>Not Found</body></html>",
    "pointer.wav": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
    "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n../outside/other.mp3\n#EXT-X-ENDLIST\n",
    "list.mka": b"ffconcat version 1.0\nfile other.mp3\n",
    "session.m4a": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "empty.wav": b"",
}
_PLAYLISTS = (b"#EXTM3U", b"ffconcat")
_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".g722", ".gsm", ".raw", ".xyz", "")
_RATES = (0, 1, 8000, 15_993, 15_999, 16_001, 16_008, 44_100, 655_350, 32_000_001, 2**31 - 1, 2**32 - 1)


def prepare(folder: Path) -> None:
    """Write a short recording in every form that is available; some containers hold a time or a random number."""
    time_s = np.arange(6400) / 16_000
    mono = 0.3 * np.sin(2 * np.pi * 300 * time_s) * np.hanning(6400)
    for number, (kind, subtype) in enumerate(_soundfile_forms()):
        with contextlib.suppress(soundfile.LibsndfileError, ValueError, TypeError):
            simple = subtype in ("GSM610", "OPUS") or number % 2
            samples = mono if simple else np.stack([mono, -0.5 * mono], 1)
            path = folder / f"{kind.lower()}-{subtype.lower()}.{'aif' if kind == 'AIFF' else kind.lower()}"
            soundfile.write(path, samples, 16_000 if simple else 44_100, subtype=subtype, format=kind)
    soundfile.write(folder / "raw.gsm", mono[::2], 8000, format="RAW", subtype="GSM610")
    for form in _AV:
        with contextlib.suppress(ImportError, ValueError, OSError):  # PyAV's errors are ValueErrors or OSErrors
            suffix, codec = form.split(":")
            _write_av(folder / f"av-{codec}.{suffix}", codec, mono)
    for path in folder.iterdir():
        if not path.stat().st_size:
            path.unlink()


def _soundfile_forms() -> list[tuple[str, str]]:
    forms = [("WAV", subtype) for subtype in _WAV]
    forms += [(kind, subtype) for kind in ("AIFF", "CAF", "AU", "FLAC") for subtype in ("PCM_16", "PCM_24", "FLOAT")]
    forms += [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]
    return forms + [(kind, soundfile.default_subtype(kind)) for kind in soundfile.available_formats() if kind != "RAW"]


def _write_av(path: Path, codec: str, mono: np.ndarray[Any, Any]) -> None:
    import av

    rates = {"libopus": 48_000, "ac3": 48_000, "wmav2": 44_100, "libopencore_amrnb": 8000}
    rate = rates.get(codec, 16_000)
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream(codec, rate=rate, layout="mono")
        resampler = av.AudioResampler(stream.format.name, "mono", rate, frame_size=stream.frame_size or 320)
        frame = av.AudioFrame.from_ndarray(mono.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        frames = [*resampler.resample(frame), *resampler.resample(None)]
        for packet in (p for f in (*frames, None) for p in stream.encode(f)):
            container.mux(packet)


@st.composite
def strategy(draw: st.DrawFn, folder: Path) -> Input:
    """Draw a recording, and the part of it to read."""
    seeds = sorted(p for p in folder.iterdir() if p.is_file())
    random = Random(draw(st.integers(0, 2**64 - 1)))
    kind = draw(st.sampled_from(("damaged",) * 12 + ("headers",) * 2 + ("other",)))
    if kind == "damaged":
        seed = random.choice(seeds)
        content, name = damaged(seed.read_bytes(), random, random.choice(seeds).read_bytes()), seed.name
    elif kind == "headers":
        content, name = _riff(draw, random), "made.wav"
    else:
        name = draw(st.sampled_from(sorted(_OTHER)))
        content = _OTHER[name]
    if draw(st.integers(0, 9)) == 0:
        name = Path(name).stem + draw(st.sampled_from(_SUFFIXES))
    spans = st.sampled_from((0.0, 0.1, 0.3999, 0.4, 1.0, 1e9))
    part = [draw(spans), draw(st.none() | spans)] if draw(st.booleans()) else [0.0, None]
    return Input({name: content}, {"name": name, "part": part, "rate": draw(st.sampled_from((16_000, 24_000, 8000)))})


def _riff(draw: st.DrawFn, random: Random) -> bytes:
    """Return a WAV whose header says what it likes."""
    number = st.sampled_from(NUMBERS) | st.integers(0, 2**32)
    code, channels, bits, align = (
        draw(st.sampled_from((1, 1, 3, 6, 17, 0xFFFE)) if i == 0 else number) for i in range(4)
    )
    if draw(st.booleans()):
        channels, bits, align = draw(st.sampled_from(((1, 16, 2), (8, 16, 16), (2, 32, 8), (1024, 8, 1024))))
    rate = draw(st.sampled_from(_RATES) | number)
    body = random.randbytes(draw(st.sampled_from((0, 1, 2, 1000, 20_000))))
    sizes = [draw(st.sampled_from((len(body), 0, 0xFFFF_FFFF, 0x7FFF_F000, len(body) // 2))) for _ in range(2)]
    form = struct.pack("<HHIIHH", code, channels % 2**16, rate % 2**32, rate * 2 % 2**32, align % 2**16, bits % 2**16)
    start = b"RIFF" + struct.pack("<I", (sizes[0] + 36) % 2**32) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return start + b"data" + struct.pack("<I", sizes[1]) + body


def arrange(folder: Path, arguments: Any, seeds: Path) -> None:
    """Put recordings where playlists point to."""
    for place in (folder, folder.parent / "outside"):
        shutil.copy(seeds / "mp3-mpeg_layer_iii.mp3", place / "other.mp3")


def run(folder: Path, arguments: Any) -> None:
    """Read the header, a part, and all of it, and bring that to a tokenizer's rate."""
    path = folder / arguments["name"]
    header(path)
    offset_s, duration_s = arguments["part"]
    if offset_s or duration_s:
        read(path, offset_s=offset_s, duration_s=duration_s)
    conform(read_sound(path), arguments["rate"], 1)
    assert not path.read_bytes().startswith(_PLAYLISTS), "a playlist was followed to another file"
