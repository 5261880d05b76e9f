"""The one reader of YAML: recipes, studies, a checkpoint's config and options of the command line. No torch.

It reads plain values only: mappings, lists, text, numbers, booleans and null. What a file may cost is bounded: its
size, its depth, and what its aliases and references expand to.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from areca.errors import ArecaError, InvalidConfig, quote
from areca.files.reading import DEEPEST, check_plain, read_regular
from areca.files.references import resolved_references

LONGEST_YAML = 1 << 20
"""Bytes of a YAML file, at most."""
MOST_NODES = 20_000
"""Values of a YAML file, at most, each alias counted as all that it stands for."""
_MOST = f"expected at most {MOST_NODES:,} values in {DEEPEST} levels, aliases written out; got more"
_TAG = "tag:yaml.org,2002:"
_PLAIN = frozenset(_TAG + name for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge"))
_FLOAT = re.compile(
    r"^(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
"""As YAML 1.2 has it: ``1e-3`` is a number without a dot, too."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without tags, dates and deep nesting; it reads ``1e-3`` as a number."""

    depth = nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node; too deep a one is an error before Python's own limit, and so are too many."""
        self.depth, self.nodes = self.depth + 1, self.nodes + 1
        if self.depth > DEEPEST or self.nodes > MOST_NODES:
            raise _Refused(_MOST, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Construct a value; whatever Python raises for its text names the line."""
        if node.tag not in _PLAIN:
            raise _Refused(f"expected a plain value, got the tag {quote(node.tag)}", node.start_mark)
        try:
            value = super().construct_object(node, deep)
        except (ValueError, IndexError, KeyError, OverflowError):
            kind = node.tag.removeprefix(_TAG)
            raise _Refused(f"expected a value of type {kind}, got {quote(node.value)}", node.start_mark) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise _Refused(f"expected a finite number, got {quote(node.value)}", node.start_mark)
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Construct a mapping whose keys are scalars, each there once beside those that ``<<`` merges."""
        seen = set[tuple[str, str]]()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                raise _Refused("expected a key of text, got a list or mapping", key.start_mark)
            if (name := (key.tag, key.value)) in seen and key.tag != _TAG + "merge":
                raise _Refused(f"the key {quote(key.value)} is there twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


class _Refused(yaml.MarkedYAMLError):
    """What this reader refuses itself."""

    def __init__(self, problem: str, mark: yaml.Mark) -> None:
        super().__init__(problem=problem, problem_mark=mark)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in rows if tag not in (_TAG + "timestamp", _TAG + "float")]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_TAG + "float", _FLOAT, list("-+0123456789."))


def parse_yaml(text: str | bytes, where: str, error: type[ArecaError] = InvalidConfig) -> Any:
    """Return what a YAML text says, as plain values; references as ``${a.b}`` stay as they are written.

    Args:
        text: at most `LONGEST_YAML` bytes of UTF-8.
        where: the file or option, for the error.
        error: what is raised.

    Raises:
        ArecaError: `error`: it is not YAML of plain values; the message names the line.
    """
    if len(text) > LONGEST_YAML:
        raise error(f"{where}: expected YAML of at most {LONGEST_YAML:,} bytes, got {len(text):,}")
    try:
        loader = _Loader(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
        node = loader.get_single_node()
        _check_expansion(node)
        value = None if node is None else loader.construct_document(node)
        check_plain(value)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise error(f"{where}: {line}{e.problem or e.context}") from None
    except UnicodeDecodeError as e:
        raise error(f"{where}: expected text in UTF-8, byte {e.start} is not") from None
    except yaml.YAMLError as e:  # characters that YAML does not allow
        raise error(f"{where}: {' '.join(str(e).split())[:200]}") from None
    except ValueError as e:
        raise error(f"{where}: {e}") from None
    return value


def _check_expansion(root: yaml.Node | None) -> None:
    """Refuse what aliases may do: a value inside itself, more than `MOST_NODES` values or `DEEPEST` levels in all."""
    measured: dict[int, tuple[int, int]] = {}
    begun = set[int]()

    def measure(node: yaml.Node) -> tuple[int, int]:
        if id(node) in measured:  # an alias of what stands further up
            return measured[id(node)]
        if id(node) in begun:
            raise _Refused("an alias stands for a value that it is part of", node.start_mark)
        begun.add(id(node))
        inner = [measure(child) for child in _children(node)]
        size, levels = 1 + sum(n for n, _ in inner), 1 + max((n for _, n in inner), default=0)
        if size > MOST_NODES or levels > DEEPEST:
            raise _Refused(_MOST, node.start_mark)
        measured[id(node)] = size, levels
        return size, levels

    if root is not None:
        measure(root)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def read_yaml(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a recipe or a study says, with ``key=value`` pairs over it; its references are resolved.

    Raises:
        InvalidConfig: no such file, no mapping of plain values in it, a pair that is none, or a reference to something
            else than a value of the same file.
    """
    written = _mapping(parse_yaml(_content(path), str(path)), str(path))
    return resolved_references(_merged(written, read_pairs(overrides)), str(path))


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, most=LONGEST_YAML, links=True, error=InvalidConfig)
    except FileNotFoundError:
        raise InvalidConfig(f"{path}: no such file") from None


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidConfig(f"{where}: expected a mapping like 'tokenizer: {{name: ...}}', got another YAML value")
    return {str(key): inner for key, inner in value.items()}


def _merged(written: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `over` laid over `written`: mappings key by key, all else replaced."""
    result = dict(written)
    for key, value in over.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def read_pairs(pairs: Sequence[str], *, what: str = "override", example: str = "training.steps=100") -> dict[str, Any]:
    """Return ``key=value`` pairs as one mapping; keys are dotted for inner ones, values are YAML, the last one wins.

    Args:
        pairs: as the command line gives them.
        what: what a pair is called in errors.
        example: one to show.

    Raises:
        InvalidConfig: a pair that is none, or a value that is not plain YAML.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        names = key.split(".")
        if not equals or not all(names) or len(names) > DEEPEST:
            raise InvalidConfig(f"{what} {quote(pair)}: expected key=value, as {example}")
        inner = found
        for name in names[:-1]:
            if not isinstance(inner.get(name), dict):
                inner[name] = {}
            inner = inner[name]
        inner[names[-1]] = parse_yaml(text, f"{what} {quote(pair)}")
    return found
