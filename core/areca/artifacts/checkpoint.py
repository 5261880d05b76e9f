"""Checkpoints: everything that `areca.load` needs, and the provenance of each part."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import yaml

from areca.artifact import Artifact, copy_artifact
from areca.component import Kind
from areca.errors import ArecaError, BrokenPlugin, InvalidArtifact, InvalidConfig, UnknownComponent, quote
from areca.files.reading import read_json, read_regular
from areca.files.references import check_no_references
from areca.files.writing import create_folder, write_json, write_text
from areca.files.yaml_text import LONGEST_YAML, parse_yaml
from areca.options import content_hash, key_of
from areca.registry.entry import LOCAL
from areca.registry.parts import Part
from areca.run.config import RunConfig, parse_config
from areca.run.explicit import explicit_config

CONFIG = "config.yaml"
CURVES = "curves.jsonl"
"""The training curve, as the LM's training wrote it: see `areca.training.curves`."""
LM = "lm"
PARTS = "parts"
PROVENANCE = "provenance.json"
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,79}")
"""A distribution's name or version: what may follow ``pip install``."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An open checkpoint, its files verified.

    Args:
        directory: its folder.
        artifact: its key and fingerprint.
        run: the run that built it; its data and training options are no longer used.
        parts: the artifacts of the trained parts, by role.
        provenance: the content of ``provenance.json``.
    """

    directory: Path
    artifact: Artifact
    run: RunConfig
    parts: Mapping[str, Artifact]
    provenance: Mapping[str, Any]

    @property
    def lm(self) -> Path:
        """The Hugging Face directory of the LM."""
        return self.directory / LM

    @property
    def identity(self) -> str:
        """Hash of what determines answers: weights, parts and configuration, but not the run's name."""
        parts = {
            role: [p["revision"], p["weights"], *sorted(p.get("contents", {}).items())]
            for role, p in self.provenance["parts"].items()
        }
        config = {k: v for k, v in self.run.source.items() if k not in ("name", "seed", "training", "plugins")}
        config["input"] = dataclasses.asdict(self.run.input)  # a value that a checkpoint does not state is the default
        return key_of({"lm": self.provenance["lm"]["fingerprint"], "parts": parts, "config": config})


def stored_parts(run: RunConfig) -> dict[str, Part]:
    """Return the trained parts that a checkpoint stores by role: all except the backbone, which is in the LM."""
    return {
        role: part for role, part in run.parts.items() if part.is_trained and part.entry.component.kind != Kind.BACKBONE
    }


def write_checkpoint(
    directory: Path, run: RunConfig, lm: Artifact, fitted: Mapping[str, Artifact], data_key: str
) -> None:
    """Write a checkpoint's files into `directory`; the store then seals it.

    Args:
        directory: where to write; exists.
        run: the run that the checkpoint is built from.
        lm: the trained LM.
        fitted: the artifacts of the run's `stored_parts`, by role.
        data_key: key of the training data.
    """
    text = yaml.safe_dump(explicit_config(run), sort_keys=False, allow_unicode=True)
    write_text(directory / CONFIG, text)
    shutil.copytree(lm.directory / LM, directory / LM)
    if (lm.directory / CURVES).is_file():
        shutil.copy(lm.directory / CURVES, directory / CURVES)
    for role, artifact in fitted.items():
        copy_artifact(artifact, directory / PARTS / role)
    provenance = {
        "name": run.name,
        "seed": run.seed,
        "data": data_key,
        "lm": {"key": lm.key, "fingerprint": lm.fingerprint},
        "parts": {role: _describe_origin(part, fitted.get(role)) for role, part in run.parts.items()},
        "areca": {"version": metadata.version("areca"), "commit": find_commit("areca")},
    }
    write_json(directory / PROVENANCE, provenance)
    run.registry.hook.areca_checkpoint_saving(directory=directory)


