"""Voice prompts: which rows of a manifest hold the voice of another row. Light."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable

from areca.rows.columns import Utterance

_MOST_ROWS = 32
"""Maximum number of rows in a voice prompt."""


class Voices:
    """Finds recordings of the speakers of rows.

    Args:
        rows: the rows to choose from, in an order that does not change.
        seed: seed of the choice.
    """

    def __init__(self, rows: Iterable[Utterance], seed: int) -> None:
        self._seed = seed
        self._rows: defaultdict[str, list[Utterance]] = defaultdict(list)
        for row in rows:
            if row.speaker is not None and row.audio is not None:
                self._rows[row.speaker].append(row)

    def rows(self, row: Utterance) -> list[Utterance]:
        """Return rows with other recordings of a row's speaker in a random order; if there are none, the row itself."""
        known = self._rows.get(row.speaker, []) if row.speaker is not None else []
        order = random.Random(f"{self._seed} voice {row.id}").sample(range(len(known)), min(len(known), _MOST_ROWS))
        others = [known[i] for i in order if (known[i].audio, known[i].offset_s) != (row.audio, row.offset_s)]
        return others or [row]


def draw_start(seed: int, row: Utterance, path: str) -> float:
    """Return where a crop of a row's recording starts, in [0, 1): a share of all starts. The same for the same seed."""
    return random.Random(f"{seed} crop {path} {row.id}").random()
