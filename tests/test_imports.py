"""Imports: core knows no plugin, and everything that must be quick imports nothing heavy."""

from __future__ import annotations

import ast
import json
import os
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from areca.registry.entry import Entry
from areca.registry.registry import Registry
from tests import ROOT

CORE = sorted((ROOT / "core").rglob("*.py"))
PACKAGES = sorted(p.parent for p in ROOT.glob("plugins/*/areca_*/__init__.py"))
FIRST_PARTY = [entry for entry in Registry.discover().entries() if entry.provider.distribution == "areca"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HEAVY = ("torch", "torchaudio", "transformers", "numpy", "pyarrow", "soundfile")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def heavy_modules(*arguments: str) -> list[str]:
    """Return which heavy modules a new interpreter has imported after running ``areca`` with `arguments`."""
    code = (
        "import atexit, json, sys\n"
        f"atexit.register(lambda: print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]), file=sys.stderr))\n"
        f"sys.argv = ['areca', *{list(arguments)!r}]\n"
        "from areca.cli import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stderr.splitlines()[-1])
    assert isinstance(result, list)
    return result


def test_core_never_imports_a_plugin() -> None:
    assert len(CORE) > 20
    names = {package.name for package in PACKAGES}
    guilty = [
        f"{path.relative_to(ROOT)}: {module}"
        for path in CORE
        for module in imported(path)
        if module.startswith("areca_") or module.partition(".")[0] in names
    ]
    assert guilty == []


ROOMS = [
    *("errors", "files", "component", "fields", "specs", "patterns", "types", "options", "languages", "batching"),
    *(
        "sliding",
        "mel",
        "statistics",
        "sound",
        "audio",
        "rows",
        "tasks",
        "artifact",
        "manifest",
        "job",
        "interfaces",
        "hub",
        "fitting",
        "registry",
        "run",
    ),
    *("artifacts", "lm", "generation", "training", "pipeline", "system", "evaluation", "testing", "cli"),
]
"""What lies at the top of ``areca/``, modules and rooms: each imports only what stands before it, and itself."""


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "areca"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_before_it(room: str) -> None:
    top = ROOT / "core" / "areca"
    files = [top / f"{room}.py"] if (top / f"{room}.py").is_file() else sorted((top / room).rglob("*.py"))
    assert files
    allowed = {"areca", *ROOMS[: ROOMS.index(room) + 1]}
    modules = {(path.name, m) for path in files for m in imported(path) if m == "areca" or m.startswith("areca.")}
    assert sorted((name, m) for name, m in modules if room_of(m) not in allowed) == []


def test_every_room_is_in_the_order() -> None:
    top = ROOT / "core" / "areca"
    there = {p.stem for p in top.glob("*.py")} | {p.parent.name for p in top.glob("*/__init__.py")}
    assert there - {"__init__", "__main__"} == set(ROOMS)


def test_no_plugin_imports_another() -> None:
    names = {package.name for package in PACKAGES}
    guilty = [
        f"{path.relative_to(ROOT)}: {module}"
        for package in PACKAGES
        for path in package.rglob("*.py")
        for module in imported(path)
        if module.partition(".")[0] in names - {package.name}
    ]
    assert guilty == []


def test_core_names_no_plugin_in_strings_it_imports_by() -> None:
    calls = [
        (path, node)
        for path in CORE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module")
    ]
    assert calls
    constants = [ast.unparse(node) for _, node in calls if "areca_" in ast.unparse(node)]
    assert constants == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_plugin_is_typed_and_no_packages_nest(package: Path) -> None:
    assert (package / "py.typed").is_file()
    assert not (package.parent / "__init__.py").exists()


def test_light_halves_import_nothing_heavy() -> None:
    names = [package.name for package in PACKAGES]
    code = f"import sys, {', '.join(names)}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


INSTALLED = packages_distributions()


@pytest.mark.parametrize("entry", FIRST_PARTY, ids=lambda entry: entry.qualified)
def test_a_components_extra_installs_what_it_requires(entry: Entry) -> None:
    extra = entry.component.extra
    lines = PROJECT["dependencies"] + (PROJECT["optional-dependencies"][extra] if extra else [])
    brought = {canonicalize_name(Requirement(line).name) for line in lines}
    lacking = [
        module
        for module in entry.component.requires
        if brought.isdisjoint(canonicalize_name(name) for name in INSTALLED.get(module, [module]))
    ]
    assert lacking == [], f"pip install 'areca[{extra}]' does not bring it" if extra else "it names no extra"


@pytest.mark.parametrize("arguments", [("--help",), ("list",), ("list", "--json"), ("show", "usm-v2"), ("doctor",)])
def test_quick_verbs_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert heavy_modules(*arguments) == []


def test_validate_imports_nothing_heavy(tmp_path: Path) -> None:
    run = tmp_path / "run.yaml"
    run.write_text(
        "data: {name: say}\ntokenizer: {name: usm-v2}\nbackbone: {name: decoder}\n"
        "vocoder: {name: unit-mel}\ntasks: [asr, {chain: [asr, ast, s2st]}]\n"
    )
    assert heavy_modules("validate", str(run), "seed=3") == []


def _cpu_s(*command: str) -> float:
    """Return the processor time of a command: unlike wall time, it hardly depends on what else runs."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def test_quick_verbs_are_quick() -> None:
    commands = {
        "base": (sys.executable, "-c", "import omegaconf, pluggy"),
        "--help": (sys.executable, "-m", "areca", "--help"),
        "list": (sys.executable, "-m", "areca", "list"),
        "show": (sys.executable, "-m", "areca", "show", "usm-v2"),
    }
    rounds = [{name: _cpu_s(*command) for name, command in commands.items()} for _ in range(5)]
    # The machine's speed wanders: a ratio is taken within a round.
    ratios = {name: statistics.median(r[name] / r["base"] for r in rounds) for name in commands}
    assert max(ratios.values()) < 3, ratios
