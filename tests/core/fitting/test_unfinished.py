"""A resumed build uses only intact files, rebuilds all others, and gives the same result."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests import parts

from areca.artifact import PARTIAL, WORK, Artifact
from areca.artifacts import tables
from areca.artifacts.store import Store
from areca.errors import ArecaWarning
from areca.fitting.unfinished import SEAL, creating_state, is_intact, newest_state, seal_files, seal_path
from areca.interfaces import Progress
from areca.pipeline.pipeline import Pipeline
from areca.run.config import RunConfig, parse_config

RUN: dict[str, Any] = {
    "name": "unfinished",
    "seed": 5,
    "data": {
        "name": "say", "languages": ["en", "fr"], "sources": ["synthetic"], "target_source": "synthetic",
        "count": 12, "validation_count": 2, "test_count": 2, "workers": 1,
    },
    "tokenizer": {
        "name": "bpe", "size": 24,
        "tokenizer": {
            "name": "usm-v2", "width": 16, "layers": 2, "heads": 2, "clusters": 8, "steps": 6, "pretraining_steps": 4,
            "batch_s": 10.0, "checkpoint_steps": 2, "sample_frames": 300,
        },
    },
    "backbone": parts.tiny_decoder(
        min_count=1, pretrain_steps=6, pretrain_batch=2, pretrain_length=16, save_every=2
    ),
    "vocoder": {"name": "unit-mel", "width": 8, "layers": 1, "steps": 6, "batch": 2, "checkpoint_steps": 2},
    "tasks": ["asr", "tts"],
    "training": {
        "steps": 6, "batch_tokens": 512, "longest_tokens": 500, "optimizer": "adamw", "learning_rate": 1e-2,
        "save_every_steps": 2,
    },
}  # fmt: skip


class Stopped(BaseException):
    """Stands for a kill: what is on the disk stays as it is."""


@dataclass(frozen=True)
class Stage:
    """An artifact, and the moment of its making at which it is left unfinished."""

    label: str
    make: Callable[[Pipeline], Any]
    stop: Callable[[str, int, int], bool]
    """Given the message and how far it is."""


STAGES = {
    "data": Stage("dataset say", lambda p: p.data(), lambda m, done, total: done == total),
    "encoder": Stage("tokenizer usm-v2", lambda p: p.fit(["speech.tokenizer"]), lambda m, *_: m.startswith("frames")),
    "merges": Stage("tokenizer bpe", lambda p: p.fit(["speech"]), lambda m, *_: m.startswith("recordings")),
    "backbone": Stage("backbone decoder", lambda p: p.fit(["backbone"]), lambda m, done, total: done == total - 1),
    "vocoder": Stage("vocoder unit-mel", lambda p: p.fit(["vocoder"]), lambda m, done, _: "mel" in m and done == 5),
    "tokens": Stage("tokens bpe audio", lambda p: p.tables(), lambda m, done, total: done == total),
    "lm": Stage("lm unfinished", lambda p: p.lm(), lambda m, done, total: m == "validation" and done == total),
    "checkpoint": Stage("checkpoint unfinished", lambda p: p.checkpoint(), lambda *_: False),
}


def pipeline(run: RunConfig, store: Path, stop: Callable[[str, int, int], bool] = lambda *_: False) -> Pipeline:
    @contextmanager
    def stage(_: str) -> Iterator[Progress]:
        def progress(done: int, total: int, message: str = "") -> None:
            if stop(message, done, total):
                raise Stopped

        yield progress

    return Pipeline(run, Store(store), stage=stage)


@dataclass(frozen=True)
class World:
    run: RunConfig
    store: Path
    unfinished: Path
    """Holds, by stage, the folder that was left."""
    artifacts: dict[str, Artifact]

    def begun(self, name: str, store: Path) -> Path:
        """Set up a store in which everything but one stage is finished; return that stage's folder."""
        key = self.artifacts[name].key
        shutil.copytree(
            self.store, store, copy_function=os.link, ignore=lambda _, names: {key} & set(names), dirs_exist_ok=True
        )
        shutil.copytree(self.unfinished / name, store / (key + PARTIAL))
        return store / (key + PARTIAL)

    def finish(self, name: str, store: Path) -> tuple[str, list[str]]:
        """Finish the stage; return its fingerprint and what was warned of."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ArecaWarning)
            STAGES[name].make(pipeline(self.run, store))
        said = [str(w.message) for w in caught if issubclass(w.category, ArecaWarning)]
        return Artifact.open(store / self.artifacts[name].key).fingerprint, said


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "WINDOW_S", 12.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A run that was stopped in the middle of each artifact, and finished."""
    root = tmp_path_factory.mktemp("unfinished")
    run, store, artifacts = parse_config(RUN, root=root), root / "store", {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "WINDOW_S", 12.0)
        for name, stage in STAGES.items():
            try:
                stage.make(pipeline(run, store, stage.stop))
            except Stopped:
                (left,) = Store(store).unfinished()
                shutil.copytree(left, root / "left" / name)
                stage.make(pipeline(run, store))
            (artifacts[name],) = (a for a in Store(store).artifacts() if a.label == stage.label)
    shutil.copytree(artifacts["checkpoint"].directory, root / "left" / "checkpoint")  # killed before it got its name
    assert len(artifacts) == len(STAGES)
    return World(run, store, root / "left", artifacts)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    write(path, bytes(content))


