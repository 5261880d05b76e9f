"""The vocoder `soundstorm`: its masks, its decoding, and voices, with real tokenizers where audio is involved."""

from __future__ import annotations

import dataclasses
import itertools
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.component import Kind
from areca.errors import IncompatibleParts, InvalidArtifact, InvalidAudio, InvalidCodes, InvalidManifest
from areca.fitting.codec_vocoder.layout import Layout, layout_of
from areca.fitting.codec_vocoder.pairs import Pair, Pairs, pair_codes, select_recordings
from areca.fitting.codec_vocoder.voices import Prompt, choose_own_voice
from areca.fitting.codec_vocoder.windows import Track
from areca.fitting.sampling import conform_and_encode, read_recording
from areca.interfaces import Job, Vocoder
from areca.manifest import Column, Manifest, Utterance
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry
from areca.run.config import parse_config
from areca.specs import Stream, TokenizerSpec
from areca.testing.corpus import write_corpus
from areca.types import Audio, Codes, VoicePrompt
from areca_soundstorm.decoding import Plan, _Batch, _most_confident, decode
from areca_soundstorm.layout import spec
from areca_soundstorm.masking import mask_codes
from areca_soundstorm.model import SoundStorm
from areca_soundstorm.network import Network, start_at_codebooks
from areca_soundstorm.options import PAPER_SIZE, SoundStormConfig
from areca_soundstorm.training import _cut, code_loss, train

CPU = torch.device("cpu")
TINY = SoundStormConfig(layers=2, heads=2, width=32, feed_forward=64, steps=6, batch_s=6.0, checkpoint_steps=2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layout(units: int = 6, sizes: Sequence[int] = (12, 12, 12), *, repeats: int = 2, durations: bool = False) -> Layout:
    unit = Stream("unit", units, None if durations else 25.0)
    levels = tuple(Stream(f"rvq-{k}", size, 25.0 * repeats) for k, size in enumerate(sizes))
    return layout_of(
        TokenizerSpec((unit,), 16_000, base_rate_hz=25.0 if durations else None), TokenizerSpec(levels, 24_000)
    )


def network(found: Layout, config: SoundStormConfig = TINY) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = Network(config, found).eval()
        for embedding in net.levels:  # larger, so that the codes of a frame depend clearly on its neighbours
            torch.nn.init.normal_(embedding.weight)
    return net


# Specs and sizes


def test_the_spec_speaks_units_at_the_codecs_rate() -> None:
    for durations in (False, True):
        found = layout(durations=durations)
        made = spec(SoundStormConfig(), {"semantic": found.semantic, "acoustic": found.acoustic})
        assert (made.streams, made.sample_rate_hz) == (found.semantic.streams, 24_000)
        assert (found.base_rate_hz, found.repeats, found.frames(3.0)) == (25.0, 2, 150)


@pytest.mark.parametrize(
    ("semantic", "acoustic", "message"),
    [
        ((25.0, 25.0), (50.0,), r"semantic: expected a tokenizer of one stream, got s0\[4\] at 25 Hz, s1"),
        ((None,), (50.0,), r"semantic: expected units with a rate, got s0\[4\] at variable rate"),
        ((25.0,), (50.0, 25.0), "acoustic: expected streams of one constant rate, got s0.* 50 Hz, s1.* 25 Hz"),
        ((25.0,), (None,), "acoustic: expected streams of one constant rate"),
        ((25.0,), (12.5,), "a whole multiple of the semantic one, got 12.5 Hz and 25 Hz"),
        ((25.0,), (40.0,), "a whole multiple of the semantic one, got 40 Hz and 25 Hz"),
    ],
)
def test_tokenizers_that_do_not_fit_are_refused(
    semantic: Sequence[float | None], acoustic: Sequence[float | None], message: str
) -> None:
    needs = {
        name: TokenizerSpec(tuple(Stream(f"s{k}", 4, rate) for k, rate in enumerate(rates)), 16_000)
        for name, rates in (("semantic", semantic), ("acoustic", acoustic))
    }
    with pytest.raises(IncompatibleParts, match=message):
        spec(SoundStormConfig(), needs)


def test_a_run_names_the_two_tokenizers_and_a_codec_must_decode() -> None:
    roles = {"units": {"name": "mfcc-kmeans", "clusters": 8}, "sound": {"name": "mel-rvq"}}
    run: dict[str, Any] = {
        "name": "x",
        "data": {"name": "say"},
        "tokenizers": roles,
        "lm": {"reads": "units", "writes": "units"},
        "backbone": {"name": "decoder"},
        "vocoder": {"name": "soundstorm", "semantic": "units", "acoustic": "sound"},
        "tasks": ["s2st"],
    }
    assert parse_config(run, root=Path.cwd()).vocoder is not None
    with pytest.raises(IncompatibleParts, match="soundstorm', acoustic: 'mfcc-kmeans' has no tag decode"):
        parse_config(run | {"vocoder": {"name": "soundstorm", "semantic": "sound", "acoustic": "units"}}, root=Path())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps must be positive"),
        ({"width": 30, "heads": 4}, "width must be a multiple of 2 x heads = 8, got 30"),
        ({"kernel": 4}, "kernel must be odd"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"iterations": (16, 0)}, r"iterations must be whole numbers from 1, got \[16, 0\]"),
        ({"window_s": 3.0}, "window_s must exceed prompt_s and overlap_s"),
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SoundStormConfig(**wrong)


