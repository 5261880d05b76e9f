"""Training: its objective, its effect, and exact resumption after a kill."""

from __future__ import annotations

import functools
import hashlib
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from areca.artifacts.checkpoint import CURVES
from areca.errors import ArecaError, InvalidConfig
from areca.lm.model import SpeechLM
from areca.lm.rows import row_parameters
from areca.manifest import FileManifest, Utterance
from areca.options import build, canonical
from areca.run.options import TrainingConfig
from areca.specs import Stream
from areca.tasks import Field, Task
from areca.testing.tiny import load_choice, tiny_backbone
from areca.training.curves import write_curves
from areca.training.examples import Examples, collate, write_examples
from areca.training.task_rows import TaskRows
from areca.training.train import measure_mean_loss, train
from areca.types import Codes

STEPS = 24
SMALL: dict[str, Any] = {
    "steps": STEPS,
    "batch_tokens": 256,
    "longest_tokens": 120,
    "pool_examples": 32,
    "save_every_steps": 5,
    "log_every_steps": 4,
    "learning_rate": 3e-3,
}


def tiny_lm(dropout: float = 0.1, **options: Any) -> SpeechLM:
    # GPT-NeoX has dropout: its random numbers must survive a kill too.
    backbone = tiny_backbone("gpt_neox", hidden_dropout=dropout)
    return SpeechLM.extend(backbone, {"speech": (Stream("unit", 16, 25.0),)}, seed=0, **options)


def tiny_examples(lm: SpeechLM, path: Path) -> Examples:
    rng = np.random.default_rng(0)
    words = ("un", "deux", "trois")
    rows, codes = [], {}
    for i in range(40):
        numbers = rng.integers(0, 3, int(rng.integers(2, 6)))
        rows.append(Utterance(id=f"u{i}", audio="x.wav", text=" ".join(words[n] for n in numbers), language="fr"))
        codes[f"u{i}"] = Codes((torch.from_numpy(np.repeat(numbers, 4)),) * len(lm.writes.spans))
    asr = Task("ASR", (Field("source.audio"),), (Field("source.text"),))
    tts = Task("TTS", (Field("source.text"),), (Field("source.audio"),))
    tables = {("speech", "audio"): codes}
    tasks = [TaskRows("asr", asr, 2.0, tables), TaskRows("tts", tts, 1.0, tables)]
    if not path.exists():
        write_examples(path, lm, FileManifest(tuple(rows), Path("/nowhere")), tasks, longest=120)
    return Examples(path, 2)


