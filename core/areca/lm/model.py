"""The speech LM: a text LM whose vocabulary is extended with audio (AudioPaLM, arXiv 2306.12925, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from areca.batching import length_mask
from areca.errors import InvalidArtifact, InvalidConfig, quote
from areca.hub.guard import hide_progress_bars
from areca.hub.loading import load_pretrained
from areca.hub.tensors import read_module
from areca.interfaces import Backbone
from areca.lm.adapter import Adapter, build_adapter, lay_out_vectors
from areca.lm.depth import DepthTransformer, build_depth
from areca.lm.encoding import Encoded, Encoder
from areca.lm.export import write_tokenizer
from areca.lm.heads import Head, check_embeddings
from areca.lm.layout import Layout, read_layout, write_layout
from areca.lm.lora import merge_adapters
from areca.lm.patterns import CodeLayout
from areca.lm.rows import Init, Train, extend_rows, freeze_untrained, row_parameters
from areca.lm.steps import NO_ID, Steps, end_targets
from areca.lm.text import TextTokenizer
from areca.lm.vocabulary import Control, Vocabulary
from areca.registry.parts import Part
from areca.registry.registry import Registry
from areca.run.options import AdapterConfig, DepthConfig
from areca.specs import Stream
from areca.tasks import Task, Values

Heads = Literal["tied", "depth"]
ReadAs = Literal["units", "features"]
DEPTH, ADAPTER = DepthConfig(), AdapterConfig()
_TEXT_TOKENIZER = "text_tokenizer"
_DEPTH, _ADAPTER = "depth/model.safetensors", "adapter/model.safetensors"
_LAYOUT = "vocabulary.json"


class Losses(NamedTuple):
    """The loss of each target of a batch.

    Args:
        nats: float32 ``[T]``, the cross entropy of each target: those of slot 0, then those of slot 1, and so on.
        weights: float32 ``[T]``, their weights; None: all are 1.
        steps: int64 ``[T]``, the step of each target in the flattened batch.
        slots: int64 ``[T]``, the slot of each target.
        ids: int64 ``[T]``, the id of each target.
    """

    nats: Tensor
    weights: Tensor | None
    steps: Tensor
    slots: Tensor
    ids: Tensor

    @property
    def sum(self) -> Tensor:
        """The weighted sum, a float32 scalar."""
        return self.nats.sum() if self.weights is None else (self.nats * self.weights).sum()


class SpeechLM(nn.Module):
    """A causal LM over the joint vocabulary of text, controls and audio.

    `extend` creates one from a text LM, `save` writes it and `load` reads it. `encode` turns a training example into
    steps, the module computes the losses of a batch; `areca.generation.generate.generate` answers a `prompt`.

    Args:
        model: the transformers ``PreTrainedModel``, with one row per id.
        text_tokenizer: the tokenizer of the text LM.
        layout: what the ids mean.
        depth: predicts the further ids of a step; None: the LM's state predicts them.
        trains: the parameters to train, see ``train`` of `extend`.
        stream_weights: weight of each stream's codes in the loss; 1 for the others.
        adapter: turns vectors into inputs of the model; None: the LM reads codes.

    Attributes:
        encoder: turns the values of tasks into steps.
        join_rows: whether the rows of a batch are joined to one packed row before the model reads them. Attention
            kernels for sequences of several lengths expect one row with restarting positions.
    """

    def __init__(
        self,
        model: Any,
        text_tokenizer: TextTokenizer,
        layout: Layout,
        depth: DepthTransformer | None = None,
        trains: Train = "all",
        stream_weights: Mapping[str, float] | None = None,
        adapter: Adapter | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.text_tokenizer = text_tokenizer
        self.layout = layout
        self.encoder = Encoder(text_tokenizer, layout)
        self.trains = trains
        self.stream_weights = dict(stream_weights or {})
        self.depth = depth
        self.adapter = adapter
        self.join_rows = False

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
        heads: Heads = "tied",
        depth: DepthConfig | Mapping[str, int] = DEPTH,
        stream_weights: Mapping[str, float] | None = None,
        read_as: ReadAs = "units",
        adapter: AdapterConfig | Mapping[str, Any] = ADAPTER,
        feature_size: int | None = None,
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
                The depth transformer and the adapter are always trained.
            heads: what predicts the further codes of a step in a parallel pattern: the same state (``tied``) or a
                ``depth`` transformer.
            depth: size of the depth transformer.
            stream_weights: weight of a stream's codes in the loss, such as ``{"speech/0": 2.0}``; default: 1.
            read_as: what prompts hold of audio: the ``units`` of the role `reads`, or its vectors (``features``).
            adapter: how vectors become inputs of the model.
            feature_size: dimensions of the vectors.
            seed: seed of the new rows, the adapters and the depth transformer.

        Raises:
            InvalidConfig: a role or a stream does not exist.
            IncompatibleParts: the pattern cannot combine the streams, several streams have no pattern, the head of the
                model is not supported, or the model cannot read the embeddings of a parallel pattern or of vectors.
            MissingDependency: `train` is ``lora`` and peft is not installed.
        """
        if unknown := {reads, writes} - set(roles):
            raise InvalidConfig(
                f"lm reads {reads!r} and writes {writes!r}: unknown role {sorted(unknown)}, "
                f"expected one of {sorted(roles)}"
            )
        # Lay out the joint vocabulary.
        text, model = TextTokenizer.of(backbone.tokenizer), backbone.model
        text_size = max(int(model.get_input_embeddings().weight.shape[0]), text.size)
        vocabulary = Vocabulary.make(text_size, text.hash, roles)
        size = DepthConfig(**depth) if isinstance(depth, Mapping) else depth
        vectors = lay_out_vectors(adapter, feature_size) if read_as == "features" else None
        layout = Layout.make(vocabulary, roles, reads, writes, pattern, size if heads == "depth" else None, vectors)
        for stream in stream_weights or {}:
            vocabulary.span(stream)
        # Extend the model.
        Head.of(model).check(model)
        if layout.slots > 1 or vectors is not None:
            check_embeddings(model)
        first = extend_rows(model, vocabulary.size, init=init, seed=seed)
        freeze_untrained(model, first, train, seed)
        _set_generation_ids(model, vocabulary)
        added_depth = build_depth(layout, model, seed) if layout.has_depth else None
        added_adapter = None if vectors is None else build_adapter(vectors, model, seed)
        return cls(model, text, layout, added_depth, train, stream_weights, added_adapter)

    @property
    def vocabulary(self) -> Vocabulary:
        """The joint vocabulary."""
        return self.layout.vocabulary

    @property
    def layouts(self) -> Mapping[str, CodeLayout]:
        """The layout of each role's codes."""
        return self.layout.codes

    @property
    def reads(self) -> CodeLayout:
        """The layout of the audio in prompts."""
        return self.layouts[self.layout.reads]

    @property
    def writes(self) -> CodeLayout:
        """The layout of the audio in answers; it may have another role than `reads`."""
        return self.layouts[self.layout.writes]

    @property
    def slots(self) -> int:
        """Maximum number of ids in a step."""
        return self.layout.slots

    @property
    def vector_width(self) -> int:
        """Dimensions of the joined vectors of a step; 0: the LM reads codes."""
        return 0 if self.layout.vectors is None else self.layout.vectors.width

    @property
    def head(self) -> Head:
        """The output head; ``head.logits(hidden, rows)`` computes only some rows."""
        return Head.of(self.model)

    @property
    def context(self) -> int:
        """Maximum sequence length of the model, in steps."""
        return read_context(self.model.config)

    def prompt(self, task: Task, values: Values) -> Steps:
        """Encode the prompt of a task; see `areca.lm.encoding.Encoder.prompt`."""
        return self.encoder.prompt(task, values)

    def encode(self, task: Task, values: Values, written: Values | None = None) -> Encoded:
        """Encode a training example; see `areca.lm.encoding.Encoder.encode`."""
        return self.encoder.encode(task, values, written)

    def forward(self, batch: Mapping[str, Tensor]) -> Losses:
        """Compute the cross entropy of each target; the head runs only at these positions.

        Padding on the right needs no mask, because causal attention never reads it. To pack several sequences into one
        row, give ``position_ids`` that restart at 0 with each sequence, and no mask.

        Args:
            batch: ``ids`` int64 ``[B, S]``, or ``[B, S, K]`` by slot with -1 in empty slots; ``target`` bool
                ``[B, S]``, the steps to predict, each from the previous step, never the first of a sequence;
                optional ``attention_mask`` int or bool ``[B, S]``, 0 at padding on the left, and ``position_ids`` int64
                ``[B, S]``, by default 0 to S - 1. If the LM reads vectors: ``vector_at`` bool ``[B, S]``, true at the
                steps that are vectors, and ``vectors`` float32 ``[B, V, vector_width]``, those of each row in the order
                of their steps, padded at the end. Other tensors are ignored.
        """
        ids, target = batch["ids"], batch["target"]
        named = ("vectors", "vector_at", "attention_mask", "position_ids")
        options = {name: batch[name] for name in named if name in batch}
        if self.join_rows and "attention_mask" not in batch:
            options["position_ids"] = _join_positions(ids, batch.get("position_ids"))
        states: Tensor = self.run(ids, use_cache=False, **options).last_hidden_state.flatten(0, 1)
        grid = ids if ids.ndim == 3 else ids[..., None]
        targets = end_targets(grid, target, self.vocabulary.control(Control.END_AUDIO)).flatten(0, 1)
        # Slot 0: any id of the vocabulary.
        steps = (targets[:, 0] != NO_ID).nonzero()[:, 0]
        logits = self.head.logits(states.index_select(0, steps - 1)).float()
        nats = F.cross_entropy(logits, targets[steps, 0], reduction="none")
        found = [(nats, targets[steps, 0], steps, torch.zeros_like(steps))]
        if grid.shape[-1] > 1:
            found += self._slot_losses(states, grid.flatten(0, 1), targets)
        nats, chosen, steps, slots = (torch.cat(parts) for parts in zip(*found, strict=True))
        return Losses(nats, self._weights(chosen), steps, slots, chosen)

    def count_targets(self, batch: Mapping[str, Tensor]) -> int:
        """Return the number of targets of a batch; see `forward`."""
        ids = batch["ids"]
        grid = ids if ids.ndim == 3 else ids[..., None]
        targets = end_targets(grid, batch["target"], self.vocabulary.control(Control.END_AUDIO))
        return int((targets != NO_ID).sum())

    def _slot_losses(
        self, states: Tensor, grid: Tensor, targets: Tensor
    ) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Return losses, targets, steps and slots of the slots from 1 on; each is predicted over its stream's span."""
        inside = (targets[:, 1:] != NO_ID).any(1).nonzero()[:, 0]
        hidden = self.slot_states(states.index_select(0, inside - 1), grid[inside, :-1])
        # A part of a role's streams has its first stream in slot 0, so any stream can be in any slot.
        spans = [span for codes in self.layouts.values() if codes.is_parallel for span in codes.spans]
        spans.sort(key=lambda span: span.start)
        starts = torch.tensor([span.start for span in spans], device=targets.device)
        wanted = targets[inside, 1:]
        streams = torch.bucketize(wanted, starts, right=True) - 1  # -1: no id
        places = torch.arange(wanted.shape[1], device=wanted.device) * len(spans) + streams
        found = []
        # Even without a row: every parameter takes part in every batch, as DistributedDataParallel expects.
        for place in torch.unique(places[streams >= 0]).tolist() or [0]:
            slot, span = place // len(spans), spans[place % len(spans)]
            rows = ((places[:, slot] == place) & (streams[:, slot] >= 0)).nonzero()[:, 0]
            logits = self.head.logits(hidden[rows, slot], span).float()
            nats = F.cross_entropy(logits, wanted[rows, slot] - span.start, reduction="none")
            found.append((nats, wanted[rows, slot], inside[rows], torch.full_like(rows, slot + 1)))
        return found

    def slot_states(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """Return the states that predict the further ids of steps.

        Args:
            hidden: float ``[N, H]``, the LM's state before each step.
            ids: int64 ``[N, k]``, the ids of its first k slots, with -1 in empty slots.

        Returns:
            float ``[N, k, H]``: the state at index i predicts slot i + 1.
        """
        if self.depth is None:
            return hidden[:, None].expand(-1, ids.shape[1], -1)
        return self.depth(hidden, self.embed(ids[..., None]))  # type: ignore[no-any-return]

    def embed(self, ids: Tensor) -> Tensor:
        """Return the embedding of steps: the sum of the embeddings of their ids.

        Args:
            ids: int64 ``[..., K]`` by slot, with -1 in empty slots.

        Returns:
            float ``[..., H]``.
        """
        rows: Tensor = self.model.get_input_embeddings()(ids.clamp(min=0))
        return rows.masked_fill((ids == NO_ID)[..., None], 0.0).sum(-2)

    def run(self, ids: Tensor, vectors: Tensor | None = None, vector_at: Tensor | None = None, **options: Any) -> Any:
        """Run the model without its head.

        Args:
            ids: int64 ``[B, S]``, or ``[B, S, K]`` by slot, -1 at vectors.
            vectors: as in `forward`; None: there are none.
            vector_at: as in `forward`.
            **options: further arguments of the model.
        """
        positions: Tensor | None = options.get("position_ids")
        joined = positions is not None and len(positions) < len(ids)  # `forward` has joined the rows
        if ids.ndim == 2 and vectors is None:
            return self.model.base_model(input_ids=ids.reshape(1, -1) if joined else ids, **options)
        embedded = self.embed(ids if ids.ndim == 3 else ids[..., None])
        if vectors is not None and vector_at is not None:
            assert self.adapter is not None, "`prompt` refuses vectors"
            # The adapter also runs on no vectors: all processes of a training need gradients of the same weights.
            adapted = self.adapter(vectors[length_mask(vector_at.sum(1), vectors.shape[1])])
            embedded = embedded.masked_scatter(vector_at[..., None], adapted.to(embedded.dtype))
        return self.model.base_model(inputs_embeds=embedded.flatten(0, 1)[None] if joined else embedded, **options)

    def _weights(self, targets: Tensor) -> Tensor | None:
        if not self.stream_weights:
            return None
        weights = torch.ones(len(targets), device=targets.device)
        for stream, weight in self.stream_weights.items():
            span = self.vocabulary.span(stream)
            weights[(targets >= span.start) & (targets < span.stop)] = weight
        return weights

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return the parameter groups for an optimizer: matrices with weight decay, other parameters without.

        If only the new rows of the embeddings are trained, decay would change the text rows, so there is none.
        """
        partial = set() if self.trains == "all" else {id(table) for table in row_parameters(self.model)}
        trained = [p for p in self.parameters() if p.requires_grad]
        decayed = [p for p in trained if p.ndim > 1 and id(p) not in partial]
        others = [p for p in trained if p.ndim < 2 or id(p) in partial]
        groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
        return [group for group in groups if group["params"]]

    def save(self, directory: Path) -> None:
        """Write the LM as a Hugging Face directory, plus the layout and the text tokenizer for `load`.

        ``AutoModelForCausalLM`` and ``AutoTokenizer`` read the directory without areca. Adapters are merged into the
        weights. The depth transformer and the adapter are in separate files. `directory` may exist.

        Raises:
            IncompatibleParts: the text tokenizer already has a token with the name of a control or a code.
        """
        with hide_progress_bars():
            self.model.save_pretrained(directory, state_dict=merge_adapters(self.model))
        for name, module in ((_DEPTH, self.depth), (_ADAPTER, self.adapter)):
            if module is not None:
                (directory / name).parent.mkdir(exist_ok=True)
                safetensors.torch.save_file(module.state_dict(), str(directory / name))
        write_tokenizer(self.text_tokenizer, self.vocabulary, directory)
        self.text_tokenizer.write(directory / _TEXT_TOKENIZER)
        write_layout(directory / _LAYOUT, self.layout)

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
        layout = read_layout(directory / _LAYOUT, registry)
        vocabulary, text = layout.vocabulary, TextTokenizer.read(directory / _TEXT_TOKENIZER)
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
        depth = None
        if layout.has_depth:
            depth = read_module(directory / _DEPTH, lambda: build_depth(layout, model, 0), error=InvalidArtifact)
            depth.to(model.dtype).to(torch.device(device))
        adapter = None
        if layout.vectors is not None:
            build = partial(build_adapter, layout.vectors, model, 0)
            adapter = read_module(directory / _ADAPTER, build, error=InvalidArtifact)
            adapter.to(torch.device(device))
        return cls(model, text, layout, depth, adapter=adapter)


def _join_positions(ids: Tensor, positions: Tensor | None) -> Tensor:
    """Return the positions of the steps of all rows in one row, int64 ``[1, B * S]``."""
    if positions is None:
        positions = torch.arange(ids.shape[1], device=ids.device).expand(ids.shape[:2])
    return positions.reshape(1, -1)


def read_context(config: Any) -> int:
    """Return the maximum sequence length in a ``PreTrainedConfig``, in ids; 2**31 if it states none."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", None) or 2**31)


def _set_generation_ids(model: Any, vocabulary: Vocabulary) -> None:
    if model.generation_config is not None:  # for `model.generate` in programs without areca
        model.generation_config.eos_token_id = vocabulary.control(Control.END_SEQUENCE)
        model.generation_config.pad_token_id = vocabulary.control(Control.PAD)
