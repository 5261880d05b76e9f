"""Make clips of recordings: trim them, cut long ones, and join short ones of a speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from areca.audio import conform, read
from areca.errors import InvalidAudio
from areca.fitting.recordings.left_out import LeftOut
from areca.fitting.recordings.samples import Samples, cut, fade, join, set_level, trim
from areca.sound.hearing import require_audible
from areca_people.options import PeopleConfig
from areca_people.plan import Recording

_MARGIN_S = 0.05
"""Seconds of silence that are kept before and after speech."""
_JOIN_S = 0.02
"""Seconds by which joined recordings overlap in this silence."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip and the recordings that it comes from.

    Args:
        samples: float32 ``[T]``.
        sources: the recordings, in order.
    """

    samples: Samples
    sources: tuple[Recording, ...]


def make_clips(recordings: Sequence[Recording], config: PeopleConfig, left_out: LeftOut) -> list[Clip]:
    """Return the clips of a speaker's recordings, and count the recordings that are left out.

    Args:
        recordings: recordings of one speaker, or of several who are not told apart and therefore never joined.
        config: lengths and rate of the clips.
        left_out: counts damaged and silent recordings, and those that are too short.
    """
    clips: list[Clip] = []
    short: list[Clip] = []
    for recording in recordings:
        try:
            pieces = _read_pieces(recording, config)
        except InvalidAudio as error:
            left_out.add("it is damaged or silent", str(error).replace(str(recording.path), recording.label))
            continue
        for samples in pieces:
            is_short = len(samples) < config.shortest_s * config.sample_rate_hz
            (short if is_short else clips).append(Clip(samples, (recording,)))
    joined = [[clip] for clip in short] if recordings[0].voice.several else _group(short, config)
    for group in joined:
        clip = _join(group, config.sample_rate_hz)
        if len(clip.samples) < config.shortest_s * config.sample_rate_hz:
            for recording in clip.sources:
                left_out.add(f"it is shorter than {config.shortest_s:g} s and joins no other", recording.label)
        else:
            clips.append(clip)
    return clips


def _read_pieces(recording: Recording, config: PeopleConfig) -> list[Samples]:
    """Return the speech of a recording without the silence at its ends, cut into pieces at a common level."""
    audio = conform(require_audible(read(recording.path)), config.sample_rate_hz, 1)
    rate = config.sample_rate_hz
    pieces = cut(trim(audio.samples[0].numpy(), rate, _MARGIN_S), rate, config.longest_s)
    return [set_level(trim(piece, rate, _MARGIN_S)) for piece in pieces]


def _group(short: Sequence[Clip], config: PeopleConfig) -> list[list[Clip]]:
    """Divide clips into groups of at least `joined_s` seconds; the last one takes those that remain."""
    groups: list[list[Clip]] = []
    overlap = round(_JOIN_S * config.sample_rate_hz)
    group: list[Clip] = []
    for clip in short:
        group.append(clip)
        if sum(len(clip.samples) - overlap for clip in group) >= config.joined_s * config.sample_rate_hz:
            groups.append(group)
            group = []
    if group and groups:
        groups[-1] += group
    elif group:
        groups.append(group)
    return groups


def _join(group: Sequence[Clip], sample_rate_hz: int) -> Clip:
    overlap = min(round(_JOIN_S * sample_rate_hz), *(len(clip.samples) - 1 for clip in group))
    samples = join([clip.samples * fade(len(clip.samples), overlap) for clip in group], overlap)
    return Clip(samples, tuple(recording for clip in group for recording in clip.sources))
