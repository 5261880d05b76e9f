"""Import plugin modules, by name or by path, and check and hash their code."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib
import importlib.util
import os
import sys
import sysconfig
import time
import traceback
from collections.abc import Iterator
from importlib import metadata
from importlib.abc import InspectLoader
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from areca.errors import BrokenPlugin, suggest
from areca.options import file_hash
from areca.registry import hooks


@contextlib.contextmanager
def trace_import(what: str, unless: bool = False) -> Iterator[None]:
    """With ARECA_TRACE=1, print the time that the block took to load `what`, also if it fails.

    Args:
        what: the thing loaded, for the message.
        unless: if true, print nothing.
    """
    start_s = time.perf_counter()
    try:
        yield
    finally:
        if os.environ.get("ARECA_TRACE") and not unless:
            print(f"areca: {what} loaded in {(time.perf_counter() - start_s) * 1e3:.1f} ms", file=sys.stderr)


def entry_points(group: str) -> tuple[list[metadata.EntryPoint], list[tuple[tuple[str, str], Exception]]]:
    """Return the entry points of a group, and the distributions whose metadata cannot be read.

    Returns:
        the entry points, and ``((name, version), error)`` for each unreadable distribution.
    """
    try:
        return list(metadata.entry_points(group=group)), []
    except Exception:  # an entry_points.txt is unreadable: read each distribution separately, which is slower
        pass
    points: dict[str, list[metadata.EntryPoint]] = {}
    unreadable: list[tuple[tuple[str, str], Exception]] = []
    for dist in metadata.distributions():
        name = dist.name or "unknown"
        try:
            points.setdefault(name, [point for point in dist.entry_points if point.group == group])
        except Exception as e:
            unreadable.append(((name, dist.version or "0"), e))
    return [point for of_distribution in points.values() for point in of_distribution], unreadable


def allowed_plugins() -> frozenset[str] | None:
    """Return the names that ``ARECA_PLUGINS`` allows; None: it is not set, and all plugins are allowed."""
    names = os.environ.get("ARECA_PLUGINS")
    return None if names is None else frozenset(name.strip() for name in names.split(","))


def locate_error(name: str, root: Path, error: BaseException) -> str:
    """Return the file, and the line if known, in a local plugin that caused `error`.

    Args:
        name: the plugin, as in `import_local`.
        root: as in `import_local`.
        error: raised by importing the plugin or calling its hooks.

    Returns:
        a prefix for a message, like ``"/home/me/my_codec.py: line 3: "``; ``""`` if the plugin's file does not exist.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}: line {error.lineno}: "
    path = _local_file(name, root)
    if path is None:
        return ""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent == path.parent]
    return f"{frames[-1].filename}: line {frames[-1].lineno}: " if frames else f"{path}: "


def _local_file(name: str, root: Path) -> Path | None:
    path = (root / name).resolve()
    if not name.endswith(".py"):
        locations = _find_locations(name.partition(".")[0])
        path = next((p / "__init__.py" if p.is_dir() else p for p in locations), path)
    return path if os.path.isfile(path) else None  # unlike Path.is_file, accepts a name that is too long


def import_local(name: str, root: Path) -> ModuleType:
    """Import a local plugin. It can import the modules in its folder, unless installed ones hide them.

    Args:
        name: a path ending in ``.py``, relative to `root`, or the name of a module.
        root: base folder of relative paths; module names are also searched here.

    Raises:
        ImportError, FileNotFoundError: the file does not exist, or another module has its name.
    """
    path = (root / name).resolve()
    package = path.parent.name if path.name == "__init__.py" else None
    folder = path.parent.parent if package else path.parent if name.endswith(".py") else root.resolve()
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()
    if package or not name.endswith(".py"):
        return importlib.import_module(package or name)
    return _import_file(path)


