"""Training examples as ids in one memory-mapped Arrow file: each example is encoded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from areca.errors import InvalidCodes, InvalidConfig, InvalidManifest
from areca.files.writing import replace_file
from areca.job import Progress, no_progress
from areca.languages import language_code
from areca.lm.adapter import VectorLayout
from areca.lm.spelling import check_headers, warn_about_rows
from areca.lm.steps import NO_ID, Steps
from areca.manifest import Manifest, Utterance
from areca.tasks import values_of
from areca.training.task_rows import TaskRows

if TYPE_CHECKING:
    from areca.lm.encoding import Encoded
    from areca.lm.model import SpeechLM

_SCHEMA = pa.schema(
    [
        ("task", pa.int32()),
        ("row", pa.string()),
        ("ids", pa.list_(pa.int32())),
        ("widths", pa.list_(pa.uint8())),  # null: each step has one id
        ("slots", pa.list_(pa.uint8())),
        ("length", pa.int32()),
        ("prompt_length", pa.int32()),
    ]
)
"""Flat ids, with the widths of their steps and their slots. Lengths count steps."""
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Numbers of a task's rows that are left out or lose text.

    Args:
        too_long: rows that are left out because they are too long.
        text_lost: rows with letters that the LM's text tokenizer cannot represent. They are kept without these letters.
    """

    too_long: int
    text_lost: int


class Examples:
    """The examples of every task, one task after the other.

    The file holds ids. Vectors would fill it with a copy for each task, so they are read from the tasks' tables.

    Args:
        path: an Arrow file that `write_examples` wrote.
        tasks: number of its tasks.
        vectors: how vectors become steps; None: the LM reads codes.
        sources: the tasks, whose tables hold the vectors; empty if the LM reads codes.

    Attributes:
        lengths: int64 ``[N]``, number of steps of each example.
        tasks: int64 ``[N]``, the number of each example's task.
        sizes: number of examples of each task.
    """

    def __init__(
        self, path: Path, tasks: int, vectors: VectorLayout | None = None, sources: Sequence[TaskRows] = ()
    ) -> None:
        self._vectors, self._sources = vectors, sources
        self._table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        self._prompts = self._table["prompt_length"].to_numpy()
        self.lengths: NDArray[np.int64] = self._table["length"].to_numpy().astype(np.int64)
        self.tasks: NDArray[np.int64] = self._table["task"].to_numpy().astype(np.int64)
        self.sizes = tuple(np.bincount(self.tasks, minlength=tasks).tolist())

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, i: int) -> tuple[Steps, int]:
        """Return an example, and the number of steps of its prompt."""
        ids, widths = (self._read(name, i) for name in ("ids", "widths"))
        assert ids is not None, "every example has ids"
        slots = self._read("slots", i)
        if widths is None or slots is None:
            return Steps.of(ids), int(self._prompts[i])
        vectors = None if bool(widths.all()) else self._read_vectors(i)
        return Steps(ids, widths, slots, vectors), int(self._prompts[i])

    @property
    def vector_width(self) -> int:
        """Dimensions of the vector of a step; 0: no step is a vector."""
        return 0 if self._vectors is None else self._vectors.width

    def _read_vectors(self, i: int) -> torch.Tensor:
        assert self._vectors is not None, "the LM that wrote the file reads vectors"
        found = self._sources[self.tasks[i]].find_vectors(self._table["row"][i].as_py())
        return torch.cat([self._vectors.join(vectors) for vectors in found])

    def _read(self, name: str, i: int) -> torch.Tensor | None:
        values = self._table[name][i].values
        return None if values is None else torch.from_numpy(values.to_numpy().astype(np.int64))


def write_examples(
    path: Path,
    lm: SpeechLM,
    manifest: Manifest,
    tasks: Sequence[TaskRows],
    *,
    longest: int,
    progress: Progress = no_progress,
    check_text: bool = True,
) -> list[LeftOut]:
    """Encode each row for each task whose fields it has. The file is written atomically.

    Args:
        path: the file to write.
        lm: encodes tasks as ids.
        manifest: the rows.
        tasks: the tasks, in the order of their examples in the file.
        longest: examples with more steps are left out.
        progress: receives the number of encoded examples of all tasks.
        check_text: whether to count rows whose text the text tokenizer cannot represent, and to warn of them.

    Returns:
        the counts of each task.

    Raises:
        InvalidManifest: no row has the fields that a task needs.
        InvalidConfig: a task cannot name a row's language; the message names the file and the row.
        InvalidCodes: a row's codes are not those of the LM's streams; the message names the row.
        IncompatibleParts: the text tokenizer cannot represent a task's header, or gives two headers the same ids.
    """
    # Select the rows of each task, and check the headers of their prompts.
    left_out = []
    rows_of = [_select_rows(manifest, task) for task in tasks]
    total, before = sum(map(len, rows_of)), 0
    headers: dict[str, str] = {}
    for task, rows in zip(tasks, rows_of, strict=True):
        headers = {**_collect_headers(manifest, task, rows), **headers}
    check_headers(lm.text_tokenizer, dict(sorted(headers.items())))
    # Encode the rows, and write them in blocks.
    with replace_file(path) as draft, pa.OSFile(str(draft), "wb") as file, pa.ipc.new_file(file, _SCHEMA) as writer:
        for number, (task, rows) in enumerate(zip(tasks, rows_of, strict=True)):
            lost = warn_about_rows(lm.text_tokenizer, task.name, task.task, rows) if check_text else 0
            kept, block = 0, []
            for done, row in enumerate(rows, start=1):
                encoded = task.encode(lm, row)
                _check_vectors(lm, task, row, encoded.steps.vectors)
                if len(encoded.steps) <= longest:
                    block.append({"task": number, "row": row.id, **_to_columns(encoded)})
                    kept += 1
                if len(block) == _BLOCK or done == len(rows):
                    writer.write_table(pa.Table.from_pylist(block, schema=_SCHEMA))
                    block = []
                    progress(before + done, total, f"examples of {task.name}")
            before += len(rows)
            if not kept:
                raise InvalidManifest(f"task {task.name}: all {len(rows)} examples are longer than {longest} steps")
            left_out.append(LeftOut(too_long=len(rows) - kept, text_lost=lost))
    return left_out


