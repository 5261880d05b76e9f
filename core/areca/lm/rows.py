"""New rows of an LM's embedding and output: how they start, and how they alone are trained."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

Init = Literal["zero", "normal", "mean"]


@torch.no_grad()
def extend_rows(model: Any, rows: int, *, init: Init, seed: int) -> int:
    """Give the embedding, and the output whether tied to it or not, `rows` rows; those there keep their values.

    Args:
        model: a transformers causal LM; changed in place.
        rows: rows wanted, at least as many as there are.
        init: new rows are ``zero`` (AudioPaLM, section 3.1), ``normal`` with the mean 0 and the deviation of the
            text rows, or the ``mean`` of the text rows.
        seed: of the normal distribution.

    Returns:
        the first new row.
    """
    first = int(model.get_input_embeddings().weight.shape[0])
    with torch.random.fork_rng(devices=[]):  # the library fills the new rows from the global state first
        model.resize_token_embeddings(rows, mean_resizing=False)
    generator = torch.Generator().manual_seed(seed)
    for table in row_parameters(model):
        table[first:] = _start(table[:first], rows - first, init, generator)
    return first


def row_parameters(model: Any) -> list[torch.nn.Parameter]:
    """Return the parameters with one row an id: embedding, and output and its bias where they are not the same."""
    output = model.get_output_embeddings()
    tables = [model.get_input_embeddings().weight, output.weight, output.bias]
    return list({id(table): table for table in tables if table is not None}.values())


def _start(text: Tensor, count: int, init: Init, generator: torch.Generator) -> Tensor:
    shape = (count, *text.shape[1:])
    if init == "mean":
        return text.float().mean(0).to(text.dtype).expand(shape)
    if init == "normal":
        noise = torch.randn(shape, generator=generator).to(text.device)
        return (noise * text.float().std()).to(text.dtype)
    return text.new_zeros(shape)


def train_new_rows_alone(model: Any, first: int) -> None:
    """Freeze everything but the rows from `first` on.

    The tables stay whole, so the gradient of their text rows is set to zero. Decay would still shrink those rows:
    `areca.lm.model.SpeechLM.parameter_groups` exempts them.
    """
    model.requires_grad_(False)
    open_new_rows(model, first)


def open_new_rows(model: Any, first: int) -> None:
    """Let the rows from `first` on be trained, whatever else is."""

    def forget_text(table: Tensor) -> None:
        if table.grad is not None:
            table.grad[:first] = 0

    for table in row_parameters(model):
        table.requires_grad_(True)
        table.register_post_accumulate_grad_hook(forget_text)  # type: ignore[no-untyped-call]
