"""An architecture stated in a recipe: what it makes, and whether the model is of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import AutoConfig

from areca.errors import InvalidConfig


def stated(values: Mapping[str, Any]) -> Any:
    """Return the ``PreTrainedConfig`` that `values` state; what they leave out is transformers' default.

    Raises:
        InvalidConfig: transformers knows no such ``model_type``, or refuses a value.
    """
    try:
        return AutoConfig.for_model(**values)
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidConfig(f"backbone hf: architecture: {str(error).strip().splitlines()[0]}") from error


def check_stated(values: Mapping[str, Any] | None, config: Any, source: str) -> None:
    """Refuse a model that is not of the architecture stated.

    Args:
        values: what the recipe states; None: nothing.
        config: the model's own ``PreTrainedConfig``.
        source: where it came from, for the error.

    Raises:
        InvalidConfig: a value differs.
    """
    for name, value in (values or {}).items():
        if (own := getattr(config, name, None)) != value:
            raise InvalidConfig(
                f"{source}: its config has {name} {own!r}, but `architecture` states {value!r}: "
                f"correct it, or leave it out with backbone.architecture=null"
            )
