"""Codes of a task's fields: spans that are the same for every tokenizer, voice prompts, parts of the streams."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from areca.fields import Field
from areca.lm.crops import crop, join, seconds_of
from areca.manifest import Utterance
from areca.rows.voices import Voices
from areca.specs import Stream, TokenizerSpec
from areca.tasks import Task
from areca.training.task_rows import Spans, TaskRows
from areca.types import Codes

SPECS = {
    "units": TokenizerSpec((Stream("unit", 10_000, 25.0),), 16_000),
    "acoustic": TokenizerSpec((Stream("coarse", 10_000, 50.0), Stream("fine", 10_000, 100.0)), 16_000),
    "dedup": TokenizerSpec((Stream("unit", 10_000, None),), 16_000, base_rate_hz=25.0),
}


def recording(frames: int, first: int = 0) -> dict[str, Codes]:
    """Codes that are their own position in their stream, counted from `first` frames of 40 ms."""
    times = [torch.arange(first * n, (first + frames) * n) for n in (1, 2, 4)]
    ends = torch.tensor([3] * (frames // 3) + ([frames % 3] if frames % 3 else []))
    return {
        "units": Codes((times[0],)),
        "acoustic": Codes((times[1], times[2])),
        "dedup": Codes((first + ends.cumsum(0) - ends,), ends),
    }


@pytest.mark.parametrize("start", [0.0, 0.37, 0.999])
def test_a_crop_is_the_same_span_of_time_for_every_tokenizer(start: float) -> None:
    cut, length_s = crop(recording(100), SPECS, 1.0, start)
    assert length_s == 1.0
    first = int(cut["units"].streams[0][0])
    assert first == int(start * 76)  # 100 frames hold 76 spans of 25
    coarse, fine = cut["acoustic"].streams
    assert cut["units"].streams[0].tolist() == list(range(first, first + 25))
    assert coarse.tolist() == list(range(2 * first, 2 * first + 50))
    assert fine.tolist() == list(range(4 * first, 4 * first + 100))
    durations = cut["dedup"].durations
    assert durations is not None and int(durations.sum()) == 25
    repeated = (cut["dedup"].streams[0]).repeat_interleave(durations)
    assert repeated.tolist() == [3 * (i // 3) for i in range(first, first + 25)]


def test_a_short_recording_stays_whole() -> None:
    whole = recording(20)
    cut, length_s = crop(whole, SPECS, 1.0, 0.5)
    assert cut is whole and length_s == pytest.approx(0.8)
    assert len(crop(whole, SPECS, 0.01, 0.5)[0]["units"].streams[0]) == 1  # at least a frame


def test_pieces_are_joined_with_their_durations() -> None:
    joined = join([recording(10)["dedup"], recording(5, first=50)["dedup"]])
    assert seconds_of(joined, SPECS["dedup"]) == pytest.approx(15 / 25)
    assert joined.streams[0].tolist() == [0, 3, 6, 9, 50, 53]


ROWS = [Utterance(id=f"{who}{i}", audio=f"{who}{i}.wav", speaker=who) for who in "ab" for i in range(4)]
ALONE = Utterance(id="alone", audio="alone.wav", speaker="c")
NOBODY = Utterance(id="nobody", audio="nobody.wav")
TWIN = dataclasses.replace(ROWS[0], id="twin", text="the same recording once more")


def test_a_voice_is_that_of_other_recordings_of_the_speaker() -> None:
    voices = Voices([*ROWS, TWIN, ALONE, NOBODY], seed=0)
    assert {row.id for row in voices.rows(ROWS[0])} == {"a1", "a2", "a3"}
    assert voices.rows(ALONE) == [ALONE] and voices.rows(NOBODY) == [NOBODY]
    assert voices.rows(ROWS[0]) == Voices([*ROWS, TWIN, ALONE, NOBODY], seed=0).rows(ROWS[0])
    orders = {tuple(row.id for row in Voices(ROWS, seed).rows(ROWS[1])) for seed in range(8)}
    assert len(orders) > 1


def task_rows(task: Task, frames: int, seed: int = 0) -> TaskRows:
    rows = [*ROWS, ALONE, NOBODY]
    found = {row.id: recording(frames, first=1000 * i) for i, row in enumerate(rows)}
    tables = {(role, "audio"): {name: codes[role] for name, codes in found.items()} for role in SPECS}
    return TaskRows("x", task, 1.0, tables, "units", "acoustic", Spans(SPECS, Voices(rows, seed), seed))  # type: ignore[arg-type]


@pytest.mark.parametrize(("frames", "sources"), [(200, 1), (30, 3)])
def test_a_voice_prompt_in_two_roles_holds_the_same_recordings(frames: int, sources: int) -> None:
    voice = Field("voice.audio"), Field("voice.audio", "acoustic", (0, 1))
    task = Task("TTS", voice, (Field("source.audio"),), format="")
    read, written = task_rows(task, frames).values(ROWS[0])
    units, coarse = read["voice.audio"], read["voice.audio:acoustic[0:1]"]
    assert isinstance(units, Codes) and isinstance(coarse, Codes) and len(coarse.streams) == 1
    assert len(units.streams[0]) == 75  # 3 s
    assert torch.equal(coarse.streams[0][::2], 2 * units.streams[0])
    assert {int(x) // 1000 for x in units.streams[0]} <= {1, 2, 3}  # rows a1, a2, a3
    assert len({int(x) // 1000 for x in units.streams[0]}) == sources
    answer = written["source.audio"]
    assert isinstance(answer, Codes) and answer.streams[0].tolist() == list(range(2 * frames))


def test_a_row_without_another_of_its_speaker_is_its_own_voice() -> None:
    task = Task("TTS", (Field("voice.audio", crop_s=1),), (Field("source.audio"),), format="")
    read, _ = task_rows(task, 100).values(ALONE)
    voice = read["voice.audio"]
    assert isinstance(voice, Codes) and len(voice.streams[0]) == 25
    assert {int(x) // 1000 for x in voice.streams[0]} == {8}


def test_a_crop_is_drawn_by_seed_and_shared_by_both_sides() -> None:
    first, second = Field("source.audio", "acoustic", (0, 1), 1.0), Field("source.audio", "acoustic", (1, 2), 1.0)
    task = Task("FINE", (first,), (second,), format="")
    starts = set()
    for seed in range(6):
        read, written = task_rows(task, 100, seed).values(ROWS[0])
        coarse, fine = read[first.name], written[second.name]
        assert isinstance(coarse, Codes) and isinstance(fine, Codes)
        assert torch.equal(fine.streams[0][::2], 2 * coarse.streams[0])
        again = task_rows(task, 100, seed).values(ROWS[0])[0][first.name]
        assert isinstance(again, Codes) and torch.equal(again.streams[0], coarse.streams[0])
        starts.add(int(coarse.streams[0][0]))
    assert len(starts) > 2
