"""Conformance checks of judges."""

from __future__ import annotations

import torch

from areca.errors import InvalidAudio
from areca.specs import JudgeSpec
from areca.testing.checked import CheckedComponent
from areca.testing.tools import expect_refusal, with_global_seed
from areca.types import Audio

_ANY = "en"
"""The language requested from a judge that takes any language."""
_TRANSCRIBED = 3
"""Recordings that each check transcribes."""


def check_transcripts(checked: CheckedComponent) -> None:
    """It returns one text per audio."""
    _ = checked.instance
    audios = checked.audios[:_TRANSCRIBED]
    texts = _transcribe(checked, audios)
    assert len(texts) == len(audios), f"{len(audios)} audios gave {len(texts)} texts"
    assert all(isinstance(text, str) for text in texts), f"expected texts, got {texts}"


def check_batch_equals_alone(checked: CheckedComponent) -> None:
    """A recording's transcript does not depend on the other recordings in the list."""
    _ = checked.instance
    audios = checked.audios[:_TRANSCRIBED]
    together, alone = _transcribe(checked, audios), [_transcribe(checked, [audio])[0] for audio in audios]
    differing = [pair for pair in zip(together, alone, strict=False) if pair[0] != pair[1]]
    assert not differing, f"transcripts (in a list, alone) differ: {differing}"


def check_repeat_is_exact(checked: CheckedComponent) -> None:
    """The same audio gives the same text, and transcribing neither uses nor changes the global random state."""
    _ = checked.instance
    audios = checked.audios[:_TRANSCRIBED]
    first, second = (with_global_seed(seed, lambda: _transcribe(checked, audios), "transcribing") for seed in (1, 2))
    assert first == second, f"the same audio was transcribed as {first}, then as {second}"


def check_refuses_wrong_audio(checked: CheckedComponent) -> None:
    """An empty list and audio at another rate raise `InvalidAudio`."""
    _ = checked.instance
    expect_refusal(InvalidAudio, lambda: _transcribe(checked, []), "an empty list")
    rate_hz = _spec(checked).sample_rate_hz + 1
    other = Audio(torch.zeros(1, rate_hz), rate_hz)
    expect_refusal(InvalidAudio, lambda: _transcribe(checked, [other]), f"audio at {rate_hz} Hz")


def _transcribe(checked: CheckedComponent, audios: list[Audio]) -> list[str]:
    language = next(iter(_spec(checked).languages), _ANY)
    return list(checked.instance.transcribe(audios, language))


def _spec(checked: CheckedComponent) -> JudgeSpec:
    spec = checked.part.spec
    assert isinstance(spec, JudgeSpec)
    return spec
