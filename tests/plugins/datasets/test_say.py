"""The dataset `say`: wordings, splits, synthetic and composed speech."""

from __future__ import annotations

import dataclasses
import itertools
import re
import sys
import unicodedata
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests import ROOT

from areca import Kind
from areca.artifact import Artifact
from areca.audio import write
from areca.errors import ArecaError, ArecaWarning, InvalidConfig, MissingDependency
from areca.fitting.recordings.samples import set_level, trim
from areca.interfaces import Job
from areca.manifest import Manifest, read_manifest
from areca.options import build
from areca.registry.parts import resolve
from areca.registry.registry import Registry
from areca.types import Audio
from areca_say import LANGUAGES, VARIANTS, SayConfig
from areca_say.asterisk.packages import SOUNDS, locate_package
from areca_say.asterisk.recordings import OTHER_VOICES, VOICES
from areca_say.clips import list_clips
from areca_say.dataset import Say
from areca_say.human import Speaker
from areca_say.synthetic import Sentence, speak
from areca_say.values import Value, all_values, draw_values, split_of
from areca_say.variants import Mixture, Variant
from areca_say.wording import spell_out

CPU = torch.device("cpu")
SMALL = SayConfig(
    languages=("en", "fr"), sources=("synthetic",), target_source="synthetic", count=5, validation_count=2, test_count=4
)


@pytest.fixture(scope="module")
def people() -> None:
    """Skip the test if the real recordings are not available."""
    try:
        for voice in [*VOICES.values(), *OTHER_VOICES.values()]:
            locate_package(voice.audio_package, None)
    except MissingDependency as error:
        pytest.skip(f"no recordings on this machine: {error}")


def build_say(config: SayConfig, directory: Path, seed: int = 0) -> Manifest:
    directory.mkdir(exist_ok=True)
    Say.fit(config, {}, None, Job(directory, seed, CPU))
    return Say.load(config, {}, directory, device=CPU, dtype=torch.float32)


def content(directory: Path) -> dict[str, bytes]:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def numbers(words: str) -> dict[str, str]:
    return {str(n): word for n, word in enumerate(words.split())}


def keyed(prefix: str, words: str, start: int = 0) -> dict[str, str]:
    return {f"{prefix}{n}": word for n, word in enumerate(words.split(), start)}


def keyed_by_tens(words: str) -> dict[str, str]:
    return {f"{n}0": word for n, word in enumerate(words.split(), start=3)}


ITALIAN_TENS = keyed("", "vent trent quarant cinquant sessant settant ottant novant", start=2)
SAYS = {
    "en": numbers(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty"
    )
    | keyed_by_tens("thirty forty fifty sixty seventy eighty ninety")
    | {"hundred": "hundred", "thousand": "thousand", "oh": "oh", "a-m": "am", "p-m": "pm", "h-30": "thirtieth"}
    | keyed("day-", "sunday monday tuesday wednesday thursday friday saturday")
    | keyed("mon-", "january february march april may june july august september october november december")
    | keyed(
        "h-",
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
        "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth",
        start=1,
    ),
    "es": numbers(
        "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciseis diecisiete "
        "dieciocho diecinueve veinte veintiuno veintidos veintitres veinticuatro veinticinco veintiseis veintisiete "
        "veintiocho veintinueve treinta"
    )
    | {"40": "cuarenta", "50": "cincuenta", "60": "sesenta", "70": "setenta", "80": "ochenta", "90": "noventa"}
    | {"hundred": "cien", "100-and": "ciento", "200": "doscientos", "300": "trescientos", "400": "cuatrocientos"}
    | {"500": "quinientos", "600": "seiscientos", "700": "setecientos", "800": "ochocientos", "900": "novecientos"}
    | {"thousand": "mil", "and": "y", "1F": "una", "h-1": "primero", "es-de": "de", "a-m": "am", "p-m": "pm"}
    | keyed("day-", "domingo lunes martes miercoles jueves viernes sabado")
    | keyed("mon-", "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"),
    "fr": numbers(
        "zero un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dixsept dixhuit "
        "dixneuf vingt"
    )
    | {"30": "trente", "40": "quarante", "50": "cinquante", "60": "soixante", "70": "soixantedix", "80": "quatrevingt"}
    | {"90": "quatrevingtdix", "hundred": "cent", "thousand": "mille", "et": "et", "1F": "une", "h-1": "premier"}
    | {"oclock": "heure"}
    | keyed("day-", "dimanche lundi mardi mercredi jeudi vendredi samedi")
    | keyed("mon-", "janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre"),
    "it": numbers(
        "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici "
        "diciassette diciotto diciannove venti"
    )
    | {tens + "0": stem + ("i" if tens == "2" else "a") for tens, stem in ITALIAN_TENS.items()}
    | {tens + "1": stem + "uno" for tens, stem in ITALIAN_TENS.items()}
    | {tens + "8": stem + "otto" for tens, stem in ITALIAN_TENS.items()}
    | {"hundred": "cento", "thousand": "mille", "thousands": "mila", "e": "e", "hours": "ore", "h-1": "primo"}
    | {"ore-una": "una", "ore-1900": "millenovecento", "ore-2000": "duemila"}
    | keyed("day-", "domenica lunedi martedi mercoledi giovedi venerdi sabato")
    | keyed("mon-", "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre"),
}  # fmt: skip
"""The words of each recording, by language and key, without silent letters."""


