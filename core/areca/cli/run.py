"""``areca run CHECKPOINT in.wav -o out.wav``: transcribe, translate or speak with a checkpoint."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from areca.cli import common
from areca.cli.common import hide_download_bars
from areca.cli.delivery import Delivery
from areca.errors import InvalidConfig
from areca.files.writing import probe
from areca.run.decoding import resolve_decoding

if TYPE_CHECKING:
    from areca.system import System

STDIN = "/dev/stdin"
"""The recording that ``-`` means."""
STDOUT = Path("-")
"""The value of ``--output`` that means standard output."""


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
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="where to write speech: a .wav or .flac file, or a folder; with --stream also -, standard output",
        ),
    ] = None,
    voice: Annotated[
        str | None,
        typer.Option(
            "--voice",
            help="voice to speak in: a recording, source (that of the input) or none (the vocoder's own) "
            "(default: source, if the vocoder takes a voice)",
        ),
    ] = None,
    decoding: common.HowDecoded = None,
    batch: Annotated[int, typer.Option(help="number of inputs answered at once (with --stream: 1)", min=1)] = 8,
    device: common.Device = common.AUTO_DEVICE,
    as_json: Annotated[bool, typer.Option("--json", help="print the answers as JSON")] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="print text and write speech while the answer grows, and state the latency")
    ] = False,
) -> None:
    """Transcribe, translate or speak with a checkpoint."""
    hide_download_bars()
    from areca.system import load

    method = None if decoding is None else resolve_decoding(common.registry(), common.parse_decoding(decoding))
    checkpoint, recordings = _split(inputs or [])
    _check_output(output, stream=stream, as_json=as_json)
    _check(recordings, text or [], None if output == STDOUT else output)
    system = load(checkpoint, device=common.use_device(device), plugins=common.plugins())
    items: list[Any] = recordings or list(text or ())
    kind = "audio" if recordings else "text"
    given: dict[str, Any] = {kind: items}
    task = task or system.fullest_task(kind)
    options: dict[str, Any] = {"source": source, "target": target, "voice": voice, "decoding": method}
    if stream:
        _stream(system, task, kind, items, output, options, as_json=as_json)
        return
    delivery = Delivery(items, output, as_json=as_json)
    if "audio" in system.task(task).answer_kinds:
        delivery.probe()
    with delivery:
        system.run(task, **given, **options, batch=batch, deliver=delivery.add)


def _stream(
    system: System,
    task: str,
    kind: str,
    items: Sequence[Any],
    output: Path | None,
    options: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Answer one input after another, and deliver each answer while it grows. All are read before the first answer."""
    from areca.cli.streaming import StreamDelivery

    delivery = StreamDelivery(items, output, as_json=as_json, to_output=output == STDOUT)
    # Load the parts first, so that the latencies do not include it.
    if "audio" in system.task(task).answer_kinds:
        delivery.probe()
        _ = system.run_config.vocoder and system.vocoder
    elif output == STDOUT:
        raise InvalidConfig(f"--output -: task {task} answers in text, which is printed: leave it out")
    if kind == "audio":
        _ = system.tokenizer
    opened = []
    for seed, item in enumerate(items):
        start_s = time.perf_counter()
        pieces = system.stream(task, **{kind: item}, **options, seed=seed)
        opened.append((pieces, time.perf_counter() - start_s))
    name = task.replace(",", "+").replace(" ", "")
    with delivery:
        for pieces, took_s in opened:
            delivery.follow(name, pieces, took_s)


def _check_output(output: Path | None, *, stream: bool, as_json: bool) -> None:
    if output == STDOUT and not stream:
        raise InvalidConfig("--output -: standard output takes speech only with --stream: add it, or name a file")
    if output == STDOUT and as_json:
        raise InvalidConfig("--output - and --json both use standard output: leave one out")
    if output == STDOUT and sys.stdout.isatty():
        raise InvalidConfig("--output -: standard output is a terminal: pipe it to a player, or name a file")
    if stream and output is not None and output.suffix.lower() not in ("", ".wav"):
        raise InvalidConfig(f"--output {output}: --stream writes only .wav")


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
