"""Steps of several ids: round trip, embeddings, predictions and generation against plain references."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import parts
from torch import Tensor

from areca.errors import IncompatibleParts
from areca.generation.generate import Generated, generate
from areca.interfaces import Backbone
from areca.lm.model import SpeechLM
from areca.lm.steps import NO_ID, Steps
from areca.lm.vocabulary import Control
from areca.run.options import Limits
from areca.specs import Stream
from areca.tasks import AudioSegment, Field, Task
from areca.testing.tiny import tiny_backbone
from areca.types import Codes

COUNT, FRAMES = 3, 5
STREAMS = tuple(Stream(f"q-{k}", 4 + k, 25.0) for k in range(COUNT))
TTS = Task("TTS", (Field("source.text"),), (Field("source.audio"),))
S2ST = Task("S2ST", (Field("source.audio"),), (Field("target.audio"), Field("target.text")), ("source",))
DEPTH = {"layers": 2, "width": 16, "heads": 2}
PATTERNS = ("parallel", "parallel-delay")
HEADS = ("tied", "depth")
FAMILIES = ("llama", "qwen3", "gemma", "gpt_neox", "cohere")  # PaLM has the block of Cohere
combinations = pytest.mark.parametrize("pattern, heads", list(itertools.product(PATTERNS, HEADS)))


def extend(pattern: str = "parallel-delay", heads: Any = "tied", family: str = "llama", **options: Any) -> SpeechLM:
    settings = {"init": "normal", "seed": 1} | options
    lm = SpeechLM.extend(
        tiny_backbone(family), {"speech": STREAMS}, pattern=parts.pattern(pattern), heads=heads, depth=DEPTH, **settings
    )
    return lm.eval()


def codes(frames: int = FRAMES) -> Codes:
    generator = torch.Generator().manual_seed(frames)
    return Codes(tuple(torch.randint(s.size, (frames,), generator=generator) for s in STREAMS))


def values(frames: int = FRAMES) -> dict[str, str | Codes]:
    return {
        "source.text": "un", "target.text": "one", "source.language": "fr", "source.audio": codes(frames),
        "target.audio": codes(frames + 1),
    }  # fmt: skip


def rows_by_hand(lm: SpeechLM, pattern: str, of: Codes) -> list[list[int]]:
    """Return the ids of each step, written apart from the patterns: stream k is k steps late in a delay."""
    delay = 1 if pattern == "parallel-delay" else 0
    frames = len(of.streams[0])
    spans = [lm.vocabulary.span(f"speech/{k}") for k in range(COUNT)]
    steps = []
    for step in range(frames + delay * (COUNT - 1)):
        row = [NO_ID] * COUNT
        for k in range(COUNT):
            if 0 <= step - delay * k < frames:
                row[k] = spans[k].start + int(of.streams[k][step - delay * k])
        steps.append(row)
    return steps


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_codes_become_steps_and_come_back(pattern: str, frames: int) -> None:
    lm = extend(pattern)
    steps = lm.writes.steps(codes(frames))
    assert steps.grid(COUNT).tolist() == rows_by_hand(lm, pattern, codes(frames))
    back = lm.writes.decode(steps.ids.tolist())
    assert all(torch.equal(a, b) for a, b in zip(back.streams, codes(frames).streams, strict=True))
    assert lm.writes.frames_within(len(steps)) == frames


def reference_losses(lm: SpeechLM, pattern: str, of: Codes, prompt: Steps) -> tuple[float, int]:
    """Return the sum and the number of the losses of a TTS answer, one prediction at a time."""
    c, v = lm.vocabulary.control, lm.vocabulary
    table = lm.model.get_input_embeddings()
    answer = [
        [c(Control.BEGIN_AUDIO)],
        *rows_by_hand(lm, pattern, of),
        [c(Control.END_AUDIO)],
        [c(Control.END_SEQUENCE)],
    ]
    answer = [row + [NO_ID] * (COUNT - len(row)) for row in answer]
    vectors = [table(i)[None] for i in prompt.ids]
    total, count, frames = 0.0, 0, len(of.streams[0])
    for number, row in enumerate(answer):
        state = lm.model.base_model(inputs_embeds=torch.cat(vectors)[None], use_cache=False).last_hidden_state[0, -1]
        if row[0] != NO_ID and not (pattern == "parallel-delay" and row[0] == c(Control.END_AUDIO)):
            total, count = total + cross_entropy(lm.head.logits(state), row[0]), count + 1
        elif number == frames + 1:  # behind the last code of the first stream
            total, count = total + cross_entropy(lm.head.logits(state), c(Control.END_AUDIO)), count + 1
        for k in range(1, COUNT):
            if row[k] != NO_ID:
                span = v.span(f"speech/{k}")
                own = state
                if lm.depth is not None:
                    before = torch.stack([table(torch.tensor(i)) if i != NO_ID else 0 * state for i in row[:k]])
                    own = lm.depth(state[None], before[None])[0, -1]
                total, count = total + cross_entropy(lm.head.logits(own, span), row[k] - span.start), count + 1
        vectors.append(sum(table(torch.tensor(i)) for i in row if i != NO_ID)[None])  # type: ignore[index, union-attr]
    return total, count


def cross_entropy(logits: Tensor, target: int) -> float:
    return -float(logits.log_softmax(-1)[target])


@combinations
@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_equals_predictions_one_at_a_time(pattern: str, heads: str, family: str) -> None:
    lm = extend(pattern, heads, family)
    example = lm.encode(TTS, values())
    with torch.no_grad():
        losses = lm({"ids": example.steps.grid(COUNT)[None], "target": example.target[None]})
        total, count = reference_losses(lm, pattern, codes(), lm.prompt(TTS, values()))
    assert (float(losses.sum), len(losses.nats)) == (pytest.approx(total, rel=1e-4), count)
    batch = {"ids": example.steps.grid(COUNT)[None], "target": example.target[None]}
    assert lm.count_targets(batch) == count


@combinations
def test_packed_and_padded_give_the_loss_of_each_alone(pattern: str, heads: str) -> None:
    lm = extend(pattern, heads)
    examples = [lm.encode(S2ST, values(n)) for n in (2, 6, 3)]
    grids, targets = [e.steps.grid(COUNT) for e in examples], [e.target for e in examples]
    with torch.no_grad():
        alone = sum(parts.loss(lm, g[None], t[None])[0] for g, t in zip(grids, targets, strict=True))
        positions = torch.cat([torch.arange(len(g)) for g in grids])[None]
        packed, _ = parts.loss(lm, torch.cat(grids)[None], torch.cat(targets)[None], position_ids=positions)
        pad = torch.nn.utils.rnn.pad_sequence
        padded, _ = parts.loss(lm, pad(grids, batch_first=True, padding_value=0), pad(targets, batch_first=True))
        lm.join_rows = True
        joined, _ = parts.loss(lm, pad(grids, batch_first=True, padding_value=0), pad(targets, batch_first=True))
    assert float(packed) == pytest.approx(float(alone), rel=1e-5)
    assert float(padded) == pytest.approx(float(alone), rel=1e-5)
    assert float(joined) == pytest.approx(float(alone), rel=1e-5)


@combinations
@pytest.mark.parametrize("train", ["all", "embeddings", "lora"])
def test_gradients_reach_every_new_row_and_the_depth_transformer(pattern: str, heads: str, train: Any) -> None:
    lm = extend(pattern, heads, train=train)
    frames = torch.arange(12)
    every = Codes(tuple(frames % s.size for s in STREAMS))
    example = lm.encode(S2ST, values() | {"target.audio": every})
    parts.loss(lm, example.steps.grid(COUNT)[None], example.target[None])[0].backward()
    table = lm.model.get_input_embeddings().weight
    audio = slice(lm.vocabulary.span("speech/0").start, lm.vocabulary.size)
    assert (table.grad[audio].abs().sum(1) > 0).all()
    if train != "all":
        assert not table.grad[: lm.vocabulary.text_size].any()
    if lm.depth is not None:
        assert all(p.grad is not None and p.grad.any() for p in lm.depth.parameters())


def by_hand(lm: SpeechLM, prompt: Steps, most: int) -> list[int]:
    """Answer greedily from full passes, by rules written here: a step at a time, its ids in the order of the slots."""
    c, v = lm.vocabulary.control, lm.vocabulary
    assert lm.writes.pattern is not None
    delay = 1 if "delay" in lm.writes.pattern.component else 0
    spans = [v.span(f"speech/{k}") for k in range(COUNT)]
    grid = [*prompt.grid(COUNT).tolist(), [c(Control.BEGIN_AUDIO), *[NO_ID] * (COUNT - 1)]]
    ids, step, ended = [c(Control.BEGIN_AUDIO)], 0, None
    while True:
        with torch.no_grad():
            state = lm.run(torch.tensor([grid]), use_cache=False).last_hidden_state[0, -1]
            row = [NO_ID] * COUNT
            if ended is None and step >= most:
                ended = step
            if ended is None:
                allowed = [*spans[0]] + ([c(Control.END_AUDIO)] if step else [])
                row[0] = allowed[int(lm.head.logits(state)[allowed].argmax())]
                if row[0] == c(Control.END_AUDIO):
                    ended, row[0] = step, NO_ID
            if ended is not None and step >= ended + delay * (COUNT - 1):
                return [*ids, c(Control.END_AUDIO), c(Control.END_SEQUENCE)]
            for k in range(1, COUNT):
                if step - delay * k >= 0 and (ended is None or step - delay * k < ended):
                    own = lm.slot_states(state[None], torch.tensor([row[:k]]))[0, -1]
                    row[k] = spans[k].start + int(lm.head.logits(own, spans[k]).argmax())
        ids += [i for i in row if i != NO_ID]
        grid.append(row)
        step += 1


@combinations
@pytest.mark.parametrize("family", FAMILIES)
def test_batched_cached_generation_equals_full_passes(pattern: str, heads: str, family: str) -> None:
    lm = extend(pattern, heads, family)
    with torch.no_grad():  # with such small weights every id would be as likely as any other
        lm.model.get_output_embeddings().weight.mul_(6)
    task = Task("S2S", (Field("source.audio"),), (Field("target.audio"),))
    prompts = [lm.prompt(task, values(n)) for n in (2, 7, 4)]
    found = generate(lm, prompts, [Field("target.audio")], parts.method(), Limits(max_audio_frames=6))
    assert [list(answer.ids) for answer in found] == [by_hand(lm, prompt, 6) for prompt in prompts]
    for answer in found:
        check(lm, answer)


def check(lm: SpeechLM, answer: Generated) -> None:
    [segment] = answer.segments
    assert isinstance(segment, AudioSegment)
    assert lm.writes.encode(segment.codes) == list(answer.ids[1:-2])
    assert answer.cut == (len(segment.codes.streams[0]) == 6,)


@combinations
def test_sampled_answers_obey_the_grammar(pattern: str, heads: str) -> None:
    lm = extend(pattern, heads)
    prompts = [lm.prompt(TTS, values())] * 100
    how = parts.method("sample", temperature=3.0)
    found = generate(lm, prompts, [Field("target.audio")], how, Limits(max_audio_frames=6))
    for answer in found:
        check(lm, answer)


@combinations
def test_a_saved_lm_is_loaded_bit_for_bit(pattern: str, heads: str, tmp_path: Path) -> None:
    lm = extend(pattern, heads)
    lm.save(tmp_path)
    again = SpeechLM.load(tmp_path, parts.REGISTRY).eval()
    example = lm.encode(TTS, values())
    batch = {"ids": example.steps.grid(COUNT)[None], "target": example.target[None]}
    assert again.layout == lm.layout
    assert torch.equal(again(batch).nats, lm(batch).nats)


def test_stream_weights_scale_the_loss_of_a_stream() -> None:
    plain, weighted = extend(), extend(stream_weights={"speech/1": 3.0})
    example = plain.encode(TTS, values())
    batch = {"ids": example.steps.grid(COUNT)[None], "target": example.target[None]}
    with torch.no_grad():
        losses, other = plain(batch), weighted(batch)
    assert torch.equal(losses.nats, other.nats)
    assert float(other.sum) == pytest.approx(float(losses.sum + 2 * losses.nats[losses.slots == 1].sum()))


def test_several_beams_are_refused() -> None:
    lm = extend()
    with pytest.raises(IncompatibleParts, match="only patterns with one code a step"):
        generate(lm, [lm.prompt(TTS, values())], [Field("target.audio")], parts.method("beam", beams=2))


def test_streams_of_unlike_rates_are_refused() -> None:
    unlike = (Stream("a", 4, 25.0), Stream("b", 4, 50.0))
    with pytest.raises(IncompatibleParts, match="streams of one rate"):
        SpeechLM.extend(tiny_backbone(), {"speech": unlike}, pattern=parts.pattern("parallel"))


def test_a_model_that_needs_ids_is_refused() -> None:
    backbone = tiny_backbone()
    model = backbone.model

    zeros = torch.zeros(1, 2, dtype=torch.int64)

    class NeedsIds(type(model)):  # type: ignore[misc]
        @property
        def base_model(self) -> Any:
            inner = super().base_model
            return lambda inputs_embeds=None, input_ids=None, **_: inner(
                input_ids=zeros if input_ids is None else input_ids
            )

    model.__class__ = NeedsIds
    with pytest.raises(IncompatibleParts, match="needs the ids themselves"):
        SpeechLM.extend(Backbone(model, backbone.tokenizer), {"speech": STREAMS}, pattern=parts.pattern("parallel"))
