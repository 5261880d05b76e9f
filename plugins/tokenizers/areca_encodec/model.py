"""Encode and decode with the package encodec, in batches that give the same codes as encoding alone."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from encodec.model import ROOT_URL, EncodecModel
from safetensors.torch import load_file

from areca.batching import bucket, by_length
from areca.errors import InvalidConfig, MissingWeights, summarise
from areca.hub.weights import read_header
from areca.types import Audio, Codes, require_audio, stack_codes
from areca_encodec import FRAME_RATE_HZ, SAMPLE_RATE_HZ, EncodecConfig, spec

CHECKPOINT_URL = f"{ROOT_URL}encodec_24khz-d7cc33bc.th"
"""The weights that the package encodec downloads for its 24 kHz model."""

HOP = SAMPLE_RATE_HZ // FRAME_RATE_HZ
"""Samples per frame."""

LEAST_FRAMES = 8
"""Shorter audio is padded to this. The kernel-7 convolutions at frame rate reflect six frames at the start; for shorter
audio, the package would pad in another way."""


class EncodecTokenizer:
    """The target of the component ``encodec``, and its instance.

    The model is causal: later samples do not change a frame's code. So audio is padded on the right with zeros, to
    whole frames and to the longest audio of its batch, and the codes of the padding are dropped.
    """

    def __init__(self, model: EncodecModel, config: EncodecConfig) -> None:
        self._model = model
        self._streams = spec(config, {}).streams
        self._batch_s = config.batch_s

    @classmethod
    def load(
        cls,
        config: EncodecConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> EncodecTokenizer:
        """Return the tokenizer with the published weights or those in ``config.weights``.

        Raises:
            InvalidConfig: an option is out of range, or the file does not hold the weights of this model.
            MissingWeights: the published weights cannot be downloaded.
        """
        spec(config, {})
        state = _download() if config.weights is None else _read_weights(config.weights)
        model = _build_model()
        try:
            model.load_state_dict(state)
        except (RuntimeError, AttributeError, TypeError) as error:
            raise InvalidConfig(
                f"{config.weights}: not the weights of EnCodec 24 kHz: {summarise(error, lines=None)}"
            ) from error
        model.set_target_bandwidth(config.bandwidth_kbps)
        return cls(model.to(device=device, dtype=dtype).eval(), config)

    @torch.inference_mode()
    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Encode mono audio at 24 kHz: one frame per 320 samples, the last one padded with zeros.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        require_audio(audios, SAMPLE_RATE_HZ, 1)
        frames = [-(-a.samples.shape[1] // HOP) for a in audios]
        result: dict[int, Codes] = {}
        for members, longest in self._batches(frames):
            samples = torch.zeros(len(members), 1, longest * HOP)
            for row, i in enumerate(members):
                samples[row, :, : audios[i].samples.shape[1]] = audios[i].samples
            [(codes, _)] = self._model.encode(self._cast(samples))
            for row, i in enumerate(members):
                result[i] = Codes(tuple(codes[row, :, : frames[i]].to("cpu", torch.int64).clone().unbind(0)))
        return [result[i] for i in range(len(audios))]

    @torch.inference_mode()
    def decode(self, codes: list[Codes]) -> list[Audio]:
        """Decode codes to mono audio at 24 kHz, 320 samples per frame.

        Raises:
            InvalidCodes: an empty list, another number of streams, streams of unequal length, or codes out of range.
        """
        stacked = stack_codes(codes, self._streams)
        frames = [c.shape[1] for c in stacked]
        result: dict[int, Audio] = {}
        for members, longest in self._batches(frames):
            padded = torch.zeros(len(members), len(self._streams), longest, dtype=torch.int64)
            for row, i in enumerate(members):
                padded[row, :, : frames[i]] = stacked[i]
            samples = self._model.decode([(padded.to(self._device), None)]).to("cpu", torch.float32)
            for row, i in enumerate(members):
                result[i] = Audio(samples[row, :, : frames[i] * HOP].clone(), SAMPLE_RATE_HZ, f"codes {i}")
        return [result[i] for i in range(len(codes))]

    @property
    def _device(self) -> torch.device:
        return next(self._model.parameters()).device

    def _cast(self, samples: torch.Tensor) -> torch.Tensor:
        return samples.to(device=self._device, dtype=next(self._model.parameters()).dtype)

    def _batches(self, frames: Sequence[int]) -> Iterator[tuple[list[int], int]]:
        """Yield the indices of each batch's recordings, of similar length, and the number of frames to pad them to."""
        sizes = [max(n, LEAST_FRAMES) for n in frames]
        for positions in bucket(sizes, int(self._batch_s * FRAME_RATE_HZ), order=by_length(sizes)):
            members = positions.tolist()
            yield members, sizes[members[-1]]


def _build_model() -> Any:
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # encodec uses a weight normalisation that torch deprecates
        return EncodecModel.encodec_model_24khz(pretrained=False)


def _download() -> Any:
    try:
        return torch.hub.load_state_dict_from_url(
            CHECKPOINT_URL, map_location="cpu", check_hash=True, progress=True, weights_only=True
        )
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise MissingWeights(
            f"tokenizer encodec: cannot download {CHECKPOINT_URL} ({error}); "
            f"download it elsewhere and give the file as `weights`"
        ) from error


def _read_weights(file: Path) -> Any:
    try:
        if file.suffix == ".safetensors":
            read_header(file, error=InvalidConfig)
            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except InvalidConfig:
        raise
    except Exception as error:  # a damaged torch archive can fail in any way
        raise InvalidConfig(
            f"{file}: expected a state dict of EnCodec 24 kHz, got a file that cannot be read"
        ) from error
