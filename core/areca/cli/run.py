"""``areca run CHECKPOINT in.wav -o out.wav``: use a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from areca.cli import common
from areca.cli.quiet import quiet
from areca.errors import InvalidConfig
from areca.generation.decoding import Decoding
from areca.options import build

if TYPE_CHECKING:
    from areca.questions import Result


def run(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CHECKPOINT] [AUDIO]...",
            help="a checkpoint's folder or its run's YAML (else the shipped one), recordings",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", "-t", help="asr, ast, s2st, tts, mt, a chain as asr+ast+s2st (else what answers most)"),
    ] = None,
    source: Annotated[str | None, typer.Option("--source", "-s", help="language of the input, as French or fr")] = None,
    target: Annotated[str | None, typer.Option("--target", help="language of the answer, as English or en")] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", help="a text instead of a recording; may be repeated")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="where speech goes: a .wav or .flac file, or a folder")
    ] = None,
    voice: Annotated[Path | None, typer.Option("--voice", help="a recording of the voice to speak in")] = None,
    decoding: common.HowDecoded = None,
    batch: Annotated[int, typer.Option(help="inputs answered at once", min=1)] = 8,
    device: Annotated[str, typer.Option(help="where to compute, as cuda")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="print the answers as JSON")] = False,
) -> None:
    """Transcribe, translate or speak with a checkpoint."""
    quiet()
    from areca.system import load

    how = build(Decoding, common.decoding(decoding) or {}, "decoding")
    checkpoint, recordings = _split(inputs or [])
    _check(recordings, text or [], output)
    system = load(checkpoint, device=device, plugins=common.plugins())
    items: list[Any] = recordings or list(text or ())
    kind = "audio" if recordings else "text"
    task = task or system.fullest_task(kind)
    results = system.run(task, **{kind: items}, source=source, target=target, voice=voice, decoding=how, batch=batch)
    paths = _write(results, items, output)
    if as_json:
        rows = [_row(result, path) for result, path in zip(results, paths, strict=True)]
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        for result, path in zip(results, paths, strict=True):
            _show(result, path)


def _split(inputs: Sequence[str]) -> tuple[Path | None, list[Path]]:
    """Tell a checkpoint in front from the recordings: it is the only folder, or YAML."""
    paths = [Path(name) for name in inputs]
    if paths and paths[0].suffix in (".yaml", ".yml"):
        from areca.pipeline import locate

        return locate(paths[0], plugins=common.plugins()), paths[1:]
    if paths and paths[0].is_dir():
        return paths[0], paths[1:]
    return None, paths


def _check(recordings: Sequence[Path], texts: Sequence[str], output: Path | None) -> None:
    if bool(recordings) == bool(texts):
        raise InvalidConfig("give recordings, or texts by --text, and not both: areca run --task s2st in.wav")
    for path in recordings:
        if path.is_dir():
            raise InvalidConfig(f"{path}: a folder; only the first argument may be one, the checkpoint's")
        if not path.is_file():
            raise InvalidConfig(f"{path}: no such recording" + ("" if path.suffix else " or checkpoint"))
    if output is not None and output.suffix and len(recordings) + len(texts) > 1:
        raise InvalidConfig(f"--output {output}: one file for {len(recordings) + len(texts)} answers; name a folder")
    if output is not None and output.suffix:
        from areca.audio import require_writable  # heavy, and only this needs it before the checkpoint is read

        require_writable(output)


def _write(results: Sequence[Result], items: Sequence[Any], output: Path | None) -> list[Path | None]:
    from areca import audio

    paths: list[Path | None] = []
    for number, (result, item) in enumerate(zip(results, items, strict=True)):
        if result.audio is None:
            paths.append(None)
            continue
        stem = item.stem if isinstance(item, Path) else f"text-{number + 1}"
        name = f"{stem}.{result.task}.wav"
        path = output if output is not None and output.suffix else (output or Path()) / name
        if path in paths:
            path = path.with_name(f"{stem}-{number + 1}.{result.task}.wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, result.audio)
        paths.append(path)
    return paths


def _row(result: Result, path: Path | None) -> dict[str, Any]:
    return {
        "input": result.name,
        "task": result.task,
        "texts": dict(result.texts),
        "audio": None if path is None else str(path),
        "audio_seconds": None if result.audio is None else round(result.audio.seconds, 3),
        "cut": result.cut,
        "seconds": round(result.seconds, 3),
    }


def _show(result: Result, path: Path | None) -> None:
    print(result.name)
    for field, text in result.texts.items():
        print(f"  {field:<12} {text}")
    if path is not None and result.audio is not None:
        print(f"  {'speech':<12} {path} ({result.audio.seconds:.1f} s, made in {result.seconds:.1f} s)")
    if result.cut:
        print("  the answer reached its limit and was cut")
