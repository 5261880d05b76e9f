"""The speech LM: a text LM whose vocabulary is extended with audio (AudioPaLM, arXiv 2306.12925, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from areca.errors import InvalidArtifact, InvalidConfig, quote
from areca.hub.guard import hide_progress_bars
from areca.hub.loading import load_pretrained
from areca.interfaces import Backbone
from areca.lm.adapters import add_adapters, merge_adapters
from areca.lm.export import write_tokenizer
from areca.lm.heads import Head
from areca.lm.layout import read_layout, write_layout
from areca.lm.patterns import CodeLayout, Pattern
from areca.lm.rows import Init, extend_rows, row_parameters, train_only_new_rows, unfreeze_new_rows
from areca.lm.text import TextTokenizer
from areca.lm.vocabulary import Control, Vocabulary
from areca.registry.parts import Part
from areca.registry.registry import Registry
from areca.specs import Stream
from areca.tasks import Segment, Task, TextSegment, Values

Train = Literal["all", "embeddings", "lora"]
_TEXT_TOKENIZER = "text_tokenizer"
_LAYOUT = "vocabulary.json"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A training example as ids.

    Args:
        ids: int64 ``[N]``, the prompt and the answer.
        target: bool ``[N]``, true at the positions in the loss: the answer with its controls.
        prompt_length: number of ids before the answer.
    """

    ids: Tensor
    target: Tensor
    prompt_length: int