def weights_hash(lm: SpeechLM) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(lm.model.state_dict().items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def trained(
    directory: Path,
    *,
    shown: Any = None,
    lm: SpeechLM | None = None,
    watch: dict[str, Any] | None = None,
    **options: Any,
) -> SpeechLM:
    lm = lm or tiny_lm()
    directory.mkdir(parents=True, exist_ok=True)
    examples = tiny_examples(lm, directory / "examples.arrow")
    config = build(TrainingConfig, SMALL | options, "training")
    more = (watch or {}) | ({} if shown is None else {"progress": shown})
    chosen = {kind: choice(kind, str(getattr(config, kind))) for kind in ("optimizer", "schedule")}
    work = directory / "work"
    curve = train(lm, examples, (2.0, 1.0), config, tasks=("asr", "tts"), seed=0, directory=work, **(chosen | more))
    write_curves(directory / CURVES, curve.rows)
    return lm


@functools.cache
def choice(kind: str, name: str) -> Any:
    return load_choice(kind, name)


def test_defaults_are_the_papers() -> None:
    config = TrainingConfig()
    assert (config.optimizer, config.learning_rate, config.schedule, config.warmup_steps) == (
        "adafactor",
        5e-5,
        "constant",
        0,
    )


def test_options_that_change_no_weights_are_in_no_key() -> None:
    assert canonical(TrainingConfig(save_every_steps=7, log_every_steps=3)) == canonical(TrainingConfig())
    assert canonical(TrainingConfig(compile=True)) == canonical(TrainingConfig())
    assert canonical(choice("optimizer", "adamw").config) == {"betas": [0.9, 0.999], "eps": 1e-8}
    # What was trained before the option came is still found.
    assert "precision" not in canonical(TrainingConfig())
    assert canonical(TrainingConfig(precision="bfloat16"))["precision"] == "bfloat16"
    assert canonical(TrainingConfig(steps=7)) != canonical(TrainingConfig())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stepz": 5}, "did you mean 'steps'"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"warmup_steps": -1}, "expected warmup_steps >= 0"),
        ({"report_to": ["tensorbord"]}, "no tracker is called 'tensorbord'; did you mean 'tensorboard'"),
        ({"longest_tokens": 600, "batch_tokens": 512}, "must not exceed batch_tokens"),
        ({"longest_tokens": 300, "packing_tokens": 256}, "must not exceed packing_tokens"),
        ({"longest_tokens": 300, "micro_batch_tokens": 256}, "at least a row of 300"),
        ({"attention": "flash_attention_2"}, "needs precision: bfloat16, got float32"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidConfig, match=says):
        build(TrainingConfig, options, "training")


@pytest.mark.parametrize("packing", [0, 384])
@pytest.mark.parametrize("options", [{"micro_batch_tokens": 512}, {"checkpoint_activations": True}], ids=str)
def test_saving_memory_changes_only_rounding(options: dict[str, Any], packing: int, tmp_path: Path) -> None:
    computed: list[int] = []

    def counting() -> SpeechLM:
        lm = tiny_lm(dropout=0.0)
        lm.model.get_input_embeddings().register_forward_pre_hook(lambda _module, ids: computed.append(ids[0].numel()))
        return lm

    losses: dict[str, list[str]] = {"whole": [], "saved": []}

    def shown(name: str) -> Any:
        return lambda done, total, message: losses[name].append(message.partition(",")[0])

    common = {"batch_tokens": 2048, "packing_tokens": packing, "steps": 3, "clip_norm": 0.0, "log_every_steps": 1}
    whole = trained(tmp_path / "whole", lm=counting(), shown=shown("whole"), **common)
    assert max(computed) > 1024 and len(computed) == 3
    computed.clear()
    saved = trained(tmp_path / "saved", lm=counting(), shown=shown("saved"), **common, **options)
    if "micro_batch_tokens" in options:
        assert max(computed) <= 512 and len(computed) >= 9
    assert losses["saved"][1:] == losses["whole"][1:]
    untrained = measure_mean_loss(
        tiny_lm(dropout=0.0), tiny_examples(tiny_lm(), tmp_path / "whole" / "examples.arrow"), 512
    )
    mean = sum(loss.mean for loss in untrained) / 2
    assert float(losses["whole"][1].removeprefix("loss ")) == pytest.approx(mean, rel=0.05)
    for name, value in whole.model.state_dict().items():
        if not name.endswith(
            "query_key_value.bias"
        ):  # a key's bias has no gradient but rounding, which Adafactor scales
            torch.testing.assert_close(saved.model.state_dict()[name], value, rtol=1e-2, atol=1e-4)


def test_bfloat16_multiplies_in_bfloat16_and_keeps_weights_in_float32(tmp_path: Path) -> None:
    lm = tiny_lm(dropout=0.0)
    seen: set[torch.dtype] = set()
    layer = lm.model.base_model.layers[0].mlp.dense_4h_to_h
    layer.register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))
    trained(tmp_path / "half", lm=lm, precision="bfloat16", steps=3)
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in lm.model.parameters()} == {torch.float32}
    whole = trained(tmp_path / "whole", lm=tiny_lm(dropout=0.0), steps=3)
    assert weights_hash(lm) != weights_hash(whole)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(lm.model.state_dict()[name], value, rtol=0.1, atol=0.02)


def test_mean_loss_is_cross_entropy_at_the_targets(tmp_path: Path) -> None:
    lm = tiny_lm(init="normal")
    lm.model.eval()
    examples = tiny_examples(lm, tmp_path / "x.arrow")
    nats: list[list[tuple[str, float]]] = [[], []]
    for i in range(len(examples)):
        steps, prompt_length = examples[i]
        ids = steps.ids
        with torch.no_grad():
            logits = lm.model(input_ids=ids[None]).logits[0]
        each = F.cross_entropy(logits[prompt_length - 1 : -1], ids[prompt_length:], reduction="none")
        audio = lm.vocabulary.span("speech/0")
        names = ["speech/0" if int(target) in audio else "text" for target in ids[prompt_length:]]
        nats[i >= examples.sizes[0]] += zip(names, each.tolist(), strict=True)
    for found, of_task in zip(measure_mean_loss(lm, examples, 512), nats, strict=True):
        assert found.mean == pytest.approx(statistics.mean(x for _, x in of_task), rel=1e-4)
        by_stream = {name: [x for other, x in of_task if other == name] for name, _ in of_task}
        assert found.by_stream == pytest.approx({name: statistics.mean(xs) for name, xs in by_stream.items()}, rel=1e-4)
    assert any("speech/0" in found.by_stream for found in measure_mean_loss(lm, examples, 512))


