"""A light half that imports a module in its component's `requires`."""

from __future__ import annotations

from collections.abc import Iterable

import areca_wrong
import tabulate  # noqa: F401  # the fault

from areca import Component, hookimpl
from areca.specs import KindSpec

ARECA_PLUGIN_API = 1


@hookimpl
def areca_kinds() -> Iterable[KindSpec]:
    yield areca_wrong.PLAIN


@hookimpl
def areca_components() -> Iterable[Component]:
    yield Component(
        kind="plain",
        name="missing-dependency",
        config=areca_wrong.Config,
        spec="areca_wrong:plain_spec",
        target="areca_wrong_parts:Plain",
        summary="exists for tests of the conformance kit",
        requires=("tabulate",),
    )
