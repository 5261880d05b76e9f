"""Whisper's encoder, with a configurable amount of silence after the speech."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional
from transformers import WhisperFeatureExtractor

from areca.errors import InvalidConfig
from areca_ssl import SAMPLE_RATE_HZ, WhisperConfig
from areca_ssl.checkpoint import load_encoder
from areca_ssl.windows import HOP, Window

FAMILIES = ("whisper",)


class WhisperEncoder:
    """A layer of Whisper's encoder.

    Whisper was trained on windows of 30 s, speech followed by silence, and has no mask. Its positions are a table of
    sinusoids, so shorter input uses the first rows of the same table. The amount of silence depends only on the
    recording, not on its batch: only windows that are padded to the same multiple of `silence_to_s` share a batch.

    Args:
        config: the checkpoint, the layer and the silence.
        device: where to compute.

    Raises:
        InvalidConfig: the model belongs to another family, or windows are longer than its table of positions.
        ArecaError: the model cannot be loaded.
    """

    lookahead = 0
    mixed = False
    row_rate_hz = 100

    def __init__(self, config: WhisperConfig, device: torch.device) -> None:
        model, self.extractor = load_encoder(config, FAMILIES, WhisperFeatureExtractor)
        self.most = model.config.max_source_positions * HOP
        if config.longest_s * SAMPLE_RATE_HZ > self.most:
            longest_s = self.most / SAMPLE_RATE_HZ
            raise InvalidConfig(
                f"{config.path or config.model} takes at most {longest_s:g} s at once, "
                f"got longest_s={config.longest_s:g}; set `longest_s: {longest_s:g}`"
            )
        self.extractor.dither = 0.0  # the dither noise would come from the global generator
        self.step = math.ceil(config.silence_to_s * SAMPLE_RATE_HZ / HOP) * HOP
        self.encoder = model.encoder.to(device)
        self.layers = self.encoder.layers[: config.layer]
        self.last, self.device = config.layer == len(self.encoder.layers), device

    def prepare(self, samples: torch.Tensor) -> Window:
        """Return log-mels ``[2 F, mels]`` of the speech and the silence after it."""
        size = min(math.ceil(len(samples) / self.step) * self.step, self.most)
        features = self.extractor(
            samples.numpy(), sampling_rate=SAMPLE_RATE_HZ, max_length=size, return_tensors="pt"
        ).input_features[0]
        return Window(features.float().T, math.ceil(len(samples) / HOP))

    def run(self, batch: Sequence[Window]) -> list[torch.Tensor]:
        """Return the layer's output ``[frames, D]`` of each window."""
        x = torch.stack([w.values.T for w in batch]).to(self.device)
        x = functional.gelu(self.encoder.conv1(x))
        x = functional.gelu(self.encoder.conv2(x)).transpose(1, 2)
        x = x + self.encoder.embed_positions.weight[: x.shape[1]]
        for layer in self.layers:
            x = layer(x, None)
        if self.last:
            x = self.encoder.layer_norm(x)
        return [hidden[: w.frames] for hidden, w in zip(x, batch, strict=True)]
