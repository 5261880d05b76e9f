"""Run ``areca`` in new processes that have torch and transformers already: they are forked from one that imported them.

A process that computes spends most of its time on imports. Tests of what a command prints and writes do not need a new
import; tests of what is imported, of signals and of encodings need `subprocess`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

_HEAVY = ("areca.system", "areca.cli.app", "areca.pipeline.pipeline", "areca.evaluation.inputs", "areca.testing")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class Warm:
    """A process that has imported what computes, and forks a new one for each command."""

    def __init__(self) -> None:
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(
        self,
        *arguments: object,
        module: str = "areca",
        cwd: Path,
        env: dict[str, str],
        stdin: str | bytes = os.devnull,
        stdout: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a module with `arguments` in a new process.

        Args:
            arguments: as on the command line.
            module: the module, as in ``python -m``.
            cwd: the working directory.
            env: all environment variables.
            stdin: a file's path, or bytes that come through a pipe.
            stdout: a file's path (default: the output is returned).
        """
        with TemporaryDirectory() as name:
            given, out, err = (str(Path(name, stream)) for stream in ("in", "out", "err"))
            if isinstance(stdin, bytes):
                Path(given).write_bytes(stdin)
            piped, files = isinstance(stdin, bytes), [given if isinstance(stdin, bytes) else stdin, stdout or out, err]
            request = module, list(map(str, arguments)), str(cwd), env, files, piped
            assert self._process.stdin is not None and self._process.stdout is not None
            print(json.dumps(request), file=self._process.stdin, flush=True)
            code = int(self._process.stdout.readline())
            printed = "" if stdout else Path(out).read_text()
            return subprocess.CompletedProcess(request[1], code, printed, Path(err).read_text())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def _serve() -> None:
    sys.path.pop(0)  # of this file
    for module in _HEAVY:
        importlib.import_module(module)
    gc.freeze()  # else each process would look through, and so copy, all that is imported
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            _become(*json.loads(line))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(module: str, arguments: list[str], cwd: str, env: dict[str, str], files: list[str], piped: bool) -> None:
    """Turn this process into ``python -m MODULE``."""
    for number, (file, flags) in enumerate(zip(files, (os.O_RDONLY, _NEW, _NEW), strict=True)):
        os.dup2(os.open(file, flags, 0o600), number)
    if piped:
        writer = subprocess.Popen(["cat"], stdin=0, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        os.dup2(writer.stdout.fileno(), 0)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = [cwd, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    _serve()
