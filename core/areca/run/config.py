"""A run's YAML: resolve its parts, check its options, and refuse incompatible parts. No torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from areca.component import Kind
from areca.errors import IncompatibleParts, InvalidConfig, quote, shorten, suggest
from areca.files.yaml_text import read_yaml
from areca.options import build
from areca.patterns import codes_per_frame
from areca.registry.parts import Part, choose, resolve
from areca.registry.registry import Registry
from areca.run.decoding import decoding_of
from areca.run.options import EvaluationConfig, InputConfig, LMConfig, TrainingConfig
from areca.run.scoring import check_scoring
from areca.specs import ROLE, Stream, TaskSpec, TokenizerSpec, VocoderSpec, check_chain

_TAKEN = ("backbone", "vocoder")
"""Roles that tokenizers cannot have: other parts have them."""


@dataclass(frozen=True, slots=True)
class TaskMix:
    """A task, or a chain of tasks answered in one pass, with its share of the training examples."""

    parts: tuple[Part, ...]
    weight: float

    @property
    def name(self) -> str:
        """The component's name; the names of a chain are joined by ``+``."""
        return "+".join(p.name for p in self.parts)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The keys of a run's YAML."""

    name: str = "run"
    seed: int = 0
    plugins: tuple[str, ...] = ()
    override: tuple[str, ...] = ()
    data: Any = None
    tokenizer: Any = None
    tokenizers: Any = None
    backbone: Any = None
    vocoder: Any = None
    tasks: Any = None
    lm: Any = None
    input: Any = None
    training: Any = None
    evaluation: Any = None


@dataclass(frozen=True, slots=True)
class _ManifestLayout:
    """The keys of ``data:`` where it is the user's own manifest."""

    manifest: str
    root: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """A run: its parts and its options.

    Args:
        source: the YAML's content with overrides applied, as plain values; it is enough to parse the run again.
        data: a dataset part, the path of a manifest, or None.
        data_root: folder that the manifest's relative paths start from; None: the manifest's folder.
        plugins: files or modules that were loaded for the run: those it names, and those that the caller named.
        tokenizers: parts by role.
        pattern: how several streams become one sequence: the component that `lm.pattern` names.
        training: options of the LM's training.
        training_parts: the components that ``training:`` names, by option: ``optimizer`` and ``schedule``. Empty in a
            checkpoint, whose training is over.
        evaluation: option values. They are built when they are used: they may need a package that is not installed.
    """

    name: str
    seed: int
    registry: Registry
    source: Mapping[str, Any]
    plugins: tuple[str, ...]
    data: Part | Path | None
    data_root: Path | None
    tokenizers: Mapping[str, Part]
    backbone: Part
    vocoder: Part | None
    tasks: tuple[TaskMix, ...]
    lm: LMConfig
    pattern: Part
    training: TrainingConfig
    training_parts: Mapping[str, Part]
    evaluation: Mapping[str, Any]
    input: InputConfig

    @property
    def parts(self) -> dict[str, Part]:
        """Every part that a checkpoint holds, by role; a part comes after its needs."""
        roots = [*self.tokenizers.values(), self.backbone, *([self.vocoder] if self.vocoder else []), self.pattern]
        return {part.role: part for root in roots for part in root.walk()}

    @property
    def lm_streams(self) -> dict[str, tuple[Stream, ...]]:
        """The streams that the LM reads or writes, by their tokenizer's role."""
        return {role: self.streams(role) for role in dict.fromkeys((self.lm.reads, self.lm.writes))}

    def streams(self, role: str) -> tuple[Stream, ...]:
        """Return the streams of the tokenizer with that role."""
        return _tokenizer_spec(self.tokenizers[role]).streams


def read_config(path: Path, overrides: Sequence[str] = (), *, plugins: Sequence[str] = ()) -> RunConfig:
    """Read a run's YAML.

    Args:
        path: the file; relative paths in it start from its folder.
        overrides: ``key=value`` pairs that override the file; inner keys are dotted, as ``training.steps=100``.
        plugins: files or modules to load before those that the file names.

    Raises:
        InvalidConfig, UnknownComponent, IncompatibleParts: the message says what is wrong and what to type.
    """
    run = parse_config(read_yaml(path, overrides), root=path.resolve().parent, plugins=plugins)
    # A misspelt option is reported before any work.
    decoding_of(run.registry, build(EvaluationConfig, run.evaluation, "evaluation").decoding, "evaluation.decoding")
    check_scoring(run.registry, run.evaluation)
    return run


