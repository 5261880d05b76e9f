"""Speak answers: which codes a vocoder gets, and text and speech while the LM writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch

from areca.fields import SegmentKind
from areca.generation.decoding import DecodingMethod, Picks
from areca.generation.pieces import TextPieces
from areca.generation.streaming import Piece
from areca.interfaces import SpeechSession, StreamingVocoder, Vocoder
from areca.lm.patterns import CodeLayout
from areca.lm.text import TextTokenizer
from areca.registry.parts import Part
from areca.tasks import Task, Values
from areca.types import Audio, Codes, VoicePrompt


class _Place(NamedTuple):
    """Where a stream is: in the answer or the prompt, in which field, and which of the field's streams it is."""

    answered: bool
    field: int
    stream: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """The codes that a vocoder speaks: all streams that the LM's role of answers has of one path.

    Args:
        task: the task.
        layout: the layout of the role that the LM writes.
        places: the place of each stream. The answer's come before the prompt's.
    """

    task: Task
    layout: CodeLayout
    places: tuple[_Place, ...]

    @classmethod
    def of(cls, task: Task, layout: CodeLayout) -> Spoken | None:
        """Return the codes of the first output of which answer and prompt hold all streams; None: there is none."""
        places: dict[str, dict[int, _Place]] = {}
        for answered, fields in ((False, task.inputs), (True, task.outputs)):  # answers replace prompts
            for number, field in enumerate(fields):
                role = field.role or (layout.role if answered else None)
                if field.kind == "audio" and role == layout.role:
                    first, stop = field.streams or (0, len(layout.streams))
                    held = places.setdefault(field.path, {})
                    held |= {k: _Place(answered, number, k - first) for k in range(first, stop)}
        for path in (field.path for field in task.outputs if field.path in places):
            if len(places[path]) == len(layout.streams):
                return cls(task, layout, tuple(places[path][k] for k in range(len(layout.streams))))
        return None

    @property
    def segments(self) -> tuple[int, ...]:
        """The numbers of the answer's segments that are spoken, in order."""
        return tuple(sorted({place.field for place in self.places if place.answered}))

    @property
    def is_whole(self) -> bool:
        """Whether one segment holds all streams, so that its frames can be spoken one by one."""
        return all(place.answered for place in self.places) and len(self.segments) == 1

    def join(self, answered: Mapping[int, Codes], values: Values) -> Codes:
        """Return the codes, cut to the whole frames that all streams have.

        Args:
            answered: the codes of the answer's segments, by number.
            values: the values of the prompt.
        """
        streams = []
        for place in self.places:
            codes = answered[place.field] if place.answered else values[self.task.inputs[place.field].name]
            assert isinstance(codes, Codes)
            streams.append(codes.streams[place.stream])
        per_frame = self.layout.per_frame
        frames = min(len(x) // n for x, n in zip(streams, per_frame, strict=True))
        return Codes(tuple(x[: frames * n] for x, n in zip(streams, per_frame, strict=True)))


@dataclass(frozen=True, slots=True)
class AnswerPiece:
    """A piece of an answer. The pieces of a field, in order, are the whole field.

    Args:
        field: name of the output field that it continues, such as ``"target.text"``.
        kind: kind of that field.
        text: new whole characters; ``""`` for audio.
        audio: new audio; None for text, and if no audio is complete. Streams of several fields are spoken in the last
            of them.
        last: whether the field has ended.
        cut: whether its limit ended the field, instead of the model.
    """

    field: str
    kind: SegmentKind
    text: str
    audio: Audio | None
    last: bool
    cut: bool = False


def find_delays(method: DecodingMethod, spoken: Spoken | None, vocoder: Part | None) -> Iterator[str]:
    """Yield why pieces of an answer do not come while the LM writes, as sentences for the user.

    Args:
        method: the decoding method.
        spoken: the codes that the vocoder speaks; None: none.
        vocoder: the vocoder, if there is one.
    """
    if not isinstance(method, Picks):
        yield (
            f"the decoding method {type(method).__name__} chooses among whole answers, so text and audio come at the "
            "end: expected a method that only picks ids, such as greedy or sample"
        )
    elif spoken is None or vocoder is None:
        return
    elif "stream" not in vocoder.tags:
        yield f"the vocoder {vocoder.name!r} lacks the tag stream, so audio comes when its field ends"
    elif not spoken.is_whole:
        yield "the codes of the speech are in several fields, so audio comes when the last of them ends"
    elif spoken.layout.delays_frames:
        yield "the pattern finishes its first frame only in the last stream, so audio starts late"


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
        return self._speak(_concatenate(self._codes)) if self._codes else None


def speak_pieces(
    pieces: Iterable[Piece],
    task: Task,
    values: Values,
    spoken: Spoken | None,
    tokenizer: TextTokenizer,
    open_session: Callable[[], SpeechSession],
) -> Iterator[AnswerPiece]:
    """Yield the text and the audio of one answer's pieces, in the order of its segments.

    Args:
        pieces: the pieces of one answer.
        task: the task that is answered.
        values: the values of the prompt.
        spoken: the codes that the vocoder speaks; None: none.
        tokenizer: decodes the text.
        open_session: begins the speech.
    """
    text, speech = TextPieces(tokenizer), _Speech(spoken, values, open_session)
    for piece in pieces:
        written, audio = "", None
        if piece.kind == "text":
            written = text.push(piece.ids)
            if piece.last:
                written, text = written + text.finish(), TextPieces(tokenizer)
        else:
            audio = speech.push(piece)
        if written or audio is not None or piece.last:
            yield AnswerPiece(task.outputs[piece.segment].name, piece.kind, written, audio, piece.last, piece.cut)


class _Speech:
    """Turns the audio pieces of one answer into audio: at once where one segment is spoken whole, else at the end."""

    def __init__(self, spoken: Spoken | None, values: Values, open_session: Callable[[], SpeechSession]) -> None:
        self._spoken, self._values, self._open = spoken, values, open_session
        self._session: SpeechSession | None = None
        self._codes: dict[int, list[Codes]] = {}

    def push(self, piece: Piece) -> Audio | None:
        """Take a piece, and return the audio that is complete with it."""
        if self._spoken is None or piece.segment not in self._spoken.segments:
            return None
        codes, is_end = piece.codes, piece.last and piece.segment == self._spoken.segments[-1]
        if not self._spoken.is_whole:
            self._codes.setdefault(piece.segment, []).extend([] if codes is None else [codes])
            codes = self._join() if is_end else None
        self._session = self._session or self._open()
        audios = [None if codes is None else self._session.push(codes), self._session.finish() if is_end else None]
        return join_audio([audio for audio in audios if audio is not None])

    def _join(self) -> Codes | None:
        assert self._spoken is not None
        if not all(self._codes.values()):
            return None
        return self._spoken.join({n: _concatenate(codes) for n, codes in self._codes.items()}, self._values)


def _concatenate(codes: list[Codes]) -> Codes:
    return Codes(tuple(map(torch.cat, zip(*(each.streams for each in codes), strict=True))))


def join_audio(audios: list[Audio]) -> Audio | None:
    """Return chunks of one recording as one; None: there are no chunks."""
    if len(audios) < 2:
        return audios[0] if audios else None
    return Audio(torch.cat([a.samples for a in audios], 1), audios[0].sample_rate_hz, audios[0].name)
