"""HuBERT, WavLM, wav2vec 2.0: convolutions over the waveform, then a transformer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional
from transformers import Wav2Vec2FeatureExtractor

from areca.errors import InvalidConfig
from areca_ssl import SAMPLE_RATE_HZ, SslConfig
from areca_ssl.checkpoint import pretrained
from areca_ssl.windows import HOP, Window
from areca_units.features import padded

FAMILIES = ("hubert", "wavlm", "wav2vec2")


class WaveEncoder:
    """A layer of an encoder that hears the waveform.

    A group norm over time sees padding, and so does a batch norm before the positional convolution: models that have
    one (HuBERT base, mHuBERT, WavLM base) run windows of equal length together; the others are given a mask.

    Args:
        config: the checkpoint and the layer.
        device: where to compute.

    Raises:
        InvalidConfig: another kind of model, or one of another rate than 50 Hz.
        ArecaError: it cannot be loaded.
    """

    row_rate_hz = SAMPLE_RATE_HZ

    def __init__(self, config: SslConfig, device: torch.device) -> None:
        model, self.extractor = pretrained(config, FAMILIES, Wav2Vec2FeatureExtractor)
        shape = model.config
        if (hop := math.prod(shape.conv_stride)) != HOP:
            raise InvalidConfig(f"{config.path or config.model}: expected frames of {HOP} samples, got {hop}")
        self.field = _receptive_field(shape.conv_kernel, shape.conv_stride)
        self.beyond = self.field - HOP
        self.mixed = shape.feat_extract_norm == "layer" and not getattr(shape, "conv_pos_batch_norm", False)
        model.encoder.layers = model.encoder.layers[: config.layer]  # what follows is not computed
        model.adapter = None
        self.model, self.layer, self.device = model.to(device), config.layer, device

    def prepare(self, samples: torch.Tensor) -> Window:
        """Return the waveform ``[T, 1]``, normalised if the checkpoint says so; silence fills up the first frame."""
        values = self.extractor(samples.numpy(), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_values[0]
        values = functional.pad(values.float(), (0, max(0, self.field - len(values))))
        return Window(values[:, None], (len(values) - self.field) // HOP + 1)

    def run(self, batch: Sequence[Window]) -> list[torch.Tensor]:
        """Return the layer's output ``[frames, D]`` of each window."""
        mask = None
        if self.mixed:
            values, lengths = padded([w.values for w in batch])
            mask = (torch.arange(values.shape[1]) < lengths[:, None]).long().to(self.device)
        else:
            values = torch.stack([w.values for w in batch])
        output = self.model(values[..., 0].to(self.device), attention_mask=mask, output_hidden_states=True)
        return [x[: w.frames] for x, w in zip(output.hidden_states[self.layer], batch, strict=True)]


def _receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Return the samples that one frame hears: 400 for all published models."""
    field = hop = 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field, hop = field + (kernel - 1) * hop, hop * stride
    return field
