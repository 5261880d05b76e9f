"""The commands that are killed, and the tiny runs that they work on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SAY = {
    "languages": ["en", "fr"],
    "sources": ["synthetic"],
    "target_source": "synthetic",
    "count": 60,
    "validation_count": 4,
    "test_count": 4,
    "workers": 1,
}
RUN: Mapping[str, Any] = {
    "name": "killed",
    "seed": 5,
    "data": {"name": "say", **SAY},
    "tokenizer": {
        "name": "dedup",
        "tokenizer": {
            "name": "usm-v2",
            "width": 32,
            "layers": 2,
            "clusters": 16,
            "steps": 40,
            "batch_s": 20.0,
            "dropout": 0.1,
            "checkpoint_steps": 5,
        },
    },
    "backbone": {
        "name": "decoder",
        "layers": 1,
        "width": 32,
        "feed_forward": 64,
        "heads": 2,
        "kv_heads": 2,
        "vocabulary_size": 280,
        "attention_dropout": 0.1,
    },
    "vocoder": {
        "name": "unit-mel",
        "width": 32,
        "layers": 2,
        "steps": 40,
        "batch": 4,
        "checkpoint_steps": 5,
        "phase_iterations": 2,
    },
    "tasks": ["asr", {"chain": ["asr", "ast", "s2st"], "weight": 2.0}],
    "training": {
        "steps": 40,
        "batch_tokens": 1024,
        "longest_tokens": 500,
        "optimizer": "adamw",
        "learning_rate": 1e-2,
        "save_every_steps": 5,
    },
    "evaluation": {"limit": 3, "batch": 2},
}
STUDY: Mapping[str, Any] = {
    "base": "run.yaml",
    "seeds": [5],
    "all": {"tasks": ["asr"], "training": {"steps": 10}},
    "axes": {
        "units": {
            "eight": {"tokenizer": {"name": "mfcc-kmeans", "clusters": 8}},
            "twelve": {"tokenizer": {"name": "mfcc-kmeans", "clusters": 12}},
        }
    },
}


@dataclass(frozen=True, slots=True)
class Verb:
    """A command to kill.

    Args:
        name: what it is called in the table.
        command: arguments of ``areca``, from a folder that holds ``run.yaml`` and ``study.yaml``.
        before: commands that make what it starts from, which is not killed.
    """

    name: str
    command: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()


_OPTIONS = tuple(f"{name}=[{','.join(x)}]" if isinstance(x, list) else f"{name}={x}" for name, x in SAY.items())
_DATA = ("data", "say", *_OPTIONS, "--seed", "5")
_FIT = ("fit", "run.yaml")
_TRAIN = ("train", "run.yaml")
VERBS = (
    Verb("data", _DATA),
    Verb("data -o", (*_DATA, "-o", "out/data"), (_DATA,)),
    Verb("fit", _FIT, (_DATA,)),
    Verb("tokenize", ("tokenize", "run.yaml"), (_FIT,)),
    Verb("train", _TRAIN),
    Verb("evaluate", ("evaluate", "run.yaml", "-o", "out/evaluation"), (_TRAIN,)),
    Verb("ablate", ("ablate", "study.yaml", "-o", "out/study"), (_DATA,)),
    Verb("export", ("export", "run.yaml", "out/checkpoint"), (_TRAIN,)),
)


def write_inputs(folder: Path) -> None:
    """Write the run and the study that the commands name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("run.yaml", RUN), ("study.yaml", STUDY)):
        (folder / name).write_text(yaml.safe_dump(dict(content)), encoding="utf-8")
