"""Options of components and runs: build a frozen dataclass from YAML values, and hash it for artifact keys."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import inspect
import itertools
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from areca.errors import InvalidConfig, quote, shorten, suggest, summarise

T = TypeVar("T")
_SCALARS = (str, int, float, bool, Path)


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a config dataclass, for display.

    Args:
        name: the field's name.
        type: the field's type as text.
        default: the default value; ``"???"`` if the option is required.
        doc: the string literal below the field.
        runtime: whether the option is left out of artifact keys, see `areca.component.runtime`.
    """

    name: str
    type: str
    default: Any
    doc: str
    runtime: bool

    @property
    def required(self) -> bool:
        """Whether the option has no default."""
        return bool(self.default == "???")


def build(cls: type[T], values: Mapping[str, Any], where: str, *, root: Path | None = None) -> T:
    """Build an instance of `cls` from `values`; omitted options keep their defaults.

    Args:
        cls: frozen dataclass type with one field per option; a field whose type is a dataclass is a group of options.
        values: option names and values, as read from YAML.
        where: the thing being configured, for error messages, like ``"tokenizer encodec"``.
        root: base folder of relative `Path` options; None: the working directory.

    Returns:
        an instance of `cls`.

    Raises:
        InvalidConfig: an option is unknown (the message suggests the most similar one), required and missing, or has a
            value of the wrong type.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from areca.files.references import check_no_references

    check_no_references(values, where)
    hints = get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if not isinstance(values, Mapping):
        raise InvalidConfig(f"{where}: expected {{option: value}}, got {quote(values)}")
    for name in values:
        if name not in known:
            hint = f"{suggest(str(name), known)}\n  options: {', '.join(known) or 'none'}"
            raise InvalidConfig(f"{where}: no option is called {quote(name)}{hint}")
    for name, value in values.items():
        if _is_nested(hints[name], value):  # OmegaConf would accept it as a sequence of scalars
            raise InvalidConfig(_expected(cls, name, value, where))
    values = {name: _build_group(hints.get(name), value, f"{where}: {name}", root) for name, value in values.items()}
    try:
        merged = OmegaConf.merge(OmegaConf.structured(cls), OmegaConf.create(dict(values)))
        if missing := sorted(map(str, OmegaConf.missing_keys(merged))):
            raise InvalidConfig(f"{where}: missing required option {', '.join(missing)}")
        config: T = _resolve_paths(OmegaConf.to_object(merged), root)
        return config
    except OmegaConfBaseException as e:
        raise InvalidConfig(_describe_error(cls, values, where, e)) from e
    except (ValueError, TypeError) as e:  # raised by __post_init__ of the dataclass
        raise InvalidConfig(f"{where}: {shorten(e)}") from e


def _build_group(hint: Any, value: Any, where: str, root: Path | None) -> Any:
    """Return the value of an option, built recursively if the option is a dataclass."""
    grouped = isinstance(hint, type) and dataclasses.is_dataclass(hint) and not isinstance(value, hint)
    return build(hint, value, where, root=root) if grouped else value


def read_mapping(text: str, where: str) -> Mapping[str, Any]:
    """Parse YAML text that holds one mapping, like ``{name: value}``.

    Args:
        text: the YAML.
        where: the option that `text` was given for, for error messages.

    Raises:
        InvalidConfig: `text` is not YAML, or not a mapping.
    """
    from areca.files.yaml_text import parse_yaml  # imported here because `areca list` needs no YAML

    value = parse_yaml(text, f"{where} {quote(text)}")
    if not isinstance(value, Mapping):
        raise InvalidConfig(f"{where} {quote(text)}: expected {{name: value}}")
    return value


def _resolve_paths(config: Any, root: Path | None) -> Any:
    paths = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    absolute = {name: (root or Path.cwd()) / p for name, p in paths.items() if isinstance(p, Path)}
    return dataclasses.replace(config, **absolute) if absolute else config


def _describe_error(cls: type[Any], values: Mapping[str, Any], where: str, error: Exception) -> str:
    key = str(getattr(error, "full_key", None) or "").partition("[")[0]
    wrong = [o for o in list_options(cls) if o.name == key or (not key and _is_rejected(cls, o.name, values))]
    if not wrong:
        return f"{where}: {summarise(error)}"
    return _expected(cls, wrong[0].name, values.get(wrong[0].name), where)


def _expected(cls: type[Any], name: str, value: Any, where: str) -> str:
    [option] = (o for o in list_options(cls) if o.name == name)
    return f"{where}: option {name!r} is {quote(value)}, expected {option.type}"


def _is_nested(hint: Any, value: Any) -> bool:
    """Return whether a list contains lists or mappings although `hint` is a tuple of scalars (``tuple[int, ...]``)."""
    kinds = [kind for kind in (hint, *get_args(hint)) if get_origin(kind) is tuple]
    of_scalars = any(get_args(kind)[0] in _SCALARS or get_origin(get_args(kind)[0]) is Literal for kind in kinds)
    nested = isinstance(value, (list, tuple)) and any(isinstance(item, (list, tuple, Mapping)) for item in value)
    return of_scalars and nested


def _is_rejected(cls: type[Any], name: str, values: Mapping[str, Any]) -> bool:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        OmegaConf.merge(OmegaConf.structured(cls), {name: values[name]} if name in values else {})
    except OmegaConfBaseException:
        return True
    return False


def list_options(cls: type[Any]) -> tuple[Option, ...]:
    """Return the options of a config dataclass, in field order; the string literal below a field is its doc."""
    hints = get_type_hints(cls)
    docs = _docs(cls)
    return tuple(
        Option(
            f.name,
            _type_name(hints[f.name]),
            _default(f),
            docs.get(f.name, ""),
            bool(f.metadata.get("runtime")),
        )
        for f in dataclasses.fields(cls)
    )


def _type_name(hint: Any) -> str:
    if isinstance(hint, type) and not getattr(hint, "__args__", None):
        return hint.__name__
    return str(hint).replace("typing.", "").replace("pathlib.", "").replace("NoneType", "None")


def _default(f: dataclasses.Field[Any]) -> Any:
    if f.default is not dataclasses.MISSING:
        return f.default
    return "???" if f.default_factory is dataclasses.MISSING else f.default_factory()


def _docs(cls: type[Any]) -> dict[str, str]:
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            node = _definition(base)
        except Exception:  # a class created at run time has no source to read
            continue
        for item, after in itertools.pairwise(node.body):
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and _is_text(after):
                docs[item.target.id] = inspect.cleandoc(after.value.value)  # type: ignore[attr-defined]
    return docs


def _definition(cls: type[Any]) -> ast.ClassDef:
    """Return a class's definition from its module's source; `inspect.getsource` of the class takes longer."""
    nodes: list[ast.AST] = [_parsed(inspect.getsource(sys.modules[cls.__module__]))]
    for name in cls.__qualname__.replace(".<locals>", "").split("."):
        nodes = [n for node in nodes for n in ast.walk(node) if n is not node and getattr(n, "name", None) == name]
    return next(node for node in nodes if isinstance(node, ast.ClassDef))


_parsed = functools.lru_cache(maxsize=1)(ast.parse)
"""Syntax tree of the last module: a class and its bases are often in the same one."""


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def canonical(config: Any) -> dict[str, Any]:
    """Return the fields of `config` that enter an artifact key, as JSON values.

    A path becomes the sha256 of its content, or what its config's method returns (`areca.component.identified_by`).
    Runtime fields, and added fields that have their default, are left out.

    Args:
        config: an instance of a config dataclass.

    Raises:
        InvalidConfig: a path does not exist.
    """
    return {f.name: _canonical_field(f, config) for f in dataclasses.fields(config) if _enters_key(f, config)}


def _enters_key(f: dataclasses.Field[Any], config: Any) -> bool:
    unchanged = f.metadata.get("added") and getattr(config, f.name) == f.default
    return not (f.metadata.get("runtime") or unchanged)


def _canonical_field(f: dataclasses.Field[Any], config: Any) -> Any:
    method = f.metadata.get("identified_by")
    return getattr(config, method)() if method else _canonical_value(getattr(config, f.name))


def _canonical_value(value: Any) -> Any:
    if isinstance(value, Path):
        return {"sha256": content_hash(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return canonical(value)
    if isinstance(value, Mapping):
        return {str(k): _canonical_value(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical_value(v) for v in value]
    return value


def content_hash(path: Path) -> str:
    """Return the sha256 of a file, or of the sorted relative paths and contents of a folder, as hex.

    Raises:
        InvalidConfig: the path does not exist.
    """
    if path.is_dir():
        rows = [f"{file_hash(p)}  {p.relative_to(path).as_posix()}" for p in sorted(path.rglob("*")) if p.is_file()]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()
    if not path.is_file():
        raise InvalidConfig(f"{path}: no such file or folder")
    return file_hash(path)


def listing_hash(folder: Path) -> str:
    """Return the sha256 of the sorted relative paths and sizes of the files in a folder, as hex. No file is opened.

    Raises:
        InvalidConfig: the folder does not exist.
    """
    if not folder.is_dir():
        raise InvalidConfig(f"{folder}: no such folder")
    start = len(os.path.join(folder, ""))
    found = (os.path.join(directory, name)[start:] for directory, _, names in os.walk(folder) for name in names)
    return sizes_hash(folder, found)


def sizes_hash(folder: Path, names: Iterable[str]) -> str:
    """Return the sha256 of the sorted names and sizes of files in a folder, as hex; a missing file has no size."""
    rows = sorted((name, _size(os.path.join(folder, name))) for name in names)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def file_hash(path: Path) -> str:
    """Return the sha256 of a file's bytes, as hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def key_of(inputs: Mapping[str, Any]) -> str:
    """Return the sha256 of `inputs` in canonical JSON (sorted keys, no spaces, no NaN), as hex."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
