"""Sharding in one process: the smallest mesh. `test_together` runs several processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import save_model
from tests.core.training.test_training import choice
from torch.distributed.tensor import DTensor
from transformers.optimization import Adafactor

from areca.errors import ArecaError
from areca.lm.model import SpeechLM
from areca.options import canonical
from areca.run.options import TrainingConfig
from areca.run.processes import Processes
from areca.specs import Stream
from areca.testing.tiny import tiny_backbone
from areca.training.sharding import accept_whole_states, gathered, load_weights, shard


def tied_lm(seed: int = 0) -> SpeechLM:
    backbone = tiny_backbone("llama", tie_word_embeddings=True, seed=seed)
    return SpeechLM.extend(backbone, {"speech": (Stream("unit", 16, 25.0),)}, init="normal")


def sharded_lm() -> SpeechLM:
    lm = tied_lm()
    shard(lm, Processes())
    return lm


@pytest.fixture(autouse=True)
def process_group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_the_way_to_share_an_lm_is_in_no_key() -> None:
    assert canonical(TrainingConfig(parallel="fsdp")) == canonical(TrainingConfig())


def test_every_parameter_is_sharded_and_gathered_to_be_saved(tmp_path: Path) -> None:
    whole, lm = tied_lm(), sharded_lm()
    shard(lm, Processes())  # again: no effect
    assert all(isinstance(p, DTensor) for p in lm.parameters())
    with gathered(lm):
        assert not any(isinstance(p, DTensor) for p in lm.parameters())
        assert lm.model.get_input_embeddings().weight is lm.model.get_output_embeddings().weight
        assert all(torch.equal(x, whole.state_dict()[name]) for name, x in lm.state_dict().items())
        lm.save(tmp_path / "lm")
    assert all(isinstance(p, DTensor) for p in lm.parameters())
    whole.save(tmp_path / "whole")
    files = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file())
    assert all((tmp_path / "lm" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes() for path in files)


def test_weights_are_loaded_into_shards(tmp_path: Path) -> None:
    other, lm = tied_lm(seed=1), sharded_lm()
    save_model(other, str(tmp_path / "model.safetensors"))
    load_weights(lm, tmp_path / "model.safetensors")
    with gathered(lm):
        assert all(torch.equal(x, other.state_dict()[name]) for name, x in lm.state_dict().items())


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_an_optimizer_of_shards_loads_the_state_of_whole_parameters(name: str) -> None:
    whole, lm = tied_lm(), sharded_lm()
    optimizers = [choice("optimizer", name).build(x.parameter_groups(0.1), 1e-2) for x in (whole, lm)]
    accept_whole_states(optimizers[1])
    assert not optimizers[1].state and optimizers[1].param_groups[0]["lr"] == 1e-2
    batch = {"ids": torch.arange(3, 13)[None], "target": torch.arange(10)[None] > 2}
    whole(batch).sum.backward()
    optimizers[0].step()
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    with gathered(lm, optimizers[1]):
        found = optimizers[1].state_dict()["state"]
        for number, values in optimizers[0].state_dict()["state"].items():
            assert all(torch.equal(torch.as_tensor(found[number][k]), torch.as_tensor(x)) for k, x in values.items())
    matrix = next(p for p in lm.parameters() if p.ndim > 1)
    assert {k for k, x in optimizers[1].state[matrix].items() if isinstance(x, DTensor)} >= (
        {"exp_avg", "exp_avg_sq"} if name == "adamw" else {"exp_avg_sq_row", "exp_avg_sq_col"}
    )


def test_an_optimizer_that_cannot_update_shards_is_refused() -> None:
    optimizer = Adafactor(sharded_lm().parameter_groups(0.0), lr=1e-2, scale_parameter=False, relative_step=False)  # type: ignore[no-untyped-call]
    with pytest.raises(ArecaError, match=r"Adafactor cannot update a sharded LM .*training.parallel: ddp"):
        accept_whole_states(optimizer)
