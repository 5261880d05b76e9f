"""``areca export CHECKPOINT DIR``: copy a checkpoint after verifying it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from areca.cli import common
from areca.cli.common import hide_download_bars
from areca.files.writing import probe


def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="a checkpoint's folder, or its run's YAML")],
    target: Annotated[Path, typer.Argument(metavar="DIR", help="a new folder")],
    replace: Annotated[bool, typer.Option("--replace", help="replace a checkpoint that is in DIR")] = False,
) -> None:
    """Copy a checkpoint with everything it needs, after verifying every file.

    DIR/lm is a plain Hugging Face folder: `AutoModelForCausalLM.from_pretrained("DIR/lm")` loads it without areca.
    """
    hide_download_bars()
    from areca.artifacts.checkpoint import export_checkpoint as copy
    from areca.pipeline.pipeline import locate_checkpoint

    source = locate_checkpoint(checkpoint, plugins=common.plugins())
    probe(target.parent)
    copy(source, target, replace=replace)
    print(f"{target}: a copy of {source}; {target / 'lm'} loads in transformers without areca")