def letters(words: str, language: str) -> str:
    if language == "fr":  # silent letters
        words = words.replace("cents", "cent").replace("vingts", "vingt").replace("heures", "heure")
    return "".join(c for c in unicodedata.normalize("NFD", words) if c.isalpha())


@pytest.mark.parametrize("language", sorted(SAYS))
@pytest.mark.parametrize(("kind", "step"), [("number", 1), ("date", 41), ("time", 1)])
def test_recordings_say_exactly_the_text(language: str, kind: str, step: int) -> None:
    for value in itertools.islice(itertools.chain(*all_values()[kind]), 0, None, step):
        heard = "".join(SAYS[language][key] for group in list_clips(value, language) for key in group)
        said = letters(spell_out(value, language), language)
        assert heard == said, (str(value), spell_out(value, language))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("number", "4821", {
            "en": "four thousand eight hundred twenty one", "es": "cuatro mil ochocientos veintiuno",
            "fr": "quatre mille huit cent vingt et un", "de": "viertausendachthunderteinundzwanzig",
            "it": "quattromilaottocentoventuno",
        }),
        ("number", "118", {"it": "centodiciotto", "es": "ciento dieciocho", "fr": "cent dix huit"}),
        ("number", "80", {"fr": "quatre vingts", "it": "ottanta"}),
        ("date", "1984-03-07", {
            "en": "wednesday march seventh nineteen eighty four",
            "es": "miércoles siete de marzo de mil novecientos ochenta y cuatro",
            "fr": "mercredi sept mars mille neuf cent quatre vingt quatre",
            "de": "mittwoch der siebte märz neunzehnhundertvierundachtzig",
            "it": "mercoledì sette marzo millenovecentoottantaquattro",
        }),
        ("date", "2005-05-01", {
            "en": "sunday may first two thousand five", "es": "domingo primero de mayo de dos mil cinco",
            "fr": "dimanche premier mai deux mille cinq", "de": "sonntag der erste mai zweitausendfünf",
            "it": "domenica primo maggio duemilacinque",
        }),
        ("date", "1900-01-01", {"en": "monday january first nineteen hundred"}),
        ("date", "1907-12-31", {"en": "tuesday december thirty first nineteen oh seven"}),
        ("date", "2026-02-28", {"en": "saturday february twenty eighth twenty twenty six"}),
        ("time", "14:35", {
            "en": "two thirty five p m", "es": "dos treinta y cinco p m", "fr": "quatorze heures trente cinq",
            "de": "vierzehn uhr fünfunddreißig", "it": "ore quattordici e trentacinque",
        }),
        ("time", "00:00", {
            "en": "twelve a m", "es": "doce a m", "fr": "zéro heure", "de": "null uhr", "it": "ore zero",
        }),
        ("time", "21:01", {"fr": "vingt et une heures une", "de": "einundzwanzig uhr eins", "en": "nine oh one p m"}),
        ("time", "13:05", {"es": "una cero cinco p m", "it": "ore tredici e cinque", "de": "dreizehn uhr fünf"}),
        ("time", "01:31", {"de": "ein uhr einunddreißig", "fr": "une heure trente et une", "it": "ore una e trentuno"}),
    ],
)  # fmt: skip
def test_values_are_spelt_out_in_each_language(kind: str, value: str, expected: dict[str, str]) -> None:
    said = Value.parse(kind, value)
    assert str(said) == value
    assert {language: spell_out(said, language) for language in expected} == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_are_plain_and_differ_between_values(language: str) -> None:
    seen: dict[str, Value] = {}
    for value in itertools.chain(*all_values()["number"], *all_values()["time"], all_values()["date"][0][::97]):
        said = spell_out(value, language)
        assert said.replace(" ", "").isalpha()
        assert said == said.lower() == " ".join(said.split())
        assert said not in seen, (str(seen.get(said)), str(value))
        seen[said] = value


