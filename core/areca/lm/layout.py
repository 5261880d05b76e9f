"""``vocabulary.json``: what each id of an LM means, and how the codes that it reads and writes become ids."""

from __future__ import annotations

from pathlib import Path

from areca.errors import InvalidArtifact, UnknownComponent, quote
from areca.files.reading import read_json
from areca.files.writing import write_json
from areca.lm.patterns import CodeLayout
from areca.lm.vocabulary import Vocabulary
from areca.options import key_of
from areca.registry.registry import Registry

_SIDES = ("reads", "writes")


def write_layout(path: Path, vocabulary: Vocabulary, reads: CodeLayout, writes: CodeLayout) -> None:
    """Write the file, with a hash of its content: text tokenizer, streams, and patterns with revision and options."""
    layout = {"reads": reads.to_json(), "writes": writes.to_json(), **vocabulary.to_json()}
    write_json(path, {**layout, "hash": key_of(layout)})


def read_layout(path: Path, registry: Registry) -> tuple[Vocabulary, CodeLayout, CodeLayout]:
    """Read a file that `write_layout` wrote: the vocabulary, the layout that the LM reads, the layout that it writes.

    Raises:
        InvalidArtifact: the file is missing or changed, or a pattern has a revision that orders codes differently.
        UnknownComponent: a pattern is not installed.
    """
    try:
        values = read_json(path)
    except FileNotFoundError:
        raise InvalidArtifact(f"{path}: is missing") from None
    stored = values.pop("hash", None)
    try:
        vocabulary = Vocabulary.from_json(values)
        if stored != (computed := key_of(values)):
            raise InvalidArtifact(f"stored hash {quote(stored)}, but the layout beside it has {computed}")
        reads, writes = (CodeLayout.from_json(vocabulary, values.get(side), registry) for side in _SIDES)
    except (InvalidArtifact, UnknownComponent) as e:
        raise type(e)(f"{path}: {e}") from e
    return vocabulary, reads, writes
