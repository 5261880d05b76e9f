"""Training the LM: transformers' Trainer with its own order of data, loss at the targets, and states to go on from."""

from __future__ import annotations

import contextlib
import math
import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import safetensors.torch
import torch
import transformers

from areca.batches import Batches, Mixture
from areca.component import runtime
from areca.errors import ArecaError
from areca.examples import Examples, collate
from areca.interfaces import Progress, no_progress
from areca.vocabulary import Control

if TYPE_CHECKING:
    from areca.lm import SpeechLM


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How the LM is trained. The defaults are AudioPaLM's (section 4.2); what it does not document is chosen."""

    steps: int = 10_000
    """optimizer steps"""
    batch_tokens: int = 4096
    """padded tokens a batch, at most; examples of similar length go together"""
    optimizer: Literal["adafactor", "adamw"] = "adafactor"
    """the paper's is Adafactor, without relative steps or parameter scaling"""
    learning_rate: float = 5e-5
    """at its highest"""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """of the learning rate after the warm-up: constant, or down to 0 at the last step"""
    warmup_steps: int = 0
    """steps in which the learning rate rises from 0"""
    weight_decay: float = 0.0
    """decoupled; biases and norms are left out"""
    clip_norm: float = 1.0
    """bound on the norm of the gradient; 0: none. Zero rows make the first gradients huge"""
    dropout: float = 0.1
    """of every dropout layer that the architecture has"""
    packing_tokens: int = 0
    """length of the rows that several examples are packed into; 0: one example a row, padded"""
    pool_examples: int = 4096
    """examples that are sorted by length together: more waste less padding, fewer mix lengths and tasks better"""
    longest_tokens: int = 1024
    """examples of more tokens are left out"""
    save_every_steps: int = runtime(500)
    """steps between two states from which a killed run goes on"""
    log_every_steps: int = runtime(50)
    """steps that the loss shown is the mean of"""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_tokens", "pool_examples", "longest_tokens", "save_every_steps", "log_every_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        room = self.packing_tokens or self.batch_tokens
        if self.longest_tokens > room:
            name = "packing_tokens" if self.packing_tokens else "batch_tokens"
            raise ValueError(f"longest_tokens ({self.longest_tokens}) must not exceed {name} ({room})")


def train(
    lm: SpeechLM,
    examples: Examples,
    weights: tuple[float, ...],
    config: TrainingConfig,
    *,
    seed: int,
    directory: Path,
    device: torch.device | str = "cpu",
    progress: Progress = no_progress,
) -> None:
    """Train `lm` in place, going on from the last state in `directory` if there is one.

    A run that is killed and started again ends with the weights of one that was not.

    Args:
        lm: as it was before any training; the state's weights replace its own.
        examples: what to learn from.
        weights: the share of each task.
        config: options.
        seed: of the order of the examples and of dropout.
        directory: where states are kept; read only from runs made here.
        device: where to compute.
        progress: told the step, the loss and the tokens a second.

    Raises:
        ArecaError: the loss is no number any more.
    """
    directory.mkdir(parents=True, exist_ok=True)
    set_dropout(lm.model, config.dropout)
    order = Batches(
        examples.lengths,
        Mixture(examples.sizes, weights, seed),
        config.batch_tokens,
        config.pool_examples,
        config.packing_tokens,
    )
    use_cache = lm.model.config.use_cache
    with _global_randomness_kept():
        trainer = SpeechTrainer(lm, examples, order, _arguments(config, seed, directory, device), progress)
        trainer.train(resume_from_checkpoint=trainer.last_state())
    lm.model.config.use_cache = use_cache
    lm.model.eval()


def set_dropout(model: torch.nn.Module, probability: float) -> int:
    """Set the probability of every dropout layer; returns how many there are (Llama and its kin have none)."""
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Dropout)]
    for layer in layers:
        layer.p = probability
    return len(layers)


