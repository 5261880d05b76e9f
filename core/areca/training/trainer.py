"""Transformers' Trainer with its own order of data, loss at the targets, and states to resume from."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
import transformers

from areca.errors import ArecaError
from areca.fitting.interrupt import PendingSignal, defer_signals
from areca.fitting.unfinished import creating_state, newest_state
from areca.interfaces import Progress
from areca.lm.vocabulary import Control
from areca.training.batches import Batches
from areca.training.examples import Examples, collate

if TYPE_CHECKING:
    from areca.lm.model import SpeechLM


class SpeechTrainer(transformers.Trainer):
    """The Trainer of transformers, told what the data is, what the loss is, and how a state is kept."""

    def __init__(
        self,
        lm: SpeechLM,
        examples: Examples,
        order: Batches,
        args: transformers.TrainingArguments,
        progress: Progress,
        tokens_at_once: int,
    ) -> None:
        self._lm, self._examples, self._order = lm, examples, order
        self._tokens_at_once = tokens_at_once
        self._directory = self._draft = Path(args.output_dir or ".")
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

    def training_step(
        self, model: Any, inputs: dict[str, torch.Tensor], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Add up the gradients of the batch's mean loss, `tokens_at_once` at a time; return that loss."""
        targets = int(inputs["target"].sum())
        rows = max(1, self._tokens_at_once // inputs["ids"].shape[1])
        parts = {name: torch.split(x, rows) for name, x in inputs.items()}
        loss = torch.zeros((), device=self.args.device)
        for part in zip(*parts.values(), strict=True):
            loss += super().training_step(model, dict(zip(parts, part, strict=True)), targets)
        return loss

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Return the share of `inputs` in the mean loss of their batch, which has `num_items_in_batch` targets."""
        assert num_items_in_batch is not None, "training_step has counted"
        # Accelerate casts within the forward of the model that it wraps, which the loss does not call.
        with self.accelerator.autocast():
            total, _ = self._lm.loss(inputs["ids"], inputs["target"], position_ids=inputs.get("position_ids"))
        return total / num_items_in_batch

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return the optimizer over what the LM trains; new rows alone take no decay of the old."""
        kind, options = self.get_optimizer_cls_and_kwargs(self.args, self._lm.model)
        self.optimizer = kind(self._lm.parameter_groups(self.args.weight_decay), **options)
        return self.optimizer

    def go_on(self) -> None:
        """Train to the last step from the newest intact state, or from the start.

        Raises:
            Interrupted: Ctrl-C or SIGTERM came; the state after that step is saved.
        """
        step, state = newest_state(self._directory) or (0, None)
        with defer_signals() as self._shown.pending:
            if state is None:
                self.train()
            elif step < self.args.max_steps:
                self.train(resume_from_checkpoint=str(state))
            else:  # the Trainer would take one step more
                self._load_from_checkpoint(str(state))
            if self._shown.pending:
                self._shown.pending.stop(f"saved at step {max(step, self.state.global_step)}")

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        assert output_dir is not None
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_model(self._lm.model, f"{output_dir}/model.safetensors")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        safetensors.torch.load_model(self._lm.model, f"{resume_from_checkpoint}/model.safetensors")

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._draft)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with creating_state(self._directory, self.state.global_step) as self._draft:
            super()._save_checkpoint(model, trial)
            made = self._draft / f"checkpoint-{self.state.global_step}"
            for path in made.iterdir():
                path.rename(self._draft / path.name)
            made.rmdir()


class _Loader:
    """What the Trainer iterates over; it asks for no length."""

    def __init__(self, trainer: SpeechTrainer) -> None:
        self._trainer = trainer

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return self._trainer.batches()


class _Shown(transformers.TrainerCallback):
    """Reports the progress, and stops where the loss is not a number or a signal came."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._loss = ""
        self.tokens = 0
        self.pending = PendingSignal()
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
        if self.pending:
            control.should_save = control.should_training_stop = True
