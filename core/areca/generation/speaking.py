"""Turn the pieces of an answer into text and speech while the LM writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch

from areca.generation.pieces import TextPieces
from areca.generation.streaming import Piece
from areca.interfaces import SpeechSession, StreamingVocoder, Vocoder
from areca.lm.text import TextTokenizer
from areca.tasks import Task
from areca.types import Audio, Codes, VoicePrompt


@dataclass(frozen=True, slots=True)
class AnswerPiece:
    """A piece of an answer. The pieces of a field, in order, are the whole field.

    Args:
        field: path of the output field that it continues, such as ``"target.text"``.
        text: new whole characters; ``""`` for audio.
        audio: new audio; None for text, and if no audio is complete.
        last: whether the field has ended.
    """

    field: str
    text: str
    audio: Audio | None
    last: bool


def open_speech(vocoder: Vocoder, voice: VoicePrompt | None, seed: int, *, streams: bool) -> SpeechSession:
    """Begin an utterance.

    Args:
        vocoder: the vocoder.
        voice: the voice; None: the vocoder's own.
        seed: seed of the vocoder's randomness.
        streams: whether the vocoder has the tag ``stream``; False: all audio comes at the end.
    """
    generator = torch.Generator().manual_seed(seed)
    if streams:
        return cast("StreamingVocoder", vocoder).open(voice, generator=generator)
    return _WholeSession(lambda codes: vocoder.synthesize([codes], [voice], generator=generator)[0])


class _WholeSession:
    """Keeps the codes of an utterance, and speaks them at the end."""

    def __init__(self, speak: Callable[[Codes], Audio]) -> None:
        self._speak = speak
        self._codes: list[Codes] = []

    def push(self, codes: Codes) -> Audio | None:
        self._codes.append(codes)
        return None

    def finish(self) -> Audio | None:
        if not self._codes:
            return None
        streams = zip(*(codes.streams for codes in self._codes), strict=True)
        return self._speak(Codes(tuple(torch.cat(parts) for parts in streams)))


def speak_pieces(
    pieces: Iterable[Piece], task: Task, tokenizer: TextTokenizer, open_session: Callable[[], SpeechSession]
) -> Iterator[AnswerPiece]:
    """Yield the text and the audio of one answer's pieces, in the order of its segments.

    Args:
        pieces: the pieces of one answer.
        task: the task that is answered.
        tokenizer: decodes the text.
        open_session: begins the speech of an audio segment.
    """
    text, speech = TextPieces(tokenizer), None
    for piece in pieces:
        audios: list[Audio | None] = []
        written = ""
        if piece.kind == "text":
            written = text.push(piece.ids)
        else:
            speech = speech or open_session()
            audios = [None if piece.codes is None else speech.push(piece.codes)]
        if piece.last:
            written += text.finish()
            audios.append(None if speech is None else speech.finish())
            text, speech = TextPieces(tokenizer), None
        audio = _join([a for a in audios if a is not None])
        if written or audio is not None or piece.last:
            yield AnswerPiece(task.outputs[piece.segment].path, written, audio, piece.last)


def _join(audios: list[Audio]) -> Audio | None:
    if len(audios) < 2:
        return audios[0] if audios else None
    return Audio(torch.cat([a.samples for a in audios], 1), audios[0].sample_rate_hz, audios[0].name)
