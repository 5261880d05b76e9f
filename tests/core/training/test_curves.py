"""The training curve: the loss of each task, unchanged by a kill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.core.training.test_training import tiny_examples, tiny_lm, trained
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from areca.artifacts.checkpoint import CURVES
from areca.errors import MissingDependency
from areca.registry.importing import is_installed
from areca.run.trackers import TRACKERS, require_trackers
from areca.training.batches import Batches, Mixture
from areca.training.curves import Curve
from areca.training.examples import collate


def test_a_row_holds_the_mean_loss_of_each_task(tmp_path: Path) -> None:
    trained(tmp_path, lm=tiny_lm(dropout=0.0), steps=1, log_every_steps=1, micro_batch_tokens=128)
    [row] = [json.loads(line) for line in (tmp_path / CURVES).read_text().splitlines()]
    lm = tiny_lm(dropout=0.0)
    examples = tiny_examples(lm, tmp_path / "examples.arrow")
    numbers = next(Batches(examples.lengths, Mixture(examples.sizes, (2.0, 1.0), 0), 256, 32).rows())
    batch = collate(examples, numbers, pad=0)
    with torch.no_grad():
        losses = lm(batch).nats
    tasks = batch["task"][batch["target"]]
    expected = {name: float(losses[tasks == i].mean()) for i, name in enumerate(("asr", "tts")) if (tasks == i).any()}
    assert row["loss_by_task"] == pytest.approx(expected, rel=1e-5)
    assert row["loss"] == pytest.approx(float(losses.mean()), rel=1e-5)
    assert (row["step"], row["learning_rate"]) == (1, 3e-3)
    assert row["tokens"] == sum(int(examples.lengths[row].sum()) for row in numbers)


def test_a_saved_curve_resumes_exactly(tmp_path: Path) -> None:
    curve, again = Curve(("a", "b", "a")), Curve(("a", "b", "a"))
    curve.add(torch.tensor([0.1, 0.2, 0.7]), torch.tensor([0, 1, 2]))
    curve.tokens = 9
    curve.save(tmp_path / "curve.json")
    again.load(tmp_path / "curve.json")
    rows = [c.close(4, {"grad_norm": float("inf")}) for c in (curve, again)]
    assert rows[0] == rows[1]
    assert rows[0]["loss_by_task"] == pytest.approx({"a": 0.4, "b": 0.2})
    assert (rows[0]["tokens"], rows[0]["grad_norm"]) == (9, None)
    curve.add(torch.tensor([float("nan")]), torch.tensor([0]))
    curve.save(tmp_path / "curve.json")  # a state may be saved before the row that ends the training


def test_trackers_are_those_of_transformers() -> None:
    assert sorted(TRACKERS) == sorted(INTEGRATION_TO_CALLBACK)


def test_a_tracker_that_is_not_installed_is_refused() -> None:
    missing = next(name for name, wants in TRACKERS.items() if any(not is_installed(module) for module, _ in wants))
    with pytest.raises(MissingDependency, match=rf"training.report_to: {missing} needs .*: pip install "):
        require_trackers([missing])
