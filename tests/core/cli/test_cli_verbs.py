"""Verbs of plugins are listed without an import, run like areca's own, and do no harm if they are broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ALIGN = '''
"""A verb of the tests."""

import sys
from typing import Annotated

import typer

from areca.cli import common

print("areca_acme_lab.cli was imported", file=sys.stderr)


def align(
    words: Annotated[list[str], typer.Argument(help="words to align")],
    upper: Annotated[bool, typer.Option("--upper", help="in capitals")] = False,
) -> None:
    """Align words with   nothing.

    A second paragraph, of which `areca --help` shows nothing.
    """
    print(" ".join(words).upper() if upper else " ".join(words))


def names() -> None:
    """List components, those of -p too"""
    print(*sorted(entry.component.name for entry in common.registry().entries()))


def fails() -> None:
    """Raise an error of areca."""
    from areca.errors import InvalidConfig

    raise InvalidConfig("steps=0: expected 1 or more")
'''
INNER = '''
import typer

own = typer.Typer(help="Verbs of a verb.")


@own.command()
def first() -> None:
    """Be the first."""
    print("first")


@own.command()
def second() -> None:
    """Be the second."""
    print("second")
'''
BROKEN = {
    "lost": ("areca_bad.nowhere:f", "ModuleNotFoundError: No module named 'areca_bad.nowhere'"),
    "lost-package": ("areca_nowhere.cli:f", "ModuleNotFoundError: No module named 'areca_nowhere'"),
    "lost-function": ("areca_bad.cli:absent", "has no attribute 'absent'"),
    "raising": ("areca_bad.raising:f", "ZeroDivisionError: division by zero"),
    "leaving": ("areca_bad.leaving:f", "SystemExit: 3"),
    "misspelt": ("areca_bad.misspelt:f", "SyntaxError: "),
    "number": ("areca_bad.cli:number", "'areca_bad.cli:number' is 7, expected a function or a typer.Typer"),
    "module": ("areca_bad.cli", "expected a function or a typer.Typer"),
    "odd-type": ("areca_bad.cli:odd", "NameError: name 'Odd' is not defined"),
}
"""Verb -> (entry point, what running it says)."""
MODULES = {
    "cli": "number = 7\ndef odd(value: 'Odd') -> None: ...\n",
    "raising": "1 / 0\n",
    "leaving": "raise SystemExit(3)\n",
    "misspelt": "def f(:\n",
}


@pytest.fixture(scope="module")
def lab(make_world: Callable[[], Any], plugin_code: str) -> Any:
    """A world with verbs: good ones, broken ones, one name of two distributions, and a name of areca's own."""
    world = make_world()
    hook = "\n@hookimpl\ndef areca_components():\n    return [row('gadget')]\n"
    world.module("areca_acme_lab/__init__.py", plugin_code + hook)
    world.module("areca_acme_lab/cli.py", ALIGN)
    world.module("areca_acme_lab/inner.py", INNER)
    verbs = {name: f"areca_acme_lab.cli:{name}" for name in ("align", "names", "fails")}
    verbs |= {"inner": "areca_acme_lab.inner:own", "list": "areca_acme_lab.cli:names"}
    world.distribution("acme-lab", {}, "1.5", verbs=verbs, summary="Verbs of a laboratory.")
    with (world.site / "acme_lab-1.5.dist-info" / "entry_points.txt").open("a") as f:
        f.write("[areca]\nlab = areca_acme_lab\n")
    world.distribution("other", {}, "2.0", verbs={"align": "areca_other:align"})
    world.module("areca_other.py", 'def align() -> None:\n    """Align otherwise."""\n    print("otherwise")\n')
    for name, code in MODULES.items():
        world.module(f"areca_bad/{name}.py", code)
    world.module("areca_bad/__init__.py", "")
    world.distribution("bad", {}, verbs={name: value for name, (value, _) in BROKEN.items()}, summary="Broken verbs.")
    return world


def test_the_help_lists_verbs_without_importing_them(lab: Any) -> None:
    done = lab.areca("--help", COLUMNS="100")
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in done.stdout.splitlines() if line.startswith("  ")}
    assert "\nFrom plugins:\n" in done.stdout
    assert lines["names"] == "List components, those of -p too (acme-lab)"
    assert lines["inner"] == "Verbs of a laboratory (acme-lab)"  # no function: the distribution's summary
    assert lines["acme-lab:align"] == "Align words with nothing (acme-lab)"
    assert lines["other:align"] == "Align otherwise (other)"
    assert lines["acme-lab:list"] == "List components, those of -p too (acme-lab)"
    assert lines["list"] == "list installed components, and what they lack"
    assert lines["lost"] == lines["misspelt"] == lines["number"] == "Broken verbs (bad)"


