"""What every vocoder must do."""

from __future__ import annotations

import torch

from areca.errors import ArecaError, InvalidCodes
from areca.specs import VocoderSpec
from areca.testing.fitting import check_fit_is_deterministic, check_fit_resumes
from areca.testing.subject import Subject
from areca.testing.tools import refuses, with_global_seed
from areca.types import Audio, Codes, VoicePrompt

__all__ = ["check_fit_is_deterministic", "check_fit_resumes"]

SECONDS = (0.5, 1.2)
"""Lengths of what is synthesised."""
VARYING_RATE_HZ = 10.0
"""Codes a second that a stream of variable rate is given."""


def check_audio(subject: Subject) -> None:
    """It returns one finite `Audio` of the spec's rate for each `Codes`."""
    codes = _codes(subject)
    audios = _speak(subject, codes, seed=0)
    assert len(audios) == len(codes), f"{len(codes)} Codes gave {len(audios)} audios"
    for audio in audios:
        assert isinstance(audio, Audio), f"synthesize returned {type(audio).__name__}, expected Audio"
        rate_hz = _spec(subject).sample_rate_hz
        assert audio.sample_rate_hz == rate_hz, f"the spec says {rate_hz} Hz, the audio has {audio.sample_rate_hz} Hz"


def check_randomness(subject: Subject) -> None:
    """The same generator gives the same audio; the global random state is neither used nor moved."""
    _ = subject.instance
    codes = _codes(subject)

    def speak() -> list[Audio]:
        return list(subject.load().synthesize(codes, [None] * len(codes), generator=torch.Generator().manual_seed(5)))

    first, again = (with_global_seed(seed, speak, "loading and synthesising") for seed in (1, 2))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a.samples, b.samples), "the same codes and the same generator gave other audio"


def check_voice(subject: Subject) -> None:
    """With the tag ``voice`` it takes a voice prompt; without, it refuses one."""
    _ = subject.instance
    codes = _codes(subject)[:1]
    voice = _voice(subject, 0)
    if "voice" in subject.component.tags:
        assert len(_speak(subject, codes, seed=0, voice=voice)) == 1
    else:
        refuses(ArecaError, lambda: _speak(subject, codes, seed=0, voice=voice), "a voice, without the tag voice,")


def check_voice_is_heard(subject: Subject) -> None:
    """With the tag ``voice``, the voices of two speakers give different audio."""
    subject.require("voice")
    codes = _codes(subject)[:1]
    [one], [other] = (_speak(subject, codes, seed=0, voice=_voice(subject, row)) for row in (0, 1))
    same = one.samples.shape == other.samples.shape and torch.equal(one.samples, other.samples)
    assert not same, "the voices of two speakers gave the same audio"


def check_refuses_wrong_codes(subject: Subject) -> None:
    """Nothing, and codes out of range, are `InvalidCodes`."""
    _ = subject.instance
    stream, good = _spec(subject).streams[0], _codes(subject)[0]
    refuses(InvalidCodes, lambda: _speak(subject, [], seed=0), "an empty list")
    for code in (-1, stream.size):
        wrong = good.streams[0].clone()
        wrong[0] = code
        bad = Codes((wrong, *good.streams[1:]))
        refuses(InvalidCodes, lambda bad=bad: _speak(subject, [bad], seed=0), f"code {code} of {stream}")  # type: ignore[misc]


def _voice(subject: Subject, row: int) -> VoicePrompt:
    """Return a recording of the corpus, whose speakers take turns."""
    return VoicePrompt(subject.manifest.audio(subject.manifest.rows[row]))


def _spec(subject: Subject) -> VocoderSpec:
    spec = subject.part.spec
    assert isinstance(spec, VocoderSpec)
    return spec


def _codes(subject: Subject) -> list[Codes]:
    generator = torch.Generator().manual_seed(11)
    return [
        Codes(
            tuple(
                torch.randint(s.size, (round(seconds * (s.frame_rate_hz or VARYING_RATE_HZ)),), generator=generator)
                for s in _spec(subject).streams
            )
        )
        for seconds in SECONDS
    ]


def _speak(subject: Subject, codes: list[Codes], *, seed: int, voice: VoicePrompt | None = None) -> list[Audio]:
    generator = torch.Generator().manual_seed(seed)
    return list(subject.instance.synthesize(codes, [voice] * len(codes), generator=generator))