def test_options_that_do_not_fit_the_codec_are_refused() -> None:
    needs = {"semantic": layout().semantic, "acoustic": layout().acoustic}
    with pytest.raises(IncompatibleParts, match="iterations lists 4 levels, the acoustic tokenizer has 3"):
        spec(SoundStormConfig(iterations=(16, 1, 1, 1)), needs)
    with pytest.raises(IncompatibleParts, match=r"window_s = 3\.01 must exceed prompt_s and overlap_s by a frame"):
        spec(SoundStormConfig(window_s=3.01), needs)


@pytest.mark.parametrize(
    ("options", "units", "sizes", "millions"),
    [(PAPER_SIZE, 1024, (1024,) * 12, 350.0), ({}, 256, (256,) * 8, 3.5)],
)
def test_the_presets_have_their_size(
    options: Mapping[str, Any], units: int, sizes: Sequence[int], millions: float
) -> None:
    with torch.device("meta"):
        net = Network(SoundStormConfig(**options), layout(units, sizes))
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)


# Training


def test_masks_are_those_of_the_paper() -> None:
    codes, lengths = torch.zeros(4_000, 24, 4, dtype=torch.int64), torch.full((4_000,), 20)
    found = mask_codes(codes, lengths, torch.tensor([5, 6, 7, 8]), 0.0, seeded())
    hidden = found.codes != codes
    assert torch.equal(found.codes[hidden], torch.tensor([5, 6, 7, 8]).expand_as(codes)[hidden])
    assert not hidden[:, 20:].any(), "padding is never masked"
    level = torch.arange(4)
    coarser, finer = (level < found.levels[:, None])[:, None], (level > found.levels[:, None])[:, None]
    assert not (hidden & coarser).any()
    of_level = hidden.gather(2, found.levels[:, None, None].expand(-1, 24, 1))[..., 0]
    assert torch.equal(of_level, found.predicted)
    # The finer levels show where the prompt ends: all behind it is masked.
    behind = (hidden & finer).any(2)
    has_finer = found.levels < 3
    ends = 20 - behind[has_finer].sum(1)
    assert torch.equal(behind[has_finer], (torch.arange(24) >= ends[:, None]) & (torch.arange(24) < 20))
    assert not (found.predicted & ~behind)[has_finer].any()
    assert torch.bincount(ends, minlength=20).float().div(len(ends)).sub(1 / 20).abs().max() < 0.015, "uniform cut"
    assert torch.bincount(found.levels).float().div(4_000).sub(1 / 4).abs().max() < 0.03, "uniform level"
    shares = (found.predicted.sum(1) / behind.sum(1))[has_finer & (behind.sum(1) > 9)]
    assert float(shares.mean()) == pytest.approx(2 / math.pi, abs=0.02), "the mean of cos(u)"
    # P(cos(u) > c) = 2 / pi * acos(c); for c = 0.9 it is 0.287
    assert float((shares > 0.9).float().mean()) == pytest.approx(2 / math.pi * math.acos(0.9), abs=0.06)


