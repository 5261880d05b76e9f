"""LMs that read vectors: losses, gradients, batches, generation and files, against plain references."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import parts
from torch import Tensor
from transformers import AutoModelForCausalLM

from areca.errors import InvalidArtifact, InvalidCodes, InvalidConfig
from areca.generation.generate import generate
from areca.generation.stepping import Stepper
from areca.lm.model import SpeechLM
from areca.lm.steps import NO_ID, Steps
from areca.lm.vocabulary import Control
from areca.manifest import FileManifest, Utterance
from areca.options import key_of
from areca.run.options import Limits
from areca.specs import Stream
from areca.tasks import Field, Task
from areca.testing.tiny import tiny_backbone
from areca.training.examples import Examples, collate, write_examples
from areca.training.task_rows import TaskRows
from areca.types import Codes

SIZE = 3
ASR = Task("ASR", (Field("source.audio"),), (Field("source.text"),))
MT = Task("MT", (Field("source.text"),), (Field("target.text"),), ("source", "target"))
S2ST = Task("S2ST", (Field("source.audio"),), (Field("target.audio"),))
FAMILIES = ("llama", "qwen3", "gemma", "gpt_neox", "cohere")  # PaLM has the block of Cohere
LINEAR, MLP = {"name": "linear", "stride": 1}, {"name": "mlp", "stride": 2}


def extend(adapter: dict[str, Any] = MLP, family: str = "llama", **options: Any) -> SpeechLM:
    streams = {"speech": tuple(Stream(f"q-{k}", 4, 25.0) for k in range(2))}
    settings: dict[str, Any] = {"init": "normal", "seed": 1, "pattern": parts.pattern("parallel")} | options
    lm = SpeechLM.extend(
        tiny_backbone(family), streams, read_as="features", adapter=adapter, feature_size=SIZE, **settings
    )
    return lm.eval()


def features(frames: int) -> Tensor:
    return torch.randn(frames, SIZE, generator=torch.Generator().manual_seed(frames))


def values(frames: int = 5) -> dict[str, str | Codes | Tensor]:
    return {"source.audio": features(frames), "source.text": "un deux", "source.language": "fr"}


def embed_by_hand(lm: SpeechLM, text: str, vectors: Tensor, stride: int, answer: list[list[int]]) -> Tensor:
    """Return the inputs of a sequence, ``[S, H]``, one step at a time."""
    table, control, rows = lm.model.get_input_embeddings(), lm.vocabulary.control, []
    for i in [*lm.text_tokenizer.encode(text), control(Control.END_SEGMENT), control(Control.BEGIN_AUDIO)]:
        rows.append(table(torch.tensor(i)))
    for start in range(0, len(vectors), stride):
        joined = torch.zeros(stride * SIZE)
        piece = vectors[start : start + stride].flatten()
        joined[: len(piece)] = piece
        assert lm.adapter is not None
        x = joined
        for layer in lm.adapter.layers:
            x = layer(x)
        rows.append(x)
    for step in [[control(Control.END_AUDIO)], *answer]:
        rows.append(sum(table(torch.tensor(i)) for i in step))
    return torch.stack(rows)


@pytest.mark.parametrize("adapter", [LINEAR, MLP])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_equals_a_plain_reference(adapter: dict[str, Any], family: str) -> None:
    lm = extend(adapter, family)
    example = lm.encode(ASR, values())
    end = [lm.vocabulary.control(c) for c in (Control.END_SEGMENT, Control.END_SEQUENCE)]
    answer = [*lm.text_tokenizer.encode("un deux"), *end]
    inputs = embed_by_hand(lm, "[ASR French]", features(5), adapter["stride"], [[i] for i in answer])
    assert len(example.steps) == len(inputs) and len(example.steps) - example.prompt_length == len(answer)
    hidden = lm.model.base_model(inputs_embeds=inputs[None], use_cache=False).last_hidden_state[0]
    logits = lm.head.logits(hidden[-len(answer) - 1 : -1])
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="sum")
    batch = batch_of(lm, [example.steps], [example.prompt_length])
    torch.testing.assert_close(lm(batch).sum, expected)
    assert lm.count_targets(batch) == len(answer)


def batch_of(lm: SpeechLM, steps: list[Steps], prompts: list[int]) -> dict[str, Tensor]:
    """Return a batch of sequences of one length."""
    ids = torch.stack([x.grid(lm.slots) for x in steps])
    vectors = torch.stack([x.vectors for x in steps if x.vectors is not None])
    target = torch.stack([torch.arange(len(x)) >= n for x, n in zip(steps, prompts, strict=True)])
    return {"ids": ids, "target": target, "vectors": vectors, "vector_at": (ids == NO_ID).all(-1)}


@pytest.mark.parametrize("train", ["all", "embeddings", "lora"])
@pytest.mark.parametrize("adapter", [LINEAR, MLP])
def test_gradients_reach_every_weight_of_the_adapter(train: Any, adapter: dict[str, Any]) -> None:
    if train == "lora":
        pytest.importorskip("peft")
    lm = extend(adapter, train=train, init="zero")
    torch.nn.init.normal_(lm.model.get_output_embeddings().weight)  # zero rows give no gradient at the first step
    example = lm.encode(ASR, values())
    lm(batch_of(lm, [example.steps], [example.prompt_length])).sum.backward()
    assert lm.adapter is not None
    parameters = dict(lm.adapter.named_parameters())
    assert len(parameters) == (2 if adapter is LINEAR else 4)
    assert [name for name, p in parameters.items() if p.grad is None or not p.grad.abs().sum() > 0] == []
    grouped = {id(p) for group in lm.parameter_groups(0.1) for p in group["params"]}
    assert {id(p) for p in parameters.values()} <= grouped


def write(lm: SpeechLM, path: Path) -> Examples:
    rows = [
        Utterance(id=str(n), audio=f"{n}.wav", text="un", language="fr", target_text="one", target_language="en")
        for n in (1, 4, 5, 8)
    ]
    table = {row.id: features(int(row.id)) for row in rows}
    tasks = [TaskRows("asr", ASR, 1.0, {}, vectors={"audio": table}), TaskRows("mt", MT, 1.0, {})]
    write_examples(path, lm, FileManifest(tuple(rows), path.parent), tasks, longest=100)
    return Examples(path, 2, lm.layout.vectors, tasks)


def test_batches_read_the_vectors_from_the_tables(tmp_path: Path) -> None:
    lm = extend()
    examples = write(lm, tmp_path / "x.arrow")
    rows = [torch.tensor([i]).numpy() for i in range(8)]
    alone = [lm(collate(examples, [row], 0, lm.slots)) for row in rows]
    together = collate(examples, rows, 0, lm.slots)
    assert together["vectors"].shape == (8, 4, 2 * SIZE)
    assert together["vector_at"].sum(1).tolist() == [1, 2, 3, 4, 0, 0, 0, 0]
    torch.testing.assert_close(lm(together).nats, torch.cat([losses.nats for losses in alone]))
    some = [{name: x[start : start + 3] for name, x in together.items()} for start in (0, 3, 6)]
    torch.testing.assert_close(sum(lm(part).sum for part in some), lm(together).sum)
    packed = collate(examples, [torch.tensor([2, 5, 0]).numpy(), torch.tensor([7, 3]).numpy()], 0, lm.slots)
    expected = [alone[i].nats for i in (2, 5, 0, 7, 3)]
    torch.testing.assert_close(lm(packed).nats, torch.cat(expected))
    lm.join_rows = True
    torch.testing.assert_close(lm(packed).nats, torch.cat(expected))
    assert (tmp_path / "x.arrow").stat().st_size < 8_000, "vectors are not copied"


def test_a_batch_of_text_gives_the_adapter_gradients_of_zero(tmp_path: Path) -> None:
    lm = extend()
    text = collate(write(lm, tmp_path / "x.arrow"), [torch.tensor([6]).numpy()], 0, lm.slots)
    lm(text).sum.backward()
    assert lm.adapter is not None
    assert [bool((p.grad == 0).all()) for p in lm.adapter.parameters() if p.grad is not None] == [True] * 4


def test_a_prompt_in_another_order_is_refused(tmp_path: Path) -> None:
    class Backwards(Task):
        def prompt(self, values: Any) -> Any:
            return super().prompt({**values, "source.audio": values["source.audio"].flip(0)})

    lm = extend()
    task = TaskRows("x", Backwards("X", ASR.inputs, ASR.outputs), 1.0, {}, vectors={"audio": {"1": features(4)}})
    rows = FileManifest((Utterance(id="1", audio="1.wav", text="un", language="fr"),), tmp_path)
    with pytest.raises(InvalidCodes, match="task x, row '1': expected a prompt with the vectors of its inputs"):
        write_examples(tmp_path / "x.arrow", lm, rows, [task], longest=100)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_a_batch_of_prompts_is_answered_as_one_by_one(family: str, method: str) -> None:
    lm = extend(family=family, pattern=parts.pattern("flatten"))
    prompts = [lm.prompt(S2ST, values(frames)) for frames in (9, 1, 4, 12)]
    found = parts.method(method, **({"beams": 3} if method == "beam" else {}))
    limits = Limits(max_text_ids=6, max_audio_frames=5)
    for fields in ([Field("source.text")], [Field("target.audio"), Field("source.text")]):
        together = generate(lm, prompts, fields, found, limits)
        alone = [generate(lm, [prompt], fields, found, limits)[0] for prompt in prompts]
        assert [answer.ids for answer in together] == [answer.ids for answer in alone]
    with torch.inference_mode():
        states = Stepper(lm, prompts).hidden
        torch.testing.assert_close(states, torch.cat([Stepper(lm, [prompt]).hidden for prompt in prompts]))
        other = Stepper(lm, [lm.prompt(S2ST, {**values(), "source.audio": -features(n)}) for n in (9, 1, 4, 12)]).hidden
    assert bool(((states - other).abs().amax(1) > 1e-4).all()), "the states depend on the vectors"


def test_an_answer_with_the_cache_is_that_of_full_passes() -> None:
    lm = extend(LINEAR)
    prompt = lm.prompt(ASR, values(7))
    [answer] = generate(lm, [prompt], [Field("source.text")], parts.method(), Limits(max_text_ids=5))
    for number, i in enumerate(answer.ids[:5]):
        so_far = Steps.join([prompt, Steps.of(list(answer.ids[:number]))]) if number else prompt
        ids, vectors = so_far.grid(lm.slots)[None], so_far.vectors
        assert vectors is not None
        hidden = lm.run(ids, vectors[None], (ids == NO_ID).all(-1), use_cache=False).last_hidden_state[0, -1]
        logits = lm.head.logits(hidden).detach()
        allowed = [*range(lm.vocabulary.text_size), lm.vocabulary.control(Control.END_SEGMENT)]
        assert max(allowed, key=lambda k: float(logits[k])) == i


def test_a_saved_lm_is_bit_equal_and_its_directory_is_that_of_the_library(tmp_path: Path) -> None:
    lm = extend()
    lm.save(tmp_path)
    again = SpeechLM.load(tmp_path, parts.REGISTRY)
    assert again.layout == lm.layout and again.vector_width == 2 * SIZE
    mine, read = lm.state_dict(), again.state_dict()
    assert mine.keys() == read.keys() and all(torch.equal(mine[name], read[name]) for name in mine)
    example = lm.encode(ASR, values())
    batch = batch_of(lm, [example.steps], [example.prompt_length])
    assert torch.equal(again.eval()(batch).nats, lm(batch).nats)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    inputs = torch.randn(1, 6, plain.config.hidden_size, generator=torch.Generator().manual_seed(0))
    assert torch.equal(plain(inputs_embeds=inputs).logits, lm.model(inputs_embeds=inputs).logits)


def test_the_adapter_stays_in_float32(tmp_path: Path) -> None:
    lm = extend()
    lm.model.to(torch.bfloat16)
    lm.save(tmp_path)
    again = SpeechLM.load(tmp_path, parts.REGISTRY)
    assert again.model.dtype == torch.bfloat16 and again.adapter is not None
    assert {p.dtype for p in again.adapter.parameters()} == {torch.float32}
    prompts = [again.prompt(ASR, values())]
    assert generate(again, prompts, [Field("source.text")], parts.method(), Limits(max_text_ids=3))[0].ids


def change(path: Path, **changes: Any) -> None:
    layout = json.loads(path.read_text()) | changes
    layout.pop("hash")
    path.write_text(json.dumps({**layout, "hash": key_of(layout)}))


@pytest.mark.parametrize(
    ("read_as", "message"),
    [
        ({"speech": {"size": 4, "adapter": MLP}}, "layers.0.weight has shape"),
        ({"speech": {"size": SIZE, "adapter": MLP | {"stride": 3}}}, "layers.0.weight has shape"),
        ({"speech": {"size": SIZE, "adapter": MLP | {"name": "linear"}}}, "which the network lacks"),
        ({"speech": {"size": SIZE, "adapter": MLP | {"name": "conv"}}}, "'name' is 'conv', expected Literal"),
        ({"speech": {"size": "3", "adapter": MLP}}, "size is '3', expected a whole number"),
        ({"speech": {"size": 0, "adapter": MLP}}, "size must be at least 1"),
        ({"other": {"size": SIZE, "adapter": MLP}}, "reads vectors of"),
        ([1], "expected layouts, reads, writes and depth"),
    ],
)
def test_an_adapter_that_does_not_match_the_layout_is_refused(read_as: Any, message: str, tmp_path: Path) -> None:
    extend().save(tmp_path)
    path = tmp_path / "vocabulary.json"
    stored = json.loads(path.read_text())
    assert stored["read_as"] == {"speech": {"size": SIZE, "adapter": MLP}}
    path.write_text(json.dumps(stored | {"read_as": read_as}))
    with pytest.raises(InvalidArtifact, match="stored hash"):
        SpeechLM.load(tmp_path, parts.REGISTRY)
    change(path, read_as=read_as)
    with pytest.raises(InvalidArtifact, match=message):
        SpeechLM.load(tmp_path, parts.REGISTRY)


def test_a_missing_adapter_is_refused(tmp_path: Path) -> None:
    extend().save(tmp_path)
    (tmp_path / "adapter" / "model.safetensors").unlink()
    with pytest.raises(InvalidArtifact, match=r"adapter/model\.safetensors"):
        SpeechLM.load(tmp_path, parts.REGISTRY)


def test_values_that_the_lm_does_not_read_are_refused() -> None:
    lm, codes = extend(), Codes((torch.tensor([0]), torch.tensor([1])))
    with pytest.raises(InvalidCodes, match=r"expected vectors in the prompt, .*, got codes"):
        lm.prompt(ASR, values() | {"source.audio": codes})
    with pytest.raises(InvalidCodes, match=r"expected vectors, float32 \[F, 3\], got vectors of the shape \[5, 4\]"):
        lm.prompt(ASR, values() | {"source.audio": torch.zeros(5, 4)})
    with pytest.raises(InvalidCodes, match="expected codes in the answer, got vectors"):
        lm.encode(S2ST, values() | {"target.audio": features(4)})
    units = SpeechLM.extend(tiny_backbone(), {"speech": (Stream("unit", 4, 25.0),)})
    with pytest.raises(InvalidCodes, match=r"expected codes, got vectors of the shape \[5, 3\]"):
        units.prompt(ASR, values())
    with pytest.raises(InvalidConfig, match="give feature_size"):
        SpeechLM.extend(tiny_backbone(), {"speech": (Stream("unit", 4, 25.0),)}, read_as="features")
