"""Measure how intelligible speech is after a tokenizer encodes and decodes it.

The speech is human English prompts, and the same words in the synthetic voices that `say` holds out. No codebook was
fitted on either. A table for each shows STOI (Taal et al. 2011) against the original, and a judge's word error rate on
the decoded and on the original speech.

    python -m bench.resynthesis --judge /path/to/whisper-base
    python -m bench.resynthesis --items 200 --tokenizer '{name: mel-rvq, levels: 4}' --tokenizer '{name: encodec}'
"""

from __future__ import annotations

import argparse
import math
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench.described import resolve_text
from num2words import num2words
from pystoi import stoi

from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.audio import conform
from areca.component import Kind
from areca.manifest import Manifest, Utterance
from areca.registry.parts import Part, resolve
from areca.registry.registry import Registry
from areca.specs import TokenizerSpec
from areca.statistics import Estimate, ratio
from areca.types import Audio
from areca_metrics import NoConfig
from areca_metrics.error_rates import word_errors
from areca_metrics.normalisers import Basic
from areca_say import SayConfig
from areca_say.synthetic import draw_sentence, speak

RATE_HZ = 16_000
WORDS = range(3, 31)
LANGUAGES = ("en", "es", "fr", "it")
DEFAULT = ("{name: mel-rvq}", "{name: mel-rvq, frame_rate_hz: 25}", "{name: mel-rvq, levels: 16}")


@dataclass(frozen=True)
class Row:
    """One line of the table; `compute` is processor seconds of encoding and decoding per second of speech."""

    label: str
    kbps: float | None
    stoi: Estimate | None
    wrong: Estimate | None
    compute: float | None


class Bench:
    """The prompts as spoken by one source, and the judge that transcribes them.

    Args:
        loader: fits and loads the tokenizers.
        texts: the prompts.
        spoken: the recording of each.
        judge: transcribes the recordings; None: no word error rate.
    """

    def __init__(self, loader: PartLoader, texts: Sequence[str], spoken: Iterable[Audio], judge: Part | None) -> None:
        self.loader, self.texts = loader, texts
        self.originals = [conform(audio, RATE_HZ, 1) for audio in spoken]
        self.judge = loader.instance(judge) if judge else None

    def measure_original(self) -> Row:
        """Return the row of the original recordings: the ceiling."""
        return Row("original", None, None, self._wrong(self.originals), None)

    def measure(self, text: str, part: Part) -> Row:
        """Return the row of the recordings after `part`, a tokenizer given as YAML in `text`."""
        tokenizer, spec = self.loader.instance(part), part.spec
        assert isinstance(spec, TokenizerSpec)
        begin = time.process_time()
        heard = tokenizer.decode(tokenizer.encode([conform(a, spec.sample_rate_hz, 1) for a in self.originals]))
        compute_s = time.process_time() - begin
        heard = [conform(a, RATE_HZ, 1) for a in heard]
        pairs = zip(self.originals, heard, strict=True)
        kept = [float(stoi(*_same_length(a, b), RATE_HZ)) for a, b in pairs]
        kbps = sum(math.log2(s.size) * (s.frame_rate_hz or math.nan) for s in spec.streams) / 1000
        seconds = sum(a.seconds for a in self.originals)
        return Row(text, kbps, ratio(kept, [1.0] * len(kept)), self._wrong(heard), compute_s / seconds)

    def _wrong(self, audios: list[Audio]) -> Estimate | None:
        if self.judge is None:
            return None
        answers = self.judge.transcribe(audios, "en")
        errors = [word_errors(_read(a), _read(t)) for a, t in zip(answers, self.texts, strict=True)]
        return ratio([wrong for wrong, _ in errors], [words for _, words in errors])


def _same_length(a: Audio, b: Audio) -> tuple[Any, Any]:
    length = min(a.samples.shape[1], b.samples.shape[1])
    return a.samples[0, :length].numpy(), b.samples[0, :length].numpy()


def _read(text: str) -> str:
    """Normalise an answer or a reference: digits as words, no punctuation."""
    spelt = re.sub(r"\d+", lambda m: f" {num2words(int(m[0])).replace('-', ' ')} ", text.replace("-", " "))
    return Basic(NoConfig()).normalise(spelt, "en")


def _table(rows: Sequence[Row]) -> str:
    def share(e: Estimate | None, scale: float, digits: int) -> str:
        if e is None:
            return ""
        value, low, high = (f"{scale * x:.{digits}f}" for x in (e.value, e.low, e.high))
        return f"{value} ({low} to {high})"

    lines = ["| | kbps | STOI (95 %) | judge's WER, % (95 %) | compute s per s |", "|---|---|---|---|---|"]
    for r in rows:
        kbps = "" if r.kbps is None else f"{r.kbps:.1f}"
        compute = "" if r.compute is None else f"{r.compute:.2f}"
        lines.append(f"| {r.label} | {kbps} | {share(r.stoi, 1, 3)} | {share(r.wrong, 100, 1)} | {compute} |")
    return "\n".join(lines)


def _prompts(data: Manifest, items: int) -> list[Utterance]:
    english = data.select(split="test", language="en").rows
    rows = [row for row in english if len((row.text or "").split()) in WORDS]
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:items]
    return [rows[i] for i in sorted(chosen.tolist())]


def _synthesize(texts: Sequence[str]) -> Iterator[Audio]:
    """Synthesise the prompts, each in a voice that `say` holds out."""
    rng = np.random.default_rng(0)
    return speak([draw_sentence(text, "en", SayConfig().held_out_voices, rng) for text in texts])


def main() -> None:
    """Print a table for each source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", type=Path, help="folder of a CTranslate2 Whisper model (default: only STOI)")
    parser.add_argument("--items", type=int, default=120, help="maximum number of prompts")
    parser.add_argument("--tokenizer", action="append", help="YAML of a tokenizer with tag decode; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    registry, store = Registry.discover(), Store()
    source = {"name": "asterisk", "languages": list(LANGUAGES), "test_share": 0.3}
    dataset = resolve(registry, Kind.DATASET, source, role="data")
    data = PartLoader(store, seed=options.seed).instance(dataset)
    judge = None
    if options.judge:
        judge = resolve(registry, Kind.JUDGE, {"name": "whisper", "path": str(options.judge)}, role="judge")
    rows = _prompts(data, options.items)
    loader, texts = PartLoader(store, data=data, seed=options.seed), [row.text or "" for row in rows]
    parts = {text: resolve_text(registry, Kind.TOKENIZER, text, "speech") for text in options.tokenizer or DEFAULT}
    print(f"Codebooks fitted on {len(data.select(split='train').rows)} other human prompts in {', '.join(LANGUAGES)}.")
    for source, spoken in (("human", map(data.audio, rows)), ("synthetic", _synthesize(texts))):
        bench = Bench(loader, texts, spoken, judge)
        seconds = sum(audio.seconds for audio in bench.originals)
        print(f"\n{len(texts)} English prompts, {source}, {seconds:.0f} s\n")
        print(_table([bench.measure_original(), *(bench.measure(text, part) for text, part in parts.items())]))


if __name__ == "__main__":
    main()
