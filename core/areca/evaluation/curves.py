"""Draw a training curve as inline SVG: no script, no library, and it works offline."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from areca.artifacts.checkpoint import CURVES
from areca.errors import InvalidArtifact
from areca.files.reading import read_regular

WIDTH, HEIGHT = 720, 240
"""Size of the drawing, in its own units; margins for the labels included."""
_LEFT, _BOTTOM, _TOP, _RIGHT = 52, 24, 10, 10
_LOWEST = 1e-3
"""Smallest loss that the logarithmic axis shows."""
_MOST_BYTES = 1 << 26
_COLOURS = ("#2f6fb3", "#c2571a", "#14703f", "#8a4fa3", "#a8862b", "#ad2a23", "#3b8f8f", "#59636e")
"""Readable on light and dark pages."""

Points = list[tuple[float, float]]
"""Step and loss."""


def copy_curves(checkpoint: Path, directory: Path) -> None:
    """Copy a checkpoint's training curve, if it has one, into an evaluation's folder."""
    if (checkpoint / CURVES).is_file():
        shutil.copyfile(checkpoint / CURVES, directory / CURVES)


def read_curves(directory: Path) -> list[Mapping[str, Any]]:
    """Return the rows of the training curve in a folder; none if there is no curve.

    Raises:
        InvalidArtifact: the file is too large or damaged.
    """
    path = directory / CURVES
    try:
        text = read_regular(path, most=_MOST_BYTES)
    except FileNotFoundError:
        return []
    try:
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as e:
        raise InvalidArtifact(f"{path}: expected a JSON object on each line: {e}") from e
    return [row for row in rows if isinstance(row, dict) and _is_number(row.get("step"))]


def draw_curves(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the losses of `rows` over the steps as HTML, an SVG with a legend; ``""`` if there are no losses.

    Lines show the training loss of a task, rings its validation loss. The axis of the loss is logarithmic.
    """
    lines, rings = _collect_series(rows, "loss_by_task"), _collect_series(rows, "validation_loss")
    points = [point for series in (*lines.values(), *rings.values()) for point in series]
    if not points:
        return ""
    to_x, to_y, labels = _draw_axes(points)
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(dict.fromkeys((*lines, *rings)))}
    shapes = [
        _draw_line([(to_x(step), to_y(loss)) for step, loss in series], colours[n]) for n, series in lines.items()
    ]
    for name, series in rings.items():
        shapes += [_draw_ring(to_x(step), to_y(loss), colours[name]) for step, loss in series]
    legend = " ".join(f'<b style="color:{colour}">{escape(name)}</b>' for name, colour in colours.items())
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="training and validation loss by step" '
        f'style="height:auto;max-width:60rem">{labels}{"".join(shapes)}</svg>\n'
        f'<p class="hint">{legend}: lines are the training loss, rings the validation loss, in nats a target.</p>'
    )


def _collect_series(rows: Sequence[Mapping[str, Any]], column: str) -> dict[str, Points]:
    """Return the losses of each task in a column of `rows`; values that are not numbers are left out."""
    series: dict[str, Points] = {}
    for row in rows:
        losses = row.get(column)
        for name, loss in losses.items() if isinstance(losses, Mapping) else ():
            if _is_number(loss):
                series.setdefault(str(name), []).append((float(row["step"]), float(loss)))
    return series


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15


def _draw_axes(points: Points) -> tuple[Any, Any, str]:
    """Return the functions from step and loss to the drawing, and the axes with their labels."""
    steps, losses = [step for step, _ in points], [max(loss, _LOWEST) for _, loss in points]
    first, last, low, high = min(steps), max(steps), math.log(min(losses)), math.log(max(losses))
    wide, tall = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def to_x(step: float) -> float:
        return round(_LEFT + wide * (step - first) / (last - first or 1), 1)

    def to_y(loss: float) -> float:
        return round(_TOP + tall * (high - math.log(max(loss, _LOWEST))) / (high - low or 1), 1)

    marks = [math.exp(low + share * (high - low)) for share in (0, 0.5, 1)]
    labels = [_draw_text(_LEFT - 6, to_y(loss) + 4, f"{loss:.3g}", "end") for loss in marks]
    labels += [
        _draw_text(to_x(step), HEIGHT - 6, f"{step:,.0f}", end) for step, end in ((first, "start"), (last, "end"))
    ]
    frame = f"{_LEFT},{_TOP} {_LEFT},{HEIGHT - _BOTTOM} {WIDTH - _RIGHT},{HEIGHT - _BOTTOM}"
    return to_x, to_y, f'<polyline points="{frame}" fill="none" stroke="currentColor" opacity="0.4"/>{"".join(labels)}'


def _draw_text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="11" fill="currentColor">{escape(words)}</text>'


def _draw_line(points: Points, colour: str) -> str:
    joined = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _draw_ring(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x}" cy="{y}" r="4" fill="none" stroke="{colour}" stroke-width="1.5"/>'
