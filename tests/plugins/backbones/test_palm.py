"""The backbone `palm` against the equations and figures of its paper."""

from __future__ import annotations

import hashlib
import math
import shutil
from pathlib import Path

import pytest
import torch
from num2words import num2words
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

import areca_palm
from areca.component import Kind
from areca.errors import InvalidConfig
from areca.fitting.text_lm.corpus import newline_id, train_tokenizer
from areca.interfaces import Backbone, Job
from areca.lm.model import SpeechLM
from areca.manifest import FileManifest, Manifest, Utterance
from areca.registry.registry import Registry
from areca.specs import BackboneSpec, Stream
from areca.testing import CheckedComponent, run
from areca_palm import PalmConfig, resolve_dimensions
from areca_palm.model import NORM_EPSILON, Palm
from areca_palm.sizes import PRESETS, Dimensions

CPU = torch.device("cpu")
SMALL = {"layers": 2, "width": 24, "feed_forward": 40, "heads": 2, "head_width": 8, "min_count": 8}
PRETRAIN = {"pretrain_steps": 6, "pretrain_batch": 4, "pretrain_length": 24, "save_every": 2}
IDS = torch.arange(5, 35).view(2, 15)


def make_manifest(root: Path) -> Manifest:
    rows = [
        Utterance(
            id=f"{language}-{n}",
            text=num2words(n, lang=language),
            language=language,
            split="train",
            target_text=num2words(n, lang="en"),
            target_language="en",
        )
        for language in ("fr", "es")
        for n in range(60)
    ]
    return FileManifest(tuple(rows), root)


def config(**options) -> PalmConfig:
    return PalmConfig(**(SMALL | options))


def fit(directory: Path, seed: int = 0, progress=None, **options) -> Path:
    directory.mkdir(exist_ok=True)
    job = Job(directory, seed, CPU, *([progress] if progress else []))
    Palm.fit(config(**options), {}, make_manifest(directory), job)
    shutil.rmtree(job.work)  # as core does
    return directory


def load(directory: Path, **options) -> Backbone:
    return Palm.load(config(**options), {}, directory, device=CPU, dtype=torch.float32)


def hashes(directory: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in directory.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> Path:
    return fit(tmp_path_factory.mktemp("palm") / "made")


def matrices(d: Dimensions, rows: int) -> int:
    """The parameters by the paper's text: one norm a block, no bias, the embedding counted once."""
    queries, keys_and_values = d.width * d.heads * d.head_width, 2 * d.width * d.kv_heads * d.head_width
    back = d.heads * d.head_width * d.width
    gate_up_down = 3 * d.width * d.feed_forward
    return rows * d.width + d.layers * (queries + keys_and_values + back + gate_up_down + d.width) + d.width


def test_parameters_are_those_of_the_formula(fitted):
    backbone = load(fitted)
    count = sum(p.numel() for p in backbone.model.parameters())
    assert count == matrices(resolve_dimensions(config()), len(backbone.tokenizer))
    assert backbone.model.get_input_embeddings().weight is backbone.model.get_output_embeddings().weight
    assert not any(name.endswith("bias") for name, _ in backbone.model.named_parameters())


@pytest.mark.parametrize(("size", "named", "within"), [("128M", 128e6, 0.01), ("1B", 1e9, 0.01), ("8B", 8.63e9, 0.001)])
def test_presets_have_the_size_in_their_names(size, named, within):
    options = PalmConfig(size=size, text_tokenizer="org/name")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(Palm.architecture(options))
    count = sum(p.numel() for p in model.parameters())
    assert count == pytest.approx(named, rel=within)  # table 1 of the PaLM paper calls 8.63 B "8B"
    assert count == matrices(PRESETS[size], PRESETS[size].vocabulary_size)
    assert areca_palm.spec(options, {}) == BackboneSpec("cohere", count)


def test_8b_is_palm_8b_and_every_dimension_can_be_overridden():
    paper = {"layers": 32, "width": 4096, "feed_forward": 16384, "heads": 16, "head_width": 256, "kv_heads": 1}
    paper |= {"vocabulary_size": 256_000, "context": 2048}
    assert PRESETS["8B"] == Dimensions(**paper)
    other = {name: value * 2 for name, value in paper.items()}
    assert resolve_dimensions(PalmConfig(size="1B", **other)) == Dimensions(**other)


def rotate(x: torch.Tensor) -> torch.Tensor:
    """Turn each pair of neighbours in [B, H, T, D] by its position times a frequency, as complex numbers."""
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[2])[:, None] * 10_000.0 ** (-torch.arange(half) / half)
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], half, 2).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


