"""A light half that imports numpy."""

from __future__ import annotations

from collections.abc import Iterable

import areca_wrong
import numpy  # noqa: F401  # the fault

from areca import Component, hookimpl
from areca.specs import KindSpec

ARECA_PLUGIN_API = 1


def spec(config: object, needs: object) -> object:
    return areca_wrong.plain_spec(config, {})


@hookimpl
def areca_kinds() -> Iterable[KindSpec]:
    yield areca_wrong.PLAIN


@hookimpl
def areca_components() -> Iterable[Component]:
    yield Component(
        kind="plain",
        name="import-is-light",
        config=areca_wrong.Config,
        spec="areca_wrong_heavy_import:spec",
        target="areca_wrong_parts:Plain",
        summary="exists for tests of the conformance kit",
    )
