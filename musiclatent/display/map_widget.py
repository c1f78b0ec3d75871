"""The map and a table whose rows play, as widgets: JupyterLab, Colab and Voila show the same file.

Sound travels as bytes of the widget, so that it plays while the kernel is busy; a server never
sees the name of a file.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import pandas as pd
import traitlets

from musiclatent import audio
from musiclatent.config import home
from musiclatent.display import map_layout, map_page
from musiclatent.edm import playlist_files
from musiclatent.errors import AudioError
from musiclatent.latents.store import Latents

MOST_MB = 50.0  # of sound that is sent at once; above, each click asks for its own
NAMED = "named"


class _Player(anywidget.AnyWidget):
    """Rows that play: their sound, and which was clicked.

    Parameters
    ----------
    items
        B rows: item_id or title, path, start_s, end_s in seconds.
    sr
        Sample rate in Hz of the sound.
    folder
        Where segments are kept (``sounds``) and playlists go; None keeps nothing, and writes
        playlists where the notebook runs.
    limit_mb
        Sound that is sent at once, in millions of bytes.
    """

    _esm = map_page.SCRIPT
    table = traitlets.Dict().tag(sync=True)
    sound = traitlets.Bytes().tag(sync=True)
    offsets = traitlets.Bytes().tag(sync=True)
    clicked = traitlets.Dict().tag(sync=True)
    height = traitlets.Int(600).tag(sync=True)

    def __init__(
        self, items: pd.DataFrame, sr: int, folder: Path | None, limit_mb: float, **traits: Any
    ) -> None:
        self.sr, self.folder, self.limit_mb = sr, folder, limit_mb
        self._kept = folder / "sounds" if folder else None
        self._made: list[bytes] = []  # sounds that belong to no file
        super().__init__(**traits, **self._take(items))
        self.on_msg(self._answer)

    def _take(self, items: pd.DataFrame) -> dict[str, bytes]:
        """Make these the rows; return their sound as traits, empty where each click asks."""
        self.items = items.reset_index(drop=True)
        self._first = len(items)  # later rows bring their sound with them
        if (
            not len(items)
            or not self.limit_mb
            or map_page.estimate_bytes(self.items, self.sr) > self.limit_mb * 1e6
        ):
            return {"sound": b"", "offsets": b""}
        parts = map_page.segments(self.items, self.sr, self._kept)
        ends = np.cumsum([0, *map(len, parts)], dtype="<u4")
        return {"sound": b"".join(parts), "offsets": ends.tobytes()}

    def on_click(self, act: Callable[[int], None]) -> None:
        """Call `act` with the row number whenever a segment is started by hand."""
        self.observe(lambda change: act(change["new"]["index"]), "clicked")

    def of_row(self, i: int) -> bytes:
        """Return the mp3 of a row.

        Raises
        ------
        IndexError
            If there is no such row.
        """
        [i] = self._rows([i])
        if i >= self._first:
            return self._made[i - self._first]
        return map_page.segment(self.items.iloc[i], self.sr, self._kept)

    def _answer(self, _: anywidget.AnyWidget, content: dict, buffers: list) -> None:
        """Answer a message of the browser; what goes wrong is a sentence there."""
        try:
            self._act(content, buffers)
        except (ValueError, IndexError, TypeError, KeyError, OSError) as error:
            self.send({"said": _sentence(error)})

    def _act(self, content: dict, buffers: list) -> None:
        """Do what the browser asks for."""
        if "ask" in content:
            self._send_sound(content)

    def _send_sound(self, content: dict) -> None:
        """Send the sound that a click asked for, with the number of the question."""
        answer = {"number": content.get("number"), "index": content["ask"]}
        try:
            self.send(answer, buffers=[self.of_row(content["ask"])])
        except (IndexError, AudioError, OSError) as error:
            self.send(answer | {"refused": _sentence(error)})

    def _rows(self, rows: Sequence[int]) -> list[int]:
        """Return row numbers; refuse what is none."""
        for i in rows:
            if not isinstance(i, int | np.integer) or not 0 <= i < len(self.items):
                raise IndexError(f"there is no row {i!r}; rows go from 0 to {len(self.items) - 1}")
        return [int(i) for i in rows]


class Map(_Player):
    """A scatter of segments: a click plays exactly that one; selections come back.

    Parameters
    ----------
    points
        (B, 2) coordinates, finite.
    items
        B rows: item_id or title, path, start_s, end_s in seconds, and what can colour the points.
    sr
        Sample rate in Hz of the sound.
    title
        Heading; plain text.
    z
        Latents (B, D) that say which segments of other recordings are neighbours; None takes the
        plane.
    columns
        Names of columns of `items` that can colour the points.
    folder, limit_mb
        Where segments are kept (``sounds``) and ``selection.xspf`` goes; megabytes of sound that
        are sent at once.

    Raises
    ------
    ValueError
        As `map_page.render_page`.
    AudioError
        If a file cannot be read any more.
    """

    kind = traitlets.Unicode("map").tag(sync=True)
    points = traitlets.Bytes().tag(sync=True)
    near = traitlets.Bytes().tag(sync=True)
    selected = traitlets.List(traitlets.Int()).tag(sync=True)
    trail = traitlets.List(traitlets.Float()).tag(sync=True)
    drops = traitlets.Bool(False).tag(sync=True)
    playlists = traitlets.Bool(True).tag(sync=True)

    def __init__(
        self,
        points: np.ndarray,
        items: pd.DataFrame,
        sr: int,
        title: str,
        *,
        z: np.ndarray | None = None,
        columns: Sequence[str] = ("label",),
        folder: Path | None = None,
        limit_mb: float = MOST_MB,
        **traits: Any,
    ) -> None:
        items = map_page.titled(items)
        near = None if z is None else map_page.neighbours_of_rows(z, items)
        points, near = map_page.validate(points, items, sounds=None, near=near)
        self.columns, self._dropped = tuple(columns), []
        traits |= {"points": points.tobytes(), "near": near.tobytes()}
        traits["table"] = map_page.describe_table(items, title, self.columns)
        super().__init__(items, sr, folder, limit_mb, **traits)

    def place(self) -> np.ndarray:
        """Return where the points stand (B, 2)."""
        return np.frombuffer(self.points, "<f4").reshape(-1, 2)

    def nearest(self) -> np.ndarray | None:
        """Return rows of the neighbours of each row (B, k), None where the plane says them."""
        return np.frombuffer(self.near, "<i4").reshape(len(self.items), -1) if self.near else None

    def selection(self) -> pd.DataFrame:
        """Return the selected rows of `items`."""
        return self.items.iloc[self._rows(self.selected)]

    def playlist(self, rows: Sequence[int]) -> Path:
        """Write rows as a playlist (``selection.xspf``) into the folder; return its path.

        Raises
        ------
        IndexError
            If a row is none.
        ValueError
            If there are no rows.
        """
        chosen = self.items.iloc[self._rows(rows)]
        chosen = chosen[chosen["path"].ne("")]
        if chosen.empty:
            raise ValueError("no segment of a file is selected; draw a lasso or a box around some")
        path = (self.folder or Path()) / "selection.xspf"
        return playlist_files.write_playlist(path, chosen, self.table["title"])

    def name(self, rows: Sequence[int], text: str) -> None:
        """Set a label of one's own for rows: the column ``named`` of `items`.

        Raises
        ------
        IndexError
            If a row is none.
        """
        labels = self.items.get(NAMED, pd.Series("", self.items.index, dtype=object))
        labels = labels.astype(object)
        labels.iloc[self._rows(rows)] = str(text)[:200]
        self.items = self.items.assign(**{NAMED: labels})
        self._described()

    def _act(self, content: dict, buffers: list) -> None:
        """Write a playlist, name rows, take a file, or send a sound."""
        if "playlist" in content:
            self.send({"said": self._listed(content["playlist"])})
        elif "name" in content:
            self.name(content["rows"], content["name"])
        elif "file" in content:
            for act in self._dropped:
                act((str(content["file"]), bytes(buffers[0])))
        else:
            super()._act(content, buffers)

    def _listed(self, rows: list[int]) -> str:
        """Write a playlist, if that is wanted here; say where."""
        if not self.playlists:
            raise ValueError("no playlists are written here")
        path, n = self.playlist(rows), int(self.items.iloc[rows]["path"].eq("").sum())
        place = path.resolve()
        shown = place.relative_to(home()) if place.is_relative_to(home()) else place.name
        return f"Written: {shown}" + f", without {n} segments that are no file's" * bool(n)

    def on_drop(self, act: Callable[[tuple[str, bytes]], None]) -> None:
        """Call `act` with the name and the bytes of every file that is dropped on the map."""
        self._dropped.append(act)
        self.drops = True

    def add(
        self,
        points: np.ndarray,
        items: pd.DataFrame,
        sounds: Sequence[np.ndarray],
        near: np.ndarray | None = None,
    ) -> np.ndarray:
        """Put further segments on the map, such as those of a new file.

        Parameters
        ----------
        points
            (n, 2), where they stand.
        items
            n rows, with columns of `items`.
        sounds
            The samples (N,) of each.
        near
            (n, k) rows of their neighbours; needed where the map has neighbours.

        Returns
        -------
        ndarray
            Their row numbers.

        Raises
        ------
        ValueError
            If something does not fit together.
        """
        added = [audio.to_preview(y, self.sr) for y in sounds]
        if not len(items) or len(added) != len(items):
            raise ValueError(f"{len(items)} rows and {len(added)} sounds; give one sound a row")
        whole = pd.concat([self.items, map_page.titled(items)], ignore_index=True)
        place = np.concatenate([self.place(), np.asarray(points, "<f4").reshape(-1, 2)])
        place, nearest = map_page.validate(
            place, whole, sounds=None, near=self._nearer(near, len(items))
        )
        if NAMED in whole:
            whole[NAMED] = whole[NAMED].fillna("")
        self._made += added
        rows, self.items = np.arange(len(self.items), len(whole)), whole
        with self.hold_sync():
            self.near, self.points = nearest.tobytes(), place.tobytes()
            self._described()
        return rows

    def _nearer(self, near: np.ndarray | None, n: int) -> np.ndarray | None:
        """Put the neighbours of n further rows under those of the others, if there are any."""
        nearest = self.nearest()
        if nearest is None:
            return None
        if near is None or np.shape(near)[0] != n or np.shape(near)[1] < nearest.shape[1]:
            raise ValueError(f"give each new row {nearest.shape[1]} neighbours, as the others have")
        return np.concatenate([nearest, np.asarray(near, "<i4")[:, : nearest.shape[1]]])

    def _described(self) -> None:
        """Show the rows as they are now, with the labels of one's own."""
        columns = dict.fromkeys([*self.columns, *([NAMED] if NAMED in self.items else [])])
        self.table = map_page.describe_table(self.items, self.table["title"], list(columns))


