"""The command line of areca in a process that kills itself with -9 at one of its changes to the file system.

``python victim.py '{"event": 7}' train run.yaml`` runs ``areca train run.yaml`` up to its 7th change; ``match``, a
regular expression, takes changes of paths that it finds alone; ``count`` names a file for how many there were.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

_CHANGES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.truncate", "shutil.rmtree"}
_WRITING = os.O_WRONLY | os.O_RDWR


def watch(event: int | None, match: str, home: str) -> list[int]:
    """Kill this process before its change number `event` of a path in the folder `home`; return the count of them."""
    count = [0]

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        changes = name in _CHANGES or (name == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING)
        if not changes or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if not path.startswith(home) or not re.search(match, path):
            return
        count[0] += 1
        if count[0] == event:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return count


def main() -> None:
    """Run what the arguments say."""
    how = json.loads(sys.argv[1])
    sys.argv[1:2] = []
    count = watch(how.get("event"), how.get("match", ""), how["home"])
    from areca.cli import main as areca

    try:
        areca()
    finally:
        if "count" in how:
            Path(how["count"]).write_text(str(count[0]))


if __name__ == "__main__":
    main()
