"""pytest plugin: runs a test with ``areca_component`` and ``areca_check`` once for each component and check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from areca.registry.entry import Entry
    from areca.testing.checked import CheckedComponent
    from areca.testing.checks import Check

_REGISTRY = pytest.StashKey[Any]()
_DIRECTORY = pytest.StashKey[Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--areca-plugin``."""
    parser.getgroup("areca").addoption(
        "--areca-plugin",
        action="append",
        default=[],
        metavar="PLUGIN",
        help="check only the components of this plugin: the name of an installed plugin, or your own file or module",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker ``areca_xfail``."""
    config.addinivalue_line(
        "markers",
        "areca_xfail(check, reason, component=None): a check that a component (default: any) is known to fail; strict",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize ``areca_component`` and ``areca_check``."""
    if not {"areca_component", "areca_check"} <= set(metafunc.fixturenames):
        return
    from areca.testing.checks import checks_for

    failures = [_known_failure(mark) for mark in metafunc.definition.iter_markers("areca_xfail")]
    cases = [_case(entry, check, failures) for entry in _entries(metafunc.config) for check in checks_for(entry.kind)]
    metafunc.parametrize(("areca_component", "areca_check"), cases, indirect=["areca_component"], scope="session")


@pytest.fixture(scope="session")
def areca_component(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CheckedComponent:
    """The component under test, created once for all checks."""
    from areca.testing.checked import CheckedComponent

    config = request.config
    if _DIRECTORY not in config.stash:
        config.stash[_DIRECTORY] = tmp_path_factory.mktemp("areca")
    return CheckedComponent(request.param, config.stash[_DIRECTORY], registry=config.stash[_REGISTRY])


def _entries(config: pytest.Config) -> list[Entry]:
    from areca.registry.entry import LOCAL
    from areca.registry.registry import Registry

    only = config.getoption("--areca-plugin")
    registry = Registry.discover()
    for broken in registry.broken:
        if broken.provider.plugin in only:
            raise pytest.UsageError(f"broken: {broken}")
    installed = {p.plugin for p in registry.plugins}
    local = [name for name in only if name not in installed]
    registry = Registry.discover(local, root=config.invocation_params.dir)
    config.stash[_REGISTRY] = registry
    return [
        entry
        for entry in registry.entries()
        if not only or entry.provider.plugin in only or entry.provider.distribution == LOCAL
    ]


def _known_failure(mark: pytest.Mark) -> tuple[str, str, str | None]:
    """Return check, reason and component (None: any) of a marker."""

    def read_arguments(check: str, reason: str, component: str | None = None) -> tuple[str, str, str | None]:
        return check.removeprefix("check_"), reason, component

    return read_arguments(*mark.args, **mark.kwargs)


def _case(entry: Entry, check: Check, failures: list[tuple[str, str, str | None]]) -> Any:
    name = check.__name__.removeprefix("check_")
    marks = [
        pytest.mark.xfail(reason=reason, strict=True)
        for failing, reason, component in failures
        if failing == name and component in (None, *entry.names)
    ]
    return pytest.param(entry, check, id=f"{entry.qualified}-{name}", marks=marks)
