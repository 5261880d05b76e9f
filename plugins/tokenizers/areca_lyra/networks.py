"""Run Lyra's three .tflite files on numpy arrays: two stateful networks, and a stateless quantizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from areca.errors import InvalidConfig, summarise
from areca_lyra import QUANTIZERS, SOURCE

FEATURES = 64
"""Dimensions of the encoder's output for a frame."""
UNUSED = -1
"""Code with which the quantizer skips a codebook."""
_BLOCK_FRAMES = 50
"""Frames dequantized at once, seven times as fast as one by one. The fixed shape allocates memory only once."""


class StatefulNet:
    """A causal network that runs frame by frame and keeps its state in variables.

    Args:
        file: the .tflite file.
        inputs: shape of an input frame, float32.
        outputs: shape of an output frame, float32.

    Raises:
        InvalidConfig: the file is not a .tflite file, or its network has other shapes.
    """

    def __init__(self, file: Path, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        # Read the file only once, so that replacing it later cannot change the codes in the middle of a run.
        with _as_invalid_config(file):
            self._content = file.read_bytes()
            net = self._open()
            input_details, output_details = net.get_input_details(), net.get_output_details()
        _require_tensors(file, "inputs", input_details, [(inputs, np.float32)])
        _require_tensors(file, "outputs", output_details, [(outputs, np.float32)])
        self._input, self._output, self._shape = input_details[0]["index"], output_details[0]["index"], outputs
        with _as_invalid_config(file):  # find a network that cannot run now, not in the middle of a corpus
            self(np.zeros((1, *inputs), np.float32))

    def __call__(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run one utterance from the network's initial state: ``[F, *inputs]`` to ``[F, *outputs]``."""
        return self.start()(frames)

    def start(self) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """Begin an utterance at the network's initial state.

        Returns:
            A function that runs the next frames of this utterance, ``[F, *inputs]`` to ``[F, *outputs]``.
        """
        # Open a new interpreter (2 ms): these networks keep their state in resource variables, which
        # `reset_all_variables` does not reset, so the first half second would depend on the previous utterance.
        net = self._open()

        def run(frames: NDArray[np.float32]) -> NDArray[np.float32]:
            results = np.empty((len(frames), *self._shape), np.float32)
            for i, frame in enumerate(frames):
                net.set_tensor(self._input, frame)
                net.invoke()
                results[i] = net.get_tensor(self._output)
            return results

        return run

    def _open(self) -> Any:
        net = Interpreter(model_content=self._content, num_threads=1)  # a frame is too small for several threads
        net.allocate_tensors()
        return net


class Quantizer:
    """A residual quantizer with 46 codebooks of 16 codes.

    Args:
        file: the .tflite file.

    Raises:
        InvalidConfig: the file is not a .tflite file, or its signatures have other shapes.
    """

    def __init__(self, file: Path) -> None:
        with _as_invalid_config(file):
            net = Interpreter(model_content=file.read_bytes(), num_threads=1)
            self._encode, self._decode = (net.get_signature_runner(name) for name in ("encode", "decode"))
        codes, frame = ((QUANTIZERS, 1, 1), np.int32), ((1, 1, FEATURES), np.float32)
        _require_runner(
            file,
            self._encode,
            {"input_frames": frame, "num_quantizers": ((), np.int32)},
            {"output_0": codes, "output_1": ((), np.int32)},
        )
        _require_runner(file, self._decode, {"encoding_indices": codes}, {"output_0": frame})
        with _as_invalid_config(file):
            self.decode(self.encode(np.zeros((1, 1, 1, FEATURES), np.float32), 1))

    def encode(self, features: NDArray[np.float32], quantizers: int) -> NDArray[np.int64]:
        """Quantize features ``[F, 1, 1, 64]`` to codes ``[quantizers, F]`` in [0, 16)."""
        codes = np.empty((quantizers, len(features)), np.int64)
        count = np.int32(quantizers)
        for i, frame in enumerate(features):
            indices = self._encode(input_frames=frame, num_quantizers=count)["output_0"]
            codes[:, i] = indices[:quantizers, 0, 0]
        return codes

    def decode(self, codes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Dequantize codes ``[K, F]`` in [0, 16) to features ``[F, 1, 1, 64]``."""
        blocks = -(-codes.shape[1] // _BLOCK_FRAMES)
        padded = np.full((QUANTIZERS, blocks * _BLOCK_FRAMES, 1), UNUSED, np.int32)
        padded[: len(codes), : codes.shape[1], 0] = codes
        parts = np.split(padded, blocks, axis=1)
        features = np.concatenate([self._decode(encoding_indices=part)["output_0"] for part in parts])
        return features[: codes.shape[1], None]


@contextmanager
def _as_invalid_config(file: Path) -> Iterator[None]:
    """Within the block, turn the interpreter's errors into InvalidConfig."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        raise InvalidConfig(f"{file}: not a Lyra network: {summarise(error, lines=None)}; {SOURCE}") from error


def _require_runner(file: Path, runner: Any, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
    for label, got, expected in (
        ("inputs", runner.get_input_details(), inputs),
        ("outputs", runner.get_output_details(), outputs),
    ):
        if set(got) != set(expected):
            raise InvalidConfig(f"{file}: expected {label} {sorted(expected)}, got {sorted(got)}; {SOURCE}")
        _require_tensors(file, label, [got[name] for name in expected], list(expected.values()))


def _require_tensors(file: Path, label: str, details: list[Any], expected: list[tuple[tuple[int, ...], Any]]) -> None:
    def describe(tensors: list[tuple[tuple[int, ...], Any]]) -> str:
        return ", ".join(f"{np.dtype(dtype)} {list(shape)}" for shape, dtype in tensors)

    got = [(tuple(map(int, d["shape"])), d["dtype"]) for d in details]
    if describe(got) != describe(expected):
        raise InvalidConfig(f"{file}: expected {label} {describe(expected)}, got {describe(got)}; {SOURCE}")