def test_digits_bound_the_numbers() -> None:
    for digits in (1, 3, 4):
        numbers = [value.parts[0] for group in all_values(digits)["number"] for value in group]
        assert numbers == list(range(10**digits))
    with pytest.raises(ValueError, match="digits must be from 1 to 4, got 5"):
        SayConfig(digits=5)


def test_every_value_exists_once() -> None:
    groups = all_values()
    assert [len(group) for group in groups["number"]] == [10, 90, 900, 9000]
    assert [len(group) for group in groups["time"]] == [1440]
    assert len(set(groups["date"][0])) == (date(2100, 1, 1) - date(1900, 1, 1)).days
    assert Value.parse("date", "2000-02-29") in groups["date"][0]


def test_splits_have_their_shares_and_are_nested() -> None:
    values = [v for of_kind in all_values().values() for group in of_kind for v in group]
    shares = Counter(split_of(v, 0.1, 0.05) for v in values)
    assert shares["test"] / len(values) == pytest.approx(0.1, abs=0.005)
    assert shares["validation"] / len(values) == pytest.approx(0.05, abs=0.005)
    assert all(split_of(v, 0.2, 0.0) == "test" for v in values if split_of(v, 0.1, 0.0) == "test")
    assert {split_of(v, 0.0, 0.0) for v in values[:1000]} == {"train"}


def test_kinds_and_digit_counts_are_drawn_equally_often() -> None:
    drawn = list(itertools.islice(draw_values(all_values(), np.random.default_rng(0), repeat=True), 6000))
    assert Counter(v.kind for v in drawn) == {"number": 2000, "date": 2000, "time": 2000}
    assert Counter(len(str(v)) for v in drawn if v.kind == "number") == dict.fromkeys((1, 2, 3, 4), 500)
    assert (
        Counter(v for v in drawn if v.kind == "time").most_common(1)[0][1] == 2
    )  # all 1,440 times are drawn before one is repeated


def test_a_draw_without_repetition_ends_after_the_last_value() -> None:
    some = {kind: tuple(group[:7] for group in groups) for kind, groups in all_values().items()}
    drawn = list(draw_values(some, np.random.default_rng(0), repeat=False))
    assert len(drawn) == len(set(drawn)) == 7 * 6
    assert list(draw_values({"number": ((),)}, np.random.default_rng(0), repeat=True)) == []


def test_equal_lists_of_sentences_give_equal_audio() -> None:
    said = [Sentence("deux mille cinq", "fr", variant, 50, 150) for variant in ("m1", "linda", "Andy")]
    first, second = list(speak(said)), list(speak(said))
    assert [a.sample_rate_hz for a in first] == [22_050] * 3
    assert all(torch.equal(a.samples, b.samples) for a, b in zip(first, second, strict=True))
    assert all(0.5 < a.seconds < 3 and a.samples.abs().max() > 0.1 for a in first)


