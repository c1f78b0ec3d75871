"""One html page in which a click on a point plays exactly that segment."""

import hashlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import joblib
import librosa
import matplotlib.image
import numpy as np
import pandas as pd

from musiclatent import audio
from musiclatent.analysis import neighbours
from musiclatent.display import map_html, style
from musiclatent.display.map_html import LIMIT_MB, Sounds
from musiclatent.files import need_columns, progress, write_file

COLUMNS = ("title", "start_s", "end_s")
SCRIPT = map_html.STATIC / "map.js"
CACHE_VERSION = 2  # raise by hand when the mp3 of the same segment becomes another
NEAR = 8  # neighbours that are listed
T = TypeVar("T")
FEW = 20  # whole numbers with no more values than these are labels, such as clusters


def render_page(
    points: np.ndarray,
    table: pd.DataFrame,
    sounds: Sounds | None,
    title: str,
    *,
    columns: Sequence[str] = ("label",),
    near: np.ndarray | None = None,
    beside: dict | None = None,
    limit_mb: float = LIMIT_MB,
) -> str:
    """Make the page, as ASCII html.

    Parameters
    ----------
    points
        (B, 2) coordinates, any finite numbers; both axes are drawn to the same scale.
    table
        B rows, one a point: title, start_s, end_s in seconds, and what can colour the points.
    sounds
        The mp3 of each segment: B of them, or a function that makes the one of a row number; None
        where they stand beside the page.
    title
        Heading of the page; plain text.
    columns
        Names of columns of `table` that can colour; those that are not there are left out, and
        what has no value is grey.
    near
        (B, k) rows of the neighbours of each row, the nearest first, -1 for none, see
        `neighbours_of_rows`; None takes those on the plane.
    beside
        ``folder`` and ``files`` of sounds beside the page.
    limit_mb
        Largest page in millions of bytes.

    Raises
    ------
    ValueError
        If lengths differ, a column is missing, a number is not finite, a segment has no sound or
        the page would pass the limit.
    """
    points, near = validate(points, table, sounds=sounds, near=near)
    shown = describe_table(table, title, columns) | (beside or {})
    sound = {"offsets": "", "sound": ""}
    if sounds is not None:
        room = limit_mb * 1e6 - _size_without_sound(shown, near)
        sound = map_html.joined(sounds, len(points), room=room, limit_mb=limit_mb)
    parts = {"points": map_html.as_base64(points), "near": map_html.as_base64(near)}
    mount = map_html.static_text("map_mount.js")
    return map_html.html(map_html.static_text("map.js"), shown, parts=parts | sound, mount=mount)


def write_page(
    path: str | Path,
    points: np.ndarray,
    table: pd.DataFrame,
    sounds: Sounds,
    title: str,
    **options: Any,
) -> Path:
    """Write the page to a file, whole or not at all.

    Parameters
    ----------
    path
        The html file; its folder is made.
    points, table, sounds, title, options
        As in `page`.

    Raises
    ------
    ValueError
        As `page`.
    """
    return write_file(Path(path), render_page(points, table, sounds, title, **options))


def write_page_of_items(
    path: str | Path,
    points: np.ndarray,
    *,
    items: pd.DataFrame,
    sr: int,
    title: str,
    near: np.ndarray | None = None,
    columns: Sequence[str] = ("label",),
    folder: Path | None = None,
    limit_mb: float = LIMIT_MB,
) -> Path:
    """Write the page of a latents folder's windows; sound that does not fit in stands beside it.

    Parameters
    ----------
    path
        The html file. Beside it, where the page would pass the limit, a folder of its name with
        ``_sound``: an mp3 and a picture a segment. A run that was killed goes on there.
    points
        (B, 2) projection of the latents.
    items
        B rows: item_id, path, start_s, end_s, and what can colour the points.
    sr
        Sample rate in Hz of the sound.
    title
        Heading of the page.
    near, columns, limit_mb
        As in `page`.
    folder
        Where a map keeps its segments (``sounds``), so that they are not cut again; those beside
        the page are the same files under a second name where the file system can.

    Raises
    ------
    AudioError
        If a file cannot be read any more.
    """
    path, table = Path(path), titled(items)
    points, near = validate(points, table, sounds=None, near=near)
    options = {"columns": columns, "near": near, "limit_mb": limit_mb}
    size = 1.03 * 4 / 3 * estimate_bytes(items, sr)
    if size + _size_without_sound(describe_table(table, title, columns), near) < limit_mb * 1e6:
        sounds = segments(items, sr, folder / "sounds" if folder else None)
        return write_page(path, points, table, sounds, title, **options)
    place = path.with_name(f"{path.stem}_sound")
    keep = partial(
        keep_segment, sr=sr, folder=folder / "sounds" if folder else place, pictures=True
    )
    files = [_put_beside(kept, place).stem for kept in _each_segment(keep, items)]
    beside = {"folder": quote(place.name), "files": files}
    write_page(path, points, table, None, title, beside=beside, **options)
    _clear(place, set(files))
    return path


