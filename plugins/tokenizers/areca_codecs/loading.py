"""Find a codec's files, load them, and hold the model to what its config.json says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from areca.errors import InvalidConfig
from areca.hub.loading import load_pretrained, snapshot
from areca_codecs import AnyConfig
from areca_codecs.figures import CONFIG_FILE, Facts, facts, read

TRIAL_FRAMES = 16
"""Frames of silence that a loaded model is tried on."""


def find(config: AnyConfig) -> tuple[Path, str]:
    """Return the directory of the model's files, downloaded if they are the hub's, and their name for messages.

    Raises:
        MissingWeights: the hub cannot be reached.
        InvalidConfig: the hub's files at this revision are of another model than the one areca knows.
    """
    if config.path is not None:
        return config.path, config.source
    directory = snapshot(config.model, config.revision, weights=True)
    source = f"{config.model}@{directory.name}"
    known, found = facts(config.family, config.model, None), read(config.family, directory)
    if found != known:
        raise InvalidConfig(
            f"tokenizer {config.family}: {source}: expected {known}; its {CONFIG_FILE} says {found}; "
            f"give another `revision`, or the directory {directory} as `path`"
        )
    return directory, source


def load_model(model_class: Any, directory: Path, source: str, dtype: torch.dtype) -> Any:
    """Return a transformers model from safetensors files, none of its weights left to chance.

    Raises:
        InvalidConfig: the weights lack a tensor of the model that config.json describes, or have codebooks beyond it.
        ArecaError: transformers cannot load what is there.
    """
    return load_pretrained(
        model_class,
        directory,
        source=source,
        dtype=dtype,
        left_over=lambda name: not name.startswith("quantizer."),
    )


@torch.inference_mode()
def verify(
    encode: Callable[[torch.Tensor], torch.Tensor],
    decode: Callable[[torch.Tensor], torch.Tensor],
    known: Facts,
    streams: int,
    source: str,
) -> None:
    """Encode and decode silence, and compare with what config.json says.

    Args:
        encode: samples float32 [B, 1, T] to codes int64 [B, K, F].
        decode: the way back.
        known: what config.json says.
        streams: K.
        source: the files' name, for messages.

    Raises:
        InvalidConfig: another number of frames, streams or samples, or a model that does not run.
    """
    says = f"{source}: {CONFIG_FILE} says {known}"
    length = TRIAL_FRAMES * known.hop
    try:
        codes = encode(torch.zeros(1, 1, length))
        samples = decode(codes).shape[-1]
    except Exception as error:  # a config that the model does not bear out fails in any way
        raise InvalidConfig(f"{says}; the model cannot run so: {_line(error)}") from error
    expected, got = (streams, TRIAL_FRAMES), tuple(codes.shape[1:])
    if got != expected:
        raise InvalidConfig(
            f"{says}; expected {expected[0]} stream(s) of {expected[1]} frames for {length} samples, "
            f"the model gives {got[0]} of {got[1]}; correct the file"
        )
    if not 0 <= length - samples < known.hop:  # DAC falls some samples short
        raise InvalidConfig(
            f"{says}; expected {length} samples for {TRIAL_FRAMES} frames, the model gives {samples}; correct the file"
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
