"""Helpers that several verbs share: plugins named on the command line, lookup of components, tables and progress."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from unicodedata import combining, east_asian_width

import typer

from areca.component import Kind
from areca.errors import AmbiguousComponent, InvalidConfig, UnknownComponent, quote, suggest
from areca.options import read_mapping
from areca.registry.entry import Entry
from areca.registry.registry import Registry

if TYPE_CHECKING:
    import torch
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_plugins: ContextVar[tuple[str, ...]] = ContextVar("plugins", default=())
LINE_EVERY_S = 10.0
"""Seconds between lines of progress when stderr is not a terminal."""
PACE_LINES = 6
"""Number of last lines from which the time left is estimated: a resumed job passes faster over work that is done."""

Name = Annotated[str, typer.Argument(help="a component's name, or distribution:plugin/name", show_default=False)]
HowDecoded = Annotated[
    str | None,
    typer.Option("--decoding", help="how ids are chosen: greedy, sample, beam, or '{name: beam, beams: 8}'"),
]


def _check_device(device: str) -> str:
    from areca.run.devices import require_single_process, resolve_device

    require_single_process()
    if device not in ("cpu", AUTO_DEVICE):
        resolve_device(device)
    return device


AUTO_DEVICE = "auto"
"""The default of ``--device``, which `use_device` resolves: this module and the help import no torch."""
_DEVICE_HELP = "where to compute: auto (a GPU if there is one), cpu, cuda, cuda:1 or mps"
Device = Annotated[str, typer.Option("--device", envvar="ARECA_DEVICE", callback=_check_device, help=_DEVICE_HELP)]
"""Checked before the verb runs, as is that no launcher started several processes."""
SharedDevice = Annotated[str, typer.Option("--device", envvar="ARECA_DEVICE", help=_DEVICE_HELP)]
"""For a verb that several processes may run together; `areca.run.processes.join_processes` checks it."""
Overrides = Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="override values in the file")]
OfKind = Annotated[str | None, typer.Option("--kind", help=f"{', '.join(Kind)}, or a kind that a plugin adds")]


def use_device(device: str) -> str:
    """Return the device that an option ``--device`` means, and show it; see `areca.run.devices.resolve_device`."""
    from areca.run.devices import resolve_device

    chosen = resolve_device(device)
    show_device(chosen)
    return str(chosen)


def show_device(device: torch.device | str) -> None:
    """Print the device on stderr, unless it is the CPU."""
    from areca.run.devices import describe_device

    if str(device) != "cpu":
        print(f"device: {describe_device(device)}", file=sys.stderr, flush=True)


def use_plugins(names: Iterable[str]) -> None:
    """Store the values of ``areca -p``. Relative paths start from the working directory."""
    _plugins.set(tuple(map(_find_local, names)))


def _find_local(name: str) -> str:
    """Return the path of a file, or of a module in the working directory; `name` itself is an installed module."""
    files = [Path(name)] if name.endswith(".py") else [Path(f"{name}.py"), Path(name, "__init__.py")]
    path = next((file for file in files if file.is_file()), files[0] if name.endswith(".py") else None)
    return name if path is None else str(path.absolute())


def plugins() -> tuple[str, ...]:
    """Return the values of ``areca -p``, for `read_config` and `Registry.discover`."""
    return _plugins.get()


def registry() -> Registry:
    """Return a registry of the installed plugins and those of ``areca -p``."""
    return Registry.discover(plugins())


def check_kind(registry: Registry, name: str | None) -> str | None:
    """Return `name` if it is the name of a kind, or None, which stands for any kind.

    Raises:
        InvalidConfig: no kind has that name.
    """
    if name is not None and name not in registry.kinds:
        known = ", ".join(registry.kinds)
        raise InvalidConfig(f"no kind is called {quote(name)}{suggest(name, registry.kinds)}; there are {known}")
    return name


def find_component(registry: Registry, name: str, kind: str | None) -> Entry:
    """Return the component called `name`.

    Args:
        registry: the components.
        name: bare, ``plugin/name`` or ``distribution:plugin/name``.
        kind: its kind; None: any kind.

    Raises:
        InvalidConfig: no kind has that name.
        UnknownComponent, AmbiguousComponent: no component or several components have that name; the message says what
            to type.
    """
    if wanted := check_kind(registry, kind):
        return registry.find(wanted, name)
    kinds = sorted({e.component.kind for e in registry.entries() if name in e.names})
    if len(kinds) == 1:
        return registry.find(kinds[0], name)
    if kinds:
        *others, last = kinds
        raise AmbiguousComponent(
            f"{name!r} is the name of several components ({', '.join(kinds)}): add --kind "
            f"{', --kind '.join(others)} or --kind {last}"
        )
    names = [e.component.name for e in registry.entries()]
    lines = [f"no component is called {quote(name)}{suggest(name, names)}", "  `areca list` shows what is installed"]
    raise UnknownComponent("\n".join([*lines, *registry.describe_unusable()]))


def describe_health(entry: Entry) -> str:
    """Return ``"ok"``, or what is missing and what to type."""
    missing = entry.missing()
    return f"missing {', '.join(missing)}: {entry.install_command(missing)}" if missing else "ok"


def parse_decoding(text: str | None) -> Mapping[str, Any] | str | None:
    """Parse the option ``--decoding``: a method's name, or a mapping in YAML."""
    return read_mapping(text, "decoding") if text is not None and text.lstrip().startswith("{") else text


