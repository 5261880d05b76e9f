"""The backbone `hf`: directories, hub ids, scratch weights, text tokenizers and refused files."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

import areca.hub.snapshots
import areca_hf
from areca.component import Kind
from areca.errors import ArecaError, InvalidConfig, MissingWeights
from areca.interfaces import Backbone
from areca.registry.registry import Registry
from areca.run.config import parse_config
from areca.specs import BackboneSpec
from areca.testing import CheckedComponent, run
from areca_hf import HFConfig
from areca_hf.model import HFBackbone

CPU = torch.device("cpu")
SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
FAMILIES = {"llama": GROUPED, "qwen3": GROUPED, "gemma": GROUPED, "cohere": {"num_key_value_heads": 2}, "gpt_neox": {}}
IDS = torch.arange(5, 45).view(2, 20)


def text_tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: k for k, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def make(directory: Path, family: str, *, tied: bool = False, seed: int = 0) -> Path:
    """A tiny random model with a byte tokenizer, in the hub's layout."""
    config = AutoConfig.for_model(family, **SIZES, **FAMILIES[family], tie_word_embeddings=tied)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():  # no bias, gain or row at its default
            parameter.data.add_(0.3 * torch.randn(parameter.shape))
    model.save_pretrained(directory)
    text_tokenizer().save_pretrained(directory)
    return directory


def load(**options) -> Backbone:
    return HFBackbone.load(HFConfig(**options), {}, None, device=CPU, dtype=torch.float32)


def logits(model) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(IDS).logits


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("hf") / "llama", "llama", tied=True)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_directory_gives_its_model_and_tokenizer(tmp_path, family, tied):
    directory = make(tmp_path / "model", family, tied=tied)
    backbone = load(path=directory)
    reference = AutoModelForCausalLM.from_pretrained(directory)
    assert torch.equal(logits(backbone.model), logits(reference))
    assert not backbone.model.training and backbone.model.dtype == torch.float32
    shared = backbone.model.get_input_embeddings().weight is backbone.model.get_output_embeddings().weight
    assert shared == tied
    text = "¿Qué? Ça va — 42"
    assert backbone.tokenizer.decode(backbone.tokenizer(text)["input_ids"]) == text
    size = sum(p.numel() for p in reference.parameters())
    assert areca_hf.spec(HFConfig(path=directory), {}) == BackboneSpec(family, size)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_it_loads_can_be_saved_and_loaded_by_transformers(tmp_path, family):
    backbone = load(path=make(tmp_path / "model", family, tied=True))
    backbone.model.save_pretrained(tmp_path / "copy")
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "copy")), logits(backbone.model))


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 137\n"


def test_a_damaged_file_is_one_line_that_names_it(llama, tmp_path):
    directory = shutil.copytree(llama, tmp_path / "model")
    weights = (directory / "model.safetensors").read_bytes()
    (directory / "model.safetensors").write_bytes(LFS_POINTER)
    with pytest.raises(InvalidConfig, match=r"model\.safetensors: not a complete safetensors file .*git lfs pull"):
        areca_hf.spec(HFConfig(path=directory), {})
    (directory / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(InvalidConfig, match=r"model\.safetensors: not a complete safetensors file"):
        load(path=directory)
    (directory / "model.safetensors").write_bytes(weights)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"hidden_size": "wide"}))
    with pytest.raises(ArecaError, match=f"{directory}: transformers cannot load it: "):
        load(path=directory)


def test_weights_have_the_requested_dtype(llama):
    backbone = HFBackbone.load(HFConfig(path=llama), {}, None, device=CPU, dtype=torch.bfloat16)
    assert {p.dtype for p in backbone.model.parameters()} == {torch.bfloat16}


def test_a_runs_seed_reaches_weights_from_scratch_unless_another_is_written(llama):
    def seed_of(**options) -> int:
        backbone = {"name": "hf", "path": str(llama), "weights": "scratch", **options}
        run = {"name": "x", "seed": 5, "tokenizer": {"name": "mfcc-kmeans"}, "backbone": backbone, "tasks": ["asr"]}
        return parse_config(run, root=llama).backbone.config.init_seed

    assert (seed_of(), seed_of(init_seed=0)) == (5, 0)