def test_pitch_and_speed_change_the_speech() -> None:
    plain, slow, low = speak(
        [Sentence("four thousand", "en", "Andy", pitch, rate) for pitch, rate in ((60, 180), (60, 100), (20, 180))]
    )
    assert slow.seconds > 1.4 * plain.seconds
    assert low.seconds == pytest.approx(plain.seconds, rel=0.1)

    def period_s(samples: torch.Tensor) -> float:
        x = samples[0, 6000:10000].numpy()
        correlation = np.correlate(x, x, "full")[len(x) - 1 :]
        return float(55 + correlation[55:400].argmax()) / 22_050

    assert period_s(low.samples) > 1.15 * period_s(plain.samples)


@pytest.mark.parametrize("variant", ["nobody", Mixture("m1", "nobody", "f1", 100)])
def test_a_voice_that_espeak_lacks_is_named(variant: Variant) -> None:
    with pytest.raises(ArecaError, match="no voice 'nobody'"):
        list(speak([Sentence("un", "fr", variant, 50, 150)]))


def test_a_mixture_takes_from_each_of_three_speakers(tmp_path: Path) -> None:
    folder = tmp_path / "voices" / "!v"
    folder.mkdir(parents=True)
    (folder / "a").write_text("language variant\nname A\npitch 80 90\nformant 1 110 95 90 // low\ntone 600 170\n")
    (folder / "b").write_text("name B\npitch 180 200\n#flutter 9\nflutter 3\nformant 1 50 50 50\nvoicing 10\n")
    (folder / "c").write_text("name C\ngender female\npitch 1 2\nconsonants 70 80\n\necho 1 2\n")
    definitions = [Mixture("a", "b", "c", seed).definition(tmp_path).splitlines() for seed in range(200)]
    odd = {
        "stressAdd": (8, 0, 350),
        "breath": (8, 0, 18),
        "echo": (2, 1, 180),
        "voicing": (1, 25, 200),
        "consonants": (2, 20, 200),
        "stressAmp": (8, 12, 40),
        "tone": (8, 50, 4500),
    }
    for seed, lines in enumerate(definitions):
        assert lines[:2] == ["language variant", f"name a+b+c+{seed}"]
        number, frequency, height, width = map(int, lines[2].removeprefix("formant ").split())
        assert (number, width) == (1, 90)
        assert 0.8 * 0.85 * 110 - 1 <= frequency <= 1.28 * 1.18 * 110 + 1
        assert 0.5 * 95 - 1 <= height <= 1.6 * 95 + 1
        assert lines[3:5] == ["pitch 180 200", "flutter 3"]
        kinds = [line.split()[0] for line in lines[5:]]
        assert len(set(kinds)) == len(kinds), "a peculiarity replaces the same property of the timbre"
        assert {"consonants", "echo"} <= set(kinds)
        for kind, *values in map(str.split, lines[5:]):
            count, low, high = odd[kind]
            assert len(values) == count and all(low <= int(value) <= high for value in values)
    for kept in ("consonants 70 80", "echo 1 2"):
        assert sum(kept in lines for lines in definitions) / 200 == pytest.approx(0.65, abs=0.1)
    for kind in odd.keys() - {"consonants", "echo"}:
        assert sum(any(x.startswith(kind + " ") for x in lines) for lines in definitions) / 200 == pytest.approx(
            0.35, abs=0.1
        )


def test_a_mixture_differs_from_its_speakers_and_is_reproducible() -> None:
    mixed = Mixture("linda", "m3", "Andy", 1)
    variants: list[Variant] = [mixed, "linda", "m3", "Andy", Mixture("linda", "m3", "Andy", 2)]
    first, *others = speak([Sentence("deux mille cinq", "fr", variant, 50, 150) for variant in variants])
    assert all(not torch.equal(first.samples, other.samples) for other in others)
    assert torch.equal(first.samples, next(speak([Sentence("deux mille cinq", "fr", mixed, 50, 150)])).samples)


