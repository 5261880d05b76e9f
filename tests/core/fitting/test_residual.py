"""Residual vector quantization: the contribution of each level."""

from __future__ import annotations

import torch

from areca.fitting.residual import fit_levels, quantize, reconstruct


def test_each_level_quantises_the_residual_of_earlier_levels() -> None:
    points = torch.randn(600, 6, generator=torch.Generator().manual_seed(0))
    told: list[int] = []
    books = fit_levels(points, 4, 16, generator=torch.Generator().manual_seed(1), report=told.append)
    codes = quantize(points, books)
    left, errors = points.clone(), []
    for book, chosen in zip(books, codes, strict=True):
        distances = (left[:, None] - book[None]).square().sum(-1)
        assert torch.equal(distances.argmin(1), chosen)
        left = left - book[chosen]
        errors.append(float(left.square().mean()))
    torch.testing.assert_close(points - reconstruct(codes, books), left)
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.35 * errors[0]
    assert told == [1, 2, 3, 4]
