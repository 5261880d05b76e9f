"""Batches of requests: prompts, the room for each answer in the LM's context, and the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from areca.errors import InvalidAudio
from areca.generation.decoding import DecodingMethod
from areca.generation.generate import Generated, generate
from areca.generation.requests import Request
from areca.generation.streaming import Piece, stream
from areca.lm.model import SpeechLM
from areca.lm.patterns import CodeLayout
from areca.lm.steps import Steps
from areca.run.options import Limits
from areca.tasks import Task
from areca.types import Codes

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
    """

    requests: Sequence[Request]
    prompts: Sequence[Steps]
    rooms: Sequence[int]

    @classmethod
    def of(cls, lm: SpeechLM, instruction: Instruction, requests: Sequence[Request]) -> Batch:
        """Encode requests.

        Raises:
            InvalidAudio: a request leaves no room for its answer; the message names it.
        """
        [field] = instruction.task.inputs
        prompts = [lm.prompt(instruction.task, {**instruction.languages, field.path: q.value}) for q in requests]
        segments, context = len(instruction.task.answer_kinds), lm.context
        return cls(
            requests,
            prompts,
            [_answer_room(q, len(p), segments, context) for q, p in zip(requests, prompts, strict=True)],
        )

    def answers(self, lm: SpeechLM, instruction: Instruction, seed: int) -> list[Generated]:
        """Answer the requests, in their order.

        Only requests with the same room are answered together, so that no answer is cut because of another.
        """
        answers: dict[int, Generated] = {}
        for members, prompts, limits, generator in self._groups(lm, instruction, seed):
            kinds, method = instruction.task.answer_kinds, instruction.method
            generated = generate(lm, prompts, kinds, method, limits, generator=generator)
            answers |= zip(members, generated, strict=True)
        return [answers[i] for i in range(len(self.prompts))]

    def stream(self, lm: SpeechLM, instruction: Instruction, seed: int) -> Iterator[Piece]:
        """Answer the requests, and yield the pieces of the answers that `answers` returns.

        Requests with different rooms are answered one group after the other.
        """
        for members, prompts, limits, generator in self._groups(lm, instruction, seed):
            kinds, method = instruction.task.answer_kinds, instruction.method
            for piece in stream(lm, prompts, kinds, method, limits, generator=generator):
                yield replace(piece, request=members[piece.request])

    def _groups(
        self, lm: SpeechLM, instruction: Instruction, seed: int
    ) -> Iterator[tuple[list[int], list[Steps], Limits, torch.Generator]]:
        """Yield the requests that are answered together: their numbers, prompts and limits, and the randomness."""
        for room in sorted(set(self.rooms)):
            members = [i for i, other in enumerate(self.rooms) if other == room]
            generator = torch.Generator().manual_seed(seed + members[0])
            limits = _shorten_limits(instruction.limits, room, lm.writes)
            yield members, [self.prompts[i] for i in members], limits, generator


def _answer_room(request: Request, length: int, segments: int, context: int) -> int:
    """Return how many steps each segment of the answer may have, a power of two; the prompt has `length` steps."""
    left = context - length - 2 * segments
    if left >= _LEAST_IDS * segments:
        return int(2 ** ((left // segments).bit_length() - 1))  # so that most requests have the same room
    fits = (context - (_LEAST_IDS + 2) * segments) / length
    what = "text" if request.seconds is None else f"recording of {request.seconds:.1f} s"
    most = f"{fits:.0%} of it" if request.seconds is None else f"{fits * request.seconds:.1f} s"
    raise InvalidAudio(
        f"{request.name}: a {what} is {length} tokens, and the model's context of {context} has to hold "
        f"the answer too: cut it into pieces of at most {most}"
    )


def _shorten_limits(limits: Limits, room: int, layout: CodeLayout) -> Limits:
    return replace(
        limits,
        max_text_ids=min(limits.max_text_ids, room),
        max_audio_frames=min(limits.max_audio_frames, layout.frames_within(room)),
    )
