"""``areca fit run.yaml``: train the components that have the tag ``fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from areca.cli import common
from areca.cli.common import hide_download_bars
from areca.run.config import read_config


def fit(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[PART]... RUN.YAML [KEY=VALUE]...",
            help="what to fit: kinds or roles, such as backbone (default: all); then the run; then values that "
            "override those in the file",
        ),
    ],
    device: common.Device = common.AUTO_DEVICE,
) -> None:
    """Build a run's data, and fit its tokenizers, backbone and vocoder. Existing artifacts are reused.

    To fit means to train a component, such as a tokenizer, before the LM is trained.
    """
    hide_download_bars()
    from areca.artifacts.store import Store
    from areca.pipeline.pipeline import Pipeline

    wanted, path, overrides = _split(words)
    run = read_config(path, overrides, plugins=common.plugins())
    artifacts = Pipeline(run, Store(), device=common.use_device(device), stage=common.progress).fit(wanted)
    rows = [(role, run.parts[role].name, str(artifact.directory)) for role, artifact in artifacts.items()]
    common.print_table(("role", "name", "files"), rows)


def _split(words: list[str]) -> tuple[list[str], Path, list[str]]:
    """Return the kinds and roles, the run's file (the last word before any ``KEY=VALUE``), and the overrides."""
    position = max(next((i for i, word in enumerate(words) if "=" in word), len(words)) - 1, 0)
    return words[:position], Path(words[position]), words[position + 1 :]
