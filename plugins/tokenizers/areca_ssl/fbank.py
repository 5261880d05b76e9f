"""The encoder w2v-BERT 2.0: a Conformer over log-mel filter banks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional
from transformers import SeamlessM4TFeatureExtractor

from areca.batching import length_mask, pad_batch
from areca.errors import InvalidConfig
from areca_ssl import SAMPLE_RATE_HZ, SslConfig
from areca_ssl.checkpoint import load_encoder
from areca_ssl.windows import HOP, Window

FAMILIES = ("wav2vec2-bert",)
_BANK, _BANK_HOP = 400, 160
"""Window and hop of a filter bank, in samples; two consecutive filter banks make a frame."""
_LEAST = _BANK + _BANK_HOP


class FbankEncoder:
    """A layer of w2v-BERT 2.0. The model takes a mask: its convolutions are causal, and it zeroes the padding.

    Args:
        config: the checkpoint and the layer.
        device: where to compute.

    Raises:
        InvalidConfig: the model belongs to another family, or its rate is not 50 Hz.
        ArecaError: the model cannot be loaded.
    """

    lookahead = _LEAST - HOP
    mixed = True
    row_rate_hz = 50

    def __init__(self, config: SslConfig, device: torch.device) -> None:
        model, self.extractor = load_encoder(config, FAMILIES, SeamlessM4TFeatureExtractor)
        if (hop := _BANK_HOP * self.extractor.stride) != HOP:
            raise InvalidConfig(f"{config.path or config.model}: expected frames of {HOP} samples, got {hop}")
        model.encoder.layers = model.encoder.layers[: config.layer]  # skip the layers that are not needed
        model.adapter = model.intermediate_ffn = None
        self.model, self.layer, self.device = model.to(device), config.layer, device

    def prepare(self, samples: torch.Tensor) -> Window:
        """Return log-mels ``[F, 160]`` with mean 0 and variance 1 in each band; silence pads to one frame."""
        samples = functional.pad(samples, (0, max(0, _LEAST - len(samples))))
        features = self.extractor(samples.numpy(), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        frames = int(features.attention_mask[0].sum())
        return Window(features.input_features[0, :frames].float(), frames)

    def run(self, batch: Sequence[Window]) -> list[torch.Tensor]:
        """Return the layer's output ``[frames, D]`` of each window."""
        values, lengths = pad_batch([w.values for w in batch])
        mask = length_mask(lengths, values.shape[1]).long().to(self.device)
        output = self.model(values.to(self.device), attention_mask=mask, output_hidden_states=True)
        return [x[: w.frames] for x, w in zip(output.hidden_states[self.layer], batch, strict=True)]