@dataclass(frozen=True)
class SpeechLM:
    """A causal LM over the joint vocabulary of text, controls and audio.

    `extend` creates one from a text LM, `save` writes it and `load` reads it. `encode` turns a training example into
    ids, `loss` computes its loss; `areca.generation.generate.generate` answers prompts from `prompt_ids`.

    Args:
        model: the transformers ``PreTrainedModel``, with one row per id.
        text_tokenizer: the tokenizer of the text LM.
        vocabulary: the layout of ids.
        reads: layout of the audio in prompts.
        writes: layout of the audio in answers; it may have another role than `reads`.
        train: the parameters to train, see `extend`.
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
        pattern: Part | None = None,
        init: Init = "zero",
        train: Train = "all",
        seed: int = 0,
    ) -> SpeechLM:
        """Extend a text LM with controls and audio. The model is changed in place; its text logits are unchanged.

        Args:
            backbone: the text LM.
            roles: the streams of each tokenizer, by role in the run.
            reads: role of the audio in prompts.
            writes: role of the audio in answers.
            pattern: a part of the kind ``pattern``: the order of several streams in one sequence; None: each role has
                one stream.
            init: initial value of the new rows, see `areca.lm.rows.extend_rows`.
            train: ``all`` parameters, only the new rows of the ``embeddings``, or ``lora`` adapters and the new rows.
            seed: seed of the new rows and adapters.

        Raises:
            InvalidConfig: a role does not exist.
            IncompatibleParts: the pattern cannot combine the streams, several streams have no pattern, or the head of
                the model is not supported.
            MissingDependency: `train` is ``lora`` and peft is not installed.
        """
        if unknown := {reads, writes} - set(roles):
            raise InvalidConfig(
                f"lm reads {reads!r} and writes {writes!r}: unknown role {sorted(unknown)}, "
                f"expected one of {sorted(roles)}"
            )
        text, model = TextTokenizer.of(backbone.tokenizer), backbone.model
        text_size = max(int(model.get_input_embeddings().weight.shape[0]), text.size)
        vocabulary = Vocabulary.make(text_size, text.hash, roles)
        chosen = None if pattern is None else Pattern.of(pattern)
        layouts = {role: CodeLayout(vocabulary, role, roles[role], chosen) for role in (reads, writes)}
        Head.of(model).check(model)
        first = extend_rows(model, vocabulary.size, init=init, seed=seed)
        freeze_untrained(model, first, train, seed)
        _set_generation_ids(model, vocabulary)
        return cls(model, text, vocabulary, layouts[reads], layouts[writes], train)

    @property
    def head(self) -> Head:
        """The output head; ``head.logits(hidden, rows)`` computes only some rows."""
        return Head.of(self.model)

    @property
    def context(self) -> int:
        """Maximum sequence length of the model, in ids."""
        return read_context(self.model.config)

    def segment_ids(self, segments: Sequence[Segment], layout: CodeLayout) -> list[int]:
        """Encode segments as ids, with the controls that end or enclose each segment.

        Args:
            segments: text and audio, in order.
            layout: layout of the audio.

        Raises:
            InvalidCodes: the codes do not belong to `layout`.
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
        """Encode the prompt of a task.

        Args:
            task: the task.
            values: its inputs and languages; outputs are not needed.

        Raises:
            InvalidConfig, InvalidCodes: a value is missing or has the wrong type.
        """
        return self.segment_ids(task.prompt(values), self.reads)

    def encode(self, task: Task, values: Values, written: Values | None = None) -> Encoded:
        """Encode a training example.

        Args:
            task: the task.
            values: the fields of the example, with audio as codes of the role that the LM reads.
            written: the fields with audio as codes of the role that the LM writes; None: the roles are the same.

        Raises:
            InvalidConfig, InvalidCodes: a value is missing or has the wrong type.
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
        """Compute the summed cross entropy of the target positions; the head runs only at these positions.

        Padding on the right needs no mask, because causal attention never reads it. To pack several sequences into one
        row, give `position_ids` that restart at 0 with each sequence, and no mask.

        Args:
            ids: int64 ``[B, N]``.
            target: bool ``[B, N]``, the positions to predict, each from the previous position; never the first of a
                sequence.
            attention_mask: int or bool ``[B, N]``, 0 at padding on the left.
            position_ids: int64 ``[B, N]``; None: 0 to N - 1.

        Returns:
            the summed loss, a float32 scalar, and the number of target positions.
        """
        logits, targets = self._predict(ids, target, attention_mask, position_ids)
        return F.cross_entropy(logits, targets, reduction="sum"), len(targets)

    def target_losses(self, ids: Tensor, target: Tensor, *, position_ids: Tensor | None = None) -> Tensor:
        """Return the cross entropy of each target, in the order of ``target.flatten()``: float32 ``[targets]``.

        Arguments are those of `loss`; the gradients of the sum are those of `loss`, bit for bit.
        """
        logits, targets = self._predict(ids, target, None, position_ids)
        return F.cross_entropy(logits, targets, reduction="none")

    def _predict(
        self, ids: Tensor, target: Tensor, attention_mask: Tensor | None, position_ids: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the logits at the targets, float32 ``[targets, rows]``, and the targets' ids."""
        states = self.model.base_model(
            input_ids=ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
        ).last_hidden_state
        positions = target.flatten().nonzero()[:, 0]
        before = states.flatten(0, 1).index_select(0, positions - 1)
        return self.head.logits(before).float(), ids.flatten()[positions]

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return the parameter groups for an optimizer: matrices with weight decay, other parameters without.

        If only the new rows of the embeddings are trained, decay would change the text rows, so there is none.
        """
        partial = set() if self.train == "all" else {id(table) for table in row_parameters(self.model)}
        trained = [p for p in self.model.parameters() if p.requires_grad]
        decayed = [p for p in trained if p.ndim > 1 and id(p) not in partial]
        others = [p for p in trained if p.ndim < 2 or id(p) in partial]
        groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
        return [group for group in groups if group["params"]]

    def save(self, directory: Path) -> None:
        """Write the LM as a Hugging Face directory, plus the layout and the text tokenizer for `load`.

        ``AutoModelForCausalLM`` and ``AutoTokenizer`` read the directory without areca. Adapters are merged into the
        weights. `directory` may exist.

        Raises:
            IncompatibleParts: the text tokenizer already has a token with the name of a control or a code.
        """
        with hide_progress_bars():
            self.model.save_pretrained(directory, state_dict=merge_adapters(self.model))
        write_tokenizer(self.text_tokenizer, self.vocabulary, directory)
        self.text_tokenizer.write(directory / _TEXT_TOKENIZER)
        write_layout(directory / _LAYOUT, self.vocabulary, self.reads, self.writes)

    @classmethod
    def load(cls, directory: Path, registry: Registry, device: torch.device | str = "cpu") -> SpeechLM:
        """Load an LM that `save` wrote, in the dtype in which it was saved.

        Args:
            directory: the folder.
            registry: where the stream pattern is looked up.
            device: device of the model.

        Raises:
            InvalidArtifact: a file is missing or damaged, the text tokenizer or the model does not match the layout, or
                the pattern has a revision that orders codes differently.
            UnknownComponent: the stream pattern is not installed.
        """
        vocabulary, reads, writes = read_layout(directory / _LAYOUT, registry)
        text = TextTokenizer.read(directory / _TEXT_TOKENIZER)
        if text.hash != vocabulary.text_hash:
            raise InvalidArtifact(
                f"{directory}: the vocabulary expects the text tokenizer {quote(vocabulary.text_hash)}, "
                f"but {_TEXT_TOKENIZER} contains {text.hash}"
            )
        if text.size > vocabulary.text_size:  # otherwise a user's text could become a control or audio
            raise InvalidArtifact(
                f"{directory}: the text tokenizer has ids up to {text.size - 1}, but the text ids of the vocabulary "
                f"end at {vocabulary.text_size - 1}"
            )
        model = load_pretrained(AutoModelForCausalLM, directory, from_areca=True, error=InvalidArtifact)
        model.to(torch.device(device))
        rows = int(model.get_input_embeddings().weight.shape[0])
        if rows != vocabulary.size:
            raise InvalidArtifact(f"{directory}: the vocabulary has {vocabulary.size} ids, but the model {rows} rows")
        return cls(model, text, vocabulary, reads, writes)


def read_context(config: Any) -> int:
    """Return the maximum sequence length in a ``PreTrainedConfig``, in ids; 2**31 if it states none."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", None) or 2**31)


def freeze_untrained(model: Any, first: int, train: Train, seed: int) -> None:
    """Freeze the parameters of an extended model that are not trained; add adapters for ``lora``.

    Args:
        model: a transformers causal LM with new rows; changed in place.
        first: index of the first new row.
        train: the parameters to train, see `SpeechLM.extend`.
        seed: seed of the adapters.

    Raises:
        MissingDependency: `train` is ``lora`` and peft is not installed.
    """
    if train == "lora":
        add_adapters(model, seed)
        unfreeze_new_rows(model, first)
    elif train == "embeddings":
        train_only_new_rows(model, first)


def _set_generation_ids(model: Any, vocabulary: Vocabulary) -> None:
    if model.generation_config is not None:  # for `model.generate` in programs without areca
        model.generation_config.eos_token_id = vocabulary.control(Control.END_SEQUENCE)
        model.generation_config.pad_token_id = vocabulary.control(Control.PAD)