def plain(weights: dict[str, torch.Tensor], d: Dimensions, ids: torch.Tensor) -> torch.Tensor:
    """PaLM's logits [B, T, V] written out: section 2 of the paper, and the scale of section 5."""
    table = weights["model.embed_tokens.weight"]
    x = table[ids]
    batch, time = ids.shape
    mask = torch.full((time, time), -math.inf).triu(1)
    for k in range(d.layers):
        w = {name.partition(f"layers.{k}.")[2]: value for name, value in weights.items() if f"layers.{k}." in name}
        y = F.layer_norm(x, (d.width,), w["input_layernorm.weight"], None, NORM_EPSILON)

        def heads(name: str, count: int, y=y, w=w) -> torch.Tensor:
            return (y @ w[f"self_attn.{name}.weight"].T).view(batch, time, count, d.head_width).transpose(1, 2)

        q, one_k, one_v = rotate(heads("q_proj", d.heads)), rotate(heads("k_proj", 1)), heads("v_proj", 1)
        attention = (q @ one_k.transpose(2, 3) * d.head_width**-0.5 + mask).softmax(-1) @ one_v
        attention = attention.transpose(1, 2).flatten(2) @ w["self_attn.o_proj.weight"].T
        gate, up, down = (w[f"mlp.{name}_proj.weight"].T for name in ("gate", "up", "down"))
        x = x + attention + (F.silu(y @ gate) * (y @ up)) @ down
    x = F.layer_norm(x, (d.width,), weights["model.norm.weight"], None, NORM_EPSILON)
    return x @ table.T / math.sqrt(d.width)


