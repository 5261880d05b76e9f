"""Language codes and the English language names that prompts contain (from Unicode CLDR). No heavy imports."""

from __future__ import annotations

import functools
import re
import warnings
from pathlib import Path
from types import MappingProxyType
from typing import Any

from areca.errors import ArecaWarning, InvalidConfig, nearest_name, quote

_TABLE = """
aa Afar; ab Abkhazian; ae Avestan; af Afrikaans; ak Akan; am Amharic; an Aragonese; ar Arabic; as Assamese;
ast Asturian; av Avaric; ay Aymara; az Azerbaijani; ba Bashkir; be Belarusian; bg Bulgarian; bi Bislama;
bm Bambara; bn Bangla; bo Tibetan; br Breton; bs Bosnian; ca Catalan; ce Chechen; ceb Cebuano; ch Chamorro;
ckb Central Kurdish; co Corsican; cr Cree; cs Czech; cu Church Slavic; cv Chuvash; cy Welsh; da Danish;
de German; dv Divehi; dz Dzongkha; ee Ewe; el Greek; en English; eo Esperanto; es Spanish; et Estonian;
eu Basque; fa Persian; ff Fula; fi Finnish; fil Filipino; fj Fijian; fo Faroese; fr French;
fy Western Frisian; ga Irish; gd Scottish Gaelic; gl Galician; gn Guarani; gu Gujarati; gv Manx; ha Hausa;
he Hebrew; hi Hindi; ho Hiri Motu; hr Croatian; ht Haitian Creole; hu Hungarian; hy Armenian; hz Herero;
ia Interlingua; id Indonesian; ie Interlingue; ig Igbo; ii Sichuan Yi; ik Inupiaq; io Ido; is Icelandic;
it Italian; iu Inuktitut; ja Japanese; jv Javanese; ka Georgian; kam Kamba; kea Kabuverdianu; kg Kongo;
ki Kikuyu; kj Kuanyama; kk Kazakh; kl Kalaallisut; km Khmer; kn Kannada; ko Korean; kr Kanuri; ks Kashmiri;
ku Kurdish; kv Komi; kw Cornish; ky Kyrgyz; la Latin; lb Luxembourgish; lg Ganda; li Limburgish;
ln Lingala; lo Lao; lt Lithuanian; lu Luba-Katanga; luo Luo; lv Latvian; mg Malagasy; mh Marshallese;
mi Māori; mk Macedonian; ml Malayalam; mn Mongolian; mr Marathi; ms Malay; mt Maltese; my Burmese;
na Nauru; nb Norwegian Bokmål; nd North Ndebele; ne Nepali; ng Ndonga; nl Dutch; nn Norwegian Nynorsk;
no Norwegian; nr South Ndebele; nso Northern Sotho; nv Navajo; ny Nyanja; oc Occitan; oj Ojibwa; om Oromo;
or Odia; os Ossetic; pa Punjabi; pi Pali; pl Polish; ps Pashto; pt Portuguese; qu Quechua; rm Romansh;
rn Rundi; ro Romanian; ru Russian; rw Kinyarwanda; sa Sanskrit; sc Sardinian; sd Sindhi; se Northern Sami;
sg Sango; si Sinhala; sk Slovak; sl Slovenian; sm Samoan; sn Shona; so Somali; sq Albanian; sr Serbian;
ss Swati; st Southern Sotho; su Sundanese; sv Swedish; sw Swahili; ta Tamil; te Telugu; tg Tajik; th Thai;
ti Tigrinya; tk Turkmen; tl Tagalog; tn Tswana; to Tongan; tr Turkish; ts Tsonga; tt Tatar; tw Twi;
ty Tahitian; ug Uyghur; uk Ukrainian; umb Umbundu; ur Urdu; uz Uzbek; ve Venda; vi Vietnamese; vo Volapük;
wa Walloon; wo Wolof; xh Xhosa; yi Yiddish; yo Yoruba; yue Cantonese; za Zhuang; zh Chinese; zu Zulu
"""

