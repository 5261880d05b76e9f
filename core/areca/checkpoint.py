"""What a checkpoint holds: everything that `areca.load` needs, and where each part of it came from."""

from __future__ import annotations

import dataclasses
import json
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

from areca.component import Kind
from areca.config import RunConfig, parse_config
from areca.errors import BrokenPlugin, InvalidArtifact, UnknownComponent
from areca.options import content_hash
from areca.parts import Part
from areca.resolved import resolved
from areca.store import Artifact, key_of

CONFIG = "config.yaml"
LM = "lm"
PARTS = "parts"
PROVENANCE = "provenance.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened checkpoint, its files verified.

    Args:
        directory: where it is.
        artifact: its key and fingerprint.
        run: what it was made by; data and training options play no part any more.
        parts: the fitted parts' artifacts, by role.
        provenance: what ``provenance.json`` says.
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
        """Hash of all that answers follow from: weights, parts and how they are put together, but no run's name."""
        parts = {
            role: [p["revision"], p["weights"], *sorted(p.get("contents", {}).items())]
            for role, p in self.provenance["parts"].items()
        }
        config = {k: v for k, v in self.run.source.items() if k not in ("name", "seed", "training", "plugins")}
        return key_of({"lm": self.provenance["lm"]["fingerprint"], "parts": parts, "config": config})


def held_parts(run: RunConfig) -> dict[str, Part]:
    """Return the fitted parts that a checkpoint holds, by role: all but the backbone, which is inside the LM."""
    return {
        role: part for role, part in run.parts.items() if part.fits and part.entry.component.kind is not Kind.BACKBONE
    }