def open_checkpoint(directory: Path, *, plugins: tuple[str, ...] = ()) -> Checkpoint:
    """Open and verify a checkpoint. Plugins that its configuration names are not run.

    Args:
        directory: its folder.
        plugins: files or modules that the user names, with components that the checkpoint needs.

    Raises:
        InvalidArtifact: the folder is not a checkpoint, or a file has changed; or a part was built by a revision that
            the installed component does not load, or files that the part's options name have changed.
        UnknownComponent: a part's component is not installed.
    """
    if not (directory / CONFIG).is_file():
        raise InvalidArtifact(
            f"{directory}: not a checkpoint ({CONFIG} is missing); to build one: areca train RUN.YAML"
        )
    artifact = Artifact.open(directory)
    source = read_source(directory)
    try:
        # Neither the dataset nor the judges need to be installed to use a checkpoint.
        needed = {k: v for k, v in source.items() if k not in ("data", "evaluation")}
        run = parse_config(needed, root=directory.resolve(), plugins=plugins, trusted=False)
    except (UnknownComponent, BrokenPlugin) as e:
        raise type(e)(f"{directory}: {e}{_advise_install(directory)}{_advise_local_plugins(source)}") from e
    provenance = _read_provenance(directory, run)
    _check_revisions(directory, run, provenance)
    _check_paths(directory, run, provenance)
    parts = {role: _open_part(directory, artifact, role, provenance) for role in stored_parts(run)}
    return Checkpoint(directory, artifact, run, parts, provenance)


def _open_part(directory: Path, checkpoint: Artifact, role: str, provenance: Mapping[str, Any]) -> Artifact:
    """Return a trained part's artifact. Its files must be those of the verified checkpoint and of its provenance."""
    part = Artifact.open(directory / PARTS / role, verify=False)
    files = {f"{PARTS}/{role}/{name}": sha for name, sha in part.files.items()}
    if part.fingerprint != provenance["parts"][role]["weights"] or not files.items() <= checkpoint.files.items():
        raise InvalidArtifact(f"{directory}: its {role} is not the part that {PROVENANCE} names")
    return part


def read_source(directory: Path) -> dict[str, Any]:
    """Return the content of a checkpoint's ``config.yaml`` as plain values.

    Raises:
        InvalidArtifact: the file is missing, is not YAML of plain values, or refers to values elsewhere.
    """
    path = directory / CONFIG
    try:
        source = parse_yaml(read_regular(path, most=LONGEST_YAML), str(path), InvalidArtifact)
        check_no_references(source, str(path))
    except (FileNotFoundError, InvalidConfig) as e:
        raise InvalidArtifact(str(e)) from e
    if not isinstance(source, dict):
        raise InvalidArtifact(f"{path}: expected a mapping like 'tokenizer: {{name: ...}}', got {quote(source)}")
    return source


def _read_provenance(directory: Path, run: RunConfig) -> dict[str, Any]:
    """Return the content of ``provenance.json``, with valid entries for the LM and for every part of `run`."""
    path = directory / PROVENANCE
    try:
        provenance = read_json(path)
    except FileNotFoundError:
        raise InvalidArtifact(f"{path}: is missing") from None
    lm, parts = provenance.get("lm"), provenance.get("parts")
    if not isinstance(lm, dict) or not isinstance(lm.get("fingerprint"), str):
        raise InvalidArtifact(f"{path}: expected {{lm: {{fingerprint: ...}}}}, got {quote(lm)}")
    for role in run.parts:
        part = parts.get(role) if isinstance(parts, dict) else None
        if not isinstance(part, dict) or not isinstance(part.get("revision"), int) or "weights" not in part:
            raise InvalidArtifact(f"{path}: expected revision and weights of the part {role!r}, got {quote(part)}")
        if not isinstance(part.get("contents", {}), dict):
            raise InvalidArtifact(f"{path}: expected contents of {role!r} by option, got {quote(part['contents'])}")
    return provenance


def _check_revisions(directory: Path, run: RunConfig, provenance: Mapping[str, Any]) -> None:
    for role, part in run.parts.items():
        recorded = provenance["parts"][role]
        component = part.entry.component
        known = {component.revision, *component.loads_revisions}
        if component.kind != Kind.BACKBONE and recorded["revision"] not in known:
            raise InvalidArtifact(
                f"{directory}: its {role} was made by revision {recorded['revision']} of {part.entry.qualified}, and "
                f"{part.entry.provider.distribution} {part.entry.provider.version} has revision {component.revision}, "
                f"whose output differs: pip install {recorded.get('distribution')}=={recorded.get('version')}, "
                "or train it again"
            )


