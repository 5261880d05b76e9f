"""Each language has one code and one English name, in any notation; ambiguous input warns."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings

import pytest

from areca.errors import ArecaWarning, InvalidConfig
from areca.languages import _MISTAKEN, LANGUAGES, known_code, language_code, language_name

WRITTEN = {
    "fr": "fr FR fra fre French FRENCH français fr-CA fr_FR",
    "de": "de deu ger German Deutsch de-AT",
    "es": "es spa Spanish Español Castilian es-419 es_MX",
    "pt": "pt por Portuguese português pt-BR pt_PT",
    "zh": "zh zho chi cmn Chinese Mandarin 中文 zh_CN zh-Hant zh-Hant-TW cmn_hans_cn",
    "yue": "yue Cantonese zh-yue yue_hant_hk",
    "ja": "ja jpn Japanese 日本語 ja-JP",
    "fa": "fa fas per pes prs Persian Farsi فارسی",
    "bn": "bn ben Bangla Bengali বাংলা",
    "ar": "ar ara arb Arabic العربية ar-EG",
    "sw": "sw swa swh Swahili Kiswahili",
    "nl": "nl nld dut Dutch Nederlands Flemish",
    "el": "el ell gre Greek Ελληνικά",
    "cs": "cs ces cze Czech čeština",
    "he": "he heb iw Hebrew עברית",
    "nb": "nb nob nb-NO",
    "no": "no nor Norwegian",
    "my": "my mya bur Burmese Myanmar",
    "ro": "ro ron rum mo Romanian Moldavian",
    "tl": "tl Tagalog",
    "arz": "arz",
    "gsw": "gsw",
    "hil": "hil Hiligaynon",
}
BIBLIOGRAPHIC = {
    "alb": "sq",
    "arm": "hy",
    "baq": "eu",
    "bur": "my",
    "chi": "zh",
    "cze": "cs",
    "dut": "nl",
    "fre": "fr",
    "geo": "ka",
    "ger": "de",
    "gre": "el",
    "ice": "is",
    "mac": "mk",
    "mao": "mi",
    "may": "ms",
    "per": "fa",
    "rum": "ro",
    "slo": "sk",
    "tib": "bo",
    "wel": "cy",
}
"""ISO 639-2/B, where it is not 639-2/T."""


@pytest.mark.parametrize("code", WRITTEN)
def test_codes_tags_and_names_of_one_language(code: str) -> None:
    written = WRITTEN[code].split()
    assert {w: language_code(w) for w in written} == dict.fromkeys(written, code)


def test_every_bibliographic_code() -> None:
    assert {code: language_code(code) for code in BIBLIOGRAPHIC} == BIBLIOGRAPHIC


def test_every_code_of_the_table_keeps_its_name() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ArecaWarning)
        assert {code: language_name(code) for code in LANGUAGES} == dict(LANGUAGES)
        assert {name: language_code(name) for name in LANGUAGES.values()} == {n: c for c, n in LANGUAGES.items()}


def test_names_beyond_the_table() -> None:
    assert language_name("Schwiizertüütsch") == language_name("gsw") == "Swiss German"
    assert language_name("arz") == "Egyptian Arabic"


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("Deutch", "did you mean 'Deutsch'?"),
        ("Espanol", "did you mean 'español'?"),
        ("Japnese", "did you mean 'Japanese'?"),
        ("Frensh", "did you mean 'French'?"),
        ("Malayalamm", "did you mean 'Malayalam'?"),
        ("Bengalli", "did you mean 'Bengali'?"),  # not Benga, which it starts with
        ("anglais", "expected a code like 'fr' or a name like 'French'"),
        ("jp", "'jp' is the country Japan: did you mean 'ja' (Japanese)?"),
        ("cn", "'cn' is the country China: did you mean 'zh' (Chinese)?"),
        ("cz", "did you mean 'cs' (Czech)?"),
    ],
)
def test_unknown_languages_suggest_the_nearest(written: str, hint: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        language_code(written)
    assert hint in str(caught.value)


@pytest.mark.parametrize("written", ["", "  ", "und", "mul", "xx", "qqq", "fr-nonsense", "unknown", "x" * 500])
def test_invalid_languages_are_rejected_in_one_line(written: str) -> None:
    with pytest.raises(InvalidConfig, match="expected a code like 'fr' or a name like 'French'") as caught:
        language_code(written)
    assert len(str(caught.value)) < 250
    assert known_code(written) == written


@pytest.mark.parametrize(
    ("written", "code", "is_", "meant"),
    [
        ("kr", "kr", "Kanuri", "'ko' (Korean)"),
        ("se", "se", "Northern Sami", "'sv' (Swedish)"),
        ("ee", "ee", "Ewe", "'et' (Estonian)"),
        ("se-SE", "se", "Northern Sami", "'sv' (Swedish)"),
        ("br", "br", "Breton", "'pt' (Portuguese)"),
        ("in", "id", "Indonesian", "'hi' (Hindi)"),
        ("usa", "usa", "Usarufa", "'en' (English)"),
        ("Egyptian", "egy", "Ancient Egyptian", ""),
    ],
)
def test_countries_taken_for_languages_warn(written: str, code: str, is_: str, meant: str) -> None:
    for _ in range(2):  # not only when it is looked up first
        with pytest.warns(ArecaWarning) as caught:
            assert language_code(written) == code
        assert is_ in str(caught[0].message) and meant in str(caught[0].message)
    if written != "Egyptian":
        assert language_code(is_) == code  # the name silences it


def test_a_region_where_the_language_is_spoken_does_not_warn() -> None:
    assert [language_code(tag) for tag in ("ee-GH", "se-NO", "br-FR", "ind")] == ["ee", "se", "br", "id"]


def test_mistaken_codes_are_countries_that_speak_something_else() -> None:
    from langcodes import Language

    for code in _MISTAKEN.pattern.split("|"):
        country = Language.make(territory=code.upper())
        assert country.is_valid() and country.maximize().language not in ("und", code), code


def test_known_code_groups_whatever_the_column_says() -> None:
    assert [known_code(x) for x in ("French", "fr-FR", "kr", "Elvish?", None)] == ["fr", "fr", "kr", "Elvish?", None]


def test_the_table_needs_no_other_package_and_many_rows_no_time() -> None:
    code = "import sys, areca.languages as l; l.language_name('fr-CA'); print([m for m in sys.modules if 'lang' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "langcodes" not in done.stdout and "language_data" not in done.stdout
    start_s = time.perf_counter()
    for _ in range(100_000):
        language_code("fr_FR")
    assert time.perf_counter() - start_s < 1
