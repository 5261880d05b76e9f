"""The codebooks while they are trained (section III.C): moving averages, replaced codes and quantizer dropout."""

from __future__ import annotations

import torch
from torch import nn

from areca.fitting.kmeans import assign
from areca.fitting.residual import fit_levels

_TINY = 1e-12


class Averages(nn.Module):
    """Moving averages of the vectors that codebooks quantize. They move the codebooks.

    Args:
        books: the codebooks, float32 ``[L, K, D]``.
        decay: of the moving averages.
        replace_below: a code that is used less, by the moving average per batch, is replaced.
    """

    uses: torch.Tensor
    sums: torch.Tensor

    def __init__(self, books: torch.Tensor, *, decay: float, replace_below: float) -> None:
        super().__init__()
        self._decay, self._replace_below = decay, replace_below
        self.register_buffer("uses", torch.zeros(books.shape[:2]))
        self.register_buffer("sums", torch.zeros(books.shape))

    @torch.no_grad()
    def start(self, books: torch.Tensor, points: torch.Tensor, uses: float, generator: torch.Generator) -> None:
        """Set the codebooks to the k-means of vectors and of their residuals.

        Args:
            books: the codebooks, changed in place.
            points: vectors, ``[N, D]``, at least as many as a codebook has codes.
            uses: of a code in a batch, on average.
            generator: the only source of randomness, on the CPU.
        """
        levels, size, _ = books.shape
        books.copy_(fit_levels(points, levels, size, generator=generator, report=lambda _: None))
        self.uses.fill_(uses)
        self.sums.copy_(books * uses)

    @torch.no_grad()
    def advance(
        self, books: torch.Tensor, points: torch.Tensor, kept: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Quantize a batch of vectors, then move the codebooks towards it.

        All levels learn from all vectors, whatever is kept of them: in a small batch few vectors keep the last levels.

        Args:
            books: the codebooks, changed in place.
            points: ``[N, D]``.
            kept: int64 ``[N]``, the number of levels to use for each vector.
            generator: draws the vectors that replace codes, on the CPU.

        Returns:
            Sums of the entries of the kept levels, ``[N, D]``.
        """
        residual, total = points, torch.zeros_like(points)
        for level, book in enumerate(books):
            codes, _ = assign(residual, book)
            chosen = book[codes]
            total += chosen * (level < kept)[:, None]
            book.copy_(self._follow(level, residual, codes, generator))
            residual = residual - chosen
        return total

    def _follow(
        self, level: int, points: torch.Tensor, codes: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Move the averages of a level, replace codes that are hardly used, and return its codebook ``[K, D]``."""
        uses, sums = self.uses[level], self.sums[level]
        uses.lerp_(torch.bincount(codes, minlength=len(uses)).to(uses.dtype), 1 - self._decay)
        sums.lerp_(torch.zeros_like(sums).index_add_(0, codes, points), 1 - self._decay)
        unused = (uses < self._replace_below).nonzero()[:, 0]
        if len(unused):
            drawn = torch.randint(len(points), (len(unused),), generator=generator).to(points.device)
            # As many uses as the average code has: a new code must have time to be used.
            uses[unused] = max(len(points) / len(uses), self._replace_below)
            sums[unused] = points[drawn] * uses[unused, None]
        return sums / uses.clamp(min=_TINY)[:, None]


def draw_levels(batch: int, levels: int, *, dropout: bool, generator: torch.Generator) -> torch.Tensor:
    """Return the number of levels to use for each example, int64 ``[B]``: uniform in 1 to `levels`, or all."""
    return torch.randint(1, levels + 1, (batch,), generator=generator) if dropout else torch.full((batch,), levels)
