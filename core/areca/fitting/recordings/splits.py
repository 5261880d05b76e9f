"""Assign splits by hash, so that a key has the same split in all languages and in corpora of any size."""

from __future__ import annotations

import hashlib


def assign_split(key: str, test_share: float, validation_share: float) -> str:
    """Return ``"test"``, ``"validation"`` or ``"train"``, by a hash of `key`.

    Args:
        key: identifies what must be in one split.
        test_share: share of all keys in the test split; a larger share keeps the keys of a smaller one.
        validation_share: share of all keys in the validation split.
    """
    position = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    if position < test_share:
        return "test"
    return "validation" if position < test_share + validation_share else "train"