class Rows(_Player):
    """A table of segments: a click on a row plays exactly that one.

    Parameters
    ----------
    items
        B rows: item_id or title, path, start_s, end_s in seconds, and what is shown.
    sr
        Sample rate in Hz of the sound.
    title
        Heading; plain text.
    columns
        Names of columns of `items` that are shown; numbers are rounded.
    folder, limit_mb
        As in `Map`.

    Raises
    ------
    AudioError
        If a file cannot be read any more.
    """

    kind = traitlets.Unicode("rows").tag(sync=True)

    def __init__(
        self,
        items: pd.DataFrame,
        sr: int,
        title: str,
        columns: Sequence[str] = (),
        *,
        folder: Path | None = None,
        limit_mb: float = MOST_MB,
        **traits: Any,
    ) -> None:
        self.columns, self.title, items = tuple(columns), title, map_page.titled(items)
        traits["table"] = _cells(items, title, self.columns)
        super().__init__(items, sr, folder, limit_mb, **traits)

    def show(self, items: pd.DataFrame) -> None:
        """Show other rows in the place of these."""
        items = map_page.titled(items)
        # The turn makes an equal table another one: its sounds may be other sounds.
        turn = {"turn": self.table.get("turn", 0) + 1}
        traits = self._take(items) | {"table": _cells(items, self.title, self.columns) | turn}
        with self.hold_sync():
            for name, value in traits.items():
                self.set_trait(name, value)