def test_trim_keeps_the_speech_and_a_margin() -> None:
    silence, speech = np.zeros(8000, np.float32), np.full(1600, 0.5, np.float32)
    assert len(trim(np.concatenate([silence, speech, silence]), 16_000, 0.02)) == 1600 + 2 * 320
    assert len(trim(silence, 16_000, 0.02)) == 8000
    assert len(trim(speech[:50], 16_000, 0.02)) == 50
    assert np.sqrt(np.mean(set_level(speech) ** 2)) == pytest.approx(0.08)
    spike = np.zeros(16_000, np.float32)
    spike[0] = 0.1
    assert set_level(spike).max() == pytest.approx(0.95)


def test_a_synthetic_corpus_has_the_planned_rows_and_audio(tmp_path: Path) -> None:
    manifest = build_say(SMALL, tmp_path / "a")
    assert Counter((r.language, r.source, r.split) for r in manifest.rows) == {
        (language, "synthetic", split): count
        for language in ("en", "fr")
        for split, count in (("train", 5), ("validation", 2), ("test", 4))
    }
    assert {r.extra["kind"] for r in manifest.rows} == {"number", "date", "time"}
    for row in manifest.rows:
        value = Value.parse(row.extra["kind"], row.extra["value"])
        assert row.text == spell_out(value, row.language or "")
        assert split_of(value, SMALL.test_share, SMALL.validation_share) == row.split
        names = set(re.split(r"[+*]", (row.speaker or "").removeprefix("espeak-")))
        assert bool(names & set(SMALL.held_out_voices)) is (row.split == "test")
        audio = manifest.audio(row)
        assert (audio.sample_rate_hz, audio.channels) == (16_000, 1)
        assert 0.2 < audio.seconds < 9
        if row.language == "en":
            assert row.target_audio is row.target_text is row.target_language is None
        else:
            assert (row.target_text, row.target_language) == (spell_out(value, "en"), "en")
            assert manifest.target_audio(row).seconds > 0.2


def test_the_seed_changes_the_corpus_and_workers_do_not(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, languages=("it",), count=3, test_count=1)
    build_say(config, tmp_path / "a")
    build_say(dataclasses.replace(config, workers=1), tmp_path / "b")
    build_say(config, tmp_path / "c", seed=1)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert content(tmp_path / "a") != content(tmp_path / "c")


def test_other_languages_do_not_change_a_languages_rows(tmp_path: Path) -> None:
    alone = build_say(dataclasses.replace(SMALL, languages=("fr",)), tmp_path / "a")
    among = build_say(SMALL, tmp_path / "b")
    assert alone.rows == among.select(language="fr").rows
    assert content(tmp_path / "a").items() - {("manifest.jsonl", b"")} >= {
        (path, data) for path, data in content(tmp_path / "b").items() if path.startswith("audio/fr")
    }