def _check_vectors(lm: SpeechLM, task: TaskRows, row: Utterance, vectors: torch.Tensor | None) -> None:
    """Check that `Examples` will find the vectors of an example in the tables."""
    layout = lm.layout.vectors
    if vectors is not None and layout is not None:
        found = [layout.join(x) for x in task.find_vectors(row.id)]
        if not found or not torch.equal(torch.cat(found), vectors):
            raise InvalidCodes(
                f"task {task.name}, row {row.id!r}: expected a prompt with the vectors of its inputs, each once and in "
                "the order of the inputs, got others: set lm.read_as: units, or change the task's prompt"
            )


def _to_columns(encoded: Encoded) -> dict[str, Any]:
    steps, columns = encoded.steps, {"length": len(encoded.steps), "prompt_length": encoded.prompt_length}
    if len(steps.ids) != len(steps) or steps.slots.any():
        columns |= {name: getattr(steps, name).numpy().astype(np.uint8) for name in ("widths", "slots")}
    return {**columns, "ids": steps.ids.numpy().astype(np.int32)}


def _select_rows(manifest: Manifest, task: TaskRows) -> list[Utterance]:
    missing = {row.id: task.task.fields_missing(row) for row in manifest.rows}
    if rows := [row for row in manifest.rows if not missing[row.id]]:
        return rows
    row = manifest.rows[0]
    raise InvalidManifest(
        f"task {task.name}: no row of {manifest.name} has all its fields; "
        f"row {row.id!r} lacks {', '.join(missing[row.id])}"
    )


def _collect_headers(manifest: Manifest, task: TaskRows, rows: Sequence[Utterance]) -> dict[str, str]:
    """Return the headers of a task's prompts, each with the task's name."""
    # Manifests may hold any language, because tokenizers can be trained on any speech. Prompts need its name.
    headers: dict[str, str] = {}
    languages = set[str]()
    for row in rows:
        values = values_of(row, {})
        try:
            headers |= {header: task.name} if (header := task.task.header(values)) else {}
        except InvalidConfig as e:
            raise InvalidConfig(f"{manifest.name}: row {row.id!r}, task {task.name}: {e}") from e
        languages |= {str(values[f"{side}.language"]) for side in task.task.languages}
    for language in sorted(languages):
        language_code(language)  # warns of a code that is better known as a country's
    return headers


def select_share(batch: Mapping[str, torch.Tensor], rank: int, count: int) -> dict[str, torch.Tensor]:
    """Return the rows of a batch that one of several processes computes: ``rank``, ``rank + count``, ...

    Every process gets the same number of rows, because all take part in every exchange. Where the batch has too few,
    a process gets a copy of the first row without targets.

    Args:
        batch: as `collate` returns it.
        rank: number of the process.
        count: number of processes.
    """
    missing = -len(batch["ids"]) % count
    filler = {name: x[:1].expand(missing, *x.shape[1:]) for name, x in batch.items()}
    filler["target"] = torch.zeros_like(filler["target"])
    return {name: torch.cat([x, filler[name]])[rank::count] for name, x in batch.items()}


def collate(examples: Examples, rows: Sequence[NDArray[np.int64]], pad: int, slots: int = 1) -> dict[str, torch.Tensor]:
    """Arrange examples as a batch, padded on the right.

    Args:
        examples: the examples to choose from.
        rows: for each row of the batch, the numbers of its examples.
        pad: id of the padding.
        slots: maximum number K of ids in a step of the LM.

    Returns:
        ``ids`` int64 ``[B, S]``, or ``[B, S, K]`` by slot if K is above 1; ``target`` bool ``[B, S]``, the steps in the
        loss; ``task`` int64 ``[B, S]``, the number of each step's task; where a row holds several examples,
        ``position_ids`` int64 ``[B, S]``, the position within the example; and, if the LM reads vectors, ``vectors``
        and ``vector_at``, see `areca.lm.model.SpeechLM.forward`.
    """
    length = max(int(examples.lengths[row].sum()) for row in rows)
    shape = (len(rows), length)
    grid = torch.full((*shape, slots), NO_ID, dtype=torch.int64)
    grid[..., 0] = pad
    target = torch.zeros(shape, dtype=torch.bool)
    task, positions = torch.zeros(2, *shape, dtype=torch.int64)
    vector_at = torch.zeros(shape, dtype=torch.bool)
    vectors = [[torch.empty(0, examples.vector_width)] for _ in rows]
    for b, row in enumerate(rows):
        start = 0
        for i in row.tolist():
            x, prompt_length = examples[i]
            stop = start + len(x)
            grid[b, start:stop] = x.grid(slots)
            if x.vectors is not None:
                vector_at[b, start:stop] = x.widths == 0
                vectors[b].append(x.vectors)
            target[b, start + prompt_length : stop] = True
            task[b, start:stop] = int(examples.tasks[i])
            positions[b, start:stop] = torch.arange(len(x))
            start = stop
    batch = {"ids": grid if slots > 1 else grid[..., 0], "target": target, "task": task}
    if examples.vector_width:
        batch |= {"vectors": pad_sequence([torch.cat(x) for x in vectors], batch_first=True), "vector_at": vector_at}
    return batch | {"position_ids": positions} if any(len(row) > 1 for row in rows) else batch
