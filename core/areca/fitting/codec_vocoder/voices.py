"""Voice prompts as codes of both tokenizers, and the voice that is kept in the artifact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from areca.audio import prepare_voice
from areca.errors import InvalidArtifact, InvalidAudio, InvalidCodes, InvalidManifest, quote, shorten
from areca.fitting.codec_vocoder.layout import Layout
from areca.fitting.codec_vocoder.options import CodecVocoderOptions
from areca.fitting.codec_vocoder.pairs import pair_codes
from areca.fitting.resume import save_tensors
from areca.fitting.sampling import Recording, conform_and_encode, read_recording, shuffle
from areca.hub.tensors import read_tensors
from areca.manifest import Manifest
from areca.specs import Stream
from areca.types import Audio, Codes, VoicePrompt, require_codes

_TRIED = 64
"""Maximum number of recordings that are read to find one that is long enough."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A voice prompt.

    Args:
        condition: the unit of each codec frame, int64 ``[P]``.
        codes: int64 ``[Q, P]``.
    """

    condition: torch.Tensor
    codes: torch.Tensor


def encode_prompt(heard: Audio, needs: Mapping[str, Any], layout: Layout, seconds: float) -> Prompt:
    """Encode a prepared voice prompt by both tokenizers, each at its own rate; repeat it if it is shorter.

    Args:
        heard: what `areca.audio.prepare_voice` returns.
        needs: the loaded tokenizers, ``semantic`` and ``acoustic``.
        layout: how their codes fit together.
        seconds: duration of the result.

    Raises:
        InvalidAudio: the prompt is shorter than a frame of the tokenizers.
    """
    [units] = conform_and_encode(needs["semantic"], layout.semantic, [heard])
    [codes] = conform_and_encode(needs["acoustic"], layout.acoustic, [heard])
    pair, frames = pair_codes(units, codes, layout), layout.frames(seconds)
    if not len(pair.condition):
        raise InvalidAudio(f"{heard.name}: expected at least {1 / layout.base_rate_hz:g} s, got {heard.seconds:g} s")
    times = -(-frames // len(pair.condition))
    return Prompt(pair.condition.repeat(times)[:frames], pair.codes.repeat(1, times)[:, :frames])


def encode_voices(
    voices: Sequence[VoicePrompt | None], own_voice: Prompt, needs: Mapping[str, Any], layout: Layout, seconds: float
) -> list[Prompt]:
    """Return the prompt of each voice; one that several utterances share is encoded once.

    Args:
        voices: a recording of each voice, of any rate and number of channels; None: `own_voice`.
        own_voice: the vocoder's own voice.
        needs: as for `encode_prompt`.
        layout: as for `encode_prompt`.
        seconds: as for `encode_prompt`.

    Raises:
        InvalidAudio: a recording is silent or too short; the message names it.
    """
    encoded: dict[int, Prompt] = {}
    for voice in voices:
        if voice is not None and id(voice) not in encoded:
            encoded[id(voice)] = encode_prompt(prepare_voice(voice.audio, seconds), needs, layout, seconds)
    return [own_voice if voice is None else encoded[id(voice)] for voice in voices]


def choose_own_voice(config: CodecVocoderOptions, data: Manifest, selected: Sequence[Recording], seed: int) -> Audio:
    """Return a recording of the training split, prepared as a voice prompt: the first that is long enough.

    Args:
        config: names the speaker and the duration.
        data: the corpus.
        selected: the training recordings in random order, one of which is chosen if no speaker is named.
        seed: decides the order of a named speaker's recordings.

    Raises:
        InvalidManifest: the training split has no audible recording of the speaker.
    """
    longest: Audio | None = None
    for recording in _candidates(config, data, selected, seed)[:_TRIED]:
        try:
            heard = prepare_voice(read_recording(data, recording), config.prompt_s)
        except InvalidAudio:
            continue
        if longest is None or heard.seconds > longest.seconds:
            longest = heard
        if heard.seconds >= config.prompt_s:
            break
    if longest is None:
        raise InvalidManifest("vocoder: expected recordings to choose its own voice from, got only silent ones")
    return longest


def _candidates(
    config: CodecVocoderOptions, data: Manifest, selected: Sequence[Recording], seed: int
) -> Sequence[Recording]:
    if config.own_voice is None:
        return selected
    rows = [row for row in data.select(split="train").rows if row.audio]
    found: list[Recording] = [(row, "audio") for row in rows if row.speaker == config.own_voice]
    if not found:
        speakers = shorten(", ".join(sorted({row.speaker for row in rows if row.speaker})))
        raise InvalidManifest(
            f"vocoder: the training split has no audio of own_voice {quote(config.own_voice)}\n  speakers: {speakers}"
        )
    return shuffle(found, seed)


def save_prompt(path: Path, prompt: Prompt, metadata: dict[str, str] | None = None) -> None:
    """Write a prompt as a safetensors file, with text for its header."""
    save_tensors(path, {"condition": prompt.condition.cpu(), "codes": prompt.codes.cpu()}, metadata)


def load_prompt(path: Path, layout: Layout) -> Prompt:
    """Read a prompt.

    Raises:
        InvalidArtifact: the file is damaged, or its codes are not those of the tokenizers.
    """
    stored = read_tensors(path, {"condition": (None,), "codes": (len(layout.sizes), None)})
    condition, codes = stored["condition"], stored["codes"]
    if len(condition) != codes.shape[1] or len(condition) % layout.repeats:
        raise InvalidArtifact(f"{path}: expected a unit for each frame, got {len(condition)} and {codes.shape[1]}")
    try:
        streams = (Stream("unit", layout.units, None), *layout.acoustic.streams)
        require_codes([Codes((condition, *codes))], streams)
    except InvalidCodes as e:
        raise InvalidArtifact(f"{path}: not the codes of these tokenizers: {e}") from e
    return Prompt(condition, codes)
