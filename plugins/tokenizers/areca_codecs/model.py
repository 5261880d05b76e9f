"""Run a codec of transformers in such a way that a recording's codes do not depend on the rest of its batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from transformers import DacModel, MimiModel, XcodecModel

from areca.batching import bucket, by_length
from areca.types import Audio, Codes, require_audio, stack_codes
from areca_codecs import AnyConfig, XcodecConfig, spec
from areca_codecs.loading import load_model, locate_files, verify_codec
from areca_codecs.properties import codec_properties
from areca_codecs.session import CodecSession, reach_of


class Codec(ABC):
    """Common base of the three targets and instances.

    Recordings are padded on the right with zeros to whole frames, as by the library's feature extractor. Only causal
    models pad further, to the longest recording of the batch, and drop the frames of the padding. In the other models a
    frame depends on later samples, so only recordings with the same number of frames share a batch.
    """

    model_class: ClassVar[Any]

    def __init__(self, model: Any, config: AnyConfig) -> None:
        self._spec, self._properties = spec(config, {}), codec_properties(config.family, config.model, config.path)
        self._model, self._config = model, config

    @classmethod
    def load(
        cls,
        config: AnyConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Self:
        """Return the codec in evaluation mode, with weights from the hub or the directory.

        Raises:
            InvalidConfig: an option is out of range, or config.json contradicts the weights or the model.
            MissingWeights: the hub cannot be reached.
            ArecaError: transformers cannot load the files.
        """
        spec(config, {})
        directory, source = locate_files(config)
        codec = cls(load_model(cls.model_class, directory, source, dtype).to(device).eval(), config)
        verify_codec(codec.run_encoder, codec.run_decoder, codec._properties, len(codec._spec.streams), source)
        return codec

    @staticmethod
    def pinned(config: AnyConfig) -> AnyConfig:
        """Return `config` with its revision replaced by the commit that it names now."""
        return config if config.path is not None else replace(config, revision=locate_files(config)[0].name)

    @torch.inference_mode()
    def encode(self, audios: list[Audio]) -> list[Codes]:
        """Encode mono audio at the spec's rate: one frame per hop, the last one padded with zeros.

        Raises:
            InvalidAudio: an empty list, or audio with another rate or number of channels.
        """
        require_audio(audios, self._spec.sample_rate_hz, 1)
        hop = self._properties.hop
        frames = [-(-a.samples.shape[1] // hop) for a in audios]
        result: dict[int, Codes] = {}
        for members in self._batches(frames):
            samples = torch.zeros(len(members), 1, frames[members[-1]] * hop)
            for row, i in enumerate(members):
                samples[row, :, : audios[i].samples.shape[1]] = audios[i].samples
            codes = self.run_encoder(samples)
            for row, i in enumerate(members):
                result[i] = Codes(tuple(codes[row, :, : frames[i]].clone().unbind(0)))
        return [result[i] for i in range(len(audios))]

    @torch.inference_mode()
    def decode(self, codes: list[Codes]) -> list[Audio]:
        """Decode codes to mono audio at the spec's rate, one hop of samples per frame.

        Raises:
            InvalidCodes: an empty list, another number of streams, streams of unequal length, or codes out of range.
        """
        stacked = stack_codes(codes, self._spec.streams)
        frames = [c.shape[1] for c in stacked]
        result: dict[int, Audio] = {}
        for members in self._batches(frames):
            padded = torch.zeros(len(members), len(self._spec.streams), frames[members[-1]], dtype=torch.int64)
            for row, i in enumerate(members):
                padded[row, :, : frames[i]] = stacked[i]
            samples = self.run_decoder(padded)
            for row, i in enumerate(members):
                result[i] = self._to_audio(samples[row], frames[i], f"codes {i}")
        return [result[i] for i in range(len(codes))]

    def run_encoder(self, samples: torch.Tensor) -> torch.Tensor:
        """Return codes, int64 ``[B, K, F]`` on the CPU, for samples, float32 ``[B, 1, T]``, T a multiple of the hop."""
        weight = next(self._model.parameters())
        return self._encode(samples.to(device=weight.device, dtype=weight.dtype)).to("cpu", torch.int64)

    def run_decoder(self, codes: torch.Tensor) -> torch.Tensor:
        """Return samples, float32 ``[B, 1, T]`` on the CPU, for codes, int64 ``[B, K, F]``."""
        weight = next(self._model.parameters())
        return self._decode(codes.to(weight.device)).to("cpu", torch.float32)

    def _to_audio(self, samples: torch.Tensor, frames: int, name: str) -> Audio:
        return Audio(self._fill(samples, frames).clone(), self._spec.sample_rate_hz, name)

    def _fill(self, samples: torch.Tensor, frames: int) -> torch.Tensor:
        """Return samples ``[..., T]``, cut or padded to whole frames."""
        length = frames * self._properties.hop
        # An odd stride costs DAC's upsampling a few samples at the end (8 of 320): add half a millisecond of silence.
        return torch.nn.functional.pad(samples[..., :length], (0, max(0, length - samples.shape[-1])))

    def _batches(self, frames: Sequence[int]) -> Iterator[list[int]]:
        """Yield the indices of each batch's recordings, the longest last."""
        budget = int(self._config.batch_s * self._properties.frame_rate_hz)
        for members in bucket(frames, budget, order=by_length(frames), mixed=self._causal):
            yield members.tolist()

    @property
    def _causal(self) -> bool:
        """Whether later frames change neither a frame's code nor its samples."""
        return False

    @abstractmethod
    def _encode(self, samples: torch.Tensor) -> torch.Tensor: ...

    @abstractmethod
    def _decode(self, codes: torch.Tensor) -> torch.Tensor: ...