def _clear(folder: Path, names: set[str]) -> None:
    """Remove the sounds of an earlier page, once the new one stands; nothing else."""
    for old in folder.iterdir():
        if re.fullmatch(r"[0-9a-f]{20}\.(mp3|png)", old.name) and old.stem not in names:
            old.unlink()


def titled(items: pd.DataFrame) -> pd.DataFrame:
    """Take item_id as the title of rows that have none."""
    return items if "title" in items else items.assign(title=items["item_id"])


def neighbours_of_rows(z: np.ndarray, items: pd.DataFrame, k: int = NEAR) -> np.ndarray:
    """Find the neighbours of every row among those of other recordings.

    Parameters
    ----------
    z
        Latents (B, D).
    items
        B rows; rows of one `group` (else of one item_id) are of the same recording.
    k
        How many.

    Returns
    -------
    ndarray
        (B, min(k, B - 1)) int32, the nearest first; -1 where there are fewer.
    """
    recordings = items["group" if "group" in items else "item_id"]
    return neighbours.nearest_others(z, recordings, k).astype("<i4")


def segment(row: pd.Series, sr: int, folder: Path | None = None) -> bytes:
    """Cut one segment out of its file and compress it to mp3, silence too.

    Parameters
    ----------
    row
        path, start_s and end_s in seconds.
    sr
        Sample rate in Hz to read at, such as the model's.
    folder
        Where segments are kept, and read again; None keeps nothing.

    Raises
    ------
    AudioError
        If the file cannot be read there.
    """
    if folder:
        return keep_segment(row, sr, folder=folder).read_bytes()
    return audio.to_preview(_cut(row, sr), sr)


def keep_segment(row: pd.Series, sr: int, *, folder: Path, pictures: bool = False) -> Path:
    """Cut one segment, once, and return the mp3 file that keeps it.

    Parameters
    ----------
    row, sr
        As in `segment`.
    folder
        Where the file stands; its name says what it holds.
    pictures
        Whether a spectrogram (png) goes beside it.
    """
    path = folder / f"{_name(row, sr)}.mp3"
    picture = path.with_suffix(".png")
    if not path.exists() or (pictures and not picture.exists()):
        y = _cut(row, sr)
        if pictures:
            write_file(picture, _picture(y, sr))
        write_file(path, audio.to_preview(y, sr))
    return path


def _put_beside(kept: Path, place: Path) -> Path:
    """Give a segment and its picture a second name in another folder, or copy them there."""
    place.mkdir(parents=True, exist_ok=True)
    for file in (kept.with_suffix(".png"), kept):
        target = place / file.name
        if target.exists():
            continue
        try:
            target.hardlink_to(file)
        except OSError:  # another disk, or a file system without second names
            write_file(target, file.read_bytes())
    return kept


def _each_segment(function: Callable[[pd.Series], T], items: pd.DataFrame) -> Iterator[T]:
    """Yield what a function makes of each row, two at a time."""
    make = joblib.delayed(function)
    made = joblib.Parallel(2, prefer="threads", return_as="generator")(
        make(row) for _, row in items.iterrows()
    )
    yield from progress(made, "sound", "segment", total=len(items), delay=2)


def segments(items: pd.DataFrame, sr: int, folder: Path | None = None) -> list[bytes]:
    """Cut and compress the segment of every row; see `segment`."""
    return list(_each_segment(partial(segment, sr=sr, folder=folder), items))


def estimate_bytes(items: pd.DataFrame, sr: int) -> float:
    """Estimate the size of all segments as mp3 from the longest."""
    lengths = (items["end_s"] - items["start_s"]).to_numpy(float)
    longest = int(lengths.argmax())
    return len(segment(items.iloc[longest], sr)) * lengths.sum() / max(lengths[longest], 1e-9)


