"""Compare the parallel decoding of `soundstorm` with the package soundstorm-pytorch: 10 s, 8 levels, equal size.

    pip install --no-deps soundstorm-pytorch hyper-connections torch-einops-utils
    pip install einops beartype tqdm
    python -m bench.soundstorm

Both make 16 passes for the first level and one for each other level, on random weights. The peer has no condition here,
and computes the logits of all levels and frames in each pass.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from functools import partial
from typing import Any

import torch
from bench.figures import Figure, alternate, measure_s, show

from areca.fitting.codec_vocoder.layout import layout_of
from areca.fitting.codec_vocoder.voices import Prompt
from areca.fitting.codec_vocoder.windows import Track
from areca.specs import Stream, TokenizerSpec
from areca_soundstorm.decoding import Plan, decode
from areca_soundstorm.network import Network
from areca_soundstorm.options import SoundStormConfig

LEVELS, ENTRIES, RATE_HZ, ITERATIONS = 8, 1024, 50, 16
SECONDS = 10.0
ROUNDS = 5
SIZE = {"width": 256, "layers": 4, "heads": 4, "feed_forward": 1024, "kernel": 31, "expansion": 2}
"""The peer's default sizes for a Conformer of this width."""
NEEDS = ("soundstorm_pytorch", "einops", "beartype", "hyper_connections", "tqdm", "accelerate")
STUBS = {
    "audiolm_pytorch": ("SoundStream", "HubertWithKmeans", "FairseqVQWav2Vec"),
    "audiolm_pytorch.optimizer": ("get_optimizer",),
    "audiolm_pytorch.data": ("get_dataloader",),
    "spear_tts_pytorch": ("TextToSemantic",),
}


def new_network() -> Network:
    semantic = TokenizerSpec((Stream("unit", ENTRIES, RATE_HZ / 2),), 16_000)
    levels = tuple(Stream(f"level-{k}", ENTRIES, float(RATE_HZ)) for k in range(LEVELS))
    layout = layout_of(semantic, TokenizerSpec(levels, 16_000))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Network(SoundStormConfig(**SIZE), layout).eval()


def areca_decode(net: Network, frames: int) -> None:
    none = Prompt(torch.zeros(0, dtype=torch.int64), torch.zeros(LEVELS, 0, dtype=torch.int64))
    track = Track(none, torch.arange(frames) % ENTRIES, seed=0)
    decode(net, [track], Plan((ITERATIONS,) + (1,) * (LEVELS - 1), 1.0, frames, 1, frames))


def missing_peer() -> list[str]:
    """Return the modules of the peer that are not installed."""
    return [name for name in NEEDS if importlib.util.find_spec(name) is None]


def new_peer() -> Any:
    """Return the peer's model. Empty modules replace packages that it imports and does not use here."""
    for name, classes in STUBS.items():
        stub = types.ModuleType(name)
        stub.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        stub.__dict__.update(dict.fromkeys(classes, torch.nn.Module))
        sys.modules.setdefault(name, stub)
    from soundstorm_pytorch import ConformerWrapper
    from soundstorm_pytorch import SoundStorm as Peer

    conformer = ConformerWrapper(
        codebook_size=ENTRIES,
        num_quantizers=LEVELS,
        conformer={
            "dim": SIZE["width"],
            "depth": SIZE["layers"],
            "heads": SIZE["heads"],
            "dim_head": SIZE["width"] // SIZE["heads"],
            "num_residual_streams": 1,  # by default it has four, which the paper lacks
        },
    )
    return Peer(conformer, steps=ITERATIONS, schedule="cosine").eval()


def measure(rounds: int = ROUNDS, seconds: float = SECONDS) -> list[Figure]:
    net, frames = new_network(), round(seconds * RATE_HZ)
    ours = partial(areca_decode, net, frames)
    ours()
    label, note = f"SoundStorm, {LEVELS} levels, {seconds:g} s", f"median of {rounds} rounds"
    size = Figure(f"{label}: parameters of areca", count(net), "M")
    if missing := missing_peer():
        print(f"skipped the comparison: {', '.join(missing)} is not installed; see the docstring", file=sys.stderr)
        time_s = min(measure_s(ours) for _ in range(rounds))
        return [size, Figure(f"{label}: areca", time_s, "s", note=f"fastest of {rounds} rounds")]
    peer = new_peer()

    def theirs() -> None:
        with torch.inference_mode():
            peer.generate(frames, batch_size=1)

    theirs()
    peer_s, areca_s, ratio = alternate(partial(measure_s, theirs), partial(measure_s, ours), rounds)
    return [
        Figure(f"{label}: speed over soundstorm-pytorch", ratio, "x", (">=", 2.0), note),
        Figure(f"{label}: areca", areca_s, "s", note=note),
        Figure(f"{label}: soundstorm-pytorch", peer_s, "s", note=note),
        size,
        Figure(f"{label}: parameters of soundstorm-pytorch", count(peer), "M"),
    ]


def count(model: torch.nn.Module) -> float:
    """Return the number of parameters, in millions."""
    return sum(p.numel() for p in model.parameters()) / 1e6


if __name__ == "__main__":
    show(measure())
