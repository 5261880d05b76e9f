"""Kill each verb of areca again and again: whenever it is run to its end, all that it made is what it would have been.

``python tests/kills FOLDER [--kills N] [VERB ...]``; given again, it resumes. Half of the kills come at a random moment
of the undisturbed run's time, half before a random one of its changes to the file system. Exit code 1: a difference.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from comparing import TIMES, contents, differences
from verbs import VERBS, Verb, write_inputs

_VICTIM = Path(__file__).with_name("victim.py")
_LONGEST_S = 1800.0


@dataclass
class Progress:
    """How far the kills of a verb are; kept in a file.

    Args:
        events: changes to the file system that the undisturbed run makes.
        seconds: that it takes, as far as kills at random moments have shown since.
        kills: done so far.
        worlds: folders in which the verb was killed and run to its end.
        stages: what was being made at the kills.
        different: files that are not what they would have been.
    """

    events: int = 0
    seconds: float = 0.0
    kills: int = 0
    worlds: int = 0
    stages: dict[str, int] = field(default_factory=dict)
    different: list[str] = field(default_factory=list)


class Killing:
    """The kills of one verb, in a folder of its own."""

    def __init__(self, verb: Verb, folder: Path) -> None:
        self.verb, self.folder = verb, folder
        self._path = folder / "progress.json"
        self.progress = Progress(**json.loads(self._path.read_text())) if self._path.is_file() else Progress()

    def prepare(self) -> None:
        """Run the verb undisturbed."""
        if self.progress.events:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        start = self.folder / "start"
        write_inputs(start)
        for command in self.verb.before:
            self._finish(start, command)
        world, started_s = self._world("undisturbed"), time.monotonic()
        self._finish(world, self.verb.command, count=str(self.folder / "events"))
        self.progress.seconds = time.monotonic() - started_s
        self.progress.events = int((self.folder / "events").read_text())
        self._keep()

    def kill(self, kills: int) -> None:
        """Kill until there were `kills` kills; each time that the verb gets to its end, compare and start anew."""
        expected = contents(self.folder / "undisturbed")
        while self.progress.kills < kills:
            world = self._world(f"killed-{self.progress.worlds}")
            rng = random.Random(f"{self.verb.name} {self.progress.kills} {self.progress.worlds}")
            if self._killed(world, rng):
                self.progress.kills += 1
                stage = self._stage(world)
                self.progress.stages[stage] = self.progress.stages.get(stage, 0) + 1
                print(f"{self.verb.name}: kill {self.progress.kills}/{kills}, {stage}", flush=True)
                self._keep()
            else:
                self._compare(world, expected)
        world = self._world(f"killed-{self.progress.worlds}")
        self._finish(world, self.verb.command)
        self._compare(world, expected)

    def _killed(self, world: Path, rng: random.Random) -> bool:
        """Run the verb and kill it; return whether it was killed before its end."""
        if self.progress.kills % 2:
            process = self._start(world, self.verb.command)
            try:
                code = process.wait(rng.uniform(0.3, 1.0) * self.progress.seconds)
                self.progress.seconds *= 0.7  # the machine's speed wanders: most runs are to be killed, and not all
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
                self.progress.seconds *= 1.05
        else:
            process = self._start(world, self.verb.command, event=rng.randint(1, self.progress.events))
            code = process.wait(_LONGEST_S)
        if code != -signal.SIGKILL:
            self._check(world, self.verb.command, code)
        return code == -signal.SIGKILL

    def _compare(self, world: Path, expected: dict[str, str]) -> None:
        found = differences(expected, contents(world))
        self.progress.different += [f"{world.name}/{name}" for name in found]
        print(
            f"{self.verb.name}: {world.name} is {'different: ' + ', '.join(found[:5]) if found else 'equal'}",
            flush=True,
        )
        if not found:
            shutil.rmtree(world)
        self.progress.worlds += 1
        self._keep()

    def _stage(self, world: Path) -> str:
        """Return what was being made when it was killed, by what the kill left."""
        labels = {p.parent.name: json.loads(p.read_text())["label"] for p in self._metas("undisturbed")}
        begun = [labels.get(p.name.partition(".")[0], "") for p in (world / "home").glob("*.partial")]
        if any(begun):
            return begun[0]
        if list(world.glob("out/**/.*.draft")) or list(world.glob("out/*")):
            return "output"
        return f"behind {len(self._metas(world.name))} artifacts"

    def _metas(self, world: str) -> list[Path]:
        return list((self.folder / world / "home").glob("*/artifact.json"))

    def _world(self, name: str) -> Path:
        """Return a folder that begins as a copy of the start."""
        world = self.folder / name
        if not world.exists():
            shutil.rmtree(draft := self.folder / "draft", ignore_errors=True)
            shutil.copytree(self.folder / "start", draft)
            draft.rename(world)
        return world

    def _start(self, world: Path, command: tuple[str, ...], **how: object) -> subprocess.Popen[str]:
        env = os.environ | {"ARECA_HOME": str(world / "home"), "OMP_NUM_THREADS": "1"}
        line = [sys.executable, str(_VICTIM), json.dumps({"home": str(world), **how}), *command]
        with (self.folder / "log.txt").open("w") as log:
            return subprocess.Popen(line, env=env, cwd=world, stdout=log, stderr=log, text=True)

    def _finish(self, world: Path, command: tuple[str, ...], **how: object) -> None:
        self._check(world, command, self._start(world, command, **how).wait(_LONGEST_S))

    def _check(self, world: Path, command: tuple[str, ...], code: int) -> None:
        # Killed between the last change and the end of the process, a command that makes a new folder is refused.
        if code == 0 or (code == 1 and "exists already" in self._log()):
            return
        self.progress.different.append(f"{world.name}: exit code {code}")
        self._keep()
        raise RuntimeError(f"areca {' '.join(command)} in {world}: exit code {code}\n" + self._log())

    def _log(self) -> str:
        return (self.folder / "log.txt").read_text()[-2000:]

    def _keep(self) -> None:
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(self.progress), indent=1))
        draft.replace(self._path)


def main() -> int:
    """Kill the verbs that were asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where everything is made and kept")
    parser.add_argument("verbs", nargs="*", help=f"of {', '.join(verb.name for verb in VERBS)} (else all)")
    parser.add_argument("--kills", type=int, default=20, help="of each verb")
    asked = parser.parse_args()
    rows, failed = [], Counter[str]()
    for verb in (verb for verb in VERBS if not asked.verbs or verb.name in asked.verbs):
        killing = Killing(verb, (asked.folder / verb.name.replace(" ", "")).resolve())
        try:
            killing.prepare()
            killing.kill(asked.kills)
        except RuntimeError as error:
            print(error, file=sys.stderr)
        done = killing.progress
        failed[verb.name] = len(done.different)
        stages = ", ".join(f"{stage} {count}" for stage, count in sorted(done.stages.items()))
        verdict = f"no: {', '.join(done.different[:3])}" if done.different else "yes"
        rows.append(f"| {verb.name} | {done.kills} | {stages} | {verdict} |")
    print("\n| verb | kills | what was being made | equal? |\n|---|---|---|---|\n" + "\n".join(rows))
    print("\nnot compared:\n" + "\n".join(f"- {what}: {why}" for what, why in TIMES.items()))
    return int(any(failed.values()))


if __name__ == "__main__":
    sys.exit(main())