def test_the_level_may_be_drawn_with_a_bias() -> None:
    codes, lengths = torch.zeros(4_000, 2, 3, dtype=torch.int64), torch.full((4_000,), 2)
    levels = mask_codes(codes, lengths, torch.tensor([1, 1, 1]), 2.0, seeded()).levels
    wanted = torch.tensor([1.0, 1 / 4, 1 / 9]) / (1 + 1 / 4 + 1 / 9)
    assert torch.bincount(levels).float().div(4_000).sub(wanted).abs().max() < 0.03


def pairs(found: Layout, lengths: Sequence[int], seed: int = 0) -> list[Pair]:
    generator, made = seeded(seed), []
    for frames in lengths:
        units = torch.randint(found.units, (frames // found.repeats,), generator=generator)
        codes = torch.stack([torch.randint(size, (frames,), generator=generator) for size in found.sizes])
        made.append(pair_codes(Codes((units,)), Codes(tuple(codes)), found))
    return made


def test_the_loss_is_that_of_the_masked_codes_of_one_level() -> None:
    found = layout(sizes=(5, 7, 9))
    net, batch = network(found), pairs(found, (20, 14, 6, 20, 20, 8))
    loss = code_loss(net, batch, 0.0, seeded(3))
    codes = torch.nn.utils.rnn.pad_sequence([p.codes.T for p in batch], batch_first=True)
    lengths = torch.tensor([len(p.condition) for p in batch])
    masked = mask_codes(codes, lengths, net.masks, 0.0, seeded(3))
    assert len(set(masked.levels.tolist())) > 1
    losses = []
    for i, pair in enumerate(batch):  # each alone, with the logits of all frames
        frames, level = len(pair.condition), int(masked.levels[i])
        everywhere = torch.ones(1, frames, dtype=torch.bool)
        hidden = net(pair.condition[None], masked.codes[i, None, :frames], None, everywhere)
        logits = net.heads[level](hidden).log_softmax(-1)
        chosen = masked.predicted[i, :frames]
        losses.append(-logits[torch.arange(frames), pair.codes[level]][chosen])
    torch.testing.assert_close(loss, torch.cat(losses).mean())


def test_a_batch_in_which_nothing_is_masked_has_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    found = layout()
    net = network(found)
    monkeypatch.setattr(torch, "cos", torch.zeros_like)
    loss = code_loss(net, pairs(found, (6, 4)), 0.0, seeded())
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0.0


def test_long_utterances_are_cut_between_base_frames() -> None:
    found = layout()
    [pair] = pairs(found, (40,))
    seen = set()
    for seed in range(40):
        cut = _cut(pair, 12, 2, seeded(seed))
        start = next(s for s in range(0, 40, 2) if torch.equal(cut.codes, pair.codes[:, s : s + 12]))
        assert torch.equal(cut.condition, pair.condition[start : start + 12])
        seen.add(start)
    assert {0, 28} <= seen
    assert _cut(pair, 40, 2, seeded()) is pair


def test_codes_of_a_recording_are_cut_to_what_both_have() -> None:
    found = layout(sizes=(9,), durations=True)
    semantic = Codes((torch.tensor([3, 1, 4]),), torch.tensor([1, 2, 1]))
    pair = pair_codes(semantic, Codes((torch.arange(7) % 9,)), found)
    assert pair.condition.tolist() == [3, 3, 1, 1, 1, 1] and pair.codes.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert pair.durations.tolist() == [1, 2, 1]
    longer = pair_codes(semantic, Codes((torch.zeros(20, dtype=torch.int64),)), found)
    assert len(longer.condition) == longer.codes.shape[1] == 8


def test_a_network_starts_at_the_codebooks() -> None:
    found = layout(sizes=(20, 20))
    config = dataclasses.replace(TINY, width=64)
    net, generator = network(found, config), seeded()
    books = [torch.randn(20, 16, generator=generator) + 3.0, 0.3 * torch.randn(20, 16, generator=generator)]
    masks = [embedding.weight[-1].clone() for embedding in net.levels]
    start_at_codebooks(net, books, seeded(5))
    distances = [torch.cdist(x, x)[0, 1:] for x in (books[0], books[1])]
    embedded = [torch.cdist(e.weight[:-1], e.weight[:-1])[0, 1:].detach() for e in net.levels]
    for a, b in zip(distances, embedded, strict=True):
        assert float(torch.corrcoef(torch.stack((a, b)))[0, 1]) > 0.7
    assert float(embedded[0].mean() / embedded[1].mean()) == pytest.approx(1 / 0.3, rel=0.25), "one scale for all"
    total = net.levels[0].weight[:-1].square().mean() + net.levels[1].weight[:-1].square().mean()
    assert float(total.detach()) == pytest.approx(1.0, rel=1e-3)
    for level, head in enumerate(net.heads):  # a state at a code's vector chooses the code
        vectors = net.levels[level].weight[:-1]
        assert torch.equal((vectors @ head.weight.T).argmax(1), torch.arange(20))
        assert torch.equal(net.levels[level].weight[-1], masks[level]), "the mask's embedding is kept"


# Decoding


def plan(levels: int, *, iterations: tuple[int, ...] = (16,), window: int = 1_500, overlap: int = 150) -> Plan:
    return Plan(iterations + (1,) * (levels - len(iterations)), 1.0, window, overlap, batch=10_000)


def prompt(found: Layout, frames: int, seed: int) -> Prompt:
    [pair] = pairs(found, (frames,), seed)
    return Prompt(pair.condition, pair.codes)


def tracks(found: Layout, lengths: Sequence[int], seed: int = 7) -> list[Track]:
    made = []
    for i, frames in enumerate(lengths):
        condition = prompt(found, frames, 100 + i).condition
        made.append(Track(prompt(found, 8 + 2 * i, 200 + i), condition, seed))
    return made


def test_decoding_computes_one_level_a_pass_and_only_undecided_frames() -> None:
    found, frames = layout(sizes=(12,) * 5), 250
    net = network(found)
    passes: list[int] = []
    rows: dict[int, list[int]] = {level: [] for level in range(5)}
    net.conformer.register_forward_hook(lambda *_: passes.append(1))
    last = net.conformer.blocks[-1]
    seen: list[int] = []
    last.second.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))  # type: ignore[operator,union-attr]
    for level, head in enumerate(net.heads):
        head.register_forward_hook(lambda module, inputs, output, level=level: rows[level].append(len(output)))
    [track] = tracks(found, (frames,))
    decode(net, [track], plan(5))
    assert len(passes) == 16 + 5 - 1
    left = [math.floor(frames * math.cos(math.pi / 2 * i / 16)) for i in range(16)]
    assert rows == {0: left, **{level: [frames] for level in range(1, 5)}}
    assert seen == [*left, *[frames] * 4]
    assert track.codes.shape == (5, frames)
    assert int(track.codes.min()) >= 0 and int(track.codes.max()) < 12, "no mask is left"


