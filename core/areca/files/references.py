"""Resolve references in a recipe, like ``${training.steps}``, to other values of the file. Does not import torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from areca.errors import InvalidConfig, quote
from areca.files.reading import DEEPEST, check_plain, children

MOST_CHARACTERS = 1 << 22
"""Maximum number of characters and values after references are expanded."""
_REFERENCE = re.compile(r"\$\{\s*([\w-]+(?:\.[\w-]+)*)\s*\}")


def resolve_references(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return `values` with each ``${a.b}`` replaced by the value at that key.

    A string that consists of one reference becomes the value itself. A reference inside a longer string becomes the
    value's text.

    Args:
        values: content of a recipe or a study.
        where: the file, for the message.

    Raises:
        InvalidConfig: a reference has no target, refers to itself, or refers outside the file (``${oc.env:X}``), or the
            references expand to more than `MOST_CHARACTERS`.
    """
    return _Resolver(values, where).mapping()


def check_no_references(values: Any, where: str) -> None:
    """Reject every ``${...}``. The references of a recipe are already resolved; no other source may contain any.

    Args:
        values: plain values.
        where: their source, for the message.

    Raises:
        InvalidConfig: a string contains a reference.
    """
    level = [values]
    while level:
        for text in (item for item in level if isinstance(item, str)):
            if "${" in text:
                raise InvalidConfig(f"{where}: expected a value, got {quote(text)}: {_OUTSIDE}")
        level = [child for item in level for child in children(item)]


_OUTSIDE = (
    "a run's YAML is copied into its checkpoint, so it cannot refer to values outside the file; "
    "give the value on the command line, like key=$X"
)


class _Resolver:
    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values, self._where = values, where
        self._budget = MOST_CHARACTERS
        self._open: list[str] = []  # references being resolved
        self._levels = 0

    def mapping(self) -> dict[str, Any]:
        found = {key: self._value(value) for key, value in self._values.items()}
        check_no_references(found, self._where)  # also a reference that two joined values form
        try:
            check_plain(found)
        except ValueError as e:
            raise InvalidConfig(f"{self._where}: {e}") from None
        return found

    def _value(self, value: Any) -> Any:
        self._spend(len(value) if isinstance(value, str) else 1)
        if isinstance(value, str):
            return self._text(value) if "${" in value else value
        if not isinstance(value, (Mapping, list)):
            return value
        self._levels += 1
        if self._levels > DEEPEST:
            raise InvalidConfig(f"{self._where}: references expand to more than {DEEPEST} levels")
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        found = {key: self._value(inner) for key, inner in pairs}
        self._levels -= 1
        return found if isinstance(value, Mapping) else list(found.values())

    def _text(self, text: str) -> Any:
        if whole := _REFERENCE.fullmatch(text):
            return self._target(whole[1])
        expanded = _REFERENCE.sub(lambda found: self._target_text(found[1], text), text)
        self._spend(len(expanded))
        return expanded

    def _target_text(self, name: str, text: str) -> str:
        value = self._target(name)
        if isinstance(value, (Mapping, list)):
            raise InvalidConfig(
                f"{self._where}: {quote(text)}: expected {name} to be a single value, got a list or mapping"
            )
        self._spend(len(str(value)))
        return str(value)

    def _target(self, name: str) -> Any:
        if name in self._open or len(self._open) >= DEEPEST:
            raise InvalidConfig(f"{self._where}: ${{{name}}} refers to itself, through {' and '.join(self._open[:5])}")
        found: Any = self._values
        for key in name.split("."):
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, Mapping) and key in found:
                found = found[key]
            else:
                raise InvalidConfig(f"{self._where}: ${{{quote(name)[1:-1]}}}: there is no such key in the file")
        self._open.append(name)
        value = self._value(found)
        self._open.pop()
        return value

    def _spend(self, characters: int) -> None:
        self._budget -= characters
        if self._budget < 0:
            raise InvalidConfig(f"{self._where}: references expand to more than {MOST_CHARACTERS:,} characters")
