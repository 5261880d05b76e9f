"""Turn the values of a task into steps: texts, codes and vectors, with the controls that enclose them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from areca.errors import InvalidCodes
from areca.lm.layout import Layout
from areca.lm.steps import Steps
from areca.lm.text import TextTokenizer
from areca.lm.vocabulary import Control
from areca.tasks import AudioSegment, Segment, Task, TextSegment, Values


@dataclass(frozen=True, slots=True)
class Encoded:
    """A training example.

    Args:
        steps: the prompt and the answer.
        prompt_length: number of steps before the answer, or 1 if the prompt is empty.
    """

    steps: Steps
    prompt_length: int

    @property
    def ids(self) -> Tensor:
        """The ids of all steps, int64 ``[N]``."""
        return self.steps.ids

    @property
    def target(self) -> Tensor:
        """The steps in the loss, bool ``[S]``: the answer with its controls."""
        return torch.arange(len(self.steps)) >= self.prompt_length


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns the values of tasks into steps.

    Args:
        text_tokenizer: the tokenizer of the text LM.
        layout: what the ids mean.
    """

    text_tokenizer: TextTokenizer
    layout: Layout

    def prompt(self, task: Task, values: Values) -> Steps:
        """Encode the prompt of a task.

        Args:
            task: the task.
            values: its inputs and languages; outputs are not needed.

        Raises:
            InvalidConfig, InvalidCodes: a value is missing or has the wrong type.
        """
        segments, reads = task.prompt(values), self.layout.reads
        coded = [segment for segment in segments if isinstance(segment, AudioSegment)]
        if self.layout.vectors is not None and any((segment.role or reads) == reads for segment in coded):
            raise InvalidCodes("expected vectors in the prompt, because the LM reads them (lm.read_as), got codes")
        return Steps.join([Steps.of([]), *self._segment_steps(segments, reads)])

    def encode(self, task: Task, values: Values, written: Values | None = None) -> Encoded:
        """Encode a training example.

        Args:
            task: the task.
            values: the inputs and languages; audio whose field names no role, as codes or vectors of the role that the
                LM reads.
            written: the outputs; audio whose field names no role, as codes of the role that the LM writes. None: they
                are in `values`.

        Raises:
            InvalidConfig, InvalidCodes: a value is missing or has the wrong type.
        """
        prompt = self.prompt(task, values)
        answer = self._segment_steps(task.target(values if written is None else written), self.layout.writes)
        if any(part.vectors is not None for part in answer):
            raise InvalidCodes("expected codes in the answer, got vectors, which an LM only reads: give `written`")
        end = Steps.of([self.layout.vocabulary.control(Control.END_SEQUENCE)])
        # Nothing predicts the first step of a sequence. If the prompt is empty, this step only begins audio.
        return Encoded(Steps.join([prompt, *answer, end]), max(1, len(prompt)))

    def _segment_steps(self, segments: Sequence[Segment], role: str) -> list[Steps]:
        """Encode segments, with the controls that end or enclose each segment.

        Args:
            segments: text and audio, in order.
            role: role of audio that names none.

        Raises:
            InvalidCodes: the codes do not belong to the layout of their role and streams, or vectors are not those that
                the LM reads.
        """
        control, parts = self.layout.vocabulary.control, list[Steps]()
        for segment in segments:
            if isinstance(segment, TextSegment):
                text = self.text_tokenizer.encode(segment.text)
                parts.append(Steps.of([*text, control(Control.END_SEGMENT)]))
            else:
                begin, end = Steps.of([control(Control.BEGIN_AUDIO)]), Steps.of([control(Control.END_AUDIO)])
                if isinstance(segment, AudioSegment):
                    body = self.layout.of(segment.role or role, segment.streams).steps(segment.codes)
                else:
                    body = self._vector_steps(segment.vectors)
                parts += [begin, body, end]
        return parts

    def _vector_steps(self, vectors: Tensor) -> Steps:
        layout = self.layout.vectors
        expected = "codes" if layout is None else f"vectors, float32 [F, {layout.size}]"
        if layout is None or vectors.ndim != 2 or vectors.shape[1] != layout.size:
            raise InvalidCodes(f"expected {expected}, got vectors of the shape {list(vectors.shape)}")
        return Steps.of_vectors(layout.join(vectors))