def _check_paths(directory: Path, run: RunConfig, provenance: Mapping[str, Any]) -> None:
    """Refuse parts with options of type `Path` whose files have changed."""
    for role, part in run.parts.items():
        recorded = provenance["parts"][role].get("contents", {})
        for option, path in _path_options(part).items():
            content = recorded.get(option)
            if content != (now := content_hash(path)):
                raise InvalidArtifact(
                    f"{directory}: its {role} was made with another content of {option}: {path} (sha256 "
                    f"{str(content)[:12]}, now {now[:12]}): put those files back, or train the part again"
                )


def _hash_path_options(part: Part) -> dict[str, str]:
    return {name: content_hash(path) for name, path in _path_options(part).items()}


def _path_options(part: Part) -> dict[str, Path]:
    """Return the part's options of type `Path` that have a value; none for a backbone, whose weights are in the LM."""
    if part.entry.component.kind == Kind.BACKBONE:
        return {}
    values = {f.name: getattr(part.config, f.name) for f in dataclasses.fields(part.config)}
    return {name: value for name, value in values.items() if isinstance(value, Path)}


def export_checkpoint(source: Path, target: Path, *, replace: bool = False) -> None:
    """Verify a checkpoint and copy it to a folder, atomically.

    Args:
        source: the checkpoint.
        target: the new folder.
        replace: whether `target` may hold another checkpoint, which is then replaced.

    Raises:
        InvalidArtifact: `source` is not a checkpoint or is damaged, or `target` exists.
        StorageError: the disk refuses.
    """
    if not (source / CONFIG).is_file():
        raise InvalidArtifact(f"{source}: not a checkpoint ({CONFIG} is missing)")
    Artifact.open(source)
    replaceable = replace and (target / CONFIG).is_file() and not target.is_symlink()
    if os.path.lexists(target) and not replaceable:
        hint = "" if replace else ", or give --replace if it holds a checkpoint"
        raise InvalidArtifact(f"{target}: exists already; name a folder that does not{hint}")
    with create_folder(target, replace=replace) as draft:
        shutil.copytree(source, draft, dirs_exist_ok=True)


def find_commit(distribution: str) -> str | None:
    """Return the commit of a distribution, as pip recorded it or from its editable checkout; None: unknown."""
    try:
        origin = json.loads(metadata.distribution(distribution).read_text("direct_url.json") or "{}")
    except metadata.PackageNotFoundError:
        return None
    if commit := origin.get("vcs_info", {}).get("commit_id"):
        return str(commit)
    url = urlparse(origin.get("url", ""))
    if url.scheme != "file" or not origin.get("dir_info", {}).get("editable"):
        return None
    try:
        done = subprocess.run(
            ["git", "-C", url2pathname(url.path), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _describe_origin(part: Part, artifact: Artifact | None) -> dict[str, Any]:
    provider = part.entry.provider
    return {
        "component": part.entry.qualified,
        "kind": str(part.entry.component.kind),
        "revision": part.entry.component.revision,
        "distribution": provider.distribution,
        "version": provider.version,
        "commit": find_commit(provider.distribution),
        "license": part.entry.component.stated_license,
        "weights_license": part.entry.component.weights_license,
        "weights": artifact.fingerprint if artifact else None,
        "contents": _hash_path_options(part),
    }


def _advise_install(directory: Path) -> str:
    """Return a line of advice that names the distributions of a checkpoint that are not installed."""
    try:
        parts = read_json(directory / PROVENANCE)["parts"]
        recorded = {(part["distribution"], part["version"]) for part in parts.values()}
    except (ArecaError, FileNotFoundError, KeyError, TypeError, AttributeError):
        return ""
    named = [f"{name}=={version}" for name, version in sorted(recorded, key=str) if _is_missing(name, version)]
    return f"\n  it was made with {', '.join(named)}: pip install {' '.join(named)}" if named else ""


def _is_missing(distribution: object, version: object) -> bool:
    """Return whether these name a distribution that is not installed; a checkpoint may name anything."""
    if not (isinstance(distribution, str) and isinstance(version, str)) or distribution == LOCAL:
        return False
    if not (_WORD.fullmatch(distribution) and _WORD.fullmatch(version)):
        return False
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return True
    return False


def _advise_local_plugins(source: Mapping[str, Any]) -> str:
    names = source.get("plugins")
    if not names or not isinstance(names, list):
        return ""
    shown = " ".join(f"-p {shlex.quote(str(name))}" for name in names)
    return f"\n  it was built with local plugins, which a checkpoint never runs; if you trust them: areca {shown} ..."
