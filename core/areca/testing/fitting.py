"""Conformance checks of components with the tag ``fit``."""

from __future__ import annotations

from contextlib import nullcontext

from areca.artifact import META
from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.job import Progress, no_progress
from areca.options import file_hash
from areca.testing.checked import CheckedComponent, Skipped
from areca.testing.tools import with_global_seed

_SEED = 3


def check_fit_is_deterministic(checked: CheckedComponent) -> None:
    """Fitting twice gives the same files, and neither uses nor changes the global random state."""
    checked.require("fit")
    first, second = (
        with_global_seed(seed, lambda seed=seed: _fit(checked, f"fit-{seed}"), "fitting")  # type: ignore[misc]
        for seed in (1, 2)
    )
    assert first, "fitting wrote no file"
    assert first == second, f"fitting twice gave different files: {_differing(first, second)}"


def check_fit_resumes(checked: CheckedComponent) -> None:
    """A fit that is interrupted halfway and resumed gives the same files as an uninterrupted fit."""
    checked.require("resume")
    # Count the progress reports of an uninterrupted fit, to find its middle.
    counter = _InterruptingProgress(None)
    uninterrupted = _fit(checked, "uninterrupted", counter)
    if not counter.calls:
        raise Skipped("its fit reports no progress, so it cannot be interrupted halfway")
    # Interrupt a second fit there, and resume it.
    try:
        _fit(checked, "interrupted", _InterruptingProgress(1 + counter.calls // 2))
    except _Interrupted:
        resumed = _fit(checked, "interrupted")
    else:
        raise AssertionError("fitting continued after `job.progress` raised: do not catch BaseException")
    assert uninterrupted == resumed, f"a resumed fit gave different files: {_differing(uninterrupted, resumed)}"


class _Interrupted(BaseException):
    """Simulates Ctrl-C."""


class _InterruptingProgress:
    """A `Progress` that counts its calls, and raises at call number `at` (None: never)."""

    def __init__(self, at: int | None) -> None:
        self.at, self.calls = at, 0

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Count the call, and raise if it is call number `at`."""
        self.calls += 1
        if self.calls == self.at:
            raise _Interrupted


def _fit(checked: CheckedComponent, name: str, progress: Progress = no_progress) -> dict[str, str]:
    """Fit into a separate store called `name` and return the hashes of the files.

    Only the component's own fit reports to `progress`; its needs are fitted first.
    """
    store = Store(checked.folder(name))
    needs = PartLoader(store, data=checked.manifest, seed=_SEED)
    for part in checked.part.needs.values():
        needs.instance(part)
    loader = PartLoader(store, data=checked.manifest, seed=_SEED, stage=lambda _: nullcontext(progress))
    artifact = loader.artifact(checked.part)
    assert artifact is not None
    files = sorted(p for p in artifact.directory.rglob("*") if p.is_file() and p.name != META)
    return {p.relative_to(artifact.directory).as_posix(): file_hash(p) for p in files}


def _differing(a: dict[str, str], b: dict[str, str]) -> str:
    return ", ".join(sorted({name for name, _ in a.items() ^ b.items()}))
