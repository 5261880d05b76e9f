"""What the shipped checkpoint makes of some recordings: units, losses, greedy and beam answers, as plain values.

``python tests/recording.py`` writes them to ``tests/data/nano.json``, with which `test_shipped` compares. Its values
change only with the checkpoint: a change of code that alters them is a fault, or says why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

import areca
from areca.audio import read
from areca.system import System
from areca.types import Audio

FILE = Path(__file__).parent / "data" / "nano.json"
SAID = Path(__file__).parent.parent / "examples" / "in.wav"
LANGUAGES = {"source.language": "fr", "target.language": "en"}
TEXTS = {"source.text": "quatre cent vingt trois", "target.text": "four hundred twenty three"}


def inputs() -> dict[str, Audio]:
    """Return a person's phrase, and what makes other answers of it: other speeds, noise, a part of it."""
    said = read(SAID)
    rate, samples = said.sample_rate_hz, said.samples
    noise = torch.randn(samples.shape, generator=torch.Generator().manual_seed(0))
    return {
        "as it is": said,
        "slower": Audio(samples, round(rate * 0.9)),
        "faster": Audio(samples, round(rate * 1.15)),
        "quieter": Audio(samples * 0.2, rate),
        "noisy": Audio(samples + 0.03 * noise, rate),
        "first half": Audio(samples[:, : samples.shape[1] // 2], rate),
    }


def record(system: System) -> dict[str, Any]:
    """Return what `system` makes of `inputs`."""
    heard = inputs()
    units = {name: system.tokenizer.encode([system._heard(audio, name)[0]])[0] for name, audio in heard.items()}
    return {
        "units": {name: [stream.tolist() for stream in codes.streams] for name, codes in units.items()},
        "losses": {task: _losses(system, task, list(units.values())) for task in system.tasks},
        "greedy": {task: _answers(system, task, heard, "greedy") for task in ("asr", "ast", "asr+ast+s2st")},
        "beam": {"ast": _answers(system, "ast", heard, {"name": "beam", "beams": 4})},
    }


def _losses(system: System, task: str, codes: list[Any]) -> list[float]:
    wanted, found = system.task(task), []
    for heard in codes:
        values = {**LANGUAGES, **TEXTS, "source.audio": heard, "target.audio": codes[0]}
        example = system.lm.encode(wanted, values)
        with torch.no_grad():
            found.append(round(float(system.lm.loss(example.ids[None], example.target[None])[0]), 3))
    return found


def _answers(system: System, task: str, heard: dict[str, Audio], decoding: Any) -> list[Any]:
    answers = system.answer(task, list(heard.values()), source="fr", target="en", decoding=decoding)
    return [[answer.texts, answer.codes and [stream.tolist() for stream in answer.codes.streams]] for answer in answers]


if __name__ == "__main__":
    FILE.write_text(json.dumps(record(areca.load()), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
