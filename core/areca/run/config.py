"""A run's YAML: resolve its parts, check its options, and refuse incompatible parts. No torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from areca.component import COMPONENT_NAME, Kind
from areca.errors import IncompatibleParts, InvalidConfig, quote, shorten, suggest
from areca.fields import ROLE, VOICE, Field
from areca.files.yaml_text import read_yaml
from areca.options import build
from areca.patterns import codes_per_frame
from areca.registry.parts import Part, choose, require_tags, resolve
from areca.registry.registry import Registry
from areca.run.decoding import resolve_decoding
from areca.run.options import EvaluationConfig, InputConfig, LMConfig, TrainingConfig
from areca.run.scoring import check_scoring
from areca.specs import DatasetSpec, Stream, TaskSpec, TokenizerSpec, VocoderSpec, check_chain

_TASK = "task"
"""Role of a task that has no other name in the run."""
_RESERVED_ROLES = ("backbone", "vocoder")
"""Roles of other parts, which tokenizers cannot have."""


@dataclass(frozen=True, slots=True)
class TaskMix:
    """A task, or a chain of tasks answered in one pass, with its share of the training examples."""

    parts: tuple[Part, ...]
    weight: float

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each part: ``as:`` in the YAML (default: the component's name)."""
        return tuple(part.name if part.role == _TASK else part.role for part in self.parts)

    @property
    def name(self) -> str:
        """The name of the task; the names of a chain are joined by ``+``."""
        return "+".join(self.names)


@dataclass(frozen=True, slots=True)
class _RunKeys:
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
class _ManifestKeys:
    """The keys of ``data:`` if it names a manifest."""

    manifest: str
    root: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """A run: its parts and its options.

    Args:
        name: name of the run, for labels and folders.
        seed: seed of everything that is trained.
        registry: the available components.
        source: the YAML's content with overrides applied, as plain values, from which the run can be parsed again.
        data: a dataset part, the path of a manifest, or None.
        data_root: folder that the manifest's relative paths start from; None: the manifest's folder.
        plugins: local plugins that were loaded for the run: those that the caller named, then those in the YAML.
        tokenizers: parts by role.
        backbone: the text LM.
        vocoder: the part that speaks what the LM writes; None: the run's answers are not spoken.
        tasks: the mixture of tasks.
        lm: how the text LM is joined to the audio streams.
        pattern: the component that `lm.pattern` names: the order of several streams in one sequence.
        training: options of the LM's training.
        training_parts: the components that ``training:`` names, by option: ``optimizer`` and ``schedule``. Empty in a
            checkpoint, whose training is over.
        evaluation: option values, checked only when they are used: they may need a package that is not installed.
        input: how recordings are trimmed before the tokenizer reads them.
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
    def reads_vectors(self) -> bool:
        """Whether the LM reads vectors instead of units."""
        return self.lm.read_as == "features"

    @property
    def lm_streams(self) -> dict[str, tuple[Stream, ...]]:
        """The streams that the LM reads or writes, or that a task names, by their tokenizer's role."""
        named = [field.role for mix in self.tasks for field in self.audio_fields(mix)]
        roles = dict.fromkeys((self.lm.reads, self.lm.writes, *named))
        return {role: self.streams(role) for role in roles if role is not None}

    def audio_fields(self, mix: TaskMix) -> tuple[Field, ...]:
        """Return the audio fields of a task's or a chain's specs, each with its role."""
        specs = [_with_roles(self, part.spec) for part in mix.parts if isinstance(part.spec, TaskSpec)]
        fields = [field for spec in specs for field in (*spec.input_fields, *spec.output_fields)]
        return tuple(field for field in dict.fromkeys(fields) if field.kind == "audio")

    def streams(self, role: str) -> tuple[Stream, ...]:
        """Return the streams of the tokenizer with that role."""
        return _require_tokenizer_spec(self.tokenizers[role]).streams


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
    decoding = resolve_decoding(
        run.registry, build(EvaluationConfig, run.evaluation, "evaluation").decoding, "evaluation.decoding"
    )
    if run.pattern.spec.parallel and not decoding.method.spec.parallel:
        raise IncompatibleParts(
            f"evaluation.decoding {decoding.method.name!r} with these options supports only patterns with one code a "
            f"step, and lm.pattern {run.pattern.name!r} is parallel: choose another decoding method, such as greedy"
        )
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
    keys = build(_RunKeys, source, "run")
    # Discover the components, including those of local plugins.
    named, override = (keys.plugins, keys.override) if trusted else ((), ())
    # The caller's names start from the working directory: a checkpoint's folder may hold a module of the same name.
    registry = Registry.discover((*plugins, *named), root=root if trusted else Path.cwd(), override=override)
    tokenizers = _resolve_tokenizers(registry, keys, root)
    part = partial(resolve, registry, roles=tokenizers, root=root, seed=keys.seed)
    data, data_root = _resolve_data(registry, keys.data, root)
    # Resolve the parts and check the options, then whether all of them are compatible.
    training = build(TrainingConfig, keys.training or {}, "training")
    vocoder = None if keys.vocoder is None else part(Kind.VOCODER, keys.vocoder, role="vocoder")
    lm = build(LMConfig, keys.lm or {}, "lm")
    run = RunConfig(
        name=keys.name,
        seed=keys.seed,
        registry=registry,
        source=source,
        plugins=(*plugins, *(str(root / name) if name.endswith(".py") else name for name in named)),
        data=data,
        data_root=data_root,
        tokenizers=tokenizers,
        backbone=part(Kind.BACKBONE, keys.backbone, role="backbone"),
        vocoder=vocoder,
        tasks=_resolve_tasks(registry, keys.tasks),
        lm=lm,
        pattern=choose(registry, Kind.PATTERN, lm.pattern, option="lm.pattern", root=root, seed=keys.seed),
        input=build(InputConfig, keys.input or {}, "input"),
        training=training,
        training_parts=_resolve_training_parts(registry, training, root, keys.seed) if trusted else {},
        evaluation=_require_mapping("evaluation", keys.evaluation),
    )
    check_compatible(run)
    return run


