"""The declaration of a component by its plugin. Imports no heavy dependency."""

from __future__ import annotations

import enum
import functools
import re
import unicodedata
from collections.abc import Callable, Mapping, Set
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Self, TypeVar, get_type_hints

from areca.errors import quote

C = TypeVar("C")

PLUGIN_API = 1
"""Version of the plugin API. A plugin module declares the version it was written for as ``ARECA_PLUGIN_API``."""

TAGS = MappingProxyType(
    {
        "fit": "`fit` trains it from data and writes its files as an artifact",
        "resume": "`fit` resumes from the files that an interrupted `fit` left in the job's directory",
        "decode": "also decodes codes to audio",
        "codebooks": "also returns the vectors that its codes stand for, from which a network over them can start",
        "features": "also returns the vectors that its units cluster, which `kmeans` clusters again and an LM can read",
        "voice": "accepts a voice prompt",
        "stream": "also turns codes into audio while the codes arrive",
    }
)
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
COMPONENT_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""Pattern of a component's name: lowercase words joined by ``-``."""
_PLUGIN_TAG = re.compile(r"[a-z][a-z0-9_]*/[a-z][a-z0-9-]*")
"""Pattern of a tag that a plugin defines: the plugin's name, ``/``, the tag's name."""
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_UNPRINTABLE = ("Cc", "Cs")
"""Unicode categories that break a table's line or cannot be printed: control characters and lone surrogates."""


class Kind(enum.StrEnum):
    """The built-in kinds, each a row of `areca.specs.KINDS`. Plugins add kinds with the hook `areca_kinds`."""

    TOKENIZER = "tokenizer"
    BACKBONE = "backbone"
    VOCODER = "vocoder"
    TASK = "task"
    DATASET = "dataset"
    JUDGE = "judge"
    METRIC = "metric"
    NORMALISER = "normaliser"
    PATTERN = "pattern"
    DECODING = "decoding"
    OPTIMIZER = "optimizer"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One named, configurable implementation of an interface.

    A plugin returns its components from the hook `areca_components`.

    Args:
        kind: the interface it implements: a `Kind`, or the name of a kind that a plugin adds.
        name: public name, unique within the kind; lowercase words joined by ``-``.
        config: frozen dataclass *type* with one field per option; the string below a field documents the option. Or
            ``"module:Class"``, which is imported only when the component is used: with many components, ``areca list``
            stays quick.
        spec: ``"module:function"`` of ``spec(config, needs) -> Spec``, which imports neither torch nor weights.
        target: ``"module:Class"`` with ``fit`` and ``load``, imported only when the component is fitted or loaded.
        summary: one line for ``areca list``, without a full stop.
        needs: the components it depends on: ``{name in the YAML: kind}``.
        needs_tags: tags that each need's component must have: ``{name of the need: tags}``.
        requires: top-level modules without which the component cannot run; looked up, never imported.
        tags: capabilities, see `TAGS`. Those that depend on options or needs are in the spec (`areca.specs.Tagged`).
        revision: increased when the component's output changes for the same config.
        loads_revisions: earlier revisions whose fitted files still load and give the same output.
        extra: pip extra of the plugin's distribution that installs the modules in `requires`.
        paper: URL of the paper it implements.
        license: SPDX expression of the code; None: not stated.
        weights_license: SPDX expression of the weights it loads, if any.
        check: options and needs under which the conformance kit builds the component in seconds.

    Raises:
        ValueError, TypeError: a field violates one of the rules above.

    Example:
        >>> Component(
        ...     kind=Kind.TOKENIZER,
        ...     name="my-codec",
        ...     config=MyCodecConfig,
        ...     spec="my_codec:spec",
        ...     target="my_codec.model:MyCodec",
        ...     summary="8 codebooks at 50 Hz",
        ...     requires=("torch",),
        ...     tags=frozenset({"decode"}),
        ... )
    """

    kind: str
    name: str
    config: type[Any] | str
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
        if isinstance(self.config, type):
            self.check_config(self.config)
        elif not _is_reference(self.config):
            raise TypeError(
                f"config of {self.name!r}: expected a dataclass type or 'package.module:name', got {quote(self.config)}"
            )
        if wrong := sorted(n for n in self.loads_revisions if not 1 <= n < self.revision):
            raise ValueError(
                f"loads_revisions of {self.name!r}: {wrong} must be from 1 to {self.revision - 1}, "
                f"before revision {self.revision}"
            )
        check_tags(frozenset(self.tags).union(*self.needs_tags.values()), f"tags of {self.name!r}")
        self._check_needs()

    @property
    def stated_license(self) -> str:
        """The license of the code for display: an SPDX expression, or ``"not stated"``."""
        return self.license or "not stated"

    def check_config(self, config: Any) -> None:
        """Check that a value is a type of options for this component.

        Raises:
            TypeError, ValueError: it is not a frozen dataclass, the type of a field cannot be resolved, or a field has
                the name of a need.
        """
        if not (isinstance(config, type) and is_dataclass(config)):
            raise TypeError(f"config of {self.name!r}: expected a dataclass type, got {quote(config)}")
        if not config.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise TypeError(f"config of {self.name!r}: {config.__name__} must be @dataclass(frozen=True)")
        try:
            _types_of(config)
        except Exception as e:  # evaluating a plugin's annotation may raise anything
            raise TypeError(f"config of {self.name!r}: the type of a field cannot be resolved: {e}") from e
        for f in fields(config):
            if f.default_factory is not MISSING:
                f.default_factory()  # fails here rather than in `areca show`
        if taken := [need for need in self.needs if need in {"name", *(f.name for f in fields(config))}]:
            raise ValueError(f"need {taken[0]!r} of {self.name!r} is also the name of an option: rename one of them")

    def _check_needs(self) -> None:
        for need in self.needs:
            if not _IDENTIFIER.fullmatch(need):
                raise ValueError(f"need {quote(need)} of {self.name!r}: expected an identifier like 'semantic'")
        if extra := sorted(set(self.needs_tags) - set(self.needs)):
            raise ValueError(
                f"needs_tags of {self.name!r}: {extra} are not needs of it; expected names from {list(self.needs)}"
            )


@functools.cache
def _types_of(config: type[Any]) -> Mapping[str, Any]:
    """Return the types of a class's fields. Cached, because every registry checks every component."""
    return get_type_hints(config)