def _arguments(
    config: TrainingConfig, seed: int, directory: Path, device: torch.device | str
) -> transformers.TrainingArguments:
    return transformers.TrainingArguments(
        output_dir=str(directory),
        max_steps=config.steps,
        optim={"adafactor": "adafactor", "adamw": "adamw_torch"}[config.optimizer],
        learning_rate=config.learning_rate,
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(config.schedule, config.schedule),
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        max_grad_norm=config.clip_norm,
        seed=seed,
        use_cpu=torch.device(device).type == "cpu",
        save_steps=config.save_every_steps,
        logging_steps=config.log_every_steps,
        logging_nan_inf_filter=False,
        ignore_data_skip=True,  # the order of the data starts at any step by itself
        disable_tqdm=True,
        report_to="none",
    )


class SpeechTrainer(transformers.Trainer):
    """The Trainer of transformers, told what the data is, what the loss is, and how a state is kept."""

    def __init__(
        self,
        lm: SpeechLM,
        examples: Examples,
        order: Batches,
        args: transformers.TrainingArguments,
        progress: Progress,
    ) -> None:
        self._lm, self._examples, self._order = lm, examples, order
        self._directory = Path(args.output_dir or ".")
        self._shown = _Shown(progress)
        super().__init__(model=lm.model, args=args, callbacks=[self._shown])
        self.remove_callback(transformers.PrinterCallback)

    def get_train_dataloader(self) -> Any:
        """Return the batches from the step that training is at."""
        return _Loader(self)

    def batches(self) -> Iterator[dict[str, torch.Tensor]]:
        """Yield batches from the step that training is at, without end."""
        pad = self._lm.vocabulary.control(Control.PAD)
        for rows in self._order.rows(self.state.global_step):
            batch = collate(self._examples, rows, pad)
            self._shown.tokens += int(sum(self._examples.lengths[row].sum() for row in rows))
            yield batch

    def compute_loss(  # type: ignore[override]  # no outputs but the loss
        self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool = False, **_: Any
    ) -> torch.Tensor:
        """Return the mean loss of the batch's targets."""
        total, count = self._lm.loss(inputs["ids"], inputs["target"], position_ids=inputs.get("position_ids"))
        return total / count

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return the optimizer over what the LM trains; new rows alone take no decay of the old."""
        kind, options = self.get_optimizer_cls_and_kwargs(self.args, self._lm.model)
        self.optimizer = kind(self._lm.parameter_groups(self.args.weight_decay), **options)
        return self.optimizer

    def last_state(self) -> str | None:
        """Return the newest complete state, or None."""
        states = sorted(self._directory.glob("state-*"), key=lambda p: int(p.name.partition("-")[2]))
        return str(states[-1]) if states else None

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        assert output_dir is not None
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_model(self._lm.model, f"{output_dir}/model.safetensors")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        safetensors.torch.load_model(self._lm.model, f"{resume_from_checkpoint}/model.safetensors")

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._directory / "draft")

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # The Trainer writes file after file; only a rename tells a complete state from half of one.
        shutil.rmtree(self._get_output_dir(trial), ignore_errors=True)
        super()._save_checkpoint(model, trial)
        draft = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
        for path in draft.iterdir():
            _fsync(path)
        old = list(self._directory.glob("state-*"))
        os.replace(draft, self._directory / f"state-{self.state.global_step}")
        for state in old:
            shutil.rmtree(state)


class _Loader:
    """What the Trainer iterates over; it asks for no length."""

    def __init__(self, trainer: SpeechTrainer) -> None:
        self._trainer = trainer

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return self._trainer.batches()


class _Shown(transformers.TrainerCallback):
    """Tells the progress, and stops where the loss is no number."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._loss = ""
        self.tokens = 0
        self._start_s = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._start_s, self.tokens = time.monotonic(), 0

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(loss):
            raise ArecaError(
                f"the loss is {loss} at step {state.global_step}: lower training.learning_rate, "
                "or raise training.warmup_steps"
            )
        self._loss = f"loss {loss:.3f}, "

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        speed = self.tokens / max(time.monotonic() - self._start_s, 1e-9)
        self._progress(state.global_step, state.max_steps, f"{self._loss}{speed:,.0f} tokens/s")


@contextlib.contextmanager
def _global_randomness_kept() -> Iterator[None]:
    # Dropout and the Trainer know no generators: they seed and use the global ones.
    before = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