def _resolve_training_parts(registry: Registry, training: TrainingConfig, root: Path, seed: int) -> dict[str, Part]:
    named = {Kind.OPTIMIZER: training.optimizer, Kind.SCHEDULE: training.schedule}
    return {
        str(kind): choose(registry, kind, value, option=f"training.{kind}", root=root, seed=seed)
        for kind, value in named.items()
    }


def _require_mapping(option: str, values: Any) -> Mapping[str, Any]:
    if values is not None and not isinstance(values, Mapping):
        raise InvalidConfig(f"{option}: expected {{option: value}}, got {quote(values)}")
    return values or {}


def _resolve_tokenizers(registry: Registry, keys: _RunKeys, root: Path) -> dict[str, Part]:
    if (keys.tokenizer is None) == (keys.tokenizers is None):
        raise InvalidConfig("run: give either 'tokenizer: {name: ...}' or 'tokenizers: {role: {name: ...}, ...}'")
    values = {"speech": keys.tokenizer} if keys.tokenizers is None else keys.tokenizers
    if not isinstance(values, Mapping) or not values:
        raise InvalidConfig(f"tokenizers: expected {{role: {{name: ...}}}}, got {quote(values)}")
    parts: dict[str, Part] = {}
    for role, value in values.items():
        if not ROLE.fullmatch(str(role)) or role in _RESERVED_ROLES:
            raise InvalidConfig(
                "tokenizers: expected roles of lowercase letters, digits and '_' other than "
                f"{', '.join(_RESERVED_ROLES)}; got {quote(role)}"
            )
        parts[role] = resolve(registry, Kind.TOKENIZER, value, role=str(role), roles=parts, root=root, seed=keys.seed)
    return parts


def _resolve_data(registry: Registry, value: Any, root: Path) -> tuple[Part | Path | None, Path | None]:
    """Return the dataset or the path of the manifest that ``data:`` names, and the manifest's ``root:``."""
    if value is None:
        return None, None
    if isinstance(value, str):
        if value in (e.component.name for e in registry.entries(Kind.DATASET)) and not os.path.exists(root / value):
            raise InvalidConfig(f"data: {value!r} is a dataset: write 'data: {{name: {value}}}'")
        return root / value, None
    if isinstance(value, Mapping) and "manifest" in value:
        manifest = build(_ManifestKeys, value, "data")
        return root / manifest.manifest, None if manifest.root is None else root / manifest.root
    return resolve(registry, Kind.DATASET, value, role="data", root=root), None


