"""How answers are chosen. No torch: options are checked before any work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from areca.errors import InvalidConfig


@dataclass(frozen=True, slots=True)
class Decoding:
    """How answers are chosen."""

    method: Literal["greedy", "sample", "beam"] = "greedy"
    """the likeliest id at each step, one drawn at random, or the likeliest answer of several kept side by side"""
    temperature: float = 1.0
    """sample: what logits are divided by"""
    top_k: int = 0
    """sample: only among this many likeliest ids; 0: all"""
    top_p: float = 1.0
    """sample: only among the likeliest ids that together have this probability (arXiv 1904.09751)"""
    beams: int = 4
    """beam: answers kept side by side"""
    length_penalty: float = 1.0
    """beam: power of the length that an answer's log-probability is divided by"""
    max_text_ids: int = 256
    """ids after which a text segment is ended"""
    max_audio_frames: int = 1024
    """frames after which an audio segment is ended; a frame is a code of the slowest stream"""

    def __post_init__(self) -> None:
        if self.temperature <= 0 or not 0 < self.top_p <= 1 or self.top_k < 0 or self.beams < 1:
            raise InvalidConfig(f"expected temperature > 0, 0 < top_p <= 1, top_k >= 0 and beams >= 1, got {self}")
        if self.max_text_ids < 1 or self.max_audio_frames < 1:
            raise InvalidConfig(f"expected limits of at least 1, got {self}")
