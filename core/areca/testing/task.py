"""Conformance checks of tasks."""

from __future__ import annotations

from typing import Any

import torch

from areca.specs import TaskSpec
from areca.tasks import AudioSegment, Task, TextSegment, chain
from areca.testing.checked import CheckedComponent
from areca.types import Codes

_LANGUAGES = {"source.language": "fr", "target.language": "en"}


def check_spec_matches(checked: CheckedComponent) -> None:
    """The spec's inputs and outputs are the task's fields."""
    spec, task = checked.part.spec, _task(checked)
    assert isinstance(spec, TaskSpec)
    fields = tuple(f.path for f in task.inputs), tuple(f.path for f in task.outputs)
    assert (spec.inputs, spec.outputs) == fields, f"the spec says {spec}, the task has {fields}"


def check_prompt_needs_no_target(checked: CheckedComponent) -> None:
    """The prompt needs only the inputs and languages: it starts with the tag, and each input follows."""
    task = _task(checked)
    prompt = task.prompt({**_values(task.inputs), **_LANGUAGES})
    assert isinstance(prompt[0], TextSegment), f"the prompt starts with {prompt[0]!r}, expected text"
    first = prompt[0].text
    assert task.tag in first, f"the prompt starts with {first!r}, expected the tag {task.tag!r}"
    kinds = [_kind(segment) for segment in prompt[1:]]
    expected = [field.kind for field in task.inputs]
    assert kinds == expected, f"the prompt holds {kinds}, the inputs are {expected}"


def check_parse_inverts_target(checked: CheckedComponent) -> None:
    """Parsing the target returns the values of the output fields."""
    task = _task(checked)
    values = _values(task.inputs) | _values(task.outputs) | _LANGUAGES
    target = task.target(values)
    kinds = tuple(_kind(segment) for segment in target)
    assert kinds == task.answer_kinds, f"the target holds {kinds}, answer_kinds says {task.answer_kinds}"
    parsed = task.parse(target)
    expected = {f.path: values[f.path] for f in task.outputs}
    assert parsed == expected, f"parsing the target gave {parsed}, expected {expected}"


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


def _values(fields: Any) -> dict[str, str | Codes]:
    codes = Codes((torch.arange(4),))
    return {f.path: codes if f.kind == "audio" else f"{f.path} as text" for f in fields}


def _kind(segment: Any) -> str:
    return "audio" if isinstance(segment, AudioSegment) else "text"
