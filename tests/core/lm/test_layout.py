"""``vocabulary.json`` is written and read back, and refused if it was changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests import parts

from areca.errors import InvalidArtifact
from areca.lm.layout import Layout, read_layout, write_layout
from areca.lm.patterns import CodeLayout, Pattern
from areca.lm.vocabulary import Vocabulary
from areca.options import key_of
from areca.specs import Stream

STREAMS = (Stream("a", 4, 25.0), Stream("b", 5, 25.0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    vocabulary = Vocabulary.make(10, "h", {"speech": STREAMS})
    layout = CodeLayout(vocabulary, "speech", STREAMS, Pattern.of(parts.pattern("delay")))
    write_layout(tmp_path / "vocabulary.json", Layout(vocabulary, {"speech": layout}, "speech", "speech"))
    return tmp_path / "vocabulary.json"


def test_a_written_layout_is_read_back(path: Path) -> None:
    layout = read_layout(path, parts.REGISTRY)
    assert layout.vocabulary == Vocabulary.make(10, "h", {"speech": STREAMS})
    assert (layout.reads, layout.writes) == ("speech", "speech")
    assert layout.codes["speech"].order(2) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("text_hash",), "i"),
        (("streams",), [["speech/0", 4], ["speech/1", 6]]),
        (("layouts", "speech", "pattern", "component"), "areca:patterns/flatten"),
        (("layouts", "speech", "pattern", "revision"), 2),
        (("layouts", "speech", "pattern", "options"), {"stride": 2}),
        (("hash",), "0" * 64),
    ],
)
def test_the_hash_covers_the_whole_layout(path: Path, keys: tuple[str, ...], value: Any) -> None:
    values = json.loads(path.read_text())
    inner = values
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(values))
    found = key_of({k: v for k, v in values.items() if k != "hash"})
    with pytest.raises(InvalidArtifact, match=f"vocabulary.json: stored hash '{values['hash']}', .* has {found}"):
        read_layout(path, parts.REGISTRY)
