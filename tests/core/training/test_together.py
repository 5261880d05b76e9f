"""Training in several processes: the curve and the weights of one process, and exact resumption after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from tests.core.training.test_training import tiny_examples, trained
from tests.parts import pattern
from torch.distributed.tensor import DTensor

from areca.artifacts.checkpoint import CURVES
from areca.lm.model import SpeechLM
from areca.run.processes import Processes
from areca.specs import Stream
from areca.testing.tiny import tiny_backbone
from areca.training.examples import select_share
from areca.training.sharding import gathered

CLOSE = 1e-5
PLAIN: dict[str, Any] = {"optimizer": "adamw", "log_every_steps": 1, "save_every_steps": 5, "learning_rate": 1e-3}


def plain_lm(**options: Any) -> SpeechLM:
    """Return an LM without dropout or biases: a key's bias has no gradient but rounding, which AdamW would scale."""
    streams = tuple(Stream(f"s{k}", 16, 25.0) for k in range(options.pop("streams", 1)))
    if name := options.pop("pattern", None):
        options["pattern"] = pattern(name)
    return SpeechLM.extend(tiny_backbone("llama"), {"speech": streams}, seed=0, **options)


class Launcher:
    """Starts trainings in processes forked from one that has imported everything, so that they start at once."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-u", "-m", __spec__.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def run(self, directory: Path, count: int, *, kill: tuple[int, int, float] | None = None, **options: Any) -> Any:
        """Train in `count` processes; return how each ended: 0, a signal, or an error's message.

        Args:
            directory: receives the curve, the states and, as ``weights.safetensors``, the weights.
            count: number of processes.
            kill: the number of a process that is killed, a step, and the seconds to wait after it.
            options: options of the training, and ``lm``: options of the LM.
        """
        assert self._server.stdin is not None and self._server.stdout is not None
        asked = {"directory": str(directory), "count": count, "kill": kill, "options": PLAIN | options}
        print(json.dumps(asked), file=self._server.stdin, flush=True)
        return json.loads(self._server.stdout.readline())


def serve() -> None:
    """Fork the processes of a training for each line of the standard input, and print how they ended."""
    torch.set_num_threads(1)
    for number, line in enumerate(sys.stdin):
        asked = json.loads(line)
        directory, kill = Path(asked["directory"]), asked["kill"]
        directory.mkdir(parents=True, exist_ok=True)
        told = [directory / f"told-{number}-{rank}" for rank in range(asked["count"])]
        pids = []
        for rank, path in enumerate(told):
            if not (pid := os.fork()):
                path.write_text(str(_train(rank, asked["count"], number, directory, asked["options"], kill)))
                os._exit(0)
            pids.append(pid)
        if kill:
            _kill(pids[kill[0]], told[kill[0]].with_suffix(".step"), *kill[1:])
        codes = [os.waitpid(pid, 0)[1] for pid in pids]
        ended = [path.read_text() if code == 0 else code for path, code in zip(told, codes, strict=True)]
        print(json.dumps([int(x) if x == "0" else x for x in ended]), flush=True)


def _kill(pid: int, step: Path, wanted: int, wait_s: float) -> None:
    while not step.exists() or int(step.read_text() or 0) < wanted:
        time.sleep(0.001)
    time.sleep(wait_s)
    os.kill(pid, signal.SIGKILL)


def _train(rank: int, count: int, number: int, directory: Path, options: dict[str, Any], kill: Any) -> Any:
    board = dist.FileStore(str(directory / f"board-{number}"), count)
    if count > 1:
        # As torchrun does; the address is not used, because the processes meet on the board.
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": 1}
        os.environ |= {name: str(number) for name, number in numbers.items()} | {"MASTER_ADDR": "127.0.0.1"}
        dist.init_process_group("gloo", store=dist.PrefixStore("group", board), rank=rank, world_size=count)
    processes = Processes(rank, count, board)
    lm = plain_lm(**options.pop("lm", {}))
    step = directory / f"told-{number}-{rank}.step"

    def shown(done: int, total: int, message: str) -> None:
        if kill and kill[0] == rank:
            step.write_text(str(done))

    try:
        with processes.first():
            tiny_examples(lm, directory / "examples.arrow")
        trained(directory, lm=lm, shown=shown, watch={"processes": processes}, **options)
    except Exception as error:
        return processes.explain(error)
    assert _held(lm) < 0.6 if options.get("parallel") == "fsdp" and count > 1 else _held(lm) == 1
    with gathered(lm):
        if not rank:
            save_file({k: v.contiguous() for k, v in lm.state_dict().items()}, directory / "weights.safetensors")
    return 0


def _held(lm: SpeechLM) -> float:
    """Return the share of the weights that this process holds."""
    local = [p.to_local() if isinstance(p, DTensor) else p for p in lm.parameters()]
    return sum(p.numel() for p in local) / sum(p.numel() for p in lm.parameters())


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """Return a launcher."""
    started = Launcher()
    yield started
    started.close()


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "weights.safetensors")


def curve(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / CURVES).read_text().splitlines()]


def assert_close(directory: Path, other: Path, close: float = CLOSE) -> None:
    """Compare the weights and the curves of two trainings, up to the rounding of float32."""
    expected, found = weights(other), weights(directory)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert float((found[name] - value).abs().max() / value.abs().max()) < close, name
    assert len(curve(directory)) == len(curve(other))
    for row, wanted in zip(curve(directory), curve(other), strict=True):
        assert (row["step"], row["tokens"]) == (wanted["step"], wanted["tokens"])
        assert row["loss"] == pytest.approx(wanted["loss"], rel=CLOSE)
        assert row["loss_by_task"] == pytest.approx(wanted["loss_by_task"], rel=CLOSE)
        assert row["grad_norm"] == pytest.approx(wanted["grad_norm"], rel=10 * CLOSE)


def assert_equal(directory: Path, other: Path) -> None:
    """Compare the weights and the curves of two trainings, bit for bit."""
    expected, found = weights(other), weights(directory)
    assert [k for k, v in expected.items() if not torch.equal(v, found[k])] == []
    assert curve(directory) == curve(other)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_the_shares_of_a_batch_are_the_batch(count: int) -> None:
    batch = {"ids": torch.arange(10).reshape(5, 2), "target": torch.arange(10).reshape(5, 2) % 3 > 0}
    shares = [select_share(batch, rank, count) for rank in range(count)]
    assert len({len(share["ids"]) for share in shares}) == 1
    for rank, share in enumerate(shares):
        own = batch["ids"][rank::count]
        assert torch.equal(share["ids"][: len(own)], own)
        assert torch.equal(share["target"][: len(own)], batch["target"][rank::count])
        assert not share["target"][len(own) :].any()
    assert sum(int(share["target"].sum()) for share in shares) == int(batch["target"].sum())


@pytest.mark.parametrize("train", ["all", "embeddings", "lora"])
def test_every_parameter_takes_part_in_a_batch_without_audio_or_targets(train: Any) -> None:
    """Otherwise one process would wait for a gradient that another does not have."""
    streams = tuple(Stream(f"s{k}", 8, 25.0) for k in range(3))
    parallel = pattern("parallel-delay")
    lm = SpeechLM.extend(tiny_backbone("llama"), {"speech": streams}, pattern=parallel, heads="depth", train=train)
    ids = torch.tensor([[[5, -1, -1], [6, -1, -1], [7, -1, -1]]])
    for target in (torch.tensor([[False, True, True]]), torch.zeros(1, 3, dtype=torch.bool)):
        lm.zero_grad(set_to_none=True)
        losses = lm({"ids": ids, "target": target})
        losses.sum.backward()
        assert [name for name, p in lm.named_parameters() if p.requires_grad and p.grad is None] == []
        if not target.any():
            assert all(float(p.grad.abs().sum()) == 0 for p in lm.parameters() if p.grad is not None)


@pytest.mark.parametrize("parallel", [pytest.param("ddp", marks=pytest.mark.slow), "fsdp"])
def test_two_processes_train_as_one(parallel: str, launcher: Launcher, tmp_path: Path) -> None:
    steps = {"steps": 6, "parallel": parallel}
    assert launcher.run(tmp_path / "one", 1, **steps) == [0]
    # In parts; copies of the LM exchange gradients only once.
    assert launcher.run(tmp_path / "two", 2, **steps, micro_batch_tokens=120) == [0, 0]
    assert_close(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "began", "ends"),
    [(1, "ddp", "ddp"), (1, "fsdp", "fsdp"), (2, "ddp", "fsdp"), (2, "fsdp", "ddp")],
)
def test_others_finish_what_two_processes_began(
    count: int, began: str, ends: str, launcher: Launcher, tmp_path: Path
) -> None:
    launcher.run(tmp_path / "one", 1, steps=12)
    ended = launcher.run(tmp_path / "fewer", 2, steps=12, parallel=began, kill=(1, 8, 0.0))
    assert ended[1] == signal.SIGKILL and "another process has ended" in ended[0]
    assert launcher.run(tmp_path / "fewer", count, steps=12, parallel=ends) == [0] * count
    assert_close(tmp_path / "fewer", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parallel", "optimizer", "count"),
    [
        *(("ddp", optimizer, count) for optimizer in ("adamw", "adafactor") for count in (2, 3)),
        *(("fsdp", "adamw", 2), ("fsdp", "adafactor", 3)),
    ],
)
def test_fifty_steps_in_several_processes(
    parallel: str, optimizer: str, count: int, launcher: Launcher, tmp_path: Path
) -> None:
    options = {"steps": 50, "optimizer": optimizer, "packing_tokens": 128 if count == 3 else 0, "parallel": parallel}
    launcher.run(tmp_path / "one", 1, **options)
    assert launcher.run(tmp_path / "several", count, **options) == [0] * count
    assert_close(tmp_path / "several", tmp_path / "one")


@pytest.mark.slow
def test_a_sharded_depth_transformer_trains_as_a_whole_one(launcher: Launcher, tmp_path: Path) -> None:
    lm = {"streams": 3, "pattern": "parallel-delay", "heads": "depth"}
    options = {"steps": 6, "lm": lm, "parallel": "fsdp", "checkpoint_activations": True}
    launcher.run(tmp_path / "one", 1, **options)
    assert launcher.run(tmp_path / "two", 2, **options) == [0, 0]
    # The bias of a key has no gradient but rounding, which AdamW scales; the weights move by a tenth.
    assert_close(tmp_path / "two", tmp_path / "one", close=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("train", ["embeddings", "lora"])
def test_new_rows_and_adapters_in_two_processes(train: str, parallel: str, launcher: Launcher, tmp_path: Path) -> None:
    options = {"steps": 12, "lm": {"train": train, "init": "normal"}, "weight_decay": 0.1, "parallel": parallel}
    launcher.run(tmp_path / "one", 1, **options)
    assert launcher.run(tmp_path / "two", 2, **options) == [0, 0]
    assert_close(tmp_path / "two", tmp_path / "one")
    untrained = plain_lm(train=train, init="normal")
    old, new = (
        untrained.model.get_input_embeddings().weight,
        weights(tmp_path / "two")["model.model.embed_tokens.weight"],
    )
    first = untrained.vocabulary.text_size
    assert torch.equal(new[:first], old[:first]) and not torch.equal(new[first:], old[first:])


@pytest.mark.slow
def test_either_process_killed_at_many_moments(launcher: Launcher, tmp_path: Path) -> None:
    steps = {"steps": 24}
    launcher.run(tmp_path / "whole", 2, **steps)
    for number, kill in enumerate([(rank, step, 0.004 * step) for step in (3, 5, 10, 23) for rank in (0, 1)]):
        killed = tmp_path / str(number)
        launcher.run(killed, 2, **steps, kill=kill)
        assert launcher.run(killed, 2, **steps) == [0, 0]
        assert_equal(killed, tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "rank", "train"), [("adamw", 0, "lora"), ("adafactor", 1, "all")])
def test_either_process_of_a_sharded_training_killed(
    optimizer: str, rank: int, train: str, launcher: Launcher, tmp_path: Path
) -> None:
    options = {"steps": 12, "optimizer": optimizer, "parallel": "fsdp", "lm": {"train": train, "init": "normal"}}
    launcher.run(tmp_path / "whole", 2, **options)
    ended = launcher.run(tmp_path / "killed", 2, **options, kill=(rank, 8, 0.0))
    assert ended[rank] == signal.SIGKILL and "another process has ended" in ended[1 - rank]
    assert launcher.run(tmp_path / "killed", 2, **options) == [0, 0]
    assert_equal(tmp_path / "killed", tmp_path / "whole")


if __name__ == "__main__":
    serve()
