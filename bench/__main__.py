"""Measure speed and memory, each against a named peer in the same run: ``make bench``.

All scripts take at most half an hour on two quiet cores.

    python -m bench                       # all scripts
    python -m bench train_step use        # only these
"""

from __future__ import annotations

import subprocess
import sys
import time

SCRIPTS = ("train_step", "generation", "patterns", "use", "tokenization", "kmeans", "soundstorm")


def main(names: list[str]) -> int:
    failed = []
    start_s = time.monotonic()
    for name in names or SCRIPTS:
        for arguments in (["memory"], []) if name == "train_step" else ([],):
            # Each in a separate process, so that memory left by one does not affect the next.
            done = subprocess.run(
                [sys.executable, "-m", f"bench.{name}", *arguments], stdout=subprocess.PIPE, text=True
            )
            print(done.stdout, end="", flush=True)
            if done.returncode or "MISSED" in done.stdout:
                failed.append(" ".join([name, *arguments]))
    print(f"\n{time.monotonic() - start_s:.0f} s; {'missed or failed: ' + ', '.join(failed) if failed else 'all met'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