def test_a_decided_code_stays_and_the_prompt_too() -> None:
    found = layout()
    net = network(found)
    inputs: list[torch.Tensor] = []
    net.register_forward_pre_hook(lambda module, arguments: inputs.append(arguments[1].clone()))
    [track] = tracks(found, (60,))
    given = prompt(found, 8, 200)
    decode(net, [track], plan(3, iterations=(8, 4)))
    assert len(inputs) == 8 + 4 + 1
    for before, after in itertools.pairwise(inputs):
        decided = before != net.masks
        assert torch.equal(before[decided], after[decided])
        assert int(decided.sum()) < int((after != net.masks).sum())
    assert all(torch.equal(codes[0, :8].T, given.codes) for codes in inputs)
    assert torch.equal(inputs[-1][0, 8:, :2].T, track.codes[:2])


def test_the_most_confident_codes_are_kept() -> None:
    wanted = torch.tensor([[True, False, True, True], [True, True, False, False], [False, False, True, False]])
    confidence = torch.tensor([0.2, 0.9, 0.5, 0.1, 0.3, 0.7])
    kept = _most_confident(confidence, wanted, torch.tensor([2, 1, 0]))
    assert kept.tolist() == [[False, False, True, True], [False, True, False, False], [False] * 4]


def test_the_last_iteration_is_greedy() -> None:
    found = layout(sizes=(12,))
    net = network(found)
    inputs: list[torch.Tensor] = []
    logits: list[torch.Tensor] = []
    net.register_forward_pre_hook(lambda module, arguments: inputs.append(arguments[1].clone()))
    net.heads[0].register_forward_hook(lambda module, arguments, output: logits.append(output.clone()))
    [track] = tracks(found, (40,))
    decode(net, [track], plan(1, iterations=(4,)))
    undecided = [codes[0, 8:, 0] == 12 for codes in inputs]
    assert torch.equal(track.codes[0][undecided[3]], logits[3].argmax(-1))
    earlier = torch.cat(
        [scores.argmax(-1) == track.codes[0][where] for scores, where in zip(logits, undecided[:3], strict=False)]
    )
    assert not bool(earlier.all()), "earlier iterations sample"


