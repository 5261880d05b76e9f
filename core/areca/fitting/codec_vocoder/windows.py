"""Decode an utterance window after window, each continuing the end of the one before: the time is linear."""

from __future__ import annotations

import torch

from areca.fitting.codec_vocoder.voices import Prompt


class Track:
    """An utterance that is decoded window after window.

    Args:
        prompt: the voice.
        condition: the unit of each frame to decode, int64 ``[F]``.
        seed: of the random numbers.
    """

    def __init__(self, prompt: Prompt, condition: torch.Tensor, seed: int) -> None:
        device = condition.device
        self._condition = torch.cat((prompt.condition.to(device), condition))
        self._codes = prompt.codes.T.to(device)
        self._prompt = len(prompt.condition)
        self.generator = torch.Generator().manual_seed(seed)

    @property
    def is_finished(self) -> bool:
        """Whether all frames have codes."""
        return len(self._codes) == len(self._condition)

    @property
    def codes(self) -> torch.Tensor:
        """The decoded codes without the prompt, int64 ``[Q, F]``."""
        return self._codes[self._prompt :].T

    def window(self, size: int, overlap: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the next window: its units, int64 ``[T]``, and the codes that it continues, int64 ``[P, Q]``.

        Args:
            size: maximum number of frames in a window, those that it continues included.
            overlap: frames that it continues of the window before. The first window continues the prompt.
        """
        done = len(self._codes)
        start = done - (done if done == self._prompt else min(done, overlap))
        return self._condition[start : start + size], self._codes[start:]

    def append(self, codes: torch.Tensor) -> None:
        """Append the codes of a window behind those that it continued, int64 ``[T, Q]``."""
        self._codes = torch.cat((self._codes, codes))
