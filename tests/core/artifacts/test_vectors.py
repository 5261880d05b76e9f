"""Vector tables: their content beside the codes, their reuse and exact resumption, and their size."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from areca import audio
from areca.artifacts import tables
from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.artifacts.tokens import TokenTable
from areca.artifacts.vectors import VectorTable, hourly_bytes
from areca.component import Kind
from areca.errors import IncompatibleParts
from areca.manifest import Manifest
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry
from areca.specs import Stream, TokenizerSpec
from areca.testing.corpus import write_corpus

TINY = {"width": 16, "layers": 2, "layer": 1, "clusters": 8, "steps": 1, "batch_s": 8.0, "sample_frames": 400}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def part() -> Part:
    return resolve(Registry.discover(), Kind.TOKENIZER, {"name": "usm-v1", **TINY}, role="speech")


@pytest.fixture
def loader(corpus: Manifest, part: Part, tmp_path: Path) -> PartLoader:
    return PartLoader(Store(tmp_path), data=corpus)


def shards(loader: PartLoader) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(loader.store.root.glob("*/vectors-*.arrow"))}


def test_vectors_are_the_features_rounded_to_float16(corpus: Manifest, part: Part, loader: PartLoader) -> None:
    table, codes = (form.make(corpus, "audio", part, loader) for form in (VectorTable, TokenTable))
    assert list(table) == [row.id for row in corpus.rows] and table.size == TINY["width"]
    for row in corpus.rows:
        [alone] = loader.instance(part).features([audio.conform(corpus.audio(row), 16_000, 1)])
        found = table[row.id]
        assert found.dtype == torch.float32 and torch.equal(found, found.to(torch.float16).float())
        torch.testing.assert_close(found, alone, atol=1e-3, rtol=2e-3)  # the batch changes the last bits
        assert len(found) == len(codes[row.id].streams[0])
    [stored] = shards(loader)
    path = next(loader.store.root.glob(f"*/{stored}"))
    column = pa.ipc.open_file(pa.memory_map(str(path))).schema.field("vectors")
    assert column.type == pa.list_(pa.list_(pa.float16(), 16))
    frames = sum(len(x) for x in table.values())
    assert hourly_bytes(part.spec) == 3600 * 25 * 16 * 2
    assert path.stat().st_size == pytest.approx(frames * 16 * 2, rel=0.25)


def test_an_interrupted_build_resumes_to_the_same_vectors(
    corpus: Manifest, part: Part, loader: PartLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "WINDOW_S", 8.0)
    VectorTable.make(corpus, "audio", part, loader)
    whole = shards(loader)
    assert len(whole) > 3
    artifact = next(a for a in loader.store.artifacts() if a.label == "vectors usm-v1 audio")
    shutil.rmtree(artifact.directory)
    again = PartLoader(Store(loader.store.root), data=corpus)

    class Killed(BaseException):
        pass

    made: list[int] = []

    def stop(done: int, total: int, message: str = "") -> None:
        made.append(done)
        if len(made) == 3:
            raise Killed

    with pytest.raises(Killed):
        VectorTable.make(corpus, "audio", part, again, progress=stop)
    (partial,) = again.store.unfinished()
    assert len(list(partial.glob("vectors-*.arrow"))) == 2
    table = VectorTable.make(corpus, "audio", part, again)
    assert shards(again) == whole
    monkeypatch.setattr(tables, "_encode_shards", None)
    same = VectorTable.make(corpus, "audio", part, again)
    assert all(torch.equal(table[row], same[row]) for row in table)


def test_values_out_of_range_are_refused() -> None:
    class Loud:
        def features(self, audios: list[Any]) -> list[torch.Tensor]:
            return [torch.full((2, 3), -7e4)]

    with pytest.raises(IncompatibleParts, match="Loud: its vectors have values above 65504"):
        VectorTable.encode(Loud(), [])  # type: ignore[arg-type]


def test_the_size_is_not_known_without_a_rate_or_a_width() -> None:
    assert hourly_bytes(TokenizerSpec((Stream("unit", 8, None),), 16_000, feature_size=4)) is None
    assert hourly_bytes(TokenizerSpec((Stream("unit", 8, 25.0),), 16_000)) is None
