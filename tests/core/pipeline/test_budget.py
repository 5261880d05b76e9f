"""The figures of a dry run, against independent formulas and the state of real training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from tests import ROOT

from areca.cli import common
from areca.cli.train import train
from areca.cli.validate import validate
from areca.errors import ArecaError, InvalidConfig, InvalidManifest
from areca.lm.lora import RANK
from areca.options import build
from areca.pipeline.budget import count_attention_flops, count_state_bytes, estimate_budget, read_architecture
from areca.run.config import RunConfig, parse_config, read_config
from areca.run.options import TrainingConfig
from areca.testing.tiny import load_choice
from areca_hf import HFConfig
from areca_hf.architecture import check_architecture
from areca_hf.model import HFBackbone

RECIPES = sorted(path for path in ROOT.glob("recipes/**/*.yaml") if path.parent.name != "ablations")
PUBLISHED = {
    "audiopalm": 8_631_877_632 + 33 * 4096,  # PaLM 8B: 8.63 B in its table 1, norms included here
    "audiopalm-2": 8_190_735_360,
    "gemma-2b": 2_506_172_416,
    "llama-3.2-1b": 1_235_814_400,
    "qwen3-0.6b": 596_049_920,
    "smollm2-135m": 134_515_008,
}
"""Parameters of the public weights, by the name of the recipe."""
PALM = {"name": "palm", "layers": 2, "width": 16, "feed_forward": 24, "heads": 2, "head_width": 8}
UNTIED = {"name": "decoder", "layers": 2, "width": 16, "feed_forward": 24, "heads": 2, "kv_heads": 1, "tied": False}


def parsed(backbone: dict[str, Any], **other: Any) -> RunConfig:
    return parse_config(
        {"tokenizer": {"name": "mfcc-kmeans", "clusters": 50}, "backbone": backbone, "tasks": ["asr"]} | other,
        root=ROOT,
    )


def options(**values: Any) -> TrainingConfig:
    return build(TrainingConfig, {"longest_tokens": 64} | values, "training")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARECA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("areca.pipeline.pace._START_S", 0.0)  # timed elsewhere, at tiny size
    return tmp_path / "home"


def _manifest(folder: Path) -> Path:
    path = folder / "own.jsonl"
    path.write_text('{"id": "1", "text": "x"}\n', encoding="utf-8")
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_is_valid_and_runs_dry(path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [f"data={_manifest(home.parent)}"] if isinstance(data := read_config(path).data, Path) else []
    if given:
        with pytest.raises(InvalidManifest, match=f"^{data}: no such manifest"):
            validate(path)
    validate(path, given)
    assert "is valid" in capsys.readouterr().out
    train(path, dry_run=True)
    printed = capsys.readouterr().out
    words = ("checkpoint", "text LM", "new rows", "gradients", "a token", "the run", "nothing was built", "activations")
    assert [word for word in words if word not in printed] == []
    assert not list(home.glob("*"))
    run = read_config(path)
    if run.name in PUBLISHED:
        assert f"{PUBLISHED[run.name]:,}" in printed
    assert ("needs " in printed) == isinstance(run.data, Path)


def test_the_recipes_have_the_values_of_the_paper() -> None:
    for name in ("audiopalm", "audiopalm-2"):
        run = read_config(ROOT / "recipes" / f"{name}.yaml")
        assert {mix.name for mix in run.tasks} >= {"asr", "ast", "s2st", "tts", "mt", "asr+ast+s2st"}
        assert len({mix.weight for mix in run.tasks}) == 1
        assert (run.lm.init, run.lm.train, run.lm.reads) == ("zero", "all", run.lm.writes)
        chosen = run.training
        assert (chosen.optimizer, chosen.learning_rate, chosen.schedule) == ("adafactor", 5e-5, "constant")
        assert chosen.warmup_steps == 0
        [stream] = run.streams("speech")
        assert (stream.size, stream.frame_rate_hz) == (1024, 25.0)
        encoder = run.parts["speech"].config
        assert min(encoder.pretraining_steps, encoder.steps) > 0, "BEST-RQ, then the ASR loss"
        assert encoder.features == "layer" and 0 < encoder.layer < encoder.layers
    palm = read_config(ROOT / "recipes" / "audiopalm.yaml").backbone
    assert (palm.name, palm.config.size) == ("palm", "8B") and palm.config.pretrain_steps > 0
    assert read_config(ROOT / "recipes" / "audiopalm.yaml").backbone.config.dropout == 0.1


@pytest.mark.parametrize("lm", ["all", "embeddings", "lora"])
def test_parameters_and_flops_by_hand(lm: str) -> None:
    if lm == "lora":
        pytest.importorskip("peft")
    cost = estimate_budget(parsed(PALM, lm={"train": lm}), options())
    block = 2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 24 + 16
    text, new = 1024 * 16 + 2 * block + 16, (5 + 50) * 16
    linears = [(16, 16), (16, 8), (16, 8), (16, 16), (16, 24), (16, 24), (24, 16)]
    adapters = 2 * RANK * sum(a + b for a, b in linears) if lm == "lora" else 0
    assert (cost.text_parameters, cost.new_rows, cost.new_parameters) == (text, 55, new + adapters)
    assert cost.parameters == text + new + adapters
    trained = {"all": text + new, "embeddings": 1024 * 16 + new, "lora": 1024 * 16 + new + adapters}[lm]
    assert cost.trained == trained
    assert cost.matrix_flops == 4 * cost.parameters + 2 * trained
    assert cost.attention_flops == 12 * 2 * 2 * 8 * 64


def test_the_adapter_of_vectors_is_counted() -> None:
    tokenizer = {"name": "usm-v1", "clusters": 50, "width": 6, "heads": 2}
    units, linear, mlp = (
        estimate_budget(parsed(PALM, tokenizer=tokenizer, lm=lm), options())
        for lm in ({}, {"read_as": "features"}, {"read_as": "features", "adapter": {"name": "mlp", "stride": 2}})
    )
    assert linear.new_parameters - units.new_parameters == (6 + 1) * 16
    added = mlp.new_parameters - units.new_parameters
    assert added == (12 + 1) * 16 + (16 + 1) * 16 == mlp.trained - units.trained
    assert mlp.memory.weights - units.memory.weights == 4 * added
    assert mlp.matrix_flops - units.matrix_flops == 6 * added


def test_the_depth_transformer_is_counted() -> None:
    tokenizer = {"name": "mel-rvq", "levels": 3, "clusters": 8}
    size = {"layers": 2, "width": 8, "heads": 2}
    tied, depth = (
        estimate_budget(parsed(PALM, tokenizer=tokenizer, lm={"pattern": "parallel", **lm}), options())
        for lm in ({}, {"heads": "depth", "depth": size})
    )
    layer = 4 * (8 + 1) * 8 + (8 + 1) * 32 + (32 + 1) * 8 + 2 * 2 * 8  # attention, feed-forward, two norms
    outside = (16 + 1) * 8 + 16 * 8 + 3 * 8 + 2 * 8 + (8 + 1) * 16  # state, code, slots, last norm, output
    added = depth.new_parameters - tied.new_parameters
    assert added == 2 * layer + outside == depth.trained - tied.trained
    assert depth.memory.weights - tied.memory.weights == 4 * added
    assert depth.matrix_flops - tied.matrix_flops == 6 * 3 * added


def test_an_untied_input_embedding_is_looked_up() -> None:
    cost = estimate_budget(parsed(UNTIED), options())
    rows = 1024 + 55
    assert cost.new_parameters == 2 * 55 * 16
    assert cost.matrix_flops == 6 * (cost.parameters - rows * 16)


def test_the_cost_of_palm_8b_is_that_of_its_paper() -> None:
    # Appendix B: 6N + 12 L H Q T operations a token; N, L, H, Q, T of PaLM 8B.
    run = read_config(ROOT / "recipes" / "audiopalm.yaml")
    cost = estimate_budget(run, run.training)
    expected = 6 * 8.63e9 + 12 * 32 * 16 * 256 * 2048
    assert cost.flops == pytest.approx(expected, rel=0.002)
    assert cost.memory.weights == cost.memory.gradients == 4 * cost.parameters
    assert cost.memory.optimizer < 0.002 * cost.memory.weights  # Adafactor keeps rows and columns
    adamw = estimate_budget(
        read_config(ROOT / "recipes" / "audiopalm.yaml", ["training.optimizer=adamw"]), run.training
    )
    assert adamw.memory.total == 16 * cost.parameters


@pytest.mark.parametrize("optimizer", ["adafactor", "adamw"])
def test_the_optimizer_keeps_what_is_estimated(optimizer: str) -> None:
    spec = parsed(PALM, training={"optimizer": optimizer, "longest_tokens": 64}).training_parts["optimizer"].spec
    shapes = [torch.Size(shape) for shape in ((30, 20), (7,), (3, 4, 5))]
    parameters = [torch.nn.Parameter(torch.ones(shape)) for shape in shapes]
    made = load_choice("optimizer", optimizer).build([{"params": parameters, "weight_decay": 0.0}], 1e-3)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    made.step()
    for parameter, shape in zip(parameters, shapes, strict=True):
        kept = [v for v in made.state[parameter].values() if isinstance(v, torch.Tensor) and v.ndim]
        assert sum(v.numel() * v.element_size() for v in kept) == count_state_bytes(shape, spec)


def test_attention_over_heads_that_do_not_fill_the_width() -> None:
    gemma = transformers.AutoConfig.for_model("gemma", hidden_size=3072, num_attention_heads=16, head_dim=256)
    assert count_attention_flops(gemma, 100) == 12 * gemma.num_hidden_layers * 4096 * 100


def test_a_model_that_is_not_on_this_machine_is_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ArecaError, match=r"org/none.*\n.*state it in the recipe: .*architecture: \{model_type"):
        HFBackbone.architecture(HFConfig(model="org/none"))
    with pytest.raises(InvalidConfig, match="architecture"):
        HFBackbone.architecture(HFConfig(model="org/none", architecture={"model_type": "no-such"}))
    with pytest.raises(InvalidConfig, match=r"expected \{model_type: llama"):
        parsed({"name": "hf", "model": "org/none", "architecture": {"hidden_size": 5}})
    own = transformers.LlamaConfig(hidden_size=64, num_attention_heads=4)
    check_architecture({"model_type": "llama", "hidden_size": 64}, own, "org/name")
    with pytest.raises(InvalidConfig, match=r"org/name: its config has hidden_size 64, but `architecture` states 32"):
        check_architecture({"hidden_size": 32}, own, "org/name")


@pytest.mark.parametrize(
    ("options", "bytes_", "of"),
    [
        ({"features": "layer", "width": 48}, "8.64 MB", "25 Hz x 48 float16, on disk, by tokenizer usm-v2"),
        ({}, "?", "tokenizer usm-v2 states no size before it is trained or loaded"),
    ],
)
def test_a_dry_run_sizes_the_vectors(
    options: dict[str, Any], bytes_: str, of: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home.parent / "run.yaml"
    source = {"tokenizer": {"name": "usm-v2", **options}, "backbone": PALM, "tasks": ["asr"], "data": {"name": "say"}}
    path.write_text(yaml.safe_dump(source | {"lm": {"read_as": "features"}}))
    train(path, dry_run=True)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert f"an hour of audio {bytes_} {of}" in lines
    assert [line for line in lines if line.startswith("vectors usm-v2 audio")] == ["vectors usm-v2 audio to build"]
    train(path, ["lm.read_as=units"], dry_run=True)
    assert "vectors" not in capsys.readouterr().out


def test_a_directory_says_its_architecture(tmp_path: Path) -> None:
    transformers.LlamaConfig(vocab_size=77, hidden_size=8, num_attention_heads=2).save_pretrained(tmp_path)
    run = parsed({"name": "hf", "path": str(tmp_path)})
    assert read_architecture(run.backbone).vocab_size == 77


def test_a_backbone_without_architecture_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    run = parsed(PALM)
    monkeypatch.delattr(run.backbone.entry.target(), "architecture")
    with pytest.raises(ArecaError, match=r"backbone 'palm' cannot be built without weights.*architecture\(config\)"):
        estimate_budget(run, options())


def test_quantities_have_three_digits_and_a_prefix() -> None:
    values = {0: "0 B", 999: "999 B", 999_999: "1 MB", 34_527_510_528: "34.5 GB", 1.5e25: "15 YB"}
    assert {value: common.format_quantity(value, "B") for value in values} == values
