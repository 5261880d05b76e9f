"""Tasks: fields, prompts, chains and languages."""

from __future__ import annotations

import pytest
import torch

from areca import Kind
from areca.errors import IncompatibleParts, InvalidCodes, InvalidConfig
from areca.languages import LANGUAGES, language_code, language_name
from areca.manifest import Utterance
from areca.registry.registry import Registry
from areca.specs import TaskSpec
from areca.tasks import AudioSegment, Field, Task, TextSegment, chain, values_of
from areca.types import Codes

CODES = Codes((torch.arange(4),))
VALUES = {
    "source.audio": CODES,
    "source.text": "bonjour",
    "target.text": "hello",
    "target.audio": CODES,
    "source.language": "fr",
    "target.language": "English",
}


def load(name: str, **options: object) -> Task:
    from areca.options import build

    entry = Registry.discover().find(Kind.TASK, name)
    config = build(entry.options(), options, name)
    task = entry.target().load(config, {}, None, device=torch.device("cpu"), dtype=torch.float32)
    spec = entry.spec(config, {})
    assert spec == TaskSpec(tuple(f.path for f in task.inputs), tuple(f.path for f in task.outputs))
    assert isinstance(task, Task)
    return task


@pytest.mark.parametrize(
    "name, header, inputs, outputs",
    [
        ("asr", "[ASR French]", ["source.audio"], ["source.text"]),
        ("ast", "[AST French English]", ["source.audio"], ["target.text"]),
        ("s2st", "[S2ST French English]", ["source.audio"], ["target.audio"]),
        ("tts", "[TTS French]", ["source.text"], ["source.audio"]),
        ("mt", "[MT French English]", ["source.text"], ["target.text"]),
    ],
)
def test_the_tasks_of_the_paper(name: str, header: str, inputs: list[str], outputs: list[str]) -> None:
    task = load(name)
    assert task.header(VALUES) == header
    assert [f.path for f in task.inputs] == inputs
    assert [f.path for f in task.outputs] == outputs
    assert task.parse(task.target(VALUES)) == {path: VALUES[path] for path in outputs}


def test_the_target_side_can_be_spoken_and_transcribed() -> None:
    tts, asr = load("tts", side="target"), load("asr", side="target")
    assert tts.header(VALUES) == "[TTS English]"
    assert asr.header(VALUES) == "[ASR English]"
    assert tts.prompt(VALUES)[1:] == [TextSegment("hello")]
    assert asr.parse(asr.target(VALUES)) == {"target.text": "hello"}


def test_a_chain_answers_all_of_its_tasks_in_order() -> None:
    task = chain([load("asr"), load("ast"), load("s2st")])
    assert task.header(VALUES) == "[ASR AST S2ST French English]"
    assert task.prompt(VALUES) == [TextSegment("[ASR AST S2ST French English]"), AudioSegment(CODES)]
    assert task.answer_kinds == ("text", "text", "audio")
    assert task.target(VALUES) == [TextSegment("bonjour"), TextSegment("hello"), AudioSegment(CODES)]
    paths = ("source.text", "target.text", "target.audio")
    assert task.parse(task.target(VALUES)) == {path: VALUES[path] for path in paths}


def test_a_chain_of_a_third_partys_task() -> None:
    emotion = Task("EMOTION", (Field("source.audio"),), (Field("extra.emotion"),), languages=())
    task = chain([load("asr"), emotion])
    row = Utterance(id="a", audio="a.wav", text="bonjour", language="fr", extra={"emotion": "joy"})
    values = values_of(row, {"source.audio": CODES})
    assert emotion.header(values) == "[EMOTION]"
    assert task.header(values) == "[ASR EMOTION French]"
    assert task.target(values) == [TextSegment("bonjour"), TextSegment("joy")]
    assert task.parse([TextSegment("x"), TextSegment("y")]) == {"source.text": "x", "extra.emotion": "y"}
    assert task.fields_missing(row) == ()
    assert task.fields_missing(Utterance(id="b", audio="b.wav", language="fr")) == ("source.text", "extra.emotion")


def test_a_task_in_a_chain_reads_only_the_prompt_and_earlier_answers() -> None:
    task = chain([load("asr"), load("mt"), load("tts", side="target")])
    assert task.header(VALUES) == "[ASR MT TTS French English]"
    assert [f.path for f in task.inputs] == ["source.audio"]
    with pytest.raises(IncompatibleParts, match=r"MT reads source\.text, which nothing before it"):
        chain([load("ast"), load("mt")])
    with pytest.raises(IncompatibleParts, match=r"two tasks of the chain produce the same field \(source\.text\)"):
        chain([load("asr"), load("asr")])
    with pytest.raises(InvalidConfig, match="at least one"):
        chain([])


def test_a_prompt_needs_no_target() -> None:
    inputs = {k: v for k, v in VALUES.items() if k in ("source.audio", "source.language", "target.language")}
    assert len(load("s2st").prompt(inputs)) == 2
    with pytest.raises(InvalidCodes, match=r"'target.audio': expected Codes, got NoneType"):
        load("s2st").target(inputs)


def test_invalid_values_are_named() -> None:
    asr = load("asr")
    with pytest.raises(InvalidConfig, match=r"source language: give 'source.language'"):
        asr.prompt({"source.audio": CODES})
    with pytest.raises(InvalidConfig, match=r"'Frensh'.*did you mean 'French'"):
        asr.prompt(VALUES | {"source.language": "Frensh"})
    with pytest.raises(InvalidCodes, match="expected Codes, got str"):
        asr.prompt(VALUES | {"source.audio": "a.wav"})
    with pytest.raises(InvalidCodes, match="expected 1 segments, got 2"):
        asr.parse([TextSegment("a"), TextSegment("b")])
    with pytest.raises(InvalidCodes, match="expected text, got AudioSegment"):
        asr.parse([AudioSegment(CODES)])


@pytest.mark.parametrize("path", ["audio", "source.speaker", "extra.", "extra", "target.audio.x", "source"])
def test_a_wrong_field_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidConfig, match=r"extra\.<name>"):
        Field(path)


def test_a_tasks_format_is_data() -> None:
    io = (Field("source.audio"),), (Field("target.text"),)
    task = Task("X", *io, languages=("source", "target"), format="<{tag}: {target} from {source}>")
    assert task.header(VALUES) == "<X: English from French>"
    with pytest.raises(InvalidConfig, match="cannot be filled in"):
        Task("X", *io, format="[{tagg}]")
    with pytest.raises(InvalidConfig, match="languages"):
        Task("X", *io, languages=("middle",))


def test_values_of_a_row() -> None:
    row = Utterance(
        id="a",
        text="bonjour",
        language="fr",
        target_text="hello",
        target_language="en",
        extra={"n": 3},
    )
    assert values_of(row, {"target.audio": CODES}) == {
        "source.text": "bonjour",
        "source.language": "fr",
        "target.text": "hello",
        "target.language": "en",
        "target.audio": CODES,
        "extra.n": "3",
    }


def test_languages_by_code_and_by_name() -> None:
    assert [language_name(x) for x in ("fr", "FR", "French", "french", "fr-CA", "pt_BR")] == [
        *["French"] * 5,
        "Portuguese",
    ]
    assert language_code("Spanish") == "es"
    assert {"en", "fr", "de", "es", "it", "zh", "ceb"} <= set(LANGUAGES)
    assert len(set(LANGUAGES.values())) == len(LANGUAGES)


def test_the_table_of_languages_is_cldrs() -> None:
    from babel import Locale

    names = Locale("en").languages
    assert {code: names[code] for code in LANGUAGES} == dict(LANGUAGES)
