"""Names of languages as the prompts spell them: English, as Unicode CLDR has them. Imports nothing."""

from __future__ import annotations

from types import MappingProxyType

from areca.errors import InvalidConfig, suggest

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
"""ISO 639 code to English name: every two-letter code, and the three-letter ones of FLEURS."""

_CODES = {name.casefold(): code for code, name in LANGUAGES.items()}


def language_code(language: str) -> str:
    """Return the ISO code of a language given as code (``"fr"``, ``"fr-CA"``) or English name (``"French"``).

    Raises:
        InvalidConfig: neither a code nor a name that is known; the nearest is suggested.
    """
    wanted = language.strip().casefold()
    code = _CODES.get(wanted, wanted.replace("_", "-").partition("-")[0])
    if code not in LANGUAGES:
        hint = suggest(language.strip().title(), LANGUAGES.values())
        raise InvalidConfig(f"language {language!r}: expected a code as 'fr' or an English name as 'French'{hint}")
    return code


def language_name(language: str) -> str:
    """Return the English name of a language given as code or name.

    Raises:
        InvalidConfig: as `language_code`.
    """
    return LANGUAGES[language_code(language)]
