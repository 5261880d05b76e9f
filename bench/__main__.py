"""``make bench``: every figure against its peer in the same run, within half an hour on two quiet cores.

python -m bench                       # all
python -m bench train_step use        # some
"""

from __future__ import annotations

import subprocess
import sys
import time

SCRIPTS = ("train_step", "generation", "use", "tokenization", "kmeans")


def main(names: list[str]) -> int:
    failed = []
    start_s = time.monotonic()
    for name in names or SCRIPTS:
        for arguments in (["memory"], []) if name == "train_step" else ([],):
            # A process for each: what one leaves in memory is no burden of the next.
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
