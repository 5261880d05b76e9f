"""Parts: names, options and needs from YAML, and keys that are known before any work."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from areca.component import Kind
from areca.errors import BrokenPlugin, IncompatibleParts, InvalidConfig, UnknownComponent
from areca.options import key_of
from areca.registry.importing import hash_code
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry
from areca.specs import Stream, TokenizerSpec, VocoderSpec

REGISTRY = Registry.discover()
MFCC = {"name": "mfcc-kmeans", "clusters": 16}
NAMED = """
from areca import Component, Kind, hookimpl
from areca.specs import Stream, TokenizerSpec
ARECA_PLUGIN_API = 1

def spec(config, needs):
    return TokenizerSpec((Stream("unit", config.size, 25.0),), 16_000)

@hookimpl
def areca_components():
    for name, config in (("good", "Good"), ("loose", "Loose"), ("clash", "Clash"), ("lost", "Lost"), ("word", "WORD")):
        yield Component(kind=Kind.TOKENIZER, name=name, config=f"named_options:{config}", spec="named:spec",
                        target="named:Nothing", summary="x", needs={"inner": Kind.TOKENIZER} if name == "clash" else {})
"""
NAMED_OPTIONS = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Good:
    size: int = 8

@dataclass
class Loose:
    size: int = 8

@dataclass(frozen=True)
class Clash:
    inner: int = 8

WORD = "word"
"""


def test_options_that_are_named_are_imported_when_they_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "named.py").write_text(NAMED)
    (tmp_path / "named_options.py").write_text(NAMED_OPTIONS)
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry.discover(["named.py"], root=tmp_path)
    assert len([entry for entry in registry.entries(Kind.TOKENIZER) if entry.provider.plugin == "named"]) == 5
    assert "named_options" not in sys.modules
    part = resolve(registry, Kind.TOKENIZER, {"name": "good", "size": 4}, role="x")
    assert isinstance(part.spec, TokenizerSpec) and str(part.spec.streams[0]) == "unit[4] at 25 Hz"
    assert part.entry.code_hash() == hash_code(("named", "named_options")) != hash_code(("named",))
    for name, message in (
        ("loose", r"local:named/loose: 'named_options:Loose': config of 'loose': Loose must be @dataclass\(frozen"),
        ("clash", "need 'inner' of 'clash' is also the name of an option"),
        ("lost", "local:named/lost: importing 'named_options:Lost' failed: AttributeError"),
        ("word", "config of 'word': expected a dataclass type, got 'word'"),
    ):
        needs = {"inner": MFCC} if name == "clash" else {}
        with pytest.raises(BrokenPlugin, match=message):
            resolve(registry, Kind.TOKENIZER, {"name": name, **needs}, role="x")


def tokenizer(value: Any, roles: Mapping[str, Part] | None = None, role: str = "speech") -> Part:
    return resolve(REGISTRY, Kind.TOKENIZER, value, role=role, roles=roles)


def test_part_has_its_options_and_spec() -> None:
    part = tokenizer(MFCC)
    assert (part.name, part.config.clusters, part.config.coefficients) == ("mfcc-kmeans", 16, 13)
    assert isinstance(part.spec, TokenizerSpec)
    assert [str(s) for s in part.spec.streams] == ["unit[16] at 25 Hz"]


STREAMERS = """
from dataclasses import dataclass
from areca import Component, Kind, hookimpl
from areca.specs import Stream, TokenizerSpec, VocoderSpec
ARECA_PLUGIN_API = 1

@dataclass(frozen=True)
class Config:
    causal: bool = False

@dataclass(frozen=True)
class NoConfig:
    pass

def tokenizer(config, needs):
    tags = frozenset({"stream"} if config.causal else ())
    return TokenizerSpec((Stream("unit", 8, 25.0),), 16_000, tags=tags)

def vocoder(config, needs):
    return VocoderSpec(needs["tokenizer"].streams, 16_000, tags=needs["tokenizer"].tags & {"stream"})

def row(kind, name, spec, **other):
    return Component(kind=kind, name=name, spec=f"streamers:{spec}", target="streamers:Nothing", summary="x", **other)

@hookimpl
def areca_components():
    needs = {"tokenizer": Kind.TOKENIZER}
    yield row(Kind.TOKENIZER, "by-option", "tokenizer", config=Config, tags=frozenset({"decode"}))
    yield row(Kind.TOKENIZER, "always", "tokenizer", config=Config, tags=frozenset({"decode", "stream"}))
    yield row(Kind.VOCODER, "by-need", "vocoder", config=NoConfig, needs=needs)
    yield row(Kind.VOCODER, "demands", "vocoder", config=NoConfig, needs=needs,
              needs_tags={"tokenizer": frozenset({"stream"})})
"""


