"""How plugin modules are imported and looked at: quietly, lazily, and by path where they are a user's own."""

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
from pathlib import Path
from types import ModuleType

from areca.errors import BrokenPlugin, clipped, suggest
from areca.options import file_hash
from areca.registry import hooks


@contextlib.contextmanager
def traced(what: str, unless: bool = False) -> Iterator[None]:
    """Say under ARECA_TRACE=1 what was loaded, in what time, whether or not it worked."""
    start_s = time.perf_counter()
    try:
        yield
    finally:
        if os.environ.get("ARECA_TRACE") and not unless:
            print(f"areca: {what} loaded in {(time.perf_counter() - start_s) * 1e3:.1f} ms", file=sys.stderr)


def entry_points(group: str) -> tuple[list[metadata.EntryPoint], list[tuple[tuple[str, str], Exception]]]:
    """Return a group's entry points, and the distributions (name, version) whose metadata cannot be read, and why."""
    try:
        return list(metadata.entry_points(group=group)), []
    except Exception:  # one unreadable entry_points.txt: the others are read one by one, which is slower
        pass
    found: dict[str, list[metadata.EntryPoint]] = {}
    unreadable: list[tuple[tuple[str, str], Exception]] = []
    for dist in metadata.distributions():
        name = dist.name or "unknown"
        try:
            found.setdefault(name, [point for point in dist.entry_points if point.group == group])
        except Exception as e:
            unreadable.append(((name, dist.version or "0"), e))
    return [point for points in found.values() for point in points], unreadable


def what_happened(error: BaseException) -> str:
    """Return ``"ValueError: what it says"`` on one line, whatever the error is: a stranger's may not print itself."""
    try:
        said = " ".join(str(error).split())
    except Exception as e:
        said = f"its message cannot be read ({type(e).__name__})"
    return f"{type(error).__name__}: {clipped(said)}"


def where(name: str, root: Path, error: BaseException) -> str:
    """Return the file, and if it is known the line, of a user's own plugin that `error` comes from.

    Args:
        name: of the plugin, as `import_local` takes it.
        root: as of `import_local`.
        error: what importing or asking it raised.

    Returns:
        ``"/home/me/my_codec.py: line 3: "``; ``""`` where there is no such plugin.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}: line {error.lineno}: "
    path = _own_file(name, root)
    if path is None:
        return ""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent == path.parent]
    return f"{frames[-1].filename}: line {frames[-1].lineno}: " if frames else f"{path}: "


def _own_file(name: str, root: Path) -> Path | None:
    path = (root / name).resolve()
    if not name.endswith(".py"):
        places = _places(name.partition(".")[0])
        path = next((p / "__init__.py" if p.is_dir() else p for p in places), path)
    return path if os.path.isfile(path) else None  # unlike Path's own, it takes a name that is too long


def import_local(name: str, root: Path) -> ModuleType:
    """Import a user's own module or file; modules beside it can be imported too, unless installed ones hide them.

    Args:
        name: a path ending in ``.py``, relative to `root`, or a module's name.
        root: a folder.
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
    there = sys.modules.get(path.stem)
    if there is not None and getattr(there, "__file__", None) == str(path):
        return there
    if there is not None:
        raise ImportError(f"another module is called {path.stem!r}: rename the file")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # the name ends with .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # "my_codec:spec" in its components must resolve
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


@functools.cache
def digest_of(modules: tuple[str, ...]) -> str:
    """Return a hash of the Python files of `modules` and of the modules beside them that they import; none is imported.

    Of a module in a package, the whole package counts. What lies where packages are installed is not looked for. What
    the hash was when first asked stays: that is the code which the process has loaded.
    """
    digest = hashlib.sha256()
    own = sorted({name.partition(".")[0] for name in modules})
    installed = {Path(path).resolve() for path in sysconfig.get_paths().values()}
    folders = {folder for top in own if (folder := _folder(top)) is not None} - installed
    seen: set[str] = set()
    while own:
        top = own.pop(0)
        seen.add(top)
        for name, path in _files(top):
            digest.update(f"{name}\0{file_hash(path)}\0".encode())
            own += sorted(new for new in _imports(path) - seen - {*own} if _folder(new) in folders)
    return digest.hexdigest()


def _places(top: str) -> list[Path]:
    """Return the folders of a top-level package, or the file of a module; empty: it is built in, or not there."""
    try:
        spec = importlib.util.find_spec(top)
    except (ValueError, ImportError):  # __main__ of a script has none
        return []
    if spec is None:
        return []
    names = spec.submodule_search_locations or ([spec.origin] if spec.origin else [])
    return [Path(name) for name in names if Path(name).exists()]


def _folder(top: str) -> Path | None:
    """Return the folder that a top-level module is in; None: it is built in, or not there."""
    return next((place.resolve().parent for place in _places(top)), None)


def _files(top: str) -> list[tuple[str, Path]]:
    """Return the Python files of a top-level module or package, with the names that tell them apart."""
    found = []
    for place in _places(top):
        if place.is_dir():
            found += [(f"{top}/{path.relative_to(place).as_posix()}", path) for path in sorted(place.rglob("*.py"))]
        elif place.suffix == ".py":
            found.append((f"{top}/{place.name}", place))
    return found


def _imports(path: Path) -> set[str]:
    """Return the top-level modules that a file imports, wherever in it."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except SyntaxError:  # a file of the package that nothing imports
        return set()
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    return {name.partition(".")[0] for name in names}


def check_hooks(plugin: ModuleType) -> None:
    """Refuse hooks that would silently never be called.

    Raises:
        BrokenPlugin: a hook that does not exist, or one that is not marked as implemented.
    """
    names = [name for name in vars(hooks) if name.startswith("areca_")]
    for name, value in list(vars(plugin).items()):
        marked = getattr(value, "areca_impl", None)
        marked = marked if isinstance(marked, dict) else None  # objects that answer to any name are no hooks
        hook = (marked or {}).get("specname") or name
        if marked and hook not in names:
            raise BrokenPlugin(
                f"{_line_of(value)}it implements a hook that does not exist: {hook!r}{suggest(hook, names)}"
            )
        if name in names and not marked:
            raise BrokenPlugin(
                f"{_line_of(value)}it has {name} but does not implement it: mark it with @areca.hookimpl"
            )


def _line_of(function: object) -> str:
    code = getattr(function, "__code__", None)
    return "" if code is None else f"line {code.co_firstlineno}: "


def is_installed(module: str) -> bool:
    """Return whether `module` can be found, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except Exception:  # a finder of somebody's, or a module without a spec
        return False
