"""The nano run's language model and lengths, with random weights and codes: nothing has to be trained to time it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from areca.interfaces import Backbone
from areca.lm.model import SpeechLM
from areca.manifest import Manifest, Utterance
from areca.specs import Stream
from areca.tasks import Field, Task, chain
from areca.testing.tiny import tiny_tokenizer
from areca.training.examples import Examples, TaskRows, write_examples
from areca.training.options import TrainingConfig
from areca.types import Codes

STREAMS = (Stream("semantic", 256, 25.0),)
CONFIG = TrainingConfig(
    steps=1_000_000,
    batch_tokens=2560,
    longest_tokens=512,
    optimizer="adamw",
    learning_rate=1.5e-3,
    warmup_steps=100,
    weight_decay=0.05,
)
_WORDS = ("one", "two", "three", "twenty", "hundred", "thousand", "and")
ASR = Task("ASR", (Field("source.audio"),), (Field("source.text"),))
AST = Task("AST", (Field("source.audio"),), (Field("target.text"),), ("source", "target"))
S2ST = Task("S2ST", (Field("source.audio"),), (Field("target.audio"),), ("source", "target"))
MT = Task("MT", (Field("source.text"),), (Field("target.text"),), ("source", "target"))
MIX = ((ASR, 4.0), (AST, 3.0), (S2ST, 2.0), (MT, 1.0), (chain([ASR, AST, S2ST]), 3.0))


def new_lm(seed: int = 0) -> SpeechLM:
    """Return a Llama of 4 layers and width 192 with 256 units appended."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=512,
            hidden_size=192,
            intermediate_size=576,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
        )
        backbone = Backbone(LlamaForCausalLM(config), tiny_tokenizer())
    return SpeechLM.extend(backbone, {"speech": STREAMS}, init="normal", seed=seed)


def examples(lm: SpeechLM, directory: Path, rows: int = 400) -> Examples:
    """Return examples of the nano recipe's tasks, with units at random: 20 to 60 a side, and 2 to 8 words."""
    rng = np.random.default_rng(0)

    def codes() -> Codes:
        return Codes((torch.from_numpy(rng.integers(0, 256, int(rng.integers(20, 60)))),))

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
    tables = {column: {u.id: codes() for u in utterances} for column in ("audio", "target_audio")}
    tasks = [
        TaskRows(
            task.tag,
            task,
            weight,
            {"audio": tables["audio"]},
            {"target_audio": tables["target_audio"]},
        )
        for task, weight in MIX
    ]
    path = directory / "examples.arrow"
    write_examples(path, lm, Manifest(utterances, directory), tasks, longest=CONFIG.longest_tokens)
    return Examples(path, len(tasks))


WEIGHTS = tuple(weight for _, weight in MIX)
