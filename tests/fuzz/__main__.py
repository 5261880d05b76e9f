"""Runs inputs and prints a line for each target; the exit code is 1 where any failed, or the time was too short."""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path

from tests.fuzz.pool import HANG_S, MOST_BYTES, Lane, Run

TARGETS = ("audio", "manifest", "yamls", "cli", "checkpoint")


def main() -> int:
    """Read the options and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="damaged and hostile inputs for areca")
    parser.add_argument("--target", action="append", help=f"one of {', '.join(TARGETS)}; may be repeated (else all)")
    parser.add_argument("--inputs", type=int, help="of each target (else its own number, 10,000 in all)")
    parser.add_argument("--minutes", type=float, default=20.0, help="stop after so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="where failing inputs go (else a new folder)")
    parser.add_argument(
        "--replay", type=Path, nargs="+", help="run failing inputs once more; of one, print all that is known"
    )
    parser.add_argument("--hang", type=float, default=HANG_S, help="seconds that a replayed input may take")
    parser.add_argument("--memory", type=float, default=MOST_BYTES / 1e9, help="GB that a replayed input may take")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as work:
        return _replay(options, Path(work)) if options.replay else _fuzz(options, Path(work))


def _fuzz(options: argparse.Namespace, work: Path) -> int:
    start_s = time.monotonic()
    wanted = {target: options.inputs or inputs_of(target) for target in options.target or TARGETS}
    keep = options.keep or Path(tempfile.mkdtemp(prefix="fuzz-failures-"))
    run = Run(wanted, options.seed, keep, work)
    run.go(options.workers, start_s + 60 * options.minutes)
    for target, tally in run.tallies.items():
        print(tally.line(target))
        for kind, count in tally.kinds.most_common():
            print(f"  {count:>5} x {kind}")
    total = sum(tally.counts.total() for tally in run.tallies.values())
    failed = sum(tally.counts["failed"] for tally in run.tallies.values())
    took_s = time.monotonic() - start_s
    print(
        f"{total} of {sum(wanted.values())} inputs, {took_s:.0f} s, {total / took_s:.1f} a second; seed {options.seed}"
    )
    if failed:
        print(f"{failed} failures, inputs in {keep}; one again: python -m tests.fuzz --replay {keep}/NAME")
    return int(bool(failed) or total < sum(wanted.values()))


def inputs_of(target: str) -> int:
    """Return how many inputs of a target make its share of 10,000."""
    # The target itself is not imported: that would bring all of areca into the parent.
    source = (Path(__file__).parent / f"{target}.py").read_text(encoding="utf-8")
    found = re.search(r"^INPUTS = (\d+)$", source, re.MULTILINE)
    assert found is not None, target
    return int(found[1])


def _replay(options: argparse.Namespace, work: Path) -> int:
    lane = Lane(work / "0", options.hang, 1e9 * options.memory)
    failed = 0
    try:
        for folder in options.replay:
            said = lane.ask({"folder": str(folder.resolve())})
            failed += said["verdict"] == "failed"
            print(f"{folder}: {said['verdict']} {said.get('kind', '')}".rstrip(), flush=True)
    finally:
        lane.close()
    if len(options.replay) == 1:
        print(said.get("detail", ""))
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
