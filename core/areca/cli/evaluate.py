"""``areca evaluate CHECKPOINT``: score a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from areca.cli import common
from areca.cli.common import hide_download_bars
from areca.errors import InvalidConfig
from areca.files.names import sanitize_folder_name
from areca.files.writing import probe

if TYPE_CHECKING:
    from areca.evaluation.inputs import Inputs

RESULTS = Path("results")


def evaluate(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CHECKPOINT] [DATA]",
            help="a checkpoint's folder or a run's YAML (default: the shipped checkpoint); then a manifest, or a "
            "run's YAML whose data are used",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", "-t", help="a task or chain (default: all that the checkpoint was trained for)"),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            "-j",
            help="recogniser of spoken answers: pocketsphinx, whisper:DIR or '{name: whisper, path: DIR, ...}'",
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="split of the data (default: that of the YAML)")] = None,
    source: Annotated[list[str] | None, typer.Option("--source", "-s", help="only rows from this source")] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", "-l", help="only rows in this source language")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="maximum number of rows for each source and language", min=1)
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", help="wer, bleu or '{name: bleu, tokenize: char}' (default: those of the YAML)"),
    ] = None,
    normaliser: Annotated[
        str | None,
        typer.Option(help="brings texts into one form before they are compared: basic, spoken-values or whisper"),
    ] = None,
    decoding: common.HowDecoded = None,
    voice: Annotated[
        str | None,
        typer.Option(
            help="voice of spoken answers: source, none or a recording (default: source, if the vocoder takes a voice)"
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="number of requests answered at once", min=1)] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="folder of the results (default: results/NAME)")
    ] = None,
    device: common.Device = common.AUTO_DEVICE,
) -> None:
    """Score a checkpoint on data that it was not trained on. Judges, which are recognisers, transcribe its speech.

    Default options come from `evaluation:` in the checkpoint's YAML. To resume interrupted work, run the same command
    again.
    """
    hide_download_bars()
    from areca.evaluation.inputs import open_inputs

    given = {
        "tasks": task,
        "judges": judge,
        "split": split,
        "sources": source,
        "languages": language,
        "limit": limit,
        "metrics": metric,
        "normaliser": normaliser,
        "decoding": common.parse_decoding(decoding),
        "voice": voice,
        "batch": batch,
    }
    probe(output or RESULTS)
    device = common.use_device(device)
    opened = open_inputs(
        *_split(inputs or []),
        {name: value for name, value in given.items() if value not in (None, [])},
        plugins=common.plugins(),
        device=device,
        stage=common.progress,
    )
    directory = output or RESULTS / sanitize_folder_name(opened.name)
    opened.evaluate(directory, device=device, stage=common.progress)
    _show(directory, opened)


def _split(inputs: list[str]) -> tuple[Path | None, Path | None]:
    if len(inputs) > 2:
        raise InvalidConfig(f"expected a checkpoint and its data, got {len(inputs)} arguments: {' '.join(inputs)}")
    paths: list[Any] = [Path(name) for name in inputs]
    if len(paths) == 1 and paths[0].suffix == ".jsonl":
        return None, paths[0]
    checkpoint, data = [*paths, None, None][:2]
    return checkpoint, data


def _show(directory: Path, opened: Inputs) -> None:
    from areca.cli.report import print_report

    print(f"{opened.name} on split {opened.config.split!r} of {opened.manifest.name}\n")
    print_report(directory, opened.registry)
