"""Batches of items of similar size."""

from areca.batching import by_size, grouped


def test_groups_hold_everything_once_within_budget() -> None:
    sizes = [320, 64, 640, 1920, 64, 128, 64]
    assert grouped([6, 1, 4, 5, 0, 2, 3], sizes, 640) == [[6, 1, 4, 5], [0], [2], [3]]  # 1,920 goes alone
    assert grouped([5, 1, 4, 6, 0, 2, 3], sizes, 640) == [[5, 1, 4, 6], [0], [2], [3]], "the largest came first"
    assert grouped([], sizes, 640) == []


def test_items_of_similar_size_share_a_batch() -> None:
    assert list(by_size([5, 2, 9, 2, 1], 10)) == [[4, 1, 3], [0], [2]]
    assert list(by_size([5, 2, 5, 2, 1], 100)) == [[4, 1, 3, 0, 2]]
    assert list(by_size([5, 2, 5, 2, 1], 100, mixed=False)) == [[4], [1, 3], [0, 2]]
