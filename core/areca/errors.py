"""Errors whose message says what came, what was expected and what to type next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ArecaError(Exception):
    """Base of every error raised on purpose."""


class ArecaWarning(UserWarning):
    """Base of every warning given on purpose."""


class TextLost(ArecaWarning):
    """A text of which the LM's text tokenizer cannot spell every letter."""


class UnknownComponent(ArecaError, LookupError):
    """No installed plugin provides a component of that name."""


class AmbiguousComponent(ArecaError, LookupError):
    """Several plugins provide a component of that name."""


class BrokenPlugin(ArecaError):
    """A plugin cannot be used: it fails on import, or declares nothing, or something wrong."""


class MissingDependency(ArecaError, ImportError):
    """A component's heavy dependency is not installed."""


class MissingWeights(ArecaError):
    """Published weights cannot be had here: the hub or server does not answer, or wants its terms accepted."""


class InvalidConfig(ArecaError, ValueError):
    """A configuration names an option that does not exist, or gives one a value it cannot have."""


class IncompatibleParts(ArecaError, ValueError):
    """Parts whose specs do not fit each other."""


class InvalidAudio(ArecaError, ValueError):
    """Audio that cannot be decoded or used."""


class InvalidManifest(ArecaError, ValueError):
    """A manifest row that cannot be used; the message names file and line."""


class InvalidArtifact(ArecaError):
    """An artifact whose files are not those that were made."""


class InvalidCodes(ArecaError, ValueError):
    """Codes or ids that do not belong to the streams or the vocabulary they are used with."""


class StorageError(ArecaError, OSError):
    """A file or folder that cannot be read or written: no room, no permission, a read-only disk."""


QUOTED = 80
"""Characters of a user's own text that a message quotes, at most."""


def quote(value: object) -> str:
    """Return ``repr(value)``, its middle left out where it is longer than `QUOTED` characters."""
    text = repr(value)
    half = (QUOTED - 5) // 2
    return text if len(text) <= QUOTED else f"{text[:half]} ... {text[-half:]}"


def clipped(message: object, most: int = 300) -> str:
    """Return a library's or a plugin's message, cut behind `most` characters: it may quote all of a user's text."""
    text = str(message)
    return text if len(text) <= most else f"{text[:most]} ..."


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of `known`, or ``""``."""
    close = nearest(name, known)
    return f"; did you mean {close!r}?" if close else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that is spelled most like `name`, or None where none is like it."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)), None)
