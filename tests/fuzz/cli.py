"""Command lines: every verb with its options, near-valid and odd, in a folder of odd file names."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
import typer
from hypothesis import strategies as st

from areca.audio import write
from areca.cli.app import VERBS, app
from areca.errors import ArecaError
from areca.system import NANO
from areca.types import Audio
from tests.fuzz.inputs import Input

INPUTS = 700
WRITES = True
_ROW = {
    "audio": "a.wav",
    "text": "un",
    "language": "fr",
    "split": "test",
    "target_text": "one",
    "target_language": "en",
}
_CLIPS = ("a.wav", "-x.wav", "é n.wav", "[bold]%s.wav", "\udcff.wav", "🎧\n.wav", "y" * 240 + ".wav")
_ODD = (
    *(
        "",
        "-",
        "--",
        "nowhere",
        "a.wav/b",
        "../outside",
        "x" * 300,
        "é",
        "[red]",
        "%s",
        "=",
        "a=b",
        "0",
        "-1",
        "1e9",
        "*",
    ),
    *(
        "99999999999999999999",
        "nan",
        "{",
        "{}",
        "{a: [",
        "/dev/null",
        "/",
        ".",
        "~",
        "--help",
        "\u202e",
        "\udcfe",
        "'\"",
    ),
)
_WORDS = {
    "task": ("asr", "mt", "s2st", "asr+ast", "tts", "ocr", "asr+", "asr,ast"),
    "source": ("French", "fr", "Klingon", "pt-BR", "human", "synthetic"),
    "target": ("English", "en", "fr"),
    "text": ("un", "deux cents", "0" * 3000, "\x07", "ไทย"),
    "output": ("out.wav", "out", "out.mp3", "no/such/out.wav", "a.wav", "manifest.jsonl", "../outside/new"),
    "voice": _CLIPS[:2],
    "decoding": (
        "greedy",
        "beam",
        "sample",
        "{name: beam, beams: 2}",
        "{name: beam, beams: 0}",
        "{name: sample, x: 1}",
        "{method: beam}",
    ),
    "batch": ("1", "8", "0", "x"),
    "device": ("cpu", "cuda", "cuda:99", "meta", "x"),
    "judge": ("whisper:.", "{name: whisper}", "{name: [}", "x"),  # not pocketsphinx: its grammar takes 10 s to read
    "metric": ("wer", "{name: bleu, tokenize: char}", "{name: bleu, tokenise: char}", "{name: [}", "x"),
    "normaliser": ("basic", "spoken-values", "whisper", "x"),
    "split": ("test", "train", "x"),
    "language": ("fr", "xx"),
    "limit": ("1", "0", "x"),
    "kind": ("task", "tokenizer", "tokeniser"),
    "seed": ("1", "x"),
}
_PLACES = {
    "run": (*_CLIPS, "nano", "damaged", "text.wav", "sub"),
    "train": ("run.yaml", "nano.yaml", "bad.yaml", "manifest.jsonl", "training.steps=1", "seed=x"),
    "evaluate": ("manifest.jsonl", "empty.jsonl", "bad.yaml", "a.wav"),
    "ablate": ("study.yaml", "run.yaml", "bad.yaml"),
    "report": ("results", "sub", "nano"),
    "export": ("nano", "damaged", "sub", "out", "copy", "run.yaml"),
    "data": ("manifest.jsonl", "empty.jsonl", "latin.jsonl", "say", "nothing", "asr"),
    "fit": ("tokenizer", "backbone", "x", "run.yaml", "bad.yaml"),
    "tokenize": ("run.yaml", "bad.yaml"),
    "validate": ("run.yaml", "nano.yaml", "bad.yaml", "data=manifest.jsonl", "data=sub", "lm.reads=x"),
    "show": ("asr", "dedup", "usm-v2", "say", "areca:decoder/decoder", "decodr"),
    "config": ("asr", "dedup", "usm-v2", "say", "decodr"),
    "check": ("asr", "mt", "nothing", "steps=2"),
    "new": ("tokenizer", "task", "my-codec", "My Codec", "x"),
    "store": ("ls", "rm", "gc", "abc"),
}
_FORCED = {
    # What would train or make a corpus stops before that, or is as small as it can be.
    "train": ["--dry-run"],
    "ablate": ["--dry-run"],
    "fit": ["data=nowhere.jsonl"],
    "tokenize": ["data=nowhere.jsonl"],
    "data": ["sources=[synthetic]", "count=0", "validation_count=0", "test_count=1", "languages=[fr]"],
    "evaluate": ["--limit", "2", "manifest.jsonl"],
}


def prepare(folder: Path) -> None:
    """Write recordings, manifests, recipes, a checkpoint and a damaged one."""
    (folder / "sub").mkdir()
    write(folder / "a.wav", Audio(0.1 * torch.sin(torch.arange(6400) / 10)[None], 16_000))
    for name in _CLIPS[1:]:
        shutil.copy(folder / "a.wav", folder / name)
    (folder / "text.wav").write_text("not audio")
    (folder / "manifest.jsonl").write_text("".join(json.dumps({"id": f"r{n}", **_ROW}) + "\n" for n in range(2)))
    (folder / "empty.jsonl").touch()
    (folder / "latin.jsonl").write_bytes('{"id": "é"}\n'.encode("latin-1"))
    shutil.copy(Path(__file__).parents[2] / "recipes" / "nano.yaml", folder / "nano.yaml")
    for name in ("run.yaml", "study.yaml", "bad.yaml"):
        (folder / name).write_text(_RECIPES[name])
    shutil.copytree(NANO, folder / "nano")
    shutil.copytree(NANO, folder / "damaged", ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "results").mkdir()
    (folder / "results" / "results.jsonl").write_text('{"id": "x"}\n')


_RECIPES = {
    "run.yaml": "data: manifest.jsonl\ntokenizer: {name: mfcc-kmeans}\nbackbone: {name: decoder}\ntasks: [asr]\n",
    "study.yaml": "base: run.yaml\naxes: {tasks: {asr: {}, mt: {tasks: [mt]}}}\nseeds: [0, 1]\n",
    "bad.yaml": "tokenizer: [\n",
}


def _options() -> dict[str, list[tuple[str, str, bool]]]:
    """Return the options of each verb: how it is written, its name, whether it is a flag."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group)
    found = {}
    for verb in VERBS:
        _, command, _ = group.resolve_command(context, [verb])
        options = [p for p in command.params if p.param_type_name == "option"]
        found[verb] = [(written, p.name, p.is_flag) for p in options for written in p.opts]
    return found


