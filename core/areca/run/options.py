"""Every option of a run that is not a component's: frozen dataclasses, checked before any work. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from areca.component import added, runtime
from areca.run.trackers import check_trackers

FAULTS = ("empty", "silent", "at-limit", "loop", "prompt-words")
SOURCE_VOICE, NO_VOICE = "source", "none"
"""The metrics that find faults of answers."""


@dataclass(frozen=True, slots=True)
class DepthConfig:
    """Size of the depth transformer, for ``lm.heads: depth``."""

    layers: int = 2
    """number of layers"""
    width: int = 256
    """width of its states, a multiple of `heads`; its feed-forward layers are four times as wide"""
    heads: int = 4
    """number of attention heads"""

    def __post_init__(self) -> None:
        if min(self.layers, self.width, self.heads) < 1 or self.width % self.heads:
            raise ValueError(
                f"expected positive numbers and a width that is a multiple of heads, got layers {self.layers}, "
                f"width {self.width}, heads {self.heads}"
            )


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """How vectors become inputs of the LM.

    Raises:
        ValueError: the stride is below 1.
    """

    name: Literal["linear", "mlp"] = "linear"
    """the map from vectors to the width of the LM: a matrix, or two matrices with a nonlinearity between"""
    stride: int = 1
    """consecutive vectors that are joined to one input, so that the sequence is this many times shorter"""

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError(f"stride must be at least 1, got {self.stride}")


@dataclass(frozen=True, slots=True)
class LMConfig:
    """How the text LM is joined to the audio streams (AudioPaLM, section 3)."""

    reads: str = "speech"
    """role of the tokenizer whose codes the LM reads"""
    writes: str = "speech"
    """role of the tokenizer whose codes the LM writes"""
    pattern: Any = "flatten"
    """how several streams become one sequence: a pattern, or ``{name: my-pattern, stride: 2}``"""
    init: Literal["zero", "normal", "mean"] = "zero"
    """initial value of the new rows of the embedding; the paper uses zero"""
    train: Literal["all", "embeddings", "lora"] = "all"
    """what is trained: everything, only the new rows, or low-rank adapters and the new rows"""
    heads: Literal["tied", "depth"] = added("tied")
    """what predicts the further codes of a step in a parallel pattern: the LM's state, or a depth transformer"""
    depth: DepthConfig = added(DepthConfig())  # noqa: RUF009 (a field)
    """size of the depth transformer"""
    stream_weights: dict[str, float] | None = added(None)  # noqa: RUF009 (a field)
    """weight of a stream's codes in the loss, such as ``{speech/0: 2}``; default: 1"""
    read_as: Literal["units", "features"] = added("units")
    """what the LM reads of a recording: the tokenizer's units, or the vectors that these are clusters of"""
    adapter: AdapterConfig = added(AdapterConfig())  # noqa: RUF009 (a field)
    """with ``read_as: features``, how the vectors become inputs, as ``{name: mlp, stride: 2}``"""

    @property
    def depth_size(self) -> DepthConfig | None:
        """Size of the depth transformer; None: the heads are tied."""
        return self.depth if self.heads == "depth" else None


