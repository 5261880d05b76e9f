"""Fixtures that install real distributions (metadata and modules) in a folder, for a new interpreter to find."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.warm import Warm

os.environ["ARECA_DEVICE"] = "cpu"  # the expected values are the CPU's
PLUGIN = '''
from dataclasses import dataclass
from areca import Component, Kind, hookimpl, runtime
from areca.specs import Stream, TokenizerSpec

ARECA_PLUGIN_API = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Options."""

    size: int = 16
    """Number of codes."""
    device_batch: int = runtime(4)
    """Audios at once."""


def spec(config, needs):
    return TokenizerSpec((Stream("unit", config.size, 25.0),), 16_000)


def row(name, **other):
    return Component(kind=Kind.TOKENIZER, name=name, config=Config, spec=f"{__name__}:spec",
                     target=f"{__name__}_model:Model", summary="a codec of the tests", **other)
'''
"""The start of a plugin's module; `row` returns a component."""


class World:
    """A folder of installed distributions, and commands that see them."""

    def __init__(self, directory: Path, forking: Callable[[], Warm]) -> None:
        self.directory = directory
        self.site = directory / "site"
        self._forking = forking
        self.site.mkdir()

    def distribution(
        self,
        name: str,
        plugins: Mapping[str, str],
        version: str = "1.0",
        *,
        verbs: Mapping[str, str] | None = None,
        summary: str = "",
    ) -> None:
        """Install a distribution.

        Args:
            name: name of the distribution.
            plugins: code by entry point; an entry point is also the name of its module.
            version: version of the distribution.
            verbs: ``"module:function"`` by entry point of ``areca.verbs``; `module` writes the code.
            summary: summary in the metadata.
        """
        info = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: {summary}\n")
        groups = {"areca": {plugin: plugin for plugin in plugins}, "areca.verbs": verbs or {}}
        lines = [[f"[{group}]", *(f"{p} = {value}" for p, value in points.items())] for group, points in groups.items()]
        (info / "entry_points.txt").write_text("\n".join(line for group in lines for line in group) + "\n")
        for plugin, code in plugins.items():
            self.module(f"{plugin}.py", code)

    def module(self, path: str, code: str) -> None:
        """Write a module, such as ``"acme/cli.py"``, beside the distributions."""
        (self.site / path).parent.mkdir(parents=True, exist_ok=True)
        (self.site / path).write_text(textwrap.dedent(code))

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment variables of a command that sees the distributions."""
        path = os.pathsep.join([str(self.site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        home = str(self.directory / "home")
        return os.environ | {"PYTHONPATH": path, "ARECA_HOME": home, "PYTHONDONTWRITEBYTECODE": "1"} | variables

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this interpreter that sees the distributions."""
        command, env = (sys.executable, *command), self.environment(**variables)
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd=self.directory, check=False)

    def areca(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return self.run("-m", "areca", *arguments, **variables)

    def warm(self, *arguments: str, module: str = "areca", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in a process that has imported torch and transformers already: see `tests.warm`."""
        env = self.environment(**variables)
        return self._forking().run(*arguments, module=module, cwd=self.directory, env=env)

    def python(self, code: str, **variables: str) -> Any:
        """Run `code` and return the JSON that it prints."""
        finished = self.run("-c", textwrap.dedent(code), **variables)
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a corpus, as the root of runs."""
    from areca.testing.corpus import write_corpus  # heavy, and most tests do not need it

    directory = tmp_path_factory.mktemp("run")
    write_corpus(directory / "corpus")
    return directory


@pytest.fixture(scope="session")
def forking() -> Iterator[Callable[[], Warm]]:
    """Return a function that returns the process from which commands are forked; it starts at the first call."""
    started: list[Warm] = []

    def start() -> Warm:
        if not started:
            started.append(Warm())
        return started[0]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def warm(forking: Callable[[], Warm]) -> Warm:
    """Return the process from which commands are forked."""
    return forking()


@pytest.fixture(scope="session")
def make_world(tmp_path_factory: pytest.TempPathFactory, forking: Callable[[], Warm]) -> Callable[[], World]:
    """Return a function that returns an empty world."""
    return lambda: World(tmp_path_factory.mktemp("world"), forking)


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """Return an empty world."""
    return make_world()


@pytest.fixture(scope="session")
def plugin_code() -> str:
    """Return the start of a plugin's module; `row(name, ...)` returns a tokenizer component."""
    return PLUGIN
