"""Whether two folders of everything that a command made are bit for bit the same, but for what time is in."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TIMES: Mapping[str, str] = {
    "artifact.json: created, took_s": "when an artifact was sealed, and how long the call took; no key, no fingerprint",
    "provenance.json: commit": "the checkout's commit may move between two calls of this program",
    "answers.jsonl: compute_s, sha256": "seconds that an answer took, and the hash of its line, in which they are",
    "results.jsonl: value of metric compute_s": "the same",
    "evaluation.json: results_sha256, sha256": "hashes of the results, in which those seconds are, and of this file",
    "report.md, index.html: real-time factor": "made from compute_s",
}
"""What is not compared, and why: nothing else is left out."""
_PACE = re.compile(rb"\d+\.\d{3} \[\d+\.\d{3}, \d+\.\d{3}\]")
_IGNORED = (".lock", "run.yaml", "study.yaml")


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of each file below `folder`, of what is compared; files of locks and inputs are left out.

    A build that was killed while its artifact was complete may leave a folder of rubbish, which `areca store gc`
    removes: it is left out, too.
    """
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() or p.is_symlink()):
        name = path.relative_to(folder).as_posix()
        if not name.endswith(_IGNORED) and ".removed.partial" not in name:
            found[name] = hashlib.sha256(_compared(path)).hexdigest()
    return found


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Return the names of files that are missing, added or different."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _compared(path: Path) -> bytes:
    content = path.read_bytes()
    return _WITHOUT_TIMES.get(path.name, lambda content: content)(content)


def _artifact(content: bytes) -> bytes:
    meta = json.loads(content)
    return _dumped({name: value for name, value in meta.items() if name not in ("created", "took_s")})


def _provenance(content: bytes) -> bytes:
    return re.sub(rb'"commit": .*', b"", content)


def _answers(content: bytes) -> bytes:
    return _rows(content, lambda row: {**row, "compute_s": None, "sha256": None})


def _evaluation(content: bytes) -> bytes:
    return _dumped({**json.loads(content), "results_sha256": None, "sha256": None})


def _results(content: bytes) -> bytes:
    return _rows(content, lambda row: {**row, "value": None} if row["metric"] == "compute_s" else row)


def _rows(content: bytes, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
    return b"\n".join(_dumped(change(json.loads(line))) for line in content.splitlines())


def _report(content: bytes) -> bytes:
    return _PACE.sub(b"PACE", content)


def _dumped(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


_WITHOUT_TIMES: Mapping[str, Callable[[bytes], bytes]] = {
    "artifact.json": _artifact,
    "provenance.json": _provenance,
    "answers.jsonl": _answers,
    "evaluation.json": _evaluation,
    "results.jsonl": _results,
    "report.md": _report,
    "index.html": _report,
}
