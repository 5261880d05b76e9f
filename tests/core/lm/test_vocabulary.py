"""The vocabulary: the ranges of ids, and their stability when roles are added."""

from __future__ import annotations

import pytest

from areca.errors import InvalidArtifact, InvalidConfig
from areca.lm.vocabulary import Control, Vocabulary
from areca.specs import Stream

SPEECH = (Stream("units", 20, 25.0),)
CODEC = tuple(Stream(f"rvq-{k}", 4 + k, 50.0) for k in range(11))


def test_text_then_controls_then_streams_side_by_side() -> None:
    v = Vocabulary.make(100, "h", {"speech": SPEECH})
    assert [v.control(c) for c in Control] == [100, 101, 102, 103, 104]
    assert [c.name for c in Control] == ["PAD", "BEGIN_AUDIO", "END_AUDIO", "END_SEGMENT", "END_SEQUENCE"]
    assert v.span("speech/0") == range(105, 125)
    assert v.size == 125


def test_every_id_means_one_thing() -> None:
    v = Vocabulary.make(7, "h", {"speech": SPEECH, "codec": CODEC})
    ids = [*range(7), *(v.control(c) for c in Control)]
    for name, _ in v.streams:
        ids += v.span(name)
    assert ids == list(range(v.size))


def test_roles_are_sorted_when_made_and_k_is_in_numeric_order() -> None:
    v = Vocabulary.make(7, "h", {"speech": SPEECH, "codec": CODEC})
    assert [name for name, _ in v.streams] == [*(f"codec/{k}" for k in range(11)), "speech/0"]
    assert v == Vocabulary.make(7, "h", {"codec": CODEC, "speech": SPEECH})


def test_later_roles_are_appended_whatever_their_name() -> None:
    v = Vocabulary.make(7, "h", {"speech": SPEECH})
    longer = v.extend("codec", CODEC)
    assert longer.span("speech/0") == v.span("speech/0")
    assert longer.span("codec/0").start == v.size
    with pytest.raises(InvalidConfig, match=r"speech/0.*another role"):
        longer.extend("speech", SPEECH)


def test_json_round_trip() -> None:
    v = Vocabulary.make(7, "h", {"speech": SPEECH, "codec": CODEC})
    assert Vocabulary.from_json(v.to_json()) == v


def test_a_layout_with_other_controls_is_refused() -> None:
    v = Vocabulary.make(7, "h", {"speech": SPEECH})
    with pytest.raises(InvalidArtifact, match="vocabulary"):
        Vocabulary.from_json(v.to_json() | {"controls": {"pad": 7}})
    with pytest.raises(InvalidArtifact, match="text_size"):
        Vocabulary.from_json({"streams": []})


def test_errors_state_what_to_type() -> None:
    v = Vocabulary.make(7, "h", {"speech": SPEECH})
    with pytest.raises(InvalidConfig, match="did you mean 'speech/0'"):
        v.span("speach/0")
    with pytest.raises(InvalidConfig, match="role/k"):
        Vocabulary(7, "h", (("Speech/00", 3),))
    with pytest.raises(InvalidConfig, match="at least one id"):
        Vocabulary(0, "h", ())
