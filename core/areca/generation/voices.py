"""Choose the voice that each answer is spoken in, and bring its prompt into the vocoder's format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from areca.audio import conform, prepare_voice
from areca.errors import InvalidConfig
from areca.generation.requests import Sound, get_input_kind, read_sound
from areca.registry.parts import Part
from areca.run.options import NO_VOICE, SOURCE_VOICE
from areca.sound.hearing import SHORTEST_VOICE_S
from areca.tasks import Task
from areca.types import Audio, VoicePrompt

PROMPT_S = 3.0
"""Length of a vocoder's voice prompt in seconds (AudioPaLM, section 3.3.4, after SPEAR-TTS)."""

Voice = Audio | Literal["source"] | None
"""A recording of the voice; ``"source"``: the voice of the request's own recording; None: the vocoder's own voice."""


def takes_voice(vocoder: Part | None) -> bool:
    """Return whether there is a vocoder that takes a voice prompt."""
    return vocoder is not None and "voice" in vocoder.tags


def choose_voices(task: Task, vocoder: Part | None, voice: Sound | list[Sound] | None, count: int) -> list[Voice]:
    """Return the voice of each request. Recordings are read and checked.

    Args:
        task: the task.
        vocoder: the vocoder; None: there is none.
        voice: a recording, ``"source"`` or ``"none"``; a list: one of these for each request; None: ``"source"`` for a
            spoken answer to a recording, if the vocoder takes voice prompts.
        count: number of requests.

    Raises:
        InvalidConfig: neither the task nor the vocoder takes a voice prompt, the list has another length, or
            ``"source"`` is given to a task that reads text.
        InvalidAudio: a recording cannot be used, is silent or shorter than `SHORTEST_VOICE_S`; the message names it.
    """
    speaks, reads = "audio" in task.answer_kinds, get_input_kind(task)
    if voice is None:
        has_source = speaks and reads == "audio" and takes_voice(vocoder) and not task.reads_voice
        return ["source" if has_source else None] * count
    wanted = voice if isinstance(voice, list) else [voice]
    if all(isinstance(each, str) and each == NO_VOICE for each in wanted):
        return [None] * count
    if not speaks and not task.reads_voice:
        raise InvalidConfig(f"task {task.tag}: answers in text, so it takes no voice prompt: leave it out")
    if not task.reads_voice and not takes_voice(vocoder):
        name = "none" if vocoder is None else repr(vocoder.name)
        raise InvalidConfig(f"the checkpoint's vocoder ({name}) takes no voice prompt: leave it out")
    if isinstance(voice, list) and len(voice) != count:
        raise InvalidConfig(f"expected one voice, or one for each of {count} items, got {len(voice)}")
    voices = [_read_voice(task, each, reads) for each in wanted]
    return voices if isinstance(voice, list) else voices * count


def _read_voice(task: Task, voice: Sound, reads: str) -> Voice:
    if isinstance(voice, str) and voice == NO_VOICE:
        return None
    if not (isinstance(voice, str) and voice == SOURCE_VOICE):
        return read_sound(voice, SHORTEST_VOICE_S, "voice")
    if reads != "audio":
        raise InvalidConfig(
            f"task {task.tag}: reads {reads}, so there is no source voice: give voice='voice.wav' (--voice voice.wav), "
            "or 'none' for the vocoder's own voice"
        )
    return "source"


def make_prompts(sounds: Sequence[Audio | None], sample_rate_hz: int) -> list[VoicePrompt | None]:
    """Return the voice prompts of recordings in a vocoder's format: mono, exactly `PROMPT_S` long.

    A prompt is the beginning of the recording without the silence before it, repeated if it is shorter.

    Args:
        sounds: the recordings; None: no prompt.
        sample_rate_hz: the vocoder's sample rate.

    Raises:
        InvalidAudio: the recording has less than `SHORTEST_VOICE_S` of sound; the message names it.
    """
    made: dict[int, VoicePrompt] = {}  # requests may share one recording
    for sound in sounds:
        if sound is not None and id(sound) not in made:
            made[id(sound)] = VoicePrompt(_cut_prompt(sound, sample_rate_hz))
    return [None if sound is None else made[id(sound)] for sound in sounds]


def _cut_prompt(sound: Audio, sample_rate_hz: int) -> Audio:
    samples = conform(prepare_voice(sound, PROMPT_S), sample_rate_hz, channels=1).samples
    length = round(PROMPT_S * sample_rate_hz)
    repeats = -(-length // samples.shape[1])
    return Audio(torch.cat([samples] * repeats, dim=1)[:, :length], sample_rate_hz, sound.name)
