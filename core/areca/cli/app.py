"""The group of verbs: its help is a table, and only the verb that is run is imported."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import areca
from areca.cli import common
from areca.cli.reporting import reported
from areca.errors import ArecaWarning

VERBS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "run": ("Use", "speak, transcribe or translate with a checkpoint"),
        "train": ("Use", "make a checkpoint, and all that it lacks, from a run's YAML"),
        "evaluate": ("Use", "score a checkpoint on a manifest's test split"),
        "ablate": ("Use", "train and evaluate every cell of a study, and compare"),
        "report": ("Use", "make tables and a listening page of results"),
        "export": ("Use", "copy a checkpoint with everything it needs"),
        "data": ("Steps of a run", "make a dataset's manifest"),
        "fit": ("Steps of a run", "fit the parts that are trained from data"),
        "tokenize": ("Steps of a run", "encode the audio of a run's tasks"),
        "validate": ("Steps of a run", "check a run's YAML by specs alone"),
        "list": ("Components", "list installed components and their health"),
        "show": ("Components", "show what a component is, and its options"),
        "config": ("Components", "print a component's options as YAML to paste"),
        "check": ("Components", "run the conformance kit on a component"),
        "new": ("Components", "start a plugin package of your own"),
        "doctor": ("Maintenance", "look for what is broken or missing here"),
        "store": ("Maintenance", "list and remove what was made"),
    }
)
"""Verb -> (panel of the help, one line): all that ``areca --help`` needs to know."""


class _AsGiven:
    """How text and flags come out of a parameter: as they came in."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        several = param.multiple or param.nargs == -1
        return list(value or ()) if several else value


def _lean(parameter: Any) -> Any:
    """Keep typer from importing pydantic to convert text to text: it would double the time of ``areca list``."""
    descriptor = getattr(parameter, "type_descriptor", None)  # older typers have none, and no pydantic either
    if descriptor is not None and descriptor.annotation in (str, list[str], bool):
        parameter._runtime_param = _AsGiven()
    return parameter


class _Verb(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        return [_lean(p) for p in super().get_params(ctx)]


class _Verbs(TyperGroup):
    """The group of verbs. The help shows stubs; only the verb that is run is imported."""

    def get_params(self, ctx: Any) -> list[Any]:
        return [_lean(p) for p in super().get_params(ctx)]

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            return None
        panel, summary = VERBS[cmd_name]
        return TyperCommand(cmd_name, help=summary, rich_help_panel=panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        self.commands = {name: self.get_command(ctx, name) for name in VERBS}  # for "did you mean"
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else _verb(name), rest

    def invoke(self, ctx: Any) -> Any:
        try:
            with warnings.catch_warnings(), reported():
                warnings.showwarning = _show_warning(warnings.showwarning)
                return super().invoke(ctx)
        except KeyboardInterrupt as e:
            saved = str(e) or "what is finished is kept"
            print(f"\ninterrupted: {saved}; the same command resumes from there", file=sys.stderr)
            raise typer.Exit(getattr(e, "code", 130)) from e
        except EOFError as e:  # click would say no more than "Aborted."
            raise RuntimeError(f"unexpected end of data: {e}") from e


def _verb(name: str) -> Any:
    module = importlib.import_module(f"areca.cli.{name}")
    function = getattr(module, name, None) or getattr(module, f"{name}_")  # `list` is a builtin's name
    if isinstance(function, typer.Typer):  # a verb with verbs of its own
        return typer.main.get_command(function)
    app = typer.Typer(add_completion=False)
    app.command(name, cls=_Verb)(function)
    return typer.main.get_command(app)


def _show_warning(default: Callable[..., None]) -> Callable[..., None]:
    def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, ArecaWarning):
            print(f"warning: {message}", file=sys.stderr)
        else:
            default(message, category, *where, **more)

    return show


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"areca {areca.__version__}")
        raise typer.Exit


app = typer.Typer(cls=_Verbs, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _areca(
    plugin: Annotated[
        list[str] | None,
        typer.Option("--plugin", "-p", help="a module or file of your own that holds components; may be repeated"),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Audio-token language models made of plugins: speech in, speech out.

    Errors show their traceback with ARECA_DEBUG=1.
    """
    common.use_plugins(plugin or ())
