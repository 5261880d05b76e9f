"""Batches of requests: prompts, the room for each answer in the LM's context, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from areca.errors import InvalidAudio, InvalidConfig, quote
from areca.generation.decoding import DecodingMethod
from areca.generation.generate import Generated, generate
from areca.generation.requests import Request
from areca.generation.streaming import Piece, stream
from areca.lm.model import SpeechLM
from areca.lm.steps import Steps
from areca.run.options import Limits
from areca.tasks import Task
from areca.types import Codes

_T = TypeVar("_T")
_LEAST_IDS = 16
"""Minimum number of ids for which each segment of an answer must have room."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """What all requests of a call have in common.

    Args:
        task: the task.
        languages: language codes by field, such as ``{"source.language": "fr"}``.
        method: the decoding method.
        limits: limits on the segments of answers.
    """

    task: Task
    languages: Mapping[str, str | Codes]
    method: DecodingMethod
    limits: Limits


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests with their prompts.

    Args:
        requests: the requests.
        prompts: each request's prompt.
        rooms: maximum number of steps in each segment of a request's answer, so that the answer fits into the context.
        frames: exact number of frames of audio segments, by the name of their field.
    """

    requests: Sequence[Request]
    prompts: Sequence[Steps]
    rooms: Sequence[int]
    frames: Sequence[Mapping[str, int]]

    @classmethod
    def of(cls, lm: SpeechLM, instruction: Instruction, requests: Sequence[Request]) -> Batch:
        """Encode requests.

        Raises:
            InvalidAudio: a request leaves no room for its answer; the message names it.
            InvalidConfig: the limits name an input that the task does not have, or a length that is not known.
        """
        task = instruction.task
        prompts = [lm.prompt(task, {**instruction.languages, **q.values}) for q in requests]
        frames = [_exact_frames(lm, instruction, q) for q in requests]
        rooms = [
            _answer_room(lm, task, q, len(p), exact) for q, p, exact in zip(requests, prompts, frames, strict=True)
        ]
        return cls(requests, prompts, rooms, frames)

    def answers(self, lm: SpeechLM, instruction: Instruction, seed: int) -> list[Generated]:
        """Answer the requests, in their order.

        Only requests with the same room and the same exact lengths are answered together, so that no answer is cut
        because of another.
        """
        answers: dict[int, Generated] = {}
        for members in self._groups():
            answers |= zip(members, self._call(generate, lm, instruction, members, seed), strict=True)
        return [answers[i] for i in range(len(self.prompts))]

    def stream(self, lm: SpeechLM, instruction: Instruction, seed: int) -> Iterator[Piece]:
        """Answer the requests, and yield the pieces of the answers that `answers` returns.

        Requests that are not answered together are answered one group after the other.
        """
        for members in self._groups():
            for piece in self._call(stream, lm, instruction, members, seed):
                yield replace(piece, request=members[piece.request])

    def _groups(self) -> list[list[int]]:
        """Return the numbers of the requests that are answered together."""
        keys = [(room, *sorted(exact.items())) for room, exact in zip(self.rooms, self.frames, strict=True)]
        return [[i for i, other in enumerate(keys) if other == key] for key in sorted(set(keys))]

    def _call(
        self, answer: Callable[..., _T], lm: SpeechLM, instruction: Instruction, members: Sequence[int], seed: int
    ) -> _T:
        """Call `generate` or `stream` with one group of requests."""
        return answer(
            lm,
            [self.prompts[i] for i in members],
            instruction.task.outputs,
            instruction.method,
            instruction.limits,
            frames=self.frames[members[0]],
            most_steps=self.rooms[members[0]],
            generator=torch.Generator().manual_seed(seed + members[0]),
        )


def _exact_frames(lm: SpeechLM, instruction: Instruction, request: Request) -> dict[str, int]:
    """Return the exact number of frames of each audio segment, by the name of its field; empty: the LM decides."""
    like = instruction.limits.frames_like
    if like is None:
        return {}
    if like not in request.lengths_s:
        known = ", ".join(request.lengths_s) or "none"
        raise InvalidConfig(
            f"frames_like: expected an audio input of task {instruction.task.tag} whose length is known, got "
            f"{quote(like)}; known: {known}"
        )
    frames = {}
    for field in instruction.task.outputs:
        if field.kind == "audio":
            layout = lm.layout.of(field.role or lm.layout.writes, field.streams)
            if layout.frame_rate_hz is None:
                raise InvalidConfig(
                    f"frames_like: {field.name} has a variable rate, so it has no exact length in frames"
                )
            frames[field.name] = max(1, round(request.lengths_s[like] * layout.frame_rate_hz))
    return frames


def _answer_room(lm: SpeechLM, task: Task, request: Request, length: int, exact: Mapping[str, int]) -> int:
    """Return how many steps each segment of the answer may have, a power of two; the prompt has `length` steps.

    Segments of an exact length in `exact` take what they need.
    """
    context, segments, taken = lm.context, len(task.outputs), 0
    for field in task.outputs:
        if field.name in exact:
            layout = lm.layout.of(field.role or lm.layout.writes, field.streams)
            taken += len(layout.widths(exact[field.name]))
    left, open_segments = context - length - 2 * segments - taken, segments - len(exact)
    if left >= _LEAST_IDS * open_segments:
        return int(2 ** ((left // max(1, open_segments)).bit_length() - 1)) if left else 1  # so that most have the same
    fits = max(0.0, (context - (_LEAST_IDS + 2) * segments) / (length + taken))
    what = "text" if request.seconds is None else f"recording of {request.seconds:.1f} s"
    most = f"{fits:.0%} of it" if request.seconds is None else f"{fits * request.seconds:.1f} s"
    raise InvalidAudio(
        f"{request.name}: a {what} is {length + taken} tokens, and the model's context of {context} has to hold "
        f"the answer too: cut it into pieces of at most {most}"
    )
