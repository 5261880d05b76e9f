"""The network, transformers' SeamlessM4T code HiFi-GAN, and what it computes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers import SeamlessM4TConfig
from transformers.models.seamless_m4t.modeling_seamless_m4t import SeamlessM4TCodeHifiGan

from areca.fitting.hifigan.generator import generator_sizes, initialise
from areca_unit_hifigan.options import SAMPLE_RATE_HZ, UnitHifiganConfig
from areca_unit_hifigan.properties import DEDUPLICATED, FRAMES_PER_UNIT, SPEAKERS

_LONGEST_FRAMES = 1_000
"""Upper limit of a predicted duration, so that damaged weights cannot fill the memory."""


def describe(
    config: UnitHifiganConfig, *, units: int, frames_per_unit: int, deduplicated: bool, speakers: list[str]
) -> Any:
    """Return the architecture of a vocoder to train, as transformers stores it.

    Args:
        config: the options.
        units: number of distinct units.
        frames_per_unit: frames of the network for each unit, or for each frame in which durations are counted.
        deduplicated: whether durations are predicted.
        speakers: names of the speakers; a single one has no embedding.
    """
    own: dict[str, Any] = {FRAMES_PER_UNIT: frames_per_unit, DEDUPLICATED: deduplicated, SPEAKERS: speakers}
    return SeamlessM4TConfig(
        architectures=[SeamlessM4TCodeHifiGan.__name__],
        sampling_rate=SAMPLE_RATE_HZ,
        unit_hifi_gan_vocab_size=units,
        unit_embed_dim=config.embedding,
        spkr_embed_dim=config.embedding if len(speakers) > 1 else 0,
        lang_embed_dim=0,
        vocoder_num_spkrs=len(speakers),
        vocoder_num_langs=1,
        variance_predictor_kernel_size=3,
        var_pred_dropout=config.duration_dropout,
        **generator_sizes(config.strides, config.channels, config.kernels),
        **own,
    )


def build(described: Any, seed: int) -> Any:
    """Return a vocoder to train, with weights drawn from `seed`.

    For units at a constant rate, the duration predictor is not trained: it returns the frames of a unit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SeamlessM4TCodeHifiGan(described)
        initialise(model.hifi_gan)
        for table in (model.unit_embedding, model.speaker_embedding):
            nn.init.normal_(table.weight)  # transformers draws them fifty times smaller
    for table in (model.speaker_embedding, model.language_embedding):
        table.requires_grad_(table.embedding_dim > 0)
    if not getattr(described, DEDUPLICATED):
        nn.init.zeros_(model.dur_predictor.proj.weight)
        nn.init.constant_(model.dur_predictor.proj.bias, math.log1p(getattr(described, FRAMES_PER_UNIT)))
        model.dur_predictor.requires_grad_(False)
    return model


def synthesize(model: Any, frames: torch.Tensor, speakers: torch.Tensor, languages: torch.Tensor) -> torch.Tensor:
    """Return the audio, float32 ``[B, F * hop]``, of units.

    Args:
        model: a SeamlessM4TCodeHifiGan of either version.
        frames: the unit of each frame, int64 ``[B, F]``.
        speakers: row of each one's speaker, int64 ``[B]``.
        languages: row of each one's language, int64 ``[B]``.
    """
    count = frames.shape[1]
    columns = (
        model.language_embedding(languages)[:, None].expand(-1, count, -1),
        model.unit_embedding(frames),
        model.speaker_embedding(speakers)[:, None].expand(-1, count, -1),
    )
    audio: torch.Tensor = model.hifi_gan(torch.cat(columns, -1).transpose(1, 2))
    return audio


def predict_log_durations(model: Any, units: torch.Tensor) -> torch.Tensor:
    """Return ``log(1 + duration)``, float32 ``[U]``, of deduplicated units, int64 ``[U]``; durations count frames."""
    predicted: torch.Tensor = model.dur_predictor(model.unit_embedding(units[None]))[0]
    return predicted


def predict_durations(model: Any, units: torch.Tensor) -> torch.Tensor:
    """Return the duration of each unit in frames, int64 ``[U]``, at least 1, for units, int64 ``[U]``."""
    return predict_log_durations(model, units).expm1().round().clamp(1, _LONGEST_FRAMES).long()


def duration_reach(config: Any) -> int:
    """Return how many units on either side a predicted duration depends on: two convolutions of one kernel."""
    return 2 * (int(config.variance_predictor_kernel_size) // 2)