def write_checkpoint(
    directory: Path, run: RunConfig, lm: Artifact, fitted: Mapping[str, Artifact], data_key: str
) -> None:
    """Write a checkpoint's files into `directory`; the store then seals it.

    Args:
        directory: where to write; exists.
        run: what the checkpoint was made by.
        lm: the trained LM.
        fitted: the artifacts of `held_parts`, by role.
        data_key: key of the training data.
    """
    text = yaml.safe_dump(resolved(run), sort_keys=False, allow_unicode=True)
    (directory / CONFIG).write_text(text, encoding="utf-8")
    shutil.copytree(lm.directory / LM, directory / LM)
    for role, artifact in fitted.items():
        shutil.copytree(artifact.directory, directory / PARTS / role)
    provenance = {
        "name": run.name,
        "seed": run.seed,
        "data": data_key,
        "lm": {"key": lm.key, "fingerprint": lm.fingerprint},
        "parts": {role: _origin(part, fitted.get(role)) for role, part in run.parts.items()},
        "areca": {"version": metadata.version("areca"), "commit": commit_of("areca")},
    }
    (directory / PROVENANCE).write_text(json.dumps(provenance, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    run.registry.hook.areca_checkpoint_saving(directory=directory)


def open_checkpoint(directory: Path, *, plugins: tuple[str, ...] = ()) -> Checkpoint:
    """Open and verify a checkpoint. The plugins that its config names are not run.

    Args:
        directory: where it is.
        plugins: files or modules that the user names, with components that the checkpoint needs.

    Raises:
        InvalidArtifact: it is no checkpoint, or a file is not the one that was made.
            or a part was made by a revision of its component that this one does not read, or with other files.
        UnknownComponent: a part's component is not installed.
    """
    if not (directory / CONFIG).is_file():
        raise InvalidArtifact(f"{directory}: no checkpoint ({CONFIG} is missing); `areca train RUN.YAML` makes one")
    artifact = Artifact.open(directory)
    try:
        source = yaml.safe_load((directory / CONFIG).read_text(encoding="utf-8"))
        provenance = json.loads((directory / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as e:
        raise InvalidArtifact(f"{directory}: config or provenance cannot be read: {e}") from e
    try:
        # Where the data came from and what scored it need not be installed to use what was learnt.
        needed = {k: v for k, v in source.items() if k not in ("data", "evaluation")}
        run = parse_config(needed, root=directory.resolve(), plugins=plugins, trusted=False)
    except (UnknownComponent, BrokenPlugin) as e:
        raise type(e)(f"{directory}: {e}{_own_plugins(source)}") from e
    _check_revisions(directory, run, provenance)
    _check_paths(directory, run, provenance)
    parts = {role: Artifact.open(directory / PARTS / role, verify=False) for role in held_parts(run)}
    return Checkpoint(directory, artifact, run, parts, provenance)


def _check_revisions(directory: Path, run: RunConfig, provenance: Mapping[str, Any]) -> None:
    for role, part in run.parts.items():
        made = provenance.get("parts", {}).get(role, {})
        component = part.entry.component
        known = {component.revision, *component.reads}
        if component.kind is not Kind.BACKBONE and made.get("revision", component.revision) not in known:
            raise InvalidArtifact(
                f"{directory}: its {role} was made by revision {made['revision']} of {part.entry.qualified}, and "
                f"{part.entry.provider.distribution} {part.entry.provider.version} has revision {component.revision}, "
                f"which computes something else: pip install {made.get('distribution')}=={made.get('version')}, "
                "or train it again"
            )


def _check_paths(directory: Path, run: RunConfig, provenance: Mapping[str, Any]) -> None:
    """Refuse parts that read files of the user's own, by an option of type `Path`, if they are not what they were."""
    for role, part in run.parts.items():
        contents = provenance.get("parts", {}).get(role, {}).get("contents", {})
        for option, content in contents.items():
            if (now := content_hash(path := getattr(part.config, option))) != content:
                raise InvalidArtifact(
                    f"{directory}: its {role} was made with {option}: {path} when that held something else (sha256 "
                    f"{content[:12]}, now {now[:12]}): put those files back, or train it again"
                )


def _contents(part: Part) -> dict[str, str]:
    """Return the hashes of what the part's options of type `Path` name; a backbone's weights are in the LM."""
    if part.entry.component.kind is Kind.BACKBONE:
        return {}
    values = {f.name: getattr(part.config, f.name) for f in dataclasses.fields(part.config)}
    return {name: content_hash(value) for name, value in values.items() if isinstance(value, Path)}


def export(source: Path, target: Path, *, replace: bool = False) -> None:
    """Copy a verified checkpoint to a folder; it appears there whole or not at all.

    Args:
        source: the checkpoint.
        target: the folder; with `replace` it may hold another checkpoint, which then gives way.
        replace: whether it may.

    Raises:
        InvalidArtifact: no checkpoint, a damaged one, or `target` exists.
    """
    if not (source / CONFIG).is_file():
        raise InvalidArtifact(f"{source}: no checkpoint ({CONFIG} is missing)")
    Artifact.open(source)
    replaceable = replace and (target / CONFIG).is_file()
    if target.exists() and not replaceable:
        hint = "" if replace else ", or give --replace if it holds a checkpoint"
        raise InvalidArtifact(f"{target}: exists already; name a folder that does not{hint}")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(target.name + ".partial")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(source, draft)
    if target.exists():
        shutil.rmtree(target)
    draft.replace(target)


def commit_of(distribution: str) -> str | None:
    """Return the commit that a distribution comes from: what pip recorded, or that of an editable checkout."""
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


def _origin(part: Part, artifact: Artifact | None) -> dict[str, Any]:
    provider = part.entry.provider
    return {
        "component": part.entry.qualified,
        "kind": str(part.entry.component.kind),
        "revision": part.entry.component.revision,
        "distribution": provider.distribution,
        "version": provider.version,
        "commit": commit_of(provider.distribution),
        "license": part.entry.component.stated_license,
        "weights_license": part.entry.component.weights_license,
        "weights": artifact.fingerprint if artifact else None,
        "contents": _contents(part),
    }


def _own_plugins(source: Mapping[str, Any]) -> str:
    names = source.get("plugins") or ()
    if not names:
        return ""
    shown = " ".join(f"-p {name}" for name in names)
    return (
        f"\n  it was made with plugins of its own, which a checkpoint never runs; if you trust them: areca {shown} ..."
    )
