"""The vocoder `audiolm`: its stages as ids, its generation, and voices, with real tokenizers where it takes audio."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.component import Kind
from areca.errors import ArecaError, IncompatibleParts, InvalidArtifact, InvalidAudio, InvalidCodes
from areca.fitting.codec_vocoder.layout import Layout, layout_of
from areca.fitting.codec_vocoder.pairs import Pairs, pair_codes, spread
from areca.fitting.codec_vocoder.voices import Prompt, encode_voices
from areca.fitting.loop import generator_for
from areca.fitting.sampling import conform_and_encode, read_recording
from areca.fitting.text_lm.llama import build_textless_backbone
from areca.interfaces import Job, Vocoder
from areca.lm.model import SpeechLM
from areca.manifest import Column, Manifest
from areca.manifest import Utterance as Row
from areca.registry.parts import Part, choose, resolve
from areca.registry.registry import Registry
from areca.specs import Stream, TokenizerSpec
from areca.testing.corpus import write_corpus
from areca.training.examples import Examples
from areca.types import Audio, Codes, VoicePrompt
from areca_audiolm.decoding import CoarseTrack, Request, generate, generate_coarse, generate_fine
from areca_audiolm.layout import count_coarse, spec
from areca_audiolm.model import AudioLM
from areca_audiolm.options import PAPER_SIZE, AudioLMConfig
from areca_audiolm.stages import Stage, stages_of
from areca_audiolm.training import _build_job, list_rows, train_stage

CPU = torch.device("cpu")
TINY = AudioLMConfig(
    layers=1, heads=2, width=32, feed_forward=64, coarse_steps=4, fine_steps=4, duration_steps=4, batch_s=4.0,
    coarse_crop_s=1.2, fine_crop_s=0.4, prompt_s=0.4, overlap_s=0.4, checkpoint_steps=2,
)  # fmt: skip
TEXT, BEGIN, END, END_SEQUENCE = 2, 3, 4, 6
"""The number of text rows, and the ids of controls. The codes follow, roles by name: acoustic, semantic."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layout(units: int = 6, sizes: Sequence[int] = (5, 5, 5), *, repeats: int = 2, durations: bool = False) -> Layout:
    unit = Stream("unit", units, None if durations else 25.0)
    levels = tuple(Stream(f"rvq-{k}", size, 25.0 * repeats) for k, size in enumerate(sizes))
    return layout_of(
        TokenizerSpec((unit,), 16_000, base_rate_hz=25.0 if durations else None), TokenizerSpec(levels, 24_000)
    )


def untrained(stage: Stage) -> SpeechLM:
    """Return the LM of a stage with random weights, large enough that its choices depend on what it reads."""
    backbone = build_textless_backbone(
        1, layers=1, width=32, feed_forward=64, heads=2, kv_heads=2, context=stage.length
    )
    pattern = choose(Registry.discover(), Kind.PATTERN, "flatten", option="pattern")
    reads = str(stage.input.role)
    lm = SpeechLM.extend(backbone, stage.streams, reads=reads, writes="acoustic", pattern=pattern, init="normal")
    with torch.no_grad():
        lm.model.get_input_embeddings().weight.mul_(40)
    return lm.eval()


