"""Acoustic byte-pair encoding: the trained merges, exact expansion, durations, and refused input."""

from __future__ import annotations

import collections
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import areca_unitmel
from areca.audio import write
from areca.errors import IncompatibleParts, InvalidArtifact, InvalidCodes, InvalidManifest
from areca.fitting.sampling import recordings
from areca.interfaces import Job
from areca.manifest import FileManifest, Manifest, Utterance, read_manifest, write_manifest
from areca.options import build
from areca.specs import Stream, TokenizerSpec
from areca.testing.corpus import write_corpus
from areca.types import Audio, Codes
from areca_units import MOST_UNITS, bpe_spec, dedup_spec, units_spec
from areca_units.bpe import FIRST_CHARACTER, Bpe, text_to_units, train_merges, units_to_text
from areca_units.dedup import Dedup, deduplicate, expand
from areca_units.mfcc import MfccKmeans
from areca_units.options import BpeConfig, DedupConfig, MfccKmeansConfig

CPU = torch.device("cpu")
RATE_HZ = 16_000
UNITS = 12
SPEC = TokenizerSpec((Stream("unit", UNITS, 25.0),), RATE_HZ)


def speech_like(count: int, seed: int) -> list[torch.Tensor]:
    """Sequences of a few words with repeats inside, some noise between them."""
    draw = torch.Generator().manual_seed(seed)
    words = [torch.randint(UNITS, (n,), generator=torch.Generator().manual_seed(n)) for n in (2, 3, 4, 6)]
    said = []
    for _ in range(count):
        parts = []
        for word in torch.randint(len(words), (12,), generator=draw).tolist():
            repeats = torch.randint(1, 4, (len(words[word]),), generator=draw)
            parts += [words[word].repeat_interleave(repeats), torch.randint(UNITS, (1,), generator=draw)]
        said.append(torch.cat(parts))
    return said


class Fixed:
    """A tokenizer that says what it was told."""

    def __init__(self, *codes: Codes) -> None:
        self.codes = list(codes)

    def encode(self, audios: list[Audio]) -> list[Codes]:
        return self.codes[: len(audios)]


def merged(sequence: list[int], pair: tuple[int, int], new: int) -> list[int]:
    """Replace a pair from left to right."""
    out: list[int] = []
    i = 0
    while i < len(sequence):
        found = tuple(sequence[i : i + 2]) == pair
        out.append(new if found else sequence[i])
        i += 2 if found else 1
    return out


def learnt_pairs(merger: Any) -> list[tuple[int, int]]:
    ids = merger.get_vocab()
    return [(ids[a], ids[b]) for a, b in json.loads(merger.to_str())["model"]["merges"]]


@pytest.mark.parametrize("runs", [True, False], ids=["with runs", "deduplicated"])
def test_each_merge_is_the_most_frequent_pair(runs: bool) -> None:
    inner = speech_like(60, seed=1)
    if not runs:
        inner = [torch.unique_consecutive(x) for x in inner]
    merger = train_merges(inner, UNITS, 60)
    sequences = [x.tolist() for x in inner]
    pairs = learnt_pairs(merger)
    assert len(pairs) == 60 - UNITS
    for new, pair in enumerate(pairs, start=UNITS):
        counts = collections.Counter(p for s in sequences for p in itertools.pairwise(s))
        assert counts[pair] == max(counts.values())
        sequences = [merged(s, pair, new) for s in sequences]
    said = Bpe(None, merger).merge([Codes((x,)) for x in inner])
    assert [c.streams[0].tolist() for c in said] == sequences


def test_round_trip_is_exact_on_units_never_seen() -> None:
    bpe = Bpe(None, train_merges(speech_like(40, seed=1), UNITS, 64))
    draw = torch.Generator().manual_seed(2)
    inner = [torch.randint(UNITS, (n,), generator=draw) for n in (1, 2, 3, 50, 2000)] + speech_like(20, seed=3)
    codes = [Codes((x,), fingerprint="f") for x in inner]
    for before, after in zip(codes, bpe.merge(codes), strict=True):
        back = bpe.expand(after)
        assert torch.equal(back.streams[0], before.streams[0])
        assert (back.durations, back.fingerprint, after.fingerprint) == (None, "f", "f")
        assert after.durations is not None and int(after.durations.sum()) == len(before.streams[0])
        assert int(after.durations.min()) >= 1
        assert int(after.streams[0].max()) < 64


