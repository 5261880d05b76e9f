"""``areca data``: build a dataset, or check a manifest."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from areca.cli import common
from areca.component import Kind
from areca.errors import InvalidArtifact, InvalidConfig, quote
from areca.files.yaml_text import read_pairs
from areca.registry.parts import Part, resolve
from areca.run.devices import require_single_process

if TYPE_CHECKING:
    from areca.artifact import Artifact
    from areca.manifest import Manifest

_MANIFEST = (".jsonl", ".jsonl.gz")
_OUTPUT = "a new folder for the dataset; for a manifest: a new .jsonl file in its folder, for the good rows"
_COPY = "with -o: also copy recordings that are not in the dataset's artifact, as 16-bit FLAC"


def data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a dataset to build, or a manifest (.jsonl) to check")],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="OPTION=VALUE", help="options of the dataset: see `areca show NAME`")
    ] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help=_OUTPUT)] = None,
    seed: Annotated[str, typer.Option("--seed", help="seed from which the rows are chosen")] = "0",
    copy: Annotated[bool, typer.Option("--copy", help=_COPY)] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="list bad rows and leave them out, instead of ending at the first")
    ] = False,
) -> None:
    """Build a dataset and copy it to a folder, or check every row of a manifest and its audio files.

    `areca data say languages=[fr] count=100 -o say-fr` builds a dataset. `areca data say-fr/manifest.jsonl` checks it.
    `areca data own/manifest.jsonl --skip-bad -o own/good.jsonl` writes a manifest with only the good rows.
    """
    require_single_process()
    given = read_pairs(options or (), what="option", example="count=100")
    if name.endswith(_MANIFEST):
        root = _parse_root(given)
        _check(Path(name), None if output is None else Path(output), skip_bad=skip_bad, root=root)
        return
    part = resolve(common.registry(), Kind.DATASET, {"name": name, **given}, role="data")
    if output is None:
        manifest, artifact = _build(part, _parse_seed(seed))
        _print_counts(manifest, manifest.name if artifact is None else artifact.directory)
        if not _holds_audio(artifact, manifest):
            print(f"audio is left where it is: {manifest.name}")
        for message in getattr(manifest, "skipped", ()):  # not in the protocol: a dataset need not leave rows out
            print(f"left out: {message}")
    else:
        _print_counts(_write_dataset(part, _parse_seed(seed), Path(output), copy=copy), Path(output))


def _write_dataset(part: Part, seed: int, folder: Path, *, copy: bool) -> Manifest:
    """Build the dataset and copy it into `folder`, unless the folder holds it already, complete and unchanged."""
    from areca.artifact import META, Artifact
    from areca.files.copying import copy_folder
    from areca.files.writing import create_folder, probe

    if os.path.lexists(folder):
        artifact = _open_artifact(folder)
        if artifact is None or artifact.key != part.key(None, seed):
            raise InvalidConfig(f"{folder}: exists already; name another folder, or remove this one")
        print(f"{folder} already holds this dataset\n")
        return _load(part, folder)
    probe(folder)
    manifest, artifact = _build(part, seed)
    if not _holds_audio(artifact, manifest):
        return _copy_dataset(manifest, folder, part.name, copy=copy)
    assert artifact is not None
    with create_folder(folder) as draft:
        copy_folder(artifact.directory, draft)
        if (draft / META).is_file():
            Artifact.open(draft)  # verify the copy before it is renamed
    return manifest


def _copy_dataset(manifest: Manifest, folder: Path, name: str, *, copy: bool) -> Manifest:
    from areca.artifacts.copying import MANIFEST, copy_manifest
    from areca.files.writing import create_folder
    from areca.manifest import read_manifest

    if not copy:
        raise InvalidConfig(
            f"{folder}: not written: {name} leaves its audio where it is ({manifest.name}), so the folder would hold "
            f"only rows\n  to copy the audio too: areca data {name} ... -o {shlex.quote(str(folder))} --copy"
        )
    with create_folder(folder) as draft, common.progress(f"copy {name}") as progress:
        copy_manifest(manifest, draft, progress)
    return read_manifest(folder / MANIFEST, depth="path")


def _holds_audio(artifact: Artifact | None, manifest: Manifest) -> bool:
    """Return whether the recordings are in the dataset's artifact."""
    from areca.manifest import FileManifest

    if artifact is None or not isinstance(manifest, FileManifest):
        return False
    return os.path.realpath(manifest.root) == os.path.realpath(artifact.directory)


