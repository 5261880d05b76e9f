"""Recognise other formats where a manifest is expected, and say how to convert them. Light."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from areca.errors import InvalidManifest, quote, shorten
from areca.rows.lines import describe_wrong_encoding, read_head

EXAMPLE = '{"id": "a1", "audio": "clips/a1.wav", "text": "bonjour", "language": "fr", "split": "train"}'
"""One line of a manifest."""
AUDIO_SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".g722", ".gsm", ".aif", ".aiff", ".webm", ".wma",
)  # fmt: skip
"""Lower-case suffixes of files of audio."""
_AUDIO_STARTS = re.compile(
    rb"RIFF....WAVE|RF64|fLaC|OggS|ID3|\xff[\xe2-\xfb]|FORM....AIF|....ftyp|\x1aE\xdf\xa3", re.DOTALL
)
_STARTS = (
    (
        re.compile(rb"PAR1"),
        "a Parquet file",
        "pandas.read_parquet gives its rows; write their audio as files\n"
        "  to use it without conversion: areca show parquet",
    ),
    (re.compile(rb"ARROW1|\xff\xff\xff\xff"), "an Arrow file", "datasets.Dataset.from_file gives its rows"),
    (re.compile(rb"PK\x03\x04|7z\xbc\xaf|.{257}ustar", re.DOTALL), "an archive", "unpack it first"),
    (re.compile(rb"\s*<(?:!doctype|html)", re.IGNORECASE), "a web page", "download the file itself"),
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer, not the file itself", "type: git lfs pull"),
)
_MOST_NAMES = 2000
"""Maximum number of names in a folder that are examined."""
_SAVED = "datasets.load_from_disk({path!r}) gives its rows; write each row's audio as a file, with soundfile.write"
_KALDI = "wav.scp gives audio, text gives text, utt2spk gives speaker, segments gives offset_s and duration_s"
_FOLDERS: tuple[tuple[str, str, str], ...] = (
    ("manifest.jsonl", "a folder that holds a manifest", "name the file: {path}/manifest.jsonl"),
    ("dataset_dict.json", "a Hugging Face dataset as `save_to_disk` writes it", _SAVED),
    ("state.json", "a Hugging Face dataset as `save_to_disk` writes it", _SAVED),
    (
        "wav.scp",
        "a Kaldi data folder",
        f"{_KALDI}\n  to use it without conversion: data: {{{{name: kaldi, train: {{path}}}}}}",
    ),
    (
        "*.parquet",
        "a folder of Parquet files",
        "datasets.load_dataset({path!r}) gives its rows; write their audio as files\n  to use it without conversion: "
        "data: {{name: parquet, path: {path}, columns: {{audio: NAME}}}}",
    ),
    ("*.arrow", "a folder of Arrow files", "datasets.load_dataset('arrow', data_files=...) gives its rows"),
    ("cuts*.jsonl*", "a folder of lhotse manifests", "name one of its files to see which column gives what"),
    ("recordings*.jsonl*", "a folder of lhotse manifests", "its recordings give audio, its supervisions the rest"),
    ("metadata.csv", "a folder of audio with metadata.csv", "a line of metadata.csv gives audio (file_name) and text"),
    ("metadata.jsonl", "a folder of audio with metadata.jsonl", "its file_name gives audio"),
    ("*.tsv", "a folder of tables", "name one of its files to see what it is"),
)
_CUT = (
    "recording.sources[0].source gives audio, start gives offset_s, duration gives duration_s, and supervisions[0] "
    "gives text, language and speaker\n  to use it without conversion: areca show lhotse"
)
_ROWS: tuple[tuple[frozenset[str], str, str], ...] = (
    (frozenset({"start", "duration", "supervisions"}), "lhotse cuts", _CUT),
    (
        frozenset({"sources", "sampling_rate"}),
        "lhotse recordings",
        "sources[0].source gives audio; text, language and speaker are in the supervisions",
    ),
    (
        frozenset({"recording_id", "start", "duration"}),
        "lhotse supervisions",
        "recording_id leads to audio, start gives offset_s, duration gives duration_s; text, language, speaker as here",
    ),
    (
        frozenset({"audio_filepath"}),
        "a NeMo manifest",
        "audio_filepath gives audio, offset gives offset_s, duration gives duration_s, and an id must be added\n"
        "  to use it without conversion: areca show jsonl",
    ),
    (frozenset({"file_name"}), "metadata of a Hugging Face audio folder", "file_name gives audio"),
)


def require_manifest(path: Path) -> None:
    """Refuse a path that is not a manifest, judging by its name and first lines; rows are not checked.

    Raises:
        InvalidManifest: there is no such file, or it has another format; the message says how to convert it.
        StorageError: the file cannot be read.
    """
    if problem := _describe_foreign(path):
        raise InvalidManifest(f"{shorten(path, 300)}: {problem}")


def _describe_foreign(path: Path) -> str | None:
    """Return what `path` is and how to convert it; None: it looks like a manifest."""
    if os.path.isdir(path):  # unlike Path.is_dir, it accepts a name that is too long
        what, hint = _classify_folder(path)
    elif os.path.isfile(path):
        head = read_head(path)
        if wrong := describe_wrong_encoding(path, head):
            return wrong
        classified = _classify_file(path, head)
        if classified is None:
            return None
        what, hint = classified
    else:
        kind = "not a file" if os.path.lexists(path) else "no such manifest"
        return f"{kind}; expected a JSON Lines file"
    return f"is {what}, expected a manifest: JSON Lines, as {EXAMPLE}\n  to make one: {hint}"


def _classify_folder(path: Path) -> tuple[str, str]:
    for pattern, what, hint in _FOLDERS:
        if next(path.glob(pattern), None) is not None:
            return what, hint.format(path=str(path))
    if next((name for name in _list_file_names(path) if name.lower().endswith(AUDIO_SUFFIXES)), None):
        return (
            "a folder of audio files",
            "a line for each file; id and audio are needed, text by tasks that read or write it\n"
            f"  to use it without conversion: data: {{name: audio-folder, root: {path}, text: none}}",
        )
    return "a folder", "a line for each recording"


def _list_file_names(path: Path) -> Iterator[str]:
    return itertools.islice((name for _, _, files in os.walk(path) for name in files), _MOST_NAMES)


def _classify_file(path: Path, head: bytes) -> tuple[str, str] | None:
    """Return what a file is and how to convert it; None: it looks like a manifest."""
    if _AUDIO_STARTS.match(head) or path.suffix.lower() in AUDIO_SUFFIXES:
        return "an audio file", "a line for each recording; to use a model on one: areca run CHECKPOINT IN.wav"
    for start, what, hint in _STARTS:
        if start.match(head):
            return what, hint
    lines = [line.strip() for line in head.decode("utf-8-sig", errors="replace").splitlines() if line.strip()][:20]
    if not lines:
        return "an empty file", "a line for each recording"
    if rows := [row for row in map(_parse_object, lines) if row is not None]:
        return _classify_rows(rows)
    if any(line.startswith('{"') for line in lines):  # a row that is cut off: the error names its line
        return None
    return _classify_text(path, lines)


def _parse_object(line: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, Mapping) else None


def _classify_rows(rows: list[Mapping[str, Any]]) -> tuple[str, str] | None:
    for columns, what, hint in _ROWS:
        if all(columns <= row.keys() for row in rows):
            return what, hint
    return None


def _classify_text(path: Path, lines: list[str]) -> tuple[str, str] | None:
    first, second = lines[0], lines[1] if len(lines) > 1 else ""
    if re.fullmatch(r"/[^\t]*", first) and re.fullmatch(r"[^\t]+\t\d+", second):
        return "a fairseq manifest", f"its first column gives audio, and the run's YAML says 'root: {first[:200]}'"
    if path.name in ("wav.scp", "text", "utt2spk", "segments"):
        return "a file of a Kaldi data folder", _KALDI
    if first[0] in "[{":
        return "JSON of one value", "a line for each row, each a JSON object, without commas between them"
    separator = max("\t,;", key=first.count)
    if first.count(separator) and (path.suffix.lower() in (".csv", ".tsv", ".txt") or first.count(separator) > 1):
        columns = ", ".join(quote(name.strip().strip('"'))[1:-1] for name in first.split(separator)[:12])
        kind, name = ("a table of tab-separated values", "tsv") if separator == "\t" else ("a CSV file", "csv")
        delimiter = ", delimiter: ';'" if separator == ";" else ""
        return f"{kind} whose first line is {columns}", (
            "csv.DictReader gives its rows; one of them names the audio\n  to use it without conversion: "
            f"data: {{name: {name}, path: {path}, columns: {{audio: NAME}}{delimiter}}}"
        )
    if "\ufffd" in first or not first.isprintable():
        return "not a text file" if "\0" in first else "text that is not JSON Lines", "a line for each recording"
    return f"text that starts with {quote(first)}", "a line for each recording"
