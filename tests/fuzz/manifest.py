"""Manifests: rows of odd values, other encodings and line ends, damaged lines, compressed ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import torch
from hypothesis import strategies as st

from areca.audio import write
from areca.manifest import read_manifest, write_manifest
from areca.types import Audio
from tests.fuzz.inputs import Input
from tests.fuzz.mutate import VALUES, damaged, nested

INPUTS = 2500
WRITES = True  # the good rows of one go into another beside it
_COLUMNS = (
    *("id", "audio", "text", "language", "speaker", "split", "source", "offset_s", "duration_s", "target_audio"),
    *("target_text", "target_language", "extra", "Audio", "root", ""),
)
_PATHS = (
    *(
        "a.wav",
        "b.flac",
        "sub/c.wav",
        "./a.wav",
        "sub/../a.wav",
        "../outside/victim.wav",
        "/etc/passwd",
        "a\0b.wav",
        "",
    ),
    *("no.wav", "sub", "manifest.jsonl", "x" * 300, "é.wav", "CON", "a.wav\n", "//a.wav", "file:a.wav", "~/a.wav"),
)
_ENCODINGS = ("utf-8",) * 6 + ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252")
_NAMES = ("manifest.jsonl",) * 6 + ("manifest.jsonl.gz", "m.json", "é \n.jsonl", "-.jsonl", "manifest")
_DEPTHS = ("decode", "header", "path", None)


def prepare(folder: Path) -> None:
    """Write some recordings."""
    (folder / "sub").mkdir()
    for name, seconds in (("a.wav", 1.0), ("b.flac", 0.5), ("sub/c.wav", 0.1)):
        samples = 0.1 * torch.sin(torch.arange(int(16_000 * seconds)) / 20)
        write(folder / name, Audio(samples[None], 16_000))


_values = (
    st.sampled_from(VALUES)
    | st.floats()
    | st.integers()
    | st.text(max_size=20)
    | st.builds(nested, st.sampled_from((5, 99, 101, 900)))
)
_spans = st.sampled_from((0, 0.0, 0.25, 0.5, 1, 1.005, 1e9, -0.1))
_row = st.fixed_dictionaries(
    {"id": st.sampled_from(("a", "b", "c", "d")) | st.text(min_size=1, max_size=8)},
    optional={
        "audio": st.sampled_from(_PATHS[:3]) | st.sampled_from(_PATHS),
        "target_audio": st.sampled_from(_PATHS),
        "offset_s": _spans,
        "duration_s": _spans,
        "text": st.text(max_size=30),
        "language": st.sampled_from(("fr", "en", "French", "xx", "pt-BR")),
        "extra": st.dictionaries(st.text(max_size=5), _values, max_size=3),
    },
)


@st.composite
def strategy(draw: st.DrawFn, folder: Path) -> Input:
    """Draw a manifest beside the recordings, and how it is read."""
    random = Random(draw(st.integers(0, 2**64 - 1)))
    rows = draw(st.lists(_row, min_size=1, max_size=5))
    for row in rows:
        if draw(st.integers(0, 3)) == 0:
            row[draw(st.sampled_from(_COLUMNS))] = draw(_values)
    end = draw(st.sampled_from(("\n",) * 6 + ("\r\n", "\r", "\n\n", "\u2028", "")))
    ascii_only = draw(st.booleans())
    text = "".join(json.dumps(row, ensure_ascii=ascii_only) + end for row in rows)
    encoding = draw(st.sampled_from(_ENCODINGS))
    content = text.encode(encoding, errors="surrogatepass" if encoding.startswith("utf") else "replace")
    if draw(st.integers(0, 2)) == 0:
        content = damaged(content, random, content)
    name = draw(st.sampled_from(_NAMES))
    if name.endswith(".gz"):
        content = gzip.compress(content, mtime=0)
        content = damaged(content, random) if draw(st.booleans()) else content
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    depth = draw(st.sampled_from(_DEPTHS))
    return Input({**files, name: content}, {"name": name, "skip_bad": draw(st.booleans()), "depth": depth})


def run(folder: Path, arguments: Any) -> None:
    """Read a manifest, its key and its recordings, and write it again: it must be the same."""
    manifest = read_manifest(folder / arguments["name"], skip_bad=arguments["skip_bad"], depth=arguments["depth"])
    assert len(manifest.key) == 64
    for row in manifest.rows[:2]:
        if row.audio:
            manifest.audio(row)
    write_manifest(folder / "again.jsonl", manifest.rows)
    again = read_manifest(folder / "again.jsonl", depth="path")
    assert again.rows == manifest.rows and again.key == manifest.key
