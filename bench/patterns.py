"""Compare one step a frame with one step a code, for 8 codebooks at 50 Hz, and with transformers' MusicGen decoder.

All have the size of nano's decoder and compute the same utterances: `flatten` (400 steps a second of speech),
`parallel-delay` with both heads and MusicGen's delay pattern (50 steps a second). MusicGen's decoder does less: it has
no text, no ends of answers and no gate in its feed-forward layers, and predicts the first code of a step over 256 rows,
not over the whole vocabulary. It runs here without cross-attention. The depth transformer adds its own parameters.

    python -m bench.patterns               # speed
    python -m bench.patterns memory NAME   # peak memory of training steps: flatten, tied, depth or musicgen
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from bench.figures import Figure, alternate, measure_s, read_peak_mb, run_child, show
from bench.generation import load_method
from bench.nano import RUN, new_lm
from transformers.models.musicgen import MusicgenDecoderConfig, MusicgenForCausalLM

from areca.component import Kind
from areca.fields import Field
from areca.generation.generate import generate
from areca.lm.model import Heads, SpeechLM
from areca.lm.vocabulary import Control
from areca.manifest import FileManifest, Utterance
from areca.registry.parts import choose
from areca.registry.registry import Registry
from areca.run.options import Limits
from areca.specs import Stream
from areca.tasks import Task
from areca.training.examples import Examples, collate, write_examples
from areca.training.task_rows import TaskRows
from areca.types import Codes

CODEBOOKS, ENTRIES, RATE_HZ = 8, 256, 50.0
UTTERANCES, FRAMES = 8, 100
ROUNDS = 5
TTS = Task("TTS", (Field("source.text"),), (Field("source.audio"),))
GREEDY = load_method("greedy")
Work = Callable[[], object]


def draw_codes() -> list[torch.Tensor]:
    """Return random codes of each utterance, int64 ``[CODEBOOKS, FRAMES]``."""
    rng = np.random.default_rng(0)
    return [torch.from_numpy(rng.integers(0, ENTRIES, (CODEBOOKS, FRAMES))) for _ in range(UTTERANCES)]


def new_codec_lm(pattern: str, heads: Heads = "tied") -> SpeechLM:
    """Return nano's decoder with the codebooks appended."""
    streams = tuple(Stream(f"level-{k}", ENTRIES, RATE_HZ) for k in range(CODEBOOKS))
    part = choose(Registry.discover(), Kind.PATTERN, pattern, option="lm.pattern")
    return new_lm(streams={"speech": streams}, pattern=part, heads=heads)