@dataclass(frozen=True, slots=True)
class InputConfig:
    """How a recording is trimmed before the tokenizer reads it, when a checkpoint is used or evaluated."""

    trim_silence_s: float | None = 0.2
    """longest silence before or after the sound that is not shortened, in seconds; null: none is shortened"""
    keep_silence_s: float = 0.05
    """length to which a longer silence is shortened, in seconds"""

    def __post_init__(self) -> None:
        longest_s = float("inf") if self.trim_silence_s is None else self.trim_silence_s
        if not 0 <= self.keep_silence_s <= longest_s:
            raise ValueError(
                f"expected 0 <= keep_silence_s <= trim_silence_s, got {self.keep_silence_s} and {self.trim_silence_s}"
            )


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How the LM is trained. The defaults are AudioPaLM's where section 4.2 of its paper documents them.

    Dropout (0.1 in the paper) is an option of the backbone.

    Raises:
        ValueError: an option out of range, or options that contradict each other.
        InvalidConfig: no tracker has that name.
    """

    steps: int = 10_000
    """Optimizer steps."""
    batch_tokens: int = 4096
    """Maximum number of padded tokens in a batch; examples of similar length share a batch."""
    batch_examples: int = added(0)
    """Exact number of examples in a batch, whatever their lengths; `batch_tokens` then only bounds how many padded
    tokens are computed at once. If `pool_examples` is the same number, the batches do not depend on the lengths either,
    so LMs with different patterns see the same examples at each step. 0: as many as `batch_tokens` allows."""
    optimizer: Any = "adafactor"
    """Component that updates the weights: a name, or ``{name: adamw, betas: [0.9, 0.95]}``."""
    learning_rate: float = 5e-5
    """Highest learning rate."""
    schedule: Any = "constant"
    """Component that sets the learning rate after the warm-up: a name, or ``{name: cosine, last: 0.1}``."""
    warmup_steps: int = 0
    """Steps in which the learning rate rises from 0 to its highest."""
    weight_decay: float = 0.0
    """Weight decay of matrices; biases and norms have none. Most optimizers decouple it from the gradient."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0: no limit. Rows that start at zero make the first gradients huge."""
    packing_tokens: int = 0
    """Length of the rows that several examples are packed into; 0: one example a row, padded."""
    pool_examples: int = 4096
    """Examples that are sorted by length together. A large pool wastes less padding; a small one mixes better."""
    longest_tokens: int = 1024
    """Examples with more tokens are left out."""
    precision: Literal["float32", "bfloat16"] = added("float32")
    """Precision of matrix products. With bfloat16, weights, gradients and optimizer state stay in float32."""
    micro_batch_tokens: int = runtime(0)
    """Padded tokens that are computed at once, to save memory; 0: the whole batch. A batch's gradient is the sum over
    its parts: only rounding and the random numbers of dropout change."""
    checkpoint_activations: bool = runtime(False)
    """Keep only each layer's input and recompute the rest in the backward pass: far less memory, a third more time."""
    parallel: Literal["ddp", "fsdp"] = runtime("ddp")
    """What several processes hold of the LM: ``ddp``, each a whole copy, or ``fsdp``, each a part of the weights,
    gradients and optimizer state. One process holds the whole LM in both."""
    compile: bool = runtime(False)
    """Compile the layers of the LM with torch.compile: each step is faster, after a minute or more at the start."""
    attention: Literal["auto", "flash_attention_2"] = runtime("auto")
    """Kernel of the attention in training: the backbone's own, or FlashAttention 2 on a CUDA GPU. The latter reads the
    examples of packed rows one by one, without a mask, and needs `precision: bfloat16`."""
    save_every_steps: int = runtime(500)
    """Steps between saved states, from which a killed run resumes. The last two are kept; Ctrl-C saves one, too."""
    log_every_steps: int = runtime(50)
    """Steps between log rows; the loss of a row is the mean over the targets of these steps."""
    validate_every_steps: int = runtime(0)
    """Steps between two measurements of the validation loss during training; 0: only at the end."""
    report_to: tuple[str, ...] = runtime(())
    """Trackers that receive the log rows, as ``[tensorboard, wandb]``."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_tokens", "pool_examples", "longest_tokens", "save_every_steps", "log_every_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.warmup_steps < 0 or self.validate_every_steps < 0:
            raise ValueError(
                f"expected warmup_steps >= 0 and validate_every_steps >= 0, got {self.warmup_steps} and "
                f"{self.validate_every_steps}"
            )
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        if not 0 <= self.batch_examples <= self.pool_examples:
            raise ValueError(
                f"batch_examples must be from 0 to pool_examples ({self.pool_examples}), got {self.batch_examples}"
            )
        if self.batch_examples and self.packing_tokens:
            raise ValueError("batch_examples and packing_tokens exclude each other: set one of them to 0")
        if self.attention == "flash_attention_2" and self.precision != "bfloat16":
            raise ValueError(f"attention: flash_attention_2 needs precision: bfloat16, got {self.precision}")
        self._check_lengths()
        check_trackers(self.report_to)

    def _check_lengths(self) -> None:
        capacity = self.packing_tokens or self.batch_tokens
        if self.longest_tokens > capacity:
            name = "packing_tokens" if self.packing_tokens else "batch_tokens"
            raise ValueError(f"longest_tokens ({self.longest_tokens}) must not exceed {name} ({capacity})")
        row = self.packing_tokens or self.longest_tokens
        if 0 < self.micro_batch_tokens < row:
            raise ValueError(f"micro_batch_tokens must be 0 or at least a row of {row}, got {self.micro_batch_tokens}")

    def shards(self, processes: int) -> bool:
        """Return whether so many processes hold a part of the LM each."""
        return self.parallel == "fsdp" and processes > 1

    @property
    def tokens_at_once(self) -> int:
        """Largest number of padded tokens that are computed at once."""
        return self.micro_batch_tokens or self.batch_tokens


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum length of each segment of an answer, for any decoding method.

    Raises:
        ValueError: a limit below 1.
    """

    max_text_ids: int = 256
    """ids after which a text segment is ended"""
    max_audio_frames: int = 1024
    """frames after which an audio segment is ended; a frame is one code of the slowest stream"""
    max_audio_s: float | None = added(None)
    """seconds after which an audio segment is ended; null: only `max_audio_frames` ends it"""
    frames_like: str | None = added(None)
    """input whose length every audio segment has exactly, such as ``source.audio:semantic``; null: the LM decides"""

    def __post_init__(self) -> None:
        if self.max_audio_s is not None and not self.max_audio_s > 0:
            raise ValueError(f"max_audio_s must be positive, got {self.max_audio_s}")
        if self.max_text_ids < 1 or self.max_audio_frames < 1:
            raise ValueError(
                f"max_text_ids and max_audio_frames must be at least 1, got {self.max_text_ids} and "
                f"{self.max_audio_frames}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """What is evaluated, and how it is scored.

    Raises:
        ValueError: an option out of range.
    """

    tasks: tuple[str, ...] = ()
    """Tasks and chains (``asr+ast``); empty: those that the checkpoint was trained for."""
    split: str = "test"
    """Split of the manifest."""
    sources: tuple[str, ...] = ()
    """Sources of the rows to evaluate, such as ``human``; empty: all."""
    languages: tuple[str, ...] = ()
    """Source languages of the rows to evaluate; empty: all."""
    limit: int | None = None
    """Maximum number of rows of each source and language; all tasks share these rows. null: no limit."""
    judges: tuple[Any, ...] = ()
    """Judges of spoken answers: a name, ``name:value`` with the value of its first option, or ``{name: ...}``."""
    metrics: tuple[Any, ...] = ("exact", "wer", "cer", "bleu", "chrf", *FAULTS)
    """Metrics, in the order of the report's columns: a name, or ``{name: bleu, tokenize: char}``."""
    normaliser: Any = "basic"
    """Brings answers and references into one form before metrics compare them: ``basic`` for open text, ``whisper``, or
    ``spoken-values`` for numbers, dates and times."""
    decoding: Any = "greedy"
    """How answers are decoded: a method, or ``{name: beam, beams: 8, max_text_ids: 100}``."""
    voice: str | None = None
    """Voice of spoken answers: ``source``, the voice of the question; ``none``, the vocoder's own; or the path of a
    recording. null: ``source`` for a vocoder that takes voice prompts, except for tasks that read a voice or a text."""
    batch: int = 8
    """Requests answered at once."""
    seed: int = 0
    """Seed from which the rows are chosen."""

    def __post_init__(self) -> None:
        if self.batch < 1 or (self.limit is not None and self.limit < 1):
            raise ValueError(f"batch and limit must be at least 1, got {self.batch} and {self.limit}")
        if not self.metrics:
            raise ValueError("metrics is empty: name at least one, such as exact")