def _open_artifact(folder: Path) -> Artifact | None:
    """Return the artifact in a folder, verified; None: the folder is not an artifact, or a file has changed."""
    from areca.artifact import Artifact

    try:
        return Artifact.open(folder)
    except InvalidArtifact:
        return None


def _load(part: Part, folder: Path) -> Manifest:
    import torch

    manifest: Manifest = part.entry.target().load(
        part.config, {}, folder, device=torch.device("cpu"), dtype=torch.float32
    )
    return manifest


def _parse_root(values: Mapping[str, Any]) -> Path | None:
    """Return the option ``root``, the folder where a manifest's paths start; None: it is not given."""
    if others := sorted(set(values) - {"root"}):
        raise InvalidConfig(
            f"option {quote(others[0])}: for a manifest the only option is root=FOLDER, where its paths start"
        )
    return Path(str(values["root"])) if "root" in values else None


def _parse_seed(seed: str) -> int:
    try:
        return int(seed)
    except ValueError:
        raise InvalidConfig(f"--seed {seed!r}: expected a whole number") from None


def _require_free(output: Path) -> None:
    if os.path.lexists(output):
        raise InvalidConfig(f"{output}: exists already; name another file, or remove this one")


def _build(part: Part, seed: int) -> tuple[Manifest, Artifact | None]:
    from areca.artifacts.loader import PartLoader
    from areca.artifacts.store import Store

    loader = PartLoader(Store(), seed=seed, stage=common.progress)
    return loader.instance(part), loader.artifact(part)


def _check(path: Path, output: Path | None, *, skip_bad: bool, root: Path | None) -> None:
    from areca.files.writing import probe
    from areca.manifest import read_manifest, write_manifest

    if output is not None:
        _require_beside(path, output)
        probe(output.parent)
    manifest = read_manifest(path, skip_bad=skip_bad, depth="decode", root=root)
    for message in manifest.skipped:
        print(message)
    if manifest.skipped or output is not None:
        print(f"left out {len(manifest.skipped)} of {len(manifest.skipped) + len(manifest.rows)} rows\n")
    if output is not None:
        _require_free(output)  # again: another process may have made it meanwhile
        write_manifest(output, manifest.rows)
    _print_counts(manifest, output or path.parent)


def _require_beside(path: Path, output: Path) -> None:
    from areca.artifact import META
    from areca.manifest import good_rows_path

    if output.suffix != ".jsonl" or os.path.realpath(output.parent) != os.path.realpath(path.parent):
        example = good_rows_path(path)
        raise InvalidConfig(
            f"-o {output}: a manifest's paths start from its folder; write it beside {path}, as: -o {example}"
        )
    if (path.parent / META).is_file():
        raise InvalidConfig(
            f"-o {output}: {path.parent} is an artifact and cannot be changed; copy the folder elsewhere, "
            f"and remove {META} from the copy"
        )
    _require_free(output)


def _print_counts(manifest: Manifest, place: Path | str) -> None:
    counts = Counter((row.language or "", row.source or "", row.split) for row in manifest.rows)
    rows = [[*cell, str(count)] for cell, count in sorted(counts.items())]
    common.print_table(("language", "source", "split", "rows"), rows)
    print()
    for note in getattr(manifest, "notes", ()):  # not in the protocol: a dataset need not have any
        print(note)
    print(f"{len(manifest.rows)} rows in {place}, key {manifest.key[:12]}")
