"""Keep other libraries' progress bars off the terminal: areca shows its own."""

from __future__ import annotations

import os


def quiet() -> None:
    """Switch off the bars that transformers draws for each file; call it before transformers is imported."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
