"""The Debian packages with recordings of people: voices, files and licences. Light."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

_AUDIO = r"\.(?:ogg|wav)"
_SOUNDS = "usr/share/asterisk/sounds"
_SPOKEN = (
    r"(?!silence/|(?:beep|beeperr|ascending-2tone|descending-2tone|confbridge-join|confbridge-leave|tt-monkeys)\.)"
)
"""Asterisk's signals are not speech."""


@dataclass(frozen=True, slots=True)
class Voice:
    """The recordings of one person in one language, or of several people whom nothing tells apart.

    Args:
        name: the speaker in the rows. It names no person, and is the same in every package of one person.
        language: ISO 639 code.
        files: regular expression of the paths of the recordings, from the package's folder.
        license: SPDX expression; None: that of the package.
        several: whether the recordings are of several people; their rows name no speaker.
    """

    name: str
    language: str
    files: str
    license: str | None = None
    several: bool = False


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package with recordings.

    Args:
        name: its name.
        folder: folder of the recordings, from the root.
        license: SPDX expression of the recordings, according to the package's copyright file.
        voices: the people.
        only_test: whether the recordings may only be used for tests, so that they measure people who were never heard.
    """

    name: str
    folder: str
    license: str
    voices: tuple[Voice, ...]
    only_test: bool = False

    def license_of(self, voice: Voice) -> str:
        """Return the SPDX expression of a voice's recordings."""
        return voice.license or self.license


def _prompts(language: str, folder: str, name: str, license: str) -> Package:
    """Return the professional prompts of Asterisk in one language, 16 kHz."""
    voice = Voice(name, language, rf"{_SPOKEN}.*\.g722")
    return Package(f"asterisk-core-sounds-{language}-g722", f"{_SOUNDS}/{folder}", license, (voice,))


def _other_prompts(package: str, folder: str, language: str, license: str) -> Package:
    """Return prompts of another person, 8 kHz."""
    voice = Voice(f"asterisk-prompt-{language}", language, rf"{_SPOKEN}.*\.(?:gsm|wav)")
    return Package(package, f"{_SOUNDS}/{folder}", license, (voice,), only_test=True)


def _by_language(
    prefix: str, languages: str, pattern: str, *, several: Iterable[str] = (), default: str = ""
) -> tuple[Voice, ...]:
    """Return a voice for each language.

    Args:
        prefix: start of the names.
        languages: names of the languages in the paths, such as ``"fr pt_BR"``.
        pattern: the files, with ``{}`` for the language.
        several: the languages that several people speak.
        default: the language that the paths do not name.
    """
    return tuple(
        Voice(
            f"{prefix}-{name.lower().replace('_', '-')}",
            name.partition("_")[0],
            pattern.format("" if name == default else f"_{name}" if default else name),
            several=name in several,
        )
        for name in languages.split()
    )


def _fish(language: str) -> Package:
    """Return the two fish of a game, whose roles the names of the files hold."""
    path = rf"[^/]+/(?:[^/]+/)?{language}/[^/-]+-%s-[^/]*\.ogg"
    voices = (
        Voice(f"fillets-{language}-big", language, path % "v"),
        Voice(f"fillets-{language}-small", language, path % "m"),
    )
    return Package(f"fillets-ng-data-{language}", "usr/share/games/fillets-ng/sound", "GPL-2.0-only", voices)


_TUXPAINT = "be bg ca da el en es fr lt ml nl pt_BR ro ru"
_KLETTRES = "ar cs da de en en_GB es fr he hu it lt ml nb nds nl pt_BR ru tn uk"
_KTUBERLING = "ca da de el en es fi fr ga gl it lt nds nl pt ro ru sl sr sv uk wa"
_CODEC2 = "big_dog forig hts1a hts2a morig ve9qrp vk5qi wia_16kHz"
"""Clips of speech. The others are modems, speech after coding, mixtures and joined copies of these."""

PACKAGES: Mapping[str, Package] = MappingProxyType(
    {
        package.name: package
        for package in (
            _prompts("en", "en_US_f_Allison", "asterisk-en-es", "CC-BY-SA-3.0"),
            _prompts("es", "es_MX_f_Allison", "asterisk-en-es", "CC-BY-SA-3.0"),
            _prompts("fr", "fr_CA_f_June", "asterisk-fr", "CC-BY-SA-3.0"),
            _prompts("it", "it_IT_m_Carlo", "asterisk-it", "CC-BY-3.0"),
            _prompts("ru", "ru_RU_f_IvrvoiceRU", "asterisk-ru", "CC-BY-3.0"),
            Package(
                "tuxpaint-stamps-default",
                "usr/share/tuxpaint/stamps",
                "GPL-2.0-only",
                _by_language("tuxpaint", _TUXPAINT, ".*_desc{}" + _AUDIO, several={"pt_BR"}, default="en"),
            ),
            _fish("cs"),
            _fish("nl"),
            Package(
                "klettres-data",
                "usr/share/klettres",
                "GPL-2.0-or-later",
                _by_language("klettres", _KLETTRES, r"{}/(?:alpha|syllab)/.*\.ogg"),
            ),
            Package(
                "ktuberling-data",
                "usr/share/ktuberling/sounds",
                "GPL-2.0-or-later",
                _by_language("ktuberling", _KTUBERLING, "{}/.*" + _AUDIO, several={"ca", "fr", "uk"}),
            ),
            Package(
                "kajongg",
                "usr/share/kajongg/voices",
                "GPL-2.0-or-later",
                (
                    *(Voice(f"kajongg-{n}", "en", rf"{n}/.*\.ogg") for n in ("female1", "female2", "male1", "male2")),
                    Voice("kajongg-de-male2", "de", r"de/male2/.*\.ogg"),
                ),
            ),
            Package(
                "gcin-voice",
                "usr/share/gcin-voice/ogg",
                "GPL-3.0-only OR LGPL-3.0-only",
                (Voice("gcin-3", "zh", r".*/3\.ogg"), Voice("gcin-5", "zh", r".*/5\.ogg", "CC-BY-3.0")),
            ),
            Package(
                "pocketsphinx-testdata",
                "usr/share/pocketsphinx/test/data",
                "BSD-2-Clause",
                tuple(Voice(f"pocketsphinx-{n}", "en", rf"{n}/.*\.wav") for n in ("cards", "librivox")),
            ),
            Package(
                "codec2-examples",
                "usr/share/codec2/wav",
                "LGPL-2.1-only",
                tuple(Voice(f"codec2-{n.lower().replace('_', '-')}", "en", rf"{n}\.wav") for n in _CODEC2.split()),
            ),
            Package(
                "festvox-ru",
                "usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav",
                "LicenseRef-BSD-like",
                (Voice("festvox-ru", "ru", r".*\.wav"),),
            ),
            _other_prompts("asterisk-prompt-es-co", "es", "es", "GPL-2.0-only"),
            _other_prompts("asterisk-prompt-fr-armelle", "fr", "fr", "LicenseRef-BSD-like"),
            _other_prompts("asterisk-prompt-it-menardi-wav", "it_IT_f_Menardi", "it", "CC-BY-SA-3.0-IT"),
        )
    }
)
"""The packages by name."""
TRAINING_PACKAGES = tuple(package.name for package in PACKAGES.values() if not package.only_test)
"""The packages that may be used in training."""
LANGUAGES = tuple(sorted({voice.language for package in PACKAGES.values() for voice in package.voices}))
"""The languages of all packages."""
NAMES = tuple(dict.fromkeys(voice.name for package in PACKAGES.values() for voice in package.voices))
"""The names of all voices."""