def test_the_trainers_loss_and_step_are_those_of_a_plain_loop(tmp_path: Path) -> None:
    """One AdamW step of the trainer against the same step written out, without dropout."""
    mine, plain = (SpeechLM.extend(tiny_backbone("gpt_neox", hidden_dropout=0.0), ROLES, init="normal") for _ in "ab")
    trained(tmp_path, lm=mine, steps=1, optimizer="adamw", clip_norm=0.0)
    examples = tiny_examples(plain, tmp_path / "examples.arrow")
    from areca.training.batches import Batches, Mixture

    rows = next(Batches(examples.lengths, Mixture(examples.sizes, (2.0, 1.0), 0), 256, 32).rows())
    batch = collate(examples, rows, pad=0)
    plain.model.train()
    logits = plain.model(input_ids=batch["ids"]).logits[:, :-1][batch["target"][:, 1:]]
    F.cross_entropy(logits, batch["ids"][:, 1:][batch["target"][:, 1:]]).backward()
    torch.optim.AdamW(plain.model.parameters(), lr=SMALL["learning_rate"], weight_decay=0.0).step()
    for (name, a), b in zip(mine.model.named_parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-4, msg=name)


ROLES = {"speech": (Stream("unit", 16, 25.0),)}


@pytest.mark.parametrize("optimizer", ["adafactor", "adamw"])
def test_training_lowers_the_loss_and_leaves_global_randomness_alone(optimizer: str, tmp_path: Path) -> None:
    lm = tiny_lm()
    examples = tiny_examples(lm, tmp_path / "examples.arrow")
    before = measure_mean_loss(lm, examples, 512)
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    expected = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    trained(tmp_path, lm=lm, optimizer=optimizer)
    assert torch.equal(torch.random.get_rng_state(), expected[0])
    assert np.array_equal(np.random.get_state()[1], expected[1])
    assert random.getstate() == expected[2]
    assert all(a.mean < b.mean - 1.0 for a, b in zip(measure_mean_loss(lm, examples, 512), before, strict=True))


def test_packing_trains(tmp_path: Path) -> None:
    lm = tiny_lm()
    examples = tiny_examples(lm, tmp_path / "examples.arrow")
    before = measure_mean_loss(lm, examples, 512)
    trained(tmp_path, lm=lm, optimizer="adamw", packing_tokens=128)
    assert all(a.mean < b.mean - 1.0 for a, b in zip(measure_mean_loss(lm, examples, 512), before, strict=True))


def test_only_the_new_rows_are_trained_on_request(tmp_path: Path) -> None:
    lm = tiny_lm(train="embeddings")
    before = {name: value.clone() for name, value in lm.model.state_dict().items()}
    trained(tmp_path, lm=lm, optimizer="adamw", weight_decay=0.1)
    text, changed = lm.vocabulary.text_size, set()
    for name, value in lm.model.state_dict().items():
        if torch.equal(value, before[name]):
            continue
        changed.add(name)
        assert torch.equal(value[:text], before[name][:text]), name
        assert not torch.equal(value[text:], before[name][text:]), name
    assert changed == {"gpt_neox.embed_in.weight", "lm_head.weight"}, "both, as the model is untied"


class Drifting:
    """Builds an optimizer with momentum that decays every parameter, whatever its group says."""

    def build(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        same = [group | {"weight_decay": 0.1} for group in groups]
        return torch.optim.SGD(same, lr=learning_rate, momentum=0.9)


@pytest.mark.parametrize("train", ["embeddings", "lora"])
def test_text_rows_are_kept_whatever_the_optimizer_does(train: Any, tmp_path: Path) -> None:
    lm = tiny_lm(train=train, init="normal")
    tables = [parameter.detach() for parameter in row_parameters(lm.model)]
    before = [table.clone() for table in tables]
    trained(tmp_path, lm=lm, watch={"optimizer": Drifting()}, steps=3)
    first = lm.vocabulary.text_size
    for table, old in zip(tables, before, strict=True):
        assert torch.equal(table[:first], old[:first]) and not torch.equal(table[first:], old[first:])


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])
def test_the_gradient_of_new_rows_is_that_of_a_whole_table(family: str) -> None:
    whole, part = (SpeechLM.extend(tiny_backbone(family), ROLES, init="normal", train=t) for t in ("all", "embeddings"))
    ids = torch.arange(20).reshape(2, 10) + whole.vocabulary.text_size - 10
    batch = {"ids": ids, "target": torch.arange(20).reshape(2, 10) % 10 > 3}
    for lm in (whole, part):
        lm(batch).sum.backward()
    first = whole.vocabulary.text_size
    for expected, found in zip(row_parameters(whole.model), row_parameters(part.model), strict=True):
        assert expected.grad is not None and found.grad is not None
        assert torch.equal(found.grad[first:], expected.grad[first:]) and expected.grad[:first].any()
        assert not found.grad[:first].any()


