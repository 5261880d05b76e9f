"""Whether the LM's text tokenizer can spell what a run's tasks say: what it cannot is neither read nor learnt."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence

from areca.errors import IncompatibleParts, TextLost, quote
from areca.lm.text import TextTokenizer
from areca.manifest import Utterance
from areca.tasks import Task, values_of

_BLOCK = 4096


def check_headers(tokenizer: TextTokenizer, headers: Mapping[str, str]) -> None:
    """Refuse headers that the tokenizer cannot spell or does not tell apart.

    Args:
        tokenizer: of the text LM.
        headers: as ``"[ASR French]"``, each with the name of the task that it is of.

    Raises:
        IncompatibleParts: a header loses letters, or becomes the same ids as another one.
    """
    advice = "choose a backbone whose text tokenizer spells it, or give the task another `tag` or `format`"
    for header, becomes in tokenizer.misspelt(headers).items():
        raise IncompatibleParts(
            f"task {headers[header]}: the text tokenizer of the backbone turns its header {quote(header)} into "
            f"{quote(becomes)}: {advice}"
        )
    seen: dict[tuple[int, ...], str] = {}
    for header in headers:
        other = seen.setdefault(tuple(tokenizer.encode(header)), header)
        if other != header:
            raise IncompatibleParts(
                f"tasks {headers[other]} and {headers[header]}: their headers {quote(other)} and {quote(header)} are "
                f"the same to the text tokenizer of the backbone: {advice}"
            )


def warn_of_rows(tokenizer: TextTokenizer, name: str, task: Task, rows: Sequence[Utterance]) -> int:
    """Return how many of a task's rows have text that the tokenizer cannot spell; warn once if there are any.

    Args:
        tokenizer: of the text LM.
        name: what the run calls the task.
        task: whose fields count.
        rows: that have all of them.
    """
    paths = [field.path for field in (*task.inputs, *task.outputs) if field.kind == "text"]
    lost, example = 0, ""
    for start in range(0, len(rows) if paths else 0, _BLOCK):
        texts = [(row.id, _texts(row, paths)) for row in rows[start : start + _BLOCK]]
        becomes = tokenizer.misspelt(text for _, of_row in texts for text in of_row)
        for row_id, of_row in texts if becomes else ():
            wrong = next((text for text in of_row if text in becomes), None)
            lost += wrong is not None
            if wrong is not None and not example:
                example = f"row {quote(row_id)}: {_change(wrong, becomes[wrong])}"
    if lost:
        warnings.warn(
            f"task {name}: the text tokenizer of the backbone cannot spell the text of {lost} of {len(rows)} rows, as "
            f"{example}. What is lost is not learnt: choose a backbone whose text tokenizer spells it, or leave these "
            "rows out",
            TextLost,
            stacklevel=2,
        )
    return lost


def warn_of_texts(tokenizer: TextTokenizer, texts: Iterable[str]) -> None:
    """Warn once of texts that the tokenizer cannot spell: the LM is asked about something else."""
    if becomes := tokenizer.misspelt(texts):
        text, other = next(iter(becomes.items()))
        more = f" (and {len(becomes) - 1} more)" if len(becomes) > 1 else ""
        warnings.warn(
            f"the text tokenizer of the checkpoint cannot spell what it is asked: {_change(text, other)}{more}; "
            "reword it, or use a checkpoint whose text tokenizer spells it",
            TextLost,
            stacklevel=3,
        )


def _texts(row: Utterance, paths: Sequence[str]) -> list[str]:
    values = values_of(row, {})
    return [str(values[path]) for path in paths]


def _change(text: str, becomes: str) -> str:
    return f"{quote(text)} becomes {quote(becomes)}"