def to_yaml(value: Any) -> str:
    """Return an option's value as YAML on one line, or its ``repr`` if YAML cannot express it."""
    import yaml

    plain = list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value
    try:
        return yaml.safe_dump(plain, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
    except yaml.YAMLError:
        return quote(value)


def format_quantity(value: float, unit: str) -> str:
    """Return `value` with three digits and a decimal prefix, as in ``"34.5 GB"``."""
    prefixes = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
    value = float(f"{value:.3g}")  # rounded first, so that 999,999 becomes 1 M
    power = min(len(prefixes) - 1, (len(str(int(value))) - 1) // 3)
    return f"{value / 1000**power:.3g} {prefixes[power]}{unit}".rstrip()


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns. Cells are folded to the width of a terminal, and not folded elsewhere."""
    lines = [tuple(header), *map(tuple, rows)]
    if not sys.stdout.isatty() and not any("\n" in cell for line in lines for cell in line):
        _print_plain(lines)  # importing rich would take as long as the rest of a quick verb
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in header:
        table.add_column(title, overflow="fold")
    for line in lines[1:]:
        table.add_row(*(Text(cell) for cell in line))
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def _print_plain(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    padded = [
        "   ".join(cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]
    print("\n".join([padded[0], "─" * _width(padded[0]), *padded[1:]]))


def _width(text: str) -> int:
    """Return the number of terminal columns that `text` takes."""
    return sum(2 if east_asian_width(c) in "WF" else not combining(c) for c in text)


@contextmanager
def progress(title: str) -> Iterator[Reporter]:
    """Show the progress of a long job on stderr: a live line on a terminal, a line every ten seconds elsewhere."""
    if not sys.stderr.isatty():
        yield Lines(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[message]}"), console=Console(stderr=True)) as bar:
        yield Live(bar, bar.add_task(title, total=None, message=""))


class Reporter:
    """Base class of an `areca.job.Progress` on stderr."""

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Show that `done` of `total` units are done."""
        raise NotImplementedError


class Live(Reporter):
    """Redraws a line on a terminal."""

    def __init__(self, bar: Bar, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Redraw the line. If the count starts over, as for the next component, the clock is reset."""
        if done < self._bar.tasks[0].completed:
            self._bar.reset(self._task, message=message)
        self._bar.update(self._task, completed=done, total=total, message=message)


class Lines(Reporter):
    """Prints a line every `LINE_EVERY_S` seconds, with the time left, and always the last one."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._shown_s = time.monotonic()
        self._total = 0
        self._marks: deque[tuple[float, int]] = deque(maxlen=PACE_LINES + 1)  # seconds and units: start, then lines

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Print if the last line is old enough or the job is complete. If the count starts over, the clock is reset."""
        now_s = time.monotonic()
        if self._marks and (done < self._marks[-1][1] or total != self._total):
            self._marks.clear()
        if not self._marks:
            self._total = total
            self._marks.append((now_s, done))
        if now_s - self._shown_s < LINE_EVERY_S and done < total:
            return
        details = ", ".join(filter(None, (message, self._left(now_s, done))))
        self._shown_s = now_s
        self._marks.append((now_s, done))
        print(f"{self._title}: {done}/{total} {details}".rstrip(), file=sys.stderr, flush=True)

    def _left(self, now_s: float, done: int) -> str:
        """Return ``"0:12:34 left"``, or ``""`` if no pace is known yet or nothing is left."""
        start_s, start = self._marks[0]
        if done <= start or done >= self._total:
            return ""
        left_s = (now_s - start_s) * (self._total - done) / (done - start)
        return f"{timedelta(seconds=round(left_s))} left"


def hide_download_bars() -> None:
    """Switch off the download bars of transformers. Call this before transformers is imported."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
