"""Conformance checks of tokenizers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from areca.errors import InvalidAudio, InvalidCodes
from areca.specs import TokenizerSpec
from areca.testing.checked import CheckedComponent
from areca.testing.fitting import check_fit_is_deterministic, check_fit_resumes
from areca.testing.streaming import (
    LONG_S,
    expect_early_audio,
    expect_independence,
    expect_pieces_of_wholes,
    expect_refused_codes,
    repeat,
)
from areca.testing.tools import expect_refusal, with_global_seed
from areca.types import Audio, Codes, require_codes

__all__ = ["check_fit_is_deterministic", "check_fit_resumes"]  # these are checks of this kind too

LEAST_EQUAL = 0.999
"""Minimum share of first-stream frames that must not depend on the batch."""
SLACK_FRAMES = 2
"""Frames that a tokenizer may drop or add at the edges."""


def check_codes(checked: CheckedComponent) -> None:
    """It returns one `Codes` per audio, with the streams of its spec and every code in range."""
    codes = checked.instance.encode(checked.audios)
    assert len(codes) == len(checked.audios), f"{len(checked.audios)} audios gave {len(codes)} Codes"
    try:
        require_codes(codes, _spec(checked).streams)
    except InvalidCodes as e:
        raise AssertionError(str(e)) from e


def check_frames(checked: CheckedComponent) -> None:
    """The number of codes is seconds x rate, within 2; at a variable rate, the sum of the durations is."""
    spec = _spec(checked)
    for audio, codes in zip(checked.audios, checked.instance.encode(checked.audios), strict=True):
        for k, (stream, values) in enumerate(zip(spec.streams, codes.streams, strict=False)):
            rate_hz, frames = stream.frame_rate_hz, values.numel()
            if rate_hz is None and k == 0:
                assert codes.durations is not None, f"stream {stream} has a variable rate, but no durations"
                assert spec.base_rate_hz is not None, "there are durations, but the spec has no base_rate_hz"
                assert int(codes.durations.min()) >= 1, "a code has a duration of less than one frame"
                rate_hz, frames = spec.base_rate_hz, int(codes.durations.sum())
            if rate_hz is not None:
                expected = audio.seconds * rate_hz
                assert abs(frames - expected) <= SLACK_FRAMES, (
                    f"stream {stream}: {audio.seconds:.3f} s gave {frames} frames, expected {expected:.1f} +- 2"
                )


def check_batch_equals_alone(checked: CheckedComponent) -> None:
    """Encoding in a batch and encoding alone give the same codes in 99.9 % of first-stream frames."""
    together = checked.instance.encode(checked.audios)
    alone = [checked.instance.encode([audio])[0] for audio in checked.audios]
    equal = total = 0
    for a, b in zip(map(_frames, together), map(_frames, alone), strict=True):
        assert a.shape == b.shape, f"an audio gave {a.numel()} frames in a batch, {b.numel()} alone"
        equal, total = equal + int((a == b).sum()), total + a.numel()
    assert equal >= LEAST_EQUAL * total, f"in a batch {total - equal} of {total} frames differ from encoding alone"


def check_repeat_is_exact(checked: CheckedComponent) -> None:
    """Encoding the same batch again gives exactly the same codes."""
    first, second = (checked.instance.encode(checked.audios) for _ in range(2))
    assert _same(first, second), "encoding one batch twice gave different codes"


def check_short_audio(checked: CheckedComponent) -> None:
    """Audio of any length, down to one sample, gives at least one code or raises `InvalidAudio`."""
    spec = _spec(checked)
    for seconds in (0.0, 0.005, 0.02, 0.1):
        length = max(1, round(seconds * spec.sample_rate_hz))
        audio = Audio(checked.audios[0].samples[:, :length].clone(), spec.sample_rate_hz, f"{length} samples")
        try:
            codes = checked.instance.encode([audio])
        except InvalidAudio:
            continue
        assert all(s.numel() for s in codes[0].streams), (
            f"{length} samples gave an empty stream, expected a code or InvalidAudio"
        )


def check_refuses_wrong_audio(checked: CheckedComponent) -> None:
    """An empty list, another rate and another number of channels raise `InvalidAudio`."""
    spec, audio = _spec(checked), checked.audios[0]
    other_rate = Audio(audio.samples, spec.sample_rate_hz + 1)
    other_channels = Audio(torch.cat([audio.samples, audio.samples[:1]]), spec.sample_rate_hz)
    encode = checked.instance.encode
    expect_refusal(InvalidAudio, lambda: encode([]), "an empty list")
    expect_refusal(InvalidAudio, lambda: encode([audio, other_rate]), f"audio at {other_rate.sample_rate_hz} Hz")
    expect_refusal(InvalidAudio, lambda: encode([other_channels]), f"audio of {other_channels.channels} channels")


def check_randomness(checked: CheckedComponent) -> None:
    """Neither loading nor encoding uses or changes the global random state."""
    codes = [
        with_global_seed(seed, lambda: checked.load().encode(checked.audios[:4]), "loading and encoding")
        for seed in (1, 2)
    ]
    assert _same(*codes), "the codes depend on the global random state"


def check_features(checked: CheckedComponent) -> None:
    """Features are finite float32, one row per code; an empty list raises `InvalidAudio`, as in `encode`."""
    checked.require("features")
    features, codes = checked.instance.features(checked.audios), checked.instance.encode(checked.audios)
    assert len(features) == len(codes), f"{len(codes)} audios gave {len(features)} feature tensors"
    for x, units in zip(features, codes, strict=True):
        frames = len(units.streams[0])
        assert x.dtype == torch.float32, f"features are {x.dtype}, expected float32"
        assert x.ndim == 2 and len(x) == frames, f"features have shape {[*x.shape]}, expected [{frames}, D]"
        assert bool(x.isfinite().all()), "features are not finite"
    expect_refusal(InvalidAudio, lambda: checked.instance.features([]), "an empty list")


def check_feature_size(checked: CheckedComponent) -> None:
    """Features have the spec's `feature_size`; if it states none, all have the same size."""
    checked.require("features")
    sizes = {x.shape[-1] for x in checked.instance.features(checked.audios)}
    stated = _spec(checked).feature_size
    assert len(sizes) == 1 and stated in (None, *sizes), (
        f"features have {' or '.join(map(str, sorted(sizes)))} dimensions, expected {stated or 'one size'}"
    )


