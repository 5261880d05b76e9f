"""The stream patterns: their orders, and the conformance kit."""

from __future__ import annotations

import pytest
from tests import parts

from areca.component import Kind
from areca.specs import Order
from areca.testing import Check, CheckedComponent, checks_for


def order(name: str) -> Order:
    found: Order = parts.pattern(name).spec.order
    return found


def test_orders_equal_those_written_by_hand() -> None:
    one, two = (1, 1, 1), (1, 2)
    assert order("flatten").sequence(two, 2) == [0, 1, 1, 0, 1, 1]
    assert order("coarse-first").sequence(two, 2) == [0, 0, 1, 1, 1, 1]
    assert order("delay").sequence(one, 3) == [0, 0, 1, 0, 1, 2, 1, 2, 2]
    assert order("delay").sequence(one, 1) == [0, 1, 2]


@pytest.mark.parametrize("check", checks_for(parts.REGISTRY.kinds["pattern"]), ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ["flatten", "coarse-first", "delay"])
def test_the_conformance_kit_passes(name: str, check: Check, tmp_path_factory: pytest.TempPathFactory) -> None:
    entry = parts.REGISTRY.find(Kind.PATTERN, name)
    check(CheckedComponent(entry, tmp_path_factory.mktemp("areca"), registry=parts.REGISTRY))
