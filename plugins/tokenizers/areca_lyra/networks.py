"""The three .tflite files behind numpy: two nets that remember what came before, and a quantizer that does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from areca.errors import InvalidConfig
from areca_lyra import QUANTIZERS, SOURCE

FEATURES = 64
"""Numbers that the encoder says of a frame."""
UNUSED = -1
"""What the quantizer reads as: this codebook adds nothing."""
_BLOCK_FRAMES = 50
"""Frames dequantised at once, seven times as fast as one by one; the shape is fixed so that memory is laid out once."""


class StatefulNet:
    """A causal net, frame by frame: each frame is computed with what the frames before it left in its variables.

    Args:
        file: the .tflite file.
        inputs: shape of a frame that goes in, float32.
        outputs: shape of a frame that comes out, float32.

    Raises:
        InvalidConfig: it is no such file, or a net of other shapes.
    """

    def __init__(self, file: Path, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        # Read once: a file that is replaced later cannot change half of the codes of a run.
        with _refusing(file):
            self._content = file.read_bytes()
            net = self._open()
            came, goes = net.get_input_details(), net.get_output_details()
        _require(file, "inputs", came, [(inputs, np.float32)])
        _require(file, "outputs", goes, [(outputs, np.float32)])
        self._input, self._output, self._shape = came[0]["index"], goes[0]["index"], outputs
        with _refusing(file):  # what cannot be run is to be known now and not in the middle of a corpus
            self(np.zeros((1, *inputs), np.float32))

    def __call__(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run one utterance from the net's initial state: ``[F, *inputs]`` to ``[F, *outputs]``."""
        # A net of its own, at 2 ms: `reset_all_variables` leaves the resource variables that these nets keep their
        # state in as they are, and the first half second would then depend on the utterance before.
        net = self._open()
        said = np.empty((len(frames), *self._shape), np.float32)
        for i, frame in enumerate(frames):
            net.set_tensor(self._input, frame)
            net.invoke()
            said[i] = net.get_tensor(self._output)
        return said

    def _open(self) -> Any:
        net = Interpreter(model_content=self._content, num_threads=1)  # a frame is too small to be shared
        net.allocate_tensors()
        return net


class Quantizer:
    """46 residual codebooks of 16 entries.

    Raises:
        InvalidConfig: it is no such file, or one of other shapes.
    """

    def __init__(self, file: Path) -> None:
        with _refusing(file):
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
        with _refusing(file):
            self.decode(self.encode(np.zeros((1, 1, 1, FEATURES), np.float32), 1))

    def encode(self, features: NDArray[np.float32], quantizers: int) -> NDArray[np.int64]:
        """Quantise ``[F, 1, 1, 64]`` to ``[quantizers, F]`` in [0, 16)."""
        codes = np.empty((quantizers, len(features)), np.int64)
        wanted = np.int32(quantizers)
        for i, frame in enumerate(features):
            said = self._encode(input_frames=frame, num_quantizers=wanted)["output_0"]
            codes[:, i] = said[:quantizers, 0, 0]
        return codes

    def decode(self, codes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Turn ``[K, F]`` in [0, 16) back into features ``[F, 1, 1, 64]``."""
        blocks = -(-codes.shape[1] // _BLOCK_FRAMES)
        padded = np.full((QUANTIZERS, blocks * _BLOCK_FRAMES, 1), UNUSED, np.int32)
        padded[: len(codes), : codes.shape[1], 0] = codes
        parts = np.split(padded, blocks, axis=1)
        said = np.concatenate([self._decode(encoding_indices=part)["output_0"] for part in parts])
        return said[: codes.shape[1], None]


@contextmanager
def _refusing(file: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        raise InvalidConfig(f"{file}: not a network of Lyra: {' '.join(str(error).split())[:200]}; {SOURCE}") from error


def _require_runner(file: Path, runner: Any, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
    for label, got, expected in (
        ("inputs", runner.get_input_details(), inputs),
        ("outputs", runner.get_output_details(), outputs),
    ):
        if set(got) != set(expected):
            raise InvalidConfig(f"{file}: expected {label} {sorted(expected)}, got {sorted(got)}; {SOURCE}")
        _require(file, label, [got[name] for name in expected], list(expected.values()))


def _require(file: Path, label: str, details: list[Any], expected: list[tuple[tuple[int, ...], Any]]) -> None:
    def said(tensors: list[tuple[tuple[int, ...], Any]]) -> str:
        return ", ".join(f"{np.dtype(dtype)} {list(shape)}" for shape, dtype in tensors)

    got = [(tuple(map(int, d["shape"])), d["dtype"]) for d in details]
    if said(got) != said(expected):
        raise InvalidConfig(f"{file}: expected {label} {said(expected)}, got {said(got)}; {SOURCE}")
