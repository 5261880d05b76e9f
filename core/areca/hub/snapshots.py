"""Download model repositories from the Hugging Face hub, or find them in the local cache."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from areca.errors import ArecaError, InvalidConfig, MissingWeights, summarise

_CONFIG_AND_TEXT = ("*.json", "*.txt", "*.model", "*.jinja")
_WEIGHTS = ("*.safetensors",)
_NOT_FOR_TRANSFORMERS = ("*/*", "consolidated*")


def fetch_snapshot(hub_id: str, revision: str, *, weights: bool) -> Path:
    """Return the local directory of a hub repository at a revision. Its name is the commit.

    Args:
        hub_id: for example ``"org/name"``.
        revision: branch, tag or commit.
        weights: whether the safetensors files are needed too.

    Raises:
        MissingWeights: the repository is not available; the message says what to do.
        InvalidConfig: the hub has no such repository or revision.
    """
    patterns = [*_CONFIG_AND_TEXT, *(_WEIGHTS if weights else ())]
    try:
        directory = snapshot_download(
            hub_id, revision=revision, allow_patterns=patterns, ignore_patterns=list(_NOT_FOR_TRANSFORMERS)
        )
    except (OSError, ValueError) as error:
        raise _translate(f"cannot fetch {hub_id!r} at revision {revision!r}", error) from error
    return Path(directory)


def _translate(what: str, error: Exception) -> ArecaError:
    """Return the error that tells a user what went wrong and what to do."""
    if isinstance(error, GatedRepoError):  # a subclass of RepositoryNotFoundError
        return MissingWeights(
            f"{what}: its owner requires you to accept its terms: accept them on its page, then log in with "
            f"`hf auth login`"
        )
    if isinstance(error, RepositoryNotFoundError):
        return InvalidConfig(
            f"{what}: the hub has no such repository, or it is private: check the id, or log in with `hf auth login`"
        )
    if isinstance(error, RevisionNotFoundError):
        return InvalidConfig(f"{what}: the repository has no such revision: check `revision`")
    return MissingWeights(
        f"{what}: it is not in the local cache and the hub did not answer ({summarise(error)}); "
        f"go online once, or download it elsewhere and give the directory as `path`"
    )
