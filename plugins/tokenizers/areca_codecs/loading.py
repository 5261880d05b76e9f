"""Locate and load a codec's files, and verify that the model does what its config.json says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from areca.errors import InvalidConfig, summarise
from areca.hub.loading import load_pretrained
from areca.hub.snapshots import fetch_snapshot
from areca_codecs import AnyConfig
from areca_codecs.properties import CONFIG_FILE, CodecProperties, codec_properties, read_properties

TRIAL_FRAMES = 16
"""Frames of silence that a loaded model is tested on."""


def locate_files(config: AnyConfig) -> tuple[Path, str]:
    """Return the directory of the model's files, downloaded from the hub if necessary, and their name for messages.

    Raises:
        MissingWeights: the hub cannot be reached.
        InvalidConfig: the files at this revision describe a different model than the one that areca knows.
    """
    if config.path is not None:
        return config.path, config.source
    directory = fetch_snapshot(config.model, config.revision, weights=True)
    source = f"{config.model}@{directory.name}"
    known, actual = codec_properties(config.family, config.model, None), read_properties(config.family, directory)
    if actual != known:
        raise InvalidConfig(
            f"tokenizer {config.family}: {source}: expected {known}; its {CONFIG_FILE} says {actual}; "
            f"give another `revision`, or the directory {directory} as `path`"
        )
    return directory, source


def load_model(model_class: Any, directory: Path, source: str, dtype: torch.dtype) -> Any:
    """Return a transformers model with all weights from safetensors files.

    Raises:
        InvalidConfig: the weights lack a tensor of the model, or have more codebooks than config.json describes.
        ArecaError: transformers cannot load the files.
    """
    return load_pretrained(
        model_class,
        directory,
        source=source,
        dtype=dtype,
        may_ignore=lambda name: not name.startswith("quantizer."),
    )


@torch.inference_mode()
def verify_codec(
    encode: Callable[[torch.Tensor], torch.Tensor],
    decode: Callable[[torch.Tensor], torch.Tensor],
    known: CodecProperties,
    streams: int,
    source: str,
) -> None:
    """Encode and decode silence, and compare the shapes with those that config.json implies.

    Args:
        encode: samples, float32 ``[B, 1, T]``, to codes, int64 ``[B, K, F]``.
        decode: the inverse of `encode`.
        known: the properties in config.json.
        streams: number of streams K.
        source: name of the files, for messages.

    Raises:
        InvalidConfig: the number of frames, streams or samples differs, or the model cannot run.
    """
    claim = f"{source}: {CONFIG_FILE} says {known}"
    length = TRIAL_FRAMES * known.hop
    try:
        codes = encode(torch.zeros(1, 1, length))
        samples = decode(codes).shape[-1]
    except Exception as error:  # a wrong config can fail in any way
        raise InvalidConfig(f"{claim}; the model cannot run: {summarise(error, lines=None)}") from error
    expected, got = (streams, TRIAL_FRAMES), tuple(codes.shape[1:])
    if got != expected:
        raise InvalidConfig(
            f"{claim}; expected {expected[0]} stream(s) of {expected[1]} frames for {length} samples, "
            f"got {got[0]} of {got[1]} from the model; correct the file"
        )
    if not 0 <= length - samples < known.hop:  # DAC returns a few samples less
        raise InvalidConfig(
            f"{claim}; expected {length} samples for {TRIAL_FRAMES} frames, got {samples} from the model; "
            f"correct the file"
        )
