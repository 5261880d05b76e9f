"""Tokens of a manifest: their content, their reuse, and exact resumption after a kill."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from areca import audio
from areca.artifacts import tables
from areca.artifacts.loader import PartLoader
from areca.artifacts.prefetch import prefetch
from areca.artifacts.store import Store
from areca.artifacts.tokens import TokenTable
from areca.component import Kind
from areca.errors import InvalidAudio, InvalidManifest
from areca.manifest import FileManifest, Manifest, Utterance, read_manifest, write_manifest
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry
from areca.testing.corpus import write_corpus
from areca.types import Audio


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def part() -> Part:
    return resolve(Registry.discover(), Kind.TOKENIZER, {"name": "mfcc-kmeans", "clusters": 16}, role="speech")


@pytest.fixture(scope="module")
def fitted(corpus: Manifest, part: Part, tmp_path_factory: pytest.TempPathFactory) -> PartLoader:
    loader = PartLoader(Store(tmp_path_factory.mktemp("store")), data=corpus)
    loader.instance(part)
    return loader


@pytest.fixture
def loader(fitted: PartLoader, part: Part, tmp_path: Path) -> PartLoader:
    """A store without tokens, and the fitted tokenizer."""
    artifact = fitted.artifact(part)
    assert artifact is not None
    return PartLoader(Store(tmp_path / "store"), data=fitted.data, artifacts={part.role: artifact})


def hash_of(sound: Audio) -> str:
    text = f"{sound.sample_rate_hz} {sound.channels} ".encode()
    return hashlib.sha256(text + sound.samples.numpy().tobytes()).hexdigest()


def shards(loader: PartLoader) -> list[Path]:
    return sorted(loader.store.root.glob("*/*.arrow"))


def contents(loader: PartLoader) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in shards(loader)}


@pytest.mark.parametrize("column", ["audio", "target_audio"])
def test_tokens_are_the_codes_of_the_tokenizer(column: Any, corpus: Manifest, part: Part, loader: PartLoader) -> None:
    table = TokenTable.make(corpus, column, part, loader)
    assert list(table) == [row.id for row in corpus.rows]
    read = corpus.audio if column == "audio" else corpus.target_audio
    same = frames = 0
    for row in corpus.rows:
        alone = loader.instance(part).encode([audio.conform(read(row), 16_000, 1)])[0].streams[0]
        found = table[row.id].streams[0]
        assert found.shape == alone.shape
        same, frames = same + int((found == alone).sum()), frames + len(alone)
        assert table[row.id].fingerprint == loader.fingerprint(part)
    assert same / frames >= 0.999


def test_rows_hold_the_hash_of_samples_rate_and_channels(corpus: Manifest, part: Part, loader: PartLoader) -> None:
    TokenTable.make(corpus, "audio", part, loader)
    rows = pa.ipc.open_file(pa.memory_map(str(shards(loader)[0]))).read_all().to_pylist()
    assert [row["samples_sha256"] for row in rows[:3]] == [hash_of(corpus.audio(r)) for r in corpus.rows[:3]]


def test_a_recording_that_rows_share_is_encoded_once(corpus: Manifest, part: Part, loader: PartLoader) -> None:
    row = corpus.rows[0]
    rows = (row, dataclasses.replace(row, id="again"), dataclasses.replace(row, id="part", duration_s=0.5))
    shared = FileManifest((*rows, corpus.rows[1]), corpus.root)
    table = TokenTable.make(shared, "audio", part, loader)
    assert pa.ipc.open_file(pa.memory_map(str(shards(loader)[0]))).read_all().num_rows == 3
    assert torch.equal(table["again"].streams[0], table[row.id].streams[0])
    assert abs(len(table["part"].streams[0]) - 12.5) <= 2


def test_tokens_are_computed_once(
    corpus: Manifest, part: Part, loader: PartLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    TokenTable.make(corpus, "audio", part, loader)
    before = contents(loader)
    monkeypatch.setattr(tables, "_encode_shards", None)
    TokenTable.make(corpus, "audio", part, loader)
    assert contents(loader) == before


def test_an_interrupted_run_resumes_to_the_same_tokens(
    corpus: Manifest, part: Part, loader: PartLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "WINDOW_S", 8.0)
    TokenTable.make(corpus, "audio", part, loader)
    whole = contents(loader)
    assert len(whole) > 3
    shutil.rmtree(loader.store.root)
    loader.store = Store(loader.store.root)

    class Killed(BaseException):
        pass

    made: list[int] = []

    def stop(done: int, total: int, message: str = "") -> None:
        made.append(done)
        if len(made) == 3:
            raise Killed

    with pytest.raises(Killed):
        TokenTable.make(corpus, "audio", part, loader, progress=stop)
    (partial,) = loader.store.unfinished()
    (partial / "tokens-000002.partial").write_bytes(b"half a shard")
    kept = {path.name: path.stat().st_mtime_ns for path in partial.glob("*.arrow")}
    assert len(kept) == 2
    TokenTable.make(corpus, "audio", part, loader)
    assert contents(loader) == whole
    assert {path.name: path.stat().st_mtime_ns for path in shards(loader) if path.name in kept} == kept


def test_other_data_or_another_tokenizer_have_separate_tokens(
    corpus: Manifest, part: Part, loader: PartLoader, fitted: PartLoader
) -> None:
    TokenTable.make(corpus, "audio", part, loader)
    TokenTable.make(corpus.select(split="train"), "audio", part, loader)
    assert len(loader.store.directories()) == 2
    other = resolve(Registry.discover(), Kind.TOKENIZER, {"name": "mfcc-kmeans", "clusters": 8}, role="speech")
    found = TokenTable.make(corpus, "audio", other, PartLoader(loader.store, data=fitted.data))
    assert len(loader.store.directories()) == 4, "the tokenizer and its tokens"
    assert max(int(codes.streams[0].max()) for codes in found.values()) == 7


def test_a_bad_recording_is_named(part: Part, loader: PartLoader, corpus: Manifest, tmp_path: Path) -> None:
    audio.write(tmp_path / "good.wav", corpus.audio(corpus.rows[0]))
    (tmp_path / "bad.wav").write_bytes((tmp_path / "good.wav").read_bytes())
    rows = [Utterance(id="fine", audio="good.wav"), Utterance(id="broken", audio="bad.wav")]
    write_manifest(tmp_path / "manifest.jsonl", rows)
    manifest = read_manifest(tmp_path / "manifest.jsonl")
    _ = manifest.key
    (tmp_path / "bad.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(InvalidAudio, match=r"'broken'.*bad\.wav"):
        TokenTable.make(manifest, "audio", part, loader)


def test_a_column_without_recordings_is_refused(part: Part, loader: PartLoader, corpus: Manifest) -> None:
    rows = tuple(dataclasses.replace(row, target_audio=None) for row in corpus.rows)
    with pytest.raises(InvalidManifest, match="no row has target_audio"):
        TokenTable.make(FileManifest(rows, corpus.root), "target_audio", part, loader)


def test_prefetching_keeps_order_and_errors_and_stops() -> None:
    assert list(prefetch(range(50))) == list(range(50))

    def failing() -> Any:
        yield 1
        raise ValueError("here")

    seen = []
    with pytest.raises(ValueError, match="here"):
        for item in prefetch(failing()):
            seen.append(item)
    assert seen == [1]

    made = []

    def endless() -> Any:
        for number in range(1_000_000):
            made.append(number)
            yield number

    feed = prefetch(endless())
    assert next(feed) == 0
    feed.close()  # type: ignore[attr-defined]
    assert len(made) < 10
