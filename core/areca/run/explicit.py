"""A run's YAML with every option said, so that what a checkpoint means does not change with a default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from areca.registry.parts import Part
from areca.registry.registry import Registry
from areca.run.config import RunConfig, TaskMix


def explicit_config(run: RunConfig) -> dict[str, Any]:
    """Return the run's YAML content as plain values, options left out there added; runtime ones are left out.

    ``training:`` and ``evaluation:`` stay as they are written: they play no part in using what was learnt. Parts that
    can be pinned are (see `areca.interfaces`): what a branch names today must not change the run tomorrow. The backbone
    is not, whose weights are in the LM. Names that ``override:`` gave to a plugin are written in full.
    """
    source: dict[str, Any] = {k: v for k, v in _plain(run.source).items() if k != "override"}
    one = "tokenizer" in source
    said = {"speech": source["tokenizer"]} if one else source["tokenizers"]
    tokenizers = {role: _part(run.registry, part, said[role]) for role, part in run.tokenizers.items()}
    source |= {"tokenizer": tokenizers["speech"]} if one else {"tokenizers": tokenizers}
    source["backbone"] = _part(run.registry, run.backbone, source["backbone"], pinned=False)
    if run.vocoder is not None:
        source["vocoder"] = _part(run.registry, run.vocoder, source["vocoder"])
    if isinstance(run.data, Part):
        source["data"] = _part(run.registry, run.data, source["data"], pinned=False)
    source["tasks"] = [_task(run.registry, mix, value) for mix, value in zip(run.tasks, source["tasks"], strict=True)]
    return source | {"lm": dataclasses.asdict(run.lm), "input": dataclasses.asdict(run.input)}


def _task(registry: Registry, mix: TaskMix, said: Any) -> Any:
    """Return a task of the mixture as it was written; only names that others have, too, are written in full."""
    if isinstance(said, Mapping) and "chain" in said:
        return {**said, "chain": [_link(registry, *pair) for pair in zip(mix.parts, said["chain"], strict=True)]}
    return _link(registry, mix.parts[0], said)


def _link(registry: Registry, part: Part, said: Any) -> Any:
    name = said["name"] if isinstance(said, Mapping) else said
    lasting = registry.lasting_name(part.entry, name)
    return {**said, "name": lasting} if isinstance(said, Mapping) else lasting


def _part(registry: Registry, part: Part, said: Mapping[str, Any], *, pinned: bool = True) -> dict[str, Any]:
    """Return ``{name: ..., option: ..., need: role or part}``; the name is the one that was written.

    With `pinned` the options are those that the target's ``pinned`` gives, where it has it.
    """
    pin = getattr(part.entry.target(), "pinned", None) if pinned else None
    config = part.config if pin is None else pin(part.config)
    options = {
        f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config) if not f.metadata.get("runtime")
    }
    needs = {
        name: _part(registry, need, said[name], pinned=pinned) if isinstance(said.get(name), Mapping) else need.role
        for name, need in part.needs.items()
    }
    return {"name": registry.lasting_name(part.entry, said["name"]), **options, **needs}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
