"""Conformance checks of vocoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from areca.errors import ArecaError, InvalidCodes
from areca.interfaces import SpeechSession
from areca.specs import VocoderSpec
from areca.testing.checked import CheckedComponent
from areca.testing.fitting import check_fit_is_deterministic, check_fit_resumes
from areca.testing.streaming import (
    LONG_S,
    expect_early_audio,
    expect_independence,
    expect_pieces_of_wholes,
    expect_refused_codes,
)
from areca.testing.tools import expect_refusal, with_global_seed
from areca.types import Audio, Codes, VoicePrompt

__all__ = ["check_fit_is_deterministic", "check_fit_resumes"]

SECONDS = (0.5, 1.2)
"""Lengths of the synthesised utterances."""
VARYING_RATE_HZ = 10.0
"""Codes per second in a stream of variable rate."""


def check_audio(checked: CheckedComponent) -> None:
    """It returns one finite `Audio` at the spec's rate per `Codes`."""
    codes = _codes(checked)
    audios = _speak(checked, codes, seed=0)
    assert len(audios) == len(codes), f"{len(codes)} Codes gave {len(audios)} audios"
    for audio in audios:
        assert isinstance(audio, Audio), f"synthesize returned {type(audio).__name__}, expected Audio"
        rate_hz = _spec(checked).sample_rate_hz
        assert audio.sample_rate_hz == rate_hz, f"the spec says {rate_hz} Hz, the audio has {audio.sample_rate_hz} Hz"


def check_randomness(checked: CheckedComponent) -> None:
    """The same generator gives the same audio, and synthesis neither uses nor changes the global random state."""
    _ = checked.instance
    codes = _codes(checked)

    def speak() -> list[Audio]:
        return list(checked.load().synthesize(codes, [None] * len(codes), generator=torch.Generator().manual_seed(5)))

    first, second = (with_global_seed(seed, speak, "loading and synthesising") for seed in (1, 2))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a.samples, b.samples), "the same codes and the same generator gave different audio"


def check_voice(checked: CheckedComponent) -> None:
    """With the tag ``voice`` it accepts a voice prompt; without the tag it refuses one."""
    _ = checked.instance
    codes = _codes(checked)[:1]
    voice = _voice(checked, 0)
    if "voice" in checked.part.tags:
        assert len(_speak(checked, codes, seed=0, voice=voice)) == 1
    else:
        expect_refusal(
            ArecaError, lambda: _speak(checked, codes, seed=0, voice=voice), "a voice, without the tag voice,"
        )


def check_voices_differ(checked: CheckedComponent) -> None:
    """With the tag ``voice``, the voices of two speakers give different audio."""
    checked.require("voice")
    codes = _codes(checked)[:1]
    [one], [other] = (_speak(checked, codes, seed=0, voice=_voice(checked, row)) for row in (0, 1))
    same = one.samples.shape == other.samples.shape and torch.equal(one.samples, other.samples)
    assert not same, "the voices of two speakers gave the same audio"


def check_refuses_wrong_codes(checked: CheckedComponent) -> None:
    """An empty list and codes out of range raise `InvalidCodes`."""
    _ = checked.instance
    stream, good = _spec(checked).streams[0], _codes(checked)[0]
    expect_refusal(InvalidCodes, lambda: _speak(checked, [], seed=0), "an empty list")
    for code in (-1, stream.size):
        wrong = good.streams[0].clone()
        wrong[0] = code
        bad = Codes((wrong, *good.streams[1:]))
        expect_refusal(InvalidCodes, lambda bad=bad: _speak(checked, [bad], seed=0), f"code {code} of {stream}")  # type: ignore[misc]


def check_stream(checked: CheckedComponent) -> None:
    """Pushes of any size together give the audio that `synthesize` gives for the whole, in the vocoder's own voice."""
    checked.require("stream")
    codes = _codes(checked)
    wholes = [whole for one in codes for whole in _speak(checked, [one], seed=3)]
    expect_pieces_of_wholes(_opening(checked), codes, _spec(checked).streams, wholes)


def check_stream_voice(checked: CheckedComponent) -> None:
    """With the tag ``voice`` pushes give the audio of the whole in the given voice; without it `open` refuses one."""
    checked.require("stream")
    voice, codes = _voice(checked, 0), _codes(checked)[0]
    if "voice" not in checked.part.tags:
        expect_refusal(ArecaError, _opening(checked, voice), "a voice, without the tag voice,")
        return
    whole = _speak(checked, [codes], seed=3, voice=voice)
    expect_pieces_of_wholes(_opening(checked, voice), [codes], _spec(checked).streams, whole)


def check_stream_sessions(checked: CheckedComponent) -> None:
    """Sessions that are open at the same time do not change each other's audio."""
    checked.require("stream")
    expect_independence(_opening(checked), _codes(checked), _spec(checked).streams)


def check_stream_is_early(checked: CheckedComponent) -> None:
    """A long utterance gives audio before its codes end."""
    checked.require("stream")
    [codes] = _codes(checked, (LONG_S,))
    expect_early_audio(_opening(checked)(), codes, _spec(checked).streams)


def check_stream_refuses_wrong_codes(checked: CheckedComponent) -> None:
    """Pushing codes out of range, or none, raises `InvalidCodes` and changes nothing."""
    checked.require("stream")
    expect_refused_codes(_opening(checked), _codes(checked)[0], _spec(checked).streams)


def _opening(checked: CheckedComponent, voice: VoicePrompt | None = None) -> Callable[[], SpeechSession]:
    """Return a function that opens a session with always the same seed, that of the checks' `_speak`."""

    def open_session() -> SpeechSession:
        session: SpeechSession = checked.instance.open(voice, generator=torch.Generator().manual_seed(3))
        return session

    return open_session


def _voice(checked: CheckedComponent, row: int) -> VoicePrompt:
    """Return a recording of the corpus as a voice prompt; consecutive rows have different speakers."""
    return VoicePrompt(checked.manifest.audio(checked.manifest.rows[row]))


def _spec(checked: CheckedComponent) -> VocoderSpec:
    spec = checked.part.spec
    assert isinstance(spec, VocoderSpec)
    return spec


def _codes(checked: CheckedComponent, lengths_s: Sequence[float] = SECONDS) -> list[Codes]:
    generator = torch.Generator().manual_seed(11)
    return [
        Codes(
            tuple(
                torch.randint(s.size, (round(seconds * (s.frame_rate_hz or VARYING_RATE_HZ)),), generator=generator)
                for s in _spec(checked).streams
            )
        )
        for seconds in lengths_s
    ]


def _speak(
    checked: CheckedComponent, codes: list[Codes], *, seed: int, voice: VoicePrompt | None = None
) -> list[Audio]:
    generator = torch.Generator().manual_seed(seed)
    return list(checked.instance.synthesize(codes, [voice] * len(codes), generator=generator))
