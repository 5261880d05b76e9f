"""New speakers for espeak-ng: random mixtures of its own speakers.

A recogniser trained on sixty voices knows only these sixty. A mixture has the formants of one speaker, the melody of
another and the timbre of a third; held-out speakers take no part. The formants are then moved at random. Some mixtures
also get peculiarities that few of espeak-ng's speakers have: long or loud stress, breath, an echo, weak or strong
voicing and consonants, or a tone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from areca.errors import ArecaError

_FOLDER = Path("voices") / "!v"
_FORMANTS = frozenset({"formant"})
_MELODY = frozenset({"pitch", "intonation", "flutter", "stressAdd", "stressLength"})
_DESCRIPTIVE = frozenset({"language", "name", "gender"})
_SEEDS = 10_000

_ALL_FORMANTS, _EACH_FORMANT, _HEIGHT = (0.8, 1.28), (0.85, 1.18), (0.5, 1.6)
"""Ranges of the factors on the frequency of all formants, on that of each one, and on the height of each one."""
_PECULIAR = 0.35
"""Probability of each peculiarity in a mixture."""
_STRESS, _BREATH, _ECHO_MS, _ECHO_PERCENT = 350, 18, (10, 180), (10, 90)
_PEAKS = 8
"""Number of stress levels, and of formants with breath."""
_PLAIN = 100.0
"""Voicing and consonants of the plain voice, in percent."""
_VOICING, _CONSONANTS = (0.25, 2.0), (0.2, 2.0)
_LOUDNESS = (12, 40)
"""Range of the loudness of each stress level; the plain voice has about 20."""
_TONE_HZ, _TONE_GAIN = (300, 1000, 2500, 4500), (50, 255)


@dataclass(frozen=True, slots=True)
class Mixture:
    """A mixture of three speakers.

    Args:
        tract: the speaker that supplies the formants, which the vocal tract shapes.
        melody: the speaker that supplies pitch and stress.
        timbre: the speaker that supplies everything else, such as voicing and tone.
        seed: seed of the random changes.
    """

    tract: str
    melody: str
    timbre: str
    seed: int

    def __str__(self) -> str:
        return f"{self.tract}+{self.melody}+{self.timbre}+{self.seed}"

    def definition(self, data: Path) -> str:
        """Return the text of the mixture's variant file; the speakers' files are in espeak-ng's folder `data`."""
        rng = np.random.default_rng(self.seed)
        formants = [words for words in _read_lines(data, self.tract) if words[0] in _FORMANTS]
        melody = [words for words in _read_lines(data, self.melody) if words[0] in _MELODY]
        other = _FORMANTS | _MELODY | _DESCRIPTIVE
        timbre = [words for words in _read_lines(data, self.timbre) if words[0] not in other]
        peculiarities = _draw_peculiarities(rng)
        # A peculiarity replaces the same property of the melody or the timbre.
        replaced = {words[0] for words in peculiarities}
        kept = [words for words in melody + timbre if words[0] not in replaced]
        lines = [*_move_formants(formants, rng), *kept, *peculiarities]
        return "\n".join(["language variant", f"name {self}", *map(" ".join, lines)]) + "\n"


Variant = str | Mixture
"""espeak-ng's name of a speaker, or a mixture."""


def draw_mixture(names: Sequence[str], rng: np.random.Generator) -> Mixture:
    """Draw a mixture of three of the speakers `names`."""
    tract, melody, timbre = (names[int(i)] for i in rng.integers(len(names), size=3))
    return Mixture(tract, melody, timbre, int(rng.integers(_SEEDS)))


def list_speakers(variant: Variant) -> set[str]:
    """Return the names of espeak-ng's speakers that `variant` needs."""
    return {variant} if isinstance(variant, str) else {variant.tract, variant.melody, variant.timbre}


def require_speakers(data: Path, variants: Sequence[Variant]) -> None:
    """Check that espeak-ng has the speakers of `variants`; for an unknown one it would silently use its plain voice.

    Raises:
        ArecaError: a speaker is missing.
    """
    for name in sorted(set().union(*map(list_speakers, variants))):
        if not (data / _FOLDER / name).is_file():
            raise ArecaError(f"this espeak-ng has no voice {name!r}: pip install -U espeakng-loader")


def build_data_folder(data: Path, mixtures: Sequence[Mixture], folder: Path) -> dict[Mixture, str]:
    """Create a data folder of espeak-ng with additional speakers; existing files are linked, not copied.

    Args:
        data: the existing data folder.
        mixtures: the speakers to add; repeated ones are added once.
        folder: the new folder; must not exist.

    Returns:
        The name of each mixture in the new folder.
    """
    variants = folder / _FOLDER
    variants.mkdir(parents=True)
    for old, new in ((data, folder), (data / "voices", folder / "voices"), (data / _FOLDER, variants)):
        for path in old.iterdir():
            if not (new / path.name).exists():
                (new / path.name).symlink_to(path)
    names = {mixture: f"mixture{number}" for number, mixture in enumerate(dict.fromkeys(mixtures))}
    for mixture, name in names.items():
        (variants / name).write_text(mixture.definition(data), encoding="utf-8")
    return names


def _move_formants(formants: Sequence[list[str]], rng: np.random.Generator) -> list[list[str]]:
    """Move formants. A line is ``formant number frequency height width ...``, in percent of the plain voice's."""
    common = rng.uniform(*_ALL_FORMANTS)
    return [
        [*words[:2], _scale(words[2], common * rng.uniform(*_EACH_FORMANT))]
        + [_scale(height, rng.uniform(*_HEIGHT)) for height in words[3:4]]
        + words[4:]
        for words in formants
    ]


def _draw_peculiarities(rng: np.random.Generator) -> list[list[str]]:
    """Return the words of a line for each peculiarity that is drawn."""
    draws: dict[str, Callable[[], Iterable[float]]] = {
        "stressAdd": lambda: rng.uniform(0, _STRESS) * rng.uniform(size=_PEAKS),
        "breath": lambda: rng.uniform(1, _BREATH) * rng.uniform(size=_PEAKS),
        "echo": lambda: (rng.uniform(*_ECHO_MS), rng.uniform(*_ECHO_PERCENT)),
        "voicing": lambda: (_PLAIN * _draw_factor(_VOICING, rng),),
        "consonants": lambda: (_PLAIN * _draw_factor(_CONSONANTS, rng), _PLAIN * _draw_factor(_CONSONANTS, rng)),
        "stressAmp": lambda: rng.uniform(*_LOUDNESS, size=_PEAKS),
        "tone": lambda: [x for hz in _TONE_HZ for x in (hz, _draw_factor(_TONE_GAIN, rng))],
    }
    return [[name, *_round(draw())] for name, draw in draws.items() if rng.random() < _PECULIAR]


def _draw_factor(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a factor from a log-uniform distribution: doubling is as likely as halving."""
    return float(np.exp(rng.uniform(*np.log(bounds))))


def _scale(percent: str, factor: float) -> str:
    return str(round(int(percent) * factor))


def _round(values: Iterable[float]) -> list[str]:
    return [str(round(float(value))) for value in values]


def _read_lines(data: Path, name: str) -> list[list[str]]:
    """Return the words of each line of a speaker's file, without comments."""
    text = (data / _FOLDER / name).read_text(encoding="utf-8", errors="replace")
    lines = (line.split("//")[0].split() for line in text.splitlines())
    return [words for words in lines if words and not words[0].startswith("#")]
