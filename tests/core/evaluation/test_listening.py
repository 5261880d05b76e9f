"""The listening page: content, layout and playback in a real browser."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from areca.audio import write
from areca.evaluation.listening import Example, Line, Player, render_page
from areca.evaluation.waveform import COLUMNS, HEIGHT, draw_waveform
from areca.types import Audio

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--mute-audio", "--hide-scrollbars", "--remote-debugging-pipe"),
]
WIDTHS = (360, 768, 1280)
LONG = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen" * 3
LAID_OUT = """(() => {
  const wide = innerWidth + 0.5, name = (e) => e.tagName + "." + e.className;
  const frames = [...document.querySelectorAll(".scroll")];
  const all = [...document.body.querySelectorAll("*")].filter((e) => !frames.some((f) => f !== e && f.contains(e)));
  const hides = (e) => !frames.includes(e) && e.scrollWidth > e.clientWidth
      && getComputedStyle(e).overflowX !== "visible";
  const out = all.filter((e) => { const b = e.getBoundingClientRect(); return b.right > wide || b.left < 0; });
  return {inner: innerWidth, scroll: document.documentElement.scrollWidth, out: out.map(name),
          hidden: all.filter(hides).map(name), scrolls: frames.filter((f) => f.scrollWidth > f.clientWidth).length};
})()"""
"""What sticks out of the page or is cut off, other than in frames that scroll."""


class Browser:
    """A page in headless Chromium, driven over the pipe of its debugging protocol."""

    def __init__(self, profile: Path) -> None:
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4.
        shell = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        command = ["bash", "-c", shell, CHROMIUM or "", *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), **quiet)  # type: ignore[call-overload]
        os.close(theirs_in)
        os.close(theirs_out)
        self._out, self._in = os.fdopen(ours_out, "wb", buffering=0), os.fdopen(ours_in, "rb")
        self._numbers, self._session = itertools.count(1), None
        [page] = [t for t in self("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self._session = self("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and return its answer."""
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        self._out.write(json.dumps({"id": number, "method": method, "params": parameters, **session}).encode() + b"\0")
        while True:
            answer = json.loads(b"".join(iter(lambda: self._in.read(1), b"\0")) or b"{}")
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]  # type: ignore[no-any-return]

    def open(self, path: Path, width: int, height: int = 900, scheme: str = "light") -> None:
        """Show a file in a window of that width."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self("Page.navigate", url=path.resolve().as_uri())
        self.wait(f"document.readyState === 'complete' && location.href.endsWith({json.dumps(path.name)})")

    def value(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        return self("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait(self, expression: str, seconds: float = 10.0) -> None:
        """Wait until an expression is true."""
        stop_s = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < stop_s, f"never true: {expression}"
            time.sleep(0.02)

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key as a person does."""
        codes = {" ": 32, "Enter": 13, "Tab": 9, "ArrowDown": 40, "ArrowUp": 38, "End": 35, "Home": 36}
        event = {"key": key, "windowsVirtualKeyCode": codes[key], "text": text}
        self("Input.dispatchKeyEvent", type="keyDown", **event)
        self("Input.dispatchKeyEvent", type="keyUp", **event)

    def picture(self, path: Path) -> None:
        """Write the whole page as PNG."""
        shot = self("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """End the browser."""
        self._session = None
        self("Browser.close")
        self._process.wait(10)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def tone(seconds: float) -> Audio:
    t = torch.arange(int(16000 * seconds)) / 16000
    return Audio((0.5 * torch.sin(2 * torch.pi * 440 * t) * torch.sin(torch.pi * t / seconds))[None], 16000)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with long words, a wide table, right, wrong and unmarked examples."""
    folder = tmp_path_factory.mktemp("page")
    examples = []
    for number, good in enumerate((True, False, None)):
        players = []
        for side, seconds in (("question", 4.0), ("answer", 1.25)):
            path = Path(f"{number}-{side}.flac")
            write(folder / path, tone(seconds))
            players.append(Player(side, path, (Line(f"wanted: {LONG}"), Line("<ear> heard: a & b", good))))
        examples.append(Example(f"{LONG}-{number}", tuple(players), good))
    table = ("Scores", [f"column {n}" for n in range(14)], [["87.5 [83.9, 90.4]"] * 13 + [LONG]], [LONG, "a note"])
    path = folder / "index.html"
    path.write_text(render_page(f"Title {LONG}", [table], examples, folder, LONG), encoding="utf-8")
    return path


def test_correctness_and_length_are_shown_in_words(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert "Of 3 examples 1 are right and 1 wrong." in text
    assert (text.count("✓ right"), text.count("✗ wrong")) == (3, 3)  # an example and its two players
    assert text.count("</span>4.00 s</span>") == text.count("</span>1.25 s</span>") == 3
    assert text.count("Play question, 4.00 s. wanted: ") == 3
    assert "<ear>" not in text and "&lt;ear&gt; heard: a &amp; b" in text


def test_a_page_loads_no_other_file(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"https?://|@import|<link|<script src", text) == []
    assert len(re.findall(r'src="data:audio/flac;base64,', text)) == 6


def test_a_waveform_is_the_envelope_and_small() -> None:
    ramp = torch.linspace(0, 0.5, 18_000)
    drawn = draw_waveform(Audio(torch.cat([ramp, -ramp])[None], 16000))
    bars = [tuple(map(int, bar)) for bar in re.findall(r"M(\d+) (\d+)V(\d+)", drawn)]
    assert [x for x, _, _ in bars] == list(range(COLUMNS))
    tops, bottoms = [top for _, top, _ in bars], [bottom for _, _, bottom in bars]
    half = COLUMNS // 2
    assert tops[half - 1] == 0 and bottoms[-1] == HEIGHT  # the loudest samples reach both edges
    assert tops[:half] == sorted(tops[:half], reverse=True) and bottoms[half:] == sorted(bottoms[half:])
    noise = torch.rand(2, 160_000, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert 1000 < len(draw_waveform(Audio(noise, 16000))) < 4000


@pytest.mark.parametrize("samples", [torch.zeros(1, 4000), torch.full((1, 4000), 1e-6), torch.zeros(1, 1)])
def test_silence_is_a_line_in_the_middle(samples: torch.Tensor) -> None:
    bars = re.findall(r"M\d+ (\d+)V(\d+)", draw_waveform(Audio(samples, 16000)))
    assert set(bars) == {(str(HEIGHT // 2), str(HEIGHT // 2 + 1))}
    assert len(bars) == min(COLUMNS, samples.shape[1])


def test_a_page_holds_no_file_from_outside_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "private.wav", tone(0.1))
    (folder := tmp_path / "page").mkdir()
    (folder / "link.wav").symlink_to(tmp_path / "private.wav")
    outside = ("../private.wav", str(tmp_path / "private.wav"), "link.wav", "a\0b.wav", "x" * 300 + ".wav")
    players = tuple(Player("p", Path(path), ()) for path in outside)
    assert "<audio" not in render_page("T", [], [Example("e", players)], folder)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_content_is_clipped(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width)
    found = browser.value(LAID_OUT)
    assert found == {"inner": width, "scroll": width, "out": [], "hidden": [], "scrolls": 1}


def test_a_clip_is_as_large_as_its_picture(browser: Browser, page: Path) -> None:
    browser.open(page, 360)
    sizes = browser.value("[...document.querySelectorAll('svg')].map((s) => [s.clientWidth, s.clientHeight])")
    assert len(sizes) == 6 and all(width > 200 and height > 40 for width, height in sizes)


def test_colours_follow_the_scheme_and_can_be_read(browser: Browser, page: Path) -> None:
    contrast = """(() => {
      const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => v / 255).map((v) =>
          v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
          if (!c.endsWith(", 0)")) return c; } return "rgb(255, 255, 255)"; };
      return Math.min(...[...document.querySelectorAll("h1, p, li, td, th, h3, .mark, .length")].map((e) => {
          const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
          return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }));
    })()"""
    pages = {}
    for scheme in ("light", "dark"):
        browser.open(page, 768, scheme=scheme)
        pages[scheme] = browser.value("getComputedStyle(document.body).backgroundColor")
        assert browser.value(contrast) >= 4.5  # WCAG 2, level AA
    assert pages["light"] != pages["dark"]


def test_the_keyboard_plays_and_moves(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    paused = "[...document.querySelectorAll('audio')].map((a) => a.paused)"
    at = "[...document.querySelectorAll('button')].indexOf(document.activeElement)"
    browser.press("Tab")
    assert browser.value("document.activeElement.className") == "scroll"  # the table can be scrolled by keys
    browser.press("Tab")
    assert browser.value(at) == 0
    browser.press(" ", " ")
    browser.wait(f"!({paused})[0]")
    browser.wait("document.activeElement.getAttribute('aria-pressed') === 'true'")
    browser.wait("parseFloat(getComputedStyle(document.querySelector('figure')).getPropertyValue('--at')) > 0")
    browser.press("ArrowDown")
    assert browser.value(at) == 1
    browser.press("Enter", "\r")
    browser.wait(f"String({paused}) === 'true,false,true,true,true,true'")  # one at a time
    browser.wait("document.querySelectorAll('.now')[1].textContent.endsWith(' of ')")
    browser.press("Enter", "\r")
    browser.wait(f"({paused})[1]")
    for key, place in (("End", 5), ("ArrowDown", 5), ("ArrowUp", 4), ("Home", 0), ("ArrowUp", 0)):
        browser.press(key)
        assert browser.value(at) == place


def test_a_click_on_the_picture_plays_from_there(browser: Browser, page: Path) -> None:
    browser.open(page, 768)
    box = browser.value(
        "(() => { document.querySelector('figure').scrollIntoView({block: 'start'}); "
        "const c = document.querySelector('.wave').getBoundingClientRect(); return [c.left, c.top, c.width]; })()"
    )
    mouse = {"x": box[0] + 0.5 * box[2], "y": box[1] + 5, "button": "left", "clickCount": 1}
    browser("Input.dispatchMouseEvent", type="mousePressed", **mouse)
    browser("Input.dispatchMouseEvent", type="mouseReleased", **mouse)
    browser.wait("document.querySelector('audio').currentTime >= 1.9")  # of 4 s
    assert browser.value("document.querySelector('audio').paused") is False
    play = {**mouse, "x": box[0] - 10}  # the sign left of the picture
    browser("Input.dispatchMouseEvent", type="mousePressed", **play)
    browser("Input.dispatchMouseEvent", type="mouseReleased", **play)
    browser.wait("document.querySelector('audio').paused")


def test_without_scripts_the_browsers_controls_are_there(browser: Browser, page: Path) -> None:
    browser("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page, 360)
        assert browser.value("[...document.querySelectorAll('audio')].every((a) => a.controls && a.clientWidth > 200)")
    finally:
        browser("Emulation.setScriptExecutionDisabled", value=False)
