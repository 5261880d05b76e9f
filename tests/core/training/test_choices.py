"""Optimizers, schedules and callbacks by name: the defaults bit for bit, and a third party's from one file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests import ROOT
from tests.core.training.test_training import choice, trained, weights_hash

from areca.artifacts.checkpoint import CURVES, open_checkpoint
from areca.artifacts.store import Store
from areca.cli.dry_run import print_budget
from areca.errors import ArecaError, InvalidConfig, UnknownComponent
from areca.pipeline.budget import estimate_budget
from areca.pipeline.pipeline import LOGS, Pipeline
from areca.registry.registry import Registry
from areca.run.config import RunConfig, parse_config
from areca.testing import CheckedComponent, run
from areca.testing.tiny import load_choice
from areca.training import train as train_module
from areca.training.trainer import SpeechTrainer

MUON = "tests/core/training/muon.py"
RUN: dict[str, Any] = {
    "name": "tiny",
    "data": "corpus/manifest.jsonl",
    "tokenizer": {"name": "mfcc-kmeans", "clusters": 8},
    "backbone": {"name": "decoder", "layers": 1, "width": 16, "feed_forward": 24, "heads": 2, "kv_heads": 2},
    "tasks": ["asr", "tts"],
    "training": {"steps": 3, "batch_tokens": 1024, "longest_tokens": 400, "log_every_steps": 1},
}


def parsed(root: Path, training: dict[str, Any], **other: Any) -> RunConfig:
    return parse_config(RUN | {"training": RUN["training"] | training} | other, root=root)


class _Transformers(SpeechTrainer):
    """The optimizers and schedules that transformers' Trainer makes by itself."""

    names = ("", "")

    def create_optimizer(self, model: Any = None) -> Any:
        self.args.optim = self.names[0]
        kind, options = self.get_optimizer_cls_and_kwargs(self.args, self._lm.model)
        self.optimizer = kind(self._lm.parameter_groups(self.args.weight_decay), **options)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        self.lr_scheduler = transformers.get_scheduler(
            self.names[1], self.optimizer, self.args.warmup_steps, num_training_steps
        )
        return self.lr_scheduler


@pytest.mark.parametrize(
    ("optimizer", "schedule", "names"),
    [("adafactor", "cosine", ("adafactor", "cosine")), ("adamw", "linear", ("adamw_torch", "linear"))],
)
def test_weights_are_those_of_transformers_own(
    optimizer: str, schedule: str, names: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"optimizer": optimizer, "schedule": schedule, "warmup_steps": 3, "weight_decay": 0.1, "steps": 10}
    mine = weights_hash(trained(tmp_path / "mine", **options))
    monkeypatch.setattr(_Transformers, "names", names)
    monkeypatch.setattr(train_module, "SpeechTrainer", _Transformers)
    assert weights_hash(trained(tmp_path / "theirs", **options)) == mine


@pytest.mark.parametrize(
    ("schedule", "name"), [("constant", "constant_with_warmup"), ("cosine", "cosine"), ("linear", "linear")]
)
@pytest.mark.parametrize("warm_up", [0, 7, 40])
def test_learning_rates_are_those_of_transformers(schedule: str, name: str, warm_up: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=5e-5)
    theirs = transformers.get_scheduler(name, optimizer, warm_up, 40).lr_lambdas[0]
    mine = choice("schedule", schedule)
    for step in range(41):
        factor = step / warm_up if step < warm_up else mine.factor(step - warm_up, 40 - warm_up)
        assert factor == theirs(step), step


def test_options_of_an_optimizer_and_a_schedule_are_used() -> None:
    optimizer = load_choice("optimizer", {"name": "adamw", "betas": [0.8, 0.95]})
    built = optimizer.build([{"params": [torch.nn.Parameter(torch.zeros(1))], "weight_decay": 0.0}], 0.1)
    assert built.param_groups[0]["betas"] == (0.8, 0.95)
    assert load_choice("schedule", {"name": "linear", "last": 0.5}).factor(10, 10) == 0.5


@pytest.mark.parametrize(
    ("training", "error", "says"),
    [
        ({"optimizer": "adamx"}, UnknownComponent, "no optimizer is called 'adamx'; did you mean 'adamw'"),
        ({"schedule": {"name": "cosin"}}, UnknownComponent, "no schedule is called 'cosin'; did you mean 'cosine'"),
        ({"optimizer": {"name": "adamw", "betaz": 1}}, InvalidConfig, "optimizer 'adamw': no option is called 'betaz'"),
        ({"optimizer": 5}, InvalidConfig, "training.optimizer.*expected '{name: ...}', got 5"),
    ],
)
def test_a_wrong_choice_is_refused_when_the_run_is_parsed(
    training: dict[str, Any], error: type[Exception], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        parsed(tmp_path, training)


def test_a_run_is_parsed_without_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from areca.run.config import parse_config\n"
        f"run = parse_config({RUN!r}, root=Path('.'))\n"
        "print([str(part.spec) for part in run.training_parts.values()], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("'the last learning rate is 1 x the highest'] False\n")


