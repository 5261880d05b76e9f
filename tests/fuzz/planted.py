"""Faults that are planted, to see that each is found: for the test of the harness itself."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from areca.errors import ArecaError
from tests.fuzz.inputs import Input

INPUTS = 0
WRITES = False


def prepare(folder: Path) -> None:
    """Nothing to prepare."""


def strategy(folder: Path) -> st.SearchStrategy[Input]:
    """Draw one that is no fault; the tests name the others."""
    return st.builds(Input, st.just({"a": b"a"}), st.sampled_from(("none", "refused")))


def run(folder: Path, fault: Any) -> None:
    """Commit it."""
    match fault:
        case "refused":
            raise ArecaError("no")
        case "raises":
            raise KeyError("x")
        case "mute":
            raise ArecaError
        case "wordy":
            raise ArecaError("x" * 5000)
        case "prints":
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join()
        case "crashes":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hangs":
            time.sleep(60)
        case "eats":
            sys.stdout.write(str(len(bytearray(300_000_000))))
        case "writes":
            (folder.parent / "outside" / "victim.wav").write_bytes(b"lost")
        case "strays":
            path = Path(__file__).with_name("stray")
            path.touch()
            path.unlink()
        case "leaves":
            (folder.parent / "tmp" / "x").touch()
