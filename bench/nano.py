"""The LM, tasks and training of ``recipes/nano.yaml`` with random weights and codes: timing needs no artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaForCausalLM

from areca.artifacts.store import Store
from areca.interfaces import Backbone
from areca.lm.model import SpeechLM
from areca.manifest import FileManifest, Utterance
from areca.pipeline.pipeline import Pipeline
from areca.run.config import read_config
from areca.specs import Stream
from areca.testing.tiny import tiny_tokenizer
from areca.training.examples import Examples, write_examples
from areca.training.task_rows import TaskRows
from areca.types import Codes

RUN = read_config(Path(__file__).parent.parent / "recipes" / "nano.yaml")
CONFIG = RUN.training
WEIGHTS = tuple(mix.weight for mix in RUN.tasks)
_WORDS = ("one", "two", "three", "twenty", "hundred", "thousand", "and")


def new_lm(seed: int = 0, streams: Mapping[str, tuple[Stream, ...]] | None = None, **options: Any) -> SpeechLM:
    """Return the recipe's decoder with its maximum of text tokens, and audio appended.

    Args:
        seed: seed of the weights.
        streams: the streams by role; None: the recipe's units.
        options: further arguments of `SpeechLM.extend`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(RUN.backbone.entry.target().architecture(RUN.backbone.config))
    backbone = Backbone(model, tiny_tokenizer())
    return SpeechLM.extend(backbone, streams or RUN.lm_streams, init=RUN.lm.init, seed=seed, **options)


def examples(lm: SpeechLM, directory: Path, rows: int = 400) -> Examples:
    """Return examples of the recipe's tasks: 20 to 60 random units and 2 to 8 random words on each side."""
    rng = np.random.default_rng(0)
    [units] = RUN.streams(RUN.lm.reads)

    def codes() -> Codes:
        return Codes((torch.from_numpy(rng.integers(0, units.size, int(rng.integers(20, 60)))),))

    def words() -> str:
        return " ".join(rng.choice(_WORDS, int(rng.integers(2, 8))))

    utterances = tuple(
        Utterance(
            id=str(i),
            audio="a",
            text=words(),
            language="fr",
            target_audio="b",
            target_text=words(),
            target_language="en",
        )
        for i in range(rows)
    )
    tables = {("speech", column): {u.id: codes() for u in utterances} for column in ("audio", "target_audio")}
    pipeline = Pipeline(RUN, Store(directory / "store"))
    tasks = [TaskRows(mix.name, pipeline.task(mix), mix.weight, tables) for mix in RUN.tasks]
    path = directory / "examples.arrow"
    write_examples(path, lm, FileManifest(utterances, directory), tasks, longest=CONFIG.longest_tokens)
    return Examples(path, len(tasks))
