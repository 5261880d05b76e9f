"""One voice of the Asterisk recordings: its files and its transcripts, by key."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from areca.audio import conform, read
from areca.errors import InvalidAudio
from areca.types import Audio
from areca_say.asterisk import packages

SAMPLE_RATE_HZ = 16_000
_SUFFIXES = (".g722", ".wav", ".gsm")


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker of one language.

    Args:
        language: ISO 639-1 code.
        audio_package: Debian package of the recordings.
        text_package: Debian package of the transcripts; None if there are none.
        folder: folder of the recordings, below the package's sounds.
        person: the speaker's name.
        license: SPDX expression of the recordings.
    """

    language: str
    audio_package: str
    text_package: str | None
    folder: str
    person: str
    license: str


def _core(language: str, folder: str, person: str, license: str) -> Voice:
    package = f"asterisk-core-sounds-{language}"
    return Voice(language, f"{package}-g722", package, folder, person, license)


VOICES: Mapping[str, Voice] = {
    "en": _core("en", "en_US_f_Allison", "Allison Smith", "CC-BY-SA-3.0"),
    "es": _core("es", "es_MX_f_Allison", "Allison Smith", "CC-BY-SA-3.0"),
    "fr": _core("fr", "fr_CA_f_June", "June Wallack", "CC-BY-SA-3.0"),
    "it": _core("it", "it_IT_m_Carlo", "Carlo Flora", "CC-BY-3.0"),
    "ru": _core("ru", "ru_RU_f_IvrvoiceRU", "Maxim Topal (ivrvoice.ru)", "CC-BY-3.0"),
}
"""The professional voices, 16 kHz, with transcripts."""
OTHER_VOICES: Mapping[str, Voice] = {
    "es": Voice("es", "asterisk-prompt-es-co", None, "es", "July E. Jiménez", "GPL-2.0-only"),
    "fr": Voice("fr", "asterisk-prompt-fr-armelle", None, "fr", "Armelle Desjardins", "LicenseRef-BSD-like"),
    "it": Voice("it", "asterisk-prompt-it-menardi-wav", None, "it_IT_f_Menardi", "Paola Dal Zot", "CC-BY-SA-3.0-IT"),
}
"""Other speakers, 8 kHz, without transcripts; the file names identify the words of numbers and dates."""


class Recordings:
    """The recordings of one voice.

    Args:
        voice: the voice.
        archives: the folder of its packages, see `areca_say.asterisk.packages.locate_package`.

    Raises:
        MissingDependency: the recordings are not available.
    """

    def __init__(self, voice: Voice, archives: Path | None = None) -> None:
        self.voice = voice
        self._archives = archives
        root = packages.locate_package(voice.audio_package, archives) / packages.SOUNDS / voice.folder
        paths = (path for path in sorted(root.rglob("*")) if path.suffix in _SUFFIXES)
        self.files = {path.relative_to(root).with_suffix("").as_posix(): path for path in paths}

    def read(self, key: str) -> Audio:
        """Decode one recording: mono, 16 kHz.

        Raises:
            InvalidAudio: there is no recording with this key, or it is damaged.
        """
        if key not in self.files:
            raise InvalidAudio(f"{self.voice.folder}: no recording {key!r}")
        return conform(read(self.files[key]), SAMPLE_RATE_HZ, 1)

    def transcripts(self) -> dict[str, str]:
        """Return the published transcripts by key, not cleaned; the first one of a repeated key."""
        if self.voice.text_package is None:
            return {}
        root = packages.locate_package(self.voice.text_package, self._archives)
        name = f"core-sounds-{self.voice.language}.txt.gz"
        path = root / "usr/share/doc" / self.voice.text_package / name
        texts: dict[str, str] = {}
        for line in gzip.decompress(path.read_bytes()).decode("utf-8-sig").splitlines():
            key, colon, text = line.partition(": ")
            if colon and not line.startswith(";"):
                texts.setdefault(key.strip(), text.strip())
        return texts
