"""What several processes post to each other: who builds, who waits, and how a failure ends them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.distributed import HashStore

from areca.artifacts.store import Store
from areca.errors import ArecaError, InvalidArtifact, InvalidConfig, StorageError
from areca.run.processes import Processes, join_processes

INPUTS = {"kind": "test"}


def in_two(work: Callable[[Processes], Any]) -> list[Any]:
    """Return what `work` returns or raises in two processes, which are threads here."""
    board, results = HashStore(), list[Any]([None, None])

    def call(rank: int) -> None:
        processes = Processes(rank, 2, board)
        try:
            results[rank] = work(processes)
        except ArecaError as error:
            results[rank] = processes.explain(error)

    threads = [threading.Thread(target=call, args=(rank,)) for rank in (1, 0)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)  # the second process asks before the first has begun
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "a process waits forever"
    return results


def test_one_process_waits_for_nothing() -> None:
    alone = Processes()
    assert alone.is_first and alone.share("x") == "x" and alone.largest(3) == 3
    with alone.first():
        alone.post("name")


def test_the_first_process_runs_a_block_before_the_others() -> None:
    order: list[int] = []

    def work(processes: Processes) -> str:
        with processes.first():
            order.append(processes.rank)
        return processes.share(f"of {processes.rank}")

    assert in_two(work) == ["of 0", "of 0"]
    assert order == [0, 1]


def test_an_artifact_is_built_by_the_first_process_only(tmp_path: Path) -> None:
    built: list[int] = []

    def work(processes: Processes) -> Path:
        def build(directory: Path) -> None:
            built.append(processes.rank)
            time.sleep(0.2)
            (directory / "file").write_text("x")

        store = Store(tmp_path, processes)
        assert store.make(INPUTS, build, label="a thing") is store.make(INPUTS, build, label="a thing")
        return store.make(INPUTS, build, label="a thing").directory

    first, second = in_two(work)
    assert first == second and (first / "file").read_text() == "x" and built == [0]
    assert in_two(work) == [first, first] and built == [0], "the second time it exists"


def test_an_artifact_may_be_built_together(tmp_path: Path) -> None:
    built: list[int] = []

    def work(processes: Processes) -> Path:
        def build(directory: Path) -> None:
            built.append(processes.rank)
            if processes.is_first:
                processes.wait("from the other")
                (directory / "file").write_text("x")
            else:
                assert directory.is_dir()
                processes.post("from the other")

        return Store(tmp_path, processes).make(INPUTS, build, label="a thing", together=True).directory

    first, second = in_two(work)
    assert first == second and sorted(built) == [0, 1]
    assert in_two(work) == [first, first] and sorted(built) == [0, 1]


def test_a_failure_of_the_first_process_ends_the_others_with_its_reason(tmp_path: Path) -> None:
    def work(processes: Processes) -> Any:
        def build(directory: Path) -> None:
            raise StorageError("the disk is full")

        return Store(tmp_path, processes).make(INPUTS, build, label="tokens codec audio")

    first, second = in_two(work)
    assert str(first) == "the disk is full"
    assert str(second) == "process 1 stops, because process 0 could not make tokens codec audio: the disk is full"


def test_a_failure_outside_the_store_ends_the_others_too() -> None:
    def work(processes: Processes) -> Any:
        if processes.is_first:
            raise ArecaError("the data is wrong")
        return processes.wait("what never comes")

    assert [str(x) for x in in_two(work)] == [
        "the data is wrong",
        "process 1 stops with the others: process 0 failed: the data is wrong",
    ]


def test_a_folder_that_the_machines_do_not_share_is_named(tmp_path: Path) -> None:
    def work(processes: Processes) -> Any:
        store = Store(tmp_path / str(processes.rank), processes)
        return store.make(INPUTS, lambda directory: None, label="tokens codec audio")

    second = in_two(work)[1]
    assert isinstance(second, InvalidArtifact)
    assert "process 0 has made tokens codec audio, but process 1 does not see it; set ARECA_HOME" in str(second)


def test_the_end_of_another_process_is_reported_in_one_line() -> None:
    error = RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1234")
    processes = Processes(0, 2, HashStore())
    assert str(processes.explain(error)) == (
        "process 0 stops, because another process has ended; the same command resumes from the last saved state"
    )
    Processes(1, 2, processes._board).explain(ArecaError("no room"))
    assert "another process has ended: process 1 failed: no room; the same" in str(processes.explain(error))
    own = RuntimeError("a matrix has the wrong shape")
    assert processes.explain(own) is own


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', expected a number: unset it, or start with torchrun"),
        ({"WORLD_SIZE": "-1"}, "WORLD_SIZE is '-1', expected a number"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "WORLD_SIZE is '2', but LOCAL_RANK, MASTER_ADDR, MASTER_PORT is not set"),
    ],
)
def test_half_a_launch_is_refused(variables: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidConfig, match=says), join_processes():
        pass


@pytest.mark.parametrize("size", ["", "0", "1"])
def test_a_launch_of_one_process_is_one_process(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    with join_processes() as processes:
        assert (processes.rank, processes.count) == (0, 1)
