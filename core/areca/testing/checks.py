"""The checks of every component, and the list of all checks of a kind."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from areca.options import build, list_options
from areca.registry.entry import LOCAL
from areca.specs import KindSpec
from areca.testing.checked import CheckedComponent, Skipped

Check = Callable[[CheckedComponent], None]
"""Raises AssertionError if the component is wrong, `Skipped` if the check does not apply or cannot run."""

HEAVY = ("torch", "torchaudio", "transformers", "numpy", "jax", "tensorflow")
"""Modules that a plugin's light half must not import."""
LONGEST_SUMMARY = 100
"""Maximum number of characters of a summary, so that it fits on a line of ``areca list``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one check."""

    check: str
    state: Literal["pass", "fail", "skip"]
    message: str = ""


def checks_for(kind: KindSpec) -> list[Check]:
    """Return the checks of a kind: first those of every component, then those of the kind."""
    modules = [sys.modules[__name__]]
    if kind.checks is not None:
        modules.append(importlib.import_module(kind.checks))
    return [f for module in modules for name, f in vars(module).items() if name.startswith("check_")]


def run(checked: CheckedComponent, checks: Iterable[Check] | None = None) -> Iterator[Outcome]:
    """Run `checks` (default: every check of the component's kind) and yield their outcomes."""
    for check in checks_for(checked.entry.kind) if checks is None else checks:
        name = check.__name__.removeprefix("check_")
        try:
            check(checked)
            yield Outcome(name, "pass")
        except Skipped as e:
            yield Outcome(name, "skip", str(e))
        except Exception as e:  # a plugin's code can raise anything
            yield Outcome(name, "fail", str(e) if isinstance(e, AssertionError) else f"{type(e).__name__}: {e}")


def check_summary(checked: CheckedComponent) -> None:
    """The summary is one short line without a full stop."""
    summary = checked.component.summary
    assert summary and "\n" not in summary, f"summary {summary!r}: expected one line"
    assert len(summary) <= LONGEST_SUMMARY, f"summary: expected up to {LONGEST_SUMMARY} characters, got {len(summary)}"
    assert not summary.endswith("."), f"summary {summary!r} ends with a full stop"


def check_options_documented(checked: CheckedComponent) -> None:
    """Each option has a doc: a string literal below its field."""
    undocumented = [o.name for o in list_options(checked.entry.options()) if not o.doc]
    assert not undocumented, f"options without a doc (a string literal below the field): {', '.join(undocumented)}"


def check_config_round_trip(checked: CheckedComponent) -> None:
    """The config is unchanged after it is written to YAML and read back."""
    import yaml
    from omegaconf import OmegaConf

    config = checked.part.config
    values: dict[str, Any] = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)  # type: ignore[assignment]
    text = yaml.safe_dump({name: str(v) if isinstance(v, Path) else v for name, v in values.items()})
    reread = build(type(config), yaml.safe_load(text), "from YAML")
    assert reread == config, f"writing the config to YAML and reading it back changed it: {config} became {reread}"


def check_target(checked: CheckedComponent) -> None:
    """The target can be imported and has the methods that its tags require."""
    _require_modules(checked)
    target = checked.entry.target()
    required = ["load", *(["fit"] if "fit" in checked.component.tags else [])]
    missing = [name for name in required if not callable(getattr(target, name, None))]
    assert not missing, f"{checked.component.target} has no {' and no '.join(missing)}"


def check_import_is_light(checked: CheckedComponent) -> None:
    """Importing the light half imports no heavy module."""
    component = checked.component
    modules = sorted({checked.entry.options().__module__, component.spec.partition(":")[0]})
    heavy = _run_in_new_interpreter(
        "for name in given['modules']: importlib.import_module(name)\n"
        "print(json.dumps([m for m in given['heavy'] if m in sys.modules]))",
        modules=modules,
        heavy=HEAVY,
    )
    assert not heavy, f"importing {', '.join(modules)} imports {', '.join(heavy)}: move it to {component.target!r}"


def check_spec_is_light(checked: CheckedComponent) -> None:
    """Resolving the component, as ``areca validate`` does, imports no heavy module."""
    _ = checked.part
    heavy = _run_in_new_interpreter(
        _DISCOVER + "before = set(sys.modules)\n"
        "resolve(registry, given['kind'], given['value'], role='checked')\n"
        "print(json.dumps([m for m in given['heavy'] if m in sys.modules and m not in before]))",
        kind=checked.component.kind,
        value=checked.value,
        heavy=HEAVY,
        plugins=_local_plugins(checked),
    )
    assert not heavy, f"{checked.component.spec} imports {', '.join(heavy)}: compute a spec from options only"


def check_missing_dependency(checked: CheckedComponent) -> None:
    """If a required module is not installed, the plugin is still listed and reports the missing module."""
    component = checked.component
    if not component.requires:
        raise Skipped("it requires no modules")
    broken, missing = _run_in_new_interpreter(
        _BLOCK,
        kind=component.kind,
        name=checked.entry.qualified,
        requires=component.requires,
        plugins=_local_plugins(checked),
    )
    assert missing is not None, f"without {component.requires} its plugin cannot be listed: {broken}"
    assert tuple(missing) == component.requires, f"without {component.requires} it reports {missing} as missing"


_DISCOVER = """
from areca.registry.parts import resolve
from areca.registry.registry import Registry
registry = Registry.discover(given['plugins'])
"""
_BLOCK = """
from areca.errors import BrokenPlugin
from areca.registry.registry import Registry
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in given['requires']:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Blocker())
try:
    registry = Registry.discover(given['plugins'])
    found = [e for e in registry.entries(given['kind']) if given['name'] in e.names]
    print(json.dumps([[str(b) for b in registry.broken], found[0].missing() if found else None]))
except BrokenPlugin as e:  # a local plugin
    print(json.dumps([[str(e)], None]))
"""


def _run_in_new_interpreter(code: str, **given: Any) -> Any:
    """Run `code` in a new interpreter and return the JSON that it prints last."""
    start = "import importlib, json, sys\ngiven = json.loads(sys.argv[1])\nsys.path[:] = given['path']\n"
    argument = json.dumps(given | {"path": sys.path})
    done = subprocess.run([sys.executable, "-c", start + code, argument], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"in a new interpreter: {done.stderr.strip().splitlines()[-1:]}"
    return json.loads(done.stdout.splitlines()[-1])


def _local_plugins(checked: CheckedComponent) -> list[str]:
    return [p.plugin for p in checked.registry.plugins if p.distribution == LOCAL]


def _require_modules(checked: CheckedComponent) -> None:
    if missing := checked.entry.missing():
        raise Skipped(f"it {checked.entry.describe_missing(missing)}")