class Mimi(Codec):
    """The target of ``mimi`` (Défossez et al. 2024, arXiv 2410.00037): causal convolutions and causal attention."""

    model_class = MimiModel

    @property
    def _causal(self) -> bool:
        c = self._model.config  # reflection looks ahead at the start; trimming on the left shifts later frames
        return bool(c.use_causal_conv and c.pad_mode != "reflect" and c.trim_right_ratio == 1.0)

    def _encode(self, samples: torch.Tensor) -> torch.Tensor:
        codes: torch.Tensor = self._model.encode(samples, num_quantizers=len(self._spec.streams)).audio_codes
        return codes

    def _decode(self, codes: torch.Tensor) -> torch.Tensor:
        samples: torch.Tensor = self._model.decode(codes).audio_values
        return samples


class Convolutional(Codec):
    """Common base of the codecs with the decoder of DAC, in which a frame's samples depend on few other frames."""

    def open(self) -> CodecSession:
        """Begin an utterance whose audio is that of `decode`. It follows the codes by about 10 frames."""

        def decode(codes: torch.Tensor) -> torch.Tensor:
            return self._fill(self.run_decoder(codes), codes.shape[-1])

        return CodecSession(decode, reach_of(self._upsampling), self._spec)

    @property
    @abstractmethod
    def _upsampling(self) -> Sequence[int]:
        """Strides of the decoder, from codes to samples."""


class Dac(Convolutional):
    """The target of ``dac`` (Kumar et al. 2023, arXiv 2306.06546): non-causal convolutions."""

    model_class = DacModel

    @property
    def _upsampling(self) -> Sequence[int]:
        strides: Sequence[int] = self._model.config.upsampling_ratios
        return strides

    def _encode(self, samples: torch.Tensor) -> torch.Tensor:
        codes: torch.Tensor = self._model.encode(samples, n_quantizers=len(self._spec.streams)).audio_codes
        return codes

    def _decode(self, codes: torch.Tensor) -> torch.Tensor:
        samples: torch.Tensor = self._model.decode(audio_codes=codes).audio_values
        return samples[:, None]


class Xcodec(Convolutional):
    """The target of ``xcodec`` (Ye et al. 2024, arXiv 2408.17175).

    Its semantic encoder attends to the whole recording and normalises over it, and the library does not mask padding.
    """

    model_class = XcodecModel

    @property
    def _upsampling(self) -> Sequence[int]:
        strides: Sequence[int] = self._model.config.acoustic_model_config.upsampling_ratios
        return strides

    def _encode(self, samples: torch.Tensor) -> torch.Tensor:
        assert isinstance(self._config, XcodecConfig)
        codes: torch.Tensor = self._model.encode(samples, bandwidth=self._config.bandwidth_kbps).audio_codes
        return codes

    def _decode(self, codes: torch.Tensor) -> torch.Tensor:
        samples: torch.Tensor = self._model.decode(codes).audio_values
        return samples
