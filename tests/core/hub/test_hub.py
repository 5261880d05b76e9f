"""Models are loaded from a folder as data, complete, and no larger than their files. Attacks: `test_hostile`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from areca.errors import InvalidArtifact, InvalidConfig
from areca.hub.guard import call_guarded
from areca.hub.loading import load_pretrained
from areca.hub.tensors import TooLarge, limit_module_count, read_module, read_tensors
from areca.hub.tokenizers import load_fast_tokenizer
from areca.hub.weights import read_header, stored_tensors

SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hub") / "llama"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **SIZES)).save_pretrained(directory)
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))).save_pretrained(
        directory
    )
    return directory


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "model"))


def load(directory: Path, **options: Any) -> Any:
    return load_pretrained(AutoModelForCausalLM, directory, **options)


def sharded(directory: Path) -> Path:
    """The same weights in shards of the library's own."""
    model = AutoModelForCausalLM.from_pretrained(directory)
    (directory / "model.safetensors").unlink()
    model.save_pretrained(directory, max_shard_size="20KB")
    assert len(list(directory.glob("model-*.safetensors"))) > 1
    return directory


def test_loaded_models_equal_those_of_transformers(llama: Path, copy: Path) -> None:
    state = torch.random.get_rng_state()
    mine, theirs = load(llama, from_areca=True), AutoModelForCausalLM.from_pretrained(llama)
    assert torch.equal(torch.random.get_rng_state(), state)
    ids = torch.arange(20)[None]
    with torch.inference_mode():
        assert torch.equal(mine(ids).logits, theirs.eval()(ids).logits)
        assert torch.equal(load(sharded(copy))(ids).logits, theirs(ids).logits)
    assert not mine.training
    assert load(llama, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_duplicate_weights_are_refused_and_counted_once(copy: Path) -> None:
    once = sum(tensor.elements for tensor in stored_tensors(copy).values())
    stale = (copy / "model.safetensors").read_bytes()
    sharded(copy)
    assert sum(tensor.elements for tensor in stored_tensors(copy).values()) == once
    (copy / "model.safetensors").write_bytes(stale)
    with pytest.raises(InvalidConfig, match=r"twice, in model\.safetensors and in model\.safetensors\.index\.json"):
        load(copy)
    (copy / "model.safetensors.index.json").unlink()
    with pytest.raises(InvalidConfig, match=r"twice, in model\.safetensors and in model-00001-of-"):
        load(copy)
    (copy / "model.safetensors").unlink()
    with pytest.raises(InvalidConfig, match=r"has model-00001-of-\S+ without model\.safetensors\.index\.json"):
        load(copy)


def test_shards_that_are_not_those_of_the_index_are_refused(copy: Path) -> None:
    sharded(copy)
    shards = sorted(copy.glob("model-*.safetensors"))
    shutil.copy(shards[0], copy / "model-00009-of-00009.safetensors")
    with pytest.raises(InvalidConfig, match="and the files in the folder differ, for example in 'model-00009"):
        load(copy)
    (copy / "model-00009-of-00009.safetensors").unlink()
    tensor = next(iter(load_file(shards[0]).items()))
    save_file(load_file(shards[1]) | dict([tensor]), shards[1], {"format": "pt"})
    with pytest.raises(InvalidConfig, match=f"holds '{tensor[0]}', which another file in the folder holds too"):
        load(copy)
    shards[0].unlink()
    with pytest.raises(InvalidConfig, match="and the files in the folder differ, for example in 'model-00001"):
        load(copy)
    outside = json.dumps({"weight_map": {"a": "../model.safetensors"}})
    (copy / "model.safetensors.index.json").write_text(outside)
    with pytest.raises(InvalidConfig, match="and the files in the folder differ"):
        load(copy)


def edited(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], object]:
    def edit(directory: Path) -> None:
        tensors = load_file(directory / "model.safetensors")
        change(tensors)
        save_file(tensors, directory / "model.safetensors", {"format": "pt"})

    return edit


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (edited(lambda x: x.pop("model.norm.weight")), r"the weights lack 1 tensor\(s\).*'model\.norm\.weight'"),
        (edited(lambda x: x.update(extra=torch.ones(1))), r"the weights have 1 tensor\(s\) .* such as 'extra'"),
        (
            edited(lambda x: x.update({"model.norm.weight": torch.ones(5)})),
            r"describes model\.norm\.weight of shape \[32\], the weights hold \[5\]",
        ),
        (lambda d: (d / "adapter_config.json").write_text("{}"), r"adapter_config\.json would load a different model"),
        (lambda d: link(d / "config.json"), r"config\.json is a symbolic link that leaves the folder"),
        (lambda d: link(d / "model.safetensors"), r"model\.safetensors is a symbolic link that leaves the folder"),
        (lambda d: (d / "model.safetensors").unlink(), r"has no \*\.safetensors"),
        (lambda d: (d / "config.json").unlink(), r"has no config\.json"),
        (lambda d: (d / "config.json").write_text("{"), "config.json: expected JSON"),
        (lambda d: config(d, model_type="gpt2"), "the weights lack"),
        (lambda d: config(d, num_hidden_layers=10**9), "'num_hidden_layers': 1000000000: expected 0 to 1024"),
        (lambda d: config(d, num_hidden_layers=1000), "far more layers than a file of 20 tensors fills"),
        (lambda d: config(d, num_hidden_layers=3), "the weights lack 9 tensor"),
        (lambda d: config(d, num_hidden_layers=1), "the weights have 9 tensor"),
        (lambda d: config(d, vocab_size=2**40), "expected at most"),
        (lambda d: config(d, vocab_size=2**35), r"describes model\.embed_tokens\.weight of shape"),
        (lambda d: config(d, text_config={"a": [{"quantization_config": {"b": 1}}]}), "no quantized weights"),
        (lambda d: config(d, _attn_implementation="some/kernel"), "expected eager or sdpa"),
        (lambda d: config(d, transformers_weights="x.safetensors"), "files of the usual names"),
    ],
)
def test_an_incomplete_model_is_one_error_line(damage: Callable[[Path], object], says: str, copy: Path) -> None:
    damage(copy)
    with pytest.raises(InvalidConfig, match=says) as caught:
        load(copy)
    assert len(str(caught.value).splitlines()) == 1


