"""Two maps of the same music by two encoders, side by side, which share what is selected."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import traitlets

from musiclatent.display import map_html, map_page, map_widget
from musiclatent.display.map_html import LIMIT_MB, Sounds
from musiclatent.evaluation.comparison import agreement
from musiclatent.files import write_file


@dataclass(frozen=True, kw_only=True)
class Side:
    """The rows as one encoder places them.

    Parameters
    ----------
    name
        Of the encoder.
    points
        (B, 2) coordinates.
    z
        (B, D) vectors as they are compared, which say who is near whom.
    """

    name: str
    points: np.ndarray
    z: np.ndarray

    def near(self, items: pd.DataFrame) -> np.ndarray:
        """Return rows of the neighbours of each row, see `map_page.neighbours_of_rows`."""
        return map_page.neighbours_of_rows(self.z, items)


def agreement_text(left: Side, right: Side) -> str:
    """Return in one line how many neighbours both encoders name.

    Parameters
    ----------
    left, right
        Both sides, of the same rows.

    Raises
    ------
    ValueError
        If they have different rows.
    """
    if len(left.z) != len(right.z):
        raise ValueError(
            f"{left.name} has {len(left.z)} rows and {right.name} {len(right.z)}; give the same"
        )
    k = min(agreement.K, len(left.z) - 1)
    share = agreement.shared_neighbours(left.z, right.z)
    chance = k / max(1, len(left.z) - 1)
    return f"{100 * share:.0f} % of the {k} nearest are shared (by chance {100 * chance:.0f} %)"


def render_page(
    left: Side,
    right: Side,
    *,
    items: pd.DataFrame,
    sounds: Sounds,
    title: str,
    columns: Sequence[str] = ("label",),
    limit_mb: float = LIMIT_MB,
) -> str:
    """Make one html page of both maps, which play the same sound.

    Parameters
    ----------
    left, right
        Both sides, of the same rows.
    items
        B rows: title or item_id, start_s, end_s, and what can colour the points.
    sounds
        The mp3 of each row, or a function that makes the one of a row number.
    title
        Heading of the page.
    columns
        Names of columns that can colour.
    limit_mb
        Largest page in millions of bytes.

    Raises
    ------
    ValueError
        As `map_page.render_page`, or if the sides have different rows.
    """
    table = map_page.titled(items)
    shown = _described(left, right, table, title, columns)
    parts = {}
    for side, end in ((left, ""), (right, "_beside")):
        points, near = map_page.validate(side.points, table, sounds=sounds, near=side.near(table))
        parts[f"points{end}"] = map_html.as_base64(points)
        parts[f"near{end}"] = map_html.as_base64(near)
    script = map_html.static_text("map.js")
    taken = len(script) + len(map_html.inline_json(shown)) + sum(map(len, parts.values())) + 5_000
    room = limit_mb * 1e6 - taken
    parts |= map_html.joined(sounds, len(table), room=room, limit_mb=limit_mb)
    mount = map_html.static_text("map_pair_mount.js")
    return map_html.html(script, shown, parts=parts, mount=mount)


def write_page(path: Path, left: Side, right: Side, **options: Any) -> Path:
    """Write the page, whole or not at all.

    Parameters
    ----------
    path
        The html file.
    left, right, options
        As in `render_page`.
    """
    return write_file(path, render_page(left, right, **options))


def _described(
    left: Side, right: Side, table: pd.DataFrame, title: str, columns: Sequence[str]
) -> dict:
    """Arrange what both maps show: the second differs in its heading alone."""
    shared = agreement_text(left, right)
    shown = map_page.describe_table(table, f"{title}: {left.name}", columns)
    about = f"{shown['about']}; {shared}"
    beside = {"title": map_page.plain_text(f"{title}: {right.name}"), "about": about}
    return shown | {"about": about, "beside": beside}


class LinkedMaps(map_widget.Map):
    """Two maps of the same segments by two encoders, in a notebook: selections are shared.

    Parameters
    ----------
    left, right
        Both sides, of the same rows.
    items, sr, title, options
        As in `map_widget.Map`.

    Raises
    ------
    ValueError, AudioError
        As `map_widget.Map`, or if the sides have different rows.
    """

    kind = traitlets.Unicode("pair").tag(sync=True)
    points_beside = traitlets.Bytes().tag(sync=True)
    near_beside = traitlets.Bytes().tag(sync=True)
    table_beside = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        left: Side,
        right: Side,
        items: pd.DataFrame,
        sr: int,
        title: str,
        **options: Any,
    ) -> None:
        table = map_page.titled(items)
        columns = options.get("columns", ("label",))
        shown = _described(left, right, table, title, columns)
        points, near = map_page.validate(right.points, table, sounds=None, near=right.near(table))
        super().__init__(left.points, table, sr, shown["title"], z=left.z, **options)
        self.table = self.table | {"about": shown["about"]}
        self.points_beside, self.near_beside = points.tobytes(), near.tobytes()
        self.table_beside = self.table | shown["beside"]
