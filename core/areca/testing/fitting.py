"""What every component with the tag ``fit`` must do."""

from __future__ import annotations

from contextlib import nullcontext

from areca.artifact import META
from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.interfaces import Progress, no_progress
from areca.options import file_hash
from areca.testing.checked import CheckedComponent, Skipped
from areca.testing.tools import with_global_seed

_SEED = 3


def check_fit_is_deterministic(checked: CheckedComponent) -> None:
    """Fitting twice gives the same files, whatever the global random state, and leaves that alone."""
    checked.require("fit")
    first, again = (
        with_global_seed(seed, lambda seed=seed: _fit(checked, f"fit-{seed}"), "fitting")  # type: ignore[misc]
        for seed in (1, 2)
    )
    assert first, "fitting wrote no file"
    assert first == again, f"fitting twice gave other files: {_differing(first, again)}"


def check_fit_resumes(checked: CheckedComponent) -> None:
    """Interrupted halfway and started again, it ends with the files of an undisturbed fit."""
    checked.require("resume")
    counted = _Interrupting(None)
    undisturbed = _fit(checked, "undisturbed", counted)
    if not counted.calls:
        raise Skipped("its fit reports no progress, so there is no moment to interrupt it")
    try:
        _fit(checked, "interrupted", _Interrupting(1 + counted.calls // 2))
    except _Interrupted:
        resumed = _fit(checked, "interrupted")
    else:
        raise AssertionError("fitting went on when `job.progress` raised")
    assert undisturbed == resumed, f"interrupted and resumed it gave other files: {_differing(undisturbed, resumed)}"


class _Interrupted(BaseException):
    """Stands for Ctrl-C."""


class _Interrupting:
    """A `Progress` that counts its calls, and raises at one of them."""

    def __init__(self, at: int | None) -> None:
        self.at, self.calls = at, 0

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Count; raise where that was asked for."""
        self.calls += 1
        if self.calls == self.at:
            raise _Interrupted


def _fit(checked: CheckedComponent, name: str, progress: Progress = no_progress) -> dict[str, str]:
    """Fit into a store called `name`; `progress` is told of the component's own fit alone. Return hashes by file."""
    store = Store(checked.folder(name))
    needs = PartLoader(store, data=checked.manifest, seed=_SEED)
    for part in checked.part.needs.values():
        needs.instance(part)
    loader = PartLoader(store, data=checked.manifest, seed=_SEED, stage=lambda _: nullcontext(progress))
    artifact = loader.artifact(checked.part)
    assert artifact is not None
    found = sorted(p for p in artifact.directory.rglob("*") if p.is_file() and p.name != META)
    return {p.relative_to(artifact.directory).as_posix(): file_hash(p) for p in found}


def _differing(a: dict[str, str], b: dict[str, str]) -> str:
    return ", ".join(sorted({name for name, _ in a.items() ^ b.items()}))
