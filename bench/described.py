"""Resolve a part that is given as YAML on the command line, such as ``{name: lyra, path: DIR, quantizers: 8}``."""

from __future__ import annotations

from omegaconf import OmegaConf

from areca.component import Kind
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry


def resolve_text(registry: Registry, kind: Kind, text: str, role: str) -> Part:
    return resolve(registry, kind, OmegaConf.to_container(OmegaConf.create(text)), role=role)