def _import_file(path: Path) -> ModuleType:
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    if loaded is not None:
        raise ImportError(f"another module is called {path.stem!r}: rename the file")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no such file: {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # the name ends with .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # so that "my_codec:spec" in its components resolves
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


@functools.cache
def hash_code(modules: tuple[str, ...]) -> str:
    """Return the sha256 of the source files of `modules` and of the local modules that they import, as hex.

    Imports nothing. For a module in a package, the whole package is hashed. Imported modules are included only if they
    are in the same folders as `modules` and those are not installation folders. The result is cached, because the
    process keeps running the code that it loaded first.
    """
    digest = hashlib.sha256()
    queue = sorted({name.partition(".")[0] for name in modules})
    installed = {Path(path).resolve() for path in sysconfig.get_paths().values()}
    folders = {folder for top in queue if (folder := _find_folder(top)) is not None} - installed
    seen: set[str] = set()
    while queue:
        top = queue.pop(0)
        seen.add(top)
        for name, path in _source_files(top):
            digest.update(f"{name}\0{file_hash(path)}\0".encode())
            queue += sorted(new for new in _imported_modules(path) - seen - {*queue} if _find_folder(new) in folders)
    return digest.hexdigest()


def _find_locations(top: str) -> list[Path]:
    """Return the folders of a top-level package, or the file of a module; empty if it is built in or missing."""
    try:
        spec = importlib.util.find_spec(top)
    except (ValueError, ImportError):  # the __main__ module of a script has no spec
        return []
    if spec is None:
        return []
    names = spec.submodule_search_locations or ([spec.origin] if spec.origin else [])
    return [Path(name) for name in names if Path(name).exists()]


def _find_folder(top: str) -> Path | None:
    """Return the folder that contains a top-level module; None if it is built in or missing."""
    return next((location.resolve().parent for location in _find_locations(top)), None)


def _source_files(top: str) -> list[tuple[str, Path]]:
    """Return ``(unique name, path)`` of each Python file of a top-level module or package."""
    files = []
    for location in _find_locations(top):
        if location.is_dir():
            paths = sorted(location.rglob("*.py"))
            files += [(f"{top}/{path.relative_to(location).as_posix()}", path) for path in paths]
        elif location.suffix == ".py":
            files.append((f"{top}/{location.name}", location))
    return files


def _imported_modules(path: Path) -> set[str]:
    """Return the top-level modules that a file imports anywhere."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except SyntaxError:  # a file in the package that is never imported
        return set()
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    return {name.partition(".")[0] for name in names}


def check_hooks(plugin: ModuleType) -> None:
    """Reject hook implementations that would silently never be called.

    Raises:
        BrokenPlugin: an implemented hook does not exist, or a function with a hook's name is not marked.
    """
    names = [name for name in vars(hooks) if name.startswith("areca_")]
    for name, value in list(vars(plugin).items()):
        marked = getattr(value, "areca_impl", None)
        marked = marked if isinstance(marked, dict) else None  # ignores objects that have every attribute
        hook = (marked or {}).get("specname") or name
        if marked and hook not in names:
            raise BrokenPlugin(
                f"{_locate_function(value)}it implements a hook that does not exist: {hook!r}{suggest(hook, names)}"
            )
        if name in names and not marked:
            raise BrokenPlugin(
                f"{_locate_function(value)}{name} is not marked as a hook implementation: mark it with @areca.hookimpl"
            )


def _locate_function(function: object) -> str:
    code = getattr(function, "__code__", None)
    return "" if code is None else f"line {code.co_firstlineno}: "


def source_of(module: str) -> str | None:
    """Return the source of a module without importing it or its packages; None: the module has no source.

    Raises:
        ModuleNotFoundError: no such module is installed.
        ImportError, ValueError: its source cannot be read.
    """
    name, *rest = module.split(".")
    spec = importlib.util.find_spec(name)  # looks only for the top-level package: does not import it
    for part in rest:
        name = f"{name}.{part}"
        folders = spec and spec.submodule_search_locations
        spec = PathFinder.find_spec(name, folders) if folders else None
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}")
    source = spec.loader.get_source(name) if isinstance(spec.loader, InspectLoader) else None
    return None if source is None else str(source)


@functools.cache
def is_installed(module: str) -> bool:
    """Return whether `module` can be found, without importing it. Discovering plugins clears the cache."""
    try:
        return importlib.util.find_spec(module) is not None
    except Exception:  # a third-party finder fails, or the module has no spec
        return False
