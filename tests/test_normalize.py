"""One answer has one reading, however it is written; different answers have different ones."""

from __future__ import annotations

import datetime

import pytest

from areca.errors import InvalidConfig
from areca.evaluation.normalize import NORMALISERS, find_normaliser
from areca.evaluation.spoken_lexicon import LANGUAGES, say
from areca_say.values import Value, everything
from areca_say.wording import text

read = find_normaliser("spoken-values")
HOURS = {"fr": "{h} h {m:02d}", "de": "{h}.{m:02d} Uhr", "it": "alle {h}:{m:02d}"}
MONTHS = {
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
}
WEEKDAYS = {
    "es": "lunes martes miércoles jueves viernes sábado domingo",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "it": "lunedì martedì mercoledì giovedì venerdì sabato domenica",
}


@pytest.mark.parametrize(
    "texts",
    [
        ["234", "two hundred and thirty-four", "Two hundred thirty four.", " two hundred, thirty four "],
        ["1,435", "1435", "one thousand four hundred and thirty-five", "One thousand, four hundred thirty-five"],
        ["101", "a hundred and one", "one hundred one"],
        [
            "wednesday the seventh of march nineteen eighty-four",
            "Wednesday, 7 March 1984",
            "Wednesday, March 7th, 1984",
            "wednesday march seventh nineteen eighty four",
            "Wednesday 7th of March, nineteen hundred and eighty-four",
        ],
        ["may second two thousand nine", "May 2, 2009", "2 May 2009", "May 2nd two thousand and nine"],
        ["june first nineteen oh five", "June 1, 1905", "1 June nineteen zero five"],
        ["2:35 pm", "2.35 p.m.", "14:35", "fourteen thirty five", "two thirty-five P.M.", "235 pm", "2 35 p m"],
        ["2:05 pm", "two oh five p m", "14:05", "two zero five p.m."],
        ["2 p.m.", "two p m", "2:00 PM", "two o'clock p.m.", "14:00"],
        ["12:05 a.m.", "00:05", "twelve oh five a m"],
    ],
)
def test_english_wordings_of_one_value(texts: list[str]) -> None:
    assert len({read(t, "en") for t in texts}) == 1, {t: read(t, "en") for t in texts}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2:35 pm", "2:35 am"),
        ("2:35 pm", "2:35"),
        ("two p m", "two"),
        ("two thirty five", "two hundred thirty five"),
        ("twelve p m", "twelve a m"),
        ("march seven", "seven"),
        ("march seven nineteen eighty four", "march seventeen eighty four"),
        ("seventh", "seven"),
        ("march ten nineteen eighty", "march nineteen eighty"),
        ("five", ""),
        ("two oh five p m", "two fifty p m"),
    ],
)
def test_different_values_stay_apart(one: str, other: str) -> None:
    assert read(one, "en") != read(other, "en")


def test_english_reads_as_it_is_said() -> None:
    assert read("7:05 p.m. on Wednesday, the 7th of March 1984", "en") == (
        "seven oh five p m wednesday march seven nineteen eighty four"
    )


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_number_is_read_back_from_digits_and_words(language: str) -> None:
    numbers = [*range(130), *range(130, 10_000, 37)]
    readings = {n: read(text(Value("number", (n,)), language), language) for n in numbers}
    assert len(set(readings.values())) == len(numbers)
    for n, reading in readings.items():
        assert read(str(n), language) == reading
        assert read(f" {n}. ", language) == reading


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_time_is_read_back_from_the_clock(language: str) -> None:
    readings = set()
    for value in everything()["time"][0][::7]:
        hour, minute = value.parts
        said = read(text(value, language), language)
        half = f"{hour % 12 or 12}:{minute:02d} {'a' if hour < 12 else 'p'}m"
        written = HOURS.get(language, half).format(h=hour, m=minute)
        assert read(written, language) == said, (written, text(value, language))
        readings.add(said)
    assert len(readings) == len(everything()["time"][0][::7])


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_dates_are_read_back_as_people_write_them(language: str) -> None:
    readings = set()
    dates = everything()["date"][0][::997]
    for value in dates:
        day = datetime.date(*value.parts)
        if language == "en":
            written = f"{day:%A}, {day.day} {day:%B} {day.year}"
        else:
            month = MONTHS[language].split()[day.month - 1]
            number = {"fr": "1er"}.get(language, "1") if day.day == 1 else f"{day.day}{'.' * (language == 'de')}"
            of = " de " if language == "es" else " "
            written = f"{WEEKDAYS[language].split()[day.weekday()]}, {number}{of}{month}{of}{day.year}"
        said = read(text(value, language), language)
        assert read(written, language) == said, (written, text(value, language))
        readings.add(said)
    assert len(readings) == len(dates)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_reading_twice_changes_nothing(language: str) -> None:
    for values in everything().values():
        for value in values[-1][:: len(values[-1]) // 40]:
            once = read(text(value, language), language)
            assert read(once, language) == once


def test_words_that_are_no_values_stay() -> None:
    assert read("Call  extension 12, please!", "en") == "call extension twelve please"
    assert read("", "en") == ""
    assert read("oh", "en") == "oh"


def test_numbers_beyond_the_table_stay_as_they_are() -> None:
    assert read("12345", "en") == "12345"


def test_spoken_values_refuses_other_languages() -> None:
    with pytest.raises(InvalidConfig, match=r"reads en, es, fr, de, it, not 'ru'; use the normaliser 'basic'"):
        read("пять", "ru")


def test_basic_keeps_accents_and_digits_and_drops_punctuation() -> None:
    basic = find_normaliser("basic")
    assert basic("«L’été», dit-il: 7 %", "fr") == "l'été dit il 7"
    assert basic("  It's 'fine' -- OK? ", "en") == "it's fine ok"
    assert basic("Ｆｕｌｌ ｗｉｄｔｈ", "en") == "full width"


def test_normalisers_are_named_and_versioned() -> None:
    assert {name: n.signature for name, n in NORMALISERS.items()} == {
        "basic": "basic/1",
        "spoken-values": "spoken-values/1",
    }
    with pytest.raises(InvalidConfig, match="did you mean 'spoken-values'"):
        find_normaliser("spoken-value")


def test_canonical_words_have_neither_accents_nor_fillers() -> None:
    assert say(234, "en") == "two hundred thirty four"
    assert say(35, "de") == "funfunddreissig"
