"""The examples of each batch: a pure function of seed and step, so that training can resume from any step."""

from __future__ import annotations

import bisect
import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from areca.batching import Indices, bucket


@dataclass(frozen=True, slots=True)
class Mixture:
    """An endless stream of examples in which each task has its share.

    The task of the i-th example is drawn by weight; the j-th example of a task is row ``j mod n`` of a permutation
    of its n rows; every pass has a new permutation. Example i therefore depends only on (seed, i).

    Args:
        sizes: number of examples of each task; examples are numbered task by task.
        weights: the tasks' shares, positive, in any scale.
        seed: the only source of randomness.
    """

    sizes: tuple[int, ...]
    weights: tuple[float, ...]
    seed: int

    def blocks(self, size: int) -> Iterator[Indices]:
        """Yield the stream from its start, `size` example numbers at a time."""
        shares = np.array(self.weights) / np.sum(self.weights)
        starts = np.cumsum([0, *self.sizes])
        drawn = [0] * len(self.sizes)
        permutation = functools.lru_cache(maxsize=2 * len(self.sizes))(self._permutation)
        for block in itertools.count():
            tasks = np.random.default_rng([self.seed, 0, block]).choice(len(shares), size=size, p=shares)
            examples = np.empty(size, dtype=np.int64)
            for task, n in enumerate(self.sizes):
                positions = np.flatnonzero(tasks == task)
                draws = drawn[task] + np.arange(len(positions))
                for epoch in np.unique(draws // n):
                    in_epoch = draws // n == epoch
                    examples[positions[in_epoch]] = starts[task] + permutation(task, int(epoch))[draws[in_epoch] % n]
                drawn[task] += len(positions)
            yield examples

    def _permutation(self, task: int, epoch: int) -> Indices:
        return np.random.default_rng([self.seed, 1, task, epoch]).permutation(self.sizes[task])


def pack(lengths: Indices, capacity: int) -> list[Indices]:
    """Fill rows of `capacity` with whole examples, longest first, each into the fullest row that has room.

    Args:
        lengths: int64 ``[N]``, none above `capacity`.
        capacity: length of a row.

    Returns:
        Each row's positions in `lengths`.
    """
    rows: list[list[int]] = []
    free: list[tuple[int, int]] = []  # (room, row), sorted
    for i in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[i])
        fullest = bisect.bisect_left(free, (length, 0))
        if fullest == len(free):
            rows.append([])
            room, row = capacity, len(rows) - 1
        else:
            room, row = free.pop(fullest)
        rows[row].append(i)
        bisect.insort(free, (room - length, row))
    return [np.array(row, dtype=np.int64) for row in rows]


@dataclass(frozen=True, slots=True)
class Batches:
    """An endless stream of batches of about `batch_tokens` padded tokens, or of a number of examples.

    A pool of examples is sorted by length and cut into batches, which come in random order. Examples that do not fill
    a batch join the next pool.

    Args:
        lengths: int64 ``[N]``, the length of each example in tokens.
        mixture: the order of the examples.
        batch_tokens: maximum number of padded tokens in a batch.
        pool: number of examples that are sorted together. A large pool wastes less padding; a small one mixes better.
        row_tokens: length of the rows that examples are packed into; 0: one example a row.
        examples: number of examples in a batch; 0: as many as `batch_tokens` allows.
    """

    lengths: Indices
    mixture: Mixture
    batch_tokens: int
    pool: int
    row_tokens: int = 0
    examples: int = 0

    def rows(self, start: int = 0) -> Iterator[list[Indices]]:
        """Yield the batch of each step from `start` on as rows, each with the numbers of its examples."""
        for step, batch in enumerate(self._iterate()):
            if step >= start:
                yield batch

    def _iterate(self) -> Iterator[list[Indices]]:
        leftover = np.empty(0, dtype=np.int64)
        for number, block in enumerate(self.mixture.blocks(self.pool)):
            examples = np.concatenate([leftover, block])
            *full, rest = self._cut(examples)
            if len(rest) == self.examples:  # it is full
                full, rest = [*full, rest], []
            leftover = np.concatenate([*rest, np.empty(0, dtype=np.int64)])
            for i in np.random.default_rng([self.mixture.seed, 2, number]).permutation(len(full)):
                yield full[i]

    def _cut(self, examples: Indices) -> list[list[Indices]]:
        lengths = self.lengths[examples]
        if self.examples:
            ordered = examples[np.argsort(-lengths, kind="stable")][:, None]
            return [list(ordered[i : i + self.examples]) for i in range(0, len(ordered), self.examples)]
        if not self.row_tokens:
            return [list(examples[batch][:, None]) for batch in bucket(lengths, self.batch_tokens)]
        rows = [examples[row] for row in pack(lengths, self.row_tokens)]
        count = max(1, self.batch_tokens // self.row_tokens)
        return [rows[i : i + count] for i in range(0, len(rows), count)]
