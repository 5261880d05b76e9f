"""Locate and load the files of a code HiFi-GAN in the hub's layout, and verify that it does what its config.json says.

Two layouts are read: that of a whole SeamlessM4T model, as published, whose vocoder is under the prefix ``vocoder.``,
and that of a saved SeamlessM4TCodeHifiGan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from transformers.models.seamless_m4t.modeling_seamless_m4t import SeamlessM4TCodeHifiGan
from transformers.models.seamless_m4t_v2.modeling_seamless_m4t_v2 import SeamlessM4Tv2CodeHifiGan

from areca.errors import ArecaError, InvalidConfig, quote, suggest, summarise
from areca.files.reading import read_json
from areca.hub.loading import load_pretrained, read_model_config
from areca.hub.snapshots import fetch_snapshot
from areca.hub.weights import stored_tensors
from areca_unit_hifigan.network import predict_durations, synthesize
from areca_unit_hifigan.options import HubUnitHifiganConfig
from areca_unit_hifigan.properties import CONFIG_FILE, FAMILIES, read_properties, vocoder_properties

_CLASSES = MappingProxyType(dict(zip(FAMILIES, (SeamlessM4TCodeHifiGan, SeamlessM4Tv2CodeHifiGan), strict=True)))
_PREFIX = "vocoder."
_TRIAL_FRAMES = 4
_GENERATION = "generation_config.json"
_LANGUAGES = "vocoder_lang_code_to_id"


def locate_files(config: HubUnitHifiganConfig) -> tuple[Path, str]:
    """Return the directory of the model's files, downloaded from the hub if necessary, and their name for messages.

    Raises:
        MissingWeights: the hub cannot be reached.
        InvalidConfig: the files at this revision describe a different vocoder than the one that areca knows.
    """
    if config.path is not None:
        return config.path, config.source
    directory = fetch_snapshot(config.model, config.revision, weights=True)
    source = f"{config.model}@{directory.name}"
    known, actual = vocoder_properties(config.model, None), read_properties(directory)
    if actual != known:
        raise InvalidConfig(
            f"hub-unit-hifigan: {source}: expected {known}; its {CONFIG_FILE} says {actual}; "
            f"give another `revision`, or the directory {directory} as `path`"
        )
    return directory, source


def load_model(
    directory: Path, source: str, *, from_areca: bool = False, error: type[ArecaError] = InvalidConfig
) -> Any:
    """Return the vocoder in a directory, in float32, in evaluation mode and on the CPU.

    Args:
        directory: a folder in one of the two layouts.
        source: its name in errors.
        from_areca: whether areca wrote the folder.
        error: the class to raise.

    Raises:
        ArecaError: as `error`, if the files are not those of a code HiFi-GAN.
    """
    described = read_model_config(directory, source, from_areca=from_areca, error=error)
    if described.model_type not in _CLASSES:
        raise error(f"{source}: expected a model of type {' or '.join(FAMILIES)}, got {quote(described.model_type)}")
    if (kernel := described.variance_predictor_kernel_size) != 3:  # transformers pads the second layer for this size
        raise error(f"{source}: expected a duration predictor of kernel 3, got {kernel}")
    whole = any(name.startswith(_PREFIX) for name in stored_tensors(directory, error=error))
    model = load_pretrained(
        _CLASSES[described.model_type],
        directory,
        source=source,
        config=described,
        dtype=torch.float32,
        prefix=_PREFIX if whole else "",
        from_areca=from_areca,
        error=error,
    )
    _verify(model, source, error)
    return model.requires_grad_(False)


@torch.inference_mode()
def _verify(model: Any, source: str, error: type[ArecaError]) -> None:
    """Speak a few frames, and compare their length with the one that config.json implies."""
    row = torch.zeros(1, dtype=torch.int64)
    expected = _TRIAL_FRAMES * math.prod(model.config.upsample_rates)
    try:
        predict_durations(model, row)
        got = synthesize(model, row.expand(_TRIAL_FRAMES)[None], row, row).shape[1]
    except Exception as e:  # a wrong config can fail in any way
        raise error(f"{source}: the vocoder in its {CONFIG_FILE} cannot run: {summarise(e, lines=None)}") from e
    if got != expected:
        raise error(
            f"{source}: its {CONFIG_FILE} implies {expected} samples for {_TRIAL_FRAMES} frames, the vocoder gives "
            f"{got}: each kernel of an upsampling must exceed its stride by an even number"
        )


def language_number(language: str | None, directory: Path, source: str, model: Any) -> int:
    """Return the row of a language in the vocoder's table; 0 for None.

    Raises:
        InvalidConfig: the model has no such language.
    """
    count = model.config.vocoder_num_langs
    if language is None:
        return 0
    if language.isascii() and language.isdigit():
        row: Any = int(language)
    else:
        codes = _language_codes(directory, source)
        if language not in codes:
            known = ", ".join(map(str, codes))
            raise InvalidConfig(
                f"hub-unit-hifigan: language: {source} does not speak {quote(language)}{suggest(language, codes)}\n"
                f"  known: {known or f'the numbers 0 to {count - 1}'}"
            )
        row = codes[language]
    if type(row) is not int or not 0 <= row < count:
        raise InvalidConfig(f"hub-unit-hifigan: language: expected a number from 0 to {count - 1}, got {quote(row)}")
    return row


def _language_codes(directory: Path, source: str) -> Mapping[str, Any]:
    """Return the numbers of languages in generation_config.json; empty if it has none."""
    try:
        codes = read_json(directory / _GENERATION, links=True, infinity=True, error=InvalidConfig).get(_LANGUAGES)
    except FileNotFoundError:
        return {}
    if codes is not None and not isinstance(codes, dict):
        raise InvalidConfig(f"{source}: its {_GENERATION} has {_LANGUAGES}: {quote(codes)}, expected numbers by code")
    return codes or {}