def test_sampling_follows_the_distribution_and_the_seed() -> None:
    found = layout(units=1, sizes=(4,))
    net = network(found)
    torch.nn.init.zeros_(net.heads[0].weight)  # type: ignore[arg-type]
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4])
    with torch.no_grad():
        net.heads[0].bias.copy_(shares.log())  # type: ignore[union-attr,operator]
    wanted = torch.ones(1, 20_000, dtype=torch.bool)
    state = _Batch(wanted.long(), wanted.long(), None, wanted, [seeded(3)])
    found_codes, confidence = state._sample(shares.log().expand(20_000, 4), wanted)
    assert torch.bincount(found_codes).float().div(20_000).sub(shares).abs().max() < 0.02
    torch.testing.assert_close(confidence, shares[found_codes])
    decoded = []
    for seed in (1, 1, 2):
        [track] = tracks(found, (60,), seed)
        decode(net, [track], plan(1))
        decoded.append(track.codes)
    assert torch.equal(decoded[0], decoded[1]) and not torch.equal(decoded[0], decoded[2])


def test_an_utterance_does_not_depend_on_its_batch() -> None:
    found = layout()
    net = network(found)
    lengths = (30, 58, 12, 2)
    together = tracks(found, lengths)
    decode(net, together, plan(3, window=44, overlap=6))
    alone = tracks(found, lengths)
    for one, other in zip(alone, together, strict=True):
        decode(net, [one], plan(3, window=44, overlap=6))
        assert torch.equal(one.codes, other.codes)
    small = tracks(found, lengths)
    decode(net, small, dataclasses.replace(plan(3, window=44, overlap=6), batch=50))
    assert all(torch.equal(a.codes, b.codes) for a, b in zip(small, together, strict=True))


def test_long_speech_continues_in_windows_so_time_is_linear() -> None:
    found = layout()
    net = network(found)
    inputs: list[torch.Tensor] = []
    net.register_forward_pre_hook(lambda module, arguments: inputs.append(arguments[1].clone()))
    [track] = tracks(found, (100,))
    decode(net, [track], plan(3, iterations=(1,), window=40, overlap=10))
    windows = inputs[::3]
    assert [w.shape[1] for w in windows] == [40, 40, 40, 18], "8 + 32, 10 + 30, 10 + 30, 10 + 8 frames"
    whole = torch.cat((prompt(found, 8, 200).codes, track.codes), dim=1).T
    for window, start in zip(windows[1:], (30, 60, 90), strict=True):
        assert torch.equal(window[0, :10], whole[start : start + 10]), "the end of the window before it"
        assert bool((window[0, 10:] == net.masks).all())
    inputs.clear()
    decode(net, tracks(found, (1_000,)), plan(3, iterations=(1,), window=40, overlap=10))
    assert sum(w.shape[1] for w in inputs[::3]) < 1_000 * 40 / 30 + 40


