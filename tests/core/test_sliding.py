"""A function of neighbouring frames, piece by piece: the results of the whole, and how early they come."""

from __future__ import annotations

import pytest
import torch

from areca.sliding import Sliding


def spread(x: torch.Tensor) -> torch.Tensor:
    """Sum each frame with its two neighbours on either side; zeros pad the ends."""
    padded = torch.nn.functional.pad(x, (0, 0, 2, 2))
    return padded.unfold(-2, 5, 1).sum(-1)


@pytest.mark.parametrize("size", [1, 2, 5, 40])
@pytest.mark.parametrize("shape", [(17, 3), (2, 17, 1)])
def test_pieces_of_any_size_give_the_results_of_the_whole(shape: tuple[int, ...], size: int) -> None:
    frames = torch.arange(float(torch.Size(shape).numel())).reshape(shape)
    sliding = Sliding(spread, reach=2)
    pieces = [sliding.push(part) for part in frames.split(size, -2)]
    pieces.append(sliding.push(frames[..., :0, :], last=True))
    assert torch.equal(torch.cat([p for p in pieces if p is not None], -2), spread(frames))


def test_a_result_comes_as_soon_as_its_neighbours_are_known() -> None:
    sliding = Sliding(spread, reach=2)
    lengths = [None if (r := sliding.push(torch.ones(n, 1))) is None else len(r) for n in (1, 1, 1, 4, 0, 1)]
    assert lengths == [None, None, 1, 4, None, 1]
    rest = sliding.push(torch.ones(1, 1), last=True)
    assert rest is not None and rest.flatten().tolist() == [5.0, 4.0, 3.0]


@pytest.mark.parametrize("size", [1, 3, 40])
def test_results_come_in_blocks(size: int) -> None:
    frames = torch.arange(19.0)[:, None]
    sliding = Sliding(spread, reach=2, block=5)
    pieces = [p for part in frames.split(size) if (p := sliding.push(part)) is not None]
    assert {len(p) % 5 for p in pieces} == {0} and sum(map(len, pieces)) == 15
    rest = sliding.push(frames[:0], last=True)
    assert rest is not None and torch.equal(torch.cat([*pieces, rest]), spread(frames))
