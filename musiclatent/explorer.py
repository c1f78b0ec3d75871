"""The map that plays: one html page in which a click on a point plays exactly that segment.

The page opens from disk and needs nothing beside it: points, table and sound (mp3) travel inside,
in script tags that no browser runs. Titles are shown as text, whatever they hold.
"""

import base64
import json
import os
import sys
import uuid
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import tqdm

from musiclatent import audio, plots

LIMIT_MB = 60.0  # browsers on phones open pages of this size; 1 MB is a million bytes
COLUMNS = ("title", "start_s", "end_s")
Sounds = Sequence[bytes] | Callable[[int], bytes]

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "media-src blob:; connect-src blob:; img-src data:"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>musiclatent</title>
<style>html, body {{ height: 100%; height: 100dvh; margin: 0; }}</style>
</head>
<body>
<noscript>This page needs JavaScript.</noscript>
<script type="application/json" id="table">{table}</script>
<script type="application/octet-stream;base64" id="points">{points}</script>
<script type="application/octet-stream;base64" id="offsets">{offsets}</script>
<script type="application/octet-stream;base64" id="sound">{sound}</script>
<script type="module">
{script}
const text = (id) => document.getElementById(id).textContent;
const bytes = (base64) => {{
  const letters = atob(base64);
  const array = new Uint8Array(letters.length);
  for (let i = 0; i < array.length; i++) array[i] = letters.charCodeAt(i);
  return array;
}};
const table = JSON.parse(text("table"));
const points = new Float32Array(bytes(text("points")).buffer);
const offsets = new Uint32Array(bytes(text("offsets")).buffer);
const letters = text("sound");
const sound = (i) =>
  new Blob([bytes(letters.slice(offsets[i], offsets[i + 1]))], {{ type: "audio/mpeg" }});