def test_a_trained_network_speaks_the_units_in_the_prompts_voice(tmp_path: Path) -> None:
    """The first level is the unit shifted by the voice, the second follows from the first."""
    found = layout(sizes=(12, 12))
    config = dataclasses.replace(
        TINY, layers=1, steps=160, batch_s=8.0, dropout=0.0, learning_rate=8e-3, level_bias=1.0, checkpoint_steps=160
    )

    def sing(seed: int, voice: int) -> tuple[Codes, Codes]:
        units = torch.randint(6, (20,), generator=seeded(seed))
        first = (units.repeat_interleave(2) + 4 * voice) % 12
        return Codes((units,)), Codes((first, (5 * first + 1) % 12))

    sung = {str(i): sing(i, i % 3) for i in range(90)}
    tables: Any = {"audio": ({k: s for k, (s, _) in sung.items()}, {k: a for k, (_, a) in sung.items()})}
    data = Pairs([(Utterance(id=k, audio=k), "audio") for k in sung], tables, found)
    net = train(config, found, None, data, Job(tmp_path, 0, CPU))
    right = []
    for voice in range(3):
        (units, wanted), (given, codes) = sing(1_000 + voice, voice), sing(2_000 + voice, voice)
        start = pair_codes(given, codes, found)
        track = Track(Prompt(start.condition, start.codes), units.streams[0].repeat_interleave(2), seed=1)
        decode(net, [track], plan(2, iterations=(4,)))
        right.append([float((track.codes[q] == wanted.streams[q]).float().mean()) for q in range(2)])
    assert min(min(row) for row in right) > 0.85, right


# With real tokenizers


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def loader(corpus: Manifest, tmp_path_factory: pytest.TempPathFactory) -> PartLoader:
    return PartLoader(Store(tmp_path_factory.mktemp("store")), data=corpus)


UNITS = {"name": "mfcc-kmeans", "clusters": 8}
OPTIONS: dict[str, Any] = {
    "acoustic": {"name": "mel-rvq", "levels": 2, "clusters": 16, "phase_iterations": 2},
    **{name: getattr(TINY, name) for name in ("layers", "heads", "width", "feed_forward", "batch_s")},
    "steps": 4,
    "prompt_s": 1.0,
    "longest_s": 1.2,
    "checkpoint_steps": 2,
    "iterations": [4],
}


def part(semantic: Any = UNITS, **options: Any) -> Part:
    value = {"name": "soundstorm", "semantic": semantic, **OPTIONS, **options}
    return resolve(Registry.discover(), Kind.VOCODER, value, role="vocoder")


@pytest.fixture(scope="module")
def vocoder(loader: PartLoader) -> SoundStorm:
    loaded = loader.instance(part())
    assert isinstance(loaded, SoundStorm)
    return loaded


def voice(corpus: Manifest, row: int = 0) -> VoicePrompt:
    return VoicePrompt(corpus.audio(corpus.rows[row]))


def units(count: int, seed: int = 0) -> Codes:
    return Codes((torch.randint(8, (count,), generator=seeded(seed)),))


def test_it_speaks_each_answer_in_its_own_voice(vocoder: SoundStorm, corpus: Manifest) -> None:
    assert isinstance(vocoder, Vocoder)
    codes, voices = [units(20), units(31, 1), units(20)], [voice(corpus), None, voice(corpus, 1)]
    said = vocoder.synthesize(codes, voices, generator=seeded())
    assert [(a.sample_rate_hz, a.samples.shape) for a in said] == [(16_000, (1, n * 640)) for n in (20, 31, 20)]
    for i in range(3):
        [alone] = vocoder.synthesize([codes[i]], [voices[i]], generator=seeded())
        assert torch.equal(alone.samples, said[i].samples)
    assert not torch.equal(said[0].samples, said[2].samples), "one text, two voices"
    again = vocoder.synthesize(codes, voices, generator=seeded(1))
    assert not torch.equal(again[0].samples, said[0].samples), "the seed decides"


