"""Training of an encoder with CTC: every step depends on the seed and its number alone, so it can go on anywhere."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch.nn import functional

from areca.errors import InvalidManifest
from areca.interfaces import Job
from areca.manifest import Manifest, Utterance
from areca_units import UsmV2Config
from areca_units.augment import augmented
from areca_units.ctc import Alphabet, CtcModel
from areca_units.features import MEL, grouped, padded
from areca_units.mels import mels_of
from areca_units.sampling import training_rows
from areca_units.state import load_state, save_state

_WARM_UP = 0.05
_BETAS = (0.9, 0.98)
_CLIP = 1.0


def train_ctc(config: UsmV2Config, data: Manifest, job: Job, state: Path, features: Path) -> tuple[CtcModel, Alphabet]:
    """Train on the transcribed rows of the training split.

    Args:
        config: the model and the schedule.
        data: audio and text.
        job: seed, device, progress.
        state: file that an interrupted call left its state in, and that this one keeps up to date.
        features: file for the log-mels of all that is trained on; the caller removes it with `remove_mels`.

    Returns:
        The model in evaluation mode, and what its labels mean.

    Raises:
        InvalidManifest: no row of the training split has audio and text.
    """
    rows = [row for row in training_rows(data) if row.text]
    if not rows:
        raise InvalidManifest('usm-v2: expected rows with text in the split "train", got none')
    rows = balanced(rows, config.speaker_rows, job.seed)
    alphabet = Alphabet.of(row.text or "" for row in rows)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        model = CtcModel(config, len(alphabet.symbols)).to(job.device)
    optimizer = _optimizer(model, config)
    start = load_state(state, model, optimizer)
    mels, labels = mels_of(data, rows, features, job), [alphabet.encode(row.text or "") for row in rows]
    order = batches(mels.lengths, int(config.batch_s * MEL.frame_rate_hz), job.seed)
    model.train()
    for step, indices in enumerate(itertools.islice(order, start, config.steps), start):
        batch = _batch(config, [mels[i] for i in indices], [labels[i] for i in indices], step, job)
        loss = _step(model, optimizer, config, step, batch, job)
        job.progress(step + 1, config.steps, f"CTC loss {loss:.3f}")
        if (step + 1) % config.checkpoint_steps == 0 or step + 1 == config.steps:
            save_state(state, step + 1, model, optimizer)
    return model.eval(), alphabet


def balanced(rows: Sequence[Utterance], most: int, seed: int) -> list[Utterance]:
    """Return `rows`, in their order, with at most `most` of each speaker, drawn at random; rows of nobody stay."""
    heard: Counter[str] = Counter()
    kept = []
    for i in torch.randperm(len(rows), generator=drawn(seed, "speakers", 0)).tolist():
        speaker = rows[i].speaker
        if speaker is not None:
            heard[speaker] += 1
        if speaker is None or heard[speaker] <= most:
            kept.append(i)
    return [rows[i] for i in sorted(kept)]


def drawn(seed: int, purpose: str, number: int) -> torch.Generator:
    """Return a generator of its own for each purpose and number, so that no draw depends on those before it."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def batches(lengths: Sequence[int], budget: int, seed: int) -> Iterator[list[int]]:
    """Yield batches of similar lengths for ever; an epoch's grouping and order depend on `seed` and its number."""
    sizes = torch.tensor(lengths, dtype=torch.float64)
    for epoch in itertools.count():
        generator = drawn(seed, "epoch", epoch)
        jitter = 0.9 + 0.2 * torch.rand(len(lengths), generator=generator, dtype=torch.float64)
        groups = grouped((sizes * jitter).argsort(stable=True).tolist(), lengths, budget)
        for g in torch.randperm(len(groups), generator=generator).tolist():
            yield groups[g]


Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Features ``[B, T, mels]``, their lengths ``[B]``, labels joined ``[sum L]``, their lengths ``[B]``."""


def _batch(
    config: UsmV2Config, mels: Sequence[torch.Tensor], labels: Sequence[torch.Tensor], step: int, job: Job
) -> Batch:
    generator = drawn(job.seed, "augment", step)
    features, lengths = padded([augmented(mel, config, generator) for mel in mels])
    sizes = torch.tensor([len(x) for x in labels])
    return features.to(job.device), lengths.to(job.device), torch.cat(list(labels)).to(job.device), sizes.to(job.device)


def _step(
    model: CtcModel, optimizer: torch.optim.Optimizer, config: UsmV2Config, step: int, batch: Batch, job: Job
) -> float:
    features, lengths, labels, label_lengths = batch
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * schedule(step, config.steps)
    # Dropout knows only the global generator: lend it a state of this step's own.
    with torch.random.fork_rng(devices=[job.device] if job.device.type == "cuda" else []):
        torch.manual_seed(drawn(job.seed, "dropout", step).initial_seed())
        scores, frames = model(features, lengths)
    # A text with more characters than frames has no alignment: its loss is infinite, and left out.
    loss = functional.ctc_loss(scores.transpose(0, 1), labels, frames, label_lengths, zero_infinity=True)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
    optimizer.step()
    return loss.item()


def schedule(step: int, steps: int) -> float:
    """Return the share of the peak learning rate: a linear warm-up, then half a cosine down to 0."""
    warm_up = max(1, round(_WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))) / 2


def _optimizer(model: CtcModel, config: UsmV2Config) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=_BETAS)
