"""Generation: grammar, batches, cache, and the decoding methods."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from tests import parts

from areca.errors import InvalidCodes, InvalidConfig
from areca.generation.answers import Cursor, Rules
from areca.generation.decoding import Growing, grow_begun, step_by_step
from areca.generation.generate import Generated, generate
from areca.lm.model import SpeechLM
from areca.lm.steps import Steps
from areca.lm.vocabulary import Control
from areca.run.options import Limits
from areca.specs import Stream
from areca.tasks import AudioSegment, Field, SegmentKind, Task, TextSegment, chain
from areca.testing.tiny import tiny_backbone
from areca.types import Codes

STREAMS = (Stream("units", 20, 25.0),)


def fields(*kinds: SegmentKind) -> tuple[Field, ...]:
    return tuple(Field(f"{side}.{kind}") for side, kind in zip(("source", "target"), kinds, strict=False))


ASR = Task("ASR", (Field("source.audio"),), (Field("source.text"),))
S2ST = Task("S2ST", (Field("source.audio"),), (Field("target.audio"),), ("source", "target"))
MIXED = chain([ASR, S2ST, Task("AST", (Field("source.audio"),), (Field("target.text"),), ("source", "target"))])
SHORT = Limits(max_text_ids=7, max_audio_frames=9)


def extend(
    family: str = "llama", streams: tuple[Stream, ...] = STREAMS, pattern: str | None = None, **options: Any
) -> SpeechLM:
    chosen = None if pattern is None else parts.pattern(pattern)
    lm = SpeechLM.extend(tiny_backbone(family, **options), {"speech": streams}, init="normal", pattern=chosen)
    with torch.no_grad():  # random weights say the same thing over and over: let them say more
        lm.model.get_output_embeddings().weight.mul_(8)
    return lm


def prompts(lm: SpeechLM, *frames: int, task: Task = MIXED) -> list[Steps]:
    sides = {"source.language": "fr", "target.language": "en"}
    audios = [Codes(((torch.arange(n) * 7) % 20,)) for n in frames]
    return [lm.prompt(task, {"source.audio": audio, **sides}) for audio in audios]


def check_rules(lm: SpeechLM, kinds: tuple[SegmentKind, ...], found: Generated, limits: Limits) -> None:
    """Read the ids with rules written apart from those that generation follows."""
    control, ids, v = lm.vocabulary.control, list(found.ids), lm.vocabulary
    for kind, segment, cut in zip(kinds, found.segments, found.cut, strict=True):
        if kind == "audio":
            assert ids.pop(0) == control(Control.BEGIN_AUDIO)
        end = control(Control.END_AUDIO if kind == "audio" else Control.END_SEGMENT)
        body = list(itertools.takewhile(lambda i, end=end: i != end, ids))  # type: ignore[misc]
        ids = ids[len(body) + 1 :]
        if kind == "audio":
            assert all(v.span("speech/0").start <= i < v.size for i in body)
            assert isinstance(segment, AudioSegment)
            assert lm.writes.encode(segment.codes) == body
            assert cut == (len(body) == limits.max_audio_frames * sum(lm.writes.per_frame))
        else:
            assert all(i < v.text_size for i in body)
            assert segment == TextSegment(lm.text_tokenizer.decode(body))
            assert cut == (len(body) == limits.max_text_ids)
    assert ids == [control(Control.END_SEQUENCE)]


@pytest.mark.parametrize("method", ["greedy", {"name": "sample", "temperature": 2.0}, "beam"])
@pytest.mark.parametrize("kinds", [*itertools.product(["text", "audio"], repeat=2), ("audio",), ("text",)])
def test_segments_come_in_order_hold_their_kind_and_end(method: Any, kinds: tuple[SegmentKind, ...]) -> None:
    lm = extend()
    how = parts.method(method) if isinstance(method, str) else parts.method(**method)
    limits = Limits(max_text_ids=5, max_audio_frames=6)
    for found in generate(lm, prompts(lm, 4, 9), fields(*kinds), how, limits):
        check_rules(lm, kinds, found, limits)


@pytest.mark.parametrize(
    "pattern, rates", [("flatten", (25.0, 50.0)), ("coarse-first", (25.0, 50.0)), ("delay", (50.0,) * 3)]
)
def test_patterns_of_several_streams_are_kept(pattern: str, rates: tuple[float, ...]) -> None:
    streams = tuple(Stream(f"s-{k}", 6, rate) for k, rate in enumerate(rates))
    lm = extend(streams=streams, pattern=pattern)
    task = Task("X", (), (Field("target.audio"),), ())
    for seed in range(8):
        how, limits = parts.method("sample", temperature=3.0), Limits(max_audio_frames=1 + seed)
        generator = torch.Generator().manual_seed(seed)
        (found,) = generate(lm, [lm.prompt(task, {})], task.outputs, how, limits, generator=generator)
        check_rules(lm, ("audio",), found, limits)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma", "gemma2", "cohere", "gpt_neox", "gpt2"])
def test_a_padded_batch_gives_the_answers_of_single_prompts(family: str) -> None:
    lm = extend(family, **({"sliding_window": 8} if family == "gemma2" else {}))
    given = prompts(lm, 3, 14, 8, 1)
    for method in ("greedy", "sample"):
        how, kinds = parts.method(method), MIXED.outputs
        together = generate(lm, given, kinds, how, SHORT, generator=torch.Generator().manual_seed(5))
        source = torch.Generator().manual_seed(5)
        alone = [generate(lm, [p], kinds, how, SHORT, generator=source)[0] for p in given]
        assert [x.ids for x in together] == [x.ids for x in alone]


@pytest.mark.parametrize("family, options", [("llama", {}), ("gemma2", {"sliding_window": 8}), ("gpt_neox", {})])
def test_cached_and_full_passes_agree(family: str, options: dict[str, Any]) -> None:
    """Choose greedily from the model's own logits over the whole sequence, by rules written here."""
    lm = extend(family, **options)
    (prompt,) = prompts(lm, 6, task=chain([ASR, S2ST]))
    c, v = lm.vocabulary.control, lm.vocabulary

    def likeliest(ids: list[int], allowed: list[int]) -> int:
        with torch.no_grad():
            logits = lm.model(input_ids=torch.tensor([ids])).logits[0, -1]
        return allowed[int(logits[allowed].argmax())]

    ids, body = prompt.ids.tolist(), list[int]()
    while not body or body[-1] != c(Control.END_SEGMENT):
        full = len(body) == SHORT.max_text_ids
        allowed = [c(Control.END_SEGMENT)] if full else [*range(v.text_size), c(Control.END_SEGMENT)]
        body.append(likeliest(ids + body, allowed))
    ids += [*body, c(Control.BEGIN_AUDIO)]
    body = []
    while not body or body[-1] != c(Control.END_AUDIO):
        allowed = [*v.span("speech/0")] if len(body) < SHORT.max_audio_frames else []
        body.append(likeliest(ids + body, allowed + [c(Control.END_AUDIO)] * bool(body)))
    (found,) = generate(lm, [prompt], fields("text", "audio"), parts.method(), SHORT)
    assert [*prompt.ids, *found.ids] == [*ids, *body, c(Control.END_SEQUENCE)]