def test_a_choice_is_in_the_key_by_what_it_is(root: Path) -> None:
    def key(**training: Any) -> str:
        steps = Pipeline(parsed(root, training), Store()).steps()
        return next(step.key for step in steps if step.label == "lm")

    assert key(optimizer="adamw") == key(optimizer={"name": "adamw", "eps": 1e-8})
    assert (
        len({key(), key(optimizer="adamw"), key(schedule="linear"), key(schedule={"name": "linear", "last": 0.1})}) == 4
    )
    assert key() == key(report_to=["tensorboard"], validate_every_steps=2)


def test_a_third_partys_optimizer_passes_the_kit(tmp_path: Path) -> None:
    registry = Registry.discover([MUON], root=ROOT)
    for kind, name in (("optimizer", "muon"), ("schedule", "inverse-root")):
        checked = CheckedComponent(registry.find(kind, name), tmp_path, registry=registry)
        assert [o for o in run(checked) if o.state == "fail"] == []


@pytest.mark.slow
def test_a_third_partys_optimizer_resumes_exactly(tmp_path: Path) -> None:
    chosen = {
        kind: load_choice(kind, name, [str(ROOT / MUON)])
        for kind, name in (("optimizer", "muon"), ("schedule", "inverse-root"))
    }
    whole = weights_hash(trained(tmp_path / "whole", watch=chosen))
    assert whole != weights_hash(trained(tmp_path / "other", optimizer="adamw"))

    class Stop(Exception):
        pass

    def stop(done: int, total: int, message: str) -> None:
        if done == 13:
            raise Stop

    with pytest.raises(Stop):
        trained(tmp_path / "cut", watch=chosen, shown=stop)
    assert weights_hash(trained(tmp_path / "cut", watch=chosen)) == whole
    curves = [(tmp_path / name / CURVES).read_text() for name in ("whole", "cut")]
    assert curves[0] == curves[1], "no row is lost or doubled"


def test_the_dry_run_shows_the_memory_of_a_third_partys_optimizer(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = parsed(root, {"optimizer": "muon"}, plugins=[str(ROOT / MUON)])
    found = estimate_budget(made, made.training)
    assert found.memory.weights < found.memory.optimizer < 1.1 * found.memory.weights, "one value an element, or two"
    print_budget(made, made.training)
    assert "muon" in capsys.readouterr().out


def test_a_run_from_one_file(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="no tracker to test with")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    training = {"optimizer": {"name": "muon", "momentum": 0.9}, "schedule": "inverse-root"}
    watched = {"report_to": ["tensorboard"], "validate_every_steps": 2}
    own = parsed(root, training | watched, plugins=[str(ROOT / MUON)])
    store = Store(tmp_path / "store")
    pipeline = Pipeline(own, store)
    checkpoint = pipeline.checkpoint()
    assert open_checkpoint(checkpoint.directory).run.training_parts == {}, "its plugin is not needed to use it"
    said = pipeline.lm().inputs["training"]["optimizer"]
    assert said["component"].endswith("/muon") and said["config"] == {"momentum": 0.9} and said["code"]

    rows = [json.loads(line) for line in (checkpoint.directory / CURVES).read_text().splitlines()]
    assert rows == [json.loads(line) for line in (pipeline.lm().directory / CURVES).read_text().splitlines()]
    measured = [row["step"] for row in rows if "validation_loss" in row]
    steps = [row["step"] for row in rows if "loss" in row]
    assert steps == [1, 2, 3], "the callback did not stop it"
    assert measured == ([2, 3] if pipeline.validation_loss() else [])
    assert all(set(row["loss_by_task"]) <= {"asr", "tts"} and row["grad_norm"] > 0 for row in rows if "loss" in row)

    [logs] = (store.root / LOGS).iterdir()
    lines = (logs / "watched.txt").read_text().splitlines()
    assert lines[0].startswith("tiny 1 ") and "tokens_per_s" in lines[0]
    events = EventAccumulator(str(logs / "tensorboard"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"train/loss", "train/loss_asr", "train/tokens_per_s", "train/learning_rate", "train/grad_norm"} <= tags
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]
    assert ("eval/loss_asr" in tags) == bool(measured)


def test_a_callback_that_fails_is_named(root: Path, tmp_path: Path) -> None:
    own = parsed(root, {}, name="failing", plugins=[str(ROOT / MUON)])
    with pytest.raises(ArecaError, match=r"plugin local:\w*muon: its training callback Watching.on_log failed: .*room"):
        Pipeline(own, Store(tmp_path / "store")).lm()
