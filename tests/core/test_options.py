"""Config dataclasses built from YAML values, and their artifact keys."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from areca import identified_by, runtime
from areca.errors import InvalidConfig
from areca.options import build, canonical, content_hash, list_options, listing_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    seed: int = 3
    """Where it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Base):
    """Options of the tests."""

    clusters: int = 8
    """Number of
    clusters."""
    rate_hz: float = 25.0
    init: Literal["zero", "mean"] = "zero"
    """Where rows start."""
    sizes: tuple[int, ...] = (1, 2)
    name_of: str | None = None
    tied: bool = True
    weights: Path | None = None
    batch: int = runtime(4)
    """Audios at once."""

    def __post_init__(self) -> None:
        if self.clusters < 1:
            raise ValueError(f"clusters must be positive, got {self.clusters}")


@dataclass(frozen=True)
class Required:
    path: Path
    size: int = field(default=1)


WHERE = "tokenizer 'x'"


def test_values_are_typed_and_the_rest_keeps_its_default() -> None:
    config = build(Config, {"clusters": 16, "rate_hz": 12, "init": "mean", "sizes": [3], "name_of": "a"}, WHERE)
    assert config == Config(clusters=16, rate_hz=12.0, init="mean", sizes=(3,), name_of="a")
    assert type(config.rate_hz) is float
    assert build(Config, {}, WHERE) == Config()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"cluster": 3},
            "tokenizer 'x': no option is called 'cluster'; did you mean 'clusters'?\n  options: seed, cl",
        ),
        ({"zzz": 3}, "no option is called 'zzz'\n  options: seed, clusters, rate_hz, init, sizes, name_of, tied, weig"),
        ({1: 3}, "no option is called 1"),
        ({"clusters": "many"}, "tokenizer 'x': option 'clusters' is 'many', expected int"),
        ({"clusters": 2.5}, "option 'clusters' is 2.5, expected int"),
        ({"clusters": None}, "option 'clusters' is None, expected int"),
        ({"rate_hz": "fast"}, "option 'rate_hz' is 'fast', expected float"),
        ({"init": "random"}, "option 'init' is 'random', expected Literal['zero', 'mean']"),
        ({"sizes": 3}, "option 'sizes' is 3, expected tuple[int, ...]"),
        ({"sizes": [1, "a"]}, "option 'sizes' is [1, 'a'], expected tuple[int, ...]"),
        ({"sizes": [1, [2]]}, "option 'sizes' is [1, [2]], expected tuple[int, ...]"),
        ({"sizes": [{"a": 1}]}, "option 'sizes' is [{'a': 1}], expected tuple[int, ...]"),
        ({"name_of": [1]}, "option 'name_of' is [1], expected str | None"),
        ({"tied": "perhaps"}, "option 'tied' is 'perhaps', expected bool"),
        ({"clusters": 0}, "tokenizer 'x': clusters must be positive, got 0"),
        ("clusters", "tokenizer 'x': expected {option: value}, got 'clusters'"),
    ],
)
def test_invalid_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidConfig) as error:
        build(Config, values, WHERE)
    assert message in str(error.value)


def test_option_without_default_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="backbone 'y': missing required option path"):
        build(Required, {}, "backbone 'y'")
    assert build(Required, {"path": "model"}, "backbone 'y'", root=tmp_path).path == tmp_path / "model"
    assert [o.required for o in list_options(Required)] == [True, False]


def test_relative_paths_start_from_the_root(tmp_path: Path) -> None:
    assert build(Config, {"weights": "a/b.pt"}, WHERE, root=tmp_path).weights == tmp_path / "a" / "b.pt"
    assert build(Config, {"weights": "/a/b.pt"}, WHERE, root=tmp_path).weights == Path("/a/b.pt")
    assert build(Config, {"weights": "b.pt"}, WHERE).weights == Path.cwd() / "b.pt"


def test_options_are_described_with_type_default_and_doc() -> None:
    options = {o.name: o for o in list_options(Config)}
    assert list(options)[:3] == ["seed", "clusters", "rate_hz"]
    assert options["seed"].doc == "Where it starts."
    assert options["clusters"].doc == "Number of\nclusters."
    assert options["rate_hz"].doc == ""
    assert (options["init"].type, options["init"].default) == ("Literal['zero', 'mean']", "zero")
    assert (options["weights"].type, options["sizes"].type) == ("Path | None", "tuple[int, ...]")
    assert [name for name, o in options.items() if o.runtime] == ["batch"]


def test_identity_leaves_out_what_cannot_change_results() -> None:
    assert canonical(Config(batch=4)) == canonical(Config(batch=64))
    assert "batch" not in canonical(Config())
    assert canonical(Config(clusters=9)) != canonical(Config())
    assert canonical(Config(sizes=(5,)))["sizes"] == [5]


def test_paths_are_known_by_their_content(tmp_path: Path) -> None:
    a, b = tmp_path / "a.bin", tmp_path / "b.bin"
    a.write_bytes(b"weights")
    b.write_bytes(b"weights")
    identity = canonical(Config(weights=a))
    assert identity["weights"] == {"sha256": hashlib.sha256(b"weights").hexdigest()}
    assert canonical(Config(weights=b)) == identity
    b.write_bytes(b"other")
    assert canonical(Config(weights=b)) != identity


def test_folders_are_known_by_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "m" / "sub").mkdir(parents=True)
    (tmp_path / "m" / "sub" / "x").write_bytes(b"1")
    (tmp_path / "m" / "y").write_bytes(b"2")
    one, two = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()
    expected = hashlib.sha256(f"{one}  sub/x\n{two}  y".encode()).hexdigest()
    assert content_hash(tmp_path / "m") == expected
    (tmp_path / "m" / "y").rename(tmp_path / "m" / "z")
    assert content_hash(tmp_path / "m") != expected
    with pytest.raises(InvalidConfig, match="nothing: no such file or folder"):
        content_hash(tmp_path / "nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusConfig:
    root: Path = identified_by("identity")
    """The folder."""
    notes: Path | None = identified_by("identity", default=None)

    def identity(self) -> object:
        return [content_hash(self.root / "all.tsv"), listing_hash(self.root / "clips")]


def test_a_method_identifies_a_folder_without_reading_its_recordings(tmp_path: Path) -> None:
    clip = tmp_path / "clips" / "fr" / "a.wav"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"12345678")
    (tmp_path / "all.tsv").write_text("a.wav\tun\n")
    config = build(CorpusConfig, {"root": "."}, WHERE, root=tmp_path)
    before = canonical(config)
    assert set(before) == {"root", "notes"} and list_options(CorpusConfig)[0].required
    clip.chmod(0)
    clip.parent.parent.joinpath("empty").mkdir()
    assert canonical(config) == before
    clip.chmod(0o600)
    clip.write_bytes(b"87654321")
    assert canonical(config) == before, "the size is the same"
    clip.write_bytes(b"123456789")
    assert canonical(config) != before
    clip.write_bytes(b"12345678")
    (tmp_path / "all.tsv").write_text("a.wav\tdeux\n")
    assert canonical(config) != before
    with pytest.raises(InvalidConfig, match="nowhere: no such folder"):
        listing_hash(tmp_path / "nowhere")
