"""Compute log-mel features of audio, and audio from log-mel features.

The forward direction is a short-time Fourier transform and a triangular filterbank. The inverse first finds the
non-negative spectrum that best explains the mel bands (multiplicative updates, Lee and Seung 2000), then its phase
(Griffin-Lim with momentum, Perraudin, Balazs and Søndergaard 2013).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.nn import functional

from areca.errors import InvalidAudio
from areca.sliding import Sliding

FLOOR = 1e-5
"""Smallest mel magnitude; anything below counts as silence (about -100 dB of full scale)."""
LOG_FLOOR = math.log(FLOOR)
"""Log-mel value of silence."""


@dataclass(frozen=True, slots=True)
class MelConfig:
    """Parameters of the log-mel transform.

    Args:
        sample_rate_hz: samples per second of the audio.
        n_fft: length of the Fourier transform, in samples.
        window: length of the Hann window, centred in the transform, in samples; at most `n_fft`. Of the values tried
            for `n_fft` and `window`, from 320 to 1024, the defaults gave the best inverse: STOI 0.987 on recorded
            prompts.
        hop: samples from one frame to the next.
        mels: number of bands from 0 Hz to half the sample rate, evenly spaced on Slaney's mel scale.
    """

    sample_rate_hz: int = 16_000
    n_fft: int = 512
    window: int = 512
    hop: int = 160
    mels: int = 80

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return self.sample_rate_hz / self.hop


SPEECH = MelConfig()
"""16 kHz, 100 frames per second, 80 bands."""


def count_frames(samples: int, config: MelConfig = SPEECH) -> int:
    """Return the number of frames that `log_mel` computes for that many samples: one per full or partial hop."""
    return -(-samples // config.hop)


def log_mel(samples: torch.Tensor, config: MelConfig = SPEECH) -> torch.Tensor:
    """Compute natural-log mel magnitudes.

    Frame i is centred on the middle of hop i, and the audio is padded with silence. Zeros that pad a batch therefore
    do not change the frames of a shorter item: its frames are the first `count_frames(length)`.

    Args:
        samples: float32 ``[..., T]``, T >= 1.
        config: parameters of the transform.

    Returns:
        float32 ``[..., mels, frames]``, at least `LOG_FLOOR`.

    Raises:
        InvalidAudio: no samples.
    """
    if samples.shape[-1] == 0:
        raise InvalidAudio(f"log_mel: expected [..., T] with T >= 1, got {list(samples.shape)}")
    magnitude = _spectrum(samples, config).abs()
    mel = magnitude @ _filterbank(config, samples.device)
    return mel.clamp(min=FLOOR).log().transpose(-1, -2)


def invert(
    log_mel: torch.Tensor,
    *,
    generator: torch.Generator,
    iterations: int = 48,
    momentum: float = 0.99,
    config: MelConfig = SPEECH,
) -> torch.Tensor:
    """Compute audio whose log-mel features approximate the given ones.

    Args:
        log_mel: float32 ``[..., mels, frames]``, as returned by `log_mel`.
        generator: CPU generator that draws the initial phases.
        iterations: number of Griffin-Lim iterations.
        momentum: 0 is plain Griffin-Lim; closer to 1 converges faster.
        config: parameters that the features were computed with.

    Returns:
        float32 ``[..., frames * hop]``.
    """
    state = _initial_state(log_mel.transpose(-1, -2), generator, config)
    for _ in range(iterations):
        state = _iterate(state, momentum, config)
    return _synthesise(state, config)


_BLOCK = 16
"""Frames that `Inversion` computes together: single frames take five times as long, larger blocks delay the audio."""


class Inversion:
    """`invert` for one log-mel that arrives in pieces: the pieces of audio together are that of the whole.

    Each iteration needs the neighbours of a frame, so a frame's audio follows when `delay_frames` more frames are
    known. Pushes of other sizes give the same samples; `invert` may differ from them by rounding.

    Args:
        generator, iterations, momentum, config: as for `invert`.
    """

    def __init__(
        self,
        *,
        generator: torch.Generator,
        iterations: int = 48,
        momentum: float = 0.99,
        config: MelConfig = SPEECH,
    ) -> None:
        self._generator, self._config = generator, config
        reach = _reach(config)
        self.delay_frames = reach * (iterations + 1) + _BLOCK - 1
        """Largest number of frames that must follow a frame before its audio is returned."""
        self._waiting: torch.Tensor | None = None
        self._steps = [Sliding(lambda state: _iterate(state, momentum, config), reach) for _ in range(iterations)]
        self._steps.append(Sliding(lambda state: _synthesise(state, config).reshape(-1, config.hop), reach))

    def push(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Append frames, and return the samples that they complete.

        Args:
            log_mel: float32 ``[mels, frames]``.

        Returns:
            float32 ``[T]``, T >= 0.
        """
        waiting = log_mel.T if self._waiting is None else torch.cat((self._waiting, log_mel.T))
        ready = len(waiting) - len(waiting) % _BLOCK
        self._waiting = waiting[ready:]
        return self._advance(waiting[:ready]) if ready else waiting.new_zeros(0)

    def finish(self) -> torch.Tensor:
        """Return the remaining samples, float32 ``[T]``, T >= 0; nothing may be pushed afterwards."""
        return torch.zeros(0) if self._waiting is None else self._advance(self._waiting, last=True)

    def _advance(self, frames: torch.Tensor, *, last: bool = False) -> torch.Tensor:
        results: torch.Tensor | None = _initial_state(frames, self._generator, self._config)
        for step in self._steps:
            if results is None:
                return frames.new_zeros(0)
            results = step.push(results, last=last)
        return frames.new_zeros(0) if results is None else results.flatten()


