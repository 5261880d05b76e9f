"""A third party's distribution: built, installed with pip into a virtual environment, found, checked, and removed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.environment import Environment, build_wheel

EXAMPLE = ROOT / "examples" / "areca-acme-tokenizer"
NAME = "areca-acme-tokenizer"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(EXAMPLE, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Iterator[Environment]:
    made = Environment(tmp_path_factory.mktemp("environment"))
    made.install(wheel)
    yield made
    shutil.rmtree(made.directory)


def test_it_appears_after_installation(environment: Environment) -> None:
    assert environment.names()["areca-acme-tokenizer:acme/acme-mulaw"] == "ok"
    shown = environment.run("areca", "show", "acme-mulaw")
    assert shown.returncode == 0, shown.stderr
    assert "provider  areca-acme-tokenizer:acme/acme-mulaw, version 1.2.0" in shown.stdout
    assert "  sample_rate_hz: int = 4000\n      Samples per second; each sample is a token." in shown.stdout


def test_it_passes_the_conformance_kit_on_the_command_line(environment: Environment) -> None:
    done = environment.run("areca", "check", "acme-mulaw", "levels=64")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "areca-acme-tokenizer:acme/acme-mulaw: 16 passed, 0 failed, 9 skipped"


@pytest.mark.slow
def test_it_passes_the_conformance_kit_in_pytest(environment: Environment) -> None:
    done = environment.run("pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "26 passed, 9 skipped" in done.stdout  # of which 10 are of the law's own numbers


def test_it_is_part_of_a_run(environment: Environment) -> None:
    run = environment.directory / "run.yaml"
    run.write_text("tokenizer: {name: acme-mulaw, levels: 32}\nbackbone: {name: decoder}\ntasks: [asr]\n")
    done = environment.run("areca", "validate", str(run))
    assert done.returncode == 0, done.stderr
    assert "mulaw[32] at 4000 Hz, from 4000 Hz x 1" in done.stdout


def test_two_distributions_with_one_name_are_ambiguous_and_the_names_offered_resolve(
    environment: Environment, tmp_path: Path
) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "apex", ignore=shutil.ignore_patterns("__pycache__"))
    package = tmp_path / "apex" / "src"
    (package / "areca_acme_tokenizer").rename(package / "areca_apex_tokenizer")
    for path in [tmp_path / "apex" / "pyproject.toml", *package.glob("*/*.py")]:
        text = path.read_text().replace("areca_acme_tokenizer", "areca_apex_tokenizer")
        path.write_text(text.replace(NAME, "areca-apex-tokenizer").replace("acme =", "apex ="))
    (tmp_path / "wheel").mkdir()
    environment.install(build_wheel(tmp_path / "apex", tmp_path / "wheel"))
    refused = environment.run("areca", "show", "acme-mulaw")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: 2 plugins provide tokenizer 'acme-mulaw'; write one of\n")
    offered = [line.split()[0] for line in refused.stderr.splitlines()[1:-1]]
    assert offered == ["areca-acme-tokenizer:acme/acme-mulaw", "areca-apex-tokenizer:apex/acme-mulaw"]
    for name in offered:
        shown = environment.run("areca", "show", name)
        assert f"provider  {name}," in shown.stdout
    listed = environment.run("areca", "list", "--kind", "tokenizer").stdout
    assert " acme/acme-mulaw " in listed and " apex/acme-mulaw " in listed  # the shortest names that resolve
    environment.pip("uninstall", "--yes", "areca-apex-tokenizer")
    assert environment.run("areca", "show", "acme-mulaw").returncode == 0


def test_it_disappears_after_removal(environment: Environment) -> None:
    environment.pip("uninstall", "--yes", NAME)
    assert "areca-acme-tokenizer:acme/acme-mulaw" not in environment.names()
    refused = environment.run("areca", "show", "acme-mulaw")
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (1, "error: no component is called 'acme-mulaw'")
