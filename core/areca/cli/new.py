"""``areca new KIND NAME``: create a plugin package of your own."""

from __future__ import annotations

import importlib.resources
import string
from pathlib import Path
from typing import Annotated

import typer

from areca.cli import common
from areca.component import COMPONENT_NAME, Kind
from areca.errors import InvalidConfig, quote
from areca.files.writing import create_folder, probe
from areca.specs import KindSpec


def new(
    kind: Annotated[str, typer.Argument(help=f"{', '.join(Kind)}, or a kind that a plugin adds", show_default=False)],
    name: Annotated[str, typer.Argument(help="the component's name, such as my-codec", show_default=False)],
    output: Annotated[str, typer.Option("--output", "-o", help="a new folder", show_default="areca-NAME")] = "",
) -> None:
    """Create a plugin package with tests and a component that works. Then change the component into your own."""
    registry = common.registry()
    wanted = registry.kinds[common.check_kind(registry, kind) or kind]
    if wanted.templates is None:
        able = ", a ".join(name for name, known in registry.kinds.items() if known.templates)
        raise InvalidConfig(f"`areca new` makes a {able}, not a {kind}")
    if not COMPONENT_NAME.fullmatch(name):
        raise InvalidConfig(f"name {quote(name)}: expected lowercase words joined by '-', like 'my-codec'")
    folder = Path(output or f"areca-{name}")
    if folder.exists():
        raise InvalidConfig(f"{folder}: exists already; name a folder that does not")
    probe(folder)
    write_package(wanted, name, folder)
    model = f"{folder}/src/areca_{name.replace('-', '_')}/model.py"
    print(
        f"{folder} holds a working {wanted.name}; change it in {model}\n"
        f"  pip install -e {folder}\n  areca show {name}\n  areca check {name}\n  pytest {folder}"
    )


def write_package(kind: KindSpec, name: str, folder: Path) -> None:
    """Write a plugin package with a component `name` of `kind` to the new folder `folder`, completely or not at all."""
    import areca

    words = {
        "kind": kind.name,
        "name": name,
        "package": f"areca_{name.replace('-', '_')}",
        "plugin": name.replace("-", "_"),
        "Class": "".join(word.capitalize() for word in name.split("-")),
        "areca_version": areca.__version__,
    }
    source = Path("src", words["package"])
    shared = importlib.resources.files("areca.cli") / "templates" / "common"
    package, _, within = (kind.templates or "").partition(":")
    specific = importlib.resources.files(package) / within
    places = {
        shared / "pyproject.toml.txt": Path("pyproject.toml"),
        shared / "README.md.txt": Path("README.md"),
        shared / "test_conformance.py.txt": Path("tests", "test_conformance.py"),
        specific / "light.py.txt": source / "__init__.py",
        specific / "heavy.py.txt": source / "model.py",
    }
    with create_folder(folder) as draft:
        for template, place in places.items():
            text = template.read_text(encoding="utf-8")
            (draft / place).parent.mkdir(parents=True, exist_ok=True)
            (draft / place).write_text(string.Template(text).substitute(words), encoding="utf-8")
        (draft / source / "py.typed").touch()
