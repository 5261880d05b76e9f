"""A page to listen to: one HTML file, with players, pictures of the recordings, and small recordings inside."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from areca.audio import read
from areca.errors import ArecaError
from areca.evaluation.waveform import waveform

INLINE_BYTES = 200_000
"""Recordings up to this size are put into the page; larger ones stay files beside it."""
_TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".mp3": "audio/mpeg"}
_ASSETS = Path(__file__).parents[1] / "assets"
_MARKS = {True: ("good", "✓ right"), False: ("bad", "✗ wrong")}
_KEYS = (
    "<kbd>Tab</kbd> and the arrow keys move between recordings, <kbd>Space</kbd> or <kbd>Enter</kbd> plays and pauses; "
    "a click on the picture plays from there."
)
_CODE = re.compile("`([^`]+)`")
_FIGURE = 24
"""Characters of a figure with its interval, as ``100.0 [100.0, 100.0]``, at most."""
TableCells = tuple[str, Sequence[str], Sequence[Sequence[str]], Sequence[str]]
"""A table's title, header, rows and notes."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line below a recording; `good` marks it as right or wrong, None: neither."""

    text: str
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class Player:
    """A recording: what it is, its path from the page's folder, and lines to show below it."""

    label: str
    audio: Path
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """Recordings that belong together; `good` marks them as right or wrong, None: neither."""

    title: str
    players: tuple[Player, ...]
    good: bool | None = None


def listening_page(
    title: str, tables: Sequence[TableCells], examples: Sequence[Example], directory: Path, intro: str = ""
) -> str:
    """Return the page as HTML, complete in itself but for large recordings.

    Args:
        title: of the page.
        tables: shown first.
        examples: recordings to hear; a file that is missing or outside `directory` is left out.
        directory: where the page will be; relative paths start there.
        intro: a paragraph below the title.
    """
    body = [f"<h1>{escape(title)}</h1>", f"<p>{escape(intro)}</p>" if intro else ""]
    body += [_table(*cells) for cells in tables]
    if examples:
        body += [f'<h2>Recordings</h2>\n<p class="hint">{_counts(examples)}{_KEYS}</p>']
    body += [_example(example, directory) for example in examples]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>\n{_asset('listening.css')}</style>"
    )
    script = f"<script>\n{_asset('listening.js')}</script>"
    return "\n".join(
        ["<!doctype html>", f'<html lang="en"><head>{head}</head>', "<body>", *body, script, "</body></html>", ""]
    )


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _counts(examples: Sequence[Example]) -> str:
    right = sum(example.good is True for example in examples)
    wrong = sum(example.good is False for example in examples)
    return f"Of {len(examples)} examples {right} are right and {wrong} wrong. " if right or wrong else ""


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    lines = ["".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)]
    lines += ["".join(map(_cell, row)) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    below = "".join("<li>" + _CODE.sub(r"<code>\1</code>", escape(note)) + "</li>" for note in notes)
    # What scrolls must be reachable without a mouse, so it takes the focus and has a name.
    frame = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}">'
    return f"<h2>{escape(title)}</h2>\n{frame}<table>{body}</table></div>" + (f"\n<ul>{below}</ul>" if below else "")


def _cell(text: str) -> str:
    figure = text[:1].isdigit() and len(text) <= _FIGURE  # with its interval on one line
    return f'<td class="n">{escape(text)}</td>' if figure else f"<td>{escape(text)}</td>"


def _example(example: Example, directory: Path) -> str:
    css = f' class="{_MARKS[example.good][0]}"' if example.good is not None else ""
    players = "\n".join(_player(p, directory) for p in example.players if _is_there(p.audio, directory))
    head = f"<header><h3>{escape(example.title)}</h3>{_mark(example.good)}</header>"
    return f'<section{css}>{head}\n<div class="clips">{players}</div></section>'


def _is_there(audio: Path, directory: Path) -> bool:
    # Results may come from anywhere: a page holds no file from outside their folder.
    path = directory / audio
    return os.path.isfile(path) and path.resolve().is_relative_to(directory.resolve())


def _mark(good: bool | None) -> str:
    if good is None:
        return ""
    css, words = _MARKS[good]
    return f'<span class="mark {css}">{words}</span>'


def _player(player: Player, directory: Path) -> str:
    picture, length = _look(directory / player.audio)
    label = escape(player.label)
    lines = "".join(f"<p>{escape(line.text)} {_mark(line.good)}</p>" for line in player.lines)
    source = escape(_source(directory / player.audio, player.audio))
    caption = f'<b>{label}</b> <span class="length"><span class="now"></span>{escape(length)}</span>'
    said = escape(f"Play {player.label}, {length}. " + ". ".join(line.text for line in player.lines))
    return (
        f'<figure><button type="button" aria-pressed="false" aria-label="{said}"><i></i>'
        f'<span class="wave">{picture}</span></button>'
        f'<audio controls preload="none" aria-label="{label}" src="{source}"></audio>'
        f"<figcaption><p>{caption}</p>{lines}</figcaption></figure>"
    )


def _look(path: Path) -> tuple[str, str]:
    """Return a recording's picture and its length in words."""
    try:
        audio = read(path)
    except ArecaError:
        return "", "not decodable, length unknown"
    return waveform(audio), f"{audio.seconds:.2f} s"


def _source(path: Path, relative: Path) -> str:
    mime = _TYPES.get(path.suffix.lower())
    if mime is None or path.stat().st_size > INLINE_BYTES:
        return quote(relative.as_posix())
    return f"data:{mime};base64,{base64.b64encode(path.read_bytes()).decode()}"
