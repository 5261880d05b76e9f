"""Requests answered at once: their prompts, how long each answer may be in the LM's context, and the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from areca.errors import InvalidAudio
from areca.generation.decoding import DecodingMethod
from areca.generation.generate import Generated, generate
from areca.generation.requests import Request
from areca.lm.model import SpeechLM
from areca.run.options import Limits
from areca.tasks import Task
from areca.types import Codes

_LEAST_IDS = 16
"""Ids that each segment of an answer must have room for."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """What is the same for all requests of a call."""

    task: Task
    languages: Mapping[str, str | Codes]
    method: DecodingMethod
    limits: Limits


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests, the prompt of each, and how many ids each segment of its answer may have."""

    requests: Sequence[Request]
    prompts: Sequence[list[int]]
    rooms: Sequence[int]

    @classmethod
    def of(cls, lm: SpeechLM, instruction: Instruction, requests: Sequence[Request]) -> Batch:
        """Encode requests.

        Raises:
            InvalidAudio: one leaves no room for its answer; the message names it.
        """
        [field] = instruction.task.inputs
        prompts = [lm.prompt_ids(instruction.task, {**instruction.languages, field.path: q.value}) for q in requests]
        segments, context = len(instruction.task.answer_kinds), lm.context
        return cls(
            requests, prompts, [_room(q, len(p), segments, context) for q, p in zip(requests, prompts, strict=True)]
        )

    def answers(self, lm: SpeechLM, instruction: Instruction, seed: int) -> list[Generated]:
        """Answer together the requests that have the same limits, so that no answer is cut because of another."""
        answers: dict[int, Generated] = {}
        for room in sorted(set(self.rooms)):
            here = [i for i, other in enumerate(self.rooms) if other == room]
            some = [self.prompts[i] for i in here]
            generator = torch.Generator().manual_seed(seed + here[0])
            limits = _within(instruction.limits, room, sum(lm.writes.per_frame))
            found = generate(lm, some, instruction.task.answer_kinds, instruction.method, limits, generator=generator)
            answers |= zip(here, found, strict=True)
        return [answers[i] for i in range(len(self.prompts))]


def _room(request: Request, length: int, segments: int, context: int) -> int:
    """Return how many ids each segment of the answer may have, where the prompt has `length`: a power of two."""
    left = context - length - 2 * segments
    if left >= _LEAST_IDS * segments:
        return int(2 ** ((left // segments).bit_length() - 1))  # so that most requests have the same
    fits = (context - (_LEAST_IDS + 2) * segments) / length
    what = "text" if request.seconds is None else f"recording of {request.seconds:.1f} s"
    most = f"{fits:.0%} of it" if request.seconds is None else f"{fits * request.seconds:.1f} s"
    raise InvalidAudio(
        f"{request.name}: a {what} is {length} tokens, and the model's context of {context} has to hold "
        f"the answer too: cut it into pieces of at most {most}"
    )


def _within(limits: Limits, room: int, per_frame: int) -> Limits:
    return replace(
        limits,
        max_text_ids=min(limits.max_text_ids, room),
        max_audio_frames=min(limits.max_audio_frames, max(1, room // per_frame)),
    )
