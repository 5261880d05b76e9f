"""The language model: logits, loss, new rows, saving and loading."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import ROOT, parts
from torch import Tensor
from torch.nn import functional as F

from areca.errors import IncompatibleParts, InvalidArtifact, InvalidCodes, InvalidConfig, MissingDependency
from areca.interfaces import Backbone
from areca.lm.encoding import Encoded
from areca.lm.model import SpeechLM
from areca.lm.rows import row_parameters
from areca.lm.vocabulary import Control
from areca.options import key_of
from areca.specs import Stream
from areca.tasks import Field, Task, chain
from areca.testing.tiny import tiny_backbone
from areca.types import Codes

FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {"tie_word_embeddings": True}),
    ("llama", {"tie_word_embeddings": False}),
    ("qwen3", {"tie_word_embeddings": True}),
    ("gemma", {}),
    ("gemma2", {"sliding_window": 4, "final_logit_softcapping": 0.5}),
    ("cohere", {"logit_scale": 0.25}),
    ("gpt_neox", {}),
    ("granite", {"logits_scaling": 3.0}),
    ("phi", {}),
]
every_family = pytest.mark.parametrize("family, options", FAMILIES, ids=[family for family, _ in FAMILIES])
STREAMS = (Stream("units", 20, 25.0),)
CODEC = (Stream("rvq-0", 7, 25.0), Stream("rvq-1", 7, 25.0))
TEXT = torch.tensor([[5, 90, 33, 7, 250, 12, 61]])
ASR = Task("ASR", (Field("source.audio"),), (Field("source.text"),))
S2ST = Task("S2ST", (Field("source.audio"),), (Field("target.audio"),), ("source", "target"))
BOTH = chain([ASR, S2ST])


def extend(family: str = "llama", options: dict[str, Any] | None = None, **how: Any) -> SpeechLM:
    backbone = tiny_backbone(family, **(options or {}))
    return SpeechLM.extend(backbone, {"speech": STREAMS}, **{"init": "normal", **how})


def values(frames: int = 6, text: str = "un deux") -> dict[str, str | Codes]:
    codes = Codes((torch.arange(frames) % 20,))
    sides = {"source.language": "fr", "target.language": "en"}
    return {"source.audio": codes, "source.text": text, "target.audio": codes, **sides}


def full_loss(lm: SpeechLM, e: Encoded) -> Tensor:
    """The model's own logits at every position, masked afterwards."""
    logits = lm.model(input_ids=e.ids[None]).logits[0, :-1]
    losses = F.cross_entropy(logits.float(), e.ids[1:], reduction="none")
    return (losses * e.target[1:]).sum()


@every_family
def test_text_logits_do_not_move_when_audio_is_appended(family: str, options: dict[str, Any]) -> None:
    backbone = tiny_backbone(family, **options)
    with torch.no_grad():
        before = backbone.model(input_ids=TEXT).logits
        lm = SpeechLM.extend(backbone, {"speech": STREAMS}, init="normal")
        after = lm.model(input_ids=TEXT).logits
    assert before.shape[-1] == 300
    assert after.shape[-1] == lm.vocabulary.size == 300 + 5 + 20
    torch.testing.assert_close(after[..., :300], before, rtol=1e-6, atol=1e-7)
    assert after[..., 300:].abs().max() > 0


@every_family
def test_the_head_on_some_rows_gives_the_full_logits_there(family: str, options: dict[str, Any]) -> None:
    lm = extend(family, options)
    with torch.no_grad():
        expected = lm.model(input_ids=TEXT).logits
        hidden = lm.model.base_model(input_ids=TEXT).last_hidden_state
        for rows in (range(300), lm.vocabulary.span("speech/0"), range(303, 304)):
            found = lm.head.logits(hidden, rows)
            torch.testing.assert_close(found, expected[..., rows.start : rows.stop], rtol=1e-5, atol=1e-6)


