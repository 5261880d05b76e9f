"""Tiny copies of corpora: recordings, tables, and the datasets that read them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from areca import Kind
from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.errors import ArecaWarning
from areca.manifest import Manifest
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry
from areca.testing import CheckedComponent, run
from areca_corpora.manifest import CorpusManifest

FORMATS = {".opus": {"format": "OGG", "subtype": "OPUS"}}
REGISTRY = Registry.discover()


def speak(path: Path, *, rate_hz: int = 16_000, pitch: float = 0.1, level: float = 0.3) -> None:
    """Write a tone of 0.2 s in the format of the file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (level * np.sin(np.arange(rate_hz // 5) * pitch)).astype(np.float32)
    soundfile.write(path, samples, rate_hz, **FORMATS.get(path.suffix, {}))


def write_table(path: Path, *rows: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def part(name: str, **options: Any) -> Part:
    return resolve(REGISTRY, Kind.DATASET, {"name": name, **options}, role="data")


def build(tmp_path: Path, name: str, **options: Any) -> CorpusManifest:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ArecaWarning)
        manifest: CorpusManifest = PartLoader(Store(tmp_path / "store")).instance(part(name, **options))
    assert isinstance(manifest, Manifest)
    return manifest


def check_kit(tmp_path: Path, name: str, **options: Any) -> None:
    entry = REGISTRY.find(Kind.DATASET, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ArecaWarning)
        outcomes = list(run(CheckedComponent(entry, tmp_path, registry=REGISTRY, options=options)))
    assert [(o.check, o.message) for o in outcomes if o.state == "fail"] == []