def test_frequent_words_become_short() -> None:
    bpe = Bpe(None, train_merges(speech_like(60, seed=1), UNITS, 128))
    fresh = [Codes((x,)) for x in speech_like(20, seed=9)]
    assert sum(len(c.streams[0]) for c in bpe.merge(fresh)) < 0.5 * sum(len(c.streams[0]) for c in fresh)


def test_durations_of_deduplicated_units_add_up() -> None:
    inner = speech_like(60, seed=1)
    short = [deduplicate(Codes((x,))) for x in inner]
    bpe = Bpe(None, train_merges([c.streams[0] for c in short], UNITS, 64))
    for whole, before, after in zip(inner, short, bpe.merge(short), strict=True):
        assert after.durations is not None and before.durations is not None
        pieces = before.durations.split([len(bpe.expand(Codes((u[None],))).streams[0]) for u in after.streams[0]])
        assert after.durations.tolist() == [int(p.sum()) for p in pieces]
        assert int(after.durations.sum()) == len(whole)
        # The merged unit says which inner units, the inner units' durations would say the rest.
        units = bpe.expand(after).streams[0]
        assert torch.equal(expand(Codes((units,), before.durations)).streams[0], whole)


def test_characters_are_private_and_units_keep_their_numbers() -> None:
    assert text_to_units(units_to_text(torch.tensor([0, 7, MOST_UNITS - 1]))) == [0, 7, MOST_UNITS - 1]
    assert ord(units_to_text(torch.tensor([MOST_UNITS - 1]))) == 0x10FFFF
    ids = train_merges([torch.tensor([5, 3, 5, 3])], UNITS, 20).get_vocab()
    assert [ids[chr(FIRST_CHARACTER + u)] for u in range(UNITS)] == list(range(UNITS))
    assert len(ids) == UNITS + 1  # (5, 3) occurs twice, nothing else does: there is no more to learn


# Fitting


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("bpe-corpus"))


@pytest.fixture(scope="module")
def mfcc(corpus: Manifest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, TokenizerSpec]:
    config = MfccKmeansConfig(clusters=16)
    directory = tmp_path_factory.mktemp("mfcc")
    MfccKmeans.fit(config, {}, corpus, Job(directory, 3, CPU))
    return MfccKmeans.load(config, {}, directory, device=CPU, dtype=torch.float32), units_spec(config, {})


def fitted(inner: Any, spec: TokenizerSpec, data: Manifest, directory: Path, **options: int) -> Bpe:
    directory.mkdir(exist_ok=True)
    config, needs = BpeConfig(**options), {"tokenizer": inner}
    job = Job(directory, 3, CPU, specs={"tokenizer": spec})
    Bpe.fit(config, needs, data, job)
    shutil.rmtree(job.work)  # as core does
    return Bpe.load(config, needs, directory, device=CPU, dtype=torch.float32)


@pytest.mark.parametrize("wrapped", [False, True], ids=["mfcc-kmeans", "dedup of it"])
def test_real_units_get_shorter_and_come_back(
    wrapped: bool, mfcc: tuple[Any, TokenizerSpec], corpus: Manifest, tmp_path: Path
) -> None:
    inner, spec = mfcc
    if wrapped:
        inner, spec = Dedup(inner), dedup_spec(DedupConfig(), {"tokenizer": spec})
    bpe = fitted(inner, spec, corpus, tmp_path, size=96)
    audios = [corpus.audio(row) for row in corpus.rows[:12]]
    before, after = inner.encode(audios), bpe.encode(audios)
    for audio, a, b in zip(audios, before, after, strict=True):
        assert torch.equal(bpe.expand(b).streams[0], a.streams[0])
        assert b.durations is not None and abs(int(b.durations.sum()) - 25 * audio.seconds) <= 2
    assert sum(len(b.streams[0]) for b in after) < 0.8 * sum(len(a.streams[0]) for a in before)


def test_the_same_data_gives_the_same_bytes_and_the_seed_draws(
    mfcc: tuple[Any, TokenizerSpec], corpus: Manifest, tmp_path: Path
) -> None:
    state = torch.get_rng_state()
    for name in ("first", "again"):
        fitted(*mfcc, corpus, tmp_path / name, size=64)
    fitted(*mfcc, corpus, tmp_path / "few", size=64, sample_utterances=2)
    first, again, few = ((tmp_path / name / "bpe.json").read_bytes() for name in ("first", "again", "few"))
    assert first == again != few
    assert torch.equal(state, torch.get_rng_state())