@st.composite
def strategy(draw: st.DrawFn, folder: Path) -> Input:
    """Draw a command line, and the encoding of its screen."""
    options = _options()
    odd = st.sampled_from(_ODD) | st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12
    )
    verb = draw(st.sampled_from(sorted(VERBS))) if draw(st.integers(0, 19)) else draw(odd)
    words: list[str] = []
    for _ in range(draw(st.integers(0, 3)) if options.get(verb) else 0):
        written, name, is_flag = draw(st.sampled_from(options[verb]))
        values = st.sampled_from(_WORDS.get(name, ("x",)))
        words += [written] if is_flag else [written, draw(values if draw(st.integers(0, 3)) else odd)]
    places = st.sampled_from(_PLACES.get(verb, ("x",)))
    some = [draw(places if draw(st.integers(0, 4)) else odd) for _ in range(draw(st.integers(0, 3)))]
    if verb == "evaluate":  # with more than one place it may name a run, which would be trained
        some = some[:1] if some and some[0] in ("nano", "damaged", "sub", "a.wav") else []
    words = [*words, *some] if draw(st.booleans()) else [*some, *words]
    before = (
        ["-p", draw(st.sampled_from(("nothing", "run.yaml", "sub", "x.py")) | odd)]
        if draw(st.integers(0, 19)) == 0
        else []
    )
    forced = [] if verb == "data" and any(w.endswith(".jsonl") for w in words) else _FORCED.get(verb, [])
    return Input(
        {}, {"words": [*before, verb, *words, *forced], "encoding": draw(st.sampled_from(("utf-8",) * 5 + ("ascii",)))}
    )


def arrange(folder: Path, arguments: Any, seeds: Path) -> None:
    """Put the files of `prepare` where the command is run."""
    shutil.copytree(seeds, folder, dirs_exist_ok=True, symlinks=True)
    os.environ["ARECA_ASTERISK_ARCHIVES"] = str(folder / "sub")  # nothing is downloaded


def run(folder: Path, arguments: Any) -> None:
    """Run the command in its folder, as the shell would."""
    screens = sys.stdout, sys.stderr
    encoding = arguments["encoding"]
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), encoding, "strict", write_through=True)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(open(2, "wb", closefd=False), encoding, "backslashreplace", write_through=True)  # noqa: SIM115
    try:
        app(arguments["words"], prog_name="areca")
    except SystemExit as end:
        if end.code not in (None, 0):
            raise ArecaError(f"exit code {end.code}") from None
    finally:
        sys.stdout, sys.stderr = screens
