"""A worker: draws an input, writes it down, runs it, and says what came of it; a line of JSON each."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import inspect
import json
import os
import resource
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.guards import Writes, changes, listing, peak_bytes, reset_peak
from tests.fuzz.inputs import Input, drawer, save, saved

_ADDRESS_BYTES = 24_000_000_000  # so that one input cannot take the machine's memory
_COLLECTED = 50
"""Inputs between two collections of garbage."""
_LONGEST, _LINES, _LOG = 2000, 20, 1_000_000
_TRACEBACK = "Traceback (most recent call last)"
_ROOT = Path(__file__).parents[2]


class Failure(Exception):
    """What is wrong with how an input ended: a kind to count by, and all that is known."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind)
        self.kind, self.detail = kind, detail


class Room:
    """A worker's folders: what inputs may change, and what they may not."""

    def __init__(self, root: Path) -> None:
        self.root, self.seeds = root / "room", root / "seeds"
        self.current = root / "current"
        for name, variable in (("home", "HOME"), ("tmp", "TMPDIR"), ("store", "ARECA_HOME")):
            os.environ[variable] = str(self.root / name)
        for name, variable in (("hypothesis", "HYPOTHESIS_STORAGE_DIRECTORY"), ("torch", "TORCHINDUCTOR_CACHE_DIR")):
            os.environ[variable] = str(root / name)

    def furnish(self, input_folder: Path) -> Path:
        """Make everything anew, and return the folder that the input's files are in."""
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ("home", "tmp", "store", "outside"):
            (self.root / name).mkdir(parents=True)
        for name in ("victim.wav", "keep.partial"):
            (self.root / "outside" / name).write_bytes(b"kept")
        shutil.copytree(input_folder / "files", self.root / "files")
        return self.root / "files"


class Worker:
    """Runs inputs in one folder, one after the other."""

    def __init__(self, root: Path, log: Path, most_bytes: float) -> None:
        self._room, self._log, self._writes = Room(root), log, Writes(root)
        self._most_bytes, self._count = most_bytes, 0
        self._drawers: dict[str, Callable[[str], Input]] = {}

    def draw(self, target: str, seed: str) -> None:
        """Draw an input and save it as the current one."""
        module = _module(target)
        if target not in self._drawers:
            self._prepare(target)
            self._drawers[target] = drawer(module.strategy(self._room.seeds / target))
        shutil.rmtree(self._room.current, ignore_errors=True)
        save(self._room.current, target, self._drawers[target](seed))

    def arrange(self, folder: Path) -> Callable[[], dict[str, Any]]:
        """Make a saved input ready, and return what runs it."""
        target, arguments = saved(folder)
        module = _module(target)
        self._prepare(target)
        files = self._room.furnish(folder)
        if hasattr(module, "arrange"):
            takes_seeds = len(inspect.signature(module.arrange).parameters) == 3
            module.arrange(files, arguments, *([self._room.seeds / target] if takes_seeds else []))
        return lambda: self._run(module, files, arguments)

    def _prepare(self, target: str) -> None:
        seeds = self._room.seeds / target
        if not seeds.is_dir():
            seeds.mkdir(parents=True)
            _module(target).prepare(seeds)

    def _run(self, module: Any, files: Path, arguments: Any) -> dict[str, Any]:
        room = self._room
        os.chdir(files)
        before = listing(room.root, room.seeds, _ROOT / "recipes", _ROOT / "core" / "areca" / "assets")
        reset_peak()
        os.ftruncate(1, 0)
        verdict: dict[str, Any]
        with self._writes.watched() as strays:
            try:
                verdict = self._verdict(module, files, arguments)
                if strays:
                    raise Failure(f"writes to {strays[0]}", "\n".join(strays))
            except Failure as failure:
                verdict = {"verdict": "failed", "kind": failure.kind, "detail": failure.detail}
        peak = peak_bytes()
        os.chdir(room.root)
        after = listing(room.root, room.seeds, _ROOT / "recipes", _ROOT / "core" / "areca" / "assets")
        if verdict["verdict"] != "failed":
            verdict = self._left(module, changes(before, after)) or verdict
        if verdict["verdict"] != "failed" and peak > self._most_bytes:
            kind = f"more than {self._most_bytes / 1e9:g} GB of memory"
            verdict = {"verdict": "failed", "kind": kind, "detail": f"{peak / 1e9:.1f} GB"}
        self._collect()
        return {**verdict, "peak": peak}

    def _collect(self) -> None:
        # What the imports made is looked through by every collection, and takes ten times as long as an input.
        if self._count % _COLLECTED == 0:
            gc.collect()
            gc.freeze()
        self._count += 1

    def _left(self, module: Any, changed: list[str]) -> dict[str, Any] | None:
        free = [str(self._room.root / name) + os.sep for name in (("files", "store") if module.WRITES else ())]
        if wrong := [path for path in changed if not path.startswith(tuple(free))]:
            place = Path(wrong[0]).relative_to(self._room.root.parent).parts[:2]
            return {"verdict": "failed", "kind": f"changes {'/'.join(place)}", "detail": "\n".join(wrong)}
        return None

    def _verdict(self, module: Any, files: Path, arguments: Any) -> dict[str, Any]:
        from areca.errors import ArecaError

        verdict = {"verdict": "accepted"}
        try:
            module.run(files, arguments)
        except ArecaError as error:
            _check_message(error)
            verdict = {"verdict": "rejected"}
        except BaseException as error:
            raise Failure(f"{type(error).__name__} at {_place(error)}", traceback.format_exc()[-6000:]) from error
        sys.stdout.flush()
        sys.stderr.flush()
        screen = self._log.read_bytes()[:_LOG].decode(errors="replace")
        if _TRACEBACK in screen:
            raise Failure("a traceback on the screen", screen[-6000:])
        return verdict


def _module(target: str) -> Any:
    return importlib.import_module(f"tests.fuzz.{target}")


def _check_message(error: BaseException) -> None:
    message = str(error)
    size = f"{type(error).__name__} at {_place(error)}"
    if not message.strip():
        raise Failure(f"an error without a message: {size}", traceback.format_exc()[-6000:])
    if len(message) > _LONGEST or message.count("\n") > _LINES or _TRACEBACK in message:
        raise Failure(f"a message of {len(message)} characters: {size}", message[:6000])


def _place(error: BaseException) -> str:
    """Return file and line where it was raised: the innermost of areca's, and what that called."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename.startswith((f"{_ROOT}/core", f"{_ROOT}/plugins"))]
    places = [f"{Path(f.filename).name}:{f.lineno}" for f in (own or frames)[-1:] + frames[-1:]]
    return " in ".join(reversed(dict.fromkeys(places)))


def main(root: Path, hang_s: float, most_bytes: float) -> None:
    """Answer the parent: a line comes with a target and a seed, or a folder; two go back: it starts, it ended."""
    answers = os.fdopen(os.dup(1), "w")
    log = root / "log"
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    worker = Worker(root, log, most_bytes)
    commands = os.fdopen(os.dup(0), "r")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def answer(said: dict[str, Any]) -> None:
        print(json.dumps(said), file=answers, flush=True)

    for line in commands:
        command = json.loads(line)
        if "seed" in command:
            worker.draw(command["target"], command["seed"])
        run = worker.arrange(Path(command.get("folder", root / "current")))
        answer({"starts": True})
        faulthandler.dump_traceback_later(0.9 * hang_s)
        said = run()
        faulthandler.cancel_dump_traceback_later()
        answer(said)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
