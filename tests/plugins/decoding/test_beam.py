"""Beam search over a batch gives the answers of single requests, in as many passes as the longest search needs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests import parts

from areca.generation.generate import generate
from areca.generation.stepping import Stepper
from areca.lm.model import SpeechLM
from areca.lm.steps import Steps
from areca.run.options import Limits
from areca.specs import Stream
from areca.system import NANO, load
from areca.tasks import Field, Task
from areca.testing.tiny import tiny_backbone

FIELDS = {
    "text": (Field("target.text"),),
    "audio": (Field("target.audio"),),
    "chain": (Field("source.text"), Field("target.audio"), Field("target.text")),
}
LIMITS = Limits(max_text_ids=6, max_audio_frames=7)
TEXTS = ("un", "deux cent trois", "", "quatre vingt", "dix mille et un", "six")


def tiny(init: Any = "normal", pattern: str = "flatten") -> SpeechLM:
    streams = tuple(Stream(f"q-{k}", 9, 25.0) for k in range(2))
    lm = SpeechLM.extend(tiny_backbone(), {"speech": streams}, pattern=parts.pattern(pattern), init=init).eval()
    with torch.no_grad():  # with such small weights every id would be as likely as any other
        lm.model.get_output_embeddings().weight.mul_(6)
    return lm


def prompts_of(lm: SpeechLM) -> list[Steps]:
    task = Task("X", (Field("source.text"),), (Field("target.text"),))
    return [lm.prompt(task, {"source.text": text, "source.language": "fr"}) for text in TEXTS]


def search(lm: SpeechLM, prompts: list[Steps], kind: str, **options: Any) -> list[tuple[int, ...]]:
    return [answer.ids for answer in generate(lm, prompts, FIELDS[kind], parts.method("beam", **options), LIMITS)]


@pytest.mark.parametrize("options", [{"beams": 2}, {"beams": 4}, {"beams": 4, "length_penalty": 0.0}], ids=str)
@pytest.mark.parametrize("pattern", ["flatten", "delay"])
@pytest.mark.parametrize("kind", FIELDS)
def test_a_batch_gives_the_answers_of_single_requests(kind: str, pattern: str, options: dict[str, Any]) -> None:
    lm = tiny(pattern=pattern)
    prompts = prompts_of(lm)
    alone = [search(lm, [prompt], kind, **options)[0] for prompt in prompts]
    assert search(lm, prompts, kind, **options) == alone


def test_ties_are_broken_as_for_single_requests() -> None:
    """New rows of zeros: all codes are equally likely, so that every choice among them is a tie."""
    lm = tiny(init="zero")
    prompts = prompts_of(lm)
    for kind in ("audio", "chain"):
        alone = [search(lm, [prompt], kind, beams=3)[0] for prompt in prompts]
        assert search(lm, prompts, kind, beams=3) == alone


def test_an_empty_prompt_is_answered() -> None:
    lm = tiny()
    empty, other = Steps.of([]), prompts_of(lm)[0]
    alone = [search(lm, [prompt], "audio", beams=3)[0] for prompt in (empty, other)]
    assert search(lm, [empty, other], "audio", beams=3) == alone


def test_the_requests_of_a_batch_share_passes_and_leave_when_they_are_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped model answers as for single requests, in as many passes as the longest search takes."""
    system, rows, step = load(NANO), list[int](), Stepper.step

    def count_rows(stepper: Stepper, steps: Any) -> None:
        rows.append(len(steps))
        step(stepper, steps)

    monkeypatch.setattr(Stepper, "step", count_rows)
    texts = ["quarante deux", "le trois mai", "mille", "dix sept heures vingt cinq", "zéro"]
    options: dict[str, Any] = {"source": "fr", "target": "en", "decoding": {"name": "beam", "beams": 4}}
    alone, searches = [], []
    for text in texts:
        alone.append(system.run("mt", text=text, **options).texts)
        searches.append([*rows])
        rows.clear()
    assert [answer.texts for answer in system.answer("mt", texts, **options)] == alone
    assert len({text["target.text"] for text in alone}) == 5 and len({*map(len, searches)}) == 3
    assert rows == [sum(one[n] for one in searches if n < len(one)) for n in range(max(map(len, searches)))]
    assert max(rows) <= 4 * len(texts)
