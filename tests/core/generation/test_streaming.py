"""The pieces of streamed answers are the answers that `generate` gives, and come as early as they are known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests import parts

from areca.generation.generate import generate
from areca.generation.streaming import Piece, stream
from areca.lm.model import SpeechLM
from areca.run.options import Limits
from areca.specs import Stream
from areca.tasks import AudioSegment, Field, Task
from areca.testing.tiny import tiny_backbone
from areca.types import Codes

STREAMS = tuple(Stream(f"q-{k}", 4, 25.0) for k in range(3))
TASK = Task("X", (Field("source.text"),), (Field("target.text"), Field("target.audio"), Field("source.audio")))
LIMITS = Limits(max_text_ids=6, max_audio_frames=8)
PATTERNS = ("flatten", "coarse-first", "delay", "parallel", "parallel-delay")


def answered(pattern: str, method: str = "sample", **options: Any) -> tuple[Any, list[Piece]]:
    lm = SpeechLM.extend(tiny_backbone(), {"speech": STREAMS}, pattern=parts.pattern(pattern), init="normal").eval()
    with torch.no_grad():  # with such small weights every id would be as likely as any other
        lm.model.get_output_embeddings().weight.mul_(6)
    prompts = [lm.prompt(TASK, {"source.text": text, "source.language": "fr"}) for text in ("un", "deux trois", "")]
    how = parts.method(method, **options)
    whole = generate(lm, prompts, TASK.outputs, how, LIMITS, generator=torch.Generator().manual_seed(3))
    pieces = stream(lm, prompts, TASK.outputs, how, LIMITS, generator=torch.Generator().manual_seed(3))
    return [(lm, answer) for answer in whole], list(pieces)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_pieces_are_the_whole(pattern: str) -> None:
    whole, pieces = answered(pattern)
    for request, (lm, answer) in enumerate(whole):
        for number, segment in enumerate(answer.segments):
            mine = [p for p in pieces if (p.request, p.segment) == (request, number)]
            assert [p.last for p in mine] == [False] * (len(mine) - 1) + [True]
            if isinstance(segment, AudioSegment):
                chunks = [p.codes for p in mine if p.codes is not None]
                joined = Codes(tuple(torch.cat([c.streams[k] for c in chunks]) for k in range(3)))
                assert all(torch.equal(a, b) for a, b in zip(joined.streams, segment.codes.streams, strict=True))
            else:
                assert lm.text_tokenizer.decode([i for p in mine for i in p.ids]) == segment.text
        assert [p.segment for p in pieces if p.request == request and p.last] == [0, 1, 2]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_only_a_pattern_of_one_stream_after_another_delays_frames(pattern: str) -> None:
    lm = SpeechLM.extend(tiny_backbone(), {"speech": STREAMS}, pattern=parts.pattern(pattern))
    assert lm.writes.delays_frames == (pattern == "coarse-first")
    assert not lm.writes.part((0, 1)).delays_frames


def test_a_piece_states_whether_the_limit_ended_its_segment() -> None:
    whole, pieces = answered("delay")
    ends = [[p.cut for p in pieces if p.request == request and p.last] for request in range(3)]
    assert ends == [[*answer.cut] for _, answer in whole] and any(map(any, ends))
    assert not any(p.cut for p in pieces if not p.last)


@pytest.mark.parametrize("pattern", sorted({*PATTERNS} - {"coarse-first"}))
def test_frames_come_one_by_one_before_their_segment_ends(pattern: str) -> None:
    _, pieces = answered(pattern, "greedy")
    sizes = [len(p.codes.streams[0]) for p in pieces if p.codes is not None and not p.last]
    assert set(sizes) == {1}


def test_beam_search_yields_at_the_end() -> None:
    _, pieces = answered("delay", "beam", beams=2)
    assert len(pieces) == 9 and all(piece.last for piece in pieces)
