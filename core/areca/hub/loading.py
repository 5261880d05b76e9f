"""Load models of transformers from a local folder as data: safetensors and JSON, never code or pickles.

areca loads every transformers model through this module. The files are untrusted, so it accepts no code, no pickle, no
file outside the folder and no missing or unexpected tensor, and takes no more memory and time than the size of the
weights justifies.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from areca.errors import ArecaError, InvalidConfig, quote
from areca.hub.guard import call_guarded
from areca.hub.model_config import CONFIG, check_files, read_checked_config
from areca.hub.tensors import limit_module_count
from areca.hub.weights import StoredTensor, stored_tensors

_SLACK = 1 << 24
"""Elements that a model may have beyond four times those in its files: buffers that are computed."""


def read_model_config(
    directory: Path, source: str, *, from_areca: bool = False, error: type[ArecaError] = InvalidConfig
) -> Any:
    """Return the ``PreTrainedConfig`` of a folder in the hub's layout, without any reference to code.

    Args:
        directory: the folder.
        source: name of the folder in errors.
        from_areca: whether areca wrote the folder, as for `areca.hub.model_config.read_checked_config`.
        error: the class to raise.

    Raises:
        ArecaError: as `error`, for a config that `read_checked_config` or `check_files` refuses, or that transformers
            does not know.
    """
    check_files(directory, source, error)
    read_checked_config(
        directory, len(stored_tensors(directory, error=error)), source, from_areca=from_areca, error=error
    )

    def read() -> Any:
        config: Any = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        if hasattr(config, "auto_map"):  # transformers has the class itself; the code in the folder is not used
            del config.auto_map
        return config

    return call_guarded(source, read, error)


def load_pretrained(
    model_class: Any,
    directory: Path,
    *,
    source: str | None = None,
    config: Any = None,
    dtype: torch.dtype | None = None,
    may_lack: Callable[[str], bool] = lambda name: False,
    may_ignore: Callable[[str], bool] = lambda name: False,
    prefix: str = "",
    from_areca: bool = False,
    error: type[ArecaError] = InvalidConfig,
) -> Any:
    """Return a transformers model from a folder in the hub's layout, in evaluation mode, on the CPU.

    Args:
        model_class: a model class, or an auto class such as ``AutoModelForCausalLM``.
        directory: the folder, with config.json and safetensors files.
        source: name of the folder in errors (default: its path).
        config: result of `read_model_config`, possibly changed (default: `read_model_config` is called).
        dtype: of the weights (default: the stored dtype).
        may_lack: given a tensor name of the model, whether the files may lack it.
        may_ignore: given a tensor name in the files, whether the model may ignore it.
        prefix: if the files hold a larger model, the prefix of this model's tensors, such as ``"vocoder."``; all others
            are ignored.
        from_areca: whether areca wrote the folder, as for `areca.hub.model_config.read_checked_config`.
        error: the class to raise.

    Raises:
        ArecaError: as `error`, if there are no safetensors files; if a tensor is missing, unexpected, stored twice or
            of another shape than the config describes; if `read_model_config` refuses the config; or if transformers
            fails.

    Example:
        ``model = load_pretrained(AutoModelForCausalLM, Path("model"), dtype=torch.float32)``
    """
    source = source or str(directory)
    # Compare the config with the headers of the weights, before any memory is taken.
    if config is None:
        config = read_model_config(directory, source, from_areca=from_areca, error=error)
    stored = {
        name.removeprefix(prefix): tensor
        for name, tensor in stored_tensors(directory, error=error).items()
        if name.startswith(prefix)
    }
    if not stored:
        raise error(f"{source}: has no *.safetensors, and pickled weights are never read: convert them first")
    _check_sizes(model_class, config, stored, source, error)

    def load() -> Any:
        # transformers draws from the global generator, even for weights that it then overwrites.
        with torch.random.fork_rng(devices=[]):
            return model_class.from_pretrained(
                directory,
                config=config,
                dtype=dtype or _most_common_dtype(stored),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                key_mapping={f"^{re.escape(prefix)}": ""} if prefix else None,
            )

    model, report = call_guarded(source, load, error)
    # transformers fills in missing tensors at random and skips unexpected ones, so check its report.
    _check_report(
        report, source, may_lack, lambda name: may_ignore(name) or (prefix != "" and name not in stored), error
    )
    if from_areca and config.architectures != [type(model).__name__]:
        raise error(f"{source}: its {CONFIG} says {quote(config.architectures)}, and loads as {type(model).__name__}")
    return model


_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}


def _most_common_dtype(stored: Mapping[str, StoredTensor]) -> torch.dtype:
    """Return the floating-point type of most elements."""
    sizes = dict.fromkeys(_DTYPES, 0)
    for tensor in stored.values():
        if tensor.dtype in sizes:
            sizes[tensor.dtype] += tensor.elements
    return _DTYPES[max(sizes, key=sizes.__getitem__)]


def _check_sizes(
    model_class: Any, config: Any, stored: Mapping[str, StoredTensor], source: str, error: type[ArecaError]
) -> None:
    """Refuse a config that describes a larger model than the files hold, before any memory is taken for it."""

    def describe() -> Any:
        build = getattr(model_class, "from_config", None) or model_class._from_config
        with (
            torch.random.fork_rng(devices=[]),
            torch.device("meta"),
            limit_module_count(len(stored)),
            warnings.catch_warnings(action="ignore"),  # torch warns of sizes that are refused below
        ):
            return build(copy.deepcopy(config))

    model = call_guarded(source, describe, error)
    for name, parameter in model.named_parameters():
        if name in stored and stored[name].shape != tuple(parameter.shape):
            raise error(
                f"{source}: its {CONFIG} describes {name} of shape {list(parameter.shape)}, the weights hold "
                f"{list(stored[name].shape)}: give the directory whose files belong together"
            )
    described = sum(x.numel() for x in (*model.parameters(), *model.buffers()))
    held = sum(tensor.elements for tensor in stored.values())
    if described > 4 * held + _SLACK:
        raise error(f"{source}: its {CONFIG} describes a model of {described:,} elements, the weights hold {held:,}")


def _check_report(
    report: Mapping[str, Any],
    source: str,
    may_lack: Callable[[str], bool],
    may_ignore: Callable[[str], bool],
    error: type[ArecaError],
) -> None:
    if missing := sorted(name for name in report["missing_keys"] if not may_lack(name)):
        raise error(
            f"{source}: the weights lack {len(missing)} tensor(s) of the model that {CONFIG} describes, "
            f"such as {missing[0]!r}: give the directory whose files belong together"
        )
    if unexpected := sorted(name for name in report["unexpected_keys"] if not may_ignore(name)):
        raise error(
            f"{source}: the weights have {len(unexpected)} tensor(s) that the model in {CONFIG} does not have, "
            f"such as {unexpected[0]!r}: give the directory whose files belong together"
        )
