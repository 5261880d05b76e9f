"""Every option of a run that is not a component's: frozen dataclasses, checked before any work. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from areca.component import added, runtime
from areca.scoring.bleu_tokenizers import BleuTokenize, check_bleu_tokenizer
from areca.scoring.normalize import find_normaliser


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
    """where the new rows of the embedding start; the paper's is zero"""
    train: Literal["all", "embeddings", "lora"] = "all"
    """what is trained: everything, only the new rows, or low-rank adapters and the new rows"""


@dataclass(frozen=True, slots=True)
class InputConfig:
    """What is done to a recording before the tokenizer reads it, when a checkpoint is used or evaluated."""

    trim_silence_s: float | None = 0.2
    """seconds of silence before and behind the sound that stay as they are; null: any length does"""
    keep_silence_s: float = 0.05
    """seconds that are left of a longer silence"""

    def __post_init__(self) -> None:
        longest_s = float("inf") if self.trim_silence_s is None else self.trim_silence_s
        if not 0 <= self.keep_silence_s <= longest_s:
            raise ValueError(
                f"expected 0 <= keep_silence_s <= trim_silence_s, got {self.keep_silence_s} and {self.trim_silence_s}"
            )


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How the LM is trained: AudioPaLM's optimizer and rate (section 4.2); what it does not document is chosen.

    Dropout (the paper's is 0.1) is an option of the backbone, whose architecture says where it goes.
    """

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
    packing_tokens: int = 0
    """length of the rows that several examples are packed into; 0: one example a row, padded"""
    pool_examples: int = 4096
    """examples that are sorted by length together: more waste less padding, fewer mix lengths and tasks better"""
    longest_tokens: int = 1024
    """examples of more tokens are left out"""
    precision: Literal["float32", "bfloat16"] = added("float32")
    """of products of matrices: with bfloat16, weights, their gradients and the optimizer's state stay in float32"""
    micro_batch_tokens: int = runtime(0)
    """padded tokens that are computed at once, to save memory; a batch's gradient is the sum of its parts, so only
    rounding and the draws of dropout are others. 0: the batch"""
    checkpoint_activations: bool = runtime(False)
    """keep each layer's input alone and compute the rest again going backward: far less memory, a third more time"""
    save_every_steps: int = runtime(500)
    """steps between two states from which a killed run resumes; the last two are kept, and Ctrl-C saves one, too"""
    log_every_steps: int = runtime(50)
    """steps that the loss shown is the mean of"""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_tokens", "pool_examples", "longest_tokens", "save_every_steps", "log_every_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")
        room = self.packing_tokens or self.batch_tokens
        if self.longest_tokens > room:
            name = "packing_tokens" if self.packing_tokens else "batch_tokens"
            raise ValueError(f"longest_tokens ({self.longest_tokens}) must not exceed {name} ({room})")
        row = self.packing_tokens or self.longest_tokens
        if 0 < self.micro_batch_tokens < row:
            raise ValueError(f"micro_batch_tokens must be 0 or at least a row of {row}, got {self.micro_batch_tokens}")

    @property
    def tokens_at_once(self) -> int:
        """Padded tokens that are computed at once, at most."""
        return self.micro_batch_tokens or self.batch_tokens


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a segment of an answer may be, whatever the decoding method.

    Raises:
        ValueError: a limit below 1.
    """

    max_text_ids: int = 256
    """ids after which a text segment is ended"""
    max_audio_frames: int = 1024
    """frames after which an audio segment is ended; a frame is one code of the slowest stream"""

    def __post_init__(self) -> None:
        if self.max_text_ids < 1 or self.max_audio_frames < 1:
            raise ValueError(
                f"max_text_ids and max_audio_frames must be at least 1, got {self.max_text_ids} and "
                f"{self.max_audio_frames}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """What is evaluated, and how it is read.

    Raises:
        ValueError: an option out of range.
        InvalidConfig: no normaliser has that name.
        MissingDependency: the tokenizer of BLEU is not installed.
    """

    tasks: tuple[str, ...] = ()
    """Tasks and chains (``asr+ast``); empty: those that the checkpoint was trained for."""
    split: str = "test"
    """Split of the manifest."""
    sources: tuple[str, ...] = ()
    """Sources of rows to take, as ``human``; empty: all."""
    languages: tuple[str, ...] = ()
    """Source languages of rows to take; empty: all."""
    limit: int | None = None
    """Rows of each source and language, at most; the same ones for every task that they serve."""
    judges: tuple[Any, ...] = ()
    """Judges of spoken answers: a name, ``name:value`` with the value of its first option, or ``{name: ...}``."""
    normaliser: str = "basic"
    """How answers and references are read: ``basic``, or ``spoken-values`` for numbers, dates and times."""
    bleu_tokenize: BleuTokenize = "auto"
    """What BLEU takes for words: ``auto`` is ``char`` for languages written without spaces, ``13a`` for others."""
    decoding: Any = "greedy"
    """How answers are decoded: a method, or ``{name: beam, beams: 8, max_text_ids: 100}``."""
    batch: int = 8
    """Questions answered at once."""
    seed: int = 0
    """Of the choice of rows."""

    def __post_init__(self) -> None:
        if self.batch < 1 or (self.limit is not None and self.limit < 1):
            raise ValueError(f"batch and limit must be at least 1, got {self.batch} and {self.limit}")
        find_normaliser(self.normaliser)
        check_bleu_tokenizer(self.bleu_tokenize)
