"""``areca run CHECKPOINT in.wav -o out.wav``: transcribe, translate or speak with a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from areca.cli import common
from areca.cli.common import hide_download_bars
from areca.cli.delivery import Delivery
from areca.errors import InvalidConfig
from areca.files.writing import probe
from areca.run.decoding import resolve_decoding

STDIN = "/dev/stdin"
"""The recording that ``-`` means."""


def run(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CHECKPOINT] [AUDIO]...",
            help="a checkpoint's folder or its run's YAML (default: the shipped checkpoint); then recordings, where - "
            "means standard input",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            "-t",
            help="asr, ast, s2st, tts or mt, or a chain such as asr+ast+s2st (default: the task with the most outputs)",
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", "-s", help="language of the input, such as French or fr")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="language of the answer, such as English or en")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", help="a text instead of a recording; may be repeated")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="where to write speech: a .wav or .flac file, or a folder")
    ] = None,
    voice: Annotated[
        Path | None,
        typer.Option("--voice", help="a recording of the voice to speak in, if one is taken"),
    ] = None,
    decoding: common.HowDecoded = None,
    batch: Annotated[int, typer.Option(help="number of inputs answered at once", min=1)] = 8,
    device: common.Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="print the answers as JSON")] = False,
) -> None:
    """Transcribe, translate or speak with a checkpoint."""
    hide_download_bars()
    from areca.system import load

    method = None if decoding is None else resolve_decoding(common.registry(), common.parse_decoding(decoding))
    checkpoint, recordings = _split(inputs or [])
    _check(recordings, text or [], output)
    system = load(checkpoint, device=device, plugins=common.plugins())
    items: list[Any] = recordings or list(text or ())
    kind = "audio" if recordings else "text"
    given: dict[str, Any] = {kind: items}
    task = task or system.fullest_task(kind)
    delivery = Delivery(items, output, as_json=as_json)
    if "audio" in system.task(task).answer_kinds:
        delivery.probe()
    with delivery:
        system.run(
            task,
            **given,
            source=source,
            target=target,
            voice=voice,
            decoding=method,
            batch=batch,
            deliver=delivery.add,
        )


def _split(inputs: Sequence[str]) -> tuple[Path | None, list[Path]]:
    """Separate a checkpoint, which is a folder or a YAML and comes first, from recordings; ``-`` is standard input."""
    paths = [Path(STDIN if name == "-" else name) for name in inputs]
    if paths and paths[0].suffix in (".yaml", ".yml"):
        from areca.pipeline.pipeline import locate_checkpoint

        return locate_checkpoint(paths[0], plugins=common.plugins()), paths[1:]
    if paths and paths[0].is_dir():
        return paths[0], paths[1:]
    return None, paths


def _check(recordings: Sequence[Path], texts: Sequence[str], output: Path | None) -> None:
    if bool(recordings) == bool(texts):
        raise InvalidConfig("give recordings, or texts by --text, and not both: areca run --task s2st in.wav")
    for path in recordings:
        if path.is_dir():
            raise InvalidConfig(f"{path}: a folder; only the first argument, the checkpoint, may be a folder")
        if not path.exists():
            raise InvalidConfig(f"{path}: no such recording" + ("" if path.suffix else " or checkpoint"))
    if output is not None and output.suffix and len(recordings) + len(texts) > 1:
        raise InvalidConfig(f"--output {output}: one file, but {len(recordings) + len(texts)} answers; name a folder")
    if output is None:
        return
    if output.suffix:
        from areca.audio import require_writable  # heavy, and needed here only

        require_writable(output)
        if output.is_dir():
            raise InvalidConfig(f"--output {output}: a folder has that name; name a file, or another folder")
    probe(output.parent if output.suffix else output)