def test_tags_may_follow_from_options_and_needs(tmp_path: Path) -> None:
    (tmp_path / "streamers.py").write_text(STREAMERS)
    registry = Registry.discover(["streamers.py"], root=tmp_path)

    def part(kind: str, name: str, **other: Any) -> Part:
        return resolve(registry, kind, {"name": name, **other}, role="x")

    causal, other = {"name": "by-option", "causal": True}, {"name": "by-option"}
    assert part(Kind.TOKENIZER, "by-option").tags == {"decode"}
    assert part(Kind.TOKENIZER, "by-option", causal=True).tags == {"decode", "stream"}
    for tokenizer_value, tags in (({"name": "always"}, {"stream"}), (causal, {"stream"}), (other, set())):
        assert part(Kind.VOCODER, "by-need", tokenizer=tokenizer_value).tags == tags
    assert part(Kind.VOCODER, "demands", tokenizer=causal)
    with pytest.raises(IncompatibleParts, match=r"'by-option' has no tag stream; components with it: .*always"):
        part(Kind.VOCODER, "demands", tokenizer=other)


def test_a_spec_states_only_known_tags() -> None:
    streams = (Stream("unit", 8, 25.0),)
    with pytest.raises(ValueError, match=r"tags: \['stram'\] unknown; expected \['codebooks'"):
        VocoderSpec(streams, 16_000, tags=frozenset({"stram"}))
    with pytest.raises(ValueError, match=r"tags is 'stream', expected a set"):
        TokenizerSpec(streams, 16_000, tags="stream")  # type: ignore[arg-type]
    assert TokenizerSpec(streams, 16_000, tags=frozenset({"my_plugin/whispering"})).tags == {"my_plugin/whispering"}


@pytest.mark.parametrize("value", [None, "mfcc-kmeans", {}, {"clusters": 3}, {"name": 5}, []])
def test_part_without_a_name_is_an_error(value: Any) -> None:
    with pytest.raises(InvalidConfig) as error:
        tokenizer(value)
    assert f"tokenizer 'speech': expected '{{name: ...}}', got {value!r}" in str(error.value)
    assert "installed: " in str(error.value) and "mfcc-kmeans" in str(error.value)


def test_unknown_name_and_misspelt_option_are_suggested() -> None:
    with pytest.raises(UnknownComponent, match=r"no tokenizer is called 'mfcc-kmean'; did you mean 'mfcc-kmeans'\?"):
        tokenizer({"name": "mfcc-kmean"})
    with pytest.raises(InvalidConfig, match=r"tokenizer 'mfcc-kmeans': no option is called 'cluster'; did you mean"):
        tokenizer({"name": "mfcc-kmeans", "cluster": 3})
    with pytest.raises(InvalidConfig, match="tokenizer 'mfcc-kmeans': option 'clusters' is 'x', expected int"):
        tokenizer({"name": "mfcc-kmeans", "clusters": "x"})


def test_need_is_a_role_or_an_inline_part_or_the_only_candidate() -> None:
    speech, other = tokenizer(MFCC), tokenizer({"name": "usm-v2"}, role="other")
    by_role = tokenizer({"name": "dedup", "tokenizer": "other"}, {"speech": speech, "other": other}, "units")
    assert by_role.needs["tokenizer"] is other
    assert tokenizer({"name": "dedup"}, {"speech": speech}, "units").needs["tokenizer"] is speech
    inline = tokenizer({"name": "dedup", "tokenizer": MFCC}, role="units")
    assert inline.needs["tokenizer"].role == "units.tokenizer"
    assert [part.role for part in inline.walk()] == ["units.tokenizer", "units"]