@pytest.fixture
def translated(tmp_path: Path) -> Manifest:
    write(tmp_path / "a.wav", Audio(torch.linspace(-0.5, 0.5, RATE_HZ)[None], RATE_HZ))
    rows = [
        Utterance(id="1", audio="a.wav", target_audio="b.wav"),
        Utterance(id="2", audio="a.wav", offset_s=0.5, duration_s=0.2, target_audio="b.wav"),
        Utterance(id="3", audio="a.wav", target_audio="b.wav"),
        Utterance(id="4", text="no audio"),
        Utterance(id="5", audio="a.wav", split="test", offset_s=0.25),
    ]
    write(tmp_path / "b.wav", Audio(torch.linspace(-0.5, 0.5, RATE_HZ)[None], RATE_HZ))
    write_manifest(tmp_path / "manifest.jsonl", rows)
    return read_manifest(tmp_path / "manifest.jsonl")


def test_each_recording_of_both_sides_counts_once(translated: Manifest) -> None:
    assert [(row.id, column) for row, column in recordings(translated)] == [
        ("1", "audio"),
        ("1", "target_audio"),
        ("2", "audio"),
    ]
    with pytest.raises(InvalidManifest, match='rows with audio in the split "train", got none'):
        recordings(FileManifest((Utterance(id="1", text="no audio"),), translated.root))


def test_the_sample_is_bounded(translated: Manifest, tmp_path: Path) -> None:
    seen: list[int] = []

    class Counting(Fixed):
        def encode(self, audios: list[Audio]) -> list[Codes]:
            seen.append(len(audios))
            return super().encode(audios)

    inner = Counting(*(Codes((x,)) for x in speech_like(3, seed=1)))
    fitted(inner, SPEC, translated, tmp_path / "out", size=14, sample_utterances=2)
    assert seen == [2]


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bpe.json").write_text('{"version": "1.0"')
    with pytest.raises(InvalidArtifact, match=r"bpe\.json: expected merges of units"):
        Bpe.load(BpeConfig(), {"tokenizer": None}, tmp_path, device=CPU, dtype=torch.float32)


def test_an_unknown_unit_cannot_be_expanded() -> None:
    bpe = Bpe(None, train_merges([torch.tensor([5, 3, 5, 3])], UNITS, 20))
    for wrong in (13, -1):
        with pytest.raises(InvalidCodes, match=r"expected units in \[0, 13\)"):
            bpe.expand(Codes((torch.tensor([1, wrong]),)))


# Specs and options


def test_spec_has_a_variable_rate_and_the_inner_base_rate() -> None:
    expected = TokenizerSpec((Stream("unit", 64, None),), RATE_HZ, 1, 25.0)
    config = BpeConfig(size=64)
    assert bpe_spec(config, {"tokenizer": SPEC}) == expected
    assert bpe_spec(config, {"tokenizer": dedup_spec(DedupConfig(), {"tokenizer": SPEC})}) == expected


def test_unit_mel_speaks_merged_units() -> None:
    spec = bpe_spec(BpeConfig(size=64), {"tokenizer": SPEC})
    vocoder = areca_unitmel.spec(areca_unitmel.UnitMelConfig(), {"tokenizer": spec})
    assert vocoder.streams == spec.streams
    assert areca_unitmel.unit_rate_hz(spec) == 25.0


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (
            TokenizerSpec((Stream("rvq-0", 8, 50.0), Stream("rvq-1", 8, 50.0)), RATE_HZ),
            r"one stream, got 2 stream\(s\)",
        ),
        (TokenizerSpec((Stream("unit", 8, None),), RATE_HZ), "at a constant rate or with durations, got .* without"),
        (TokenizerSpec((Stream("unit", 1024, 25.0),), RATE_HZ), "above the 1024 units .* try size: 4096"),
        (TokenizerSpec((Stream("unit", MOST_UNITS + 1, 25.0),), RATE_HZ), "at most 131072 units"),
    ],
    ids=["several streams", "no durations", "too few", "too many"],
)
def test_incompatible_tokenizers_are_refused(inner: TokenizerSpec, message: str) -> None:
    with pytest.raises(IncompatibleParts, match=message):
        bpe_spec(BpeConfig(), {"tokenizer": inner})


@pytest.mark.parametrize("option", ["size", "sample_utterances"])
def test_options_are_positive(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be positive, got 0"):
        build(BpeConfig, {option: 0}, "bpe")