def validate(
    points: np.ndarray, table: pd.DataFrame, *, sounds: Sounds | None, near: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return points as float32 and neighbours as int32, once everything fits together.

    Raises
    ------
    ValueError
        As `page`.
    """
    points = np.asarray(points, "<f4")
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"points have shape {points.shape}; give (B, 2) with at least one row")
    sizes = {"points": len(points), "rows of the table": len(table)}
    if sounds is not None and not callable(sounds):
        sizes["sounds"] = len(sounds)
    if len(set(sizes.values())) > 1:
        counted = ", ".join(f"{n} {name}" for name, n in sizes.items())
        raise ValueError(f"{counted}: each point needs one row and one sound")
    need_columns(table, COLUMNS, "the table has no column", f"it needs {COLUMNS}")
    _refuse(~np.isfinite(points).all(axis=1), "has coordinates that are NaN or infinite")
    times = table[["start_s", "end_s"]].to_numpy(float)
    _refuse(~np.isfinite(times).all(axis=1), "has a time that is NaN or infinite")
    _refuse(times[:, 0] > times[:, 1], "ends before it starts")
    near = np.zeros((len(points), 0), "<i4") if near is None else np.asarray(near, "<i4")
    if near.ndim != 2 or len(near) != len(points):
        raise ValueError(f"neighbours have shape {near.shape}; give one row a point")
    _refuse(((near < -1) | (near >= len(points))).any(axis=1), "has a neighbour that is no row")
    return points, near


def describe_table(table: pd.DataFrame, title: str, columns: Sequence[str] = ("label",)) -> dict:
    """Arrange what the browser shows; titles may hold anything."""
    return {
        "title": plain_text(title),
        "about": f"{len(table):,} segment{'s' * (len(table) != 1)}",
        "colors": list(style.PALETTE.as_hex()),
        "ramp": list(style.RAMP.as_hex()),
        "columns": [_column(name, table[name]) for name in columns if name in table],
        "titles": [plain_text(name) for name in table["title"]],
        "start_s": table["start_s"].astype(float).round(3).tolist(),
        "end_s": table["end_s"].astype(float).round(3).tolist(),
    }


def plain_text(text: object) -> str:
    """Write text that every browser can be sent: half a surrogate pair becomes U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", str(text))


def _size_without_sound(shown: dict, near: np.ndarray) -> float:
    """Bytes of a page: table, script, frame; points, neighbours and offsets as base64."""
    numbers = near.nbytes + 12 * len(near)
    return len(map_html.inline_json(shown)) + SCRIPT.stat().st_size + 5_000 + 4 / 3 * numbers


def _column(name: str, column: pd.Series) -> dict:
    """Numbers as values, all else as labels with a code each; -1 where there is none."""
    if pd.api.types.is_numeric_dtype(column) and column.dtype != bool:
        x = column.to_numpy(float)
        distinct = np.unique(x[np.isfinite(x)])
        if len(distinct) > FEW or (distinct % 1).any():
            values = [float(f"{v:.5g}") if np.isfinite(v) else None for v in x]
            return {"name": name, "values": values}
        codes = np.where(np.isfinite(x), np.searchsorted(distinct, x), -1)
        return {"name": name, "labels": [f"{v:.0f}" for v in distinct], "codes": codes.tolist()}
    label = pd.Categorical(column.where(column.astype(str) != ""))
    labels = [plain_text(label) for label in label.categories]
    return {"name": name, "labels": labels, "codes": label.codes.tolist()}


def _refuse(bad: np.ndarray, what: str) -> None:
    """Raise if any row is bad, naming the first."""
    if bad.any():
        raise ValueError(f"row {int(bad.argmax())} {what} ({int(bad.sum())} rows in all); drop it")


def _cut(row: pd.Series, sr: int) -> np.ndarray:
    """Read the samples of a segment."""
    length = row["end_s"] - row["start_s"]
    return audio.read(row["path"], sr, start_s=row["start_s"], duration_s=length)[0]


def _name(row: pd.Series, sr: int) -> str:
    """Name a segment by what it holds: another file at the same path is another name."""
    stat = Path(row["path"]).stat()
    what = (
        CACHE_VERSION,
        str(row["path"]),
        stat.st_size,
        stat.st_mtime_ns,
        row["start_s"],
        row["end_s"],
        sr,
    )
    return hashlib.sha256(repr(what).encode("utf-8", "surrogatepass")).hexdigest()[:20]


def _picture(y: np.ndarray, sr: int) -> bytes:
    """Draw a spectrogram as png, for a page that cannot read its sound."""
    power = librosa.feature.melspectrogram(y=y, sr=sr, n_fft=1024, n_mels=96)
    decibels = librosa.power_to_db(power, ref=max(power.max(), 1e-9), top_db=70)
    step = -(-decibels.shape[1] // 400)
    buffer = io.BytesIO()
    draw = partial(matplotlib.image.imsave, cmap="magma", origin="lower", vmin=-70, vmax=0)
    draw(buffer, decibels[:, ::step], format="png")
    return buffer.getvalue()
