"""The group of verbs. Its help is made without importing them; only the verb that is run is imported."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import areca
from areca.cli import common
from areca.cli.reporting import report_errors
from areca.errors import AmbiguousComponent, ArecaWarning, format_error, quote
from areca.registry.verbs import Verb, installed_verbs

VERBS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "run": ("Use", "transcribe, translate or speak with a checkpoint"),
        "train": ("Use", "train a checkpoint from a run's YAML, and build all that it needs"),
        "evaluate": ("Use", "score a checkpoint on a manifest's test split"),
        "ablate": ("Use", "train, evaluate and compare every cell of a study"),
        "report": ("Use", "make tables and a listening page from results"),
        "export": ("Use", "copy a checkpoint with all that it needs"),
        "data": ("Steps of a run", "build a dataset, or check a manifest"),
        "fit": ("Steps of a run", "train the components of a run, except the LM"),
        "tokenize": ("Steps of a run", "encode the audio that a run's tasks use"),
        "validate": ("Steps of a run", "check a run's YAML without loading models"),
        "list": ("Components", "list installed components, and what they lack"),
        "show": ("Components", "describe a component and its options"),
        "config": ("Components", "print a component's options as YAML"),
        "check": ("Components", "run the conformance kit on a component"),
        "new": ("Components", "create a plugin package of your own"),
        "doctor": ("Maintenance", "find what is broken or missing in this installation"),
        "store": ("Maintenance", "list and remove stored artifacts"),
    }
)
"""Panel and summary of each of areca's own verbs in ``areca --help``."""
PLUGINS = "From plugins"
"""The panel of verbs that plugins add."""
HELP_WIDTH = 100
"""Maximum number of columns of a help page."""


class _Unchanged:
    """Passes text and flags through a parameter unchanged."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        several = param.multiple or param.nargs == -1
        return list(value or ()) if several else value


def _simplify(parameter: Any) -> Any:
    """Keep typer from importing pydantic to convert text to text, which would double the time of ``areca list``."""
    descriptor = getattr(parameter, "type_descriptor", None)  # older versions of typer have neither this nor pydantic
    if descriptor is not None and descriptor.annotation in (str, list[str], bool):
        parameter._runtime_param = _Unchanged()
    return parameter


class _Verb(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        return [_simplify(p) for p in super().get_params(ctx)]


class _Verbs(TyperGroup):
    """The group of verbs. The help is made without importing them; only the verb that is run is imported."""

    def get_params(self, ctx: Any) -> list[Any]:
        return [_simplify(p) for p in super().get_params(ctx)]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, (panel, summary) in VERBS.items():
            panels.setdefault(panel, []).append((name, summary))
        for name, verb in _plugin_verbs().items():
            panels.setdefault(PLUGINS, []).append((name, f"{verb.summary} ({verb.provider.distribution})".lstrip()))
        width = max(len(name) for rows in panels.values() for name, _ in rows)
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in rows])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, *rest = args
        if name in VERBS:
            return name, _core_command(name), rest
        if matches := [verb for verb in installed_verbs() if name in verb.names]:
            return name, _plugin_command(matches), rest
        self.commands = {known: TyperCommand(known) for known in (*VERBS, *_plugin_verbs())}  # for "did you mean"
        resolved: tuple[str | None, Any, list[str]] = super().resolve_command(ctx, args)
        return resolved

    def invoke(self, ctx: Any) -> Any:
        try:
            with warnings.catch_warnings(), report_errors():
                warnings.showwarning = _print_warnings_with(warnings.showwarning)
                return super().invoke(ctx)
        except KeyboardInterrupt as e:
            saved = str(e) or "finished work is kept"
            print(f"\ninterrupted: {saved}; the same command resumes from there", file=sys.stderr)
            raise typer.Exit(getattr(e, "code", 130)) from e
        except EOFError as e:  # click would report only "Aborted."
            raise RuntimeError(f"unexpected end of data: {e}") from e


def _plugin_verbs() -> dict[str, Verb]:
    """Return the verbs of plugins by the shortest name that no other verb has."""
    verbs = installed_verbs()
    bare = Counter([*VERBS, *(verb.names[0] for verb in verbs)])
    return {verb.names[0] if bare[verb.names[0]] == 1 else verb.names[1]: verb for verb in verbs}


def _core_command(name: str) -> Any:
    module = importlib.import_module(f"areca.cli.{name}")
    return _command(name, getattr(module, name, None) or getattr(module, f"{name}_"))  # `list` is a builtin's name


def _plugin_command(matches: Sequence[Verb]) -> Any:
    """Return the command of the one verb in `matches`.

    Raises:
        AmbiguousComponent: several distributions have a verb of this name.
        BrokenPlugin: it cannot be imported, or typer cannot make a command of it.
    """
    verb, *others = matches
    if others:
        lines = "\n".join(f"  areca {v.provider}  (version {v.provider.version})" for v in matches)
        raise AmbiguousComponent(f"{len(matches)} distributions have a verb {verb.names[0]!r}; type one of\n{lines}")
    function = verb.load()
    if not isinstance(function, (FunctionType, typer.Typer)):
        raise verb.create_error(f"{verb.point.value!r} is {quote(function)}, expected a function or a typer.Typer")
    try:
        return _command(verb.names[0], function)
    except Exception as error:  # annotations that typer does not take
        raise verb.create_error(format_error(error)) from error


def _command(name: str, function: Any) -> Any:
    if isinstance(function, typer.Typer):  # a verb with subcommands
        return typer.main.get_command(function)
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=_Verb)(function)
    return typer.main.get_command(app)


def _print_warnings_with(default: Callable[..., None]) -> Callable[..., None]:
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


app = typer.Typer(
    cls=_Verbs,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich would take as long as all the rest of the help
    context_settings={"max_content_width": HELP_WIDTH},
)


@app.callback()
def _areca(
    plugin: Annotated[
        list[str] | None,
        typer.Option("--plugin", "-p", help="your own module or file with components; may be repeated"),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Train, evaluate and use audio-token language models. Every part of them is a plugin.

    Set ARECA_DEBUG=1 to see the tracebacks of errors.
    """
    common.use_plugins(plugin or ())
