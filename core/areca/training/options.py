"""The options of training. No torch: they are checked before any work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from areca.component import added, runtime


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
