"""Add rows to the embedding and output of an LM, initialise them, and train only these rows."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from areca.lm.lora import add_adapters

Init = Literal["zero", "normal", "mean"]
Train = Literal["all", "embeddings", "lora"]
_FIRST = "areca_first_trained_row"
"""Attribute of the embedding and the head if only their rows from this one on are trained."""


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

    Text rows and new rows share one parameter. `select_trained` keeps the gradient of the text rows at zero. Weight
    decay would still change them, so `areca.lm.model.SpeechLM.parameter_groups` exempts these parameters, and
    `restore_text_rows` undoes what an optimizer does to them nevertheless.
    """
    model.requires_grad_(False)
    unfreeze_new_rows(model, first)


def unfreeze_new_rows(model: Any, first: int) -> None:
    """Make the rows from `first` on trainable; the text rows before them get no gradient.

    The gradient is cut in the forward pass, because a hook on a parameter does not see the shards of that parameter.
    """
    for table in row_parameters(model):
        table.requires_grad_(True)
    for module in (model.get_input_embeddings(), model.get_output_embeddings()):
        setattr(module, _FIRST, first)
    model.get_input_embeddings().register_forward_hook(_cut_text_embeddings)


def select_trained(module: Any, table: Tensor) -> Tensor:
    """Return a parameter of `module` with one row per id, without the gradient of the rows that are not trained."""
    first = getattr(module, _FIRST, 0)
    return _CutRows.apply(table, first) if first and torch.is_grad_enabled() else table


def restore_text_rows(model: Any, optimizer: torch.optim.Optimizer) -> None:
    """After each step of `optimizer`, restore the rows that are not trained, bit for bit.

    Their gradient is zero, but an optimizer may move a row without a gradient, for example by its own weight decay.

    Args:
        model: the model; its parameters may be sharded by rows.
        optimizer: the optimizer of these parameters.
    """
    first = getattr(model.get_input_embeddings(), _FIRST, 0)
    tables = row_parameters(model) if first else []
    copies = [_text_rows(table, first).clone() for table in tables]

    @torch.no_grad()
    def restore(*_: Any) -> None:
        for table, copy in zip(tables, copies, strict=True):
            _text_rows(table, first).copy_(copy)

    if tables:
        optimizer.register_step_post_hook(restore)


def _text_rows(table: Tensor, first: int) -> Tensor:
    """Return a view of the rows before `first`, or of those in this process's shard."""
    if not isinstance(table, DTensor):
        return table.detach()[:first]
    count, rank = table.device_mesh.size(), table.device_mesh.get_local_rank()
    start = rank * -(-len(table) // count)  # a shard has the same number of rows in each process but the last ones
    return table.to_local().detach()[: max(0, first - start)]


def _cut_text_embeddings(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    trained = (inputs[0] >= getattr(module, _FIRST))[..., None]
    return torch.where(trained, output, output.detach())


class _CutRows(torch.autograd.Function):
    """A table whose gradient is zero before a row."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, first: int) -> Tensor:
        ctx.first = first
        return table.view_as(table)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return torch.cat([torch.zeros_like(gradient[: ctx.first]), gradient[ctx.first :]]), None


def freeze_untrained(model: Any, first: int, train: Train, seed: int) -> None:
    """Freeze the parameters of an extended model that are not trained; add adapters for ``lora``.

    Args:
        model: a transformers causal LM with new rows; changed in place.
        first: index of the first new row.
        train: the parameters to train, see `SpeechLM.extend`.
        seed: seed of the adapters.

    Raises:
        MissingDependency: `train` is ``lora`` and peft is not installed.
    """
    if train == "lora":
        add_adapters(model, seed)
        unfreeze_new_rows(model, first)
    elif train == "embeddings":
        train_only_new_rows(model, first)
