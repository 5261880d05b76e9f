"""The drawing of a training curve."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from areca.artifacts.checkpoint import CURVES
from areca.errors import InvalidArtifact
from areca.evaluation.curves import HEIGHT, WIDTH, copy_curves, draw_curves, read_curves
from areca.evaluation.listening import render_page

ROWS = [
    {"step": 50, "loss": 4.0, "loss_by_task": {"asr": 4.0, "<b>&": 8.0}},
    {"step": 100, "loss": 2.0, "loss_by_task": {"asr": 1.0, "<b>&": 2.0}},
    {"step": 100, "validation_loss": {"asr": 2.0}},
]


def test_each_task_is_a_line_and_each_validation_a_ring() -> None:
    drawn = draw_curves(ROWS)
    assert drawn.count("<polyline") == 3, "the axes and two tasks"
    lines = re.findall(r'points="([^"]*)" fill="none" stroke="#', drawn)
    assert len(lines) == 2
    points = [[tuple(map(float, p.split(","))) for p in line.split()] for line in lines]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for line in points for x, y in line)
    (_, first), (_, last) = points[0]
    assert first < last, "a lower loss is drawn lower"
    [ring] = re.findall(r'<circle cx="(\S+)" cy="(\S+)"', drawn)
    assert tuple(map(float, ring)) == points[1][1], "a loss of 2 at step 100"
    assert "<b>&" not in drawn and "&lt;b&gt;&amp;" in drawn
    assert "<script" not in drawn and "http" not in drawn


def test_an_empty_curve_draws_nothing() -> None:
    assert draw_curves([]) == "" == draw_curves([{"step": 1, "loss_by_task": {"asr": "x"}}])
    assert "<polyline" in draw_curves([{"step": 5, "loss_by_task": {"asr": 0.0}}]), "one point, and no loss"


def test_the_page_shows_it(tmp_path: Path) -> None:
    page = render_page("x", [], [], tmp_path, figures=[("Training", draw_curves(ROWS)), ("Empty", "")])
    assert "<h2>Training</h2>\n<svg" in page and "Empty" not in page


def test_a_curve_is_copied_and_read(tmp_path: Path) -> None:
    checkpoint, results = tmp_path / "checkpoint", tmp_path / "results"
    checkpoint.mkdir(), results.mkdir()
    copy_curves(checkpoint, results)
    assert read_curves(results) == []
    (checkpoint / CURVES).write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, 5, {"step": "x"}]))
    copy_curves(checkpoint, results)
    assert read_curves(results) == ROWS
    (results / CURVES).write_text("{")
    with pytest.raises(InvalidArtifact, match=r"curves\.jsonl: expected a JSON object on each line"):
        read_curves(results)