def link(path: Path) -> None:
    other = path.parent.parent / path.name
    path.rename(other)
    path.symlink_to(other)


def config(directory: Path, **changes: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_links_of_the_hubs_cache_are_followed(llama: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--org--tiny" / "snapshots" / "0123"
    blobs = tmp_path / "models--org--tiny" / "blobs"
    snapshot.mkdir(parents=True)
    shutil.copytree(llama, blobs)
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(f"../../blobs/{blob.name}")
    assert load(snapshot).num_parameters() == load(llama).num_parameters()
    assert load_fast_tokenizer(snapshot).is_fast


def test_tensors_that_the_caller_allows_may_be_missing_or_unused(copy: Path) -> None:
    edited(lambda x: x.update(head=torch.ones(1)) or x.pop("model.norm.weight"))(copy)
    model = load(copy, may_lack=lambda name: name.endswith("norm.weight"), may_ignore=lambda name: name == "head")
    assert "head" not in model.state_dict()


def test_code_in_the_folder_of_a_known_model_never_runs(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config(copy, auto_map={"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"})
    (copy / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    assert not hasattr(load(copy).config, "auto_map")
    with pytest.raises(InvalidArtifact, match="names its own code"):
        load(copy, from_areca=True, error=InvalidArtifact)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", "{}"),
        ("tokenizer.json", '{"model": 3, "added_tokens": 5}'),
        ("tokenizer.json", "[" * 200_000),
        ("tokenizer_config.json", "[" * 200_000),
        ("tokenizer_config.json", "[1]"),
        ("tokenizer_config.json", '{"tokenizer_class": ["x"]}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"x": 1}}'),
        ("tokenizer_config.json", '{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": NaN}'),
        ("special_tokens_map.json", "{"),
    ],
)
def test_a_damaged_tokenizer_is_one_line(name: str, content: str, copy: Path) -> None:
    (copy / name).write_text(content)
    with pytest.raises(InvalidConfig) as caught:
        load_fast_tokenizer(copy)
    assert str(caught.value).startswith(str(copy)) and len(str(caught.value).splitlines()) == 1


def test_every_exception_except_an_interruption_is_one_line() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(InvalidArtifact, match=r"^it: transformers cannot load it: integer .*by zero$"):
        call_guarded("it", lambda: 1 // 0, InvalidArtifact)
    with pytest.raises(InvalidArtifact, match=r"^it: transformers cannot load it: 'a'$"):
        call_guarded("it", lambda: {}["a"], InvalidArtifact)
    with pytest.raises(KeyboardInterrupt):
        call_guarded("it", interrupted)


# What parts hold


def test_tensors_must_have_the_expected_names_and_shapes(tmp_path: Path) -> None:
    path = tmp_path / "codebook.safetensors"
    save_file({"centroids": torch.ones(4, 3), "mean": torch.ones(3)}, path, {"commit": "0123"})
    assert read_header(path).metadata == {"commit": "0123"}
    assert read_tensors(path, {"centroids": (4, None)}, optional={"mean": (3,)})["centroids"].shape == (4, 3)
    for shapes, says in (
        ({"centroids": (4, None)}, "'mean' is missing or unexpected"),
        ({"centroids": (4, 3), "mean": (3,), "more": (1,)}, "'more' is missing or unexpected"),
        ({"centroids": (5, None), "mean": (3,)}, r"expected centroids of shape \[5, None\], got \[4, 3\]"),
        ({"centroids": (None,), "mean": (3,)}, r"expected centroids of shape \[None\]"),
    ):
        with pytest.raises(InvalidArtifact, match=says):
            read_tensors(path, shapes)
    whole = path.read_bytes()
    for cut in (0, 7, 8, 20, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(InvalidArtifact, match="not a complete safetensors file"):
            read_tensors(path, {"centroids": (4, 3)})
    path.write_bytes(whole + b"\0")
    with pytest.raises(InvalidArtifact, match="its header describes 60 bytes, it has 61"):
        read_tensors(path, {"centroids": (4, 3)})


def layers(count: int) -> nn.Module:
    return nn.Sequential(*(nn.Linear(3, 3) for _ in range(count)))


def test_a_network_is_read_in_float32_and_takes_no_more_than_its_file(tmp_path: Path) -> None:
    net = layers(2)
    save_file({name: x.half() for name, x in net.state_dict().items()}, tmp_path / "net.safetensors")
    state = torch.random.get_rng_state()
    read = read_module(tmp_path / "net.safetensors", lambda: layers(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(x, y.half().float()) for x, y in zip(read.parameters(), net.parameters(), strict=True))
    for count, says in ((1, r"the file has '1\.bias'"), (3, r"the file lacks '2\.bias'"), (10**9, "far more layers")):
        with pytest.raises(InvalidArtifact, match=says):
            read_module(tmp_path / "net.safetensors", lambda count=count: endless(count))


def endless(count: int) -> nn.Module:
    made = nn.ModuleList()
    for _ in range(count):
        made.append(nn.Linear(3, 3))
    return nn.Sequential(*made)


def test_the_module_limit_applies_only_in_its_block() -> None:
    with pytest.raises(TooLarge), limit_module_count(1):
        endless(10**9)
    endless(1000)
