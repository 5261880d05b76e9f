"""Virtual environments to install third parties' distributions in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path


def build_wheel(source: Path, to: Path) -> Path:
    """Build the wheel of the distribution in `source` into the empty folder `to`."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(to), str(source)], check=True, capture_output=True)
    [wheel] = to.glob("*.whl")
    return wheel


class Environment:
    """A virtual environment that sees the packages of this interpreter, and has additional distributions."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        venv.create(directory / "venv", with_pip=False)
        self.python = directory / "venv" / "bin" / "python"
        site = next((directory / "venv").glob("lib/python*/site-packages"))
        packages = sysconfig.get_path("purelib")
        (site / "outer.pth").write_text(f"import site; site.addsitedir({packages!r})\n")

    def pip(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "pip", "--quiet", "--python", str(self.python), *arguments]
        subprocess.run(command, check=True, capture_output=True)

    def install(self, wheel: Path) -> None:
        self.pip("install", "--no-index", "--no-deps", str(wheel))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a module with this environment's interpreter, in its folder."""
        env = os.environ | {"ARECA_HOME": str(self.directory / "home"), "OMP_NUM_THREADS": "1"}
        command = [str(self.python), "-m", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd=self.directory, check=False)

    def areca(self, *arguments: str) -> str:
        """Run ``areca``, which must succeed, and return its output."""
        finished = self.run("areca", *arguments)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def names(self) -> dict[str, str]:
        """Return the health of each component in ``areca list``, by qualified name."""
        return {row["qualified"]: row["health"] for row in json.loads(self.areca("list", "--json"))["components"]}
