"""Batches: which examples they hold, and their layout."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import parts

from areca.batching import bucket
from areca.errors import InvalidConfig, InvalidManifest
from areca.lm.model import SpeechLM
from areca.manifest import FileManifest, Manifest, Utterance, read_manifest, write_manifest
from areca.specs import Stream
from areca.tasks import Field, Task
from areca.testing.tiny import tiny_backbone
from areca.training.batches import Batches, Mixture, pack
from areca.training.examples import Examples, LeftOut, collate, write_examples
from areca.training.task_rows import TaskRows
from areca.types import Codes

ASR = Task("ASR", (Field("source.audio"),), (Field("source.text"),))
TTS = Task("TTS", (Field("source.text"),), (Field("source.audio"),))


@pytest.fixture(scope="module")
def lm() -> SpeechLM:
    return SpeechLM.extend(tiny_backbone(), {"speech": (Stream("unit", 20, 25.0),)}, init="normal")


def corpus(rows: int = 30) -> tuple[Manifest, dict[str, dict[str, Codes]]]:
    rng = np.random.default_rng(0)
    utterances = tuple(
        Utterance(id=f"u{i}", audio="x.wav", text="ab " * int(rng.integers(1, 6)), language="fr") for i in range(rows)
    )
    codes = {u.id: Codes((torch.from_numpy(rng.integers(0, 20, int(rng.integers(4, 30)))),)) for u in utterances}
    return FileManifest(utterances, Path("/nowhere")), {("speech", "audio"): codes}


@pytest.fixture(scope="module")
def examples(lm: SpeechLM, tmp_path_factory: pytest.TempPathFactory) -> Examples:
    manifest, codes = corpus()
    tasks = [TaskRows("asr", ASR, 1.0, codes), TaskRows("tts", TTS, 1.0, codes)]
    path = tmp_path_factory.mktemp("examples") / "train.arrow"
    assert write_examples(path, lm, manifest, tasks, longest=100) == [LeftOut(0, 0)] * 2
    return Examples(path, 2)


def test_mixture_has_the_shares_and_shows_every_row_once_in_a_pass() -> None:
    blocks = list(itertools.islice(Mixture((7, 30), (1.0, 3.0), seed=5).blocks(100), 40))
    stream = np.concatenate(blocks)
    first = stream[stream < 7]
    assert len(first) / len(stream) == pytest.approx(0.25, abs=0.03)
    for start in range(0, len(first) // 7 * 7, 7):
        assert sorted(first[start : start + 7]) == list(range(7))
    assert not np.array_equal(first[:7], first[7:14]), "each pass has an order of its own"


def test_mixture_depends_on_its_seed_alone() -> None:
    def start(seed: int) -> list[int]:
        return next(Mixture((50, 50), (1.0, 1.0), seed).blocks(64)).tolist()

    assert start(1) == start(1) != start(2)


def test_bucket_keeps_the_budget_and_wastes_little() -> None:
    lengths = np.random.default_rng(0).integers(10, 200, 500)
    batches = bucket(lengths, 2000)
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    padded = [len(b) * lengths[b].max() for b in batches]
    assert max(padded) <= 2000
    assert all(p + lengths[b].max() > 2000 for p, b in zip(padded[:-1], batches[:-1], strict=True)), "each is full"
    assert lengths.sum() / sum(padded) > 0.95


def test_bucket_gives_what_is_longer_than_the_budget_a_batch_of_its_own() -> None:
    assert [b.tolist() for b in bucket(np.array([5, 900, 6]), 100)] == [[1], [2, 0]]


def test_pack_holds_each_example_once_and_never_overfills() -> None:
    lengths = np.random.default_rng(1).integers(1, 100, 300)
    rows = pack(lengths, 100)
    assert sorted(np.concatenate(rows).tolist()) == list(range(300))
    assert max(lengths[row].sum() for row in rows) <= 100
    assert lengths.sum() / (len(rows) * 100) > 0.95


@pytest.mark.parametrize("row_tokens", [0, 128])
def test_batches_from_any_step_on_are_those_of_the_whole_run(row_tokens: int) -> None:
    lengths = np.random.default_rng(0).integers(5, 60, 90)
    order = Batches(lengths, Mixture((40, 50), (2.0, 1.0), 3), batch_tokens=512, pool=64, row_tokens=row_tokens)
    whole = [[row.tolist() for row in b] for b in itertools.islice(order.rows(), 40)]
    for step in (1, 7, 23):
        assert [[row.tolist() for row in b] for b in itertools.islice(order.rows(step), 40 - step)] == whole[step:]


@pytest.mark.parametrize(("pool", "size"), [(8, 8), (20, 8), (64, 8), (3, 3)])
def test_batches_of_a_number_of_examples_have_exactly_that_number(pool: int, size: int) -> None:
    lengths, mixture = np.random.default_rng(0).integers(2, 60, 50), Mixture((50,), (1.0,), 0)
    order = Batches(lengths, mixture, 64, pool, examples=size)
    batches = [np.concatenate(rows) for rows in itertools.islice(order.rows(), 100)]
    assert {len(batch) for batch in batches} == {size}
    drawn = np.concatenate([*itertools.islice(mixture.blocks(pool), 100 * size // pool + 20)])
    counts = np.bincount(np.concatenate(batches), minlength=50) - np.bincount(drawn[: 100 * size], minlength=50)
    assert abs(counts).sum() <= 2 * (pool + size)  # the same examples, but for those of the open pool


def test_batches_of_whole_pools_do_not_depend_on_the_lengths() -> None:
    mixture = Mixture((30, 20), (2.0, 1.0), 5)
    drawn = []
    for seed in (0, 1):
        lengths = np.random.default_rng(seed).integers(2, 60, 50)
        batches = itertools.islice(Batches(lengths, mixture, 64, 8, examples=8).rows(), 40)
        drawn.append([sorted(np.concatenate(rows).tolist()) for rows in batches])
    assert drawn[0] == drawn[1]


def test_batches_lose_no_example_of_the_mixture() -> None:
    lengths = np.random.default_rng(0).integers(5, 60, 90)
    mixture = Mixture((90,), (1.0,), 3)
    seen = [int(i) for b in itertools.islice(Batches(lengths, mixture, 512, 64).rows(), 60) for row in b for i in row]
    stream = np.concatenate(list(itertools.islice(mixture.blocks(64), 1 + len(seen) // 64)))
    counts = np.bincount(seen, minlength=90) - np.bincount(stream, minlength=90)
    assert np.abs(counts).sum() < 64 + 32, "all but what still waits for its batch"


def test_examples_are_the_lms_own(examples: Examples, lm: SpeechLM) -> None:
    manifest, codes = corpus()
    assert examples.sizes == (30, 30)
    for i in (0, 17, 29):
        row = manifest.rows[i]
        expected = TaskRows("asr", ASR, 1.0, codes).encode(lm, row)
        steps, prompt_length = examples[i]
        assert steps.ids.tolist() == expected.ids.tolist()
        assert prompt_length == expected.prompt_length
        assert examples.lengths[i] == len(steps)


def test_too_long_examples_are_counted(lm: SpeechLM, tmp_path: Path) -> None:
    manifest, codes = corpus()
    task = TaskRows("asr", ASR, 1.0, codes)
    lengths = [len(task.encode(lm, row).ids) for row in manifest.rows]
    longest = sorted(lengths)[20]
    left = write_examples(tmp_path / "x.arrow", lm, manifest, [task], longest=longest)
    assert left == [LeftOut(sum(n > longest for n in lengths), 0)]
    assert Examples(tmp_path / "x.arrow", 1).lengths.max() <= longest


def test_a_task_without_rows_says_what_they_lack(lm: SpeechLM, tmp_path: Path) -> None:
    manifest, codes = corpus()
    mt = Task("MT", (Field("source.text"),), (Field("target.text"),), ("source", "target"))
    with pytest.raises(InvalidManifest, match=r"task mt: no row.*'u0' lacks target.text, target.language"):
        write_examples(tmp_path / "x.arrow", lm, manifest, [TaskRows("mt", mt, 1.0, codes)], longest=100)
    assert not (tmp_path / "x.arrow").exists()


def test_a_language_without_a_name_is_named_by_file_and_row(lm: SpeechLM, tmp_path: Path) -> None:
    manifest, codes = corpus()
    rows = [*manifest.rows[:3], replace(manifest.rows[3], language="xzy"), *manifest.rows[4:]]
    write_manifest(tmp_path / "manifest.jsonl", rows)
    (tmp_path / "x.wav").write_bytes(b"never decoded")
    read = read_manifest(tmp_path / "manifest.jsonl", depth="path").select("train")
    tts = [TaskRows("tts", TTS, 1.0, codes)]
    message = r"manifest\.jsonl: row 'u3', task tts: language 'xzy': expected a code like 'fr' or a name like 'French'"
    with pytest.raises(InvalidConfig, match=message):
        write_examples(tmp_path / "x.arrow", lm, read, tts, longest=100)
    with pytest.raises(InvalidConfig, match=r"/nowhere: row 'u3', task tts: "):
        write_examples(tmp_path / "x.arrow", lm, FileManifest(tuple(rows), Path("/nowhere")), tts, longest=100)
    assert not (tmp_path / "x.arrow").exists()


def test_padding_is_not_a_target(examples: Examples) -> None:
    batch = collate(examples, [np.array([0]), np.array([1]), np.array([45])], pad=7)
    for b, i in enumerate((0, 1, 45)):
        steps, prompt_length = examples[i]
        ids = steps.ids
        assert batch["ids"][b, : len(ids)].tolist() == ids.tolist()
        assert set(batch["ids"][b, len(ids) :].tolist()) <= {7}
        assert batch["target"][b].nonzero().flatten().tolist() == list(range(prompt_length, len(ids)))
    assert "position_ids" not in batch


def test_packed_and_padded_loss_agree(examples: Examples, lm: SpeechLM) -> None:
    numbers = np.arange(0, 60, 5)
    padded = collate(examples, list(numbers[:, None]), pad=0)
    packed = collate(examples, [numbers[row] for row in pack(examples.lengths[numbers], 160)], pad=0)
    assert packed["ids"].shape[0] < len(numbers)
    with torch.no_grad():
        a, n = parts.loss(lm, padded["ids"], padded["target"])
        b, m = parts.loss(lm, packed["ids"], packed["target"], position_ids=packed["position_ids"])
    assert n == m
    assert float(a) == pytest.approx(float(b), rel=1e-4)
