"""Check that the LM's text tokenizer can represent the headers and texts of a run: the LM cannot learn lost letters."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence

from areca.errors import IncompatibleParts, TextLost, quote
from areca.lm.text import TextTokenizer
from areca.manifest import Utterance
from areca.tasks import Task, values_of

_BLOCK = 4096


def check_headers(tokenizer: TextTokenizer, headers: Mapping[str, str]) -> None:
    """Reject headers that the tokenizer cannot represent or cannot distinguish.

    Args:
        tokenizer: the tokenizer of the text LM.
        headers: the name of the task for each header, like ``{"[ASR French]": "asr"}``.

    Raises:
        IncompatibleParts: encoding changes a header, or two headers have the same ids.
    """
    advice = "choose a backbone whose text tokenizer can represent it, or give the task another `tag` or `format`"
    for header, decoded in tokenizer.find_misspelled(headers).items():
        raise IncompatibleParts(
            f"task {headers[header]}: the text tokenizer of the backbone changes its header {quote(header)} to "
            f"{quote(decoded)}: {advice}"
        )
    seen: dict[tuple[int, ...], str] = {}
    for header in headers:
        other = seen.setdefault(tuple(tokenizer.encode(header)), header)
        if other != header:
            raise IncompatibleParts(
                f"tasks {headers[other]} and {headers[header]}: the text tokenizer of the backbone gives their headers "
                f"{quote(other)} and {quote(header)} the same ids: {advice}"
            )


def warn_about_rows(tokenizer: TextTokenizer, name: str, task: Task, rows: Sequence[Utterance]) -> int:
    """Count the rows of a task whose text the tokenizer cannot represent; if there are any, issue one `TextLost`.

    Args:
        tokenizer: the tokenizer of the text LM.
        name: name of the task in the run.
        task: the task, whose text fields are checked.
        rows: rows that have all fields of the task.
    """
    paths = [field.path for field in (*task.inputs, *task.outputs) if field.kind == "text"]
    lost, example = 0, ""
    for start in range(0, len(rows) if paths else 0, _BLOCK):
        texts = [(row.id, _texts(row, paths)) for row in rows[start : start + _BLOCK]]
        decoded = tokenizer.find_misspelled(text for _, row_texts in texts for text in row_texts)
        for row_id, row_texts in texts if decoded else ():
            wrong = next((text for text in row_texts if text in decoded), None)
            lost += wrong is not None
            if wrong is not None and not example:
                example = f"row {quote(row_id)}: {_describe_change(wrong, decoded[wrong])}"
    if lost:
        warnings.warn(
            f"task {name}: the text tokenizer of the backbone cannot represent the text of {lost} of {len(rows)} rows, "
            f"for example {example}. The LM cannot learn the lost letters: choose a backbone whose text tokenizer can "
            "represent them, or remove these rows",
            TextLost,
            stacklevel=2,
        )
    return lost


def warn_about_texts(tokenizer: TextTokenizer, texts: Iterable[str]) -> None:
    """Issue one `TextLost` warning if the tokenizer cannot represent a text: the LM then reads a different text."""
    if changed := tokenizer.find_misspelled(texts):
        text, decoded = next(iter(changed.items()))
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        warnings.warn(
            "the text tokenizer of the checkpoint cannot represent the input: "
            f"{_describe_change(text, decoded)}{more}; reword it, or use a checkpoint whose text tokenizer can "
            "represent it",
            TextLost,
            stacklevel=3,
        )


def _texts(row: Utterance, paths: Sequence[str]) -> list[str]:
    values = values_of(row, {})
    return [str(values[path]) for path in paths]


def _describe_change(text: str, decoded: str) -> str:
    return f"{quote(text)} becomes {quote(decoded)}"
