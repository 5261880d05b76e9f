"""``python -m areca.cli.quickstart``: translate French speech to English speech with the model that areca ships."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import areca
from areca.cli.common import hide_download_bars, print_table, progress
from areca.cli.reporting import open_output, report_errors
from areca.component import Kind
from areca.errors import ArecaError
from areca.files.writing import probe, write_text
from areca.registry.parts import resolve
from areca.registry.registry import Registry

if TYPE_CHECKING:
    from areca.system import AnswerOptions

FOLDER = Path("quickstart")
COUNT = 6
HEADER = ("said (French)", "transcribed", "translated", "expected", "s to make", "per s of speech")
SOURCES = {
    "human": (
        "human recordings: words and numbers of a French telephone voice (Debian's asterisk-core-sounds-fr-g722), "
        "joined to values that the model was not trained on"
    ),
    "synthetic": (
        "speech synthesised by espeak-ng, because the human recordings are not available; values and voices that the "
        "model was not trained on"
    ),
}
_CHAIN, _DIRECT = "asr+ast+s2st", "s2st"


def main() -> None:
    """Translate some recordings, print the results, and write ``quickstart/index.html``."""
    hide_download_bars()
    open_output()
    with report_errors():
        _translate(FOLDER)


def _translate(folder: Path) -> None:
    probe(folder)
    print("loading the model that areca ships ...", file=sys.stderr, flush=True)
    system = areca.load()
    print("looking for French speech to translate ...", file=sys.stderr, flush=True)
    source, manifest, refusals = _recordings()
    print("\n".join(["", f"Input: {SOURCES[source]}.", *refusals, ""]))
    task = _CHAIN if _CHAIN in system.tasks else _DIRECT
    paths = [manifest.resolve(row.audio) for row in manifest.rows]
    ask: AnswerOptions = {"source": "French", "target": "English", "batch": 1}
    with progress("translating") as report:
        report(0, len(paths), "the first answer loads the parts")
        system.run(task, audio=paths[0], **ask)  # so its time does not count
        results = []
        for done, path in enumerate(paths, start=1):
            results += [system.run(task, audio=path, **ask)]
            report(done, len(paths), results[-1].translation or "")
    folder.mkdir(exist_ok=True)
    rows = [_row(row, result) for row, result in zip(manifest.rows, results, strict=True)]
    print_table(HEADER, rows)
    page = _write(folder, manifest, results, rows, source)
    print(f"\nListen: {page.resolve()}")


def _recordings() -> tuple[str, Any, list[str]]:
    """Return the best available source of French speech, its manifest, and why the better sources are not available."""
    from areca.artifacts.loader import PartLoader
    from areca.artifacts.store import Store

    refusals: list[str] = []
    for source in SOURCES:
        options = {"languages": ["fr"], "sources": [source], "target_source": source}
        counts = {"count": 0, "validation_count": 0, "test_count": COUNT}
        try:
            part = resolve(Registry.discover(), Kind.DATASET, {"name": "say", **options, **counts}, role="data")
            return source, PartLoader(Store(), stage=progress).instance(part), refusals
        except ArecaError as e:
            refusals.append(f"{source}: {e}")
    raise ArecaError("no French speech to translate is available:\n  " + "\n  ".join(refusals))


def _row(row: Any, result: Any) -> tuple[str, ...]:
    return (
        row.text,
        result.transcript or "-",
        result.translation or "-",
        row.target_text,
        f"{result.seconds:.2f}",
        f"{result.seconds / result.audio.seconds:.2f}",
    )


def _write(folder: Path, manifest: Any, results: Sequence[Any], rows: Sequence[tuple[str, ...]], source: str) -> Path:
    from areca.audio import write
    from areca.evaluation.listening import Example, Line, Player, render_page
    from areca.evaluation.scoring import open_normaliser

    normalise = open_normaliser(Registry.discover(), "spoken-values")
    examples = []
    for number, (row, result) in enumerate(zip(manifest.rows, results, strict=True), start=1):
        heard, spoken = f"{number}-french.wav", f"{number}-english.wav"
        write(folder / heard, manifest.audio(row))
        write(folder / spoken, result.audio)
        translation = result.translation
        good = None if translation is None else normalise(translation, "en") == normalise(row.target_text, "en")
        lines = () if translation is None else (Line(translation),)
        players = (Player("French", Path(heard), (Line(row.text),)), Player("English", Path(spoken), lines))
        examples.append(Example(f"{number}. {row.target_text}", players, good))
    intro = f"Input: {SOURCES[source]}. Output: the model that areca ships."
    page = render_page("French to English", [("Results", HEADER, rows, ())], examples, folder, intro)
    write_text(folder / "index.html", page)  # last, because it plays the files above
    return folder / "index.html"


if __name__ == "__main__":
    main()
