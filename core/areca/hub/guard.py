"""Call transformers quietly, and turn its exceptions into one line that names the source."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from transformers.utils import logging as transformers_logging

from areca.errors import ArecaError, summarise

T = TypeVar("T")


def call_guarded(source: str, load: Callable[[], T], error: type[ArecaError] = ArecaError) -> T:
    """Return ``load()``. If transformers cannot use the files, raise a one-line error that names the source.

    Args:
        source: where the files are, for the message.
        load: calls transformers.
        error: the class to raise.

    Raises:
        ArecaError: as `error`, if `load` fails.

    Example:
        ``config = call_guarded("org/name", lambda: AutoConfig.from_pretrained(folder))``
    """
    try:
        with _silence_transformers():
            return load()
    except ArecaError:
        raise
    except BaseException as e:
        # An untrusted config can cause any exception; a panic of tokenizers is not even an Exception.
        if not isinstance(e, Exception) and type(e).__name__ != "PanicException":
            raise
        reason = summarise(e)
        if "trust_remote_code" in str(e):
            reason = "it needs its own code, which areca never runs; give a model of a class in transformers"
        raise error(f"{source}: transformers cannot load it: {reason}") from e


@contextlib.contextmanager
def _silence_transformers() -> Iterator[None]:
    """Hide the reports and progress bars of transformers: the caller shows progress and reports errors."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        with hide_progress_bars():
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)


@contextlib.contextmanager
def hide_progress_bars() -> Iterator[None]:
    """Hide the progress bars of transformers in the block: callers show their own progress."""
    bars_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if bars_enabled:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
