"""Conformance checks of tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from areca.specs import TaskSpec
from areca.tasks import Field, Segment, Task, TextSegment, VectorSegment, chain
from areca.testing.checked import CheckedComponent
from areca.types import Codes

_LANGUAGES = {"source.language": "fr", "target.language": "en"}


def check_spec_matches(checked: CheckedComponent) -> None:
    """The spec's inputs and outputs are the task's fields, with their roles, streams and crops."""
    spec, task = checked.part.spec, _task(checked)
    assert isinstance(spec, TaskSpec)
    fields = TaskSpec(task.inputs, task.outputs)
    same = (spec.input_fields, spec.output_fields) == (fields.input_fields, fields.output_fields)
    assert same, f"the spec says {spec}, the task has {fields}; path, role, streams and crop_s must be equal"


def check_prompt_needs_no_target(checked: CheckedComponent) -> None:
    """The prompt needs only the inputs and languages: it starts with the tag, and each input follows.

    A task whose header is empty has a prompt of only its inputs.
    """
    task = _task(checked)
    values = {**_values(task.inputs), **_LANGUAGES}
    prompt = task.prompt(values)
    if task.header(values):
        first = prompt[0].text if prompt and isinstance(prompt[0], TextSegment) else None
        assert first is not None, f"the prompt starts with {prompt[:1]!r}, expected text"
        assert task.tag in first, f"the prompt starts with {first!r}, expected the tag {task.tag!r}"
        prompt = prompt[1:]
    segments, expected = [_describe(s) for s in prompt], [_describe_field(f) for f in task.inputs]
    assert segments == expected, f"the prompt holds {segments}, the inputs are {expected}"


def check_parse_inverts_target(checked: CheckedComponent) -> None:
    """Parsing the target returns the values of the output fields."""
    task = _task(checked)
    values = _values(task.inputs) | _values(task.outputs) | _LANGUAGES
    target = task.target(values)
    segments, expected = [_describe(s) for s in target], [_describe_field(f) for f in task.outputs]
    assert segments == expected, f"the target holds {segments}, the outputs are {expected}"
    parsed = task.parse(target)
    wanted = {f.name: values[f.name] for f in task.outputs}
    assert parsed == wanted, f"parsing the target gave {parsed}, expected {wanted}"


def check_chains(checked: CheckedComponent) -> None:
    """A chain of only this task has the same prompt and target as the task."""
    task = _task(checked)
    chained = chain([task])
    values = _values(task.inputs) | _values(task.outputs) | _LANGUAGES
    assert chained.prompt(values) == task.prompt(values), "in a chain of one task, it has a different prompt"
    assert chained.target(values) == task.target(values), "in a chain of one task, it has a different target"


def _task(checked: CheckedComponent) -> Task:
    task = checked.instance
    assert isinstance(task, Task), f"load returned {type(task).__name__}, expected an areca.tasks.Task"
    return task


def _values(fields: Sequence[Field]) -> dict[str, str | Codes]:
    audio = {f.name: Codes((torch.arange(4) + 4 * i,)) for i, f in enumerate(fields) if f.kind == "audio"}
    return audio | {f.name: f"{f.name} as text" for f in fields if f.kind == "text"}


def _describe(segment: Segment) -> str:
    """Return the kind of a segment, and the role and streams of its audio."""
    if isinstance(segment, TextSegment):
        return "text"
    if isinstance(segment, VectorSegment):
        return "audio"
    return _describe_field(Field("source.audio", segment.role, segment.streams))


def _describe_field(field: Field) -> str:
    return "text" if field.kind == "text" else f"audio{field.name.removeprefix(field.path)}"
