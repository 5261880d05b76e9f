"""The speech LM: a text LM whose vocabulary is extended with audio (AudioPaLM, arXiv 2306.12925, section 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

from areca.errors import InvalidArtifact, InvalidConfig, quote
from areca.files.reading import read_json
from areca.files.writing import write_json
from areca.hub.loading import load_pretrained
from areca.interfaces import Backbone
from areca.lm.adapters import add_adapters, merged_state
from areca.lm.export import write_tokenizer
from areca.lm.heads import Head
from areca.lm.patterns import CodeLayout
from areca.lm.rows import Init, extend_rows, open_new_rows, row_parameters, train_new_rows_alone
from areca.lm.text import TextTokenizer
from areca.lm.vocabulary import Control, Vocabulary
from areca.specs import Stream
from areca.tasks import Segment, Task, TextSegment, Values

Train = Literal["all", "embeddings", "lora"]
_TEXT_TOKENIZER = "text_tokenizer"
_LAYOUT = "vocabulary.json"


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example as ids.

    Args:
        ids: int64 ``[N]``.
        target: bool ``[N]``, the positions that the loss counts: the answer with its controls.
        prompt_length: number of ids before the answer.
    """

    ids: Tensor
    target: Tensor
    prompt_length: int


@dataclass(frozen=True)
class SpeechLM:
    """A causal LM over the joint vocabulary; `extend` makes one from a text LM, `load` reads one back.

    Args:
        model: the transformers ``PreTrainedModel``, with a row for each id.
        text_tokenizer: the text LM's own tokenizer.
        vocabulary: what each id means.
        reads: the audio that a prompt may hold.
        writes: the audio that an answer may hold; another role than `reads`, or the same.
        train: what is trained.
    """

    model: Any
    text_tokenizer: TextTokenizer
    vocabulary: Vocabulary
    reads: CodeLayout
    writes: CodeLayout
    train: Train = "all"

    @classmethod
    def extend(
        cls,
        backbone: Backbone,
        roles: Mapping[str, tuple[Stream, ...]],
        *,
        reads: str = "speech",
        writes: str = "speech",
        pattern: str = "flatten",
        init: Init = "zero",
        train: Train = "all",
        seed: int = 0,
    ) -> SpeechLM:
        """Append controls and audio to a text LM. Its model is changed in place; its text logits are not.

        Args:
            backbone: the text LM.
            roles: the streams of each tokenizer, by its role in the run.
            reads: role of the audio in prompts.
            writes: role of the audio in answers.
            pattern: how several streams become one sequence, see `areca.run.orders`.
            init: how new rows start, see `areca.lm.rows.extend_rows`.
            train: ``all`` parameters, the new rows of the ``embeddings`` alone, or ``lora`` adapters and those rows.
            seed: of everything random in here.

        Raises:
            InvalidConfig: a role or pattern that does not exist.
            IncompatibleParts: streams that the pattern cannot join, or a model whose head is not understood.
            MissingDependency: ``lora`` without peft.
        """
        if unknown := {reads, writes} - set(roles):
            raise InvalidConfig(
                f"lm reads {reads!r} and writes {writes!r}: no role {sorted(unknown)} in {sorted(roles)}"
            )
        text, model = TextTokenizer.of(backbone.tokenizer), backbone.model
        text_size = max(int(model.get_input_embeddings().weight.shape[0]), text.size)
        vocabulary = Vocabulary.make(text_size, text.hash, roles)
        layouts = {role: CodeLayout(vocabulary, role, roles[role], pattern) for role in (reads, writes)}
        Head.of(model).check(model)
        first = extend_rows(model, vocabulary.size, init=init, seed=seed)
        choose_trained(model, first, train, seed)
        _say_how_to_end(model, vocabulary)
        return cls(model, text, vocabulary, layouts[reads], layouts[writes], train)

    @property
    def head(self) -> Head:
        """The output head; ``head.logits(hidden, rows)`` gives some rows alone."""
        return Head.of(self.model)

    @property
    def context(self) -> int:
        """Longest sequence, in ids, that the model's positions allow."""
        return int(getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or 2**31)

    def segment_ids(self, segments: Sequence[Segment], layout: CodeLayout) -> list[int]:
        """Return the ids of segments, each with the controls that close or enclose it.

        Raises:
            InvalidCodes: codes that are not of `layout`.
        """
        control, ids = self.vocabulary.control, list[int]()
        for segment in segments:
            if isinstance(segment, TextSegment):
                ids += [*self.text_tokenizer.encode(segment.text), control(Control.END_SEGMENT)]
            else:
                codes = layout.encode(segment.codes)
                ids += [control(Control.BEGIN_AUDIO), *codes, control(Control.END_AUDIO)]
        return ids

    def prompt_ids(self, task: Task, values: Values) -> list[int]:
        """Return the ids that ask for a task's outputs; `values` needs its inputs and languages alone.

        Raises:
            InvalidConfig, InvalidCodes: a value is missing or does not fit.
        """
        return self.segment_ids(task.prompt(values), self.reads)

    def encode(self, task: Task, values: Values, written: Values | None = None) -> Encoded:
        """Return a training example.

        Args:
            task: what is asked.
            values: the example's fields; audio as codes of the role that is read.
            written: where `reads` and `writes` are not the same role, the fields with audio as codes of the latter.

        Raises:
            InvalidConfig, InvalidCodes: a value is missing or does not fit.
        """
        prompt = self.prompt_ids(task, values)
        answer = self.segment_ids(task.target(values if written is None else written), self.writes)
        ids = torch.tensor([*prompt, *answer, self.vocabulary.control(Control.END_SEQUENCE)])
        return Encoded(ids, torch.arange(len(ids)) >= len(prompt), len(prompt))

    def loss(
        self,
        ids: Tensor,
        target: Tensor,
        *,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> tuple[Tensor, int]:
        """Return the cross entropy of the targets, summed, and their number; the head runs at those alone.

        Padding on the right needs no mask: causal attention never looks there. Sequences are packed into a row by
        giving `position_ids` that start again at 0 with each, and no mask.

        Args:
            ids: int64 ``[B, N]``.
            target: bool ``[B, N]``, positions that are predicted (each from the one before it); never a first one.
            attention_mask: int or bool ``[B, N]``, 0 at padding on the left.
            position_ids: int64 ``[B, N]``; None: 0 to N - 1.
        """
        states = self.model.base_model(
            input_ids=ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
        ).last_hidden_state
        positions = target.flatten().nonzero()[:, 0]
        before = states.flatten(0, 1).index_select(0, positions - 1)
        logits = self.head.logits(before).float()
        return F.cross_entropy(logits, ids.flatten()[positions], reduction="sum"), len(positions)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return what an optimizer is to train: matrices with decay, all else without.

        Without it are also the tables of which only the new rows are trained: it would shrink their text rows.
        """
        partly = set() if self.train == "all" else {id(table) for table in row_parameters(self.model)}
        trained = [p for p in self.model.parameters() if p.requires_grad]
        decayed = [p for p in trained if p.ndim > 1 and id(p) not in partly]
        others = [p for p in trained if p.ndim < 2 or id(p) in partly]
        groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
        return [group for group in groups if group["params"]]

    def save(self, directory: Path) -> None:
        """Write a Hugging Face directory that needs no areca, with the layout and the text tokenizer beside it.

        ``AutoModelForCausalLM`` and ``AutoTokenizer`` read it; adapters are merged. `directory` may exist.

        Raises:
            IncompatibleParts: the text tokenizer has tokens spelled like ours.
        """
        with _quiet():
            self.model.save_pretrained(directory, state_dict=merged_state(self.model))
        write_tokenizer(self.text_tokenizer, self.vocabulary, directory)
        self.text_tokenizer.write(directory / _TEXT_TOKENIZER)
        layout = {"reads": self.reads.to_json(), "writes": self.writes.to_json(), **self.vocabulary.to_json()}
        write_json(directory / _LAYOUT, layout)

    @classmethod
    def load(cls, directory: Path, device: torch.device | str = "cpu") -> SpeechLM:
        """Read what `save` wrote, in the dtype it was saved in.

        Raises:
            InvalidArtifact: a file is missing, or the text tokenizer or the model is not the layout's.
        """
        layout = _read_layout(directory / _LAYOUT)
        vocabulary = Vocabulary.from_json(layout)
        text = TextTokenizer.read(directory / _TEXT_TOKENIZER)
        if text.hash != vocabulary.text_hash:
            raise InvalidArtifact(
                f"{directory}: the vocabulary was laid out for text tokenizer {quote(vocabulary.text_hash)}, "
                f"but the one in {_TEXT_TOKENIZER} is {text.hash}"
            )
        if text.size > vocabulary.text_size:  # what a user writes would become a control or audio
            raise InvalidArtifact(
                f"{directory}: the text tokenizer has ids up to {text.size - 1}, the vocabulary's text ends at "
                f"{vocabulary.text_size - 1}"
            )
        reads, writes = (CodeLayout.from_json(vocabulary, layout.get(name)) for name in ("reads", "writes"))
        model = load_pretrained(AutoModelForCausalLM, directory, own=True, error=InvalidArtifact)
        model.to(torch.device(device))
        rows = int(model.get_input_embeddings().weight.shape[0])
        if rows != vocabulary.size:
            raise InvalidArtifact(f"{directory}: the vocabulary has {vocabulary.size} ids, the model {rows} rows")
        return cls(model, text, vocabulary, reads, writes)


def choose_trained(model: Any, first: int, train: Train, seed: int) -> None:
    """Freeze what is not trained of an extended `model` whose new rows start at `first`, and put adapters in for lora.

    Raises:
        MissingDependency: ``lora`` without peft.
    """
    if train == "lora":
        add_adapters(model, seed)
        open_new_rows(model, first)
    elif train == "embeddings":
        train_new_rows_alone(model, first)


def _say_how_to_end(model: Any, vocabulary: Vocabulary) -> None:
    if model.generation_config is not None:  # for `model.generate` of those who load it without areca
        model.generation_config.eos_token_id = vocabulary.control(Control.END_SEQUENCE)
        model.generation_config.pad_token_id = vocabulary.control(Control.PAD)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's progress bars off the screen: the one who calls shows progress."""
    shown = is_progress_bar_enabled()
    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            enable_progress_bar()  # type: ignore[no-untyped-call]


def _read_layout(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except FileNotFoundError:
        raise InvalidArtifact(f"{path}: is missing") from None