@pytest.mark.parametrize("pattern", ["flatten", "delay"])
def test_a_begun_answer_goes_on_under_its_own_rules(pattern: str) -> None:
    lm = extend(streams=(Stream("a", 12, 25.0), Stream("b", 12, 25.0)), pattern=pattern)
    task = Task("TTS", (Field("source.text"),), (Field("source.audio"),), format="")
    asked = [lm.prompt(task, {"source.text": text}) for text in ("one", "two three four")]
    greedy = parts.method()
    frames = (9, 4)
    whole = [
        generate(lm, [prompt], task.outputs, greedy, frames={"source.audio": n})[0].ids
        for prompt, n in zip(asked, frames, strict=True)
    ]
    for given in (0, 1, 3):  # ids of the body, behind the beginning of audio
        begun = [Cursor(Rules.of(lm, task.outputs, Limits(), {"source.audio": n})) for n in frames]
        for cursor, ids in zip(begun, whole, strict=True):
            for i in ids[: given + 1]:
                cursor.push(i)
        growing = [Growing(cursor, torch.Generator()) for cursor in begun]
        with torch.inference_mode():
            *_, found = grow_begun(growing, asked, greedy.pick)
        assert [tuple(cursor.ids) for cursor in found] == whole
        assert found is not begun and all(cursor.done for cursor in found)


