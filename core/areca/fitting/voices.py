"""Choose the recordings of a voice for the training of a vocoder."""

from __future__ import annotations

from collections.abc import Sequence

from areca.errors import InvalidManifest
from areca.fitting.sampling import Recording, read_recording, shuffle
from areca.job import Job, report_quota
from areca.manifest import Manifest


def recordings_of_voice(data: Manifest, voice: str | None, part: str) -> list[Recording]:
    """Return each recording of a voice in the training split once, as its row and column.

    Args:
        data: the corpus.
        voice: speaker whose own recordings (column ``audio``) are returned; None: the translated side
            (``target_audio``), whoever speaks it.
        part: name of the component, for the message.

    Raises:
        InvalidManifest: there is none.
    """
    rows = data.select(split="train").rows
    unique: dict[str, Recording]
    if voice is None:
        unique = {row.target_audio: (row, "target_audio") for row in rows if row.target_audio}
        missing = "translated side (target_audio); name one of its speakers: voice=..."
    else:
        spoken = [row for row in rows if row.speaker == voice and row.audio]
        unique = {f"{row.audio} {row.offset_s} {row.duration_s}": (row, "audio") for row in spoken}
        missing = f"audio of speaker {voice!r}"
    if not unique:
        speakers = sorted({row.speaker for row in rows if row.speaker})
        raise InvalidManifest(f"{part}: the training split has no {missing}\n  speakers: {', '.join(speakers)}")
    return list(unique.values())


def choose_recordings(
    data: Manifest, found: Sequence[Recording], speech_s: float, job: Job, chunk: int
) -> list[Recording]:
    """Return recordings in random order, until they last long enough together or there are no more.

    Args:
        data: their corpus.
        found: the recordings to choose from.
        speech_s: how long they last together, in seconds.
        job: its seed decides the order, and its progress is reported to.
        chunk: the number of recordings is a multiple of this, unless there are no more.
    """
    shuffled = shuffle(found, job.seed)
    total_s = 0.0
    for count, recording in enumerate(shuffled, start=1):
        total_s += read_recording(data, recording).seconds
        report_quota(job.progress, total_s, speech_s, count, len(shuffled), unit="seconds of speech", doing="chosen")
        if total_s >= speech_s and count % chunk == 0:  # only whole chunks
            return shuffled[:count]
    return shuffled
