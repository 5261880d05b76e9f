"""The metric `dnsmos`: the P.835 model of DNSMOS, from the package speechmos, run by onnxruntime.

The package's files are read without importing it, because its code needs packages that the model does not.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial

from areca.types import Example
from areca_speech_metrics import SAMPLE_RATE_HZ
from areca_speech_metrics.comparing import Mean
from areca_speech_metrics.weights import find_in_package

_LENGTH_S = 9.01
_MODEL = "dnsmos_models/sig_bak_ovr.onnx"
_SCALES = {
    "signal": (0, Polynomial((0.0052439, 1.22083953, -0.08397278))),
    "background": (1, Polynomial((-0.39604546, 1.60915514, -0.13166888))),
    "overall": (2, Polynomial((0.04602535, 1.11546468, -0.06766283))),
}
"""Output of the model, and the polynomial that maps it to ratings, by scale."""


class Dnsmos(Mean):
    """DNSMOS P.835 (Reddy, Gopal and Cutler 2022, arXiv 2110.01763): mean opinions predicted by a network."""

    def value(self, example: Example) -> float:
        """Return the rating: the mean over windows of 9.01 s, one each second; a shorter recording is repeated."""
        assert example.answer.audio is not None
        output, polynomial = _SCALES[self.config.scale]
        samples = example.answer.audio.samples[0].numpy().clip(-1.0, 1.0)
        raw = [self._model.run(None, {"input_1": window[None]})[0][0, output] for window in _cut_windows(samples)]
        return float(np.mean([polynomial(float(x)) for x in raw]))

    @cached_property
    def _model(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the same sums in the same order on every machine
        return onnxruntime.InferenceSession(find_in_package("speechmos", _MODEL), options)


def _cut_windows(samples: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    size = int(_LENGTH_S * SAMPLE_RATE_HZ)
    while len(samples) < size:
        samples = np.tile(samples, 2)
    count = int(len(samples) // SAMPLE_RATE_HZ - _LENGTH_S) + 1
    # The published program cuts windows like this, and leaves out those that rounding makes a sample too short.
    windows = [samples[i * SAMPLE_RATE_HZ : int((i + _LENGTH_S) * SAMPLE_RATE_HZ)] for i in range(count)]
    return [window for window in windows if len(window) == size]
