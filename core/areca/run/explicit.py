"""Write every option of a run explicitly, so that later changes of defaults do not change a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from areca.registry.parts import Part
from areca.registry.registry import Registry
from areca.run.config import RunConfig, TaskMix


def explicit_config(run: RunConfig) -> dict[str, Any]:
    """Return the content of a run's YAML with all omitted options added, for the checkpoint.

    Runtime options are left out. ``training:`` and ``evaluation:`` are copied unchanged, because using a checkpoint
    does not read them. Options of tokenizers, vocoders and their needs are pinned (see `areca.interfaces`), so that a
    branch name cannot mean another revision later. The backbone is not pinned, because its weights are in the LM.
    Names that only ``override:`` makes unambiguous become qualified names.

    Args:
        run: the run.

    Returns:
        plain values, for a YAML file.
    """
    source: dict[str, Any] = {k: v for k, v in _plain(run.source).items() if k != "override"}
    single = "tokenizer" in source
    written = {"speech": source["tokenizer"]} if single else source["tokenizers"]
    tokenizers = {role: _expand_part(run.registry, part, written[role]) for role, part in run.tokenizers.items()}
    source |= {"tokenizer": tokenizers["speech"]} if single else {"tokenizers": tokenizers}
    source["backbone"] = _expand_part(run.registry, run.backbone, source["backbone"], pinned=False)
    if run.vocoder is not None:
        source["vocoder"] = _expand_part(run.registry, run.vocoder, source["vocoder"])
    if isinstance(run.data, Part):
        source["data"] = _expand_part(run.registry, run.data, source["data"], pinned=False)
    mixture = zip(run.tasks, source["tasks"], strict=True)
    source["tasks"] = [_qualify_task(run.registry, mix, value) for mix, value in mixture]
    chosen = run.lm.pattern if isinstance(run.lm.pattern, Mapping) else {"name": run.lm.pattern}
    lm = dataclasses.asdict(run.lm) | {"pattern": _expand_part(run.registry, run.pattern, chosen)}
    return source | {"lm": lm, "input": dataclasses.asdict(run.input)}


def _qualify_task(registry: Registry, mix: TaskMix, written: Any) -> Any:
    """Return a task of the mixture as written in the YAML, with ambiguous names qualified."""
    if isinstance(written, Mapping) and "chain" in written:
        links = zip(mix.parts, written["chain"], strict=True)
        return {**written, "chain": [_qualify_link(registry, part, link) for part, link in links]}
    return _qualify_link(registry, mix.parts[0], written)


def _qualify_link(registry: Registry, part: Part, written: Any) -> Any:
    name = written["name"] if isinstance(written, Mapping) else written
    qualified = registry.unambiguous_name(part.entry, name)
    return {**written, "name": qualified} if isinstance(written, Mapping) else qualified


def _expand_part(registry: Registry, part: Part, written: Mapping[str, Any], *, pinned: bool = True) -> dict[str, Any]:
    """Return a part as ``{name: ..., option: ..., need: role or part}`` with all options.

    If `pinned` is true and the target has a method ``pinned``, the options are those that it returns.
    """
    pin = getattr(part.entry.target(), "pinned", None) if pinned else None
    config = part.config if pin is None else pin(part.config)
    options = {
        f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config) if not f.metadata.get("runtime")
    }
    needs = {
        name: (
            _expand_part(registry, need, written[name], pinned=pinned)
            if isinstance(written.get(name), Mapping)
            else need.role
        )
        for name, need in part.needs.items()
    }
    return {"name": registry.unambiguous_name(part.entry, written["name"]), **options, **needs}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
