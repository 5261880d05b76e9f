"""Conformance checks of decoding methods, on a tiny LM with random weights."""

from __future__ import annotations

from functools import lru_cache
from itertools import takewhile

import torch

from areca.fields import Field
from areca.generation.generate import Generated, generate
from areca.lm.model import SpeechLM
from areca.lm.steps import Steps
from areca.lm.vocabulary import Control
from areca.run.options import Limits
from areca.specs import DecodingSpec, Stream
from areca.testing.checked import CheckedComponent
from areca.testing.tools import with_global_seed

_FIELDS = (Field("source.text"), Field("target.audio"), Field("target.text"))
_LIMITS = Limits(max_text_ids=6, max_audio_frames=8)
_UNITS = 20
_LENGTHS = (5, 12, 2)
"""Ids of each prompt."""


def check_rules(checked: CheckedComponent) -> None:
    """Segments come in order, hold ids of their kind, end, and are not longer than the limits."""
    lm = _lm()
    for answer in _answers(checked, _prompts(lm)):
        _check_answer(lm, answer)


def check_batch_equals_alone(checked: CheckedComponent) -> None:
    """Each prompt gets the answer that it gets alone."""
    prompts = _prompts(_lm())
    together, source = _answers(checked, prompts), torch.Generator().manual_seed(1)
    alone = [_answers(checked, [prompt], source)[0] for prompt in prompts]
    differing = [n for n, (a, b) in enumerate(zip(together, alone, strict=True)) if a.ids != b.ids]
    assert not differing, f"answered together and alone, the answers to the prompts {differing} differ"


def check_repeat_is_exact(checked: CheckedComponent) -> None:
    """The same generator state gives the same answers; the global random state is neither used nor changed."""
    prompts = _prompts(_lm())
    repeats = [with_global_seed(seed, lambda: _ids(_answers(checked, prompts)), "decoding") for seed in (1, 2)]
    assert repeats[0] == repeats[1], (
        "the same generator state gave other answers: use no other randomness, and no state"
    )


def check_spec_matches(checked: CheckedComponent) -> None:
    """Different seeds give different answers if the spec says that the method is random, otherwise the same answers."""
    spec = checked.part.spec
    assert isinstance(spec, DecodingSpec)
    prompts = _prompts(_lm())
    found = {_ids(_answers(checked, prompts, torch.Generator().manual_seed(seed))) for seed in range(8)}
    what = "random" if spec.random else "deterministic"
    assert (len(found) > 1) == spec.random, f"the spec says {what}; 8 seeds gave {len(found)} different answers"


def _check_answer(lm: SpeechLM, answer: Generated) -> None:
    """Check the ids by rules that are independent of those in `areca.generation`."""
    control, ids, unit = lm.vocabulary.control, list(answer.ids), lm.vocabulary.span("speech/0")
    for kind in (field.kind for field in _FIELDS):
        audio = kind == "audio"
        if audio:
            begin = ids.pop(0) if ids else None
            assert begin == control(Control.BEGIN_AUDIO), f"an audio segment begins with id {begin}"
        end = control(Control.END_AUDIO if audio else Control.END_SEGMENT)
        body = list(takewhile(lambda i, end=end: i != end, ids))  # type: ignore[misc]
        inside = unit if audio else range(lm.vocabulary.text_size)
        most = _LIMITS.max_audio_frames if audio else _LIMITS.max_text_ids
        assert len(body) < len(ids), f"the {kind} segment has no end"
        assert all(i in inside for i in body), f"the {kind} segment holds {body}, expected ids in {inside}"
        assert audio <= len(body) <= most, f"the {kind} segment has {len(body)} ids, at most {most} are allowed"
        ids = ids[len(body) + 1 :]
    assert ids == [control(Control.END_SEQUENCE)], f"after the last segment come {ids}, expected the end of the answer"


def _answers(
    checked: CheckedComponent, prompts: list[Steps], generator: torch.Generator | None = None
) -> list[Generated]:
    generator = generator or torch.Generator().manual_seed(1)
    return generate(_lm(), prompts, _FIELDS, checked.instance, _LIMITS, generator=generator)


def _ids(answers: list[Generated]) -> tuple[tuple[int, ...], ...]:
    return tuple(answer.ids for answer in answers)


def _prompts(lm: SpeechLM) -> list[Steps]:
    start = lm.vocabulary.span("speech/0").start
    return [Steps.of([start + (7 * k) % _UNITS for k in range(length)]) for length in _LENGTHS]


@lru_cache(maxsize=1)
def _lm() -> SpeechLM:
    from areca.testing.tiny import tiny_backbone

    lm = SpeechLM.extend(tiny_backbone(), {"speech": (Stream("units", _UNITS, 25.0),)}, init="normal")
    with torch.no_grad():  # with such small weights, every id would be as likely as any other
        lm.model.get_output_embeddings().weight.mul_(8)
    return lm