def _sentence(error: Exception) -> str:
    """Return what went wrong for a browser, which need not know where files stand."""
    if isinstance(error, AudioError):
        return error.advice
    return (error.strerror or "a file cannot be read") if isinstance(error, OSError) else str(error)


def _cells(items: pd.DataFrame, title: str, columns: Sequence[str]) -> dict:
    """Arrange a table as text."""
    plain = map_page.describe_table(items, title, ()) | {"columns": []}
    plain["columns"] = [{"name": name, "cells": list(map(_text, items[name]))} for name in columns]
    return plain


def _text(value: object) -> str:
    """Write a cell: numbers short, nothing where there is nothing."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.3g}"
    return "" if value is None else map_page.plain_text(value)


def show_map(latents: Latents, title: str = "") -> Map:
    """Show latents as a map that is clicked and heard, in a notebook.

    Parameters
    ----------
    latents
        Latents whose sound is still where it was encoded; four windows or more.
    title
        Heading; the name of the model unless given.

    Raises
    ------
    ValueError, AudioError
        As `map_layout.lay_out` and `Map`.

    Examples
    --------
    >>> import tempfile, numpy as np, pandas as pd
    >>> from musiclatent.latents.store import Latents
    >>> path = tempfile.mkdtemp() + "/a.wav"
    >>> _ = audio.write(path, np.sin(np.arange(48000) / 9) / 2, 8000)
    >>> items = pd.DataFrame({"item_id": "a", "path": path, "label": "", "split": ""}, range(6))
    >>> items = items.assign(start_s=np.arange(6.0), end_s=np.arange(6.0) + 1)
    >>> about = {"latent_shape": [2, 1], "input": "waveform", "sr": 8000, "experiment": "small"}
    >>> z = np.random.default_rng(0).standard_normal((6, 2)).astype(np.float32)
    >>> len(show_map(Latents(z, items, about)).items)
    6
    """
    about, layout = latents.provenance, map_layout.lay_out(latents)
    return Map(
        layout.plane.points,
        layout.items,
        about["sr"],
        title or about["experiment"],
        z=layout.vectors,
        columns=layout.columns,
    )