@torch.no_grad()
def test_logits_equal_the_equations_of_the_paper(fitted):
    model = load(fitted).model
    for parameter in model.parameters():  # no gain at 1
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    expected = plain(model.state_dict(), resolve_dimensions(config()), IDS)
    torch.testing.assert_close(model(IDS).logits, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_weights_start_as_palm_does(fitted):
    model = load(fitted).model
    table = model.get_input_embeddings().weight
    assert float(table.std()) == pytest.approx(1.0, rel=0.05)
    for name in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"):
        weight = model.get_submodule(f"model.layers.0.{name}").weight
        assert float(weight.std()) == pytest.approx(weight.shape[1] ** -0.5, rel=0.15)
    assert float(model(IDS).logits.std()) == pytest.approx(1.0, rel=0.2)  # normed, times N(0, 1), over sqrt(width)


@torch.no_grad()
def test_text_logits_do_not_move_when_audio_is_appended_and_rows_equal_the_full_head(fitted):
    before = load(fitted).model(IDS).logits
    lm = SpeechLM.extend(load(fitted), {"speech": (Stream("unit", 20, 25.0),)}, init="normal")
    after = lm.model(IDS).logits
    assert torch.equal(after[..., : before.shape[-1]], before)
    hidden = lm.model.base_model(input_ids=IDS).last_hidden_state
    rows = lm.vocabulary.span("speech/0")
    torch.testing.assert_close(lm.head.logits(hidden, rows), after[..., rows.start : rows.stop])


def test_same_seed_same_bytes_other_seed_other_weights(fitted, tmp_path):
    state = torch.get_rng_state()
    again, other = fit(tmp_path / "again"), fit(tmp_path / "other", seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert hashes(again) == hashes(fitted)
    assert {name for name, h in hashes(other).items() if h != hashes(fitted)[name]} == {"model.safetensors"}


@torch.no_grad()
def test_a_saved_model_loads_unchanged_without_areca(fitted, tmp_path):
    model = load(fitted).model
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert all(torch.equal(again.state_dict()[name], weight) for name, weight in model.state_dict().items())
    assert torch.equal(again(IDS).logits, model(IDS).logits)


@torch.no_grad()
def test_dropout_is_residual_and_only_in_training(fitted):
    model = load(fitted, dropout=0.5).model
    still = load(fitted, dropout=0.0).model
    assert torch.equal(model(IDS).logits, still(IDS).logits)
    with torch.random.fork_rng():
        model.train()
        still.train()
        assert not torch.equal(model(IDS).logits, model(IDS).logits)
        assert torch.equal(still(IDS).logits, still(IDS).logits)
        layer, states = model.model.layers[0], torch.ones(1, 400, 24)
        rotations = model.model.rotary_emb(states, torch.arange(400)[None])
        for added in (
            layer.mlp(states),
            layer.self_attn(states, position_embeddings=rotations, attention_mask=None)[0],
        ):
            assert float((added == 0).float().mean()) == pytest.approx(0.5, abs=0.05)


class Killed(Exception):
    pass


@pytest.mark.parametrize("killed_at", [3, 6])
def test_a_killed_pretraining_resumes_to_the_same_weights(tmp_path, killed_at):
    undisturbed, seen = fit(tmp_path / "undisturbed", **PRETRAIN), []

    def kill(done: int, total: int, message: str = "") -> None:
        seen.append(done)
        if done == killed_at and len(seen) == done:
            raise Killed

    with pytest.raises(Killed):
        fit(tmp_path / "killed", progress=kill, **PRETRAIN)
    resumed = fit(tmp_path / "killed", progress=kill, **PRETRAIN)
    assert seen[killed_at] == (killed_at - 1) // 2 * 2 + 1  # from the last save
    assert hashes(resumed) == hashes(undisturbed)


def test_a_text_tokenizer_is_read_from_a_directory_and_must_fit_the_rows(tmp_path):
    given = train_tokenizer(["one two three four five"] * 9, 270, 2)
    given.save_pretrained(tmp_path / "text")
    options = {"text_tokenizer_path": tmp_path / "text", "vocabulary_size": 300}
    backbone = load(fit(tmp_path / "made", **options), **options)
    assert backbone.tokenizer.get_vocab() == given.get_vocab()
    assert backbone.model.config.vocab_size == 300 > len(backbone.tokenizer)
    assert areca_palm.spec(config(**options), {}).parameters == sum(p.numel() for p in backbone.model.parameters())
    with pytest.raises(InvalidConfig, match=r"has 2\d\d tokens, size nano has 256 .* set `vocabulary_size: 2"):
        fit(tmp_path / "less", **(options | {"vocabulary_size": 256}))


def test_a_line_ends_with_a_newline_of_any_tokenizer(fitted):
    tokenizer = load(fitted).tokenizer
    assert newline_id(tokenizer) == tokenizer.get_vocab()["Ċ"]

    class Pieces:
        def get_vocab(self):
            return {"▁a": 0, "<0x0A>": 7}

        def __call__(self, text, add_special_tokens):
            return {"input_ids": [3, 7]}

    assert newline_id(Pieces()) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "layers: expected at least 1, got 0"),
        ({"head_width": 7}, "head_width: expected an even number"),
        ({"heads": 4, "kv_heads": 3}, r"kv_heads: expected a divisor of heads \(4\), got 3"),
        ({"vocabulary_size": 100}, "vocabulary_size: expected at least 256, got 100"),
        ({"dropout": 1.0}, "dropout"),
        ({"pretrain_steps": 1, "context": 100}, r"pretrain_length: expected at most context \(100\), got 128"),
        ({"size": "8B"}, "size 8B expects a text tokenizer, got none: give `text_tokenizer`"),
        ({"text_tokenizer": "a/b", "text_tokenizer_path": Path("c")}, "at most one of"),
    ],
)
def test_incompatible_options_are_refused(options, message):
    with pytest.raises(InvalidConfig, match=message):
        areca_palm.spec(PalmConfig(**options), {})


def test_the_conformance_kit_passes(tmp_path):
    registry = Registry.discover()
    outcomes = list(run(CheckedComponent(registry.find(Kind.BACKBONE, "palm"), tmp_path, registry=registry)))
    assert [(o.check, o.message) for o in outcomes if o.state != "pass"] == []