LANGUAGES = MappingProxyType(
    {code: name for code, _, name in (entry.strip().partition(" ") for entry in _TABLE.split(";"))}
)
"""English name by ISO 639 code: all two-letter codes and the three-letter codes of FLEURS.

Never change a name: checkpoints are trained on prompts that contain it.
"""

_CODES = {name.casefold(): code for code, name in LANGUAGES.items()}
_TAG = re.compile(r"([a-z]{2,3})(-[a-z]{4})?(-[a-z]{2}|-[0-9]{3})?")
"""Language, script and region, like ``zh-hant-tw``."""
_NO_LANGUAGE = re.compile(r"und|mul|mis|zxx|q[a-t][a-z]")
"""ISO 639 codes for undetermined, multiple, uncoded and no linguistic content, and the private-use range."""
_MISTAKEN = re.compile(r"ae|ba|bo|br|ch|co|cr|dz|ee|ie|in|kg|kr|kw|la|sa|se|si|tn|tw|ug|ve|za")
"""Codes of rarely recorded languages that users often mean as country codes; the countries speak other languages."""
_LONGEST_NAME = 80
_EXPECTED = "expected a code like 'fr' or a name like 'French'"

UNSEGMENTED = frozenset(
    {"zh", "yue", "wuu", "nan", "hak", "gan", "hsn", "lzh", "ja", "th", "lo", "my", "km", "bo", "dz"}
)
"""Languages that are written without spaces between words, by ISO 639 code."""


def language_code(language: str) -> str:
    """Return the shortest ISO 639 code of a language.

    A dialect that represents its macrolanguage gets the code of the macrolanguage. A code that is better known as a
    country code, like ``"kr"``, issues an `ArecaWarning`.

    Args:
        language: an ISO 639-1, 639-2 or 639-3 code (``"fr"``, ``"fre"``, ``"fra"``), a BCP-47 tag (``"pt-BR"``,
            ``"zh_CN"``), the English name (``"French"``) or the native name (``"français"``).

    Raises:
        InvalidConfig: `language` is neither a known code nor a known name; the message suggests the most similar name.

    Example:
        >>> language_code("français")
        'fr'
    """
    code, doubt = _resolve(language)
    if doubt:
        warnings.warn(f"language {quote(language)} {doubt}", ArecaWarning, stacklevel=2)
    return code


def language_name(language: str) -> str:
    """Return the English name of a language; issues no warning.

    Args:
        language: as in `language_code`.

    Raises:
        InvalidConfig: as in `language_code`.

    Example:
        >>> language_name("fr")
        'French'
    """
    return _english_name(_resolve(language)[0])


def known_code(language: str | None) -> str | None:
    """Return the code of a language, or `language` itself if it is unknown or None.

    For grouping rows by language, where an unknown language is not an error.
    """
    try:
        return language and _resolve(language)[0]
    except InvalidConfig:
        return language


@functools.lru_cache(maxsize=10_000)
def _resolve(language: str) -> tuple[str, str]:
    """Return the code of `language` and a doubt about it for a warning (``""``: none)."""
    name = " ".join(language.split())
    tag = name.casefold().replace("_", "-")
    if name.casefold() in _CODES:
        return _CODES[name.casefold()], ""
    parts = _TAG.fullmatch(tag)
    if parts and parts[1] in LANGUAGES:
        return parts[1], _describe_country_doubt(tag, parts[1])
    if not 0 < len(name) <= _LONGEST_NAME:
        raise InvalidConfig(f"language {quote(language)}: {_EXPECTED}")
    if code := _find_by_tag(tag):
        return code, _describe_country_doubt(tag, code)
    if code := _find_by_name(name):
        return code, _describe_name_doubt(name, code)
    raise InvalidConfig(f"language {quote(language)}: {_EXPECTED}{_suggest(name)}")


