"""A dataset for tests whose recordings stay in the user's folder or zip archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from areca import Component, Kind, hookimpl
from areca.specs import DatasetSpec, Spec

ARECA_PLUGIN_API = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlaceConfig:
    """Options of `in-place`."""

    source: Path
    """Folder or zip archive with the rows, ``list.jsonl``, and their recordings."""


def spec(config: InPlaceConfig, needs: Mapping[str, Spec]) -> DatasetSpec:
    return DatasetSpec(languages=("fr",), sample_rate_hz=16_000)


@hookimpl
def areca_components() -> Iterable[Component]:
    yield Component(
        kind=Kind.DATASET,
        name="in-place",
        config=InPlaceConfig,
        spec="areca_in_place:spec",
        target="areca_in_place_model:InPlace",
        summary="recordings that stay in a folder or in a zip archive",
        requires=("torch",),
        tags=frozenset({"fit"}),
    )