def test_scratch_follows_from_its_seed_alone(llama, tmp_path):
    state = torch.get_rng_state()
    first, again, other = (load(path=llama, weights="scratch", init_seed=seed).model for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(logits(first), logits(again))
    assert not torch.allclose(logits(first), logits(other))
    assert not torch.allclose(logits(first), logits(load(path=llama).model))
    shutil.copy(llama / "config.json", tmp_path / "tiny.json")
    by_file = load(path=tmp_path / "tiny.json", weights="scratch", init_seed=1, text_tokenizer_path=llama)
    assert torch.equal(logits(by_file.model), logits(first))
    assert areca_hf.spec(HFConfig(path=tmp_path / "tiny.json", weights="scratch"), {}).family == "llama"


def test_another_text_tokenizer_replaces_the_models_own(llama, tmp_path):
    tokenizer = text_tokenizer()
    tokenizer.add_tokens(["zwei"])
    tokenizer.save_pretrained(tmp_path / "text")
    assert load(path=llama, text_tokenizer_path=tmp_path / "text").tokenizer.tokenize("zwei") == ["zwei"]
    assert len(load(path=llama).tokenizer.tokenize("zwei")) == 4


def test_residual_dropout_where_the_architecture_has_it(tmp_path, caplog):
    directory = make(tmp_path / "neox", "gpt_neox")
    caplog.set_level(logging.WARNING)
    with torch.random.fork_rng():
        for dropout in (0.0, 0.3):
            model = load(path=directory, dropout=dropout).model.train()
            assert torch.equal(model(IDS).logits, model(IDS).logits) == (dropout == 0)
            assert torch.equal(logits(model), logits(load(path=directory).model))
    assert not caplog.records


def test_an_architecture_without_dropout_is_reported(llama, caplog):
    load(path=llama, dropout=0.0)
    assert not caplog.records
    load(path=llama)
    assert [r.getMessage() for r in caplog.records] == ["llama has no residual dropout: `dropout: 0.1` has no effect"]


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(llama, tmp_path, monkeypatch) -> Path:
    """The hub's cache with one repository in it, and no network."""
    repository = tmp_path / "hub" / "models--org--tiny"
    shutil.copytree(llama, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_a_hub_id_is_found_in_the_cache_and_its_commit_recorded(hub, llama, tmp_path):
    backbone = load(model="org/tiny")
    assert torch.equal(logits(backbone.model), logits(load(path=llama).model))
    assert backbone.model.config.areca_source == f"org/tiny@{COMMIT}"
    backbone.model.save_pretrained(tmp_path / "copy")
    assert json.loads((tmp_path / "copy" / "config.json").read_text())["areca_source"] == f"org/tiny@{COMMIT}"
    scratch = load(model="org/tiny", revision=COMMIT, weights="scratch", text_tokenizer="org/tiny")
    assert torch.equal(logits(scratch.model), logits(load(path=llama, weights="scratch").model))
    assert areca_hf.spec(HFConfig(model="org/tiny"), {}) == BackboneSpec("unknown")


@pytest.mark.parametrize(
    "options",
    [
        {"model": "org/other"},
        {"model": "org/tiny", "revision": "v9"},
        {"model": "org/tiny", "text_tokenizer": "org/tiny", "text_tokenizer_revision": "v9"},
        {"model": "org/tiny", "text_tokenizer": "org/other"},
    ],
)
def test_without_network_the_error_states_what_to_do(hub, options):
    message = r"cannot fetch 'org/\w+' at revision '\w+': .*give the directory as `path`"
    with pytest.raises(MissingWeights, match=message):
        load(**options)


@pytest.mark.parametrize(
    ("answer", "error", "advice"),
    [
        (GatedRepoError, MissingWeights, "its owner requires you to accept its terms.*hf auth login"),
        (RepositoryNotFoundError, InvalidConfig, "the hub has no such repository.*check the id"),
        (RevisionNotFoundError, InvalidConfig, "the repository has no such revision: check `revision`"),
    ],
)
def test_refusals_of_the_hub_differ_from_an_unreachable_hub(monkeypatch, answer, error, advice):
    def refuse(*given, **options):
        raise answer.__new__(answer, "no")  # its initialiser wants a response of the library's HTTP client

    monkeypatch.setattr(areca.hub.snapshots, "snapshot_download", refuse)
    with pytest.raises(error, match=rf"cannot fetch 'org/tiny' at revision 'main': {advice}"):
        load(model="org/tiny")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of `model` .* and `path`"),
        ({"model": "a/b", "path": Path("c")}, "exactly one of `model` .* and `path`"),
        (
            {"model": "./my/model"},
            r"expected a hub id like 'org/name', got './my/model'; give a directory .* `path`",
        ),
        ({"model": "a/b", "text_tokenizer": "./c"}, "give a directory or file as `text_tokenizer_path`"),
        ({"model": "a/b", "text_tokenizer": "c/d", "text_tokenizer_path": Path("e")}, "at most one of"),
        ({"model": "a/b", "dropout": 1.0}, "expected 0 <= dropout < 1, got 1"),
        ({"path": Path("nowhere")}, "nowhere does not exist"),
        ({"path": Path("empty")}, r"empty has no config\.json"),
        ({"path": Path("model.bin")}, r"expected a directory, a \.gguf or a config \.json"),
        ({"path": Path("any.json")}, "holds no weights; set `weights: scratch`"),
        ({"path": Path("any.json"), "weights": "scratch"}, "not a transformers config: it has no `model_type`"),
    ],
)
def test_impossible_options_are_refused(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("model.bin").touch()
    Path("any.json").write_text("{}")
    with pytest.raises(InvalidConfig, match=message):
        areca_hf.spec(HFConfig(**options), {})


def test_a_config_file_has_no_tokenizer(llama, tmp_path):
    shutil.copy(llama / "config.json", tmp_path / "tiny.json")
    with pytest.raises(InvalidConfig, match=r"tiny\.json has no text tokenizer: give `text_tokenizer`"):
        load(path=tmp_path / "tiny.json", weights="scratch")


def test_weights_without_a_head_are_refused(llama, tmp_path):
    directory = make(tmp_path / "untied", "llama")
    AutoModel.from_pretrained(directory).save_pretrained(directory)
    with pytest.raises(InvalidConfig, match=r"lack 1 tensor.*'lm_head\.weight'"):
        load(path=directory)


def test_pickled_weights_are_not_read(llama, tmp_path):
    shutil.copytree(llama, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    torch.save(
        LlamaForCausalLM(LlamaConfig.from_pretrained(llama)).state_dict(), tmp_path / "pickled" / "pytorch_model.bin"
    )
    with pytest.raises(ArecaError, match=r"pickled: has no .*pickled weights are never read"):
        load(path=tmp_path / "pickled")


def test_code_in_a_repository_never_runs(llama, tmp_path, monkeypatch):
    directory = tmp_path / "foreign"
    shutil.copytree(llama, directory)
    foreign = {"model_type": "foreign", "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}}
    (directory / "config.json").write_text(json.dumps(foreign))
    (directory / "code.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w')")
    with pytest.raises(ArecaError, match="needs its own code, which areca never runs"):
        load(path=directory)
    assert not (tmp_path / "pwned").exists()


def test_weights_of_another_size_are_named(llama, tmp_path):
    shutil.copytree(llama, tmp_path / "wrong")
    config = json.loads((llama / "config.json").read_text()) | {"hidden_size": 40}
    (tmp_path / "wrong" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArecaError, match="wrong"):
        load(path=tmp_path / "wrong")


def test_the_conformance_kit_passes(llama, tmp_path):
    registry = Registry.discover()
    entry = registry.find(Kind.BACKBONE, "hf")
    outcomes = list(run(CheckedComponent(entry, tmp_path, registry=registry, options={"path": str(llama)})))
    assert [(o.check, o.message) for o in outcomes if o.state == "fail"] == []
    assert {o.check for o in outcomes if o.state == "skip"} == {"fit_is_deterministic", "fit_resumes"}
