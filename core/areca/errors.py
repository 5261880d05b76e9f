"""Errors and warnings. Each message states the value received, the value expected and what to type next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ArecaError(Exception):
    """Base class of every error that areca raises deliberately."""


class ArecaWarning(UserWarning):
    """Base class of every warning that areca issues."""


class TextLost(ArecaWarning):
    """The LM's text tokenizer cannot represent every letter of a text."""


class UnknownComponent(ArecaError, LookupError):
    """No installed plugin provides a component with this name."""


class AmbiguousComponent(ArecaError, LookupError):
    """Several plugins provide a component with this name."""


class BrokenPlugin(ArecaError):
    """A plugin cannot be used: its import fails, it declares no component, or a declaration is invalid."""


class MissingDependency(ArecaError, ImportError):
    """A component's heavy dependency is not installed."""


class MissingWeights(ArecaError):
    """Published weights are not available: the server does not respond, or its terms must be accepted first."""


class InvalidConfig(ArecaError, ValueError):
    """A configuration contains an unknown option or an invalid value."""


class IncompatibleParts(ArecaError, ValueError):
    """The specs of two or more parts are not compatible."""


class InvalidAudio(ArecaError, ValueError):
    """Audio cannot be decoded or used."""


class InvalidManifest(ArecaError, ValueError):
    """A manifest row cannot be used; the message names the file and the line."""


class InvalidArtifact(ArecaError):
    """The files of an artifact are missing, damaged or changed."""


class InvalidCodes(ArecaError, ValueError):
    """Codes or ids do not belong to the streams or the vocabulary in use."""


class StorageError(ArecaError, OSError):
    """A file or folder cannot be read or written: full disk, missing permission, read-only disk."""


QUOTED = 80
"""Maximum number of characters that `quote` returns."""

_LONGEST_SUMMARY = 400


def quote(value: object) -> str:
    """Return ``repr(value)`` for a message; beyond `QUOTED` characters its middle is replaced by ``...``.

    Example:
        >>> quote("fr")
        "'fr'"
    """
    text = repr(value)
    half = (QUOTED - 5) // 2
    return text if len(text) <= QUOTED else f"{text[:half]} ... {text[-half:]}"


def shorten(message: object, most: int = 300) -> str:
    """Return the text of `message`, truncated to `most` characters.

    For messages of libraries and plugins, which may quote a whole file.
    """
    text = str(message)
    return text if len(text) <= most else f"{text[:most]} ..."


def summarise(error: BaseException, *, lines: int | None = 1) -> str:
    """Return an error's message on one line of at most 400 characters; a longer one loses its middle.

    For errors of libraries, whose messages may have many lines. The end is kept because it often names a file. Never
    fails, even if formatting the error does.

    Args:
        error: the error.
        lines: number of lines of the message to keep; None: all.

    Returns:
        The message; the name of the error's class if the message is empty.
    """
    text, half = _join_lines(error, lines) or type(error).__name__, _LONGEST_SUMMARY // 2
    return text if len(text) <= _LONGEST_SUMMARY else f"{text[:half]} ... {text[-half:]}"


def format_error(error: BaseException) -> str:
    """Return ``"ValueError: message"`` on one line. Never fails, even if formatting the error does."""
    return f"{type(error).__name__}: {shorten(_join_lines(error, None))}"


def _join_lines(error: BaseException, lines: int | None) -> str:
    try:
        text = str(error)
    except Exception as e:
        return f"its message cannot be read ({type(e).__name__})"
    return " ".join(" ".join(text.strip().splitlines()[:lines]).split())


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the name in `known` most similar to `name`; ``""`` if none is similar."""
    close = nearest_name(name, known)
    return f"; did you mean {close!r}?" if close else ""


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the name in `known` whose spelling is most similar to `name`; None if none is similar."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)), None)