def test_a_verb_runs_with_its_own_help_and_the_global_options(lab: Any, plugin_code: str) -> None:
    done = lab.areca("acme-lab:align", "--upper", "un", "deux")
    assert (done.returncode, done.stdout) == (0, "UN DEUX\n")
    shown = lab.areca("acme-lab:align", "--help")
    assert "Usage: areca acme-lab:align [OPTIONS] " in shown.stdout
    assert "words to align" in shown.stdout and "A second paragraph" in shown.stdout
    hook = "\n@hookimpl\ndef areca_components():\n    return [row('my-gadget')]\n"
    (lab.directory / "my_gadget.py").write_text(plugin_code + hook)
    assert {"gadget", "my-gadget"} <= set(lab.areca("-p", "./my_gadget.py", "names").stdout.split())
    failed = lab.areca("fails")
    assert (failed.returncode, failed.stderr.splitlines()[1:]) == (1, ["error: steps=0: expected 1 or more"])
    assert lab.areca("inner", "second").stdout == "second\n"
    wrong = lab.areca("names", "--uper")
    assert wrong.returncode == 2 and "No such option" in wrong.stderr


def test_only_the_verb_that_is_run_is_imported(lab: Any) -> None:
    assert "was imported" in lab.areca("names").stderr
    for arguments in (["--help"], ["list"], ["inner", "first"], ["other:align"]):
        assert "was imported" not in lab.areca(*arguments).stderr


def test_a_name_of_two_distributions_is_an_error_that_says_what_to_type(lab: Any) -> None:
    done = lab.areca("align", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: 2 distributions have a verb 'align'; type one of",
        "  areca acme-lab:align  (version 1.5)",
        "  areca other:align  (version 2.0)",
    ]
    assert lab.areca("other:align").stdout == "otherwise\n"


def test_a_plugin_cannot_replace_arecas_verbs(lab: Any) -> None:
    assert lab.areca("list").stdout.startswith("kind")
    assert "gadget" in lab.areca("acme-lab:list").stdout.split()


@pytest.mark.parametrize("verb", BROKEN)
def test_a_broken_verb_is_one_line_when_it_is_run(lab: Any, verb: str) -> None:
    done = lab.areca(verb)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: verb '{verb}' of bad 1.0 cannot be used: ") and BROKEN[verb][1] in line


def test_doctor_reports_broken_verbs(lab: Any) -> None:
    doctor = lab.areca("doctor")
    assert doctor.returncode == 1
    assert "  broken verb: bad:lost (1.0): ModuleNotFoundError: No module named 'areca_bad.nowhere'" in doctor.stdout
    assert "  broken verb: bad:module (1.0): BrokenPlugin: 'areca_bad.cli': expected 'module:function'" in doctor.stdout
    reported = {line.split()[2] for line in doctor.stdout.splitlines() if line.startswith("  broken verb: ")}
    assert reported == {"bad:lost", "bad:lost-package", "bad:misspelt", "bad:module"}


def test_the_allow_list_applies_to_verbs(lab: Any) -> None:
    for allowed in ("names", "units,names"):  # by the verb's own name
        assert lab.areca("names", ARECA_PLUGINS=allowed).returncode == 0
    by_plugin = lab.areca("--help", ARECA_PLUGINS="lab").stdout  # by the plugin of the same package
    assert (
        "align" in by_plugin and "(acme-lab)" in by_plugin and "(other)" not in by_plugin and "(bad)" not in by_plugin
    )
    assert lab.areca("align", "x", ARECA_PLUGINS="lab").stdout == "x\n"  # the only one now
    left_out = lab.areca("names", ARECA_PLUGINS="units")
    assert (left_out.returncode, "No such command 'names'." in left_out.stderr) == (2, True)
    assert "From plugins" not in lab.areca("--help", ARECA_PLUGINS="units").stdout


def test_a_misspelt_verb_of_a_plugin_is_suggested(lab: Any) -> None:
    assert "Did you mean 'inner'" in lab.areca("iner").stderr