def new_musicgen() -> Any:
    size = RUN.backbone.config
    config = MusicgenDecoderConfig(
        vocab_size=ENTRIES,
        num_codebooks=CODEBOOKS,
        max_position_embeddings=size.context,
        num_hidden_layers=size.layers,
        ffn_dim=size.feed_forward,
        num_attention_heads=size.heads,
        hidden_size=size.width,
        layerdrop=0.0,
        dropout=0.0,
        pad_token_id=ENTRIES,
        bos_token_id=ENTRIES,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MusicgenForCausalLM(config)


def encode(lm: SpeechLM, directory: Path) -> dict[str, torch.Tensor]:
    """Return the utterances as one batch of TTS."""
    rows = tuple(Utterance(id=str(i), audio="a", text="one two", language="en") for i in range(UTTERANCES))
    codes = {row.id: Codes(tuple(streams)) for row, streams in zip(rows, draw_codes(), strict=True)}
    tasks = [TaskRows("tts", TTS, 1.0, {("speech", "audio"): codes})]
    write_examples(directory / "x.arrow", lm, FileManifest(rows, directory), tasks, longest=lm.context)
    found = Examples(directory / "x.arrow", 1)
    pad = lm.vocabulary.control(Control.PAD)
    return collate(found, list(np.arange(UTTERANCES)[:, None]), pad, lm.slots)


def train_step(model: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> Work:
    """Return a training step of AdamW."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        loss().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def areca_step(pattern: str, heads: Heads = "tied") -> Work:
    lm = new_codec_lm(pattern, heads)
    with TemporaryDirectory() as name:
        batch = encode(lm, Path(name))
    return train_step(lm, lambda: lm(batch).sum / lm.count_targets(batch))


def musicgen_step() -> Work:
    model = new_musicgen()
    delayed = torch.full(
        (UTTERANCES, CODEBOOKS, FRAMES + CODEBOOKS), ENTRIES
    )  # the start, then stream k behind k steps
    codes = torch.stack(draw_codes())
    for k in range(CODEBOOKS):
        delayed[:, k, 1 + k : 1 + k + FRAMES] = codes[:, k]
    given, labels = delayed[:, :, :-1].flatten(0, 1), delayed[:, :, 1:].transpose(1, 2)
    return train_step(model, lambda: model(input_ids=given, labels=labels).loss)


STEPS: dict[str, Callable[[], Work]] = {
    "flatten": partial(areca_step, "flatten"),
    "tied": partial(areca_step, "parallel-delay"),
    "depth": partial(areca_step, "parallel-delay", "depth"),
    "musicgen": musicgen_step,
}


def areca_generation(pattern: str, heads: Heads = "tied") -> Work:
    lm = new_codec_lm(pattern, heads)
    prompts = [lm.prompt(TTS, {"source.text": "one two", "source.language": "en"}) for _ in range(UTTERANCES)]
    limits = Limits(max_audio_frames=FRAMES)
    return lambda: generate(lm, prompts, TTS.outputs, GREEDY, limits, frames={"source.audio": FRAMES})


def musicgen_generation() -> Work:
    model = new_musicgen().eval()
    start = torch.full((UTTERANCES * CODEBOOKS, 1), ENTRIES)
    length = FRAMES + CODEBOOKS
    options = {"max_length": length, "min_length": length, "num_return_sequences": 1}
    controls = dict.fromkeys(("bos_token_id", "decoder_start_token_id", "pad_token_id"), ENTRIES)
    return lambda: model.generate(start, do_sample=False, guidance_scale=None, **options, **controls)


GENERATION: dict[str, Callable[[], Work]] = {
    "flatten": partial(areca_generation, "flatten"),
    "tied": partial(areca_generation, "parallel-delay"),
    "depth": partial(areca_generation, "parallel-delay", "depth"),
    "musicgen": musicgen_generation,
}


def compare(what: str, works: dict[str, Callable[[], Work]], rounds: int) -> list[Figure]:
    """Compare `parallel-delay` with each of the others, in seconds of work for a second of speech."""
    speech_s = UTTERANCES * FRAMES / RATE_HZ
    built = {name: build() for name, build in works.items()}
    for work in built.values():
        work()
    note = f"median of {rounds} rounds"
    figures, seconds = [], {}
    limits = {"flatten": (">=", 4.0)}
    for name in ("flatten", "depth", "musicgen"):
        other_s, seconds["tied"], ratio = alternate(
            partial(measure_s, built[name]), partial(measure_s, built["tied"]), rounds
        )
        seconds[name] = other_s
        figures.append(Figure(f"{what}: speed of tied over {name}", ratio, "x", limits.get(name), note))
    return figures + [
        Figure(f"{what}: {name}", value / speech_s, "s/s", note="seconds of work for a second of speech")
        for name, value in seconds.items()
    ]


def measure_memory() -> list[Figure]:
    """Return the peak memory of a training step of each, in separate processes."""
    return [
        Figure(f"peak memory of training steps: {name}", float(run_child("bench.patterns", "memory", name)), "MB")
        for name in STEPS
    ]


def measure(rounds: int = ROUNDS) -> list[Figure]:
    return compare("8 codebooks, training step", STEPS, rounds) + compare("8 codebooks, generation", GENERATION, rounds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        step = STEPS[sys.argv[2]]()
        step()
        step()
        print(read_peak_mb())
    else:
        show(measure_memory())  # first: a process's peak begins with that of the process that started it
        show(measure())