def random_prompt(found: Layout, frames: int, seed: int) -> Prompt:
    units = torch.randint(found.units, (frames // found.repeats,), generator=seeded(seed))
    codes = [torch.randint(size, (frames,), generator=seeded(seed + k)) for k, size in enumerate(found.sizes)]
    return Prompt(units.repeat_interleave(found.repeats), torch.stack(codes))


def utterance(found: Layout, frames: int, seed: int = 0, *, coarse: int = 2, prompt: int = 20) -> CoarseTrack:
    units = torch.randint(found.units, (frames // found.repeats,), generator=seeded(100 + seed))
    owners = spread(torch.arange(len(units)), None, found.repeats)
    voice = random_prompt(found, prompt, seed)
    return CoarseTrack(voice, coarse, units, owners, seed=7, repeats=found.repeats, has_durations=found.has_durations)


# Specs and options


def test_the_spec_speaks_units_at_the_codecs_rate() -> None:
    for durations in (False, True):
        found = layout(durations=durations)
        made = spec(AudioLMConfig(), {"semantic": found.semantic, "acoustic": found.acoustic})
        assert (made.streams, made.sample_rate_hz) == (found.semantic.streams, 24_000)


@pytest.mark.parametrize(("levels", "coarse"), [(1, 1), (2, 1), (3, 2), (6, 3), (8, 4), (12, 4), (32, 4)])
def test_half_of_the_levels_are_coarse_and_at_most_four(levels: int, coarse: int) -> None:
    found = layout(sizes=(5,) * levels)
    assert count_coarse(AudioLMConfig(), found) == coarse
    stages = stages_of(AudioLMConfig(), found)
    assert [stage.name for stage in stages] == (["coarse", "fine"] if levels > 1 else ["coarse"])
    assert (stages[0].temperature, stages[0].crop_s, stages[-1].crop_s) == (0.8, 10.0, 3.0 if levels > 1 else 10.0)


def test_parts_that_do_not_fit_are_refused() -> None:
    found = layout()
    needs: dict[str, Any] = {"semantic": found.semantic, "acoustic": found.acoustic}
    with pytest.raises(IncompatibleParts, match=r"audiolm, semantic: expected a tokenizer of one stream, got rvq-0\[5"):
        spec(AudioLMConfig(), needs | {"semantic": found.acoustic})
    with pytest.raises(IncompatibleParts, match="audiolm: expected an acoustic rate that is a whole multiple"):
        spec(AudioLMConfig(), needs | {"acoustic": TokenizerSpec((Stream("rvq", 4, 40.0),), 16_000)})
    with pytest.raises(IncompatibleParts, match="audiolm: coarse is 4, the acoustic tokenizer has 3 levels"):
        spec(AudioLMConfig(coarse=4), needs)
    with pytest.raises(IncompatibleParts, match=r"audiolm: coarse_crop_s = 3\.01 must exceed prompt_s and overlap_s"):
        spec(AudioLMConfig(coarse_crop_s=3.01), needs)
    with pytest.raises(IncompatibleParts, match="audiolm', acoustic: 'mfcc-kmeans' has no tag decode"):
        part(acoustic=UNITS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fine_steps": 0}, "fine_steps must be positive"),
        ({"overlap_s": 0.0}, "overlap_s must be positive"),
        ({"coarse": 0}, "coarse must be at least 1, or null, got 0"),
        ({"width": 30, "heads": 4}, "width must be a multiple of 2 x heads = 8, got 30"),
        ({"attention_dropout": 1.0}, r"attention_dropout must be in \[0, 1\)"),
        ({"batch_s": 9.0}, "batch_s must be at least coarse_crop_s and fine_crop_s, got 9"),
        ({"coarse_crop_s": 3.0}, "coarse_crop_s must exceed prompt_s and overlap_s"),
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AudioLMConfig(**wrong)


def test_the_default_stages_have_their_size() -> None:
    found, config = layout(256, (256,) * 8), AudioLMConfig()
    stage = stages_of(config, found)[0]
    assert stage.length >= 250 + 4 * 500 + 5
    backbone = build_textless_backbone(
        0, layers=config.layers, width=config.width, feed_forward=config.feed_forward, heads=config.heads,
        kv_heads=config.heads, context=stage.length,
    )  # fmt: skip
    codes = sum(stream.size for streams in stage.streams.values() for stream in streams)
    numbers = [p.numel() for p in backbone.model.parameters()]
    assert (sum(numbers) + codes * config.width) / 1e6 == pytest.approx(2.6, abs=0.1)
    assert AudioLMConfig(**PAPER_SIZE).layers == 12


# Training


def test_the_ids_of_the_stages_are_those_written_by_hand() -> None:
    found = layout(units=3, sizes=(4, 4, 4))  # 2 coarse levels
    coarse, fine = stages_of(TINY, found)
    units, levels = torch.tensor([2, 2]), torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 2, 2]])
    lm = untrained(coarse)
    given = {coarse.input.name: Codes((units,)), coarse.output.name: Codes(tuple(levels[:2]))}
    example = lm.encode(coarse.task, given)
    first, second, unit = 7, 11, 15  # the first ids of the levels and of the units: an offset for each level
    assert example.ids.tolist() == [
        *(BEGIN, unit + 2, unit + 2, END),  # repeated units as they come
        *(BEGIN, first + 0, second + 3, first + 1, second + 2, first + 2, second + 1, first + 3, second + 0, END),
        END_SEQUENCE,
    ]
    assert example.prompt_length == 4
    lm = untrained(fine)
    given = {fine.input.name: Codes(tuple(levels[:2])), fine.output.name: Codes((levels[2],))}
    example = lm.encode(fine.task, given)
    third = 15
    assert example.ids.tolist() == [
        *(BEGIN, first + 0, second + 3, first + 1, second + 2, first + 2, second + 1, first + 3, second + 0, END),
        *(BEGIN, third + 1, third + 1, third + 2, third + 2, END),
        END_SEQUENCE,
    ]
    assert example.prompt_length == 10


def pairs_of(found: Layout, recorded: Sequence[tuple[Codes, Codes]]) -> Pairs:
    sides: Any = tuple({str(i): codes[side] for i, codes in enumerate(recorded)} for side in (0, 1))
    return Pairs([(Row(id=str(i), audio=str(i)), "audio") for i in range(len(recorded))], {"audio": sides}, found)


def recorded(found: Layout, frames: int, seed: int) -> tuple[Codes, Codes]:
    """Return codes of a recording. The unit of a frame and all its codes are the frame's time."""
    times = torch.arange(frames // found.repeats) + seed
    if not found.has_durations:
        units = Codes((times % found.units,))
    else:
        kept = times[::2]
        units = Codes((kept % found.units,), torch.full_like(kept, 2))
    codes = times.repeat_interleave(found.repeats)
    return units, Codes(tuple(codes % size for size in found.sizes))


@pytest.mark.parametrize("durations", [False, True])
def test_examples_are_crops_at_the_same_time(durations: bool, tmp_path: Path) -> None:
    found = layout(units=200, sizes=(200, 200, 200), durations=durations)
    pairs = pairs_of(found, [recorded(found, 40, 0), recorded(found, 200, 5)])
    rows = list_rows(pairs, 60)
    assert [row.id for row in rows] == ["0-0", "1-0", "1-1", "1-2", "1-3"], "a row for each crop of room"
    coarse = stages_of(TINY, found)[0]  # crops of 60 frames
    job = _build_job(coarse, TINY, found, pairs, Job(tmp_path, 0, CPU))
    [task] = job.train.tasks
    assert task is not None
    lm, starts = untrained(coarse), set()
    for row in rows:
        read, written = task.values(row)
        units, codes = read[coarse.input.name], written[coarse.output.name]
        assert isinstance(units, Codes) and isinstance(codes, Codes)
        assert [len(x) for x in codes.streams] == [40 if row.id == "0-0" else 60] * 2
        times = codes.streams[0][:: found.repeats]
        heard = times if not durations else torch.unique_consecutive((times - 5 * (row.id > "1")) // 2) * 2
        assert torch.equal(units.streams[0], heard + 5 * (row.id > "1") if durations else heard)
        starts.add(int(times[0]))
        assert len(lm.encode(coarse.task, {**read, **written}).steps) <= coarse.length
    assert len(starts) > 3, "spans are drawn"


def test_the_stages_train_on_every_row(tmp_path: Path) -> None:
    found = layout()
    pairs = pairs_of(found, [recorded(found, 40, 0), recorded(found, 70, 5)])
    fine = stages_of(TINY, found)[1]  # crops of 20 frames
    job = Job(tmp_path, 0, CPU)
    train_stage(fine, TINY, found, pairs, job)
    assert (tmp_path / "fine" / "model.safetensors").is_file()
    [path] = job.work.rglob("train.arrow")
    assert Examples(path, 1).sizes == (2 + 4,)


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    found = layout()
    with pytest.raises(ArecaError, match="trained in one process, got 2: run the same command without torchrun"):
        train_stage(
            stages_of(TINY, found)[0], TINY, found, pairs_of(found, [recorded(found, 40, 0)]), Job(tmp_path, 0, CPU)
        )


# Generation


def plainly(
    stage: Stage, lm: SpeechLM, ids: list[int], spans: Sequence[range], generator: torch.Generator
) -> list[int]:
    """Return ids drawn one after the other, each from a whole pass of the LM, over the span of its level."""
    found: list[int] = []
    with torch.inference_mode():
        for span in spans:
            logits = lm.model(input_ids=torch.tensor([ids + found])).logits[0, -1, span.start : span.stop]
            probabilities = (logits / stage.temperature).softmax(-1)
            found.append(span.start + int(torch.multinomial(probabilities, 1, generator=generator)))
    return found


def test_the_coarse_stage_continues_the_prompt_as_a_plain_loop_does() -> None:
    found = layout()
    stage = stages_of(TINY, found)[0]  # windows of 60 frames, which continue 20
    lm, codec, unit = untrained(stage), (range(7, 12), range(12, 17)), 17
    voice = random_prompt(found, 20, 3)
    units = torch.randint(found.units, (45,), generator=seeded(4))
    owners = spread(torch.arange(45), None, 2)
    one = CoarseTrack(voice, 2, units, owners, seed=9, repeats=2, has_durations=False)
    generate_coarse(stage, lm, [one], overlap=20, batch=1_000)
    assert one.codes.shape == (90, 2), "as many frames as the units ask for"
    # By hand: windows of 20 + 40, 20 + 40 and 20 + 10 frames.
    spoken, generator = torch.cat((voice.condition[::2], units)) + unit, seeded(9)
    codes = (voice.codes[:2].T + torch.tensor([7, 12])).flatten().tolist()
    for start, stop in ((0, 60), (40, 100), (80, 110)):
        begun = codes[2 * start :]
        ids = [BEGIN, *spoken[start // 2 : stop // 2].tolist(), END, BEGIN, *begun]
        codes += plainly(stage, lm, ids, codec * (stop - start - 20), generator)
    assert one.codes.flatten().tolist() == [i - span.start for i, span in zip(codes[40:], codec * 90, strict=True)]


def test_the_fine_stage_completes_chunks_as_a_plain_loop_does() -> None:
    found = layout(sizes=(5, 5, 5, 5))
    stage = stages_of(TINY, found)[1]  # chunks of 20 frames
    lm, fine = untrained(stage), (range(17, 22), range(22, 27))
    coarse = torch.randint(5, (26, 2), generator=seeded(2))
    [codes] = generate_fine(stage, lm, [coarse], seed=5, batch=1_000)
    assert codes.shape == (26, 2)
    [again, other] = generate_fine(stage, lm, [coarse[20:], coarse[:20]], seed=5, batch=1_000)
    assert torch.equal(other, codes[:20]) and again.shape == (6, 2), "a chunk sees no other"
    for number, (start, stop) in enumerate(((0, 20), (20, 26))):
        ids = [BEGIN, *(coarse[start:stop] + torch.tensor([7, 12])).flatten().tolist(), END, BEGIN]
        expected = plainly(stage, lm, ids, fine * (stop - start), generator_for(5, "fine", number))
        assert (codes[start:stop] + torch.tensor([17, 22])).flatten().tolist() == expected


def test_an_utterance_does_not_depend_on_its_batch() -> None:
    found = layout()
    stage = stages_of(TINY, found)[0]
    lm, lengths = untrained(stage), (30, 90, 12, 2)

    def spoken(numbers: Sequence[int], batch: int) -> list[torch.Tensor]:
        made = [utterance(found, lengths[i], i) for i in numbers]
        generate_coarse(stage, lm, made, overlap=20, batch=batch)
        return [one.codes for one in made]

    together = spoken(range(4), 10_000)
    assert [len(codes) for codes in together] == list(lengths)
    alone = [spoken([i], 10_000)[0] for i in range(4)]
    small = spoken(range(4), 70)
    for one, two, three in zip(together, alone, small, strict=True):
        assert torch.equal(one, two) and torch.equal(one, three)


def test_deduplicated_units_are_given_once_with_those_that_a_window_cuts() -> None:
    found = layout(durations=True)
    stage = stages_of(TINY, found)[0]
    condition = torch.tensor([1, 1, 4, 4, 4, 2]).repeat_interleave(2)
    voice = Prompt(condition, torch.zeros(3, 12, dtype=torch.int64))
    units, durations = torch.tensor([2, 3, 3, 5]), torch.tensor([3, 20, 4, 9])
    owners = spread(torch.arange(4), durations, 2)
    one = CoarseTrack(voice, 2, units, owners, seed=0, repeats=2, has_durations=True)
    request = one.next(60, 20)  # 12 + 48 frames: the second unit is not over
    assert request.given.streams[0].tolist() == [1, 4, 2, 2, 3, 3] and request.frames == 60
    one.append(torch.zeros(48, 2, dtype=torch.int64))
    request = one.next(stage.frames, 20)
    assert request.given.streams[0].tolist() == [3, 3, 5], "a unit that the window before began"
    assert request.frames == 20 + 72 - 48 and len(request.begun) == 20


def test_generation_refuses_codes_that_the_stage_cannot_begin_with() -> None:
    found = layout()
    stage = stages_of(TINY, found)[0]
    wrong = Request(Codes((torch.tensor([1]),)), torch.full((1, 2), 5), 2, seeded())
    with pytest.raises(InvalidCodes, match="out of range"):
        generate(stage, untrained(stage), [wrong], 100)


@pytest.mark.slow
def test_trained_stages_speak_the_units_in_the_prompts_voice(tmp_path: Path) -> None:
    """The first level is the unit shifted by the voice, the second follows from the first."""
    found = layout(sizes=(12, 12))
    config = dataclasses.replace(
        TINY, layers=2, width=64, feed_forward=128, coarse_steps=300, fine_steps=80, learning_rate=4e-3, batch_s=10.0,
        attention_dropout=0.0, coarse_crop_s=0.24, fine_crop_s=0.16, prompt_s=0.08, overlap_s=0.08,
        coarse_temperature=0.2, fine_temperature=0.2, checkpoint_steps=300,
    )  # fmt: skip

    def sing(seed: int, voice: int) -> tuple[Codes, Codes]:
        units = torch.randint(6, (6,), generator=seeded(seed))
        first = (units.repeat_interleave(2) + 4 * voice) % 12
        return Codes((units,)), Codes((first, (5 * first + 1) % 12))

    data = pairs_of(found, [sing(i, i % 3) for i in range(600)])
    coarse, fine = stages_of(config, found)
    lms = []
    for stage in (coarse, fine):
        train_stage(stage, config, found, data, Job(tmp_path, 0, CPU))
        lms.append(SpeechLM.load(tmp_path / stage.name, Registry.discover()).eval())
    sung = [sing(1_000 + i, i % 3) for i in range(30)]  # of which 4 units are spoken, in one window
    given = [pair_codes(*sing(2_000 + i, i % 3), found).crop(0, 4) for i in range(30)]
    spoken = [
        CoarseTrack(
            Prompt(voice.condition, voice.codes), 1, units.streams[0][:4], spread(torch.arange(4), None, 2),
            seed=1, repeats=2, has_durations=False,
        )
        for voice, (units, _) in zip(given, sung, strict=True)
    ]  # fmt: skip
    generate_coarse(coarse, lms[0], spoken, overlap=4, batch=1_000)
    firsts = [one.codes for one in spoken]
    seconds = generate_fine(fine, lms[1], firsts, seed=1, batch=1_000)
    wanted = torch.cat([torch.stack(codes.streams, dim=1)[:8] for _, codes in sung])
    right = (torch.cat([torch.cat(firsts), torch.cat(seconds)], dim=1) == wanted).float().mean(0)
    assert float(right.min()) > 0.85, right


# With real tokenizers


UNITS = {"name": "mfcc-kmeans", "clusters": 8}
OPTIONS: dict[str, Any] = {
    "acoustic": {"name": "mel-rvq", "levels": 2, "clusters": 16, "phase_iterations": 2},
    **{f.name: getattr(TINY, f.name) for f in dataclasses.fields(TINY) if f.name != "coarse"},
}


def part(semantic: Any = UNITS, **options: Any) -> Part:
    value = {"name": "audiolm", "semantic": semantic, **OPTIONS, **options}
    return resolve(Registry.discover(), Kind.VOCODER, value, role="vocoder")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def loader(corpus: Manifest, tmp_path_factory: pytest.TempPathFactory) -> PartLoader:
    return PartLoader(Store(tmp_path_factory.mktemp("store")), data=corpus)


DEDUPLICATED = {"name": "dedup", "tokenizer": UNITS}


@pytest.fixture(scope="module")
def vocoder(loader: PartLoader) -> AudioLM:
    loaded = loader.instance(part(DEDUPLICATED))
    assert isinstance(loaded, AudioLM)
    return loaded


def voice(corpus: Manifest, row: int = 0) -> VoicePrompt:
    return VoicePrompt(corpus.audio(corpus.rows[row]))


def units(count: int, seed: int = 0, durations: int | None = 1) -> Codes:
    codes = torch.randint(8, (count,), generator=seeded(seed))
    return Codes((codes,), None if durations is None else torch.full_like(codes, durations))


def test_it_speaks_each_answer_in_its_own_voice(vocoder: AudioLM, corpus: Manifest) -> None:
    assert isinstance(vocoder, Vocoder)
    codes, voices = [units(10), units(16, 1, 3), units(10)], [voice(corpus), None, voice(corpus, 1)]
    said = vocoder.synthesize(codes, voices, generator=seeded())
    assert [(a.sample_rate_hz, a.samples.shape) for a in said] == [(16_000, (1, n * 640)) for n in (10, 48, 10)]
    for i in range(3):
        [alone] = vocoder.synthesize([codes[i]], [voices[i]], generator=seeded())
        assert torch.equal(alone.samples, said[i].samples)
    assert not torch.equal(said[0].samples, said[2].samples), "one text, two voices"
    again = vocoder.synthesize(codes[:1], voices[:1], generator=seeded(1))
    assert not torch.equal(again[0].samples, said[0].samples), "the seed decides"


def test_missing_durations_are_predicted(vocoder: AudioLM) -> None:
    assert vocoder.durations is not None
    [codes] = [units(9, durations=None)]
    with torch.no_grad():
        wanted = int(vocoder.durations.predict(codes.streams[0]).sum())
    [said] = vocoder.synthesize([codes], [None], generator=seeded())
    assert said.samples.shape[1] == wanted * 640


def test_prompts_and_codes_that_cannot_be_used_are_refused(vocoder: AudioLM) -> None:
    silent = VoicePrompt(Audio(torch.zeros(1, 48_000), 16_000, "me.wav"))
    with pytest.raises(InvalidAudio, match=r"me\.wav: .*silent"):
        vocoder.synthesize([units(4)], [silent], generator=seeded())
    for wrong in ([], [Codes((torch.tensor([8]),))], [Codes((torch.tensor([1]),) * 2)]):
        with pytest.raises(InvalidCodes):
            vocoder.synthesize(wrong, [None] * len(wrong), generator=seeded())


def test_its_own_voice_is_that_of_a_training_recording(vocoder: AudioLM, corpus: Manifest) -> None:
    own = vocoder.own_voice
    assert own.codes.shape == (2, 20) and own.condition.shape == (20,)
    sounds = [corpus.audio(row) for row in corpus.rows if row.split == "train"]
    sounds += [corpus.target_audio(row) for row in corpus.rows if row.split == "train"]
    known = encode_voices([VoicePrompt(x) for x in sounds], own, vocoder.needs, vocoder.layout, 0.4)
    assert any(torch.equal(prompt.codes, own.codes) for prompt in known)


class Killed(BaseException):
    pass


def fitting(loader: PartLoader, corpus: Manifest, wanted: Part) -> Callable[..., dict[str, bytes]]:
    """Return a function that fits `wanted` in a folder and returns the files."""
    needs = {name: loader.instance(need) for name, need in wanted.needs.items()}
    specs = {name: need.spec for name, need in wanted.needs.items()}

    def table(need: str, column: Column, rows: Sequence[Row] | None) -> dict[str, Codes]:
        assert rows is not None
        sounds = [read_recording(corpus, (row, column)) for row in rows]
        return dict(zip([row.id for row in rows], conform_and_encode(needs[need], specs[need], sounds), strict=True))

    def fit(directory: Path, **job: Any) -> dict[str, bytes]:
        directory.mkdir(exist_ok=True)
        given = Job(directory, 0, CPU, specs=specs, table=table, **job)
        AudioLM.fit(wanted.config, needs, corpus, given)
        shutil.rmtree(given.work)  # as core does
        return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}

    return fit


@pytest.fixture(scope="module")
def undisturbed(loader: PartLoader) -> dict[str, bytes]:
    artifact = loader.artifact(part(DEDUPLICATED))
    assert artifact is not None
    return {name: (artifact.directory / name).read_bytes() for name in artifact.files}


@pytest.mark.parametrize(
    ("label", "after"),
    [("train coarse", 3), *(pytest.param(x, 3, marks=pytest.mark.slow) for x in ("durations", "train fine"))],
)
def test_a_killed_fit_resumes_to_the_same_files(
    label: str, after: int, loader: PartLoader, corpus: Manifest, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    fit, steps = fitting(loader, corpus, part(DEDUPLICATED)), list[int]()

    def kill(done: int, total: int, message: str = "") -> None:
        if message.startswith(label):
            steps.append(done)
            if len(steps) == after:
                raise Killed

    with pytest.raises(Killed):
        fit(tmp_path, progress=kill)
    resumed = fit(tmp_path, progress=kill)
    assert steps == [1, 2, 3, 3, 4], "from the state of step 2"
    assert resumed.keys() == undisturbed.keys()
    assert [name for name, content in resumed.items() if content != undisturbed[name]] == []


def test_damaged_files_are_refused(
    loader: PartLoader, corpus: Manifest, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    for name, content in undisturbed.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    config = part(DEDUPLICATED).config
    load: Any = lambda config: AudioLM.load(config, {}, tmp_path, device=CPU, dtype=torch.float32)  # noqa: E731
    assert len(load(config).stages) == 2
    with pytest.raises(InvalidArtifact, match=r"coarse: expected an LM over .* got .* for \d+"):
        load(dataclasses.replace(config, coarse=2))
    with pytest.raises(InvalidArtifact, match=r"coarse: expected an LM over .* for \d+ ids"):
        load(dataclasses.replace(config, coarse_crop_s=2.0))
    stored = load_file(tmp_path / "voice.safetensors")
    save_file(stored, tmp_path / "voice.safetensors")
    with pytest.raises(InvalidArtifact, match="expected the specs of two tokenizers"):
        load(config)
