"""The metric `stoi`."""

from __future__ import annotations

import warnings

import torch

from areca.types import Example
from areca_speech_metrics.comparing import Mean, recordings

_SHORTEST = 512
"""Minimum number of samples at 16 kHz; pystoi fails on shorter recordings, which have less than one of its frames."""


class Stoi(Mean):
    """Short-time objective intelligibility (Taal et al. 2011, IEEE TASLP 19:2125), computed by pystoi.

    The recordings are compared sample by sample, so the metric is for speech that is resynthesised in time with the
    other recording. An answer that is shorter is padded with silence; one that is longer is cut.
    """

    def value(self, example: Example) -> float:
        """Return the STOI of one answer; about 0 if the other recording has less than 0.4 s of speech."""
        from pystoi import stoi

        answer, other = recordings(example, self.config.compare_with)
        length = other.samples.shape[1]
        clean = _pad(other.samples[0], max(length, _SHORTEST))
        degraded = _pad(answer.samples[0, :length], len(clean))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of recordings that are too short; their score is 1e-5
            return float(stoi(clean.numpy(), degraded.numpy(), other.sample_rate_hz))


def _pad(samples: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.pad(samples, (0, max(0, length - len(samples))))
