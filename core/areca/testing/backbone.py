"""What every backbone must do."""

from __future__ import annotations

from typing import Any

import torch

from areca.interfaces import Backbone
from areca.specs import BackboneSpec
from areca.testing.checked import CheckedComponent, Skipped
from areca.testing.fitting import check_fit_is_deterministic, check_fit_resumes
from areca.testing.tools import with_global_seed

__all__ = ["check_fit_is_deterministic", "check_fit_resumes"]


def check_model_and_tokenizer_fit(checked: CheckedComponent) -> None:
    """The model has logits, finite ones, for every id of the text tokenizer."""
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
    """Text goes through the text tokenizer and comes back, up to case and spaces."""
    backbone = _backbone(checked)
    for text in _texts(checked):
        ids = _encode(backbone, text)
        again = backbone.tokenizer.decode(ids, skip_special_tokens=False)
        assert _letters(again) == _letters(text), f"{text!r} came back as {again!r}"


def check_spec_is_true(checked: CheckedComponent) -> None:
    """The spec's family and size are the model's, where the spec says them."""
    spec, model = checked.part.spec, _backbone(checked).model
    assert isinstance(spec, BackboneSpec)
    family = model.config.model_type
    assert spec.family in (family, "unknown"), f"the spec says family {spec.family!r}, the model is a {family!r}"
    parameters = sum(p.numel() for p in model.parameters())
    assert spec.parameters in (None, parameters), f"the spec says {spec.parameters} parameters, there are {parameters}"


def check_architecture(checked: CheckedComponent) -> None:
    """What the target says of its architecture without weights is the model's: parameter by parameter, but for rows."""
    target = checked.entry.target()
    if not hasattr(target, "architecture"):
        raise Skipped("its target has no `architecture`, so a dry run cannot tell its size")
    model = _backbone(checked).model
    rows = model.get_input_embeddings().num_embeddings
    said = target.architecture(checked.part.config)
    assert said.get_text_config().vocab_size >= rows, f"{said.get_text_config().vocab_size} rows said, there are {rows}"
    said.get_text_config().vocab_size = rows  # data may yield fewer tokens than there is room for
    with torch.device("meta"):
        shapes = {name: list(p.shape) for name, p in type(model)(said).named_parameters()}
    real = {name: list(p.shape) for name, p in model.named_parameters()}
    other = sorted(name for name in shapes.keys() | real.keys() if shapes.get(name) != real.get(name))
    assert not other, f"{other[0]}: shape {shapes.get(other[0])} said, the model's is {real.get(other[0])}"


def check_randomness(checked: CheckedComponent) -> None:
    """Loading twice gives the same weights, and neither uses nor moves the global random state."""
    _ = checked.instance
    first, again = (with_global_seed(seed, lambda: checked.load().model.state_dict(), "loading") for seed in (1, 2))
    assert first.keys() == again.keys(), "loading twice gave other weights"
    other = [name for name, weight in first.items() if not torch.equal(weight, again[name])]
    assert not other, f"weights depend on the global random state: {', '.join(other[:3])}"


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