def test_beam_search_finds_the_answer_of_exhaustive_search() -> None:
    """With as many beams as there are answers nothing is lost: compare with all answers, scored one by one."""
    lm = extend(streams=(Stream("units", 3, 25.0),))
    task = Task("X", (), (Field("target.audio"),), ())
    prompt, c, span = lm.prompt(task, {}), lm.vocabulary.control, lm.vocabulary.span("speech/0")
    scores = {}
    for n in (1, 2, 3):
        for body in itertools.product(span, repeat=n):
            answer, total = [c(Control.BEGIN_AUDIO), *body, c(Control.END_AUDIO)], 0.0
            with torch.no_grad():
                logits = lm.model(input_ids=torch.tensor([prompt.ids.tolist() + answer])).logits[0]
            for k in range(1, len(answer)):
                allowed = [*span] if k <= 3 else []
                allowed += [c(Control.END_AUDIO)] if k > 1 else []
                row = logits[len(prompt) + k - 1][allowed].log_softmax(-1)
                total += float(row[allowed.index(answer[k])])
            scores[(*answer, c(Control.END_SEQUENCE))] = total
    how = parts.method("beam", beams=200, length_penalty=0.0)
    (found,) = generate(lm, [prompt], fields("audio"), how, Limits(max_audio_frames=3))
    assert scores[found.ids] == pytest.approx(max(scores.values()), abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_beam_search_with_few_beams_keeps_the_likeliest(seed: int, penalty: float) -> None:
    """Compare with a search by full passes that is written out here."""
    lm = extend(streams=(Stream("units", 6, 25.0),), seed=seed)
    task = Task("X", (), (Field("target.audio"),), ())
    prompt, c, span = lm.prompt(task, {}), lm.vocabulary.control, lm.vocabulary.span("speech/0")
    live, done = [(0.0, [c(Control.BEGIN_AUDIO)])], list[tuple[float, list[int]]]()
    while live:
        grown = []
        for score, ids in live:
            allowed = [*span] * (len(ids) <= 5) + [c(Control.END_AUDIO)] * (len(ids) > 1)
            with torch.no_grad():
                logits = lm.model(input_ids=torch.tensor([prompt.ids.tolist() + ids])).logits[0, -1]
            scores = logits[allowed].log_softmax(-1).tolist()
            grown += [(score + s, [*ids, i]) for i, s in zip(allowed, scores, strict=True)]
        grown = sorted(grown, reverse=True)[:3]
        length = {len(ids) for _, ids in grown}.pop()
        ended = [(score, ids) for score, ids in grown if ids[-1] == c(Control.END_AUDIO)]
        done += [(score / (length + 1) ** penalty, ids) for score, ids in ended]  # END_SEQUENCE counts
        best = max((score for score, _ in done), default=-float("inf"))
        live = [(s, ids) for s, ids in grown if ids[-1] != c(Control.END_AUDIO) and s / length**penalty > best]
    how = parts.method("beam", beams=3, length_penalty=penalty)
    (found,) = generate(lm, [prompt], fields("audio"), how, Limits(max_audio_frames=5))
    assert list(found.ids) == [*max(done)[1], c(Control.END_SEQUENCE)]


def test_one_beam_is_greedy() -> None:
    lm = extend()
    given = prompts(lm, 5, 11)
    greedy = generate(lm, given, MIXED.outputs, parts.method(), SHORT)
    one = generate(lm, given, MIXED.outputs, parts.method("beam", beams=1), SHORT)
    assert [x.ids for x in one] == [x.ids for x in greedy]


def test_sampling_follows_the_distribution() -> None:
    lm = extend(streams=(Stream("units", 4, 25.0),))
    task = Task("X", (), (Field("target.audio"),), ())
    prompt, span = lm.prompt(task, {}), lm.vocabulary.span("speech/0")
    with torch.no_grad():
        ids = torch.tensor([[*prompt.ids, lm.vocabulary.control(Control.BEGIN_AUDIO)]])
        logits = lm.model(input_ids=ids).logits[0, -1, span.start : span.stop]

    def draw(**how: Any) -> torch.Tensor:
        sample, limits, generator = parts.method("sample", **how), Limits(max_audio_frames=1), torch.Generator()
        found = generate(lm, [prompt] * 2000, fields("audio"), sample, limits, generator=generator.manual_seed(0))
        return torch.tensor([x.ids[1] - span.start for x in found]).bincount(minlength=4) / 2000

    for temperature in (1.0, 3.0):
        expected = (logits / temperature).softmax(-1)
        assert (draw(temperature=temperature) - expected).abs().max() < 4 * (0.25 / 2000) ** 0.5
    order = logits.argsort(descending=True)
    kept = draw(temperature=3.0, top_k=2)
    assert kept[order[2:]].sum() == 0
    assert kept[order[1]] > 0
    two = float((logits / 3).softmax(-1)[order[:2]].sum())
    assert draw(temperature=3.0, top_p=two - 1e-3)[order[2:]].sum() == 0
    assert draw(temperature=3.0, top_p=two + 1e-3)[order[2]] > 0


def test_sampling_repeats_by_its_generator_and_leaves_the_global_state_alone() -> None:
    lm = extend()
    how = parts.method("sample")
    state = torch.get_rng_state()
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
    runs = [
        [x.ids for x in generate(lm, prompts(lm, 5, 5), fields("text"), how, SHORT, generator=g)] for g in generators
    ]
    assert runs[0] == runs[1] != runs[2]
    assert runs[0][0] != runs[0][1]  # one seed a prompt, not one for all
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_in_training_is_run_without_dropout_and_given_back_in_training() -> None:
    lm = extend(attention_dropout=0.9)
    expected = [x.ids for x in generate(lm, prompts(lm, 5), MIXED.outputs, parts.method(), SHORT)]
    lm.model.train()
    assert [x.ids for x in generate(lm, prompts(lm, 5), MIXED.outputs, parts.method(), SHORT)] == expected
    assert lm.model.training


def test_nothing_to_answer_is_refused() -> None:
    lm = extend()
    for given, kinds in (([], ("text",)), ([[]], ("text",)), ([[1]], ())):
        with pytest.raises(InvalidConfig, match="expected"):
            generate(lm, given, fields(*kinds), parts.method())


class Careless:
    """Answers as it is told, right or wrong."""

    def __init__(self, answers: Any) -> None:
        self.answers = answers

    def search(self, rules: Rules, prompts: Any, generator: torch.Generator) -> Any:
        return self.answers(rules, prompts)


def test_a_method_that_does_not_answer_every_prompt_is_refused() -> None:
    lm = extend()
    for answers in (lambda r, p: [], lambda r, p: [Cursor(r)], lambda r, p: [None], lambda r, p: [_other(r)]):
        with pytest.raises(InvalidConfig, match=r"Careless.search returned .*: expected 1 finished"):
            generate(lm, prompts(lm, 3), fields("text"), Careless(answers), SHORT)


def _other(rules: Rules) -> Cursor:
    cursor = Cursor(dataclasses.replace(rules, max_text_ids=100))
    cursor.push(cursor.allowed.end)
    return cursor


def test_a_cursor_takes_only_what_is_allowed() -> None:
    lm = extend()
    cursor = Cursor(Rules(lm, fields("text", "audio"), 2, (None, lm.writes.grammar(3))))
    control, unit = lm.vocabulary.control, lm.vocabulary.span("speech/0").start
    with pytest.raises(InvalidCodes, match=f"id {unit} after 0 ids of an answer"):
        cursor.push(unit)
    assert (cursor.allowed.id(5), cursor.allowed.column(5), cursor.allowed.column(unit)) == (5, 5, None)
    last = lm.vocabulary.text_size
    assert (cursor.allowed.id(last), cursor.allowed.column(cursor.allowed.end)) == (control(Control.END_SEGMENT), last)
    for i in (5, 6):
        cursor.push(i)
    assert cursor.allowed.is_forced
    cursor.push_forced()
    assert cursor.ids == [5, 6, control(Control.END_SEGMENT), control(Control.BEGIN_AUDIO)]
    with pytest.raises(InvalidCodes, match="id 5 after 4 ids"):
        cursor.push(5)


@pytest.mark.parametrize("columns", [[], [10**6], [-1]])
def test_unknown_columns_are_refused(columns: list[int]) -> None:
    lm = extend()
    with pytest.raises(InvalidConfig, match=r"a decoding method picked .*: expected 1 columns, each in \[0, 301\)"):
        generate(
            lm,
            prompts(lm, 3),
            fields("text"),
            Careless(lambda r, p: step_by_step(r, p, lambda logits, growing: columns, torch.Generator())),
            SHORT,
        )
