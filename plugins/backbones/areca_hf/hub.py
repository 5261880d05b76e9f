"""Files of a hub repository, downloaded or from the cache: safetensors and JSON, never code or pickles."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from areca.errors import ArecaError, InvalidConfig, MissingWeights

_CONFIG_AND_TEXT = ("*.json", "*.txt", "*.model", "*.jinja")
_WEIGHTS = ("*.safetensors",)
_NOT_FOR_TRANSFORMERS = ("*/*", "consolidated*")


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
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return MissingWeights(
        f"{what}: it is not in the local cache and the hub did not answer ({reason}); "
        f"go online once, or download it elsewhere and give the directory as `path`"
    )