def test_unresolvable_need_is_an_error() -> None:
    roles = {"speech": tokenizer(MFCC), "other": tokenizer({"name": "usm-v2"}, role="other")}
    with pytest.raises(InvalidConfig, match=r"tokenizer 'dedup' needs 'tokenizer': give a tokenizer as \{name: ...\}"):
        tokenizer({"name": "dedup"})
    with pytest.raises(InvalidConfig, match=r"needs 'tokenizer': give a role \(speech, other\) or a tokenizer"):
        tokenizer({"name": "dedup"}, roles)
    with pytest.raises(InvalidConfig, match=r"no tokenizer has the role 'speach'; did you mean 'speech'\?\n  roles: s"):
        tokenizer({"name": "dedup", "tokenizer": "speach"}, roles)


def test_spec_rejects_incompatible_needs() -> None:
    codec = {"name": "encodec"}
    with pytest.raises(IncompatibleParts, match="dedup: expected a tokenizer of one stream at a constant rate, got 8"):
        tokenizer({"name": "dedup", "tokenizer": codec})
    with pytest.raises(IncompatibleParts, match=r"got 1 stream\(s\): unit\[16\] at variable rate"):
        tokenizer({"name": "dedup", "tokenizer": {"name": "dedup", "tokenizer": MFCC}})


def test_key_is_the_hash_of_the_inputs() -> None:
    part = tokenizer(MFCC)
    inputs = part.inputs("data-1", 7)
    assert inputs == {
        "component": "tokenizer:areca:units/mfcc-kmeans",
        "revision": part.entry.component.revision,
        "config": {"clusters": 16, "coefficients": 13, "sample_frames": part.config.sample_frames},
        "needs": {},
        "seed": 7,
        "data": "data-1",
    }
    assert part.key("data-1", 7) == key_of(inputs)


def test_config_revision_data_and_seed_change_the_key() -> None:
    part = tokenizer(MFCC)
    component = dataclasses.replace(part.entry.component, revision=part.entry.component.revision + 1)
    revised = dataclasses.replace(part, entry=dataclasses.replace(part.entry, component=component))
    keys = [
        part.key("data-1", 7),
        tokenizer(MFCC | {"clusters": 17}).key("data-1", 7),
        revised.key("data-1", 7),
        part.key("data-2", 7),
        part.key("data-1", 8),
    ]
    assert len(set(keys)) == len(keys)


def test_runtime_options_do_not_change_the_key() -> None:
    keys = {tokenizer({"name": "usm-v2", "encode_batch_s": s, "checkpoint_steps": 1}).key("d", 0) for s in (1.0, 60.0)}
    assert len(keys | {tokenizer({"name": "usm-v2"}).key("d", 0)}) == 1


def test_a_needs_key_is_part_of_the_key() -> None:
    def wrapped(clusters: int) -> str:
        return tokenizer({"name": "dedup", "tokenizer": MFCC | {"clusters": clusters}}).key("d", 0)

    assert wrapped(16) == wrapped(16) != wrapped(17)


def test_part_that_is_fitted_asks_for_data_and_others_have_no_seed() -> None:
    with pytest.raises(InvalidConfig, match="tokenizer 'mfcc-kmeans' is trained from data: give `data:`"):
        tokenizer(MFCC).key(None, 0)
    codec = tokenizer({"name": "encodec"})
    assert codec.key(None, 0) == codec.key("data", 5)


def test_relative_paths_start_from_the_root(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"w")
    value = {"name": "encodec", "weights": "w.safetensors"}
    part = resolve(REGISTRY, Kind.TOKENIZER, value, role="codec", root=tmp_path)
    assert part.config.weights == tmp_path / "w.safetensors"
