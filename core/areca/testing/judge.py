"""What every judge must do."""

from __future__ import annotations

import torch

from areca.errors import InvalidAudio
from areca.specs import JudgeSpec
from areca.testing.subject import Subject
from areca.testing.tools import refuses, with_global_seed
from areca.types import Audio

_ANY = "en"
"""The language asked of a judge of any language."""
_HEARD = 3


def check_transcripts(subject: Subject) -> None:
    """It returns one text for each audio."""
    _ = subject.instance
    audios = subject.audios[:_HEARD]
    texts = _transcribe(subject, audios)
    assert len(texts) == len(audios), f"{len(audios)} audios gave {len(texts)} texts"
    assert all(isinstance(text, str) for text in texts), f"expected texts, got {texts}"


def check_batch_equals_alone(subject: Subject) -> None:
    """A recording's transcript does not depend on what is transcribed beside it."""
    _ = subject.instance
    audios = subject.audios[:_HEARD]
    together, alone = _transcribe(subject, audios), [_transcribe(subject, [audio])[0] for audio in audios]
    differing = [pair for pair in zip(together, alone, strict=False) if pair[0] != pair[1]]
    assert not differing, f"together and alone, it says {differing}"


def check_repeat_is_exact(subject: Subject) -> None:
    """The same audio gives the same text, whatever the global random state, and leaves that alone."""
    _ = subject.instance
    audios = subject.audios[:_HEARD]
    first, again = (with_global_seed(seed, lambda: _transcribe(subject, audios), "transcribing") for seed in (1, 2))
    assert first == again, f"the same audio was transcribed as {first}, then as {again}"


def check_refuses_wrong_audio(subject: Subject) -> None:
    """Nothing, and audio of another rate, are `InvalidAudio`."""
    _ = subject.instance
    refuses(InvalidAudio, lambda: _transcribe(subject, []), "an empty list")
    rate_hz = _spec(subject).sample_rate_hz + 1
    other = Audio(torch.zeros(1, rate_hz), rate_hz)
    refuses(InvalidAudio, lambda: _transcribe(subject, [other]), f"audio of {rate_hz} Hz")


def _transcribe(subject: Subject, audios: list[Audio]) -> list[str]:
    language = next(iter(_spec(subject).languages), _ANY)
    return list(subject.instance.transcribe(audios, language))


def _spec(subject: Subject) -> JudgeSpec:
    spec = subject.part.spec
    assert isinstance(spec, JudgeSpec)
    return spec
