"""Options of `soundstorm`. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from areca.fitting.codec_vocoder.options import CodecVocoderOptions

PAPER_SIZE: Mapping[str, int] = MappingProxyType(
    {"layers": 12, "heads": 16, "width": 1024, "feed_forward": 4096, "expansion": 2}
)
"""Options that give the paper's network of 350 M parameters, over 12 codebooks of 1024 codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundStormConfig(CodecVocoderOptions):
    """Options of `soundstorm`. The default network has 3.5 M parameters over 8 codebooks of 256 codes.

    The paper's network has 350 M: `layers: 12, heads: 16, width: 1024, feed_forward: 4096, expansion: 2`.
    """

    layers: int = 4
    """Conformer blocks."""
    heads: int = 4
    """Attention heads of a block; `width` must be a multiple of twice their number."""
    width: int = 192
    """Size of embeddings and hidden states."""
    feed_forward: int = 512
    """Size of the hidden layer of a block's two feed-forward modules."""
    kernel: int = 5
    """Frames that a block's convolution covers, an odd number."""
    expansion: int = 1
    """Channels of a block's convolution, as a multiple of `width`. The paper's number of parameters implies 2."""
    rotary: bool = True
    """Whether attention encodes positions by rotation, as in the paper; otherwise only convolutions see positions."""
    dropout: float = 0.1
    """Share of each module's output that is dropped in training. The paper states none."""
    start: Literal["codebooks", "random"] = "codebooks"
    """Initial embeddings and heads: `codebooks` projects the codec's codebooks at random, if it has that tag."""
    steps: int = 3_000
    """Training steps."""
    batch_s: float = 24.0
    """Seconds of speech in a training step, padding included."""
    longest_s: float = 30.0
    """Maximum seconds of an utterance in training; longer ones are cut at random."""
    level_bias: float = 0.0
    """Level k of a training example has a probability proportional to k ** -level_bias: 0 is the paper's uniform draw;
    larger values train the first levels more, which carry the words."""
    learning_rate: float = 1e-3
    """Peak learning rate (AdamW; linear warm-up over 5 % of the steps, cosine to 0)."""
    weight_decay: float = 0.01
    """Weight decay of AdamW."""
    iterations: tuple[int, ...] = (16,)
    """Decoding iterations of each level; 1 for those that are not listed, as in the paper."""
    temperature: float = 1.0
    """Temperature of sampling. The last iteration of a level takes the most likely codes."""
    window_s: float = 30.0
    """Seconds that are decoded together, prompt included. Longer speech continues in further windows."""
    weights_dtype: Literal["float32", "float16"] = "float32"
    """Type of the stored weights; computation is always in float32."""

    def __post_init__(self) -> None:
        self.require_positive(
            "layers", "heads", "width", "feed_forward", "kernel", "expansion", "steps", "batch_s", "longest_s",
            "temperature", "window_s",
        )  # fmt: skip
        if self.width % (2 * self.heads):
            raise ValueError(f"width must be a multiple of 2 x heads = {2 * self.heads}, got {self.width}")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        if not self.iterations or min(self.iterations) < 1:
            raise ValueError(f"iterations must be whole numbers from 1, got {list(self.iterations)}")
        if self.window_s <= max(self.prompt_s, self.overlap_s):
            raise ValueError(f"window_s must exceed prompt_s and overlap_s, got {self.window_s}")
