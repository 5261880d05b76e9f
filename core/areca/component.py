"""What a plugin declares about one component. Imports nothing heavy."""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Callable, Mapping, Set
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import Any, get_type_hints

from areca.errors import quote

PLUGIN_API = 1
"""The plugin API this areca speaks; a plugin module states its own as ``ARECA_PLUGIN_API``."""

TAGS = MappingProxyType(
    {
        "fit": "is trained from data by `fit`; its files are an artifact",
        "resume": "`fit` resumes from what an interrupted one left in the job's directory",
        "decode": "also turns codes back into audio",
        "features": "also exposes the vectors its units are clusters of, so that `kmeans` can re-cluster them",
        "voice": "takes a voice prompt",
    }
)
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
COMPONENT_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""A public name: lowercase words joined by ``-``."""
_OWN_TAG = re.compile(r"[a-z][a-z0-9_]*/[a-z][a-z0-9-]*")
"""A tag that is not areca's: the plugin that gives it its meaning, and its name."""
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_UNPRINTABLE = ("Cc", "Cs")
"""Unicode categories that break a line of a table or cannot be printed: controls, halves of surrogate pairs."""


class Kind(enum.StrEnum):
    """The kinds that areca itself knows, each a row of `areca.specs.KINDS`. A plugin may add others: `areca_kinds`."""

    TOKENIZER = "tokenizer"
    BACKBONE = "backbone"
    VOCODER = "vocoder"
    TASK = "task"
    DATASET = "dataset"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One named, configurable implementation of an interface.

    Args:
        kind: the name of the interface it implements: a `Kind`, or a kind that a plugin adds.
        name: public name, unique within its kind; lowercase words joined by ``-``.
        config: frozen dataclass *type* that holds every option, its default and (as a string below it) its doc.
        spec: ``"module:function"`` of ``spec(config, needs) -> Spec``; imports neither torch nor weights.
        target: ``"module:Class"`` with ``fit`` and ``load``, imported only when the component is fitted or loaded.
        summary: one line for ``areca list``, without a full stop.
        needs: other components it is built on, by the name that the YAML gives them, and their kinds.
        needs_tags: tags that a need's component must have, by the need's name.
        requires: top-level modules whose absence makes the component unusable; looked up, never imported.
        tags: capabilities, see `TAGS`.
        revision: raised when the component's output changes for the same config.
        loads_revisions: earlier revisions whose fitted files still load and give the same output.
        extra: pip extra of its distribution that brings what ``requires`` names.
        paper: URL of the paper it implements.
        license: SPDX expression of the code; None: not stated, and nobody states one in its place.
        weights_license: SPDX expression of the weights it loads, if any.
        check: option values, and needs, under which the conformance kit can make it in seconds.

    Raises:
        ValueError, TypeError: a field breaks one of the rules above.
    """

    kind: str
    name: str
    config: type[Any]
    spec: str
    target: str
    summary: str
    needs: Mapping[str, str] = field(default_factory=dict)
    needs_tags: Mapping[str, frozenset[str]] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    revision: int = 1
    loads_revisions: frozenset[int] = frozenset()
    extra: str | None = None
    paper: str | None = None
    license: str | None = None
    weights_license: str | None = None
    check: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not COMPONENT_NAME.fullmatch(self.name):
            raise ValueError(
                f"component name {quote(self.name)}: expected lowercase words joined by '-', like 'my-codec'"
            )
        for name, (is_right, expected) in _RULES.items():
            if not is_right(value := getattr(self, name)):
                raise TypeError(f"{name} of {self.name!r} is {quote(value)}, expected {expected}")
        self._check_config()
        if wrong := sorted(n for n in self.loads_revisions if not 1 <= n < self.revision):
            raise ValueError(f"loads_revisions of {self.name!r}: {wrong} are no revisions before {self.revision}")
        unknown = set(self.tags).union(*self.needs_tags.values()) - set(TAGS)
        if unknown := {tag for tag in unknown if not _OWN_TAG.fullmatch(tag)}:
            raise ValueError(
                f"tags of {self.name!r}: {sorted(unknown)} unknown; there are {sorted(TAGS)}, and a plugin's own, as "
                "'my_plugin/streaming'"
            )
        self._check_needs()

    @property
    def stated_license(self) -> str:
        """The licence of the code as it is shown: an SPDX expression, or ``"not stated"``."""
        return self.license or "not stated"

    def _check_config(self) -> None:
        if not (isinstance(self.config, type) and is_dataclass(self.config)):
            raise TypeError(f"config of {self.name!r}: expected a dataclass type, got {quote(self.config)}")
        if not self.config.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise TypeError(f"config of {self.name!r}: {self.config.__name__} must be @dataclass(frozen=True)")
        try:
            get_type_hints(self.config)
        except Exception as e:  # an annotation is an expression of its author's: anything can happen
            raise TypeError(f"config of {self.name!r}: the type of a field cannot be resolved: {e}") from e
        for f in fields(self.config):
            if f.default_factory is not MISSING:
                f.default_factory()  # what fails here would fail in `areca show`

    def _check_needs(self) -> None:
        taken = {"name", *(f.name for f in fields(self.config))}
        for need in self.needs:
            if not _IDENTIFIER.fullmatch(need):
                raise ValueError(f"need {quote(need)} of {self.name!r}: expected an identifier like 'semantic'")
            if need in taken:
                raise ValueError(f"need {need!r} of {self.name!r} is also an option's name: rename one")
        if extra := sorted(set(self.needs_tags) - set(self.needs)):
            raise ValueError(f"needs_tags of {self.name!r}: {extra} are none of its needs ({', '.join(self.needs)})")


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and not any(unicodedata.category(c) in _UNPRINTABLE for c in value)


def _is_line_or_none(value: Any) -> bool:
    return value is None or _is_line(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and COMPONENT_NAME.fullmatch(value) is not None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def _is_set_of(item: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Set) and all(map(item, value))


def _is_mapping_to(item: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        return isinstance(value, Mapping) and all(_is_line(k) and item(v) for k, v in value.items())

    return check


def _are_modules(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) and name.isidentifier() for name in value)


_LINE = "one line of text"
_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {
        "kind": (_is_name, "the name of a kind, as Kind.TOKENIZER"),
        "spec": (_is_reference, "'package.module:name'"),
        "target": (_is_reference, "'package.module:name'"),
        "summary": (_is_line, _LINE),
        "needs": (_is_mapping_to(_is_name), "{'semantic': Kind.TOKENIZER}"),
        "needs_tags": (_is_mapping_to(_is_set_of(_is_line)), "{'semantic': frozenset({'decode'})}"),
        "requires": (_are_modules, "a tuple of top-level modules, as ('torch',)"),
        "tags": (_is_set_of(_is_line), "a set, as frozenset({'decode'})"),
        "revision": (_is_whole, "a whole number, 1 or more"),
        "loads_revisions": (_is_set_of(lambda n: isinstance(n, int)), "a set of earlier revisions, as frozenset({1})"),
        "extra": (_is_line_or_none, f"{_LINE} or None"),
        "paper": (_is_line_or_none, f"{_LINE} or None"),
        "license": (_is_line_or_none, f"{_LINE} or None"),
        "weights_license": (_is_line_or_none, f"{_LINE} or None"),
        "check": (_is_mapping_to(lambda _: True), "options that the conformance kit gives, as {'size': 8}"),
    }
)
"""What each field of a `Component` has to be; names and configs have rules of their own."""


def runtime(default: Any) -> Any:
    """A config field that cannot change results (device, batch size): left out of every artifact's key."""
    return field(default=default, metadata={"runtime": True})


def added(default: Any) -> Any:
    """A config field that came with a later version: left out of every key while it has its default.

    So what was made before it came is still found. The default has to compute what was computed without the option.
    """
    return field(default=default, metadata={"added": True})


def run_seed() -> Any:
    """A config field that is the run's seed unless it is written: for what `load` draws, which is given no job."""
    return field(default=0, metadata={"run_seed": True})
