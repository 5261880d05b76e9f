"""Choose the recordings, and divide them into batches of one speaker and one split."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from areca.audio import header
from areca.errors import InvalidAudio
from areca.fitting.recordings.debian import locate_package
from areca.fitting.recordings.left_out import LeftOut
from areca.fitting.recordings.splits import assign_split
from areca.options import file_hash
from areca_people.options import PeopleConfig
from areca_people.packages import PACKAGES, Package, Voice

ARCHIVES = "ARECA_PEOPLE_ARCHIVES"
"""Environment variable that names the folder of the packages if no option does."""
_BATCH = 64
"""Recordings of a batch. Short ones are joined only with others of their batch."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A file of a package.

    Args:
        package: its package.
        voice: who speaks.
        name: its path from the package's folder.
        path: where it is.
        seconds: its length, with the silence.
        rate_hz: its sampling rate.
    """

    package: Package
    voice: Voice
    name: str
    path: Path
    seconds: float
    rate_hz: int

    @property
    def label(self) -> str:
        """Package and path."""
        return f"{self.package.name}/{self.name}"


@dataclass(frozen=True, slots=True)
class Batch:
    """Recordings of one speaker in one language and split."""

    recordings: tuple[Recording, ...]
    split: str

    def __len__(self) -> int:
        return len(self.recordings)


def plan_batches(config: PeopleConfig, seed: int, left_out: LeftOut) -> list[Batch]:
    """Return the batches in a fixed order, and count the recordings that are left out.

    Raises:
        MissingDependency: a package is not available.
    """
    groups: dict[tuple[str, str, str, str], list[Recording]] = defaultdict(list)
    for recording in _choose(_find_usable(config, left_out), config.speaker_s, seed, left_out):
        split = _split_of(recording, config)
        groups[recording.voice.name, recording.package.name, recording.voice.language, split].append(recording)
    return [
        Batch(tuple(group[start : start + _BATCH]), split)
        for (*_, split), group in sorted(groups.items())
        for start in range(0, len(group), _BATCH)
    ]


def _find_usable(config: PeopleConfig, left_out: LeftOut) -> Iterator[Recording]:
    """Yield the recordings of the packages that can be read and have the required rate; each content only once."""
    known: set[str] = set()
    for recording in itertools.chain.from_iterable(
        _list_recordings(package, config, left_out) for name, package in PACKAGES.items() if name in config.packages
    ):
        if recording.rate_hz < config.least_rate_hz:
            left_out.add(f"the sampling rate is below {config.least_rate_hz} Hz", recording.label)
        elif (digest := file_hash(recording.path)) in known:
            left_out.add("a copy of another recording", recording.label)
        else:
            known.add(digest)
            yield recording


def _list_recordings(package: Package, config: PeopleConfig, left_out: LeftOut) -> Iterator[Recording]:
    voices = [voice for voice in package.voices if voice.language in config.languages]
    if not voices:
        return
    content = Path(package.folder)
    folder = locate_package(package.name, config.archives, content=content, variable=ARCHIVES) / content
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    for name in sorted(path.relative_to(folder).as_posix() for path in paths):
        voice = next((voice for voice in voices if re.fullmatch(voice.files, name)), None)
        if voice is None:
            continue
        try:
            found = header(folder / name)
        except InvalidAudio as error:
            left_out.add("it cannot be read", str(error).replace(str(folder / name), f"{package.name}/{name}"))
        else:
            yield Recording(package, voice, name, folder / name, found.seconds, found.sample_rate_hz)


def _choose(found: Iterator[Recording], speaker_s: float, seed: int, left_out: LeftOut) -> Iterator[Recording]:
    """Yield recordings in random order, of each speaker at most `speaker_s` seconds."""

    def draw(recording: Recording) -> bytes:
        return hashlib.sha256(f"{seed} {recording.label}".encode()).digest()

    chosen_s: defaultdict[str, float] = defaultdict(float)
    for recording in sorted(found, key=draw):
        if chosen_s[recording.voice.name] + recording.seconds > speaker_s:
            left_out.add(f"the speaker has {speaker_s:g} s without it (speaker_s)", recording.label)
        else:
            chosen_s[recording.voice.name] += recording.seconds
            yield recording


def _split_of(recording: Recording, config: PeopleConfig) -> str:
    if recording.package.only_test or recording.voice.name in config.held_out:
        return "test"
    return assign_split(recording.label, config.test_share, config.validation_share)
