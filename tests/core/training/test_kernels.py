"""Kernels of a training: compiled layers, FlashAttention, the fused optimizer, and the device that was chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.core.training.test_together import PLAIN, plain_lm
from tests.core.training.test_training import SMALL, tiny_examples, tiny_lm, trained

from areca.artifacts.checkpoint import CURVES
from areca.errors import InvalidConfig
from areca.lm.model import SpeechLM
from areca.options import build
from areca.run.options import TrainingConfig
from areca.testing.tiny import load_choice
from areca.training import train as training
from areca.training.examples import collate
from areca.training.kernels import find_layers, use_kernels


def state(lm: SpeechLM) -> Any:
    calls = [layer._compiled_call_impl for layer in find_layers(lm.model)]
    return lm.model.config._attn_implementation, lm.join_rows, calls


def test_kernels_are_used_only_within_the_block(tmp_path: Path) -> None:
    lm = tiny_lm(dropout=0.0)
    before, names = state(lm), set(lm.state_dict())
    with pytest.raises(KeyError), use_kernels(lm, compiled=True, backend="eager"):
        assert None not in state(lm)[2] and len(state(lm)[2]) == 2 and set(lm.state_dict()) == names
        compiled = state(lm)
        with use_kernels(lm):  # as the validation within a training
            assert state(lm) == before
        assert state(lm) == compiled
        raise KeyError
    assert state(lm) == before


def test_flash_attention_is_refused_where_it_cannot_compute(tmp_path: Path) -> None:
    lm = tiny_lm()
    before = state(lm)
    options = {"attention": "flash_attention_2", "precision": "bfloat16"}
    with pytest.raises(InvalidConfig, match=r"training.attention: .* on CUDA only, and the device is cpu: set it to a"):
        trained(tmp_path, lm=lm, steps=1, **options)
    if not torch.cuda.is_available():  # the package is missing, or it finds no GPU
        with (
            pytest.raises(InvalidConfig, match=r"is not available \(.+\): install"),
            use_kernels(lm, "flash_attention_2", device="cuda"),
        ):
            pass
    assert state(lm) == before


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"packing_tokens": 256}, {"checkpoint_activations": True}], ids=str)
def test_a_compiled_training_has_the_same_losses(options: dict[str, Any], tmp_path: Path) -> None:
    if not _can_compile():
        pytest.skip("torch.compile does not work here: is a C++ compiler missing?")
    common = PLAIN | {"steps": 6, "validate_every_steps": 2} | options
    plain = trained(tmp_path / "plain", lm=plain_lm(), **common)
    compiled = trained(tmp_path / "compiled", lm=plain_lm(), compile=True, **common)
    losses = [read_losses(tmp_path / name) for name in ("plain", "compiled")]
    assert len(losses[0]) == 6 and losses[1] == pytest.approx(losses[0], abs=1e-5)
    for name, value in plain.state_dict().items():
        apart = (compiled.state_dict()[name] - value).abs().max() / value.abs().max()
        assert float(apart) < 1e-4, name


def read_losses(directory: Path) -> list[float]:
    rows = map(json.loads, (directory / CURVES).read_text().splitlines())
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.slow
def test_layers_share_their_code(tmp_path: Path) -> None:
    from torch._dynamo.utils import counters

    lm = tiny_lm(dropout=0.0)
    examples = tiny_examples(lm, tmp_path / "x.arrow")
    with use_kernels(lm, compiled=True, backend="eager"):
        counters.clear()
        for rows in ([2, 4], [1, 3, 5, 7], [0, 9, 11]):
            lm(collate(examples, [torch.tensor([row]).numpy() for row in rows], pad=0))
        assert counters["stats"]["unique_graphs"] <= 3, "neither layers nor lengths are compiled one by one"


def _can_compile() -> bool:
    try:
        with use_kernels(tiny_lm(), compiled=True):
            return True
    except InvalidConfig:
        return False


def test_the_trainer_computes_on_the_chosen_device(tmp_path: Path) -> None:
    """It takes the first GPU, and shares batches among all that it sees, unless it is given one."""
    config = build(TrainingConfig, SMALL, "training")
    arguments = training._build_arguments(config, 0, tmp_path, "cpu")
    assert (arguments.device, arguments.n_gpu) == (torch.device("cpu"), 0)
    arguments.on = torch.device("cuda", 3)
    assert (arguments.device, arguments.n_gpu) == (torch.device("cuda", 3), 1)


def test_the_fused_optimizer_is_the_same_adamw(tmp_path: Path) -> None:
    weights = []
    for fused in (False, True):
        optimizer = load_choice("optimizer", {"name": "adamw", "fused": fused})
        lm = trained(tmp_path / str(fused), lm=tiny_lm(dropout=0.0), steps=4, watch={"optimizer": optimizer})
        weights.append(lm.state_dict())
    for name, plain in weights[0].items():
        torch.testing.assert_close(weights[1][name], plain, rtol=1e-4, atol=1e-4, msg=name)
