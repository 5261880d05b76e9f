"""Estimate the cost of training a run from the architecture of its text LM, without data or weights.

The backbone's target must have ``architecture(config) -> PreTrainedConfig``, a static method that needs no weights; see
docs/plugins.md. The model is built on torch's meta device, where a tensor has a shape but no values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from areca.errors import ArecaError, summarise
from areca.lm.adapter import VectorLayout, build_adapter
from areca.lm.depth import build_depth
from areca.lm.layout import Layout
from areca.lm.model import read_context
from areca.lm.rows import extend_rows, freeze_untrained
from areca.lm.vocabulary import Vocabulary
from areca.registry.parts import Part
from areca.run.config import RunConfig
from areca.run.options import TrainingConfig
from areca.specs import OptimizerSpec


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that training keeps between steps, in float32, without activations, which depend on the batch."""

    weights: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        """The sum of all."""
        return self.weights + self.gradients + self.optimizer


@dataclass(frozen=True, slots=True)
class Budget:
    """The cost of training a run.

    Args:
        family: the text LM's ``model_type``.
        text_parameters: parameters of the text LM; tied matrices count once.
        new_rows: ids appended for controls and audio.
        new_parameters: parameters of these rows, of low-rank adapters, of the depth transformer, and of the adapter
            that reads vectors, unless their size is known only after the tokenizer is trained.
        trained: parameters that have a gradient.
        matrix_flops: floating-point operations per token, except for attention's products of positions.
        attention_flops: floating-point operations per token for attention over `length` tokens.
        length: tokens of the longest training sequence.
        memory: bytes that stay between steps.
    """

    family: str
    text_parameters: int
    new_rows: int
    new_parameters: int
    trained: int
    matrix_flops: int
    attention_flops: int
    length: int
    memory: Memory

    @property
    def parameters(self) -> int:
        """Total number of parameters."""
        return self.text_parameters + self.new_parameters

    @property
    def flops(self) -> int:
        """Upper bound of the floating-point operations per token in training, forward and backward."""
        return self.matrix_flops + self.attention_flops


def estimate_budget(run: RunConfig, training: TrainingConfig) -> Budget:
    """Estimate the cost of training `run`.

    Raises:
        ArecaError: the backbone has no `architecture`, or transformers cannot build it.
        MissingDependency: ``lm.train: lora`` without peft.
    """
    config = read_architecture(run.backbone)
    text = _build_on_meta(config, run.backbone)
    text_parameters, text_size = _count_parameters(text), _count_rows(text)
    model, vocabulary = extend_on_meta(run)
    layout = make_layout(run, vocabulary)
    adapter = _build_adapter(run, model)
    with torch.device("meta"):
        depth = list(build_depth(layout, model, run.seed).parameters()) if layout.has_depth else []
    trained = [p for p in (*model.parameters(), *adapter, *depth) if p.requires_grad]
    parameters = _count_parameters(model) + sum(p.numel() for p in (*adapter, *depth))
    length = training.packing_tokens or min(training.longest_tokens, read_context(config))
    return Budget(
        family=config.model_type,
        text_parameters=text_parameters,
        new_rows=vocabulary.size - text_size,
        new_parameters=parameters - text_parameters,
        trained=sum(p.numel() for p in trained),
        # The depth transformer runs for each code of a step.
        matrix_flops=count_matrix_flops(model) + 6 * sum(p.numel() for p in (*adapter, *(depth * layout.slots))),
        attention_flops=count_attention_flops(config, length),
        length=length,
        memory=_count_memory(parameters, trained, run.training_parts["optimizer"].spec),
    )


def extend_on_meta(run: RunConfig) -> tuple[Any, Vocabulary]:
    """Return the run's LM on torch's meta device, with new rows and adapters, and its vocabulary.

    Raises:
        ArecaError, MissingDependency: as for `estimate_budget`.
    """
    model = _build_on_meta(read_architecture(run.backbone), run.backbone)
    vocabulary = Vocabulary.make(_count_rows(model), "", run.lm_streams)
    first = extend_rows(model, vocabulary.size, init="zero", seed=0)
    freeze_untrained(model, first, run.lm.train, seed=0)
    return model, vocabulary


def make_layout(run: RunConfig, vocabulary: Vocabulary) -> Layout:
    """Return the layout of the run's LM, without vectors."""
    return Layout.make(vocabulary, run.lm_streams, run.lm.reads, run.lm.writes, run.pattern, run.lm.depth_size)


def read_architecture(part: Part) -> Any:
    """Return a backbone's ``PreTrainedConfig``, built without weights.

    Raises:
        ArecaError: its target has no `architecture`.
    """
    target = part.entry.target()
    if not hasattr(target, "architecture"):
        raise ArecaError(
            f"backbone {part.name!r} cannot be built without weights, so its size is not known: its target "
            f"{part.entry.component.target} has no `architecture(config)` (see docs/plugins.md)"
        )
    return target.architecture(part.config)


def count_matrix_flops(model: Any) -> int:
    """Return operations per token, forward and backward, except for attention's products of positions: ``6 N``.

    A weight is multiplied once forward, once backward for the activations and, where it is trained, once for its own
    gradient, each a multiplication and an addition (Kaplan et al. 2020, section 2.1). Looking up an input embedding
    that is not the output matrix costs nothing. The output matrix counts at every position, although core computes
    it only at targets.
    """
    table, output = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    multiplied = [p for p in model.parameters() if p is not table or table is output]
    return sum((6 if p.requires_grad else 4) * p.numel() for p in multiplied)


def count_attention_flops(config: Any, length: int) -> int:
    """Return operations per token, forward and backward, of queries with keys and of weights with values.

    ``12 * layers * heads * head width * length`` (Chowdhery et al. 2022, appendix B), as if every token attended
    to `length` tokens; causal masks and sliding windows save some of it.
    """
    text = config.get_text_config()
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(12 * text.num_hidden_layers * text.num_attention_heads * width * length)


def count_state_bytes(shape: torch.Size, optimizer: OptimizerSpec) -> int:
    """Return the bytes that an optimizer keeps for one parameter."""
    return optimizer.state_elements(tuple(shape)) * torch.float32.itemsize


def _build_adapter(run: RunConfig, model: Any) -> list[torch.nn.Parameter]:
    """Return the parameters of the adapter on the meta device; none if the size of its input is not known."""
    size = run.tokenizers[run.lm.reads].spec.feature_size
    if not run.reads_vectors or size is None:
        return []
    with torch.device("meta"):
        return list(build_adapter(VectorLayout(size, run.lm.adapter), model, run.seed).parameters())


def _count_memory(parameters: int, trained: list[Any], optimizer: OptimizerSpec) -> Memory:
    return Memory(
        weights=parameters * torch.float32.itemsize,
        gradients=sum(p.numel() for p in trained) * torch.float32.itemsize,
        optimizer=sum(count_state_bytes(p.shape, optimizer) for p in trained),
    )


def _build_on_meta(config: Any, part: Part) -> Any:
    builder: Any = AutoModelForCausalLM  # only partly annotated
    try:
        with torch.device("meta"):
            return builder.from_config(config, trust_remote_code=False)
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        reason = summarise(error)
        raise ArecaError(f"backbone {part.name!r}: transformers cannot build its architecture: {reason}") from error


def _count_rows(model: Any) -> int:
    return int(model.get_input_embeddings().weight.shape[0])


def _count_parameters(model: Any) -> int:
    return sum(p.numel() for p in model.parameters())
