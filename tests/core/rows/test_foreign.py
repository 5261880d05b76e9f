"""Files that are not manifests: `validate` and every reader name them and state what to do."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from areca.artifact import seal
from areca.cli.data import data
from areca.cli.validate import validate
from areca.errors import InvalidConfig, InvalidManifest
from areca.manifest import Utterance, read_manifest, write_manifest
from areca.rows.lines import LONGEST_LINE
from areca.rows.survey import survey

RATE = 8_000
ROW = {"id": "1", "audio": "a.wav", "text": "un", "language": "fr"}
RUN = "tokenizer: {name: mfcc-kmeans}\nbackbone: {name: decoder}\ntasks: [asr]\n"


def tone(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(RATE) / RATE
    soundfile.write(path, (0.3 * np.sin(2 * math.pi * 200 * t)).astype(np.float32), RATE)
    return path


def text(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def packed(path: Path, *rows: Any) -> Path:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return text(path, gzip.compress(content) if path.suffix == ".gz" else content)


def encoded(folder: Path, encoding: str) -> Path:
    return text(folder / "x.jsonl", json.dumps(ROW).encode(encoding))


CUT = {
    "id": "c", "start": 0.0, "duration": 1.0, "channel": 0, "type": "MonoCut",
    "supervisions": [{"id": "s", "recording_id": "r", "start": 0.0, "duration": 1.0, "text": "un"}],
    "recording": {"id": "r", "sources": [{"type": "file", "source": "a.wav"}], "sampling_rate": 8000},
}  # fmt: skip


def hugging_face(folder: Path) -> Path:
    text(folder / "data-00000-of-00001.arrow", b"\xff\xff\xff\xff")
    text(folder / "state.json", "{}")
    return text(folder / "dataset_info.json", "{}").parent


def kaldi(folder: Path) -> Path:
    text(folder / "text", "utt1 un\n")
    return text(folder / "wav.scp", "utt1 /corpora/a.wav\n").parent


def fifo(path: Path) -> Path:
    import os

    os.mkfifo(path)
    return path


FOREIGN: list[tuple[str, Callable[[Path], Path], str, str]] = [
    ("csv", lambda d: text(d / "x.csv", "path,sentence\na.wav,un\n"), "whose first line is path", "{name: csv, path"),
    ("common voice", lambda d: text(d / "x.tsv", "client_id\tpath\tsentence\n"), "tab-separated", "{name: tsv, "),
    ("csv as jsonl", lambda d: text(d / "x.jsonl", "id;audio;text\n1;a.wav;un\n"), "a CSV file", "delimiter: ';'}"),
    ("hugging face", lambda d: hugging_face(d / "x"), "a Hugging Face dataset", "datasets.load_from_disk('"),
    ("parquet", lambda d: text(d / "x" / "a.parquet", b"PAR1").parent, "a folder of Parquet files", "{name: parquet, "),
    ("parquet file", lambda d: text(d / "x.parquet", b"PAR1" + bytes(99)), "a Parquet file", "pandas.read_parquet"),
    ("kaldi", lambda d: kaldi(d / "x"), "a Kaldi data folder", "segments gives offset_s"),
    ("wav.scp", lambda d: kaldi(d / "x") / "wav.scp", "a file of a Kaldi data folder", "wav.scp gives audio"),
    ("cuts", lambda d: packed(d / "cuts.jsonl", CUT, CUT), "lhotse cuts", "recording.sources[0].source gives audio"),
    ("cuts.gz", lambda d: packed(d / "cuts.jsonl.gz", CUT, CUT), "lhotse cuts", "start gives offset_s"),
    ("cuts folder", lambda d: packed(d / "x" / "cuts.jsonl.gz", CUT).parent, "a folder of lhotse", "name one of its"),
    ("recordings", lambda d: packed(d / "r.jsonl.gz", CUT["recording"]), "lhotse recordings", "sources[0].source"),
    ("supervisions", lambda d: packed(d / "s.jsonl", CUT["supervisions"][0]), "lhotse supervisions", "recording_id"),
    ("nemo", lambda d: packed(d / "n.json", {"audio_filepath": "a.wav", "duration": 1}), "a NeMo manifest", "offset_s"),
    ("audiofolder", lambda d: packed(d / "metadata.jsonl", {"file_name": "a.wav"}), "audio folder", "file_name gives"),
    ("fairseq", lambda d: text(d / "train.tsv", "/corpora/x\na.wav\t8000\n"), "a fairseq manifest", "root: /corpora/x"),
    ("wavs", lambda d: tone(d / "x" / "deep" / "a.wav").parent.parent, "a folder of audio", "{name: audio-folder, "),
    ("audio", lambda d: tone(d / "a.wav"), "an audio file", "areca run CHECKPOINT"),
    ("renamed audio", lambda d: tone(d / "a.wav").rename(d / "a.jsonl"), "an audio file", "areca run CHECKPOINT"),
    ("json", lambda d: text(d / "x.json", json.dumps([ROW], indent=1)), "JSON of one value", "without commas"),
    ("empty", lambda d: text(d / "x.jsonl", ""), "an empty file", "a line for each recording"),
    ("empty gz", lambda d: packed(d / "x.jsonl.gz"), "an empty file", "a line for each recording"),
    ("folder", lambda d: text(d / "x" / "notes.md", "hello").parent, "a folder, expected", "a line for each recording"),
    ("ours", lambda d: packed(d / "x" / "manifest.jsonl", ROW).parent, "a folder that holds a manifest", "name the fi"),
    ("web page", lambda d: text(d / "x.jsonl", "<!DOCTYPE html><html>"), "a web page", "download the file itself"),
    ("lfs", lambda d: text(d / "x.jsonl", "version https://git-lfs.github.com/spec/v1\n"), "a Git LFS", "git lfs pull"),
    ("tar", lambda d: text(d / "x.tar", bytes(257) + b"ustar" + bytes(250)), "an archive", "unpack it first"),
    ("binary", lambda d: text(d / "x.bin", bytes(range(1, 256)) * 9), "text that is not JSON Lines", "a line for each"),
    ("prose", lambda d: text(d / "x.txt", "Once upon a time\n"), "text that starts with 'Once upon a time'", "a line"),
    ("utf-16", lambda d: encoded(d, "utf-16"), "is text in UTF-16,", "iconv -f UTF-16 "),
    ("utf-16le", lambda d: encoded(d, "utf-16-le"), "text in UTF-16LE", "-f UTF-16LE "),
    ("utf-16be", lambda d: encoded(d, "utf-16-be"), "text in UTF-16BE", "-f UTF-16BE "),
    ("utf-32", lambda d: encoded(d, "utf-32"), "text in UTF-32,", "iconv -f UTF-32 "),
    ("cr", lambda d: text(d / "x.jsonl", '{"id": "1"}\r{"id": "2"}\r'), "end in CR, expected LF", r"tr '\r' '\n' < "),
    ("missing", lambda d: d / "no" / "x.jsonl", "no such manifest; expected a JSON Lines file", ""),
    ("fifo", lambda d: fifo(d / "x.jsonl"), "not a file; expected a JSON Lines file", ""),
]  # fmt: skip


@pytest.mark.parametrize(("make", "what", "hint"), [row[1:] for row in FOREIGN], ids=[row[0] for row in FOREIGN])
def test_validating_and_reading_name_the_file_type_and_what_to_do(
    tmp_path: Path, make: Callable[[Path], Path], what: str, hint: str
) -> None:
    path = make(tmp_path)
    run = text(tmp_path / "run.yaml", RUN)
    said = []
    for look in (lambda: validate(run, [f"data={path}"]), lambda: read_manifest(path, skip_bad=True)):
        with pytest.raises(InvalidManifest) as raised:
            look()
        said.append(str(raised.value))
    assert said[0] == said[1]
    assert said[0].startswith(f"{path}: ")
    first, _, rest = said[0].partition("\n")
    assert what in first and hint in rest
    assert hint == "" or "to make one" in rest or "to convert it" in rest


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["own.jsonl", "own corpus.jsonl.gz"])
def test_the_line_that_converts_a_file_converts_it(tmp_path: Path, encoding: str, name: str) -> None:
    import subprocess

    tone(tmp_path / "a.wav")
    content = (json.dumps(ROW | {"text": "été"}, ensure_ascii=False) + "\n").encode(encoding)
    path = text(tmp_path / name, gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(InvalidManifest) as raised:
        read_manifest(path)
    command = str(raised.value).rpartition("to convert it: ")[2]
    subprocess.run(["bash", "-c", command], check=True)
    (new,) = tmp_path.glob("*-utf8.jsonl")
    assert [row.text for row in read_manifest(new).rows] == ["été"]


def test_validate_says_what_a_manifest_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tone(tmp_path / "a.wav")
    rows = [ROW | {"id": str(i), "split": "train" if i else "test", "target_language": "en"} for i in range(12)]
    path = packed(tmp_path / "own.jsonl.gz", *rows, {"id": "x", "text": "no audio"})
    run = text(tmp_path / "run.yaml", RUN + "data: own.jsonl.gz\n")
    validate(run)
    printed = capsys.readouterr().out
    assert f"data: {path}, 13 rows: languages en 12, fr 12; splits test 1, train 12\n" in printed
    assert "run 'run' is valid" in printed


def test_a_bad_row_is_not_valid(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav")
    path = packed(tmp_path / "own.jsonl", ROW, ROW | {"id": "2", "audio": "b.wav"})
    run = text(tmp_path / "run.yaml", RUN)
    with pytest.raises(InvalidManifest, match=rf"^{path}:2: audio: {tmp_path}/b\.wav: no such file"):
        validate(run, [f"data={path}"])
    packed(path, ROW, ROW | {"id": "2", "lang": "fr"})
    with pytest.raises(InvalidManifest, match=rf"^{path}:2: unknown column 'lang'"):
        validate(run, [f"data={path}"])


def test_only_the_first_rows_of_a_long_manifest_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("areca.rows.survey.MOST_ROWS", 3)
    path = packed(tmp_path / "own.jsonl", *({"id": str(i), "text": "x"} for i in range(4)))
    assert str(survey(path)) == "the first 3 rows: languages not given; splits train 3"


def test_validate_is_light(world: Any) -> None:
    text(world.directory / "own.jsonl", '{"id": "1", "text": "x"}\n')
    text(world.directory / "run.yaml", RUN + "data: own.jsonl\n")
    code = (
        "import json, sys; from pathlib import Path; from areca.cli.validate import validate\n"
        "validate(Path('run.yaml'))\n"
        "print(json.dumps([m for m in ('torch', 'numpy', 'soundfile') if m in sys.modules]))"
    )
    done = world.run("-c", code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_a_datasets_name_is_not_a_path(tmp_path: Path) -> None:
    run = text(tmp_path / "run.yaml", RUN)
    with pytest.raises(InvalidConfig, match=r"data: 'say' is a dataset: write 'data: \{name: say\}'"):
        validate(run, ["data=say"])
    validate(run, ["data={name: say}"])


def test_compressed_manifests_are_read_as_plain_ones(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav")
    plain = packed(tmp_path / "own.jsonl", ROW, {"id": "2", "text": "été"})
    small = packed(tmp_path / "own.jsonl.gz", ROW, {"id": "2", "text": "été"})
    assert read_manifest(small).rows == read_manifest(plain).rows
    assert read_manifest(small).key == read_manifest(plain).key
    data(str(small), output=str(tmp_path / "good.jsonl"))
    assert read_manifest(tmp_path / "good.jsonl").key == read_manifest(plain).key
    for length in (len(small.read_bytes()) // 2, len(small.read_bytes()) - 4):
        cut = text(tmp_path / "cut.jsonl.gz", small.read_bytes()[:length])
        with pytest.raises(InvalidManifest, match=r"cut\.jsonl\.gz.*(truncated or damaged|an empty file)"):
            read_manifest(cut, skip_bad=True)


def test_a_compressed_line_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b'{"id": "')
        for _ in range(LONGEST_LINE // 2**20 + 1):
            file.write(b"0" * 2**20)
    with pytest.raises(InvalidManifest, match=r"bomb\.jsonl\.gz:1: the line is longer than 16 MB"):
        read_manifest(path, skip_bad=True)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"id": str(i), "path": "a.wav"} for i in range(25)], "its first 20 rows are bad: correct how the file is"),
        ([{"id": str(i), "path": "a.wav"} for i in range(3)], "all 3 rows are bad: correct how"),
        ([{"id": "1", "path": "a.wav"}], "its only row is bad: correct how"),
        ([ROW, {"id": "2", "path": "a.wav"}, {"id": "3", "path": "a.wav"}], "to leave bad rows out: areca data "),
        ([{"id": "1", "path": "a.wav"}, ROW], "to leave bad rows out: areca data "),
    ],
)
def test_skipping_bad_rows_is_advised_only_if_good_rows_remain(
    tmp_path: Path, rows: list[dict[str, Any]], says: str
) -> None:
    tone(tmp_path / "a.wav")
    with pytest.raises(InvalidManifest, match="unknown column 'path'") as raised:
        read_manifest(packed(tmp_path / "own.jsonl", *rows))
    last = str(raised.value).splitlines()[-1]
    assert last.startswith(f"  {says}")
    assert ("--skip-bad" in last) == says.startswith("to leave")


def test_a_users_manifest_may_name_recordings_anywhere(tmp_path: Path) -> None:
    where = tone(tmp_path / "corpora" / "deep" / "a.wav")
    own = packed(tmp_path / "own" / "own.jsonl", ROW | {"audio": str(where)})
    manifest = read_manifest(own)
    assert manifest.audio(manifest.rows[0]).seconds == 1.0
    assert manifest.resolve(str(where)) == where
    relative = packed(tmp_path / "own" / "relative.jsonl", ROW | {"audio": "deep/a.wav"})
    with pytest.raises(InvalidManifest, match="no such file"):
        read_manifest(relative)
    rooted = read_manifest(relative, root=tmp_path / "corpora")
    assert rooted.audio(rooted.rows[0]).seconds == 1.0
    beside = read_manifest(packed(tmp_path / "corpora" / "beside.jsonl", ROW | {"audio": "deep/a.wav"}))
    assert rooted.key == beside.key  # of rows and contents, not of the place
    with pytest.raises(InvalidManifest, match=r"leads out of .*: write it as an absolute path, or give `root:`"):
        read_manifest(packed(tmp_path / "own" / "out.jsonl", ROW | {"audio": "../corpora/deep/a.wav"}))


def test_the_key_of_a_manifest_with_absolute_paths_follows_the_files(tmp_path: Path) -> None:
    where = tone(tmp_path / "a.wav")
    own = packed(tmp_path / "own" / "own.jsonl", ROW | {"audio": str(where)})
    before = read_manifest(own).key
    assert read_manifest(own).key == before
    where.write_bytes(where.read_bytes()[:-2] + b"\1\1")
    assert read_manifest(own).key != before


def test_an_artifact_names_no_file_outside_itself(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    where = tone(tmp_path / "a.wav")
    folder.mkdir()
    write_manifest(folder / "manifest.jsonl", [Utterance(id="1", audio=str(where))])
    assert len(read_manifest(folder / "manifest.jsonl").rows) == 1
    seal(folder, "0123abcd", {"dataset": "x"}, "dataset x")
    for look in (read_manifest, survey):
        with pytest.raises(InvalidManifest, match=r"a\.wav': expected one relative to the manifest's folder"):
            look(folder / "manifest.jsonl")
    with pytest.raises(
        InvalidManifest, match="belongs to an artifact, whose files are in its folder: leave out `root:`"
    ):
        read_manifest(folder / "manifest.jsonl", root=tmp_path)


def test_the_root_is_given_in_a_runs_yaml_and_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tone(tmp_path / "corpora" / "a.wav")
    own = packed(tmp_path / "lists" / "own.jsonl", ROW, ROW | {"id": "2", "lang": "fr"})
    run = text(tmp_path / "runs" / "run.yaml", RUN + "data: {manifest: ../lists/own.jsonl, root: ../corpora}\n")
    with pytest.raises(InvalidManifest, match=r"own\.jsonl:2: unknown column 'lang'"):
        validate(run)
    with pytest.raises(InvalidManifest, match=rf"areca data {own} root={tmp_path}/corpora --skip-bad -o "):
        read_manifest(own, root=tmp_path / "corpora")
    data(str(own), [f"root={tmp_path}/corpora"], output=str(tmp_path / "lists" / "own-good.jsonl"), skip_bad=True)
    validate(run, ["data.manifest=../lists/own-good.jsonl"])
    assert "1 rows: languages fr 1; splits train 1" in capsys.readouterr().out
    with pytest.raises(InvalidConfig, match="data: no option is called 'rot'; did you mean 'root'"):
        validate(run, ["data={manifest: x.jsonl, rot: y}"])
    with pytest.raises(InvalidConfig, match="option 'count': for a manifest the only option is root=FOLDER"):
        data(str(own), ["count=3"])


def test_a_run_reads_its_manifest_from_the_root(tmp_path: Path) -> None:
    from areca.artifacts.store import Store
    from areca.pipeline.pipeline import Pipeline
    from areca.run.config import read_config

    tone(tmp_path / "corpora" / "a.wav")
    packed(tmp_path / "own.jsonl", ROW)
    run = text(tmp_path / "run.yaml", RUN + "data: {manifest: own.jsonl, root: corpora}\n")
    manifest = Pipeline(read_config(run), Store(tmp_path / "store")).data()
    assert manifest.root == tmp_path / "corpora"
    assert manifest.audio(manifest.rows[0]).seconds == 1.0
