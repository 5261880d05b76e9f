"""All notations of one answer have one reading; different answers have different readings."""

from __future__ import annotations

import datetime
import importlib.metadata
import random

import pytest
from tests.scoring import METRICS, NORMALISERS, REGISTRY, example
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

from areca.errors import InvalidConfig, UnknownComponent
from areca.evaluation.scoring import open_normaliser
from areca_metrics import SPOKEN_LANGUAGES, NoConfig
from areca_metrics.normalisers import Whisper
from areca_metrics.spoken_lexicon import LANGUAGES, say
from areca_metrics.spoken_values import read_values as read
from areca_say.values import Value, all_values
from areca_say.wording import spell_out

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


def test_english_is_read_as_it_is_spoken() -> None:
    assert read("7:05 p.m. on Wednesday, the 7th of March 1984", "en") == (
        "seven oh five p m wednesday march seven nineteen eighty four"
    )


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_number_is_read_back_from_digits_and_words(language: str) -> None:
    numbers = [*range(130), *range(130, 10_000, 37)]
    readings = {n: read(spell_out(Value("number", (n,)), language), language) for n in numbers}
    assert len(set(readings.values())) == len(numbers)
    for n, reading in readings.items():
        assert read(str(n), language) == reading
        assert read(f" {n}. ", language) == reading


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_time_is_read_back_from_the_clock(language: str) -> None:
    readings = set()
    for value in all_values()["time"][0][::7]:
        hour, minute = value.parts
        said = read(spell_out(value, language), language)
        half = f"{hour % 12 or 12}:{minute:02d} {'a' if hour < 12 else 'p'}m"
        written = HOURS.get(language, half).format(h=hour, m=minute)
        assert read(written, language) == said, (written, spell_out(value, language))
        readings.add(said)
    assert len(readings) == len(all_values()["time"][0][::7])


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_dates_are_read_back_as_people_write_them(language: str) -> None:
    readings = set()
    dates = all_values()["date"][0][::997]
    for value in dates:
        day = datetime.date(*value.parts)
        if language == "en":
            written = f"{day:%A}, {day.day} {day:%B} {day.year}"
        else:
            month = MONTHS[language].split()[day.month - 1]
            number = {"fr": "1er"}.get(language, "1") if day.day == 1 else f"{day.day}{'.' * (language == 'de')}"
            of = " de " if language == "es" else " "
            written = f"{WEEKDAYS[language].split()[day.weekday()]}, {number}{of}{month}{of}{day.year}"
        said = read(spell_out(value, language), language)
        assert read(written, language) == said, (written, spell_out(value, language))
        readings.add(said)
    assert len(readings) == len(dates)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_reading_twice_changes_nothing(language: str) -> None:
    for values in all_values().values():
        for value in values[-1][:: len(values[-1]) // 40]:
            once = read(spell_out(value, language), language)
            assert read(once, language) == once


def test_words_that_are_not_values_are_kept() -> None:
    assert read("Call  extension 12, please!", "en") == "call extension twelve please"
    assert read("", "en") == ""
    assert read("oh", "en") == "oh"


def test_numbers_beyond_the_table_are_unchanged() -> None:
    assert read("12345", "en") == "12345"


def test_spoken_values_refuses_other_languages() -> None:
    with pytest.raises(InvalidConfig, match=r"reads en, es, fr, de, it, not 'ru'; use the normaliser 'basic'"):
        read("пять", "ru")


def test_basic_keeps_accents_and_digits_and_drops_punctuation() -> None:
    basic = NORMALISERS["basic"]
    assert basic("«L’été», dit-il: 7 %", "fr") == "l'été dit il 7"
    assert basic("  It's 'fine' -- OK? ", "en") == "it's fine ok"
    assert basic("Ｆｕｌｌ ｗｉｄｔｈ", "en") == "full width"


def test_normalisers_are_named_and_versioned() -> None:
    signatures = {name: normalise.signature for name, normalise in NORMALISERS.items()}
    version = importlib.metadata.version("whisper-normalizer")
    assert signatures == {
        "basic": "basic/1",
        "spoken-values": "spoken-values/2",
        "whisper": f"whisper/1|whisper_normalizer:{version}",
    }
    with pytest.raises(UnknownComponent, match="no normaliser is called 'spoken-value'; did you mean 'spoken-values'"):
        open_normaliser(REGISTRY, "spoken-value")


def test_the_spec_names_the_languages_of_the_lexicon() -> None:
    assert tuple(LANGUAGES) == SPOKEN_LANGUAGES
    with pytest.raises(InvalidConfig, match="reads en, es, fr, de, it, not 'ru'; use the normaliser 'basic'"):
        NORMALISERS["spoken-values"].require(["en", "ru"])
    NORMALISERS["basic"].require(["ru", None])


def sentences() -> list[str]:
    """Two hundred sentences that touch the rules of Whisper's normaliser: numbers, money, spelling, contractions."""
    rng = random.Random(0)
    subjects = ("Mr. Brown", "she", "The neighbours", "[noise] they", "Dr. O'Neill", "it", "we (all of us)", "José")
    verbs = ("won't pay", "paid", "it's colour", "could've analysed", "gonna get", "didn't see", "y'all organised", "—")
    amounts = (
        "twenty one",
        "$20 million",
        "one oh one",
        "3.5%",
        "two and a half",
        "1,234",
        "the 42nd",
        "£5.20",
        "1960s",
    )
    ends = (".", "!", " uh, OK?", " <tag> today", " №7", " … “quoted”", " naïve café", "\u202f%", " 你好", " ½")
    return [" ".join(rng.choice(words) for words in (subjects, verbs, amounts)) + rng.choice(ends) for _ in range(200)]


def test_whisper_equals_the_library() -> None:
    english, basic = EnglishTextNormalizer(), BasicTextNormalizer()
    texts = sentences()
    assert len(set(texts)) > 150
    mine = Whisper(NoConfig())
    assert [mine.normalise(text, "en") for text in texts] == [english(text) for text in texts]
    for language in ("fr", "zh", ""):
        assert [mine.normalise(text, language) for text in texts] == [basic(text) for text in texts]
    assert sum(english(text) != basic(text) for text in texts) > 100


def test_white_space_at_the_ends_does_not_change_an_answer() -> None:
    """Whisper's basic normaliser leaves a space where punctuation was."""
    [right] = METRICS["exact"].count([example(NORMALISERS["whisper"]("oui !", "fr"), "oui", "fr")])
    assert right == (1.0, 1.0)


ONE_VALUE = {
    "en": [
        ["1,234", "1234", "1\u202f234", "1\u00a0234", "1\u2009234", "1 234", "1'234", "1’234", "１，２３４"],
        ["1,234,", "one thousand two hundred and thirty-four", "one thousand two hundred thirty-four"],
        ["1,234", "1234", "twelve hundred thirty-four"],
        ["1.234", "one point two three four"],
        ["3.5", "three point five", "３．５"],
        ["0.05", ".05", "zero point zero five", "zero point oh five"],
        ["1,234.5", "one thousand two hundred thirty four point five"],
        ["1st", "first", "1ˢᵗ"],
        ["the 42nd", "forty-second", "42ND"],
        ["-5", "−5", "minus five"],
        ["5%", "5 %", "five percent"],
        ["2.35 p.m.", "2:35pm", "14 : 35", "14\u202f:\u202f35", "two thirty-five p m"],
        ["Time: 14:35", "time fourteen thirty-five"],
    ],
    "fr": [
        ["1 234", "1234", "1\u202f234", "1\u00a0234", "1.234", "1’234", "mille deux cent trente-quatre"],
        ["3,5", "3.5", "trois virgule cinq"],
        ["3,14", "trois virgule quatorze", "trois virgule un quatre"],
        ["3,05", "trois virgule zéro cinq"],
        ["1,234", "un virgule deux trois quatre"],
        ["1\u202f234,5", "mille deux cent trente-quatre virgule cinq"],
        ["1er", "1ᵉʳ", "premier", "première", "1ère", "1re"],
        ["2ème", "2e", "2ᵉ", "deuxième", "second", "seconde", "2nd"],
        ["71", "soixante et onze", "septante et un", "septante-et-un"],
        ["85", "quatre-vingt-cinq", "huitante-cinq", "octante-cinq"],
        ["80", "quatre-vingts", "quatre-vingt", "huitante", "octante"],
        ["99", "quatre-vingt-dix-neuf", "nonante-neuf"],
        ["1 980", "1980", "mille neuf cent quatre-vingts", "mille neuf cent huitante"],
        ["14 h 35", "14h35", "14\u202fh\u202f35", "14:35", "quatorze heures trente-cinq"],
        ["Prix\u202f: 14", "prix quatorze"],
        ["5 %", "5\u202f%", "cinq pour cent"],
        ["-5", "moins cinq"],
    ],
    "de": [
        ["1.234", "1234", "1\u202f234", "1 234", "1'234", "eintausendzweihundertvierunddreißig"],
        ["1,234", "eins Komma zwei drei vier"],
        ["3,5", "3.5", "drei Komma fünf"],
        ["1.234,5", "eintausendzweihundertvierunddreißig Komma fünf"],
        ["1ste", "erste", "erster", "ersten"],
        ["3te", "3ter", "dritte", "dritten"],
        ["2", "zwei", "zwo"],
        ["12", "zwölf"],
        ["14.35 Uhr", "14:35", "um 14.35", "vierzehn Uhr fünfunddreißig"],
        ["5 %", "fünf Prozent"],
    ],
    "es": [
        ["1.234", "1234", "1\u202f234", "1 234", "mil doscientos treinta y cuatro", "mil doscientas treinta y cuatro"],
        ["3,5", "3.5", "tres coma cinco", "tres punto cinco"],
        ["1,234", "uno coma dos tres cuatro"],
        ["3ª", "3.ª", "3a", "tercera", "tercero", "tercer", "3.º", "3.er"],
        ["1º", "1.º", "primero", "primer", "primera"],
        ["5%", "cinco por ciento"],
        ["a las 14.35", "14:35", "las 2:35 p. m."],
    ],
    "it": [
        ["1.234", "1234", "1\u202f234", "1'234", "milleduecentotrentaquattro"],
        ["3,5", "3.5", "tre virgola cinque"],
        ["3,14", "tre virgola quattordici"],
        ["1,234", "uno virgola due tre quattro"],
        ["3ª", "3a", "terza", "terzo", "3º"],
        ["alle 14.35", "14:35", "ore 14.35"],
        ["5%", "cinque per cento"],
    ],
}
APART = {
    "en": [
        "1.234",
        "1,234",
        "1 2 3 4",
        "-1,234",
        "1st",
        "1",
        "one",
        "10²",
        "102",
        "10 2",
        "2½",
        "2 1 2",
        "5%",
        "5 €",
        "5",
        "3.5",
        "3 5",
        "35",
        "1.2.3",
        "in 2020 100",
        "2020100",
    ],
    "fr": ["1.234", "1,234", "1", "1er", "3,5", "3 5", "3,05", "3,50", "72", "cent", "pour cent"],
    "de": ["1.234", "1,234", "7.3.", "7,3", "1.2.", "1,2", "zwölf", "zwei"],
    "es": ["1.234", "1,234", "3", "3ª", "3,5", "3 5"],
    "it": ["1.234", "1,234", "3", "3ª", "3,5", "3 5"],
}


@pytest.mark.parametrize(("language", "texts"), [(code, texts) for code, rows in ONE_VALUE.items() for texts in rows])
def test_one_value_has_one_reading_in_every_writing(language: str, texts: list[str]) -> None:
    readings = {written: read(written, language) for written in texts}
    assert len(set(readings.values())) == 1, readings
    for reading in readings.values():
        assert read(reading, language) == reading


@pytest.mark.parametrize("language", APART)
def test_values_stay_apart_in_every_language(language: str) -> None:
    readings: dict[str, list[str]] = {}
    for written in APART[language]:
        readings.setdefault(read(written, language), []).append(written)
    same = [texts for texts in readings.values() if len(texts) > 1]
    assert same == [["1", "one"]] * (language == "en")


def test_a_thousand_with_a_narrow_space_is_one_number() -> None:
    assert read("1\u202f234 voix", "fr") == "mille deux cent trente quatre voix"


def test_canonical_words_have_neither_accents_nor_fillers() -> None:
    assert say(234, "en") == "two hundred thirty four"
    assert say(35, "de") == "funfunddreissig"