@every_family
def test_the_loss_at_targets_is_the_full_one_in_value_and_gradient(family: str, options: dict[str, Any]) -> None:
    lm = extend(family, options)
    e = lm.encode(BOTH, values())
    total, count = parts.loss(lm, e.ids[None], e.target[None])
    total.backward()
    mine = {n: p.grad.clone() for n, p in lm.model.named_parameters() if p.grad is not None}
    lm.model.zero_grad()
    expected = full_loss(lm, e)
    expected.backward()
    assert count == int(e.target.sum())
    torch.testing.assert_close(total, expected)
    theirs = {n: p.grad for n, p in lm.model.named_parameters() if p.grad is not None}
    assert mine.keys() == theirs.keys()
    for name, grad in theirs.items():
        torch.testing.assert_close(mine[name], grad, rtol=1e-4, atol=1e-5, msg=name)


@every_family
def test_packed_and_padded_give_the_loss_of_each_alone(family: str, options: dict[str, Any]) -> None:
    lm = extend(family, options)
    examples = [lm.encode(BOTH, values(n, t)) for n, t in ((6, "un"), (15, "deux trois"), (3, ""))]
    with torch.no_grad():
        alone = sum(float(parts.loss(lm, e.ids[None], e.target[None])[0]) for e in examples)
        count = sum(int(e.target.sum()) for e in examples)
        positions = torch.cat([torch.arange(len(e.ids)) for e in examples])[None]
        ids, target = (torch.cat([getattr(e, name) for e in examples])[None] for name in ("ids", "target"))
        packed = parts.loss(lm, ids, target, position_ids=positions)
        pad = torch.nn.utils.rnn.pad_sequence
        ids = pad([e.ids for e in examples], batch_first=True, padding_value=lm.vocabulary.control(Control.PAD))
        target = pad([e.target for e in examples], batch_first=True)
        padded = parts.loss(lm, ids, target)
        lm.join_rows = True
        joined = parts.loss(lm, ids, target)
        lm.join_rows = False
        left = [len(ids[0]) - len(e.ids) for e in examples]
        places = torch.arange(len(ids[0])) - torch.tensor(left)[:, None]
        rolled, shifted = (torch.stack([r.roll(n) for r, n in zip(x, left, strict=True)]) for x in (ids, target))
        on_the_left = parts.loss(lm, rolled, shifted, attention_mask=places >= 0, position_ids=places.clamp(min=0))
    for found, n in (packed, padded, joined, on_the_left):
        assert n == count
        assert float(found) == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("train", ["all", "embeddings", "lora"])
def test_the_gradient_reaches_the_new_rows(tied: bool, train: Any) -> None:
    lm = extend(options={"tie_word_embeddings": tied}, init="zero", train=train)
    e = lm.encode(ASR, values())
    parts.loss(lm, e.ids[None], e.target[None])[0].backward()
    embedding, output = lm.model.get_input_embeddings().weight, lm.model.get_output_embeddings().weight
    assert (embedding is output) == tied
    read = lm.vocabulary.span("speech/0")[:6]
    assert (embedding.grad[read].abs().sum(1) > 0).all()
    assert output.grad[lm.vocabulary.control(Control.END_SEGMENT)].abs().sum() > 0


@pytest.mark.parametrize("family, options", [FAMILIES[0], FAMILIES[1], ("phi", {})])
@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_training_only_embeddings_leaves_other_parameters_unchanged(
    family: str, options: dict[str, Any], optimizer: str
) -> None:
    lm = extend(family, options, train="embeddings")
    before = {name: p.clone() for name, p in lm.model.named_parameters()}
    kind: Any = torch.optim.AdamW if optimizer == "adamw" else torch.optim.Adafactor
    steps = kind(lm.parameter_groups(weight_decay=0.1), lr=0.1)
    e = lm.encode(ASR, values())
    for _ in range(2):
        steps.zero_grad()
        parts.loss(lm, e.ids[None], e.target[None])[0].backward()
        steps.step()
    tables = {id(p) for p in row_parameters(lm.model)}
    for name, p in lm.model.named_parameters():
        kept = p[:300] if id(p) in tables else p
        assert torch.equal(kept, before[name][: len(kept)]), name
        assert id(p) not in tables or not torch.equal(p[300:], before[name][300:]), name


