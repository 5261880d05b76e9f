"""Judges recognise real speech: recordings of people if they are available, otherwise espeak-ng."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch

from areca.audio import conform
from areca.errors import InvalidAudio, InvalidConfig, MissingDependency
from areca.evaluation.judging import Clip, open_judge, open_transcript_journal, transcribe_clips
from areca.registry.registry import Registry
from areca.types import Audio
from areca_judges.grammar import RULES
from areca_metrics.spoken_values import read_values as read
from areca_say.values import Value, all_values
from areca_say.wording import spell_out

pytest.importorskip("pocketsphinx")
from areca_judges import PocketsphinxConfig, WhisperConfig
from areca_judges.sphinx import Pocketsphinx

RATE = 16_000
SPOKEN = ("number", (7777,)), ("number", (282,)), ("time", (16, 15))


@pytest.fixture(scope="module")
def judge() -> Pocketsphinx:
    return Pocketsphinx(PocketsphinxConfig())


@pytest.fixture(scope="module")
def espeak() -> dict[str, Audio]:
    pytest.importorskip("espeakng_loader")
    from areca_say.synthetic import Sentence, speak

    def say(words: str) -> Audio:  # alone, because espeak-ng's output depends on what it said before
        return conform(next(iter(speak([Sentence(words, "en", "f2", 50, 120)]))), RATE, 1)

    return {words: say(words) for words in (spell_out(Value(*value), "en") for value in SPOKEN)}


@pytest.fixture(scope="module")
def human() -> dict[str, Audio]:
    from areca_say.asterisk.recordings import VOICES
    from areca_say.clips import list_clips
    from areca_say.human import Composition, Speaker

    values = [
        Value("number", (7234,)),
        Value("date", (1984, 3, 7)),
        Value("time", (14, 5)),
        Value("time", (9, 48)),
    ]
    try:
        speaker = Speaker(VOICES["en"], None)
    except MissingDependency as error:
        pytest.skip(f"no recordings here: {error}")
    return {spell_out(v, "en"): Composition(speaker, list_clips(v, "en"), 0).audio() for v in values}


def as_pattern(rule: str) -> str:
    body = re.sub(r"<(\w+)>", lambda m: as_pattern(m[1]), RULES[rule])
    return f"(?:{body})"


def grammar() -> re.Pattern[str]:
    """The grammar as a regular expression over words that each end in a space."""
    body = as_pattern("value")
    body = re.sub(r"[a-z.]+", lambda m: re.escape(m[0]) + "_", body.replace("?:", "\0"))
    return re.compile(body.replace(" ", "").replace("[", "(?:").replace("]", ")?").replace("\0", "?:"))


def accepts(pattern: re.Pattern[str], sentence: str) -> bool:
    words = sentence.replace(" a m", " a.m.").replace(" p m", " p.m.").split()
    return pattern.fullmatch("".join(f"{word}_" for word in words)) is not None


def test_the_grammar_accepts_the_wording_of_every_value() -> None:
    pattern = grammar()
    values = all_values()
    for value in [*(v for group in values["number"] for v in group), *values["time"][0], *values["date"][0][::29]]:
        assert accepts(pattern, spell_out(value, "en")), value


@pytest.mark.parametrize(
    "sentence",
    ["two oh", "two oh five", "sixty five a m", "two sixty five p m", "thirteen p m", "zero one", "march seventh", ""],
)
def test_the_grammar_accepts_nothing_else(sentence: str) -> None:
    assert not accepts(grammar(), sentence)


def test_pocketsphinx_hears_synthetic_numbers_and_times(judge: Pocketsphinx, espeak: dict[str, Audio]) -> None:
    heard = judge.transcribe(list(espeak.values()), "en")
    assert [read(h, "en") for h in heard] == list(espeak)


def test_pocketsphinx_hears_people(judge: Pocketsphinx, human: dict[str, Audio]) -> None:
    heard = judge.transcribe([conform(a, RATE, 1) for a in human.values()], "en")
    assert [read(h, "en") for h in heard] == [read(t, "en") for t in human]


def test_earlier_audio_does_not_matter(judge: Pocketsphinx, espeak: dict[str, Audio]) -> None:
    def score(audio: Audio) -> tuple[str, int]:
        """Return the transcript and its acoustic score, which changes before the words do."""
        [words] = judge.transcribe([audio], "en")
        return words, judge._decoder.hyp().best_score

    audios = list(espeak.values())
    before = [score(audio) for audio in audios]
    generator = torch.Generator().manual_seed(0)
    score(Audio(0.1 * torch.randn(1, 2 * RATE, generator=generator), RATE))
    assert [score(audio) for audio in reversed(audios)] == before[::-1]


def test_a_users_grammar_is_recognised(espeak: dict[str, Audio], tmp_path: Path) -> None:
    path = tmp_path / "answers.jsgf"
    path.write_text("#JSGF V1.0; grammar g; public <a> = two hundred eighty two | four thousand | good morning;")
    audio = espeak["two hundred eighty two"]
    assert Pocketsphinx(PocketsphinxConfig(grammar=path)).transcribe([audio], "en") == ["two hundred eighty two"]


@pytest.mark.parametrize(
    "content", ["no grammar at all", "#JSGF V1.0; grammar g; public <a> = xyzzyx | one;", "#JSGF V1.0; grammar g;"]
)
def test_an_unusable_grammar_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsgf"
    path.write_text(content)
    with pytest.raises(InvalidConfig, match=r"grammar .*bad\.jsgf.*expected a JSGF file.*cmudict-en-us"):
        Pocketsphinx(PocketsphinxConfig(grammar=path))


def test_pocketsphinx_refuses_other_audio_and_languages(judge: Pocketsphinx) -> None:
    with pytest.raises(InvalidConfig, match=r"knows only English \('en'\), got 'fr'; use 'whisper'"):
        judge.transcribe([Audio(torch.zeros(1, 100), RATE)], "fr")
    with pytest.raises(InvalidAudio, match="expected 16000 Hz"):
        judge.transcribe([Audio(torch.zeros(1, 100), 8000)], "en")
    with pytest.raises(InvalidAudio, match="at least one"):
        judge.transcribe([], "en")


def test_silence_and_a_single_sample_have_a_transcript(judge: Pocketsphinx) -> None:
    audios = [Audio(torch.zeros(1, n), RATE) for n in (1, 160, RATE)]
    assert all(isinstance(said, str) for said in judge.transcribe(audios, "en"))


def test_judges_are_opened_by_name_value_and_mapping(tmp_path: Path) -> None:
    registry = Registry.discover()
    path = tmp_path / "g.jsgf"
    path.write_text("#JSGF V1.0; grammar g; public <a> = yes | no;")
    plain = open_judge(registry, "pocketsphinx")
    by_value = open_judge(registry, f"pocketsphinx:{path}")
    by_yaml = open_judge(registry, f"{{name: pocketsphinx, grammar: {path}}}")
    assert by_value.label == by_yaml.label != plain.label
    assert plain.knows("en") and not plain.knows("fr") and not plain.knows(None)
    path.write_text("#JSGF V1.0; grammar g; public <a> = yes | maybe;")
    assert open_judge(registry, f"pocketsphinx:{path}").label != by_value.label  # the content counts, not the path
    with pytest.raises(InvalidConfig, match="no option is called 'grammer'; did you mean 'grammar'"):
        open_judge(registry, "{name: pocketsphinx, grammer: x}")
    with pytest.raises(InvalidConfig, match="line 1: expected ',' or '}'"):
        open_judge(registry, "{name: pocketsphinx")


def test_existing_transcripts_are_reused(espeak: dict[str, Audio], tmp_path: Path) -> None:
    judge = open_judge(Registry.discover(), "pocketsphinx")
    asked: list[str] = []

    def clip(name: str, language: str = "en") -> Clip:
        def load() -> Audio:
            asked.append(name)
            return espeak["two hundred eighty two"]

        return Clip(name, language, load)

    path = tmp_path / "heard.jsonl"
    transcribe_clips(judge, [clip("a"), clip("b"), clip("a"), clip("c", "fr")], open_transcript_journal(path), batch=8)
    journal = open_transcript_journal(path)
    transcribe_clips(judge, [clip("b"), clip("d")], journal, batch=8)
    assert asked == ["a", "b", "d"]  # one language at a time, French not at all
    assert journal[judge.label, "d"].text == "two hundred eighty two"
    assert (judge.label, "c") not in journal


def test_whisper_needs_the_location_of_the_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"either path \(a folder\) or model"):
        WhisperConfig()
    with pytest.raises(InvalidConfig, match=r"has no model\.bin"):
        open_judge(Registry.discover(), f"whisper:{tmp_path}")


@pytest.fixture(scope="module")
def whisper_folder() -> str:
    folder = os.environ.get("ARECA_WHISPER")
    if not folder:
        pytest.skip("no Whisper here: ARECA_WHISPER names the folder of a CTranslate2 model")
    return folder


def test_whisper_hears_speech(whisper_folder: str, human: dict[str, Audio]) -> None:
    judge = open_judge(Registry.discover(), f"whisper:{whisper_folder}")
    some = dict(list(human.items())[:3])
    heard = judge.transcribe(list(some.values()), "en")
    assert [read(h, "en") for h in heard] == [read(t, "en") for t in some]
    assert judge.transcribe(list(some.values())[::-1], "en") == heard[::-1]
    with pytest.raises(InvalidConfig, match="does not know language 'xx'"):
        judge.transcribe(list(some.values()), "xx")
