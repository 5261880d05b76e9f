"""Compare the speed of generating audio segments with transformers' `generate`: same model, prompts and length.

python -m bench.generation
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
import torch
from bench.figures import Figure, alternate, show
from bench.nano import new_lm

from areca.component import Kind
from areca.fields import Field
from areca.generation.decoding import DecodingMethod
from areca.generation.generate import generate
from areca.lm.model import SpeechLM
from areca.lm.steps import Steps
from areca.lm.vocabulary import Control
from areca.registry.parts import choose
from areca.registry.registry import Registry
from areca.run.options import Limits

FRAMES = 100
ROUNDS = 7


def load_method(option: Any) -> DecodingMethod:
    """Return a decoding method as a run loads it."""
    part = choose(Registry.discover(), Kind.DECODING, option, option="decoding")
    method: DecodingMethod = part.entry.target().load(part.config, {}, None, device="cpu", dtype=torch.float32)
    return method


GREEDY, BEAM = load_method("greedy"), load_method({"name": "beam", "beams": 4})


def draw_prompts(lm: SpeechLM, count: int) -> list[list[int]]:
    rng = np.random.default_rng(0)
    span = lm.vocabulary.span("speech/0")
    return [rng.integers(span.start, span.stop, int(n)).tolist() for n in rng.integers(40, 60, count)]


def areca_rate(lm: SpeechLM, prompts: list[list[int]]) -> float:
    """Return the ids per second over all answers; an answer may end early."""
    return _rate(lm, [prompts], GREEDY)


def beam_rate(lm: SpeechLM, prompts: list[list[int]], batch: int) -> float:
    """Return the ids per second of beam search over batches of requests; only ids of the answers count."""
    return _rate(lm, [prompts[start : start + batch] for start in range(0, len(prompts), batch)], BEAM)


def _rate(lm: SpeechLM, batches: list[list[list[int]]], method: DecodingMethod) -> float:
    start_s, count = time.perf_counter(), 0
    for prompts in batches:
        steps = [Steps.of(prompt) for prompt in prompts]
        answers = generate(lm, steps, [Field("target.audio")], method, Limits(max_audio_frames=FRAMES))
        count += sum(len(answer.ids) for answer in answers)
    return count / (time.perf_counter() - start_s)


def transformers_rate(lm: SpeechLM, prompts: list[list[int]]) -> float:
    longest = max(map(len, prompts))
    pad = lm.vocabulary.control(Control.PAD)
    ids = torch.tensor([[pad] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    start_s = time.perf_counter()
    with torch.inference_mode():
        out = lm.model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=FRAMES, min_new_tokens=FRAMES, do_sample=False
        )
    return float((out.shape[1] - longest) * len(prompts) / (time.perf_counter() - start_s))


def measure(rounds: int = ROUNDS) -> list[Figure]:
    lm = new_lm()
    lm.model.eval()
    figures = []
    for count in (1, 8):
        prompts = draw_prompts(lm, count)
        areca_rate(lm, prompts), transformers_rate(lm, prompts)
        areca_ids, peer_ids, ratio = alternate(
            partial(areca_rate, lm, prompts), partial(transformers_rate, lm, prompts), rounds
        )
        name = f"generation, batch {count}"
        figures += [
            Figure(f"{name}: speed over transformers'", ratio, "x", (">=", 1.0), f"median of {rounds} rounds"),
            Figure(f"{name}: areca", areca_ids, "ids/s"),
            Figure(f"{name}: transformers", peer_ids, "ids/s"),
        ]
    return [*figures, *measure_beam(lm, rounds)]


def measure_beam(lm: SpeechLM, rounds: int) -> list[Figure]:
    """Compare beam search over a batch with searching one request after another."""
    prompts = draw_prompts(lm, 8)
    together, alone, ratio = alternate(partial(beam_rate, lm, prompts, 8), partial(beam_rate, lm, prompts, 1), rounds)
    name = "generation, 4 beams, batch 8"
    return [
        Figure(f"{name}: speed over one by one", ratio, "x", (">=", 1.0), f"median of {rounds} rounds"),
        Figure(f"{name}: areca", together, "ids/s"),
        Figure(f"{name}: one by one", alone, "ids/s"),
    ]


if __name__ == "__main__":
    show(measure())