def _find_by_tag(tag: str) -> str | None:
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    try:
        found = langcodes.Language.get(tag)
        if not found.is_valid() or _NO_LANGUAGE.fullmatch(found.language or "und"):
            return None
        forms = [langcodes.Language.get(langcodes.standardize_tag(tag, macro=macro)) for macro in (False, True)]
    except LanguageTagError:
        return None
    codes = [str(form.language) for form in forms]
    return next((code for code in codes if code in LANGUAGES), codes[0])


def _find_by_name(name: str) -> str | None:
    """Return the code of the language with exactly this English or native name; None if there is none."""
    from language_data.names import name_to_code

    if code := _find_name(name, "en"):
        return _find_by_tag(code)
    code = name_to_code("language", name)  # also finds names in other languages and misspellings: "anglais", "Frensh"
    return _find_by_tag(code) if code and _find_name(name, code.partition("-")[0]) == code else None


def _find_name(name: str, language: str) -> str | None:
    """Return the tag of the language whose name in `language` (a code) is exactly `name`; None if there is none.

    The look-up of langcodes also accepts country names, like "Thailand".
    """
    from language_data.names import get_trie_value, normalize_name

    key, names = normalize_name(name), _names_in(language)
    return str(get_trie_value(names, key)) if key in names else None


@functools.lru_cache(maxsize=100)
def _names_in(language: str) -> Any:
    from language_data.names import load_trie
    from language_data.util import data_filename

    path = data_filename(f"trie/{language}/name_to_language.marisa")
    return load_trie(path) if Path(path).is_file() else {}


@functools.lru_cache(maxsize=10_000)
def _english_name(code: str) -> str:
    if code in LANGUAGES:
        return LANGUAGES[code]
    import langcodes

    return str(langcodes.Language.get(code).language_name("en"))


def _native_name(code: str) -> str:
    import langcodes

    return str(langcodes.Language.get(code).autonym())


def _describe_country_doubt(tag: str, code: str) -> str:
    """Return a warning text if `tag` may be meant as a country: ``"kr"``, ``"se-SE"``, ``"usa"``."""
    first, *others = tag.split("-")
    no_other_region = others in ([], [first])
    alpha3 = len(first) == 3 and code not in LANGUAGES
    spoken = _find_country(first) if no_other_region and (alpha3 or _MISTAKEN.fullmatch(first)) else None
    if spoken is None or spoken[1] == code:
        return ""
    country, language = spoken
    return (
        f"is read as {_english_name(code)}; if you mean the country {country}, write {language!r} "
        f"({_english_name(language)}); otherwise write {_english_name(code)!r} to silence this warning"
    )


def _describe_name_doubt(name: str, code: str) -> str:
    sure = code in LANGUAGES or name.casefold() in (_english_name(code).casefold(), _native_name(code).casefold())
    return "" if sure else f"is read as {_english_name(code)} ({code})"


def _find_country(country: str) -> tuple[str, str] | None:
    """Return the English name of a country (ISO 3166 code) and the language most spoken there; None if unknown."""
    from babel.core import get_global
    from langcodes import Language

    territory = get_global("territory_aliases").get(country.upper(), [country.upper()])[0]
    place = Language.make(territory=territory)
    if len(territory) != 2 or not place.is_valid():
        return None
    language = place.maximize().language or "und"
    return place.territory_name("en"), language if language in LANGUAGES else "en"


def _suggest(name: str) -> str:
    if len(name) in (2, 3) and (spoken := _find_country(name)):
        country, language = spoken
        return f"; {name!r} is the country {country}: did you mean {language!r} ({_english_name(language)})?"
    names = {str(key): str(key).title() for key, code in _names_in("en").items() if code.decode() in LANGUAGES}
    names |= {n.casefold(): n for code in LANGUAGES for n in (_native_name(code), LANGUAGES[code])}
    close = nearest_name(name.casefold(), names)
    return f"; did you mean {names[close]!r}?" if close else ""
