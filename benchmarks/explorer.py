"""Measure the map that plays in headless Chromium: as html, in JupyterLab and in Voila.

Clicks and drags are real mouse events. A click is timed in the page, from the time that the
browser stamped on it to the audio element's `playing`; a paint, to the frame after the points
were drawn; a pan frame, from one frame to the next while the points follow the pointer.

Run: MUSICLATENT_DATA=../shared/data python benchmarks/explorer.py [--quick]
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import common
import numpy as np
import pandas as pd
from common import SR

from musiclatent import audio
from musiclatent.apps import voila
from musiclatent.display import map_page

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers import browser

HTML_KEYS = ("html_mb", "click_html_ms", "agree_html", "paint_html_s", "pan_html_ms")
KEYS = (
    *HTML_KEYS,
    "click_jupyterlab_ms",
    "agree_jupyterlab",
    "paint_jupyterlab_s",
    "pan_jupyterlab_ms",
    "click_voila_ms",
    "agree_voila",
)
SEGMENT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Size:
    """Segments of the page whose size is taken, sines that are clicked, points of the crowd."""

    segments: int
    clicks: int
    points: int


FULL = Size(segments=1000, clicks=browser.N, points=50_000)
QUICK = Size(segments=20, clicks=3, points=2000)
WATCH = """
const put = CanvasRenderingContext2D.prototype.putImageData;
CanvasRenderingContext2D.prototype.putImageData = function (image, ...rest) {
  put.call(this, image, ...rest);
  if (image.width < 200 || window.painted) return;
  window.painted = -1; // drawn; seen a frame later
  requestAnimationFrame(() => setTimeout(() => (window.painted = performance.now())));
};
"""
LISTEN = """
window.took = []; let clicked = 0;
document.addEventListener("click", (event) => (clicked = event.timeStamp), true);
document.querySelector("audio").addEventListener("playing",
  () => took.push(performance.now() - clicked)); 1
