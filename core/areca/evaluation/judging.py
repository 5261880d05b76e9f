"""Judges in use: chosen by name; each transcribes a recording once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from areca.audio import conform
from areca.component import Kind
from areca.evaluation.journal import Journal
from areca.interfaces import Judge
from areca.job import Progress, no_progress
from areca.options import canonical, read_mapping
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry
from areca.specs import JudgeSpec
from areca.types import Audio


@dataclass(frozen=True, slots=True)
class OpenJudge:
    """A loaded judge.

    Args:
        name: name of the component.
        instance: the recogniser.
        spec: the languages and the audio that it takes.
        signature: JSON of the component, its libraries' versions and all options that can change its transcripts.
    """

    name: str
    instance: Judge
    spec: JudgeSpec
    signature: str

    @property
    def label(self) -> str:
        """``name@`` and eight digits of the signature's hash: short, and different for different options."""
        return f"{self.name}@{hashlib.sha256(self.signature.encode()).hexdigest()[:8]}"

    def knows(self, language: str | None) -> bool:
        """Return whether it recognises `language` (ISO 639-1; None: not known)."""
        return language is not None and (not self.spec.languages or language in self.spec.languages)

    def transcribe(self, audios: Sequence[Audio], language: str) -> list[str]:
        """Return the transcript of each audio, whatever its rate and channel count."""
        return self.instance.transcribe([conform(a, self.spec.sample_rate_hz, 1) for a in audios], language)


def open_judge(registry: Registry, wanted: str | Mapping[str, Any], device: torch.device | str = "cpu") -> OpenJudge:
    """Load a judge.

    Args:
        registry: the components to choose from.
        wanted: ``"pocketsphinx"``; ``"whisper:DIR"``, where what follows the colon is the value of the judge's first
            option; or ``{name: whisper, path: DIR, initial_prompt: ...}``, also as YAML text.
        device: where to compute.

    Raises:
        UnknownComponent, MissingDependency, InvalidConfig: it is not available; the message says what to type.
    """
    part = resolve_judge(registry, wanted)
    target = part.entry.target()
    instance = target.load(part.config, {}, None, device=torch.device(device), dtype=torch.float32)
    assert isinstance(part.spec, JudgeSpec)
    return OpenJudge(part.name, instance, part.spec, _signature(part))


def resolve_judge(registry: Registry, wanted: str | Mapping[str, Any]) -> Part:
    """Resolve a judge; arguments and errors are those of `open_judge`."""
    return resolve(registry, Kind.JUDGE, _options(registry, wanted), role="judge")


def _options(registry: Registry, wanted: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(wanted, str):
        return wanted
    if wanted.lstrip().startswith("{"):
        return read_mapping(wanted, "judge")
    name, colon, value = wanted.partition(":")
    if not colon:
        return {"name": name}
    options = registry.find(Kind.JUDGE, name).options()
    return {"name": name, dataclasses.fields(options)[0].name: value}


def _signature(part: Part) -> str:
    component = part.entry.component
    distributions = metadata.packages_distributions()
    versions = {m: [metadata.version(d) for d in distributions.get(m, ())] for m in component.requires}
    component_values = {"judge": part.entry.qualified, "revision": component.revision, "versions": versions}
    return json.dumps(component_values | {"options": canonical(part.config)}, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Transcript:
    """A judge's transcript of a recording.

    Args:
        judge: label of the judge.
        clip: name of the recording.
        text: the transcript.
    """

    judge: str
    clip: str
    text: str


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording to be judged.

    Args:
        name: unique name.
        language: the spoken language (ISO 639-1).
        load: decodes the recording.
    """

    name: str
    language: str
    load: Callable[[], Audio]


def open_transcript_journal(path: Path) -> Journal[Transcript]:
    """Open the log of transcripts; its keys are ``(judge label, clip name)``."""
    return Journal(path, Transcript, dataclasses.asdict, lambda row: (row.judge, row.clip))


def transcribe_clips(
    judge: OpenJudge, clips: Sequence[Clip], journal: Journal[Transcript], batch: int, progress: Progress = no_progress
) -> None:
    """Let a judge transcribe the clips that are not in the journal; clips in other languages are left out."""
    wanted = {clip.name: clip for clip in clips if judge.knows(clip.language)}
    pending = [clip for name, clip in wanted.items() if (judge.label, name) not in journal]
    by_language = {clip.language: [c for c in pending if c.language == clip.language] for clip in pending}
    done = len(wanted) - len(pending)
    for language, of_language in by_language.items():
        for start in range(0, len(of_language), batch):
            group = of_language[start : start + batch]
            texts = judge.transcribe([clip.load() for clip in group], language)
            journal.add(Transcript(judge.label, c.name, text) for c, text in zip(group, texts, strict=True))
            done += len(group)
            progress(done, len(wanted), judge.name)
