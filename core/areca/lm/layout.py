"""``vocabulary.json``: what each id of an LM means, and how the codes that it reads and writes become ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from areca.errors import InvalidArtifact, InvalidCodes, InvalidConfig, UnknownComponent, format_error, quote
from areca.files.reading import read_json
from areca.files.writing import write_json
from areca.lm.adapter import VectorLayout
from areca.lm.patterns import CodeLayout, Pattern
from areca.lm.vocabulary import Vocabulary
from areca.options import build, key_of
from areca.registry.parts import Part
from areca.registry.registry import Registry
from areca.run.options import AdapterConfig, DepthConfig
from areca.specs import Stream


@dataclass(frozen=True)
class Layout:
    """What the ids of an LM mean.

    Args:
        vocabulary: the joint vocabulary.
        codes: the layout of each role's codes.
        reads: role of the audio in prompts.
        writes: role of the audio in answers.
        depth: size of the depth transformer; None: the heads are tied.
        vectors: how the LM reads vectors in place of the codes of `reads`; None: it reads codes.
    """

    vocabulary: Vocabulary
    codes: Mapping[str, CodeLayout]
    reads: str
    writes: str
    depth: DepthConfig | None = None
    vectors: VectorLayout | None = None

    @classmethod
    def make(
        cls,
        vocabulary: Vocabulary,
        roles: Mapping[str, tuple[Stream, ...]],
        reads: str,
        writes: str,
        pattern: Part | None,
        depth: DepthConfig | None,
        vectors: VectorLayout | None = None,
    ) -> Self:
        """Create the layout of an LM that reads and writes given roles.

        Args:
            vocabulary: as for the class.
            roles: the streams of each role.
            reads: as for the class.
            writes: as for the class.
            pattern: a part of the kind ``pattern``; None: each role has one stream.
            depth: as for the class.
            vectors: as for the class.

        Raises:
            IncompatibleParts: the pattern cannot combine the streams, or several streams have no pattern.
        """
        chosen = None if pattern is None else Pattern.of(pattern)
        codes = {role: CodeLayout(vocabulary, role, roles[role], chosen) for role in sorted(roles)}
        return cls(vocabulary, codes, reads, writes, depth, vectors)

    def of(self, role: str, streams: tuple[int, int] | None = None) -> CodeLayout:
        """Return the layout of a role's codes, or of only its streams ``[first, stop)``.

        Raises:
            InvalidCodes: the LM has no such role, or the role no such streams.
        """
        if role not in self.codes:
            raise InvalidCodes(f"the LM has no role {quote(role)}: expected one of {', '.join(self.codes)}")
        return self.codes[role].part(streams)

    @property
    def has_depth(self) -> bool:
        """Whether the LM has a depth transformer: it is asked for, and a step has several ids."""
        return self.depth is not None and self.slots > 1

    @property
    def slots(self) -> int:
        """Maximum number of ids in a step."""
        return max(codes.slots for codes in self.codes.values())


def write_layout(path: Path, layout: Layout) -> None:
    """Write the file, with a hash of its content."""
    values: dict[str, Any] = {
        "reads": layout.reads,
        "writes": layout.writes,
        "layouts": {role: codes.to_json() for role, codes in sorted(layout.codes.items())},
        "depth": layout.depth and asdict(layout.depth),
        **layout.vocabulary.to_json(),
    }
    if layout.vectors is not None:
        values["read_as"] = {layout.reads: asdict(layout.vectors)}
    write_json(path, {**values, "hash": key_of(values)})


def read_layout(path: Path, registry: Registry) -> Layout:
    """Read a file that `write_layout` wrote.

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
        return _parse(vocabulary, values, registry)
    except (InvalidArtifact, UnknownComponent) as e:
        raise type(e)(f"{path}: {e}") from e


def _parse(vocabulary: Vocabulary, values: Mapping[str, Any], registry: Registry) -> Layout:
    try:
        codes = {role: CodeLayout.from_json(vocabulary, x, registry) for role, x in values["layouts"].items()}
        reads, writes = values["reads"], values["writes"]
        depth = None if values["depth"] is None else DepthConfig(**values["depth"])
        vectors = _parse_vectors(reads, values.get("read_as", {}))
        if not {reads, writes} <= set(codes):
            raise ValueError(f"the LM reads {reads!r} and writes {writes!r}, but has layouts of {sorted(codes)}")
    except (KeyError, TypeError, ValueError, AttributeError, InvalidConfig) as e:
        raise InvalidArtifact(f"expected layouts, reads, writes and depth; {format_error(e)}") from e
    return Layout(vocabulary, codes, reads, writes, depth, vectors)


def _parse_vectors(reads: str, read_as: Mapping[str, Any]) -> VectorLayout | None:
    if not read_as:
        return None
    if set(read_as) != {reads}:
        raise ValueError(f"the LM reads {reads!r}, but reads vectors of {sorted(read_as)}")
    values = read_as[reads]
    if type(values["size"]) is not int:
        raise ValueError(f"size is {quote(values['size'])}, expected a whole number")
    return VectorLayout(values["size"], build(AdapterConfig, values["adapter"], "adapter"))