def test_a_prompt_is_encoded_by_both_tokenizers_and_repeated(vocoder: SoundStorm, corpus: Manifest) -> None:
    sound = corpus.audio(corpus.rows[0])
    short = Audio(sound.samples[:, : round(0.4 * 16_000)], 16_000)
    [found] = vocoder._encode_voices([VoicePrompt(short)])
    assert found.condition.shape == (50,) and found.codes.shape == (2, 50)
    [semantic] = vocoder.needs["semantic"].encode([short])
    [acoustic] = vocoder.needs["acoustic"].encode([short])
    wanted = pair_codes(semantic, acoustic, vocoder.layout)
    assert len(wanted.condition) == 20
    for start in (0, 20):
        assert torch.equal(found.condition[start : start + 20], wanted.condition)
        assert torch.equal(found.codes[:, start : start + 20], wanted.codes)
    stereo = Audio(torch.nn.functional.interpolate(sound.samples[None], scale_factor=2)[0].repeat(2, 1), 32_000)
    [same] = vocoder._encode_voices([VoicePrompt(stereo)])
    [original] = vocoder._encode_voices([VoicePrompt(sound)])
    assert float((same.condition == original.condition).float().mean()) > 0.8, "resampled and mixed down"


@pytest.mark.parametrize(
    ("samples", "message"), [(torch.zeros(1, 48_000), "silent"), (torch.rand(1, 4_000), "has 0.25 s of sound")]
)
def test_a_prompt_that_cannot_be_used_is_named(vocoder: SoundStorm, samples: torch.Tensor, message: str) -> None:
    wrong = VoicePrompt(Audio(samples, 16_000, "me.wav"))
    with pytest.raises(InvalidAudio, match=f"me.wav: .*{message}"):
        vocoder.synthesize([units(4), units(4)], [None, wrong], generator=seeded())


def test_wrong_codes_are_refused(vocoder: SoundStorm) -> None:
    for wrong in ([], [Codes((torch.tensor([8]),))], [Codes((torch.tensor([1]),) * 2)]):
        with pytest.raises(InvalidCodes):
            vocoder.synthesize(wrong, [None] * len(wrong), generator=seeded())


def test_its_own_voice_is_a_training_speakers(corpus: Manifest) -> None:
    config = dataclasses.replace(TINY, prompt_s=1.0)
    selected = select_recordings(config, corpus, 0)
    first = choose_own_voice(config, corpus, selected, 0)
    assert first.seconds == 1.0 and first.name == choose_own_voice(config, corpus, selected, 0).name
    assert {row.split for row, _ in selected} == {"train"} and {side for _, side in selected} == {
        "audio",
        "target_audio",
    }
    named = dataclasses.replace(config, own_voice="high")
    chosen = choose_own_voice(named, corpus, selected, 0).name
    path = Path(chosen).name
    assert [row.speaker for row in corpus.rows if row.audio == path] == ["high"]
    with pytest.raises(InvalidManifest, match="no audio of own_voice 'me'\n  speakers: high, low"):
        choose_own_voice(dataclasses.replace(config, own_voice="me"), corpus, selected, 0)


def test_missing_durations_are_predicted(loader: PartLoader, corpus: Manifest) -> None:
    timed = loader.instance(part({"name": "dedup", "tokenizer": UNITS}))
    [codes] = timed.needs["semantic"].encode([corpus.audio(corpus.rows[0])])
    assert codes.durations is not None
    exact, predicted = timed.synthesize([codes, Codes(codes.streams)], [None, None], generator=seeded())
    assert exact.samples.shape[1] == int(codes.durations.sum()) * 640
    with torch.no_grad():
        wanted = timed.net.duration.predict(codes.streams[0])
    assert predicted.samples.shape[1] == int(wanted.sum()) * 640


class Killed(BaseException):
    pass