def _resolve_tasks(registry: Registry, values: Any) -> tuple[TaskMix, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise InvalidConfig("tasks: expected a list, as [{name: asr}, {chain: [asr, ast], weight: 2}]")
    return tuple(_resolve_task(registry, value) for value in values)


def _resolve_task(registry: Registry, value: Any) -> TaskMix:
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
    return TaskMix(tuple(_resolve_link(registry, link) for link in links), float(weight))


def _resolve_link(registry: Registry, value: Any) -> Part:
    if not isinstance(value, Mapping):
        return resolve(registry, Kind.TASK, value, role=_TASK)
    name = value.get("as", _TASK)
    if not isinstance(name, str) or not COMPONENT_NAME.fullmatch(name):
        raise InvalidConfig(f"task {quote(value)}: as: expected lowercase words joined by '-', got {quote(name)}")
    return resolve(registry, Kind.TASK, {k: v for k, v in value.items() if k != "as"}, role=name)


def check_compatible(run: RunConfig) -> None:
    """Refuse parts that are not compatible, by their specs.

    Raises:
        IncompatibleParts: no tokenizer has a role that the LM or a task names; a task names streams that the tokenizer
            does not have, or a crop of streams without times; the LM reads vectors, and the tokenizer has none or a
            task reads only a part of them; the pattern cannot join the streams; the vocoder does not speak the streams
            that the LM writes; or a task of a chain reads a field that neither the prompt nor an earlier task provides.
    """
    for option, role in (("lm.reads", run.lm.reads), ("lm.writes", run.lm.writes)):
        _require_role(run, role, option)
    for mix in run.tasks:
        for field in run.audio_fields(mix):
            _check_field(run, field, f"task {mix.name}, field {field.name}")
    for role, streams in run.lm_streams.items():
        try:
            codes_per_frame(streams, run.pattern.spec)
        except IncompatibleParts as e:
            raise IncompatibleParts(f"lm.pattern {run.pattern.name!r}, tokenizer {role!r}: {e}") from e
    if run.reads_vectors:
        _check_vectors(run)
    _check_vocoder(run)
    for mix in run.tasks:
        try:
            named = zip(mix.names, mix.parts, strict=True)
            check_chain([(name, _with_roles(run, p.spec)) for name, p in named if isinstance(p.spec, TaskSpec)])
        except IncompatibleParts as e:
            raise IncompatibleParts(f"chain {mix.name}: {e}") from e


def check_rows(run: RunConfig) -> None:
    """Refuse tasks that need fields which the run's dataset lacks, as far as its spec says.

    The parts of such a run can still be trained (``areca fit``), but its LM cannot.

    Raises:
        IncompatibleParts: the dataset lacks a field of a task.
    """
    if not isinstance(run.data, Part) or not isinstance(run.data.spec, DatasetSpec) or run.data.spec.fields is None:
        return
    has = set(run.data.spec.fields)
    if "source.audio" in has:
        has.add(VOICE)
    for mix in run.tasks:
        specs = [part.spec for part in mix.parts if isinstance(part.spec, TaskSpec)]
        needed = [*(specs[0].input_fields if specs else ()), *(f for spec in specs for f in spec.output_fields)]
        if missing := [path for path in dict.fromkeys(field.path for field in needed) if path not in has]:
            raise IncompatibleParts(
                f"task {mix.name} needs {', '.join(missing)}, and dataset {run.data.name!r} has only "
                f"{', '.join(run.data.spec.fields)}: choose another dataset for the LM; `areca fit` trains the parts "
                "that need only these"
            )


def _with_roles(run: RunConfig, spec: TaskSpec) -> TaskSpec:
    return spec.with_roles(run.lm.reads, run.lm.writes)


def _require_role(run: RunConfig, role: str, place: str) -> None:
    if role not in run.tokenizers:
        known = shorten(", ".join(run.tokenizers))
        raise IncompatibleParts(
            f"{place}: no tokenizer has the role {quote(role)}{suggest(role, run.tokenizers)}; roles: {known}"
        )


def _check_field(run: RunConfig, field: Field, place: str) -> None:
    """Refuse an audio field whose role, streams or crop the run's tokenizers do not have."""
    assert field.role is not None
    _require_role(run, field.role, place)
    streams, part = run.streams(field.role), run.tokenizers[field.role]
    if field.streams is not None and field.streams[1] > len(streams):
        raise IncompatibleParts(
            f"{place}: tokenizer {part.name!r} has the streams 0 to {len(streams) - 1}: expected streams (first, stop) "
            f"with stop at most {len(streams)}"
        )
    if field.crop_s is not None and part.spec.base_rate_hz is None and None in [s.frame_rate_hz for s in streams]:
        raise IncompatibleParts(
            f"{place}: cannot be cropped to {field.crop_s:g} s, because tokenizer {part.name!r} makes codes of "
            "variable rate without durations: choose another tokenizer"
        )


def _check_vectors(run: RunConfig) -> None:
    reader = run.tokenizers[run.lm.reads]
    require_tags(run.registry, reader, frozenset({"features"}), f"lm.read_as: features, role {run.lm.reads!r}")
    inputs = [(mix.name, f) for mix in run.tasks for f in _with_roles(run, mix.parts[0].spec).input_fields]
    read = [(task, field) for task, field in inputs if field.role == run.lm.reads]
    if not read:
        raise IncompatibleParts(
            f"lm.read_as: features: no task reads audio of role {run.lm.reads!r}, only "
            f"{', '.join(sorted({field.name for _, field in inputs}))}; set lm.read_as: units"
        )
    for task, field in read:
        if field.streams is not None or field.crop_s is not None:
            raise IncompatibleParts(
                f"lm.read_as: features: task {task} reads a part of {field.name}, but vectors are read whole: name "
                "another role, or leave out streams and crop_s"
            )


def _check_vocoder(run: RunConfig) -> None:
    if run.vocoder is None or not isinstance(run.vocoder.spec, VocoderSpec):
        return
    written, spoken = run.streams(run.lm.writes), run.vocoder.spec.streams
    if written != spoken:
        raise IncompatibleParts(
            f"the LM writes {_describe_streams(written)} (role {run.lm.writes!r}), "
            f"vocoder {run.vocoder.name!r} speaks {_describe_streams(spoken)}: give it the tokenizer that the LM writes"
        )


def _describe_streams(streams: tuple[Stream, ...]) -> str:
    return " + ".join(map(str, streams))


def _require_tokenizer_spec(part: Part) -> TokenizerSpec:
    if not isinstance(part.spec, TokenizerSpec):
        raise IncompatibleParts(f"tokenizer {part.name!r}: its spec is {type(part.spec).__name__}, not TokenizerSpec")
    return part.spec