def check_tags(tags: Set[str], label: str) -> None:
    """Check that tags are in `TAGS` or have the form of a plugin's tag.

    Raises:
        ValueError: one of them is neither; the message starts with `label`.
    """
    if unknown := sorted(tag for tag in tags if tag not in TAGS and not _PLUGIN_TAG.fullmatch(tag)):
        raise ValueError(
            f"{label}: {unknown} unknown; expected {sorted(TAGS)}, or a tag that your plugin defines, like "
            "'my_plugin/whispering'"
        )


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
        "kind": (_is_name, "the name of a kind, like Kind.TOKENIZER"),
        "spec": (_is_reference, "'package.module:name'"),
        "target": (_is_reference, "'package.module:name'"),
        "summary": (_is_line, _LINE),
        "needs": (_is_mapping_to(_is_name), "{'semantic': Kind.TOKENIZER}"),
        "needs_tags": (_is_mapping_to(_is_set_of(_is_line)), "{'semantic': frozenset({'decode'})}"),
        "requires": (_are_modules, "a tuple of top-level modules, like ('torch',)"),
        "tags": (_is_set_of(_is_line), "a set, like frozenset({'decode'})"),
        "revision": (_is_whole, "a whole number, 1 or more"),
        "loads_revisions": (
            _is_set_of(lambda n: isinstance(n, int)),
            "a set of earlier revisions, like frozenset({1})",
        ),
        "extra": (_is_line_or_none, f"{_LINE} or None"),
        "paper": (_is_line_or_none, f"{_LINE} or None"),
        "license": (_is_line_or_none, f"{_LINE} or None"),
        "weights_license": (_is_line_or_none, f"{_LINE} or None"),
        "check": (_is_mapping_to(lambda _: True), "options for the conformance kit, like {'size': 8}"),
    }
)
"""Validator and expected value of each `Component` field; `name` and `config` are checked separately."""


class Configured(Generic[C]):
    """Base class of targets whose instances need only their options.

    Example:
        >>> class Greedy(Configured[GreedyConfig]):
        ...     def search(self, rules, prompts, generator): ...
    """

    def __init__(self, config: C) -> None:
        self.config = config

    @classmethod
    def load(cls, config: C, needs: Mapping[str, Any], files: Path | None, *, device: Any, dtype: Any) -> Self:
        """Return an instance with `config`."""
        return cls(config)


def runtime(default: Any) -> Any:
    """Declare a config field that cannot change results (device, batch size); artifact keys leave it out.

    Example:
        >>> @dataclass(frozen=True)
        ... class MyConfig:
        ...     batch_size: int = runtime(16)
        ...     '''Recordings encoded at once.'''
    """
    return field(default=default, metadata={"runtime": True})


def added(default: Any) -> Any:
    """Declare a config field that a later version added; artifact keys leave it out while it has its default.

    Artifacts built by earlier versions therefore keep their keys. The default must give the output of the version
    without the field.
    """
    return field(default=default, metadata={"added": True})


def identified_by(method: str, **default: Any) -> Any:
    """Declare a `Path` field that a method of the config identifies in artifact keys.

    By default the content of a path enters the key, and a folder is read in full. A corpus is too large for that.

    Args:
        method: name of a method that returns a JSON value, such as the content of a corpus's tables
            (`areca.options.content_hash`) and the sizes of its recordings (`areca.options.listing_hash`). It is called
            without arguments, and may raise `InvalidConfig` if a file is missing.
        default: ``default=None`` makes the field optional.

    Example:
        >>> @dataclass(frozen=True)
        ... class MyCorpusConfig:
        ...     root: Path = identified_by("identity")
        ...
        ...     def identity(self) -> dict[str, str]:
        ...         return {"table": content_hash(self.root / "all.tsv"), "clips": listing_hash(self.root / "clips")}
    """
    return field(metadata={"identified_by": method}, **default)


def run_seed() -> Any:
    """Declare a config field that defaults to the run's seed: for random draws in `load`, which receives no job."""
    return field(default=0, metadata={"run_seed": True})