def fitting(loader: PartLoader, corpus: Manifest, wanted: Part) -> Callable[..., dict[str, bytes]]:
    """Return a function that fits `wanted` in a folder and returns the files."""
    needs = {name: loader.instance(need) for name, need in wanted.needs.items()}
    specs = {name: need.spec for name, need in wanted.needs.items()}

    def table(need: str, column: Column, rows: Sequence[Utterance] | None) -> dict[str, Codes]:
        assert rows is not None
        sounds = [read_recording(corpus, (row, column)) for row in rows]
        return dict(zip([row.id for row in rows], conform_and_encode(needs[need], specs[need], sounds), strict=True))

    def fit(directory: Path, **job: Any) -> dict[str, bytes]:
        directory.mkdir(exist_ok=True)
        given = Job(directory, 0, CPU, specs=specs, table=table, **job)
        SoundStorm.fit(wanted.config, needs, corpus, given)
        shutil.rmtree(given.work)  # as core does
        return {path.name: path.read_bytes() for path in directory.iterdir()}

    return fit


@pytest.mark.parametrize("after", [3, pytest.param(6, marks=pytest.mark.slow)])
def test_a_killed_fit_resumes_to_the_same_weights(
    after: int, loader: PartLoader, corpus: Manifest, tmp_path: Path
) -> None:
    fit = fitting(loader, corpus, part({"name": "dedup", "tokenizer": UNITS}, steps=7, dropout=0.3))
    undisturbed = fit(tmp_path / "undisturbed")
    steps: list[int] = []

    def kill(done: int, total: int, message: str = "") -> None:
        steps.append(done)
        if done == after and steps.count(done) == 1:
            raise Killed

    with pytest.raises(Killed):
        fit(tmp_path / "killed", progress=kill)
    resumed = fit(tmp_path / "killed", progress=kill)
    assert steps[after] == (after - 1) // 2 * 2 + 1
    assert sorted(resumed) == ["network.safetensors", "voice.safetensors"]
    assert resumed == undisturbed


def test_half_precision_halves_the_file(loader: PartLoader, corpus: Manifest, tmp_path: Path) -> None:
    files = {
        dtype: fitting(loader, corpus, part(weights_dtype=dtype, steps=1))(tmp_path / dtype)
        for dtype in ("float32", "float16")
    }
    sizes = {dtype: len(found["network.safetensors"]) for dtype, found in files.items()}
    assert sizes["float16"] < 0.6 * sizes["float32"]
    config = part(weights_dtype="float16", steps=1).config
    loaded = SoundStorm.load(config, {}, tmp_path / "float16", device=CPU, dtype=torch.float32)
    assert next(loaded.net.parameters()).dtype == torch.float32


def test_damaged_files_are_refused(loader: PartLoader, corpus: Manifest, tmp_path: Path) -> None:
    wanted = part(steps=1)
    fitting(loader, corpus, wanted)(tmp_path)
    other = part(steps=1, acoustic=OPTIONS["acoustic"] | {"clusters": 8})
    load: Any = lambda config: SoundStorm.load(config, {}, tmp_path, device=CPU, dtype=torch.float32)  # noqa: E731
    load(wanted.config)
    assert other.spec == wanted.spec
    with pytest.raises(InvalidArtifact, match="the options describe another network"):
        load(dataclasses.replace(wanted.config, width=48))
    stored = load_file(tmp_path / "voice.safetensors")
    for wrong in ({"codes": stored["codes"] + 16}, {"condition": stored["condition"][:-2]}):
        save_file(stored | wrong, tmp_path / "voice.safetensors")
        with pytest.raises(InvalidArtifact, match=r"voice\.safetensors"):
            load(wanted.config)
    weights = load_file(tmp_path / "network.safetensors")
    for metadata in (None, {"tokenizers": "{}"}, {"tokenizers": '{"semantic": {"streams": [[1]]}, "acoustic": 3}'}):
        save_file(weights, tmp_path / "network.safetensors", metadata)
        with pytest.raises(InvalidArtifact, match="expected the specs of two tokenizers"):
            load(wanted.config)
