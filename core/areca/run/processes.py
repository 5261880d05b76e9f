"""The processes of a training that a launcher such as torchrun started: who builds, who waits, and sums over all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from areca.errors import ArecaError, InvalidConfig, quote, summarise
from areca.run.devices import resolve_device, resolve_local_device

if TYPE_CHECKING:
    import torch

_POLL_S = 0.1
_FAILED = "failed"
_VARIABLES = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets in each process."""
_COMMAND = "torchrun --nproc_per_node=2 -m areca train RUN.yaml"
_RESUME = "the same command resumes from the last saved state"


class Processes:
    """The processes that train together; by default this one only.

    The first process builds artifacts and writes files. The others wait for what it posts. They wait without a limit of
    time, because encoding a corpus may take hours, and they stop if the first process fails.

    Args:
        rank: number of this process.
        count: number of processes.
        board: the key-value store of torch.distributed on which the processes post; None: there is one process.
        device: where this process computes.
    """

    def __init__(self, rank: int = 0, count: int = 1, board: Any = None, *, device: torch.device | str = "cpu") -> None:
        self.rank, self.count, self.device = rank, count, device
        self._board, self._shared = board, 0

    @property
    def is_first(self) -> bool:
        """Whether this process builds, prints and writes files."""
        return self.rank == 0

    def post(self, name: str, value: str = "") -> None:
        """Post `value` under `name`, for the processes that `wait` for it."""
        if self.count > 1:
            self._board.set(name, value or " ")

    def wait(self, *names: str) -> tuple[str, str]:
        """Wait until another process has posted one of `names`; return this name and its value.

        Raises:
            ArecaError: a process has failed, or the connection to the launcher is lost.
        """
        while True:
            for name in (*names, _FAILED):
                if (value := self._read(name)) is None:
                    continue
                if name == _FAILED and _FAILED not in names:
                    raise ArecaError(f"process {self.rank} stops with the others: {value}")
                return name, value
            time.sleep(_POLL_S)

    def _read(self, name: str) -> str | None:
        try:
            return self._board.get(name).decode().strip() if self._board.check([name]) else None
        except RuntimeError as error:
            raise ArecaError(
                f"process {self.rank} lost the connection to the launcher ({summarise(error)}); {_RESUME}"
            ) from error

    def share(self, value: str) -> str:
        """Return the first process's `value` in every process. All must call this in the same order.

        Raises:
            ArecaError: as for `wait`.
        """
        self._shared += 1
        name = f"shared/{self._shared}"
        if self.is_first:
            self.post(name, value)
            return value
        return self.wait(name)[1]

    @contextmanager
    def first(self) -> Iterator[None]:
        """Run the block in the first process, and then in the others, which find its files.

        If it raises in the first process, it is run in the others too, and raises there for the same reason.

        Raises:
            ArecaError: as for `wait`.

        Example::

            with processes.first():
                build_once(seal, files, make)
        """
        if not self.is_first:
            self.share("")
        try:
            yield
        finally:
            if self.is_first:
                self.share("")

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of the tensors that all processes give; all must call this in the same order."""
        if self.count == 1:
            return values
        import torch.distributed as dist

        total = values.clone()
        dist.all_reduce(total)
        return total

    def largest(self, number: int) -> int:
        """Return the largest number that a process gives; all must call this in the same order."""
        if self.count == 1:
            return number
        import torch
        import torch.distributed as dist

        most = torch.tensor(number)
        dist.all_reduce(most, dist.ReduceOp.MAX)
        return int(most)

    def barrier(self) -> None:
        """Wait until all processes are here. All must arrive within the limit of torch.distributed, half an hour."""
        self.largest(0)

    def explain(self, error: BaseException) -> BaseException:
        """Return the error to report for `error`, and tell the other processes of it.

        An error of the connection to another process follows from that process's end, and says so.
        """
        failed = None
        if isinstance(error, RuntimeError) and not isinstance(error, ArecaError):
            failed = self._find_failure() if _is_of_connection(error) else None
        if failed is not None:
            return ArecaError(f"process {self.rank} stops, because another process has ended{failed}; {_RESUME}")
        self._post_failure(error)
        return error

    def _find_failure(self) -> str:
        """Return ``": "`` and what a process has posted about its failure, or ``""``."""
        try:
            reason = self._read(_FAILED)
        except ArecaError:
            return ""
        return f": {reason}" if reason else ""

    def _post_failure(self, error: BaseException) -> None:
        try:
            if self._read(_FAILED) is None:
                ended = "failed" if isinstance(error, Exception) else "was interrupted"
                self.post(_FAILED, f"process {self.rank} {ended}: {summarise(error)}")
        except (RuntimeError, ArecaError):  # the launcher has ended, and tells nobody
            return


def _is_of_connection(error: RuntimeError) -> bool:
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "by peer", "NCCL"))


@contextmanager
def join_processes(device: str = "cpu") -> Iterator[Processes]:
    """Yield the processes that a launcher such as torchrun started, connected; without a launcher, only this one.

    An error in the block is posted to the other processes, which then stop.

    Args:
        device: where to compute. With several processes, ``cuda`` is a different GPU in each, and so is ``auto`` if
            there are enough.

    Raises:
        InvalidConfig: the device cannot be used; ``WORLD_SIZE`` is set, but other variables are missing or wrong.
        ArecaError: a process that computes with this one has ended.
    """
    if count_processes() == 1:
        yield Processes(device=resolve_device(device))
        return
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    if missing := [name for name in _VARIABLES if not os.environ.get(name)]:
        raise InvalidConfig(
            f"WORLD_SIZE is {quote(os.environ['WORLD_SIZE'])}, but {', '.join(missing)} is not set: start several "
            f"processes with {_COMMAND}, or unset WORLD_SIZE"
        )
    local = int(os.environ["LOCAL_RANK"])
    usable = resolve_local_device(device, local, int(os.environ.get("LOCAL_WORLD_SIZE") or local + 1))
    if usable.type == "cuda":
        torch.cuda.set_device(usable)
    board, rank, count = next(rendezvous("env://"))
    backend = "cpu:gloo,cuda:nccl" if usable.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=board, rank=rank, world_size=count)
    processes = Processes(rank, count, board, device=usable)
    try:
        yield processes
    except BaseException as error:
        if (reported := processes.explain(error)) is error:
            raise
        raise reported from error
    dist.destroy_process_group()


def count_processes() -> int:
    """Return the number of processes that a launcher started, from ``WORLD_SIZE``.

    Raises:
        InvalidConfig: it is not a number.
    """
    text = os.environ.get("WORLD_SIZE", "").strip()
    if text and not text.isdecimal():
        raise InvalidConfig(f"WORLD_SIZE is {quote(text)}, expected a number: unset it, or start with {_COMMAND}")
    return max(1, int(text or 1))
