"""Checks of a dataset's options. Light: no torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from areca.errors import suggest


def check_names(option: str, given: Sequence[str], known: Collection[str], *, may_be_empty: bool = False) -> None:
    """Refuse unknown and repeated names.

    Args:
        option: the option's name, for the message.
        given: its value.
        known: the names to choose from.
        may_be_empty: whether no name is a valid choice.

    Raises:
        ValueError: a name is unknown or given twice, or there is none.
    """
    if not given and not may_be_empty:
        raise ValueError(f"{option} is empty; choose from {', '.join(known)}")
    if len(set(given)) < len(given):
        raise ValueError(f"{option} names a value twice: {', '.join(given)}")
    for name in given:
        if name not in known:
            raise ValueError(f"{option}: there is no {name!r}{suggest(name, known)}; there are {', '.join(known)}")


def check_shares(test_share: float, validation_share: float) -> None:
    """Refuse shares that are negative or leave nothing to train on.

    Raises:
        ValueError: a share is negative, or their sum is 1 or more.
    """
    shares = (test_share, validation_share)
    if min(shares) < 0 or sum(shares) >= 1:
        raise ValueError(f"test_share and validation_share must be 0 or more and leave rows to train on, got {shares}")


def check_workers(workers: int) -> None:
    """Refuse less than one worker.

    Raises:
        ValueError: `workers` is below 1.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
