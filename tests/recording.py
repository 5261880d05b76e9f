"""Record the outputs of the shipped checkpoint for some recordings: units, losses, greedy and beam answers.

``python tests/recording.py`` writes them to ``tests/data/nano.json``, which `test_shipped` compares with new outputs.
The values change only with the checkpoint: a code change that alters them is a fault unless its commit explains why.
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
from tests import parts

FILE = Path(__file__).parent / "data" / "nano.json"
SPEECH = Path(__file__).parent.parent / "examples" / "in.wav"
LANGUAGES = {"source.language": "fr", "target.language": "en"}
TEXTS = {"source.text": "quatre cent vingt trois", "target.text": "four hundred twenty three"}


def inputs() -> dict[str, Audio]:
    """Return a spoken phrase, and variants of it with other answers: other speeds and levels, noise, a part."""
    speech = read(SPEECH)
    rate, samples = speech.sample_rate_hz, speech.samples
    noise = torch.randn(samples.shape, generator=torch.Generator().manual_seed(0))
    return {
        "as it is": speech,
        "slower": Audio(samples, round(rate * 0.9)),
        "faster": Audio(samples, round(rate * 1.15)),
        "quieter": Audio(samples * 0.2, rate),
        "noisy": Audio(samples + 0.03 * noise, rate),
        "first half": Audio(samples[:, : samples.shape[1] // 2], rate),
    }


def record(system: System) -> dict[str, Any]:
    """Return the outputs of `system` for `inputs`."""
    audios = inputs()
    read = {name: system._reader.convert(audio, ["speech"])[0]["speech"] for name, audio in audios.items()}
    units = {name: system.tokenizer.encode([audio])[0] for name, audio in read.items()}
    return {
        "units": {name: [stream.tolist() for stream in codes.streams] for name, codes in units.items()},
        "losses": {task: _losses(system, task, list(units.values())) for task in system.tasks},
        "greedy": {task: _answers(system, task, audios, "greedy") for task in ("asr", "ast", "asr+ast+s2st")},
        "beam": {"ast": _answers(system, "ast", audios, {"name": "beam", "beams": 4})},
    }


def _losses(system: System, task: str, codes: list[Any]) -> list[float]:
    losses = []
    for source in codes:
        values = {**LANGUAGES, **TEXTS, "source.audio": source, "target.audio": codes[0]}
        example = system.lm.encode(system.task(task), values)
        with torch.no_grad():
            losses.append(round(float(parts.loss(system.lm, example.ids[None], example.target[None])[0]), 3))
    return losses


def _answers(system: System, task: str, audios: dict[str, Audio], decoding: Any) -> list[Any]:
    answers = system.answer(task, list(audios.values()), source="fr", target="en", decoding=decoding)
    return [[answer.texts, answer.codes and [stream.tolist() for stream in answer.codes.streams]] for answer in answers]


if __name__ == "__main__":
    FILE.write_text(json.dumps(record(areca.load()), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
