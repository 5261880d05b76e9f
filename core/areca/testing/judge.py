"""What every judge must do."""

from __future__ import annotations

import torch

from areca.errors import InvalidAudio
from areca.specs import JudgeSpec
from areca.testing.checked import CheckedComponent
from areca.testing.tools import refuses, with_global_seed
from areca.types import Audio

_ANY = "en"
"""The language asked of a judge of any language."""
_HEARD = 3


def check_transcripts(checked: CheckedComponent) -> None:
    """It returns one text for each audio."""
    _ = checked.instance
    audios = checked.audios[:_HEARD]
    texts = _transcribe(checked, audios)
    assert len(texts) == len(audios), f"{len(audios)} audios gave {len(texts)} texts"
    assert all(isinstance(text, str) for text in texts), f"expected texts, got {texts}"


def check_batch_equals_alone(checked: CheckedComponent) -> None:
    """A recording's transcript does not depend on what is transcribed beside it."""
    _ = checked.instance
    audios = checked.audios[:_HEARD]
    together, alone = _transcribe(checked, audios), [_transcribe(checked, [audio])[0] for audio in audios]
    differing = [pair for pair in zip(together, alone, strict=False) if pair[0] != pair[1]]
    assert not differing, f"together and alone, it says {differing}"


def check_repeat_is_exact(checked: CheckedComponent) -> None:
    """The same audio gives the same text, whatever the global random state, and leaves that alone."""
    _ = checked.instance
    audios = checked.audios[:_HEARD]
    first, again = (with_global_seed(seed, lambda: _transcribe(checked, audios), "transcribing") for seed in (1, 2))
    assert first == again, f"the same audio was transcribed as {first}, then as {again}"


def check_refuses_wrong_audio(checked: CheckedComponent) -> None:
    """Nothing, and audio of another rate, are `InvalidAudio`."""
    _ = checked.instance
    refuses(InvalidAudio, lambda: _transcribe(checked, []), "an empty list")
    rate_hz = _spec(checked).sample_rate_hz + 1
    other = Audio(torch.zeros(1, rate_hz), rate_hz)
    refuses(InvalidAudio, lambda: _transcribe(checked, [other]), f"audio of {rate_hz} Hz")


def _transcribe(checked: CheckedComponent, audios: list[Audio]) -> list[str]:
    language = next(iter(_spec(checked).languages), _ANY)
    return list(checked.instance.transcribe(audios, language))


def _spec(checked: CheckedComponent) -> JudgeSpec:
    spec = checked.part.spec
    assert isinstance(spec, JudgeSpec)
    return spec