def _initial_state(log_mel: torch.Tensor, generator: torch.Generator, config: MelConfig) -> torch.Tensor:
    """Return magnitudes, random angles and zeros, complex64 ``[3, ..., frames, bins]``, for ``[..., frames, mels]``."""
    magnitude = _magnitude(log_mel, config)
    phase = torch.rand(magnitude.shape, generator=generator).to(magnitude.device) * (2 * math.pi)
    angles = torch.polar(torch.ones_like(phase), phase)
    return torch.stack((magnitude.to(angles.dtype), angles, torch.zeros_like(angles)))


def _iterate(state: torch.Tensor, momentum: float, config: MelConfig) -> torch.Tensor:
    """Return the state after an iteration: magnitudes, their new angles, and the spectrum that these follow from."""
    magnitude, _, previous = state
    rebuilt = _spectrum(_synthesise(state, config), config)
    angles = rebuilt - (momentum / (1 + momentum)) * previous
    return torch.stack((magnitude, angles / angles.abs().clamp(min=1e-16), rebuilt))


def _synthesise(state: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Return the audio ``[..., frames * hop]`` of a state."""
    magnitude, angles, _ = state
    return _overlap_add(magnitude.real * angles, config)


def _reach(config: MelConfig) -> int:
    """Return how many frames before or after a frame overlap it."""
    return -(-config.n_fft // config.hop) - 1


def _magnitude(mel: torch.Tensor, config: MelConfig, updates: int = 24) -> torch.Tensor:
    """Return the magnitude spectrum ``[..., frames, bins]`` that best explains log-mels ``[..., frames, mels]``."""
    bank = _filterbank(config, mel.device)
    target = mel.exp()
    spectrum = (target @ _pseudo_inverse(config, mel.device)).clamp(min=FLOOR * 1e-3)
    numerator, gram = target @ bank.T, bank @ bank.T
    for _ in range(updates):
        spectrum = spectrum * numerator / (spectrum @ gram).clamp(min=1e-12)
    return spectrum


def _margins(config: MelConfig) -> tuple[int, int]:
    """Return the samples of silence before and after the audio that centre each frame on its hop."""
    total = config.n_fft - config.hop
    return total // 2, total - total // 2


def _spectrum(samples: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Return the complex spectrum ``[..., frames, bins]`` of ``[..., T]``."""
    left, right = _margins(config)
    right += -samples.shape[-1] % config.hop
    frames = functional.pad(samples, (left, right)).unfold(-1, config.n_fft, config.hop)
    spectrum: torch.Tensor = torch.fft.rfft(frames * _window(config, samples.device))
    return spectrum


def _overlap_add(spectrum: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Return the audio ``[..., frames * hop]`` whose spectrum is closest (Griffin and Lim 1984, eq. 6)."""
    window = _window(config, spectrum.device)
    frames = torch.fft.irfft(spectrum, n=config.n_fft) * window
    weights = (window * window).expand(frames.shape[-2:])
    return _fold(frames, config) / _fold(weights, config).clamp(min=1e-8)


def _fold(frames: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """Sum overlapping frames ``[..., frames, n_fft]`` and remove the margins."""
    count = frames.shape[-2]
    length = (count - 1) * config.hop + config.n_fft
    columns = frames.reshape(-1, count, config.n_fft).transpose(1, 2)
    sums = functional.fold(columns, (1, length), (1, config.n_fft), stride=(1, config.hop))
    left, _ = _margins(config)
    return sums[:, 0, 0, left : left + count * config.hop].reshape(*frames.shape[:-2], -1)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _window(config: MelConfig, device: torch.device) -> torch.Tensor:
    """Return the periodic Hann window, centred in ``[n_fft]`` zeros."""
    spare = config.n_fft - config.window
    window = torch.hann_window(config.window, dtype=torch.float64)
    return functional.pad(window, (spare // 2, spare - spare // 2)).float().to(device)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _filterbank(config: MelConfig, device: torch.device) -> torch.Tensor:
    """Return triangular filters ``[bins, mels]`` of equal area (Slaney 1998, Auditory Toolbox)."""
    nyquist = config.sample_rate_hz / 2
    mels = torch.linspace(0.0, _hz_to_mel(nyquist), config.mels + 2, dtype=torch.float64)
    edges = torch.tensor([_mel_to_hz(float(m)) for m in mels], dtype=torch.float64)
    bins = torch.linspace(0.0, nyquist, config.n_fft // 2 + 1, dtype=torch.float64)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    triangles = torch.minimum(rising, falling).clamp(min=0.0)
    return (triangles * 2 / (high - low)).float().to(device)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _pseudo_inverse(config: MelConfig, device: torch.device) -> torch.Tensor:
    """Return the pseudo-inverse ``[mels, bins]`` of the filterbank."""
    inverse: torch.Tensor = torch.linalg.pinv(_filterbank(config, torch.device("cpu")).double())
    return inverse.float().to(device)


_LINEAR_HZ, _LINEAR_MELS, _LOG_STEP = 1000.0, 15.0, math.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    """Convert Hz to Slaney's mel scale: linear up to 1 kHz, logarithmic above."""
    if hz < _LINEAR_HZ:
        return hz * _LINEAR_MELS / _LINEAR_HZ
    return _LINEAR_MELS + math.log(hz / _LINEAR_HZ) / _LOG_STEP


def _mel_to_hz(mel: float) -> float:
    """Invert `_hz_to_mel`."""
    if mel < _LINEAR_MELS:
        return mel * _LINEAR_HZ / _LINEAR_MELS
    return _LINEAR_HZ * math.exp((mel - _LINEAR_MELS) * _LOG_STEP)
