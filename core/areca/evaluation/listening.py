"""A page to listen to: one HTML file, with players, and small recordings inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

INLINE_BYTES = 200_000
"""Recordings up to this size are put into the page; larger ones stay files beside it."""
_TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".mp3": "audio/mpeg"}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; font-size: 0.85rem; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ddd; padding: 0.25rem 0.6rem; text-align: left; white-space: nowrap; }
section { border-left: 4px solid #bbb; padding: 0.25rem 1rem; margin: 1.25rem 0; }
section.good { border-color: #2a8a4a; } section.bad { border-color: #c0392b; }
figure { display: inline-block; margin: 0.25rem 1.5rem 0.25rem 0; vertical-align: top; max-width: 34rem; }
figcaption { font-size: 0.9rem; } audio { width: 20rem; } li, p { font-size: 0.9rem; }
"""
TableCells = tuple[str, Sequence[str], Sequence[Sequence[str]], Sequence[str]]
"""A table's title, header, rows and notes."""


@dataclass(frozen=True, slots=True)
class Player:
    """A recording: what it is, its path from the page's folder, and lines to show below it."""

    label: str
    audio: Path
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """Recordings that belong together; `good` colours them, None: neither good nor bad."""

    title: str
    players: tuple[Player, ...]
    good: bool | None = None


def listening_page(
    title: str, tables: Sequence[TableCells], examples: Sequence[Example], directory: Path, intro: str = ""
) -> str:
    """Return the page as HTML.

    Args:
        title: of the page.
        tables: shown first.
        examples: recordings to hear; a missing file is left out.
        directory: where the page will be; relative paths start there.
        intro: a paragraph below the title.
    """
    body = [f"<h1>{escape(title)}</h1>", f"<p>{escape(intro)}</p>" if intro else ""]
    body += [_table(*cells) for cells in tables]
    body += [_example(example, directory) for example in examples]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in header)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    below = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<h2>{escape(title)}</h2>\n<table>{body}</table>\n<ul>{below}</ul>"


def _example(example: Example, directory: Path) -> str:
    css = {None: "", True: ' class="good"', False: ' class="bad"'}[example.good]
    players = "\n".join(_player(p, directory) for p in example.players if (directory / p.audio).is_file())
    return f"<section{css}><h3>{escape(example.title)}</h3>\n{players}</section>"


def _player(player: Player, directory: Path) -> str:
    lines = "<br>".join(escape(line) for line in (player.label, *player.lines))
    source = escape(_source(directory / player.audio, player.audio))
    return f'<figure><audio controls preload="none" src="{source}"></audio><figcaption>{lines}</figcaption></figure>'


def _source(path: Path, relative: Path) -> str:
    if path.stat().st_size > INLINE_BYTES:
        return quote(relative.as_posix())
    return f"data:{_TYPES[path.suffix.lower()]};base64,{base64.b64encode(path.read_bytes()).decode()}"
