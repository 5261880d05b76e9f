"""Shard an LM and its optimizer over processes (FSDP2), gather them to be saved, and fill the shards from a state.

A saved state holds whole tensors, as the state of an LM that is not sharded does: any number of processes resumes from
it, with or without shards. Weights are in safetensors, and torch loads the rest with ``weights_only``: nothing is
unpickled, unlike the metadata that torch.distributed.checkpoint writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, distribute_tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from areca.errors import ArecaError, summarise
from areca.run.processes import Processes

_Layouts = list[dict[str, DTensor]]


def shard(lm: nn.Module, processes: Processes) -> None:
    """Shard the parameters of `lm` by rows over all processes; it then runs only in all of them at once.

    Each transformer block is gathered when it runs. The embedding, the head and all other modules are one group: the LM
    reads these tables outside the modules that own them.

    Args:
        lm: the LM, the same in each process; changed in place. It may be on the CPU: its parts move to the device of
            the process one after another, so that the device never holds the whole LM.
        processes: those that train together.
    """
    if is_sharded(lm):
        return
    mesh = init_device_mesh(torch.device(processes.device).type, (processes.count,))
    for module in list(lm.modules()):
        if isinstance(module, GradientCheckpointingLayer):  # the base class of blocks in transformers
            fully_shard(module, mesh=mesh)
    # By default the root stays whole after a forward pass without a backward pass, as in a validation.
    fully_shard(lm, mesh=mesh, reshard_after_forward=True)


def is_sharded(lm: nn.Module) -> bool:
    """Return whether `shard` was called with `lm`."""
    return isinstance(lm, FSDPModule)


@contextmanager
@torch.no_grad()
def gathered(lm: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> Iterator[None]:
    """Within the block, the first process has the whole LM and optimizer state, on the CPU, to save them.

    All processes must enter the block together. The LM must not run in it. If nothing is sharded, nothing changes.
    """
    holders: list[dict[str, Any]] = [module._parameters for module in lm.modules()]
    holders += [] if optimizer is None else list(optimizer.state.values())
    kept = [(holder, name, x) for holder in holders for name, x in holder.items() if isinstance(x, DTensor)]
    whole = dict[int, Tensor]()
    for holder, name, value in kept:
        if id(value) not in whole:  # tied weights are gathered once, and stay tied
            whole[id(value)] = _gather(value)
        holder[name] = whole[id(value)]
    try:
        yield
    finally:
        for holder, name, value in kept:
            holder[name] = value


def _gather(value: DTensor) -> Tensor:
    full = value.full_tensor()
    if dist.get_rank():
        return value
    full = full.to("cpu", copy=True)  # without the padding of the last shard
    return nn.Parameter(full, value.requires_grad) if isinstance(value, nn.Parameter) else full


@torch.no_grad()
def load_weights(lm: nn.Module, path: Path) -> None:
    """Copy whole tensors from a safetensors file into an LM, which may be sharded."""
    own = lm.state_dict()
    with safetensors.safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118 (no mapping)
            own[name].copy_(_place(file.get_tensor(name), own[name]))


def accept_whole_states(optimizer: torch.optim.Optimizer) -> None:
    """Let an optimizer of sharded parameters load the state of whole ones.

    Raises:
        ArecaError: the optimizer cannot update sharded parameters.
    """
    layouts = _find_layouts(optimizer)

    def place(_: torch.optim.Optimizer, loaded: dict[str, Any]) -> dict[str, Any]:
        state = {
            number: {name: _place(value, layouts[number].get(name)) for name, value in values.items()}
            for number, values in loaded["state"].items()
        }
        return loaded | {"state": state}

    optimizer.register_load_state_dict_pre_hook(place)


def _find_layouts(optimizer: torch.optim.Optimizer) -> _Layouts:
    """Return the sharded tensors of each parameter's state, in the order of the state dict, from a step of size 0."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    rates = [group["lr"] for group in optimizer.param_groups]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    try:
        optimizer.step()
    except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
        raise ArecaError(
            f"the optimizer {type(optimizer).__name__} cannot update a sharded LM ({summarise(error)}): choose "
            "training.parallel: ddp, or training.optimizer: adamw"
        ) from error
    found = [{k: x for k, x in optimizer.state[p].items() if isinstance(x, DTensor)} for p in parameters]
    optimizer.state.clear()
    optimizer.zero_grad()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    return found


def _place(value: Any, like: Any) -> Any:
    """Return this process's part of a whole tensor, sharded as `like`; other values are returned unchanged."""
    if not isinstance(like, DTensor) or not isinstance(value, Tensor) or isinstance(value, DTensor):
        return value
    placements = [Replicate() if isinstance(x, Partial) else x for x in like.placements]
    part = distribute_tensor(value, like.device_mesh, placements, src_data_rank=None)  # each process has the whole
    return part.clone()  # the part of a tensor would keep the memory of all of it