def test_an_interrupted_job_resumes_to_the_same_corpus(tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(done: int, total: int, message: str = "") -> None:
        raise Interrupted

    (tmp_path / "a").mkdir()
    with pytest.raises(Interrupted):
        Say.fit(dataclasses.replace(SMALL, workers=1), {}, None, Job(tmp_path / "a", 0, CPU, interrupt))
    kept = sorted((tmp_path / "a").rglob("*.flac"))
    assert kept
    assert not (tmp_path / "a" / "manifest.jsonl").exists()
    kept[-1].unlink()
    before = kept[0].stat().st_mtime_ns
    with pytest.warns(ArecaWarning, match=f"{kept[-1].name}: damaged, or not completely written; it is rebuilt"):
        build_say(SMALL, tmp_path / "a")
    build_say(SMALL, tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert len(kept) < len(content(tmp_path / "b"))
    assert kept[0].stat().st_mtime_ns >= before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": ["en", "ftr"]}, "languages: there is no 'ftr'; did you mean 'fr'"),
        ({"sources": ["humans"]}, "sources: there is no 'humans'; did you mean 'human'"),
        ({"kinds": []}, "kinds is empty"),
        ({"languages": ["en", "en"]}, "languages names a value twice"),
        ({"held_out_voices": ["m33"]}, "held_out_voices: there is no 'm33'; did you mean 'm3'"),
        ({"held_out_voices": list(VARIANTS)}, "none is left to train on"),
        ({"count": -1}, "count must be 0 or more"),
        ({"test_share": 0.7, "validation_share": 0.4}, "leave rows to train on"),
        ({"mixed_voices": 1.5}, "mixed_voices must be from 0 to 1"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"counts": 3}, "no option is called 'counts'; did you mean 'count'"),
        ({"target_source": "robot"}, "target_source"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        build(SayConfig, options, "dataset 'say'")


def test_a_language_that_no_source_speaks_is_refused(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, languages=("de",), sources=("human",))
    with pytest.raises(InvalidConfig, match=r"no source of .* speaks any of .*'de'"):
        build_say(config, tmp_path / "a")


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Return an archive with the recordings of 1 to 9 of the English voice."""
    folder = tmp_path / "archive" / SOUNDS / VOICES["en"].folder / "digits"
    folder.mkdir(parents=True)
    for digit in range(1, 10):
        tone = torch.sin(torch.arange(4000) * 0.05 * digit)[None]
        write(folder / f"{digit}.wav", Audio(tone, 16_000))
    return tmp_path / "archive"


def test_recorded_speech_needs_no_espeak(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    entry = resolve(Registry.discover(), Kind.DATASET, {"name": "say"}, role="data").entry
    assert entry.target() is Say
    people = dataclasses.replace(
        SMALL, languages=("en",), sources=("human",), kinds=("number",), test_share=0.4, archives=digits
    )
    assert {row.source for row in build_say(people, tmp_path / "a").rows} == {"human"}
    both = dataclasses.replace(people, sources=("human", "synthetic"))
    with pytest.raises(MissingDependency, match=r"needs espeak-ng: pip install 'areca\[synthetic\]'"):
        build_say(both, tmp_path / "b")
    assert content(tmp_path / "b") == {}, "the error comes before any file is written"


def test_the_notice_credits_every_recorded_voice() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for voice in VOICES.values():
        if voice.language in LANGUAGES:
            assert voice.person in notice and voice.license in notice


def test_the_component_is_registered() -> None:
    part = resolve(Registry.discover(), Kind.DATASET, {"name": "say", "languages": ["fr"]}, role="data")
    assert part.spec.languages == ("fr",)  # type: ignore[union-attr]
    assert len(SayConfig().held_out_voices) == 10
    assert set(SayConfig().held_out_voices) < set(VARIANTS)


def test_areca_data_builds_and_checks_the_corpus(world: Any) -> None:
    options = ("languages=[fr]", "sources=[synthetic]", "target_source=synthetic", "count=2", "test_count=1")
    made = world.warm("data", "say", *options, "validation_count=0", "-o", "corpus")
    assert made.returncode == 0, made.stderr
    assert "3 rows in corpus" in made.stdout
    folder = world.directory / "corpus"
    assert read_manifest(folder / "manifest.jsonl").key == Artifact.open(folder).key
    again = world.warm("data", "say", *options, "validation_count=0", "-o", "corpus")
    assert again.returncode == 0 and "corpus already holds this dataset" in again.stdout
    other = world.warm("data", "say", *options, "validation_count=1", "-o", "corpus")
    assert other.returncode == 1 and "corpus: exists already" in other.stderr
    (folder / "artifact.json").unlink()
    with (folder / "manifest.jsonl").open("a") as file:
        file.write('{"id": "x", "audoi": "a.wav"}\n')
    skipped = world.warm("data", "corpus/manifest.jsonl", "--skip-bad")
    assert skipped.returncode == 0
    assert "manifest.jsonl:4: unknown column 'audoi'; did you mean 'audio'?" in skipped.stdout
    assert "left out 1 of 4 rows" in skipped.stdout
    wrong = world.warm("data", "say", "count")
    assert "option 'count': expected key=value" in wrong.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("people")
def test_a_human_corpus_is_composed_and_reproducible(tmp_path: Path) -> None:
    config = SayConfig(sources=("human", "human-unheard"), count=6, validation_count=1, test_count=3)
    manifest = build_say(config, tmp_path / "a")
    counts = Counter((r.language, r.source) for r in manifest.rows)
    assert counts == {
        **{(language, "human"): 10 for language in ("en", "es", "fr", "it")},
        **{(language, "human-unheard"): 3 for language in ("es", "fr", "it")},
    }
    assert {r.split for r in manifest.rows if r.source == "human-unheard"} == {"test"}
    english = Speaker(VOICES["en"], None)
    for row in manifest.rows:
        samples = manifest.audio(row).samples
        assert 0.04 < float(samples.square().mean().sqrt()) < 0.12
        assert samples.abs().max() < 1
        if row.target_audio:
            said = english.say(list_clips(Value.parse(row.extra["kind"], row.extra["value"]), "en"))
            assert np.abs(manifest.target_audio(row).samples[0].numpy() - said).max() < 1e-4
    build_say(config, tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.usefixtures("people")
def test_each_voice_speaks_the_values_that_it_has_words_for() -> None:
    def sayable(voice: str, others: bool = False) -> dict[str, int]:
        speaker = Speaker((OTHER_VOICES if others else VOICES)[voice], None)
        return {kind: sum(speaker.can_say(list_clips(v, voice)) for v in values) for kind, values in sample.items()}

    sample = {kind: list(itertools.chain(*groups)) for kind, groups in all_values().items()}
    sample["date"] = sample["date"][::29]
    days = len(sample["date"])
    for language in ("en", "es", "it"):
        assert sayable(language) == {"number": 10_000, "date": days, "time": 1440}
    # No French recording says "une", so 1 and 21 o'clock and minutes that end in 1 are missing.
    assert sayable("fr") == {"number": 10_000, "date": days, "time": 22 * 55}
    assert sayable("it", others=True) == {"number": 10_000, "date": days, "time": 1440}
    assert sayable("es", others=True)["date"] == 0


@pytest.mark.usefixtures("people")
def test_composed_speech_is_as_long_as_its_words() -> None:
    speaker = Speaker(VOICES["en"], None)
    one, two = (len(speaker.say(((key,),))) for key in ("20", "7"))
    assert len(speaker.say((("20", "7"),))) == one + two - 320  # 20 ms of overlap
    assert len(speaker.say((("20",), ("7",)))) == one + two + 960  # 60 ms of pause
    varied = speaker.say((("20",), ("7",)), np.random.default_rng(0))
    assert one + two + 960 <= len(varied) <= one + two + 1920


@pytest.mark.usefixtures("people")
def test_an_independent_recogniser_understands_composed_speech() -> None:
    pocketsphinx = pytest.importorskip("pocketsphinx")
    said = SAYS["en"]
    units, teens, tens = (
        " | ".join(said[str(n)] for n in numbers) for numbers in (range(1, 10), range(10, 20), range(20, 100, 10))
    )
    grammar = f"""#JSGF V1.0; grammar numbers;
        <units> = {units};
        <below> = <units> | {teens} | ({tens}) [<units>];
        public <number> = [<units> thousand] [<units> hundred] <below> | <units> thousand;"""
    decoder = pocketsphinx.Decoder(samprate=16_000, lm=None, loglevel="FATAL")
    decoder.add_jsgf_string("numbers", grammar)
    decoder.activate_search("numbers")
    speaker = Speaker(VOICES["en"], None)
    right = 0
    for number in (7, 16, 42, 93, 305, 618, 2050, 4821, 7113, 9999):
        value = Value("number", (number,))
        samples = np.pad(speaker.say(list_clips(value, "en")), 3200)
        decoder.start_utt()
        decoder.process_raw((samples * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        right += decoder.hyp() is not None and decoder.hyp().hypstr == spell_out(value, "en")
    assert right >= 8
