"""Build the architecture that the option `architecture` states, and compare it with a model's config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import AutoConfig

from areca.errors import InvalidConfig, summarise


def build_config(values: Mapping[str, Any]) -> Any:
    """Return the ``PreTrainedConfig`` with these values, and the defaults of transformers for the rest.

    Raises:
        InvalidConfig: transformers does not know the ``model_type``, or refuses a value.
    """
    try:
        return AutoConfig.for_model(**values)
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidConfig(f"backbone hf: architecture: {summarise(error)}") from error


def check_architecture(values: Mapping[str, Any] | None, config: Any, source: str) -> None:
    """Refuse a model whose config differs from the stated architecture.

    Args:
        values: the stated values; None: no values.
        config: the model's ``PreTrainedConfig``.
        source: origin of the model, for the error.

    Raises:
        InvalidConfig: a value differs.
    """
    for name, value in (values or {}).items():
        if (actual := getattr(config, name, None)) != value:
            raise InvalidConfig(
                f"{source}: its config has {name} {actual!r}, but `architecture` states {value!r}: "
                f"correct it, or leave it out with backbone.architecture=null"
            )
