"""Build a listening page: one HTML file with players, waveforms and small recordings inside."""

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
from areca.evaluation.waveform import draw_waveform

INLINE_BYTES = 200_000
"""Maximum size in bytes of recordings that are embedded in the page; it links to larger ones."""
_TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".mp3": "audio/mpeg"}
_ASSETS = Path(__file__).parents[1] / "assets"
_MARKS = {True: ("good", "✓ right"), False: ("bad", "✗ wrong")}
_KEYS = (
    "<kbd>Tab</kbd> and the arrow keys move between recordings, <kbd>Space</kbd> or <kbd>Enter</kbd> plays and pauses; "
    "a click on the waveform plays from there."
)
_CODE = re.compile("`([^`]+)`")
_FIGURE = 24
"""Maximum length of a number with its interval, like ``100.0 [100.0, 100.0]``."""
TableCells = tuple[str, Sequence[str], Sequence[Sequence[str]], Sequence[str]]
"""Title, header, rows and notes of a table."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text below a recording; `good` marks it as right (True), wrong (False) or unmarked (None)."""

    text: str
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class Player:
    """A recording with its label, its path relative to the page's folder, and the lines below it."""

    label: str
    audio: Path
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A group of related recordings; `good` marks it as right (True), wrong (False) or unmarked (None)."""

    title: str
    players: tuple[Player, ...]
    good: bool | None = None


def render_page(
    title: str,
    tables: Sequence[TableCells],
    examples: Sequence[Example],
    directory: Path,
    intro: str = "",
    figures: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the page as HTML. It is self-contained except for large recordings.

    Args:
        title: title of the page.
        tables: tables, shown first.
        examples: recordings; a file that is missing or outside `directory` is left out.
        directory: folder of the page, the base of relative paths.
        intro: paragraph below the title.
        figures: drawings, shown after the tables, each a title and HTML.
    """
    body = [f"<h1>{escape(title)}</h1>", f"<p>{escape(intro)}</p>" if intro else ""]
    body += [_render_table(*cells) for cells in tables]
    body += [f"<h2>{escape(name)}</h2>\n{figure}" for name, figure in figures if figure]
    if examples:
        body += [f'<h2>Recordings</h2>\n<p class="hint">{_describe_counts(examples)}{_KEYS}</p>']
    body += [_render_example(example, directory) for example in examples]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>\n{_read_asset('listening.css')}</style>"
    )
    script = f"<script>\n{_read_asset('listening.js')}</script>"
    return "\n".join(
        ["<!doctype html>", f'<html lang="en"><head>{head}</head>', "<body>", *body, script, "</body></html>", ""]
    )


def _read_asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _describe_counts(examples: Sequence[Example]) -> str:
    right = sum(example.good is True for example in examples)
    wrong = sum(example.good is False for example in examples)
    return f"Of {len(examples)} examples {right} are right and {wrong} wrong. " if right or wrong else ""


def _render_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    lines = ["".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)]
    lines += ["".join(map(_render_cell, row)) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    below = "".join("<li>" + _CODE.sub(r"<code>\1</code>", escape(note)) + "</li>" for note in notes)
    # A scrolling region needs focus and a label, to be usable without a mouse.
    frame = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}">'
    return f"<h2>{escape(title)}</h2>\n{frame}<table>{body}</table></div>" + (f"\n<ul>{below}</ul>" if below else "")


def _render_cell(text: str) -> str:
    number = text[:1].isdigit() and len(text) <= _FIGURE  # this class keeps the interval on the same line
    return f'<td class="n">{escape(text)}</td>' if number else f"<td>{escape(text)}</td>"


def _render_example(example: Example, directory: Path) -> str:
    css = f' class="{_MARKS[example.good][0]}"' if example.good is not None else ""
    players = "\n".join(_render_player(p, directory) for p in example.players if _is_inside(p.audio, directory))
    head = f"<header><h3>{escape(example.title)}</h3>{_render_mark(example.good)}</header>"
    return f'<section{css}>{head}\n<div class="clips">{players}</div></section>'


def _is_inside(audio: Path, directory: Path) -> bool:
    # Results are untrusted: the page must not include files outside their folder.
    path = directory / audio
    return os.path.isfile(path) and path.resolve().is_relative_to(directory.resolve())


def _render_mark(good: bool | None) -> str:
    if good is None:
        return ""
    css, words = _MARKS[good]
    return f'<span class="mark {css}">{words}</span>'


def _render_player(player: Player, directory: Path) -> str:
    picture, length = _draw(directory / player.audio)
    label = escape(player.label)
    lines = "".join(f"<p>{escape(line.text)} {_render_mark(line.good)}</p>" for line in player.lines)
    source = escape(_audio_url(directory / player.audio, player.audio))
    caption = f'<b>{label}</b> <span class="length"><span class="now"></span>{escape(length)}</span>'
    description = escape(f"Play {player.label}, {length}. " + ". ".join(line.text for line in player.lines))
    return (
        f'<figure><button type="button" aria-pressed="false" aria-label="{description}"><i></i>'
        f'<span class="wave">{picture}</span></button>'
        f'<audio controls preload="none" aria-label="{label}" src="{source}"></audio>'
        f"<figcaption><p>{caption}</p>{lines}</figcaption></figure>"
    )


def _draw(path: Path) -> tuple[str, str]:
    """Return the waveform of a recording as SVG, and its length as text."""
    try:
        audio = read(path)
    except ArecaError:
        return "", "not decodable, length unknown"
    return draw_waveform(audio), f"{audio.seconds:.2f} s"


def _audio_url(path: Path, relative: Path) -> str:
    mime = _TYPES.get(path.suffix.lower())
    if mime is None or path.stat().st_size > INLINE_BYTES:
        return quote(relative.as_posix())
    return f"data:{mime};base64,{base64.b64encode(path.read_bytes()).decode()}"