def test_parameter_groups_hold_each_trained_parameter_once() -> None:
    lm = extend("phi", train="all")
    groups = lm.parameter_groups(0.1)
    assert [g["weight_decay"] for g in groups] == [0.1, 0.0]
    assert sorted(id(p) for g in groups for p in g["params"]) == sorted(id(p) for p in lm.model.parameters())
    assert all(p.ndim < 2 for p in groups[1]["params"])


@pytest.mark.parametrize("tied", [True, False])
def test_initial_values_of_new_rows(tied: bool) -> None:
    options = {"tie_word_embeddings": tied}
    text = tiny_backbone(**options).model.get_input_embeddings().weight.detach()
    models = [extend(options=options, init=init).model for init in ("zero", "mean", "normal")]
    zero, mean, normal = ([table[300:].detach() for table in row_parameters(model)] for model in models)
    assert all(not rows.any() for rows in zero)
    torch.testing.assert_close(mean[0], text.mean(0).expand(25, -1))
    assert float(normal[0].std()) == pytest.approx(float(text.std()), rel=0.1)
    assert len(zero) == (1 if tied else 2)


def test_the_seed_decides_and_the_global_state_is_left_alone() -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    a, b, c = (row_parameters(extend(seed=s, train="lora").model)[0] for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_sequence_equals_one_written_by_hand() -> None:
    lm = extend()
    v, c = lm.vocabulary, lm.vocabulary.control
    tag, text = lm.text_tokenizer.encode("[ASR S2ST French English]"), lm.text_tokenizer.encode("un deux")
    audio = [c(Control.BEGIN_AUDIO), *(v.span("speech/0")[i] for i in range(3)), c(Control.END_AUDIO)]
    prompt = [*tag, c(Control.END_SEGMENT), *audio]
    answer = [*text, c(Control.END_SEGMENT), *audio, c(Control.END_SEQUENCE)]
    e = lm.encode(BOTH, values(3))
    assert e.ids.tolist() == prompt + answer
    assert e.ids.dtype == torch.int64
    assert e.target.tolist() == [False] * len(prompt) + [True] * len(answer)
    assert e.prompt_length == len(prompt)
    assert lm.prompt(BOTH, {k: x for k, x in values(3).items() if not k.startswith("target.a")}).ids.tolist() == prompt


@pytest.mark.parametrize("text", ["<s>", "</s> <pad>", "<|end_segment|>", "<|speech/0:3|> <|begin_audio|>", "é☃ [ASR]"])
def test_user_text_never_becomes_a_control(text: str) -> None:
    lm = extend()
    ids = lm.text_tokenizer.encode(text)
    assert ids
    assert all(3 <= i < lm.vocabulary.text_size for i in ids)  # 0 to 2 are <pad>, <s> and </s>
    assert lm.text_tokenizer.decode(ids) == text
    assert lm.text_tokenizer.decode([0, 1, *ids, 2, 299]) == text


def test_an_lm_reads_one_role_and_writes_another() -> None:
    roles = {"speech": STREAMS, "codec": CODEC}
    lm = SpeechLM.extend(tiny_backbone(), roles, reads="speech", writes="codec", pattern=parts.pattern("delay"))
    written = Codes((torch.arange(4), torch.arange(4)))
    e = lm.encode(S2ST, values(3), {**values(3), "target.audio": written})
    body = e.ids[e.prompt_length + 1 : -2].tolist()
    assert lm.writes.decode(body).streams[1].tolist() == [0, 1, 2, 3]
    with pytest.raises(InvalidCodes, match=r"expected 2 stream\(s\), got 1"):
        lm.encode(S2ST, values(3))


@pytest.mark.parametrize(
    "how, error, message",
    [
        ({"reads": "codec"}, InvalidConfig, "unknown role \\['codec'\\], expected one of \\['speech'\\]"),
        ({"writes": "codec"}, IncompatibleParts, "2 streams need a pattern"),
    ],
)
def test_wrong_choices_are_named_before_the_model_is_changed(how: Any, error: Any, message: str) -> None:
    backbone = tiny_backbone()
    with pytest.raises(error, match=message):
        SpeechLM.extend(backbone, {"speech": STREAMS, **({"codec": CODEC} if "writes" in how else {})}, **how)
    assert len(backbone.model.get_input_embeddings().weight) == 300


def test_an_unsupported_head_is_rejected() -> None:
    backbone = tiny_backbone()
    forward = backbone.model.forward

    def odd(**inputs: Any) -> Any:
        output = forward(**inputs)
        output.logits = output.logits**3
        return output

    backbone.model.forward = odd
    with pytest.raises(IncompatibleParts, match="'llama' is not supported"):
        SpeechLM.extend(backbone, {"speech": STREAMS})


@every_family
def test_save_and_load_are_bit_equal(family: str, options: dict[str, Any], tmp_path: Path) -> None:
    lm = extend(family, options)
    lm.save(tmp_path)
    again = SpeechLM.load(tmp_path, parts.REGISTRY)
    ids = lm.encode(BOTH, values()).ids[None]
    with torch.no_grad():
        assert torch.equal(again.model(input_ids=ids).logits, lm.model(input_ids=ids).logits)
    assert (again.vocabulary, again.reads, again.writes) == (lm.vocabulary, lm.reads, lm.writes)
    assert again.text_tokenizer.files == lm.text_tokenizer.files
    again.save(tmp_path / "again")
    for name in ("vocabulary.json", "model.safetensors", "tokenizer.json", "text_tokenizer/tokenizer.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_save_and_load_keep_bfloat16(tmp_path: Path) -> None:
    lm = extend(options={"dtype": torch.bfloat16}, init="mean")
    lm.save(tmp_path)
    again = SpeechLM.load(tmp_path, parts.REGISTRY)
    assert again.model.dtype == torch.bfloat16
    with torch.no_grad():
        assert torch.equal(again.model(input_ids=TEXT).logits, lm.model(input_ids=TEXT).logits)


def test_adapters_change_nothing_at_first_and_are_merged_when_saved(tmp_path: Path) -> None:
    plain, lm = extend(), extend(train="lora")
    e = lm.encode(BOTH, values())
    with torch.no_grad():
        assert torch.equal(plain.model(input_ids=TEXT).logits, lm.model(input_ids=TEXT).logits)
    steps = torch.optim.AdamW(lm.parameter_groups(0.1), lr=0.05)
    for _ in range(3):
        steps.zero_grad()
        parts.loss(lm, e.ids[None], e.target[None])[0].backward()
        steps.step()
    lm.save(tmp_path)
    again = SpeechLM.load(tmp_path, parts.REGISTRY)
    assert not any("lora" in name for name, _ in again.model.named_parameters())
    with torch.no_grad():
        found, expected = (x.model(input_ids=e.ids[None]).logits for x in (again, lm))
        assert not torch.allclose(plain.model(input_ids=e.ids[None]).logits, expected, atol=1e-2)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    trained = {n for n, p in lm.model.named_parameters() if p.requires_grad}
    assert all("lora_" in n or "embed" in n or "head" in n for n in trained)
    assert any("lora_" in n for n in trained)


def test_lora_without_peft_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingDependency, match=r"pip install 'areca\[lora\]'"):
        extend(train="lora")


def test_another_text_tokenizer_is_refused_and_both_are_named(tmp_path: Path) -> None:
    lm = extend()
    lm.save(tmp_path)
    path = tmp_path / "text_tokenizer" / "tokenizer_config.json"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(InvalidArtifact, match=lm.text_tokenizer.hash) as caught:
        SpeechLM.load(tmp_path, parts.REGISTRY)
    from areca.lm.text import TextTokenizer

    assert TextTokenizer.read(tmp_path / "text_tokenizer").hash in str(caught.value)


def _hashed(layout: dict[str, Any]) -> str:
    layout = {k: v for k, v in layout.items() if k != "hash"}
    return json.dumps({**layout, "hash": key_of(layout)})


def test_an_incomplete_directory_is_rejected(tmp_path: Path) -> None:
    lm = extend()
    lm.save(tmp_path)
    layout = json.loads((tmp_path / "vocabulary.json").read_text())
    (tmp_path / "vocabulary.json").write_text(_hashed({k: v for k, v in layout.items() if k != "writes"}))
    with pytest.raises(InvalidArtifact, match="expected layouts, reads, writes and depth"):
        SpeechLM.load(tmp_path, parts.REGISTRY)
    longer = lm.vocabulary.extend("codec", STREAMS).to_json()
    (tmp_path / "vocabulary.json").write_text(_hashed(layout | longer))
    with pytest.raises(InvalidArtifact, match="345 ids, but the model 325 rows"):
        SpeechLM.load(tmp_path, parts.REGISTRY)
    (tmp_path / "vocabulary.json").unlink()
    with pytest.raises(InvalidArtifact, match=r"vocabulary\.json"):
        SpeechLM.load(tmp_path, parts.REGISTRY)


_STRANGER = """
import sys
class NoAreca:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0].startswith("areca"):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, NoAreca())
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
directory, text = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(directory)
model = AutoModelForCausalLM.from_pretrained(directory)
assert len(tokenizer) == model.get_input_embeddings().weight.shape[0], len(tokenizer)
ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
with torch.no_grad():
    torch.save({"ids": ids, "logits": model(input_ids=ids).logits}, directory + "/out.pt")
ends = model.generation_config.eos_token_id, tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|end_sequence|>")
assert len(set(ends)) == 1, ends
"""


def test_the_page_computes_a_loss(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "language-model.md").read_text(encoding="utf-8")
    [code] = re.findall(r"\*\*In your own program\.\*\*.*?```python\n(.*?)```", page, flags=re.DOTALL)
    backbone = tiny_backbone()
    backbone.model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    names: dict[str, Any] = {"name": str(tmp_path), "codes": Codes((torch.arange(9),))}
    exec(code, names)  # the page's own code
    lm, example = names["lm"], names["example"]
    mean = full_loss(lm, example).item() / int(example.target.sum())
    assert names["loss"].item() == pytest.approx(mean, rel=1e-5)
    assert lm.model.get_input_embeddings().weight.grad is not None


def test_the_directory_loads_in_a_process_without_areca(tmp_path: Path) -> None:
    lm = extend(options={"tie_word_embeddings": True})
    lm.save(tmp_path)
    audio = "".join(f"<|speech/0:{i}|>" for i in range(6))
    text = f"[ASR French]<|end_segment|><|begin_audio|>{audio}<|end_audio|>"
    run = subprocess.run([sys.executable, "-c", _STRANGER, str(tmp_path), text], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    out = torch.load(tmp_path / "out.pt", weights_only=True)
    assert out["ids"][0].tolist() == lm.prompt(ASR, values()).ids.tolist()
    with torch.no_grad():
        assert torch.equal(out["logits"], lm.model(input_ids=out["ids"]).logits)


def test_saving_refuses_an_lm_that_was_extended_twice(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    lm = extend()
    lm.save(tmp_path / "a")
    twice = Backbone(lm.model, AutoTokenizer.from_pretrained(tmp_path / "a"))
    with pytest.raises(IncompatibleParts, match=r"already has a token '<\|pad\|>'"):
        SpeechLM.extend(twice, {"speech": STREAMS}).save(tmp_path / "b")