def parse_config(
    source: Mapping[str, Any], *, root: Path, plugins: Sequence[str] = (), trusted: bool = True
) -> RunConfig:
    """Resolve the parts and check the options of a run.

    Args:
        source: the YAML's content.
        root: folder that relative paths start from.
        plugins: files or modules to load first; where `source` is not trusted, from the working directory.
        trusted: whether the plugins that `source` names may run and may override names (``override:``). False for a
            checkpoint, which is data: its plugins never run, and ``training_parts`` is empty.

    Raises:
        InvalidConfig, UnknownComponent, IncompatibleParts: the message says what is wrong and what to type.
    """
    layout = build(_Layout, source, "run")
    own, override = (layout.plugins, layout.override) if trusted else ((), ())
    # The caller's names start from the working directory: a checkpoint's folder may hold a module of the same name.
    registry = Registry.discover((*plugins, *own), root=root if trusted else Path.cwd(), override=override)
    tokenizers = _tokenizers(registry, layout, root)
    part = partial(resolve, registry, roles=tokenizers, root=root, seed=layout.seed)
    data, data_root = _data(registry, layout.data, root)
    training = build(TrainingConfig, layout.training or {}, "training")
    vocoder = None if layout.vocoder is None else part(Kind.VOCODER, layout.vocoder, role="vocoder")
    lm = build(LMConfig, layout.lm or {}, "lm")
    run = RunConfig(
        name=layout.name,
        seed=layout.seed,
        registry=registry,
        source=source,
        plugins=(*plugins, *(str(root / name) if name.endswith(".py") else name for name in own)),
        data=data,
        data_root=data_root,
        tokenizers=tokenizers,
        backbone=part(Kind.BACKBONE, layout.backbone, role="backbone"),
        vocoder=vocoder,
        tasks=_tasks(registry, layout.tasks),
        lm=lm,
        pattern=choose(registry, Kind.PATTERN, lm.pattern, option="lm.pattern", root=root, seed=layout.seed),
        input=build(InputConfig, layout.input or {}, "input"),
        training=training,
        training_parts=_training_parts(registry, training, root, layout.seed) if trusted else {},
        evaluation=_mapping("evaluation", layout.evaluation),
    )
    check_compatible(run)
    return run


def _training_parts(registry: Registry, training: TrainingConfig, root: Path, seed: int) -> dict[str, Part]:
    named = {Kind.OPTIMIZER: training.optimizer, Kind.SCHEDULE: training.schedule}
    return {
        str(kind): choose(registry, kind, value, option=f"training.{kind}", root=root, seed=seed)
        for kind, value in named.items()
    }


def _mapping(where: str, values: Any) -> Mapping[str, Any]:
    if values is not None and not isinstance(values, Mapping):
        raise InvalidConfig(f"{where}: expected {{option: value}}, got {quote(values)}")
    return values or {}


def _tokenizers(registry: Registry, layout: _Layout, root: Path) -> dict[str, Part]:
    if (layout.tokenizer is None) == (layout.tokenizers is None):
        raise InvalidConfig("run: give either 'tokenizer: {name: ...}' or 'tokenizers: {role: {name: ...}, ...}'")
    values = {"speech": layout.tokenizer} if layout.tokenizers is None else layout.tokenizers
    if not isinstance(values, Mapping) or not values:
        raise InvalidConfig(f"tokenizers: expected {{role: {{name: ...}}}}, got {quote(values)}")
    parts: dict[str, Part] = {}
    for role, value in values.items():
        if not ROLE.fullmatch(str(role)) or role in _TAKEN:
            raise InvalidConfig(
                f"tokenizers: expected roles of lowercase letters, digits and '_' other than {', '.join(_TAKEN)}; "
                f"got {quote(role)}"
            )
        parts[role] = resolve(registry, Kind.TOKENIZER, value, role=str(role), roles=parts, root=root, seed=layout.seed)
    return parts


