"""Models of transformers from the hub or a folder, loaded as data: safetensors and JSON, never code or pickles.

Everything that areca loads through transformers comes through here. Strangers write these files, so what they may do
is bounded: no code, no pickle, no file outside the folder, nothing missing or left over, and no more memory and time
than the weights' own size warrants.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from transformers import AutoConfig, AutoTokenizer
from transformers.utils import logging as transformers_logging

from areca.errors import ArecaError, InvalidConfig, MissingWeights, quote
from areca.files.reading import read_json, read_regular
from areca.hub.model_config import CONFIG, check_files, checked_config
from areca.hub.tensors import bounded_building
from areca.hub.weights import Stored, stored_tensors

T = TypeVar("T")

_CONFIG_AND_TEXT = ("*.json", "*.txt", "*.model", "*.jinja")
_WEIGHTS = ("*.safetensors",)
_NOT_FOR_TRANSFORMERS = ("*/*", "consolidated*")
_TOKENIZER = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_LONGEST_TOKENIZER = 256 << 20
_LONGEST_REASON = 400
"""Characters of what transformers says, at most: of its start and its end, where it names the missing file."""
_SLACK = 1 << 24
"""Elements that a model may have beyond four times those of its files: buffers that are computed."""


def snapshot(hub_id: str, revision: str, *, weights: bool) -> Path:
    """Return the local directory of a hub repository at a revision; its name is the commit.

    Args:
        hub_id: as ``"org/name"``.
        revision: branch, tag or commit.
        weights: whether the safetensors files are needed too.

    Raises:
        MissingWeights: the repository cannot be had from here, and what to do about it.
        InvalidConfig: the hub has no such repository or revision.
    """
    patterns = [*_CONFIG_AND_TEXT, *(_WEIGHTS if weights else ())]
    try:
        directory = snapshot_download(
            hub_id, revision=revision, allow_patterns=patterns, ignore_patterns=list(_NOT_FOR_TRANSFORMERS)
        )
    except (OSError, ValueError) as error:
        raise _refusal(f"cannot have {hub_id!r} at revision {revision!r}", error) from error
    return Path(directory)


def _refusal(what: str, error: Exception) -> ArecaError:
    if isinstance(error, GatedRepoError):  # a kind of RepositoryNotFoundError
        return MissingWeights(
            f"{what}: its owner wants its terms accepted: accept them on its page, then log in with `hf auth login`"
        )
    if isinstance(error, RepositoryNotFoundError):
        return InvalidConfig(
            f"{what}: the hub has no such repository, or it is private: check the id, or log in with `hf auth login`"
        )
    if isinstance(error, RevisionNotFoundError):
        return InvalidConfig(f"{what}: the repository has no such revision: check `revision`")
    return MissingWeights(
        f"{what}: it is not in the local cache and the hub did not answer ({_reason(error)}); "
        f"go online once, or download it elsewhere and give the directory as `path`"
    )


def guarded(source: str, load: Callable[[], T], error: type[ArecaError] = ArecaError) -> T:
    """Call `load`; whatever transformers raises for files that it cannot use becomes one line that names the source.

    Args:
        source: where the files are, for the message.
        load: calls transformers.
        error: what is raised.

    Raises:
        ArecaError: `error`: `load` failed.
    """
    try:
        with _quiet():
            return load()
    except ArecaError:
        raise
    except BaseException as e:
        # Any exception may come of a config that a stranger wrote; a panic of tokenizers is not even an Exception.
        if not isinstance(e, Exception) and type(e).__name__ != "PanicException":
            raise
        reason = _reason(e)
        if "trust_remote_code" in str(e):
            reason = "it needs code of its own, which areca never runs; give a model of a class in transformers"
        raise error(f"{source}: transformers cannot load it: {reason}") from e


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason, half = " ".join(lines[0].split()), _LONGEST_REASON // 2
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:half]} ... {reason[-half:]}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' reports and progress bars off the screen: the caller shows progress and says what is wrong."""
    verbosity = transformers_logging.get_verbosity()
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def read_model_config(
    directory: Path, source: str, *, own: bool = False, error: type[ArecaError] = InvalidConfig
) -> Any:
    """Return the ``PreTrainedConfig`` of a folder in the hub's layout, without anything that would run code.

    Args:
        directory: the folder.
        source: what it is called in errors.
        own: as of `areca.hub.model_config.checked_config`.
        error: what is raised.

    Raises:
        ArecaError: `error`: as of `checked_config` and `check_files`, or transformers does not know the config.
    """
    check_files(directory, source, error)
    checked_config(directory, len(stored_tensors(directory, error=error)), source, own=own, error=error)

    def read() -> Any:
        config: Any = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        if hasattr(config, "auto_map"):  # the class is transformers' own; the code beside it is none of ours
            del config.auto_map
        return config

    return guarded(source, read, error)


