"""Generate the codes of utterances: coarse ones in windows, then fine ones in chunks.

An utterance's codes do not depend on the batch: each window and chunk has its own generator, seeded alike in all
utterances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from areca.batching import bucket
from areca.fitting.codec_vocoder.voices import Prompt
from areca.fitting.codec_vocoder.windows import Track
from areca.fitting.loop import generator_for
from areca.generation.answers import Cursor, Rules
from areca.generation.decoding import Growing, draw, grow_begun
from areca.lm.model import SpeechLM
from areca.run.options import Limits
from areca.tasks import AudioSegment
from areca.types import Codes
from areca_audiolm.stages import Stage

_LIMITS = Limits()  # they do not apply: every answer has an exact length


@dataclass(frozen=True, slots=True)
class Request:
    """Codes to generate.

    Args:
        given: what the stage reads.
        begun: the codes of the first frames, int64 ``[P, C]`` for C streams of the stage's output; P may be 0.
        frames: number of frames, those that are begun included; more than P.
        generator: of all sampling.
    """

    given: Codes
    begun: torch.Tensor
    frames: int
    generator: torch.Generator


@torch.inference_mode()
def generate(stage: Stage, lm: SpeechLM, requests: Sequence[Request], batch: int) -> list[torch.Tensor]:
    """Return the codes behind those that are begun, int64 ``[frames - P, C]``.

    Args:
        stage: the stage.
        lm: its LM, in evaluation mode.
        requests: what to generate.
        batch: maximum number of frames in a batch, padding included.
    """
    found: dict[int, torch.Tensor] = {}
    for members in bucket([request.frames for request in requests], batch):
        chosen = members.tolist()
        growing = [_begin(stage, lm, requests[i]) for i in chosen]
        prompts = [lm.prompt(stage.task, {stage.input.name: requests[i].given}) for i in chosen]
        *_, cursors = grow_begun(growing, prompts, _Sampler(stage.temperature))
        for i, cursor in zip(chosen, cursors, strict=True):
            [segment] = cursor.segments()
            assert isinstance(segment, AudioSegment)
            found[i] = torch.stack(segment.codes.streams, dim=1)[len(requests[i].begun) :]
    return [found[i] for i in range(len(requests))]


def _begin(stage: Stage, lm: SpeechLM, request: Request) -> Growing:
    """Return an answer that holds the codes that are begun."""
    cursor = Cursor(Rules.of(lm, stage.task.outputs, _LIMITS, {stage.output.name: request.frames}))
    cursor.push_forced()
    if len(request.begun):
        layout = lm.layout.of(str(stage.output.role), stage.output.streams)
        for i in layout.encode(Codes(tuple(request.begun.T))):  # in the pattern `flatten`, frame after frame
            cursor.push(i)
    return Growing(cursor, request.generator)


@dataclass(frozen=True, slots=True)
class _Sampler:
    """Draws ids.

    Args:
        temperature: divisor of the logits.
    """

    temperature: float

    def __call__(self, logits: torch.Tensor, growing: Sequence[Growing]) -> list[int]:
        probabilities = (logits.float().cpu() / self.temperature).softmax(-1)
        return [draw(row, one.generator) for row, one in zip(probabilities, growing, strict=True)]


class CoarseTrack:
    """An utterance whose coarse codes are generated window after window.

    Args:
        prompt: the voice.
        coarse: number of coarse levels.
        units: the units to speak, int64 ``[U]``, on the CPU.
        owners: the number of the unit of each codec frame, int64 ``[F]``.
        seed: of all sampling.
        repeats: codec frames in a base frame.
        has_durations: whether units are deduplicated.
    """

    def __init__(
        self,
        prompt: Prompt,
        coarse: int,
        units: torch.Tensor,
        owners: torch.Tensor,
        *,
        seed: int,
        repeats: int,
        has_durations: bool,
    ) -> None:
        first, voiced = _own_frames(prompt.condition.cpu(), repeats, has_durations)
        self._units = torch.cat((first, units))
        self._track = Track(Prompt(voiced, prompt.codes[:coarse]), owners + len(first), seed)

    @property
    def is_finished(self) -> bool:
        """Whether all frames have coarse codes."""
        return self._track.is_finished

    @property
    def codes(self) -> torch.Tensor:
        """The coarse codes without the prompt's, int64 ``[F, C]``."""
        return self._track.codes.T

    def next(self, window: int, overlap: int) -> Request:
        """Return the request of the next window; arguments are those of `Track.window`."""
        owners, begun = self._track.window(window, overlap)
        units = self._units[torch.unique_consecutive(owners)]
        return Request(Codes((units,)), begun, len(owners), self._track.generator)

    def append(self, codes: torch.Tensor) -> None:
        """Append the codes of a window, int64 ``[T, C]``."""
        self._track.append(codes)


def _own_frames(condition: torch.Tensor, repeats: int, has_durations: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return units ``[U]`` and the number of the unit of each frame ``[F]``, for the unit of each frame ``[F]``."""
    base = condition[::repeats]
    if not has_durations:
        return base, torch.arange(len(base)).repeat_interleave(repeats)
    units, owners = torch.unique_consecutive(base, return_inverse=True)
    return units, owners.repeat_interleave(repeats)


def generate_coarse(stage: Stage, lm: SpeechLM, utterances: Sequence[CoarseTrack], *, overlap: int, batch: int) -> None:
    """Generate the coarse codes of utterances to their ends. The time is linear in their duration.

    Args:
        stage: the coarse stage; a window has as many frames as its examples.
        lm: its LM.
        utterances: changed in place.
        overlap: frames of a window's end that the next window continues.
        batch: as for `generate`.
    """
    while pending := [one for one in utterances if not one.is_finished]:
        requests = [one.next(stage.frames, overlap) for one in pending]
        for one, codes in zip(pending, generate(stage, lm, requests, batch), strict=True):
            one.append(codes)


def generate_fine(
    stage: Stage, lm: SpeechLM, coarse: Sequence[torch.Tensor], *, seed: int, batch: int
) -> list[torch.Tensor]:
    """Return the fine codes, int64 ``[F, D]``, of coarse codes ``[F, C]``, in chunks that do not overlap.

    Args:
        stage: the fine stage; a chunk has as many frames as its examples.
        lm: its LM.
        coarse: the coarse codes of each utterance.
        seed: of all sampling.
        batch: as for `generate`.
    """
    chunks = [torch.split(codes, stage.frames) for codes in coarse]
    nothing = torch.empty(0, 0, dtype=torch.int64)
    requests = [
        Request(Codes(tuple(chunk.T)), nothing, len(chunk), generator_for(seed, "fine", number))
        for of_utterance in chunks
        for number, chunk in enumerate(of_utterance)
    ]
    found = iter(generate(stage, lm, requests, batch))
    return [torch.cat([next(found) for _ in of_utterance]) for of_utterance in chunks]
