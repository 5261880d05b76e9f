"""Predicted durations of deduplicated units."""

from __future__ import annotations

import torch

from areca.fitting.durations import DurationNet, duration_loss


def test_predicted_durations_are_expectations_with_rounded_ends() -> None:
    net = DurationNet(units=3, longest=4)
    bias = torch.tensor([0.5, 0.3, 0.1, 0.1]).log()
    torch.nn.init.zeros_(net.out.weight)
    with torch.no_grad():
        net.out.bias.copy_(bias)
        found = net.predict(torch.tensor([0, 1, 2, 1, 0]))
    assert found.tolist() == [2, 2, 1, 2, 2]  # 1.8 each: the ends are 1.8, 3.6, 5.4, 7.2, 9.0


def test_the_loss_of_a_batch_is_that_of_its_units() -> None:
    net = DurationNet(units=5, longest=3)
    torch.nn.init.normal_(net.out.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    units, durations = [torch.tensor([0, 4, 2]), torch.tensor([1])], [torch.tensor([1, 9, 3]), torch.tensor([2])]
    cpu = torch.device("cpu")
    alone = [duration_loss(net, [u], [d], cpu) * len(u) for u, d in zip(units, durations, strict=True)]
    torch.testing.assert_close(duration_loss(net, units, durations, cpu), (alone[0] + alone[1]) / 4)
    longest = duration_loss(net, units[:1], [torch.tensor([1, 3, 3])], cpu)
    torch.testing.assert_close(longest * 3, alone[0], msg="longer durations count as the longest")
