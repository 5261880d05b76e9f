"""A dataset of the tests whose recordings stay where they are: in a folder of the user's, or in a zip archive."""

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
    """A folder or a zip archive that holds ``list.jsonl``, the rows, and their recordings."""


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
