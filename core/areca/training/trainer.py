"""The Trainer of transformers with areca's order of data, loss at the targets, and states to resume from."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
import transformers

from areca.errors import ArecaError
from areca.fitting.interrupt import PendingSignal, defer_signals
from areca.fitting.unfinished import creating_state, newest_state
from areca.interfaces import Optimizer, Schedule
from areca.job import Progress, no_progress
from areca.lm.rows import restore_text_rows
from areca.lm.vocabulary import Control
from areca.run.processes import Processes
from areca.training.batches import Batches
from areca.training.curves import Curve
from areca.training.examples import Examples, collate, select_share
from areca.training.sharding import accept_whole_states, gathered, is_sharded, load_weights

if TYPE_CHECKING:
    from areca.lm.model import Losses, SpeechLM

_CURVE = "curve.json"
"""The training curve in a state's folder."""


class SpeechTrainer(transformers.Trainer):
    """The Trainer of transformers with areca's order of data, loss, optimizer, schedule and states.

    Args:
        lm: the LM, trained in place; it may be sharded, see `areca.training.sharding.shard`.
        examples: the training examples.
        order: the examples of each batch.
        args: the arguments of the Trainer.
        optimizer: builds the optimizer.
        schedule: sets the learning rate after ``args.warmup_steps``.
        curve: receives the losses.
        progress: receives the step, the loss and the tokens per second.
        tokens_at_once: padded tokens that are computed at once.
        validate: measures the validation loss by task; called every ``args.eval_steps``.
        observers: receive the Trainer's events.
        processes: those that train together.
    """

    def __init__(
        self,
        lm: SpeechLM,
        examples: Examples,
        order: Batches,
        args: transformers.TrainingArguments,
        *,
        optimizer: Optimizer,
        schedule: Schedule,
        curve: Curve,
        progress: Progress = no_progress,
        tokens_at_once: int,
        validate: Callable[[], Mapping[str, float]] = dict,
        observers: Sequence[transformers.TrainerCallback] = (),
        processes: Processes | None = None,
    ) -> None:
        self._processes = processes or Processes()
        self._lm, self._examples, self._order = lm, examples, order
        self._optimizer, self._schedule = optimizer, schedule
        self._curve, self._validate = curve, validate
        self._tokens_at_once = tokens_at_once
        self._directory = self._draft = Path(args.output_dir or ".")
        self._monitor = _Monitor(progress, curve, self._processes)
        # The Trainer requires a dataset to measure on; `evaluate` below does not use it.
        super().__init__(model=lm, args=args, eval_dataset=(), callbacks=[self._monitor, *observers])
        self.remove_callback(transformers.PrinterCallback)

    def get_train_dataloader(self) -> Any:
        """Return the batches from the current step on."""
        return _Loader(self)

    def batches(self) -> Iterator[dict[str, torch.Tensor]]:
        """Yield batches from the current step on, without end."""
        pad = self._lm.vocabulary.control(Control.PAD)
        for rows in self._order.rows(self.state.global_step):
            batch = collate(self._examples, rows, pad, self._lm.slots)
            self._curve.tokens += int(sum(self._examples.lengths[row].sum() for row in rows))
            yield batch

    def training_step(
        self, model: Any, inputs: dict[str, torch.Tensor], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Add up the gradients of the batch's mean loss, `tokens_at_once` at a time; return that loss."""
        targets = self._lm.count_targets(inputs)
        if self._processes.count > 1:
            inputs = select_share(inputs, self._processes.rank, self._processes.count)
        rows = max(1, self._tokens_at_once // inputs["ids"].shape[1])
        parts = {name: torch.split(x, rows) for name, x in inputs.items()}
        *before, last = [dict(zip(parts, part, strict=True)) for part in zip(*parts.values(), strict=True)]
        step = super().training_step
        # The processes exchange gradients once a step. Of a sharded LM they exchange those of each part, because no
        # process has the memory for whole gradients; `no_sync` then does nothing.
        with self.accelerator.no_sync(model):
            losses = [step(model, part, targets) for part in before]
        return torch.stack([*losses, step(model, last, targets)]).sum()

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Return the share of `inputs` in the mean loss of their batch, which has `num_items_in_batch` targets.

        Several processes each return their share times their number, because their gradients are averaged.
        """
        assert num_items_in_batch is not None, "training_step counts them"
        losses: Losses = model(inputs)
        self._curve.add(losses.nats.detach(), inputs["task"].flatten()[losses.steps])
        return losses.sum / num_items_in_batch * self._processes.count

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return the optimizer over the parameters that the LM trains; see `SpeechLM.parameter_groups`."""
        self.optimizer = self._optimizer.build(
            self._lm.parameter_groups(self.args.weight_decay), self.args.learning_rate
        )
        if is_sharded(self._lm):
            accept_whole_states(self.optimizer)
        restore_text_rows(self._lm.model, self.optimizer)
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Return a linear warm-up from 0, followed by the schedule."""
        warm_up = int(self.args.warmup_steps)

        def factor(step: int) -> float:
            if step < warm_up:
                return step / warm_up
            return self._schedule.factor(step - warm_up, num_training_steps - warm_up)

        scheduled = optimizer or self.optimizer
        assert scheduled is not None, "the Trainer creates the optimizer first"
        self.lr_scheduler = scheduler = torch.optim.lr_scheduler.LambdaLR(scheduled, factor)
        return scheduler

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Close a row of the curve, and pass it to the callbacks with the tokens per second."""
        if "loss" in logs:
            measured = {name: logs.get(name) for name in ("learning_rate", "grad_norm")}
            row = self._curve.close(self.state.global_step, measured)
            logs = logs | {"loss": row["loss"], "tokens_per_s": self._monitor.speed()}
            logs |= _name_metrics("loss", row["loss_by_task"])
        super().log(logs, start_time)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Measure the validation loss, except at the last step: `train_lm` measures it after the training."""
        if self.state.global_step >= self.state.max_steps:
            return {}
        self._lm.eval()
        losses = self._validate()
        self._lm.train()
        self._curve.add_validation(self.state.global_step, losses)
        metrics = _name_metrics("eval_loss", losses)
        self.log(dict(metrics))
        return metrics

    def resume(self) -> None:
        """Train to the last step, from the newest intact state or from the start.

        Raises:
            Interrupted: Ctrl-C or SIGTERM was received; the state of the current step is saved.
        """
        with self._processes.first():  # it removes damaged states
            step, state = newest_state(self._directory) or (0, None)
        if state is not None:
            self._curve.load(state / _CURVE)
        with defer_signals(quiet=not self._processes.is_first) as self._monitor.pending:
            if state is None:
                self.train()
            elif step < self.args.max_steps:
                self.train(resume_from_checkpoint=str(state))
            else:  # the Trainer would make one more step
                self._load_from_checkpoint(str(state))
            if self._monitor.pending:
                self._monitor.pending.stop(f"saved at step {max(step, self.state.global_step)}")

    def _move_model_to_device(self, model: Any, device: torch.device) -> None:
        if not is_sharded(model):  # `shard` has moved it
            super()._move_model_to_device(model, device)

    def _wrap_model(self, model: Any, training: bool = True, dataloader: Any = None) -> Any:
        if is_sharded(model):  # autocast without DistributedDataParallel
            return self.accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)
        return super()._wrap_model(model, training, dataloader)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        assert output_dir is not None
        if not self._processes.is_first:
            return
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_model(self._lm, f"{output_dir}/model.safetensors")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(self._lm, Path(resume_from_checkpoint, "model.safetensors"))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not is_sharded(self._lm):
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        # The Trainer would load the whole state into the memory of each GPU.
        optimizer, schedule = (
            torch.load(Path(checkpoint, f"{name}.pt"), map_location="cpu", mmap=True, weights_only=True)
            for name in ("optimizer", "scheduler")
        )
        assert self.optimizer is not None and self.lr_scheduler is not None, "the Trainer creates them first"
        self.optimizer.load_state_dict(optimizer)
        self.lr_scheduler.load_state_dict(schedule)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._draft)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with gathered(self._lm, self.optimizer), self._creating_state() as self._draft:
            super()._save_checkpoint(model, trial)
            self._curve.save(self._draft / _CURVE)
            self._processes.barrier()  # each process has written its random state
            if not self._processes.is_first:
                return
            # The Trainer writes into a subfolder; move its files up.
            subfolder = self._draft / f"checkpoint-{self.state.global_step}"
            for path in subfolder.iterdir():
                path.rename(self._draft / path.name)
            subfolder.rmdir()

    @contextlib.contextmanager
    def _creating_state(self) -> Iterator[Path]:
        """Yield the draft folder that the first process creates and seals, in every process."""
        if self._processes.is_first:
            with creating_state(self._directory, self.state.global_step) as draft:
                self._processes.share(str(draft))
                yield draft
        else:
            yield Path(self._processes.share(""))


class _Loader:
    """The iterable that the Trainer reads batches from; it has no length."""

    def __init__(self, trainer: SpeechTrainer) -> None:
        self._trainer = trainer

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return self._trainer.batches()


def _name_metrics(prefix: str, losses: Mapping[str, float]) -> dict[str, float]:
    """Return losses by task under names that every tracker accepts: some refuse a ``+``."""
    return {f"{prefix}_{task.replace('+', '.')}": loss for task, loss in losses.items()}


class _Monitor(transformers.TrainerCallback):
    """Reports the progress. Raises if the loss is not finite; stops the training if a signal was received."""

    def __init__(self, progress: Progress, curve: Curve, processes: Processes) -> None:
        self._progress, self._curve, self._processes = progress, curve, processes
        self._loss = ""
        self.pending = PendingSignal()
        self._start_s, self._start_tokens = 0.0, 0

    def speed(self) -> float:
        """Return the tokens per second since the training began or resumed."""
        return (self._curve.tokens - self._start_tokens) / max(time.monotonic() - self._start_s, 1e-9)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._start_s, self._start_tokens = time.monotonic(), self._curve.tokens

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
        self._progress(state.global_step, state.max_steps, f"{self._loss}{self.speed():,.0f} tokens/s")
        # Launchers do not signal all processes in the same step; the processes stop together.
        self.pending.number = self._processes.largest(self.pending.number)
        if self.pending:
            control.should_save = control.should_training_stop = True