def load_pretrained(
    model_class: Any,
    directory: Path,
    *,
    source: str | None = None,
    config: Any = None,
    dtype: torch.dtype | None = None,
    lacking: Callable[[str], bool] = lambda name: False,
    left_over: Callable[[str], bool] = lambda name: False,
    own: bool = False,
    error: type[ArecaError] = InvalidConfig,
) -> Any:
    """Return a model of transformers from a folder in the hub's layout, in evaluation mode, on the CPU.

    Args:
        model_class: a model's class, or an auto class as ``AutoModelForCausalLM``.
        directory: the folder: config.json and safetensors files.
        source: what it is called in errors; None: the folder.
        config: what `read_model_config` returned, perhaps changed; None: it is called here.
        dtype: of the weights; None: that in which they are stored.
        lacking: tells which tensors of the model the files may lack.
        left_over: tells which tensors of the files the model need not have.
        own: as of `areca.hub.model_config.checked_config`.
        error: what is raised.

    Raises:
        ArecaError: `error`: no safetensors files, or tensors in them that are missing, left over, stored twice or of
            another shape than the config says; a config as `read_model_config` refuses it; or transformers fails.
    """
    source = source or str(directory)
    if config is None:
        config = read_model_config(directory, source, own=own, error=error)
    stored = stored_tensors(directory, error=error)
    if not stored:
        raise error(f"{source}: has no *.safetensors, and pickled weights are never read: convert them first")
    _check_sizes(model_class, config, stored, source, error)

    def load() -> Any:
        # transformers draws from the global generator, also for weights that loading then overwrites.
        with torch.random.fork_rng(devices=[]):
            return model_class.from_pretrained(
                directory,
                config=config,
                dtype=dtype or _dtype_of(stored),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )

    model, report = guarded(source, load, error)
    _check_report(report, source, lacking, left_over, error)
    if own and config.architectures != [type(model).__name__]:
        raise error(f"{source}: its {CONFIG} says {quote(config.architectures)}, and loads as {type(model).__name__}")
    return model


_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}


def _dtype_of(stored: Mapping[str, Stored]) -> torch.dtype:
    """Return the type that most elements have, of those that compute."""
    sizes = dict.fromkeys(_DTYPES, 0)
    for tensor in stored.values():
        if tensor.dtype in sizes:
            sizes[tensor.dtype] += tensor.elements
    return _DTYPES[max(sizes, key=sizes.__getitem__)]


def _check_sizes(
    model_class: Any, config: Any, stored: Mapping[str, Stored], source: str, error: type[ArecaError]
) -> None:
    """Refuse a config that describes a larger model than the files hold, before any memory is taken for it."""

    def describe() -> Any:
        build = getattr(model_class, "from_config", None) or model_class._from_config
        with (
            torch.random.fork_rng(devices=[]),
            torch.device("meta"),
            bounded_building(len(stored)),
            warnings.catch_warnings(action="ignore"),  # of torch, about sizes that are refused below
        ):
            return build(copy.deepcopy(config))

    model = guarded(source, describe, error)
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
    lacking: Callable[[str], bool],
    left_over: Callable[[str], bool],
    error: type[ArecaError],
) -> None:
    if missing := sorted(name for name in report["missing_keys"] if not lacking(name)):
        raise error(
            f"{source}: the weights lack {len(missing)} tensor(s) of the model that {CONFIG} describes, "
            f"as {missing[0]!r}: give the directory whose files belong together"
        )
    if beyond := sorted(name for name in report["unexpected_keys"] if not left_over(name)):
        raise error(
            f"{source}: the weights have {len(beyond)} tensor(s) that the model of {CONFIG} does not, "
            f"as {beyond[0]!r}: give the directory whose files belong together"
        )


def fast_tokenizer(where: Path, *, error: type[ArecaError] = InvalidConfig, **options: Any) -> Any:
    """Return the tokenizer of a directory, a ``PreTrainedTokenizerFast``.

    Args:
        where: the directory.
        error: what is raised.
        options: for ``AutoTokenizer.from_pretrained``.

    Raises:
        ArecaError: `error`: it is not a fast tokenizer, or its files are damaged or larger than those of a tokenizer;
            transformers cannot load it.
    """
    check_files(where, str(where), error)
    for name in _TOKENIZER:
        with contextlib.suppress(FileNotFoundError):
            read_json(where / name, links=True, infinity=True, error=error)
    with contextlib.suppress(FileNotFoundError):
        read_regular(where / "tokenizer.json", most=_LONGEST_TOKENIZER, links=True, error=error)

    def load() -> Any:
        return AutoTokenizer.from_pretrained(where, trust_remote_code=False, local_files_only=True, **options)

    tokenizer = guarded(str(where), load, error)
    if not tokenizer.is_fast:
        raise error(f"{where}: expected a fast tokenizer (tokenizer.json), got {type(tokenizer).__name__}")
    return tokenizer


def named_tokenizer(hub_id: str | None, revision: str, directory: Path | None) -> Any:
    """Return the text tokenizer of a directory or, where that is None, of a hub repository at a revision.

    Raises:
        InvalidConfig: it is not a fast tokenizer, or cannot be loaded.
        MissingWeights: it cannot be had from here.
    """
    if directory is not None:
        return fast_tokenizer(directory)
    assert hub_id is not None, "the caller gives one of them"
    return fast_tokenizer(snapshot(hub_id, revision, weights=False))
