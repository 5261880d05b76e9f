"""Options that vocoders over a codec share. Light: no torch."""

from __future__ import annotations

from dataclasses import dataclass

from areca import runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecVocoderOptions:
    """Options of the training recordings, of voices and of windows. Configs of such vocoders derive from it."""

    utterances: int = 20_000
    """Maximum number of training recordings, of the source and the translated side; drawn at random."""
    own_voice: str | None = None
    """Speaker whose recording is the voice without a prompt; null: any speaker of the training split."""
    longest: int = 50
    """Maximum predicted duration of a deduplicated unit, in frames of the base rate."""
    prompt_s: float = 3.0
    """Seconds of the voice prompt that are used; a shorter prompt is repeated."""
    overlap_s: float = 3.0
    """Seconds of a window's end that the next window continues."""
    checkpoint_steps: int = runtime(100)
    """Training steps between two saved states; an interrupted training loses at most this many steps."""
    decoding_batch_s: float = runtime(60.0)
    """Seconds of speech, prompts included, that are decoded in one batch."""

    def require_positive(self, *names: str) -> None:
        """Refuse options that are not positive: those of this class, and those with further `names`.

        Raises:
            ValueError: an option is 0 or less.
        """
        shared = ("utterances", "longest", "prompt_s", "overlap_s", "checkpoint_steps", "decoding_batch_s")
        for name in (*shared, *names):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
