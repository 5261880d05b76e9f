"""The tutorial of docs/plugins.md does what it says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests import ROOT

PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# ((?:my|tests/)\S+)\n(.*?)```", PAGE, flags=re.DOTALL))
RUN = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)[0]


@pytest.fixture
def tutorial(world: Any) -> Any:
    """A folder with the tutorial's files."""
    for name, code in FILES.items():
        path = world.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    (world.directory / "run.yaml").write_text(RUN)
    return world


def test_the_page_has_the_files() -> None:
    assert list(FILES) == ["my_zcr.py", "my_zcr_model.py", "tests/test_conformance.py"]


def test_the_commands_of_the_tutorial_work(tutorial: Any) -> None:
    shown = tutorial.areca("-p", "./my_zcr.py", "show", "my-zcr")
    assert "  bins: int = 32\n      Number of codes." in shown.stdout, shown.stderr
    checked = tutorial.warm("-p", "./my_zcr.py", "check", "my-zcr")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.splitlines()[-1] == "local:my_zcr/my-zcr: 15 passed, 0 failed, 10 skipped"
    valid = tutorial.areca("validate", "run.yaml")
    assert "zcr[64] at 25 Hz" in valid.stdout, valid.stderr


def test_the_kit_in_pytest_checks_a_local_file_and_a_strict_known_failure(tutorial: Any) -> None:
    options = ("-q", "-p", "no:cacheprovider", "--areca-plugin", "./my_zcr.py", "tests")
    test = tutorial.directory / "tests" / "test_conformance.py"
    [mark] = re.findall(r"`(@pytest.mark.areca_xfail\(.*?\))`", PAGE)
    test.write_text(test.read_text().replace("def test", f"import pytest\n\n{mark}\ndef test"))
    done = tutorial.warm(*options, module="pytest")
    assert "1 failed, 14 passed, 10 skipped" in done.stdout, done.stdout + done.stderr
    assert "[XPASS(strict)] needs 40 ms" in done.stdout

    model = tutorial.directory / "my_zcr_model.py"
    floored = model.read_text().replace("(0, -samples.numel() % HOP)", "(0, -(samples.numel() % HOP))")
    model.write_text(floored)
    done = tutorial.warm(*options, module="pytest")
    assert "14 passed, 10 skipped, 1 xfailed" in done.stdout, done.stdout + done.stderr


def test_unknown_plugin_is_an_error(tutorial: Any) -> None:
    done = tutorial.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--areca-plugin", "my_zrc", "tests")
    assert done.returncode != 0
    assert "plugin 'my_zrc' cannot be used: ModuleNotFoundError" in done.stdout + done.stderr
