"""`Job.tokens`: a fit reads the codes of the corpus from token tables, which it shares with the LM."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.core.test_run import RUN

from areca.artifact import Artifact
from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.component import Kind
from areca.errors import ArecaError
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.pipeline.pipeline import Pipeline
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry
from areca.run.config import parse_config
from areca.testing.corpus import write_corpus

TOKENIZER = {"name": "mfcc-kmeans", "clusters": 8}
VOICE = {"steps": 2, "width": 8, "layers": 1, "batch": 4, "phase_iterations": 2}
UNITS = "areca_units.mfcc.MfccKmeans"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("home") / "corpus")


def vocoder(**options: Any) -> Part:
    value = {"name": "unit-mel", "tokenizer": TOKENIZER, **VOICE, **options}
    return resolve(Registry.discover(), Kind.VOCODER, value, role="vocoder")


def tables(store: Store) -> list[Artifact]:
    return [artifact for artifact in store.artifacts() if artifact.label.startswith("tokens")]


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The recordings that a tokenizer encodes, in order."""
    from areca_units.mfcc import MfccKmeans

    heard: list[bytes] = []
    encode = MfccKmeans.encode

    def count(self: Any, audios: list[Any]) -> Any:
        heard.extend(sound.samples.numpy().tobytes() for sound in audios)
        return encode(self, audios)

    monkeypatch.setattr(MfccKmeans, "encode", count)
    return heard


def test_a_checkpoint_encodes_each_recording_once(corpus: Manifest, tmp_path: Path, encoded: list[bytes]) -> None:
    run = parse_config(RUN | {"data": str(manifest_path(corpus))}, root=tmp_path)
    made = Pipeline(run, Store(tmp_path))
    made.checkpoint()
    kept = [row for row in corpus.rows if row.split in ("train", "validation")]
    assert len(encoded) == len(set(encoded)) == 2 * len(kept)
    train = corpus.select(split="train")
    assert [a.inputs["data"] for a in tables(made.store)].count(train.key) == 2, "unit-mel's table is the LM's"


def manifest_path(corpus: Manifest) -> Path:
    return Path(corpus.name)


@pytest.mark.parametrize("options", [{}, {"voice": "low"}, {"speech_s": 4.0}])
def test_token_tables_give_the_same_voice_as_direct_encoding(
    corpus: Manifest, tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    part = vocoder(**options)
    shared = PartLoader(Store(tmp_path / "shared"), data=corpus).artifact(part)
    loader = PartLoader(Store(tmp_path / "direct"), data=corpus)
    tokenizer = loader.instance(part.needs["tokenizer"])

    def encode(self: PartLoader, part: Part, progress: Any, need: str, column: str, rows: Any) -> dict[str, Any]:
        read = corpus.audio if column == "audio" else corpus.target_audio
        return {row.id: tokenizer.encode([read(row)])[0] for row in rows}

    monkeypatch.setattr(PartLoader, "_encode_for_fit", encode)
    direct = loader.artifact(part)
    assert shared is not None and direct is not None and shared.files == direct.files


@pytest.mark.parametrize("lm_reads", [False, True])
def test_a_fit_of_few_rows_encodes_only_them_unless_the_lm_needs_all(
    corpus: Manifest, tmp_path: Path, encoded: list[bytes], lm_reads: bool
) -> None:
    part = vocoder(voice="low")
    train = corpus.select(split="train")
    loader = PartLoader(Store(tmp_path), data=corpus)
    key = part.needs["tokenizer"].key(corpus.key, 0)
    if lm_reads:
        loader = PartLoader(Store(tmp_path), data=corpus, lm_tables=lambda: {(key, "audio")})
    loader.artifact(part)
    assert len(encoded) == (len(train.rows) if lm_reads else sum(row.speaker == "low" for row in train.rows))


def test_a_whole_table_that_exists_is_used_for_few_rows(corpus: Manifest, tmp_path: Path, encoded: list[bytes]) -> None:
    loader = PartLoader(Store(tmp_path), data=corpus)
    loader.artifact(with_fit(vocoder(), lambda job: job.tokens("tokenizer", "audio")))
    assert len(encoded) == 24
    few = with_fit(vocoder(steps=3), lambda job: job.tokens("tokenizer", "audio", corpus.rows[:2]))
    loader.artifact(few)
    assert len(encoded) == 24 and len(tables(loader.store)) == 1


def with_fit(part: Part, read: Callable[[Job], Any]) -> Part:
    """Return the part with a fit that only calls ``read(job)``."""

    class Target:
        @staticmethod
        def fit(config: Any, needs: Any, data: Any, job: Job) -> None:
            read(job)
            (job.directory / "done").touch()

    class Entry(type(part.entry)):  # type: ignore[misc]
        def target(self) -> Any:
            return Target

    entry = Entry(**{f.name: getattr(part.entry, f.name) for f in dataclasses.fields(part.entry)})
    return dataclasses.replace(part, entry=entry)


def test_a_table_holds_the_codes_of_the_training_split(corpus: Manifest, tmp_path: Path) -> None:
    found: dict[str, Any] = {}

    def read(job: Job) -> None:
        found["table"], found["few"] = job.tokens("tokenizer"), job.tokens("tokenizer", "target_audio", corpus.rows[:3])

    loader = PartLoader(Store(tmp_path), data=corpus)
    loader.artifact(with_fit(vocoder(), read))
    tokenizer = loader.instance(vocoder().needs["tokenizer"])
    assert list(found["table"]) == [row.id for row in corpus.select(split="train").rows]
    assert list(found["few"]) == [row.id for row in corpus.rows[:3]]
    for table, sound in (("table", corpus.audio), ("few", corpus.target_audio)):
        row = corpus.rows[2]
        assert torch.equal(found[table][row.id].streams[0], tokenizer.encode([sound(row)])[0].streams[0])


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", [3, 30, 48])
def test_a_killed_fit_resumes_its_table_and_its_training(
    corpus: Manifest, tmp_path: Path, encoded: list[bytes], at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    monkeypatch.setattr("areca.artifacts.tables.WINDOW_S", 4.0)
    part = vocoder(steps=20, checkpoint_steps=5)
    calls = 0

    def kill(done: int, total: int, message: str = "") -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Killed

    def fit(name: str, **options: Any) -> Artifact | None:
        PartLoader(Store(tmp_path / name), data=corpus).instance(part.needs["tokenizer"])
        return PartLoader(Store(tmp_path / name), data=corpus, **options).artifact(part)

    undisturbed = fit("undisturbed")
    once = len(encoded)
    with pytest.raises(Killed):
        fit("killed", stage=lambda _: nullcontext(kill))
    resumed = fit("killed")
    assert resumed is not None and undisturbed is not None and resumed.files == undisturbed.files
    assert len(encoded) - 2 * once <= 4, "a kill costs a window at most"


def test_tokens_of_a_job_without_data_or_of_another_need_are_refused(corpus: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ArecaError, match=r"job.tokens\('tokenizer', 'audio'\): this job has no data"):
        Job(tmp_path, 0, torch.device("cpu")).tokens("tokenizer")
    wrong = with_fit(vocoder(), lambda job: job.tokens("tokeniser"))
    with pytest.raises(ArecaError, match=r"'tokeniser'.*did you mean 'tokenizer'\?; there are: tokenizer"):
        PartLoader(Store(tmp_path / "store"), data=corpus).artifact(wrong)
    shutil.rmtree(tmp_path / "store")