def check_codebooks(checked: CheckedComponent) -> None:
    """There is a codebook for each stream: finite float32, with a row for each code."""
    checked.require("codebooks")
    codebooks, streams = checked.instance.codebooks(), _spec(checked).streams
    assert len(codebooks) == len(streams), f"{len(streams)} streams, but {len(codebooks)} codebooks"
    for stream, x in zip(streams, codebooks, strict=True):
        assert x.dtype == torch.float32, f"stream {stream}: its codebook is {x.dtype}, expected float32"
        assert x.ndim == 2 and len(x) == stream.size, f"stream {stream}: its codebook has shape {[*x.shape]}"
        assert bool(x.isfinite().all()), f"stream {stream}: its codebook is not finite"


def check_decode(checked: CheckedComponent) -> None:
    """Decoded audio is finite and has the spec's rate and channels and the length of the original."""
    checked.require("decode")
    spec = _spec(checked)
    codes = checked.instance.encode(checked.audios)
    decoded = checked.instance.decode(codes)
    assert len(decoded) == len(codes), f"{len(codes)} Codes gave {len(decoded)} audios"
    for before, after in zip(checked.audios, decoded, strict=True):
        got, expected = (after.sample_rate_hz, after.channels), (spec.sample_rate_hz, spec.channels)
        assert got == expected, f"decoded {got[0]} Hz x {got[1]} channels, expected {expected[0]} x {expected[1]}"
        slack_s = SLACK_FRAMES / (spec.streams[0].frame_rate_hz or spec.base_rate_hz or 1.0)
        assert abs(after.seconds - before.seconds) <= slack_s, (
            f"{before.seconds:.3f} s were decoded as {after.seconds:.3f} s, expected +- {slack_s:.3f}"
        )


def check_decode_refuses_wrong_codes(checked: CheckedComponent) -> None:
    """An empty list and codes out of range raise `InvalidCodes`."""
    checked.require("decode")
    streams = _spec(checked).streams
    good = checked.instance.encode(checked.audios[:1])[0]
    decode = checked.instance.decode
    expect_refusal(InvalidCodes, lambda: decode([]), "an empty list")
    for code in (-1, streams[0].size):
        wrong = good.streams[0].clone()
        wrong[-1] = code
        bad = Codes((wrong, *good.streams[1:]), good.durations, good.fingerprint)
        expect_refusal(InvalidCodes, lambda bad=bad: decode([bad]), f"code {code} of {streams[0]}")  # type: ignore[misc]


def check_stream(checked: CheckedComponent) -> None:
    """Pushes of any size together give the audio that `decode` gives for the whole."""
    codes = _streamed(checked)
    wholes = [whole for one in codes for whole in checked.instance.decode([one])]
    expect_pieces_of_wholes(checked.instance.open, codes, _spec(checked).streams, wholes)


def check_stream_sessions(checked: CheckedComponent) -> None:
    """Sessions that are open at the same time do not change each other's audio."""
    codes = _streamed(checked)
    expect_independence(checked.instance.open, codes, _spec(checked).streams)


def check_stream_is_early(checked: CheckedComponent) -> None:
    """A long utterance gives audio before its codes end."""
    codes, *_ = _streamed(checked)
    long = repeat(codes, math.ceil(LONG_S / checked.audios[0].seconds))
    expect_early_audio(checked.instance.open(), long, _spec(checked).streams)


def check_stream_refuses_wrong_codes(checked: CheckedComponent) -> None:
    """Pushing codes out of range, or none, raises `InvalidCodes` and changes nothing."""
    codes, *_ = _streamed(checked)
    expect_refused_codes(checked.instance.open, codes, _spec(checked).streams)


def _streamed(checked: CheckedComponent) -> list[Codes]:
    """Return the codes of two recordings; skip the check without the tag ``stream``."""
    checked.require("stream")
    encoded: list[Codes] = checked.instance.encode(checked.audios[:2])
    return encoded


def _spec(checked: CheckedComponent) -> TokenizerSpec:
    spec = checked.part.spec
    assert isinstance(spec, TokenizerSpec)
    return spec


def _frames(codes: Codes) -> torch.Tensor:
    """Return the first stream, each code repeated by its duration."""
    first = codes.streams[0]
    return first if codes.durations is None else first.repeat_interleave(codes.durations)


def _same(a: Sequence[Codes], b: Sequence[Codes]) -> bool:
    return all(
        len(x.streams) == len(y.streams) and all(map(torch.equal, x.streams, y.streams))
        for x, y in zip(a, b, strict=True)
    )