def _data(registry: Registry, value: Any, root: Path) -> tuple[Part | Path | None, Path | None]:
    """Return the dataset or the manifest's path that ``data:`` names, and the root of its paths, if there is one."""
    if value is None:
        return None, None
    if isinstance(value, str):
        if value in (e.component.name for e in registry.entries(Kind.DATASET)) and not os.path.exists(root / value):
            raise InvalidConfig(f"data: {value!r} is a dataset: write 'data: {{name: {value}}}'")
        return root / value, None
    if isinstance(value, Mapping) and "manifest" in value:
        given = build(_ManifestLayout, value, "data")
        return root / given.manifest, None if given.root is None else root / given.root
    return resolve(registry, Kind.DATASET, value, role="data", root=root), None


def _tasks(registry: Registry, values: Any) -> tuple[TaskMix, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise InvalidConfig("tasks: expected a list, as [{name: asr}, {chain: [asr, ast], weight: 2}]")
    return tuple(_task(registry, value) for value in values)


def _task(registry: Registry, value: Any) -> TaskMix:
    if not isinstance(value, Mapping):
        value = {"name": value}
    weight = value.get("weight", 1.0)
    if not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
        raise InvalidConfig(f"task {quote(value)}: weight must be a positive number, got {quote(weight)}")
    rest = {k: v for k, v in value.items() if k not in ("weight", "chain")}
    if "chain" in value and rest:
        raise InvalidConfig(
            f"task {quote(value)}: a chain takes a weight and nothing else; set options inside the list"
        )
    links = value.get("chain", [rest])
    if not isinstance(links, Sequence) or isinstance(links, str) or not links:
        raise InvalidConfig(f"task {quote(value)}: chain: expected a list of tasks, got {quote(links)}")
    links = [{"name": x} if isinstance(x, str) else x for x in links]
    return TaskMix(tuple(resolve(registry, Kind.TASK, x, role="task") for x in links), float(weight))


def check_compatible(run: RunConfig) -> None:
    """Refuse parts that are not compatible, by their specs.

    Raises:
        IncompatibleParts: no tokenizer has a role that the LM reads or writes; the pattern cannot join the streams;
            the vocoder does not speak the streams that the LM writes; or a task of a chain reads a field that neither
            the prompt nor an earlier task provides.
    """
    for what, role in (("lm.reads", run.lm.reads), ("lm.writes", run.lm.writes)):
        if role not in run.tokenizers:
            known = shorten(", ".join(run.tokenizers))
            raise IncompatibleParts(
                f"{what}: no tokenizer has the role {quote(role)}{suggest(role, run.tokenizers)}; roles: {known}"
            )
    for role, streams in run.lm_streams.items():
        try:
            codes_per_frame(streams, run.pattern.spec)
        except IncompatibleParts as e:
            raise IncompatibleParts(f"lm.pattern {run.pattern.name!r}, tokenizer {role!r}: {e}") from e
    _check_vocoder(run)
    for mix in run.tasks:
        try:
            check_chain([(p.name, p.spec) for p in mix.parts if isinstance(p.spec, TaskSpec)])
        except IncompatibleParts as e:
            raise IncompatibleParts(f"chain {mix.name}: {e}") from e


def _check_vocoder(run: RunConfig) -> None:
    if run.vocoder is None or not isinstance(run.vocoder.spec, VocoderSpec):
        return
    written, spoken = run.streams(run.lm.writes), run.vocoder.spec.streams
    if written != spoken:
        raise IncompatibleParts(
            f"the LM writes {_show(written)} (role {run.lm.writes!r}), "
            f"vocoder {run.vocoder.name!r} speaks {_show(spoken)}: give it the tokenizer that the LM writes"
        )


def _show(streams: tuple[Stream, ...]) -> str:
    return " + ".join(map(str, streams))


def _tokenizer_spec(part: Part) -> TokenizerSpec:
    if not isinstance(part.spec, TokenizerSpec):
        raise IncompatibleParts(f"tokenizer {part.name!r}: its spec is {type(part.spec).__name__}, not TokenizerSpec")
    return part.spec
