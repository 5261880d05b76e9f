"""The tests mirror the packages: ``core/<room>``, ``plugins/<kind>``; at the top, what concerns the whole project."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"
