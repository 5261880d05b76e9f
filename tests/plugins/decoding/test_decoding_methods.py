"""The decoding methods: refused options, and the conformance kit."""

from __future__ import annotations

from typing import Any

import pytest
from tests import parts

from areca.component import Kind
from areca.errors import InvalidConfig
from areca.testing import Check, CheckedComponent, checks_for


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sample", {"temperature": 0}),
        ("sample", {"top_p": 0}),
        ("sample", {"top_p": 1.1}),
        ("sample", {"top_k": -1}),
        ("beam", {"beams": 0}),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=f"decoding '{name}': .*{next(iter(options))}"):
        parts.method(name, **options)


@pytest.mark.parametrize("check", checks_for(parts.REGISTRY.kinds["decoding"]), ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ["greedy", "sample", "beam"])
def test_the_conformance_kit_passes(name: str, check: Check, tmp_path_factory: pytest.TempPathFactory) -> None:
    entry = parts.REGISTRY.find(Kind.DECODING, name)
    check(CheckedComponent(entry, tmp_path_factory.mktemp("areca"), registry=parts.REGISTRY))
