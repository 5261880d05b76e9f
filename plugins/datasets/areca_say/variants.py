"""New speakers for espeak-ng: random mixtures of its own speakers.

A recogniser that has heard sixty speakers knows only these sixty. A mixture combines the throat of one speaker, the
melody of another and the timbre of a third; held-out speakers take no part. Its formants are then moved, and some
mixtures get long or loud stresses, breath, an echo, weak or strong voicing and consonants, or a tone, beyond the range
of most of espeak-ng's own speakers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from areca.errors import ArecaError

_FOLDER = Path("voices") / "!v"
_THROAT = frozenset({"formant"})
_MELODY = frozenset({"pitch", "intonation", "flutter", "stressAdd", "stressLength"})
_NOT_SOUND = frozenset({"language", "name", "gender"})
_SEEDS = 10_000

_ALL_FORMANTS, _EACH_FORMANT, _HEIGHT = (0.8, 1.28), (0.85, 1.18), (0.5, 1.6)
_ODD = 0.35
"""Probability of each kind of peculiarity in a mixture."""
_STRESS, _BREATH, _ECHO_MS, _ECHO_PERCENT = 350, 18, (10, 180), (10, 90)
_PEAKS = 8
"""Number of stress levels, and of formants that can have breath."""
_PLAIN = 100.0
"""Percent of the plain voice's voicing and consonants."""
_VOICING, _CONSONANTS = (0.25, 2.0), (0.2, 2.0)
_LOUDNESS = (12, 40)
"""Of each stress level; the plain voice has about 20."""
_TONE_HZ, _TONE_GAIN = (300, 1000, 2500, 4500), (50, 255)


@dataclass(frozen=True, slots=True)
class Mixture:
    """A mixture of three speakers.

    Args:
        throat: the speaker whose formants it has.
        melody: the speaker whose pitch and stress it has.
        timbre: the speaker of everything else, such as voicing and tone.
        seed: of the random changes.
    """

    throat: str
    melody: str
    timbre: str
    seed: int

    def __str__(self) -> str:
        return f"{self.throat}+{self.melody}+{self.timbre}+{self.seed}"

    def definition(self, data: Path) -> str:
        """Return the text of the variant's file, from those of espeak-ng's `data` folder."""
        rng = np.random.default_rng(self.seed)
        formants = [words for words in _lines(data, self.throat) if words[0] in _THROAT]
        melody = [words for words in _lines(data, self.melody) if words[0] in _MELODY]
        other = _THROAT | _MELODY | _NOT_SOUND
        timbre = [words for words in _lines(data, self.timbre) if words[0] not in other]
        odd = _peculiarities(rng)
        replaced = {words[0] for words in odd}
        lines = [*_moved(formants, rng), *(words for words in melody + timbre if words[0] not in replaced), *odd]
        return "\n".join(["language variant", f"name {self}", *map(" ".join, lines)]) + "\n"


Variant = str | Mixture
"""espeak-ng's name of a speaker, or a mixture."""


def mixture(names: Sequence[str], rng: np.random.Generator) -> Mixture:
    """Draw three of the speakers `names`, and how the mixture is changed."""
    throat, melody, timbre = (names[int(i)] for i in rng.integers(len(names), size=3))
    return Mixture(throat, melody, timbre, int(rng.integers(_SEEDS)))


def named(variant: Variant) -> set[str]:
    """Return the speakers of espeak-ng that `variant` needs."""
    return {variant} if isinstance(variant, str) else {variant.throat, variant.melody, variant.timbre}


def require(data: Path, variants: Sequence[Variant]) -> None:
    """Check that espeak-ng has the speakers of `variants`; it would silently use its plain voice instead.

    Raises:
        ArecaError: a speaker is missing.
    """
    for name in sorted(set().union(*map(named, variants))):
        if not (data / _FOLDER / name).is_file():
            raise ArecaError(f"this espeak-ng has no voice {name!r}: pip install -U espeakng-loader")


def with_mixtures(data: Path, mixtures: Sequence[Mixture], folder: Path) -> dict[Mixture, str]:
    """Make `folder` a data folder of espeak-ng with `mixtures` added; return their names in it.

    Existing files are linked, not copied.
    """
    inner = folder / _FOLDER
    inner.mkdir(parents=True)
    for old, new in ((data, folder), (data / "voices", folder / "voices"), (data / _FOLDER, inner)):
        for path in old.iterdir():
            if not (new / path.name).exists():
                (new / path.name).symlink_to(path)
    names = {m: f"mixture{number}" for number, m in enumerate(dict.fromkeys(mixtures))}
    for m, name in names.items():
        (inner / name).write_text(m.definition(data), encoding="utf-8")
    return names


def _moved(formants: Sequence[list[str]], rng: np.random.Generator) -> list[list[str]]:
    """Move formants; a line is "formant number frequency height width ...", in percent of the plain voice's."""
    throat = rng.uniform(*_ALL_FORMANTS)
    return [
        [*words[:2], _times(words[2], throat * rng.uniform(*_EACH_FORMANT))]
        + [_times(height, rng.uniform(*_HEIGHT)) for height in words[3:4]]
        + words[4:]
        for words in formants
    ]


def _peculiarities(rng: np.random.Generator) -> list[list[str]]:
    drawn: dict[str, Callable[[], Iterable[float]]] = {
        "stressAdd": lambda: rng.uniform(0, _STRESS) * rng.uniform(size=_PEAKS),
        "breath": lambda: rng.uniform(1, _BREATH) * rng.uniform(size=_PEAKS),
        "echo": lambda: (rng.uniform(*_ECHO_MS), rng.uniform(*_ECHO_PERCENT)),
        "voicing": lambda: (_PLAIN * _between(_VOICING, rng),),
        "consonants": lambda: (_PLAIN * _between(_CONSONANTS, rng), _PLAIN * _between(_CONSONANTS, rng)),
        "stressAmp": lambda: rng.uniform(*_LOUDNESS, size=_PEAKS),
        "tone": lambda: [x for hz in _TONE_HZ for x in (hz, _between(_TONE_GAIN, rng))],
    }
    return [[name, *_whole(draw())] for name, draw in drawn.items() if rng.random() < _ODD]


def _between(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a factor from a log-uniform distribution: doubling is as likely as halving."""
    return float(np.exp(rng.uniform(*np.log(bounds))))


def _times(percent: str, factor: float) -> str:
    return str(round(int(percent) * factor))


def _whole(values: Iterable[float]) -> list[str]:
    return [str(round(float(value))) for value in values]


def _lines(data: Path, name: str) -> list[list[str]]:
    """Return the words of each line of a speaker's file, without comments."""
    text = (data / _FOLDER / name).read_text(encoding="utf-8", errors="replace")
    found = (line.split("//")[0].split() for line in text.splitlines())
    return [words for words in found if words and not words[0].startswith("#")]
