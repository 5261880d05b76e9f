"""Read YAML: recipes, studies, the config of a checkpoint and command-line options. Does not import torch.

Only plain values are accepted: mappings, lists, text, numbers, booleans and null. Size and depth are limited, and so
is the size after aliases and references are expanded.
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
from areca.files.references import resolve_references

LONGEST_YAML = 1 << 20
"""Maximum size of a YAML file, in bytes."""
MOST_NODES = 20_000
"""Maximum number of values in a YAML file; an alias counts as all values it expands to."""
_MOST = f"expected at most {MOST_NODES:,} values and {DEEPEST} levels after expanding aliases, got more"
_TAG = "tag:yaml.org,2002:"
_PLAIN = frozenset(_TAG + name for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge"))
_FLOAT = re.compile(
    r"^(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
"""Floats as in YAML 1.2, where ``1e-3`` is also a number."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without tags, dates and deep nesting; it reads ``1e-3`` as a number."""

    depth = nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node; fail on too many nodes, and on deep nesting before Python's recursion limit."""
        self.depth, self.nodes = self.depth + 1, self.nodes + 1
        if self.depth > DEEPEST or self.nodes > MOST_NODES:
            raise _Refused(_MOST, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Construct a value; errors name its line."""
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
        """Construct a mapping; keys must be scalars and unique, except for keys merged by ``<<``."""
        seen = set[tuple[str, str]]()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                raise _Refused("expected a text key, got a list or mapping", key.start_mark)
            if (name := (key.tag, key.value)) in seen and key.tag != _TAG + "merge":
                raise _Refused(f"the key {quote(key.value)} appears twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


class _Refused(yaml.MarkedYAMLError):
    """Valid YAML that this reader does not accept."""

    def __init__(self, problem: str, mark: yaml.Mark) -> None:
        super().__init__(problem=problem, problem_mark=mark)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in rows if tag not in (_TAG + "timestamp", _TAG + "float")]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_TAG + "float", _FLOAT, list("-+0123456789."))


def parse_yaml(text: str | bytes, where: str, error: type[ArecaError] = InvalidConfig) -> Any:
    """Parse YAML text into plain values. References like ``${a.b}`` are left unresolved.

    Args:
        text: at most `LONGEST_YAML` bytes of UTF-8.
        where: the file or option, for the message.
        error: exception type to raise.

    Raises:
        ArecaError: (as `error`) the text is not YAML with plain values; the message names the line.
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
        raise error(f"{where}: expected UTF-8 text, byte {e.start} is invalid") from None
    except yaml.YAMLError as e:  # for example, characters that YAML does not allow
        raise error(f"{where}: {' '.join(str(e).split())[:200]}") from None
    except ValueError as e:
        raise error(f"{where}: {e}") from None
    return value


def _check_expansion(root: yaml.Node | None) -> None:
    """Reject aliases that form a cycle, or expand to more than `MOST_NODES` values or `DEEPEST` levels."""
    measured: dict[int, tuple[int, int]] = {}  # size and depth of each node
    begun = set[int]()

    def measure(node: yaml.Node) -> tuple[int, int]:
        if id(node) in measured:  # an alias of an earlier node
            return measured[id(node)]
        if id(node) in begun:
            raise _Refused("an alias refers to a value that contains it", node.start_mark)
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
    """Read a recipe or a study, apply ``key=value`` overrides, and resolve its references.

    Args:
        path: the YAML file.
        overrides: ``key=value`` pairs that override values of the file.

    Raises:
        InvalidConfig: the file does not exist or is not a mapping of plain values, a pair is not ``key=value``, or a
            reference has no target in the file.
    """
    values = _require_mapping(parse_yaml(_read_file(path), str(path)), str(path))
    return resolve_references(_merge(values, read_pairs(overrides)), str(path))


def _read_file(path: Path) -> bytes:
    try:
        return read_regular(path, most=LONGEST_YAML, links=True, error=InvalidConfig)
    except FileNotFoundError:
        raise InvalidConfig(f"{path}: no such file") from None


def _require_mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidConfig(f"{where}: expected a mapping like 'tokenizer: {{name: ...}}', got another YAML value")
    return {str(key): inner for key, inner in value.items()}


def _merge(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with `overrides` applied: mappings are merged key by key, other values are replaced."""
    result = dict(values)
    for key, value in overrides.items():
        old = result.get(key)
        result[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def read_pairs(pairs: Sequence[str], *, what: str = "override", example: str = "training.steps=100") -> dict[str, Any]:
    """Parse ``key=value`` pairs into a nested mapping.

    Keys may be dotted, values are YAML, and a later pair overrides an earlier one.

    Args:
        pairs: pairs from the command line.
        what: name of a pair in messages.
        example: an example pair for messages.

    Raises:
        InvalidConfig: a pair is not ``key=value``, or its value is not plain YAML.

    Example:
        >>> read_pairs(["training.steps=100", "seed=1"])
        {'training': {'steps': 100}, 'seed': 1}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        names = key.split(".")
        if not equals or not all(names) or len(names) > DEEPEST:
            raise InvalidConfig(f"{what} {quote(pair)}: expected key=value, like {example}")
        inner = found
        for name in names[:-1]:
            if not isinstance(inner.get(name), dict):
                inner[name] = {}
            inner = inner[name]
        inner[names[-1]] = parse_yaml(text, f"{what} {quote(pair)}")
    return found
