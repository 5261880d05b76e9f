"""The encoders HuBERT, WavLM and wav2vec 2.0: convolutions over the waveform, then a transformer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from transformers import Wav2Vec2FeatureExtractor

from areca.batching import length_mask, pad_batch
from areca.errors import InvalidConfig
from areca_ssl import SAMPLE_RATE_HZ, SslConfig
from areca_ssl.checkpoint import load_encoder
from areca_ssl.windows import HOP, Window

FAMILIES = ("hubert", "wavlm", "wav2vec2")


class WaveEncoder:
    """A layer of an encoder that reads the waveform.

    A batch holds windows of different lengths and a mask. The model does not apply the mask to a group norm over time
    (HuBERT base, mHuBERT, WavLM base), which would include the padding, so `TimeNorm` replaces it. If the model has a
    batch norm before the positional convolution, the padding does not stay zero, so only windows of equal length share
    a batch.

    Args:
        config: the checkpoint and the layer.
        device: where to compute.

    Raises:
        InvalidConfig: the model belongs to another family, or its rate is not 50 Hz.
        ArecaError: the model cannot be loaded.
    """

    row_rate_hz = SAMPLE_RATE_HZ

    def __init__(self, config: SslConfig, device: torch.device) -> None:
        model, self.extractor = load_encoder(config, FAMILIES, Wav2Vec2FeatureExtractor)
        shape = model.config
        if (hop := math.prod(shape.conv_stride)) != HOP:
            raise InvalidConfig(f"{config.path or config.model}: expected frames of {HOP} samples, got {hop}")
        self.receptive_field = _receptive_field(shape.conv_kernel, shape.conv_stride)
        self.lookahead = self.receptive_field - HOP
        self.mixed = not getattr(shape, "conv_pos_batch_norm", False)
        self.kernel, self.stride = shape.conv_kernel[0], shape.conv_stride[0]
        self.norm = (
            TimeNorm(model.feature_extractor.conv_layers[0].layer_norm) if shape.feat_extract_norm == "group" else None
        )
        if self.norm is not None:
            model.feature_extractor.conv_layers[0].layer_norm = self.norm
        model.encoder.layers = model.encoder.layers[: config.layer]  # skip the layers that are not needed
        model.adapter = None
        self.model, self.layer, self.device = model.to(device), config.layer, device

    def prepare(self, samples: torch.Tensor) -> Window:
        """Return the waveform ``[T, 1]``, normalised if the checkpoint requires it; silence pads to one frame."""
        values = self.extractor(samples.numpy(), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_values[0]
        values = functional.pad(values.float(), (0, max(0, self.receptive_field - len(values))))
        return Window(values[:, None], (len(values) - self.receptive_field) // HOP + 1)

    def run(self, batch: Sequence[Window]) -> list[torch.Tensor]:
        """Return the layer's output ``[frames, D]`` of each window."""
        values, lengths = pad_batch([w.values for w in batch]) if self.mixed else _stack(batch)
        mask = length_mask(lengths, values.shape[1]).long().to(self.device) if self.mixed else None
        if self.norm is not None:
            self.norm.frames = ((lengths - self.kernel) // self.stride + 1).to(self.device)
        output = self.model(values[..., 0].to(self.device), attention_mask=mask, output_hidden_states=True)
        return [x[: w.frames] for x, w in zip(output.hidden_states[self.layer], batch, strict=True)]


class TimeNorm(nn.Module):
    """A group norm with one channel per group, computed over each item's own frames without the padding.

    Args:
        norm: the norm over all frames that this one replaces.
    """

    frames: torch.Tensor
    """Frames of each item, int64 ``[B]``. Set it before each call."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise ``[B, C, T]``. Values beyond an item's frames are undefined."""
        if int(self.frames.min()) == x.shape[-1]:
            plain: torch.Tensor = self.norm(x)
            return plain
        valid = length_mask(self.frames, x.shape[-1])[:, None]
        count = self.frames[:, None, None]
        centred = (x - x.where(valid, 0.0).sum(-1, keepdim=True) / count).where(valid, 0.0)
        variance = centred.square().sum(-1, keepdim=True) / count
        scale = self.norm.weight[:, None] * torch.rsqrt(variance + self.norm.eps)
        return centred * scale + self.norm.bias[:, None]


def _stack(batch: Sequence[Window]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return windows of equal length as ``[B, T, 1]``, and their lengths ``[B]``."""
    values = torch.stack([w.values for w in batch])
    return values, torch.full((len(batch),), values.shape[1])


def _receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Return the receptive field of a frame in samples: 400 for all published models."""
    field = hop = 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field, hop = field + (kernel - 1) * hop, hop * stride
    return field
