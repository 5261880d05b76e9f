"""Fields with roles, streams and spans: their identity in values, prompts, answers, chains and specs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from areca.errors import IncompatibleParts, InvalidCodes, InvalidConfig
from areca.fields import Field
from areca.manifest import Utterance
from areca.specs import DatasetSpec, TaskSpec
from areca.tasks import AudioSegment, Task, TextSegment, chain, values_of
from areca.types import Codes

COARSE = Field("source.audio", "acoustic", (0, 2))
FINE = Field("source.audio", "acoustic", (2, 3))
SEMANTIC = Field("source.audio", "semantic")


def codes(*firsts: int) -> Codes:
    return Codes(tuple(torch.arange(first, first + 3) for first in firsts))


VALUES = {SEMANTIC.name: codes(0), COARSE.name: codes(10, 20), FINE.name: codes(30), "source.language": "fr"}
FIRST = Task("COARSE", (SEMANTIC,), (COARSE,))
SECOND = Task("FINE", (COARSE,), (FINE,))


def test_path_role_and_streams_are_a_fields_name() -> None:
    assert [f.name for f in (Field("source.audio"), SEMANTIC, COARSE)] == [
        "source.audio",
        "source.audio:semantic",
        "source.audio:acoustic[0:2]",
    ]
    assert Field("source.audio", crop_s=3).name == "source.audio"
    assert Field("voice.audio") == Field("voice.audio", crop_s=3.0)
    assert (Field("voice.audio").kind, Field("extra.audio").kind) == ("audio", "text")
    assert Field.of({"path": "source.audio", "role": "acoustic", "streams": [0, 2]}) == COARSE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "source.text", "role": "speech"}, "is a text: only audio has a role, streams and crop_s"),
        ({"path": "source.audio", "role": "My role"}, "expected a role of lowercase letters, digits and '_'"),
        ({"path": "source.audio", "streams": (2, 2)}, r"expected streams \(first, stop\), got \(2, 2\)"),
        ({"path": "source.audio", "streams": (0, True)}, r"expected streams \(first, stop\), got \(0, True\)"),
        ({"path": "source.audio", "streams": 3}, r"expected streams \(first, stop\), got 3"),
        ({"path": "source.audio", "crop_s": 0}, "crop_s must be a positive number, got 0"),
        ({"path": "source.audio", "crop": 3}, "expected a path, or {path: source.audio"),
        ({"role": "speech"}, "expected a path, or {path: source.audio"),
        ({"path": "voice.text"}, "expected source.audio, source.text, target.audio, target.text, voice.audio or"),
    ],
)
def test_a_wrong_field_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        Field.of(options)


def test_segments_of_prompts_and_answers_have_the_roles_and_streams_of_their_fields() -> None:
    coarse, fine = VALUES[COARSE.name], VALUES[FINE.name]
    assert isinstance(coarse, Codes) and isinstance(fine, Codes)
    assert SECOND.prompt(VALUES) == [TextSegment("[FINE French]"), AudioSegment(coarse, "acoustic", (0, 2))]
    assert SECOND.target(VALUES) == [AudioSegment(fine, "acoustic", (2, 3))]
    assert SECOND.parse(SECOND.target(VALUES)) == {FINE.name: VALUES[FINE.name]}
    with pytest.raises(InvalidCodes, match=r"acoustic\[2:3\]': expected role acoustic and streams \(2, 3\)"):
        SECOND.parse([AudioSegment(codes(30))])
    with pytest.raises(InvalidCodes, match=r"'source.audio:acoustic\[0:2\]': expected Codes, got NoneType"):
        SECOND.prompt({"source.audio": codes(10, 20), "source.language": "fr"})


def test_a_chain_reads_an_earlier_answer_of_the_same_role_and_streams() -> None:
    both = chain([FIRST, SECOND])
    assert both.target(VALUES) == FIRST.target(VALUES) + SECOND.target(VALUES)
    assert both.parse(both.target(VALUES)) == {f.name: VALUES[f.name] for f in (COARSE, FINE)}
    other = Task("FINE", (Field("source.audio", "acoustic", (0, 1)),), (FINE,))
    with pytest.raises(IncompatibleParts, match=r"FINE reads source.audio:acoustic\[0:1\], which nothing before it"):
        chain([FIRST, other])


def test_a_spec_names_fields_by_path_or_in_full() -> None:
    spec = TaskSpec(("source.text", Field("voice.audio")), ("source.audio",))
    resolved = spec.with_roles("semantic", "acoustic")
    assert [f.name for f in resolved.input_fields] == ["source.text", "voice.audio:semantic"]
    assert [f.name for f in resolved.output_fields] == ["source.audio:acoustic"]
    assert str(TaskSpec((SEMANTIC,), (COARSE,))) == "source.audio:semantic -> source.audio:acoustic[0:2]"


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ((SEMANTIC,), (Field("voice.audio"),), "voice.audio is a voice prompt: expected it among the inputs"),
        ((SEMANTIC, Field("source.audio", "semantic", crop_s=3)), (COARSE,), "has two values of crop_s: None and 3"),
        ((SEMANTIC,), (COARSE, COARSE), "expected one or more different outputs"),
        ((SEMANTIC,), (), "expected one or more different outputs"),
    ],
)
def test_fields_that_one_task_cannot_have(inputs: Any, outputs: Any, message: str) -> None:
    for build in (TaskSpec, lambda *fields: Task("X", *fields)):
        with pytest.raises(ValueError, match=message):
            build(inputs, outputs)


def test_a_header_may_be_empty() -> None:
    task = Task("FINE", (COARSE,), (FINE,), format="")
    values = {name: value for name, value in VALUES.items() if name != "source.language"}
    assert (task.header(values), task.languages) == ("", ())
    [segment] = task.prompt(values)
    assert isinstance(segment, AudioSegment) and segment.codes is VALUES[COARSE.name]
    assert task.fields_missing(Utterance(id="a", audio="a.wav")) == ()
    assert Task("FREE", (), (FINE,), format="").prompt({}) == []
    with pytest.raises(InvalidConfig, match="its prompt is empty, so its answer must start with audio"):
        Task("FREE", (), (Field("source.text"), FINE), format="")


def test_a_voice_prompt_needs_a_recording_of_the_source() -> None:
    task = Task("TTS", (Field("source.text"), Field("voice.audio")), (Field("target.audio"),))
    assert task.fields_missing(Utterance(id="a", text="a", language="fr", target_audio="b.wav")) == ("voice.audio",)
    assert task.fields_missing(Utterance(id="a", text="a", language="fr", audio="a.wav", target_audio="b.wav")) == ()
    row = Utterance(id="a", text="bonjour", audio="a.wav", language="fr")
    voice = codes(5)
    assert task.prompt(values_of(row, {"voice.audio": voice}))[2] == AudioSegment(voice)


def test_the_fields_of_a_dataset_are_paths_and_its_description_names_them() -> None:
    spec = DatasetSpec(("fr",), 16_000, fields=("source.audio", "extra.mood"))
    assert str(spec).endswith(", only source.audio, extra.mood")
    with pytest.raises(ValueError, match=r"field 'words': expected source\.audio"):
        DatasetSpec(("fr",), 16_000, fields=("words",))
