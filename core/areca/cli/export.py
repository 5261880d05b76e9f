"""``areca export CHECKPOINT DIR``: a checkpoint is a folder; an export is a verified copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from areca.cli import common
from areca.cli.common import quiet
from areca.files.writing import probe


def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="its folder, or the YAML of its run")],
    target: Annotated[Path, typer.Argument(metavar="DIR", help="a new folder")],
    replace: Annotated[
        bool, typer.Option("--replace", help="DIR may hold another checkpoint, which gives way")
    ] = False,
) -> None:
    """Copy a checkpoint with everything it needs, after checking every file.

    DIR/lm is a plain Hugging Face folder: `AutoModelForCausalLM.from_pretrained("DIR/lm")` loads it without areca.
    """
    quiet()
    from areca.artifacts.checkpoint import export as copy
    from areca.pipeline.pipeline import locate

    source = locate(checkpoint, plugins=common.plugins())
    probe(target.parent)
    copy(source, target, replace=replace)
    print(f"{target}: a copy of {source}; {target / 'lm'} loads with transformers alone")