"""
FRAMES = """
window.frames_ms = []; let moved = false, drawn = false, before = 0;
document.addEventListener("pointermove", () => (moved = true), true);
const frame = (now) => { // what this frame draws, delays the next
  if (drawn) frames_ms.push(now - before);
  [drawn, moved, before] = [moved, false, now];
  requestAnimationFrame(frame);
};
requestAnimationFrame(frame); 1
"""


def measure(size: Size, hosts: tuple[Callable, ...]) -> common.Figures:
    """Return the size of a page, and the figures of each host."""
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="musiclatent-bench-"))
        folders = {name: Path(scratch) / name for name in ("chromium", "sound", "lab", "html")}
        for folder in folders.values():
            folder.mkdir()
        driver = stack.enter_context(browser.chromium(folders.pop("chromium")))
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        figures = {"html_mb": page_mb(folders["html"], size.segments)}
        for host in hosts:
            figures |= host(driver, folders, size)
            print(figures, file=sys.stderr)
    return figures


def in_html(driver, folders: dict[str, Path], size: Size) -> common.Figures:
    """Click the sines; paint and pan the crowd, whose sound stands beside it."""
    points, items = browser.sine_files(folders["sound"])
    target = folders["html"] / "sines.html"
    page = browser.Page(driver)
    page.open(
        map_page.write_page_of_items(
            target, points, items=items, sr=browser.SR, title="Twenty sines"
        )
    )
    figures = clicks(page, folders["sound"], "html", size.clicks)
    points, items = browser.crowd(folders["sound"] / "1.wav", size.points)
    rows = np.arange(len(items))
    near = (rows[:, None] + np.arange(1, 9)) % len(items)
    beside = {"folder": "sounds", "files": [f"{i:020x}" for i in rows]}
    table = items.rename(columns={"item_id": "title"})
    page.open(map_page.write_page(target, points, table, None, "A crowd", near=near, beside=beside))
    seconds = page.wait("window.painted > 0 && painted", 20) / 1000
    return figures | {"paint_html_s": round(seconds, 2), "pan_html_ms": pan(page)}


def in_jupyterlab(driver, folders: dict[str, Path], size: Size) -> common.Figures:
    """Click the sines; paint the crowd from running its cell, and pan it."""
    with browser.lab(folders["lab"]) as url:
        cell = browser.map_cell(folders["sound"])
        browser.notebook(folders["lab"] / "books" / "map.ipynb", cell, "")
        page = browser.Lab(driver)
        page.open(url.format("map.ipynb"))
        page.run_all()
        figures = clicks(page, folders["sound"], "jupyterlab", size.clicks)
        page.run(f"points, items = browser.crowd(folder / '1.wav', {size.points})")
        page.ask("jupyterapp.commands.execute('notebook:clear-all-cell-outputs').then(() => 1)")
        page.wait("!document.querySelector('.points')")
        page.ask("window.painted = 0; window.began = performance.now()")
        page.start("map_widget.Map(points, items, browser.SR, 'A crowd')")
        seconds = page.wait("window.painted > 0 && painted - began", 40) / 1000
        return figures | {"paint_jupyterlab_s": round(seconds, 2), "pan_jupyterlab_ms": pan(page)}


def in_voila(driver, folders: dict[str, Path], size: Size) -> common.Figures:
    """Click the sines."""
    cell = browser.map_cell(folders["sound"])
    book = browser.notebook(folders["lab"] / "map.ipynb", cell)
    with voila.started(book, port=browser.free_port()) as (address, _):
        page = browser.Hosted(driver)
        page.open(address)
        return clicks(page, folders["sound"], "voila", size.clicks)


def clicks(page: browser.Page, sound: Path, host: str, count: int) -> common.Figures:
    """Click sines once each: the median delay, and how many play their own bytes and pitch."""
    expected = map_page.segments(browser.sine_files(sound)[1], browser.SR)
    page.ask(LISTEN)
    agree = 0
    for i in range(count):
        spot = page.place(i)
        time.sleep(0.1)  # a person's clicks do not fall into the work of the one before
        page.click(*spot)
        page.wait(f"took.length === {i + 1}")
        index, sound_bytes = page.playing()
        in_tune = abs(browser.pitch_hz(sound_bytes) - 55 * (i + 1)) < 2
        agree += index == i and sound_bytes == expected[i] and in_tune
    median = statistics.median(page.ask("took"))
    return {f"click_{host}_ms": round(median, 1), f"agree_{host}": int(agree)}


def pan(page) -> float:
    """Drag the crowd to and fro; the 95th percentile of a frame in milliseconds."""
    middle = page.place(0)  # it stands in the middle
    page.ask(FRAMES)
    circle = [(150 * np.sin(t), 80 * np.sin(2 * t)) for t in np.linspace(0, 4 * np.pi, 30)]
    page.drag([(middle[0] + x, middle[1] + y) for x, y in circle])
    return round(float(np.percentile(page.ask("frames_ms"), 95)), 1)


def page_mb(folder: Path, count: int) -> float:
    """Write the page of segments of 5 s; return its size in millions of bytes."""
    clips = common.gtzan() or [made_clip(folder)]
    rng = np.random.default_rng(0)
    paths = [str(clips[i % len(clips)]) for i in range(count)]
    items = pd.DataFrame({"item_id": [Path(path).stem for path in paths], "path": paths})
    items["start_s"] = rng.uniform(0, 24, count).round(2)
    items["end_s"] = items["start_s"] + SEGMENT_S
    items["label"] = items["item_id"].str.split(".").str[0]
    points = rng.normal(size=(count, 2))
    page = map_page.write_page_of_items(
        folder / "map.html", points, items=items, sr=SR, title="Segments"
    )
    return round(page.stat().st_size / 1e6, 1)


def made_clip(folder: Path) -> Path:
    """Write noise: the bit rate is the same on average."""
    return audio.write(folder / "noise.wav", common.noise(np.random.default_rng(0)), SR)


if __name__ == "__main__":
    common.run(
        KEYS,
        full=partial(measure, FULL, (in_html, in_jupyterlab, in_voila)),
        # A kernel encodes the sound of 2,000 points at once (under 50 MB), of 50,000 only on click.
        quick=partial(measure, QUICK, (in_html,)),
        quick_keys=HTML_KEYS,
        lacks=browser.lacking(),
    )
