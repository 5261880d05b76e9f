"""Counts of what a dataset leaves out."""

from __future__ import annotations

from areca.fitting.recordings.left_out import LeftOut


def test_reasons_are_counted_with_their_first_example_and_counts_can_be_added_up() -> None:
    left_out = LeftOut()
    left_out.add("too short", "a.wav")
    left_out.add("silent", "b.wav")
    left_out.add("silent", "c.wav")
    assert left_out.messages == ["2 x silent (first: b.wav)", "1 x too short (first: a.wav)"]
    total = LeftOut()
    for _ in range(600):
        for counted in left_out.counts:
            total.add(*counted)
    assert total.messages == ["1,200 x silent (first: b.wav)", "600 x too short (first: a.wav)"]
