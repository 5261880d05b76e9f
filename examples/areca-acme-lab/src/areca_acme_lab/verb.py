"""The verb ``areca probe``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def probe(
    recordings: Annotated[list[Path], typer.Argument(help="audio files")],
    name: Annotated[str, typer.Option(help="component of the kind `probe`")] = "unit-entropy",
    checkpoint: Annotated[Path | None, typer.Option(help="folder (default: the shipped checkpoint)")] = None,
) -> None:
    """Encode recordings with a checkpoint's tokenizer, and measure the codes."""
    import areca
    import torch
    from areca.audio import conform, read
    from areca.registry.parts import choose

    system = areca.load(checkpoint)
    part = choose(system.run_config.registry, "probe", name, option="--name")
    instance = part.entry.target().load(part.config, {}, None, device=torch.device("cpu"), dtype=torch.float32)
    spec = system.run_config.tokenizers[system.run_config.lm.reads].spec
    codes = system.tokenizer.encode([conform(read(path), spec.sample_rate_hz, spec.channels) for path in recordings])
    print(f"{part.name}: {instance.measure(codes):.3f} {part.spec.unit} over {len(recordings)} recordings")
