"""Turn recordings, texts and voices into requests: read, trim and encode them for each role that a task reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from areca.audio import conform
from areca.errors import InvalidConfig
from areca.fields import VOICE, Field
from areca.generation.requests import Request, Sound, check_texts, get_input_kind, read_sound
from areca.generation.voices import Voice, make_prompts
from areca.lm.crops import seconds_of, select_streams
from areca.run.options import InputConfig
from areca.sound.hearing import trim_silence
from areca.specs import TokenizerSpec
from areca.tasks import Task
from areca.types import Audio, Codes


@dataclass(frozen=True)
class Reader:
    """Makes requests from a task's inputs.

    Args:
        specs: the tokenizers of the LM's roles.
        encode: returns what the LM reads of recordings in the format of a role's tokenizer: codes or vectors.
        reads: role of inputs that name none.
        options: how recordings are trimmed.
        voice_rate_hz: sample rate of the vocoder's voice prompts; None: it takes none.
    """

    specs: Mapping[str, TokenizerSpec]
    encode: Callable[[str, list[Audio]], Sequence[Codes | Tensor]]
    reads: str
    options: InputConfig
    voice_rate_hz: int | None = None

    def read(self, task: Task, items: Sequence[Sound], voices: Sequence[Voice]) -> list[Request]:
        """Return a request for each item.

        Args:
            task: the task.
            items: recordings or texts, whichever the task reads.
            voices: the voice of each item.

        Raises:
            InvalidConfig: an item is not a text, or a voice is missing.
            InvalidAudio: a recording cannot be used; the message names it.
        """
        asked = [field for field in task.inputs if field.path != VOICE]
        sounds: Sequence[Audio | None] = [None] * len(items)
        if get_input_kind(task) == "text":
            requests = [Request(text, dict.fromkeys([f.name for f in asked], text)) for text in check_texts(items)]
        else:
            requests, sounds = self._read_recordings(asked, items)
        chosen = [sound if voice == "source" else voice for sound, voice in zip(sounds, voices, strict=True)]
        if task.reads_voice:
            requests = self._add_voices(task, requests, chosen)
        if self.voice_rate_hz is None:
            return requests
        prompts = make_prompts(chosen, self.voice_rate_hz)
        return [replace(request, voice=prompt) for request, prompt in zip(requests, prompts, strict=True)]

    def _role(self, field: Field) -> str:
        return field.role or self.reads

    def _read_recordings(self, fields: Sequence[Field], items: Sequence[Sound]) -> tuple[list[Request], list[Audio]]:
        """Return a request for each recording, and the recordings with their own rates and channels."""
        roles = list(dict.fromkeys(map(self._role, fields)))
        shortest_s = max(self.specs[role].unit_s for role in roles)
        sounds = [read_sound(item, shortest_s, f"audio {number}") for number, item in enumerate(items, start=1)]
        read = [self.convert(sound, roles) for sound in sounds]
        codes = {role: self.encode(role, [audios[role] for audios, _ in read]) for role in roles}
        requests = []
        for number, (audios, trimmed_s) in enumerate(read):
            values, lengths_s = self._values(fields, {role: codes[role][number] for role in roles})
            audio = audios[roles[0]]
            requests.append(Request(audio.name, values, audio.seconds, trimmed_s, lengths_s))
        return requests, sounds

    def _values(
        self, fields: Sequence[Field], codes: Mapping[str, Codes | Tensor]
    ) -> tuple[dict[str, str | Codes | Tensor], dict[str, float]]:
        """Return the codes or vectors of fields by name, and their lengths in seconds where the rates are known."""
        values: dict[str, str | Codes | Tensor] = {}
        lengths = {}
        for field in fields:
            role = self._role(field)
            found = codes[role]
            values[field.name] = select_streams(found, field.streams) if isinstance(found, Codes) else found
            lengths[field.name] = seconds_of(found, self.specs[role]) if isinstance(found, Codes) else None
        return values, {name: float(length) for name, length in lengths.items() if length is not None}

    def convert(self, sound: Audio, roles: Sequence[str]) -> tuple[dict[str, Audio], tuple[float, float]]:
        """Return a recording in the format of each role's tokenizer, and the seconds of silence cut off at its ends."""
        specs = [self.specs[role] for role in roles]
        first = conform(sound, specs[0].sample_rate_hz, specs[0].channels)
        before_s = behind_s = 0.0
        if self.options.trim_silence_s is not None:
            first, before_s, behind_s = trim_silence(first, self.options.trim_silence_s, self.options.keep_silence_s)
        rest = [
            conform(_cut(sound, before_s, sound.seconds - behind_s), spec.sample_rate_hz, spec.channels)
            for spec in specs[1:]
        ]
        return dict(zip(roles, [first, *rest], strict=True)), (before_s, behind_s)

    def _add_voices(self, task: Task, requests: Sequence[Request], voices: Sequence[Audio | None]) -> list[Request]:
        """Return the requests with the start of their voices, as long as each field's `crop_s`."""
        given = [voice for voice in voices if voice is not None]
        if len(given) < len(voices):
            raise InvalidConfig(f"task {task.tag}: reads a voice prompt: give voice='voice.wav' (--voice voice.wav)")
        added: list[dict[str, str | Codes | Tensor]] = [dict(request.values) for request in requests]
        for field in [field for field in task.inputs if field.path == VOICE]:
            spec = self.specs[self._role(field)]
            crop_s = field.crop_s or float("inf")
            audios = [conform(_cut(audio, 0.0, crop_s), spec.sample_rate_hz, spec.channels) for audio in given]
            for values, codes in zip(added, self.encode(self._role(field), audios), strict=True):
                values[field.name] = select_streams(codes, field.streams) if isinstance(codes, Codes) else codes
        return [replace(request, values=values) for request, values in zip(requests, added, strict=True)]


def _cut(audio: Audio, first_s: float, stop_s: float) -> Audio:
    """Return the part of a recording between two times; `audio` itself if that is all."""
    first, length = round(first_s * audio.sample_rate_hz), audio.samples.shape[1]
    stop = length if stop_s >= audio.seconds else round(stop_s * audio.sample_rate_hz)
    if (first, stop) == (0, length):
        return audio
    return Audio(audio.samples[:, first : max(stop, first + 1)], audio.sample_rate_hz, audio.name)