document.title = table.title;
document.body.explorer = mount(document.body, {{ points, table, sound }});
</script>
</body>
</html>
"""


def page(
    points: np.ndarray,
    table: pd.DataFrame,
    sounds: Sounds,
    title: str,
    *,
    limit_mb: float = LIMIT_MB,
) -> str:
    """Make the page, as ASCII html.

    Parameters
    ----------
    points
        (B, 2) coordinates, any finite numbers; both axes are drawn to the same scale.
    table
        B rows, one a point: title, start_s, end_s in seconds and, where points are to be
        coloured, label (missing or empty: grey).
    sounds
        The mp3 of each segment: B of them, or a function that makes the one of a row number.
    title
        Heading of the page; plain text.
    limit_mb
        Largest page in millions of bytes.

    Raises
    ------
    ValueError
        If lengths differ, a column is missing, a number is not finite, a segment has no sound or
        the page would pass the limit.
    """
    points = _checked(points, table, sounds)
    text = inline_json(_table(table, title))
    room = limit_mb * 1e6 - len(text) - 16 * len(points) - 20_000  # points, offsets, script
    sound, offsets = joined(sounds, len(points), room, limit_mb)
    return _PAGE.format(
        policy=POLICY,
        table=text,
        points=as_base64(points),
        offsets=as_base64(offsets),
        sound=sound,
        script=resources.files("musiclatent").joinpath("explorer.js").read_text("utf-8"),
    )


def write(
    path: str | Path,
    points: np.ndarray,
    table: pd.DataFrame,
    sounds: Sounds,
    title: str,
    *,
    limit_mb: float = LIMIT_MB,
) -> Path:
    """Write the page to a file, whole or not at all.

    Parameters
    ----------
    path
        The html file; its folder is made.
    points, table, sounds, title, limit_mb
        As in `page`.

    Raises
    ------
    ValueError
        As `page`.
    """
    path = Path(path)
    html = page(points, table, sounds, title, limit_mb=limit_mb)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.write_text(html, encoding="ascii", newline="\n")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def segment(row: pd.Series, sr: int) -> bytes:
    """Cut one segment out of its file and compress it to mp3, silence too.

    Parameters
    ----------
    row
        path, start_s and end_s in seconds.
    sr
        Sample rate in Hz to read at, such as the model's.

    Raises
    ------
    AudioError
        If the file cannot be read there.
    """
    y, _ = audio.read(
        row["path"], sr, start_s=row["start_s"], duration_s=row["end_s"] - row["start_s"]
    )
    return audio.encode(y, sr)


def segments(items: pd.DataFrame, sr: int) -> list[bytes]:
    """Cut and compress the segment of every row; see `segment`."""
    return [segment(items.iloc[i], sr) for i in _progress(len(items))]


def from_items(
    path: str | Path,
    points: np.ndarray,
    items: pd.DataFrame,
    sr: int,
    title: str,
    *,
    limit_mb: float = LIMIT_MB,
    seed: int = 0,
) -> Path:
    """Write the page of a latents folder's windows; a random sample where not all fit.

    Parameters
    ----------
    path
        The html file.
    points
        (B, 2) projection of the latents.
    items
        B rows: item_id, path, start_s, end_s, label.
    sr
        Sample rate in Hz of the sound in the page.
    title
        Heading of the page; says so where it shows a sample.
    limit_mb
        As in `page`.
    seed
        Of the sample.

    Raises
    ------
    AudioError
        If a file cannot be read any more.
    """
    longest = items.loc[(items["end_s"] - items["start_s"]).idxmax()]
    n = int(0.95 * limit_mb * 1e6 / (4 / 3 * len(segment(longest, sr))))
    if len(items) > n:
        title = f"{title}: {n:,} of {len(items):,} segments"
        keep = np.sort(np.random.default_rng(seed).choice(len(items), n, replace=False))
        points, items = points[keep], items.iloc[keep]
    table = items.assign(title=items["item_id"])

    def sound(i: int) -> bytes:
        return segment(items.iloc[i], sr)

    return write(path, points, table, sound, title, limit_mb=limit_mb)


def _checked(points: np.ndarray, table: pd.DataFrame, sounds: Sounds) -> np.ndarray:
    """Return the points as float32, once everything fits together."""
    points = np.asarray(points, "<f4")
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"points have shape {points.shape}; give (B, 2) with at least one row")
    sizes = {"points": len(points), "rows of the table": len(table)}
    if not callable(sounds):
        sizes["sounds"] = len(sounds)
    if len(set(sizes.values())) > 1:
        counted = ", ".join(f"{n} {name}" for name, n in sizes.items())
        raise ValueError(f"{counted}: each point needs one row and one sound")
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}; it needs {COLUMNS}")
    _refuse(~np.isfinite(points).all(axis=1), "has coordinates that are NaN or infinite")
    times = table[["start_s", "end_s"]].to_numpy(float)
    _refuse(~np.isfinite(times).all(axis=1), "has a time that is NaN or infinite")
    _refuse(times[:, 0] > times[:, 1], "ends before it starts")
    return points


def _refuse(bad: np.ndarray, what: str) -> None:
    """Raise if any row is bad, naming the first."""
    if bad.any():
        raise ValueError(f"row {int(bad.argmax())} {what} ({int(bad.sum())} rows in all); drop it")


def _table(table: pd.DataFrame, title: str) -> dict:
    """Arrange what the browser shows."""
    codes, labels = _labels(table)
    return {
        "title": title,
        "about": f"{len(table):,} segment{'s' * (len(table) != 1)}",
        "colors": list(plots.PALETTE.as_hex()),
        "labels": labels,
        "codes": codes.tolist(),
        "titles": [str(name) for name in table["title"]],
        "start_s": table["start_s"].astype(float).round(3).tolist(),
        "end_s": table["end_s"].astype(float).round(3).tolist(),
    }


def _labels(table: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Give each label a number, in their order; -1 where there is none."""
    if "label" not in table:
        return np.full(len(table), -1), []
    label = table["label"]
    label = pd.Categorical(label.where(label.astype(str) != ""))
    return label.codes, [str(name) for name in label.categories]


def _progress(n: int) -> tqdm.tqdm:
    """Count segments and show how far it is."""
    interval = 0.1 if sys.stderr.isatty() else 10
    return tqdm.trange(n, desc="sound", unit="segment", mininterval=interval)


def joined(sounds: Sounds, n: int, room: float, limit_mb: float) -> tuple[str, np.ndarray]:
    """Write the sounds one after the other as base64; and where each begins and the last ends."""
    make = sounds if callable(sounds) else sounds.__getitem__
    parts, offsets = [], [0]
    for i in _progress(n) if callable(sounds) else range(n):
        sound = make(i)
        if not sound:
            raise ValueError(f"row {i} has no sound; give mp3 bytes, of silence too, or drop it")
        parts.append(base64.b64encode(sound).decode())
        offsets.append(offsets[-1] + len(parts[-1]))
        if offsets[-1] > room:
            whole = (limit_mb * 1e6 - room + offsets[-1] * n / (i + 1)) / 1e6
            raise ValueError(
                f"a page of {n:,} segments takes about {whole:,.1f} MB and the limit is "
                f"{limit_mb:g}: {i:,} fit; take fewer segments or shorter ones"
            )
    return "".join(parts), np.array(offsets, "<u4")


def as_base64(array: np.ndarray) -> str:
    """Write the bytes of an array as text."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def inline_json(table: dict) -> str:
    """Write strict ASCII json that no html parser can mistake for a tag."""
    return json.dumps(table, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