def test_the_same_run_twice_is_the_same(tmp_path: Path) -> None:
    assert weights_hash(trained(tmp_path / "a")) == weights_hash(trained(tmp_path / "b"))


def test_a_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    first = weights_hash(trained(tmp_path))
    steps: list[int] = []
    assert weights_hash(trained(tmp_path, shown=lambda done, total, message: steps.append(done))) == first
    assert steps == []


def test_half_a_state_is_not_used(tmp_path: Path) -> None:
    whole = weights_hash(trained(tmp_path / "whole"))

    class Stop(Exception):
        pass

    def stop(done: int, total: int, message: str) -> None:
        if done == 13:
            raise Stop

    with pytest.raises(Stop):
        trained(tmp_path / "cut", shown=stop)
    work = tmp_path / "cut" / "work"
    half = work / ".state-15.0.0.draft" / "checkpoint-15"  # of a process that was killed while it saved
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"half of it")
    assert sorted(p.name for p in work.glob("state-*")) == ["state-10", "state-5"]
    assert weights_hash(trained(tmp_path / "cut")) == whole
    assert sorted(p.name for p in work.iterdir()) == ["state-20", "state-24"]


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path: Path) -> None:
    lm = tiny_lm()
    with torch.no_grad():
        lm.model.get_output_embeddings().weight[0] = math.nan
    with pytest.raises(ArecaError, match=r"loss is nan at step 4: lower training.learning_rate"):
        trained(tmp_path, lm=lm)


class Trainings:
    """Trainings in processes of their own, forked from one that has imported everything, so that they start at once."""

    def __init__(self) -> None:
        self.server = subprocess.Popen(
            [sys.executable, "-u", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.server.stdin is not None
        self.server.stdin.close()
        self.server.wait()

    def run(self, directory: Path, optimizer: str, kill: tuple[int, float] | None = None) -> str:
        """Train to the end and return the hash of the weights, or kill -9 some seconds after a step."""
        assert self.server.stdin is not None and self.server.stdout is not None
        print(directory, optimizer, file=self.server.stdin, flush=True)
        pid, result = int(self.server.stdout.readline()), ""
        for line in map(str.strip, self.server.stdout):
            if kill is not None and line == f"step {kill[0]}":
                time.sleep(kill[1])
                os.kill(pid, signal.SIGKILL)
            if line.startswith("ended"):
                assert line == f"ended {0 if kill is None else signal.SIGKILL.value}", line
                return result
            result = line
        raise AssertionError("the server died")


def serve() -> None:
    """Fork a training for each line of the standard input."""

    def say(line: str) -> None:
        os.write(1, f"{line}\n".encode())  # at once: a kill must not leave half a line, to which the next is joined

    torch.set_num_threads(1)
    for line in sys.stdin:
        directory, optimizer = line.split()
        if not (pid := os.fork()):
            say(str(os.getpid()))
            lm = trained(Path(directory), optimizer=optimizer, shown=lambda done, total, message: say(f"step {done}"))
            say(weights_hash(lm))
            time.sleep(0.2)  # so that a kill after the last step finds it
            os._exit(0)
        say(f"ended {os.waitpid(pid, 0)[1]}")


def _check_kills(directory: Path, optimizer: str, moments: list[tuple[int, float]]) -> None:
    with Trainings() as trainings:
        whole = trainings.run(directory / "whole", optimizer)
        assert len(whole) == 64
        for number, moment in enumerate(moments):
            killed = directory / str(number)
            trainings.run(killed, optimizer, kill=moment)
            assert trainings.run(killed, optimizer) == whole, (optimizer, moment)


@pytest.mark.slow
def test_killed_and_started_again_ends_with_the_same_weights(tmp_path: Path) -> None:
    rng = random.Random(0)
    _check_kills(tmp_path, "adamw", [(7, 0.0), (23, rng.uniform(0, 0.05))])


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adafactor", "adamw"])
def test_killed_at_many_random_moments(optimizer: str, tmp_path: Path) -> None:
    rng = random.Random(1)
    _check_kills(tmp_path, optimizer, [(rng.randint(1, STEPS), rng.uniform(0, 0.1)) for _ in range(20)])


if __name__ == "__main__":
    serve()
