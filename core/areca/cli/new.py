"""``areca new KIND NAME``: start a plugin package of your own."""

from __future__ import annotations

import importlib.resources
import string
from pathlib import Path
from typing import Annotated

import typer

from areca.cli import common
from areca.component import COMPONENT_NAME, Kind
from areca.errors import InvalidConfig, quote
from areca.files.writing import creating, probe

_KINDS = (Kind.TOKENIZER, Kind.BACKBONE, Kind.VOCODER, Kind.TASK)


def new(
    kind: Annotated[str, typer.Argument(help=f"one of {', '.join(_KINDS)}", show_default=False)],
    name: Annotated[str, typer.Argument(help="the component's name, as my-codec", show_default=False)],
    output: Annotated[str, typer.Option("--output", "-o", help="a new folder", show_default="areca-NAME")] = "",
) -> None:
    """Start a plugin package: a component that works, to be changed into yours, with its tests."""
    wanted = common.to_kind(kind)
    if wanted not in _KINDS:
        raise InvalidConfig(f"`areca new` makes a {', a '.join(_KINDS)}, not a {kind}")
    if not COMPONENT_NAME.fullmatch(name):
        raise InvalidConfig(f"name {quote(name)}: expected lowercase words joined by '-', like 'my-codec'")
    folder = Path(output or f"areca-{name}")
    if folder.exists():
        raise InvalidConfig(f"{folder}: exists already; name a folder that does not")
    probe(folder)
    write_package(wanted, name, folder)
    print(
        f"{folder} holds a {wanted} that works; make it yours in {folder}/src/areca_{name.replace('-', '_')}/model.py\n"
        f"  pip install -e {folder}\n  areca show {name}\n  areca check {name}\n  pytest {folder}"
    )


def write_package(kind: Kind, name: str, folder: Path) -> None:
    """Write a plugin package whose one component of `kind` is called `name` into the new folder `folder`, whole."""
    import areca

    words = {
        "kind": str(kind),
        "name": name,
        "package": f"areca_{name.replace('-', '_')}",
        "plugin": name.replace("-", "_"),
        "Class": "".join(word.capitalize() for word in name.split("-")),
        "areca_version": areca.__version__,
    }
    source = Path("src", words["package"])
    places = {
        "common/pyproject.toml.txt": Path("pyproject.toml"),
        "common/README.md.txt": Path("README.md"),
        "common/test_conformance.py.txt": Path("tests", "test_conformance.py"),
        f"{kind}/light.py.txt": source / "__init__.py",
        f"{kind}/heavy.py.txt": source / "model.py",
    }
    templates = importlib.resources.files("areca.cli") / "templates"
    with creating(folder) as draft:
        for template, place in places.items():
            text = (templates / template).read_text(encoding="utf-8")
            (draft / place).parent.mkdir(parents=True, exist_ok=True)
            (draft / place).write_text(string.Template(text).substitute(words), encoding="utf-8")
        (draft / source / "py.typed").touch()