def truncate(path: Path) -> None:
    write(path, path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    write(path, b"")


def write(path: Path, content: bytes) -> None:
    path.unlink()  # it may be linked
    path.write_bytes(content)


REWRITTEN = re.compile(r"^lm/|^[a-z]+\.(json|safetensors)$|/pretraining/")
"""What a resume does not read: it writes the file anew, or has a later state."""


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def check(world: World, name: str, file: str, damage: Callable[[Path], None], store: Path) -> list[str]:
    damage(world.begun(name, store) / file)
    fingerprint, said = world.finish(name, store)
    assert fingerprint == world.artifacts[name].fingerprint, (name, file, damage.__name__)
    shutil.rmtree(store)
    return said


def kind(file: str) -> str:
    """Return what is one kind of file in the folder of work, or the suffix of another."""
    path = Path(re.sub(r"\d+", "0", file))
    return f"{path}" if WORK in file else path.suffix


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n == "lm" else n for n in STAGES])
def test_a_damaged_file_of_each_kind_is_rebuilt(name: str, world: World, tmp_path: Path) -> None:
    read = [file for file in files(world.unfinished / name) if name == "checkpoint" or not REWRITTEN.search(file)]
    assert read
    for number, file in enumerate({kind(file): file for file in read}.values()):
        said = check(world, name, file, (flip, truncate)[number % 2], tmp_path / "store")
        assert len(said) == 1 and said[0].endswith("it is rebuilt") and Path(file).parent.name in said[0], (file, said)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, truncate, empty, Path.unlink])
@pytest.mark.parametrize("name", STAGES)
def test_every_damaged_file_is_rebuilt(name: str, damage: Callable[[Path], None], world: World, tmp_path: Path) -> None:
    for file in files(world.unfinished / name):
        check(world, name, file, damage, tmp_path / "store")


def test_the_last_two_states_are_kept_and_the_newest_intact_one_is_used(tmp_path: Path) -> None:
    for step in (5, 10, 100):
        with creating_state(tmp_path, step) as draft:
            (draft / "x").write_text(str(step))
    (tmp_path / ".state-200.1.0.draft").mkdir()  # of a process that was killed while it saved
    (tmp_path / "state-of-mine").touch()
    assert newest_state(tmp_path) == (100, tmp_path / "state-100")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state-10", "state-100", "state-of-mine"]
    (tmp_path / "state-100" / "y").touch()
    with pytest.warns(ArecaWarning, match=r"state-100/seal\.json: damaged, or not completely written; it is rebuilt"):
        assert newest_state(tmp_path) == (10, tmp_path / "state-10")
    (tmp_path / "state-10" / "x").unlink()
    with pytest.warns(ArecaWarning, match="state-10"):
        assert newest_state(tmp_path) is None
    assert [p.name for p in tmp_path.iterdir()] == ["state-of-mine"]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"x": 1}', pytest.param("[" * 100_000, id="deep"), '{"x": "0"}', '{"x": null, "../x": null}'],
)
def test_an_invalid_seal_makes_its_files_damaged(content: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    (tmp_path / SEAL).write_text(content)
    with pytest.warns(ArecaWarning, match="it is rebuilt"):
        assert not is_intact(tmp_path / SEAL, [tmp_path / "x"])
    assert list(tmp_path.iterdir()) == []


def test_only_regular_files_are_intact(tmp_path: Path) -> None:
    path, other = tmp_path / "x", tmp_path / "other"
    path.write_text("x")
    other.write_text("x")
    seal_files(seal_path(path), [path])
    assert is_intact(seal_path(path), [path])
    path.unlink()
    path.symlink_to(other)
    with pytest.warns(ArecaWarning, match="x: damaged"):
        assert not is_intact(seal_path(path), [path])
    os.mkfifo(path)
    seal_files(seal_path(path), [])
    with pytest.warns(ArecaWarning, match="damaged"):
        assert not is_intact(seal_path(path), [path])
    assert list(tmp_path.iterdir()) == [other]


def test_a_file_without_a_seal_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.warns(ArecaWarning, match="x: damaged, or not completely written"):
        assert not is_intact(seal_path(tmp_path / "x"), [tmp_path / "x"])
    assert not is_intact(seal_path(tmp_path / "x"), [tmp_path / "x"]), "nothing is there: nothing is warned of"
