"""Add rows to the embedding and output of an LM, initialise them, and train only these rows."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

Init = Literal["zero", "normal", "mean"]


@torch.no_grad()
def extend_rows(model: Any, rows: int, *, init: Init, seed: int) -> int:
    """Extend the embedding and the output, tied or not, to `rows` rows; existing rows keep their values.

    Args:
        model: a transformers causal LM; changed in place.
        rows: new number of rows, at least the current one.
        init: initial value of the new rows: ``zero`` (AudioPaLM, section 3.1), ``normal`` with mean 0 and the standard
            deviation of the text rows, or the ``mean`` of the text rows.
        seed: seed of the normal distribution.

    Returns:
        index of the first new row.
    """
    first = int(model.get_input_embeddings().weight.shape[0])
    with torch.random.fork_rng(devices=[]):  # transformers first draws the new rows from the global generator
        model.resize_token_embeddings(rows, mean_resizing=False)
    generator = torch.Generator().manual_seed(seed)
    for table in row_parameters(model):
        table[first:] = _initial_rows(table[:first], rows - first, init, generator)
    return first


def row_parameters(model: Any) -> list[torch.nn.Parameter]:
    """Return the parameters with one row per id: the embedding, and the output and its bias if they are not tied."""
    output = model.get_output_embeddings()
    tables = [model.get_input_embeddings().weight, output.weight, output.bias]
    return list({id(table): table for table in tables if table is not None}.values())


def _initial_rows(text: Tensor, count: int, init: Init, generator: torch.Generator) -> Tensor:
    shape = (count, *text.shape[1:])
    if init == "mean":
        return text.float().mean(0).to(text.dtype).expand(shape)
    if init == "normal":
        noise = torch.randn(shape, generator=generator).to(text.device)
        return (noise * text.float().std()).to(text.dtype)
    return text.new_zeros(shape)


def train_only_new_rows(model: Any, first: int) -> None:
    """Freeze all parameters except the rows from `first` on.

    Text rows and new rows share one parameter, so the gradient of the text rows is set to zero. Weight decay would
    still change them; `areca.lm.model.SpeechLM.parameter_groups` therefore exempts these parameters.
    """
    model.requires_grad_(False)
    unfreeze_new_rows(model, first)


def unfreeze_new_rows(model: Any, first: int) -> None:
    """Make the rows from `first` on trainable; the text rows before them get no gradient."""

    def zero_text_gradient(table: Tensor) -> None:
        if table.grad is not None:
            table.grad[:first] = 0

    for table in row_parameters(model):
        table.requires_grad_(True)
        table.register_post_accumulate_grad_hook(zero_text_gradient)  # type: ignore[no-untyped-call]
