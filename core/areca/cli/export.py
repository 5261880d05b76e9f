"""``areca export CHECKPOINT DIR``: a checkpoint is a folder; an export is a verified copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="the checkpoint's folder")],
    target: Annotated[Path, typer.Argument(metavar="DIR", help="a new folder")],
) -> None:
    """Copy a checkpoint with everything it needs, after checking every file.

    DIR/lm is a plain Hugging Face folder: `AutoModelForCausalLM.from_pretrained("DIR/lm")` loads it without areca.
    """
    from areca.checkpoint import export as copy

    copy(checkpoint, target)
    print(f"{target}: a copy of {checkpoint}; {target / 'lm'} loads with transformers alone")
