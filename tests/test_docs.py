"""Pages of documentation: line lengths, links, and the tests that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.test_imports import ROOMS, imported, room_of

LONGEST = 120
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, ROOT / "CHANGELOG.md", *sorted((ROOT / "examples").glob("**/README.md"))]
LONG_LINES: set[str] = set()
"""Pages that still have long lines. Once a page has none, its test fails until you remove the name."""
FENCE = re.compile(r"^\s*```")
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")


def _prose(page: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line outside code blocks."""
    inside = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            yield number, line


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    anchors: set[str] = set()
    for _, line in _prose(page):
        if heading := re.match(r"#+ (.+)", line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            anchors.add(next(s for n in range(100) if (s := f"{slug}-{n}" if n else slug) not in anchors))
    return anchors


def _too_long(page: Path) -> list[str]:
    """Return the lines above the limit, without rows of tables and lines that only hold a link."""
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
    return [
        f"{page.name}:{number}: {len(line)} characters"
        for number, line in lines
        if len(line) > LONGEST and not line.lstrip().startswith("|") and not re.fullmatch(r"\s*(- )?\S+", line)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_short_enough_to_read(page: Path, request: pytest.FixtureRequest) -> None:
    if page.name in LONG_LINES:
        request.applymarker(pytest.mark.xfail(reason="has long lines", strict=True))
    assert not _too_long(page)


def test_known_failures_name_pages() -> None:
    assert {page.name for page in PAGES} >= LONG_LINES


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    broken = []
    for number, line in _prose(page):
        for link in LINK.findall(line):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            if not target.exists() or (anchor and anchor not in _anchors(target)):
                broken.append(f"{page.name}:{number}: {link}")
    assert not broken


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_map_lists_the_rooms_in_their_order() -> None:
    section = ARCHITECTURE[ARCHITECTURE.index("### Rooms") : ARCHITECTURE.index("```mermaid")]
    rows = re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE)
    assert [room for row in rows for room in re.findall(r"`(\w+)`", row)] == ROOMS


def test_the_map_draws_imports_that_exist() -> None:
    top, arrows = ROOT / "core" / "areca", re.findall(r"^  (\w+) --> (\w+)$", ARCHITECTURE, flags=re.MULTILINE)
    drawn = [(room, other) for room, other in arrows if room in ROOMS]
    assert len(drawn) > 15
    for room, other in drawn:
        files = [*top.glob(f"{other}.py"), *top.glob(f"{other}/**/*.py")]
        assert any(room_of(module) == room for file in files for module in imported(file)), (room, other)


def _named_tests(page: Path) -> Iterator[tuple[str, str]]:
    """Yield file and function of each test in the column `test` of the page's tables."""
    column = None
    for _, line in _prose(page):
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            column = None
        elif "test" in cells:
            column = cells.index("test")
        elif column is not None:
            file = ""
            for name in re.findall(r"`([^`]+)`", cells[column]):
                before, _, function = name.partition("::")
                file = before or file
                yield file, function


def test_the_page_on_reliability_names_tests_that_exist() -> None:
    files = {path.stem.removeprefix("test_"): path for path in (ROOT / "tests").glob("**/test_*.py")}
    named = list(_named_tests(ROOT / "docs" / "reliability.md"))
    assert len(named) > 40
    missing = []
    for file, function in named:
        source = files[file].read_text(encoding="utf-8") if file in files else ""
        pattern = r"def test_" + r"\w*".join(map(re.escape, function.split("...")))
        if not source or (function and not re.search(pattern + r"\b", source)):
            missing.append(f"{file}::{function}")
    assert not missing
