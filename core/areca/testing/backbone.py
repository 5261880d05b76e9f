"""Conformance checks of backbones."""

from __future__ import annotations

from typing import Any

import torch

from areca.interfaces import Backbone
from areca.specs import BackboneSpec
from areca.testing.checked import CheckedComponent, Skipped
from areca.testing.fitting import check_fit_is_deterministic, check_fit_resumes
from areca.testing.tools import with_global_seed

__all__ = ["check_fit_is_deterministic", "check_fit_resumes"]


def check_model_and_tokenizer_match(checked: CheckedComponent) -> None:
    """The model has finite logits for every id of the text tokenizer."""
    backbone = _backbone(checked)
    ids = _encode(backbone, " ".join(_texts(checked)))[:64]
    rows = backbone.model.get_input_embeddings().num_embeddings
    assert max(ids) < rows, f"the text tokenizer gives id {max(ids)}, the model has {rows} embeddings"
    with torch.no_grad():
        logits = backbone.model.eval()(input_ids=torch.tensor([ids])).logits
    assert logits.ndim == 3 and logits.shape[:2] == (1, len(ids)), f"logits have shape {list(logits.shape)}"
    assert logits.shape[2] >= max(ids) + 1, f"logits for {logits.shape[2]} ids, the text uses id {max(ids)}"
    assert torch.isfinite(logits).all(), "logits are not finite"


def check_text_round_trip(checked: CheckedComponent) -> None:
    """The text tokenizer's decoding of an encoded text equals the text, except for case and spaces."""
    backbone = _backbone(checked)
    for text in _texts(checked):
        ids = _encode(backbone, text)
        decoded = backbone.tokenizer.decode(ids, skip_special_tokens=False)
        assert _letters(decoded) == _letters(text), f"{text!r} was decoded as {decoded!r}"


def check_spec_matches(checked: CheckedComponent) -> None:
    """The spec's family and number of parameters, if it states them, are those of the model."""
    spec, model = checked.part.spec, _backbone(checked).model
    assert isinstance(spec, BackboneSpec)
    family = model.config.model_type
    assert spec.family in (family, "unknown"), f"the spec says family {spec.family!r}, the model is a {family!r}"
    parameters = sum(p.numel() for p in model.parameters())
    assert spec.parameters in (None, parameters), (
        f"the spec says {spec.parameters} parameters, the model has {parameters}"
    )


def check_architecture(checked: CheckedComponent) -> None:
    """The target's `architecture`, which needs no weights, has the model's parameters; only the rows may be more."""
    target = checked.entry.target()
    if not hasattr(target, "architecture"):
        raise Skipped("its target has no `architecture`, so a dry run cannot give its size")
    model = _backbone(checked).model
    rows = model.get_input_embeddings().num_embeddings
    architecture = target.architecture(checked.part.config)
    text_config = architecture.get_text_config()
    assert text_config.vocab_size >= rows, (
        f"`architecture` has {text_config.vocab_size} embedding rows, the model has {rows}"
    )
    text_config.vocab_size = rows  # the data may yield fewer tokens than the options allow
    with torch.device("meta"):
        expected = {name: list(p.shape) for name, p in type(model)(architecture).named_parameters()}
    actual = {name: list(p.shape) for name, p in model.named_parameters()}
    differing = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
    assert not differing, (
        f"{differing[0]}: `architecture` has shape {expected.get(differing[0])}, the model {actual.get(differing[0])}"
    )


def check_randomness(checked: CheckedComponent) -> None:
    """Loading twice gives the same weights, and neither uses nor changes the global random state."""
    _ = checked.instance
    first, second = (with_global_seed(seed, lambda: checked.load().model.state_dict(), "loading") for seed in (1, 2))
    assert first.keys() == second.keys(), "loading twice gave different weights"
    differing = [name for name, weight in first.items() if not torch.equal(weight, second[name])]
    assert not differing, f"weights depend on the global random state: {', '.join(differing[:3])}"


def _backbone(checked: CheckedComponent) -> Backbone:
    backbone = checked.instance
    assert isinstance(backbone, Backbone), f"load returned {type(backbone).__name__}, expected a Backbone"
    return backbone


def _encode(backbone: Any, text: str) -> list[int]:
    return list(backbone.tokenizer(text, add_special_tokens=False)["input_ids"])


def _texts(checked: CheckedComponent) -> list[str]:
    rows = checked.manifest.rows
    return [text for row in rows for text in (row.text, row.target_text) if text]


def _letters(text: str) -> str:
    return "".join(text.casefold().split())
