"""Live encoding around the map: bring a file, walk from one point to another, move a point.

What is heard on a way, or of a point that was moved, the model makes. No callback here uses an
Output widget (an executed notebook could wait for ever), so what goes wrong becomes a sentence.
"""

import html
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import ipywidgets as widgets
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from musiclatent import audio
from musiclatent.analysis import neighbours, pooling
from musiclatent.audio import decoders, windows
from musiclatent.config import Study
from musiclatent.data.datamodules import transform
from musiclatent.display.map_layout import lay_out
from musiclatent.display.map_page import NEAR
from musiclatent.display.map_widget import Map, Rows
from musiclatent.display.player import Listener
from musiclatent.errors import AudioError
from musiclatent.latents.encode import BATCH, encode, load_model
from musiclatent.latents.store import Latents
from musiclatent.training.run_folder import Run

UPLOAD_MB = 100.0  # of one file; 1 MB is a million bytes
WINDOWS = 200  # of one file: their sound stays in the browser
LISTED = 5  # neighbours of a file
DIRECTIONS = 3
FRAMES = 20_000  # enough to find the first directions
YOURS = "your file"  # label of what was brought
log = logging.getLogger("musiclatent")


class Live(widgets.VBox):
    """A map of a corpus that takes files and plays what lies between its points.

    Parameters
    ----------
    run
        A trained experiment.
    study
        Its study.
    latents
        Latents of a corpus with sound, as `encode.encode_corpus` gives them; silence is left out.
    folder
        Where segments are kept (``sounds``) and playlists go.
    kind
        ``pca``, ``umap`` or ``tsne``, fitted on the training windows.

    Attributes
    ----------
    map
        The `Map`, whose `items` are the windows.
    vectors
        (B, D), by which windows are compared.
    plane
        The `Projection`.
    listener
        Decodes latents to sound.
    heard
        (S, N), the sounds that were made last.
    said
        What the status line says.

    Raises
    ------
    ValueError
        If there is no such kind, or there are too few windows for a map.
    AudioError
        If the sound of the corpus cannot be read any more.
    """

    def __init__(
        self,
        run: Run,
        study: Study,
        latents: Latents,
        folder: Path | None = None,
        kind: str = "pca",
    ) -> None:
        self.listener, self._model = Listener(run, transform(study)), load_model(run)
        self._compared = partial(pooling.map_vectors, provenance=latents.provenance)
        self._z, self._new, self._last = latents.shaped(), [], deque(maxlen=2)
        shown = lay_out(latents, kind)
        self._rows, self.vectors, self.plane = shown.rows, shown.vectors, shown.plane
        train = self._rows[shown.items["split"].eq("train").to_numpy()]
        self.directions = directions(_some(self._z, train if len(train) > 3 else self._rows))
        title = f"{study.title}: {run.experiment.name}"
        options = {"folder": folder, "z": self.vectors, "columns": shown.columns}
        self.map = Map(self.plane.points, shown.items, study.sr, title, **options)
        super().__init__([self.map, *self._controls()])

    def _controls(self) -> list[widgets.Widget]:
        """Make what stands under the map, and connect it."""
        sr, none = self.listener.sr, self.map.items.iloc[:0].assign(distance=0.0)
        columns = [name for name in ("label", "distance") if name in none]
        hidden = {"height": 240, "layout": {"display": "none"}}
        self._near = Rows(
            none, sr, "Neighbours in the corpus", columns, folder=self.map.folder, **hidden
        )
        self._way = Rows(none, sr, "From A to B", **hidden)
        kinds = ",".join(["audio/*", *sorted(decoders.SUFFIXES)])
        self.files = widgets.FileUpload(accept=kinds, description="Your file")
        self.steps = widgets.IntSlider(5, 2, 9, description="Steps")
        self.button = widgets.Button(description="Path A to B", disabled=True)
        self.sliders = [_slider(i) for i in range(1, len(self.directions) + 1)]
        hear = {"format": "mp3", "autoplay": True, "loop": False}
        silence = audio.to_preview(np.zeros(sr // 10), sr)  # no browser takes no bytes for a sound
        self._player = widgets.Audio(value=silence, **hear, layout=hidden["layout"])
        self._status = widgets.HTML()
        self.say(f"Bring a file of up to {UPLOAD_MB:g} MB, or click a point.")
        self.files.observe(self._guarded(self._brought), "value")
        self.button.on_click(self._guarded(self._walk))
        self.map.on_click(self._guarded(self._choose))
        self.map.on_drop(self._guarded(self._bring))
        self._follow(True)
        rows = [[self.files, self.steps, self.button], self.sliders]
        boxes = [widgets.HBox(row, layout={"flex_flow": "row wrap"}) for row in rows]
        return [*boxes, self._status, self._player, self._near, self._way]

    def say(self, text: str) -> None:
        """Show a sentence in the status lines; plain text, whatever it holds."""
        self.said = text
        self.map.send({"said": text})
        self._status.value = f'<p role="status">{html.escape(text)}</p>'

    def latent(self, i: int) -> np.ndarray:
        """Return the latent (K, T) of a point, of the corpus or of a file that was brought.

        Raises
        ------
        ValueError
            If there is no such point.
        """
        of_corpus, n = len(self._rows), len(self._rows) + len(self._new)
        if not 0 <= i < n:
            raise ValueError(f"there is no point {i}; choose one of 0 to {n - 1}")
        return np.array(self._z[self._rows[i]]) if i < of_corpus else self._new[i - of_corpus]

    def upload(self, name: str, content: bytes) -> pd.DataFrame:
        """Encode a file and put its windows on the map, selected.

        Parameters
        ----------
        name
            Its name, which is shown; of it only the suffix decides anything.
        content
            Its bytes, 100 million at most. Of a long file the first 200 windows are taken.

        Returns
        -------
        DataFrame
            The recordings of the corpus nearest to the file, the nearest first: of each the row of
            ``map.items`` that lies nearest to any window of the file, with its ``distance``.

        Raises
        ------
        ValueError
            If the file is too large or cannot be read.
        """
        if len(content) > UPLOAD_MB * 1e6:
            raise ValueError(
                f"{name!r} has {len(content) / 1e6:,.0f} MB and the limit is {UPLOAD_MB:g}; "
                "cut it, or convert it to mp3"
            )
        starts, sounds, z = self._encoded(name, content)
        vectors = self._compared(z)
        distances, near = neighbours.nearest(vectors, self.vectors, NEAR)
        items = pd.DataFrame({"item_id": name, "path": "", "start_s": starts, "label": YOURS})
        items = items.assign(end_s=items["start_s"] + self.listener.transform.window_s, split="")
        rows = self.map.add(self.plane.place(vectors), items, sounds, near)
        self._new += list(z)
        self.map.selected = rows.tolist()
        nearest = pd.DataFrame({"row": near.ravel(), "distance": distances.ravel()})
        nearest = nearest.sort_values("distance", kind="stable")
        listed = self.map.items.iloc[nearest["row"]].assign(distance=nearest["distance"].to_numpy())
        listed = listed.drop_duplicates("item_id").head(LISTED)
        _show(self._near, listed)
        first = f"the first {len(z)} segments" if len(z) == WINDOWS else f"{len(z)} segments"
        self.say(f"{name}: {first} on the map, selected; its neighbours are listed below.")
        return listed

    def _encoded(self, name: str, content: bytes) -> tuple[list[float], list, np.ndarray]:
        """Return starts (B,) in seconds, sounds (N,) and latents (B, K, T) of a file's windows."""
        suffix, what = Path(name).suffix.lower(), self.listener.transform
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"brought{suffix if suffix in decoders.SUFFIXES else ''}"
            path.write_bytes(content)
            try:
                cut = islice(windows.windows(path, what.sr, what.window_s), WINDOWS)
                starts, sounds = zip(*cut, strict=True)
                batches = encode(self._model, path, what)
                z = np.concatenate([z for _, z in islice(batches, WINDOWS // BATCH)])
            except AudioError as error:
                raise ValueError(f"{name!r}: {error.advice}") from None
        return list(starts), list(sounds), z.reshape(-1, *self._z.shape[1:])

    def path(self, a: int, b: int, steps: int = 5) -> np.ndarray:
        """Go from one point to another in equal steps; draw the way and let it be heard.

        Parameters
        ----------
        a, b
            Two points.
        steps
            How many sounds, both ends among them.

        Returns
        -------
        ndarray
            Latents (steps, K, T): the first is that of `a`, the last that of `b`.

        Raises
        ------
        ValueError
            If there is no such point, or there are fewer than two steps.
        """
        path = self.listener.interpolate(self.latent(a), self.latent(b), steps)
        self._draw(path, a, b)
        self.heard = sounds = self.listener.decode(path)
        names = [f"{p:.0%} of the way from A to B" for p in np.linspace(0, 1, steps)]
        with TemporaryDirectory() as scratch:
            _show(self._way, _written(sounds, names, self.listener.sr, Path(scratch)))
        self._hear(np.concatenate(sounds))
        self.say(f"From {self._named(a)} to {self._named(b)} in {steps} steps, each one below.")
        return path

    def move(self, i: int, amounts: Sequence[float]) -> np.ndarray:
        """Move a point along the principal directions; draw and play what the model makes of it.

        Parameters
        ----------
        i
            A point.
        amounts
            Standard deviations along each direction.

        Returns
        -------
        ndarray
            The moved latent (K, T).

        Raises
        ------
        ValueError
            If there is no such point, or another number of amounts.
        """
        if len(amounts) != len(self.directions):
            raise ValueError(f"{len(amounts)} amounts for {len(self.directions)} directions")
        z = self.latent(i)
        moved = z + np.tensordot(np.asarray(amounts, np.float32), self.directions, 1)
        self._draw(np.stack([z, moved]), i)
        self.heard = self.listener.decode(moved[None])
        self._hear(self.heard[0])
        self.say(f"{self._named(i)}, moved by {', '.join(f'{a:+.1f}' for a in amounts)}.")
        return moved

    def _draw(self, path: np.ndarray, a: int, b: int | None = None) -> None:
        """Draw a path of latents (S, K, T) that begins at a point, and may end at one."""
        points = np.array(self.plane.place(self._compared(path)), float)
        points[0] = self.map.place()[a]  # UMAP would put a window of the corpus a little aside
        points[-1] = points[-1] if b is None else self.map.place()[b]
        self.map.trail = points.ravel().tolist()

    def _hear(self, y: np.ndarray) -> None:
        """Play a sound (N,)."""
        self._player.value = audio.to_preview(y, self.listener.sr)
        self._player.layout.display = None

    def _named(self, i: int) -> str:
        """Name a point by title and time."""
        row = self.map.items.iloc[i]
        return f"{row['title']} at {row['start_s']:.1f} s"

    def _guarded(self, act: Callable) -> Callable:
        """Return a callback that reports what goes wrong: ipywidgets would lose it."""

        def guarded(argument: object) -> None:
            try:
                act(argument)
            except (ValueError, RuntimeError, OSError) as error:
                self.say(str(error))
            except Exception as error:
                log.warning("live: %r", error, exc_info=True)
                self.say(f"That failed ({type(error).__name__}: {error}); the log says where.")

        return guarded

    def _brought(self, change: dict) -> None:
        """Take files from the upload button."""
        files = uploaded(change["new"])
        if files and isinstance(change["new"], tuple):
            self.files.value = ()  # so that the same file can be brought again
        for file in files:
            self._bring(file)

    def _bring(self, file: tuple[str, bytes]) -> None:
        """Encode a file that was chosen, or dropped on the map."""
        self.say(f"Encoding {file[0]} ...")
        self.upload(*file)

    def _choose(self, i: int) -> None:
        """Remember the last two points that were clicked."""
        if i not in list(self._last)[-1:]:
            self._last.append(i)
        self._follow(False)  # the new point has not been moved yet
        for slider in self.sliders:
            slider.value = 0.0
        self._follow(True)
        self.button.disabled = len(self._last) < 2
        self.say(
            "; ".join(f"{x}: {self._named(j)}" for x, j in zip("AB", self._last, strict=False))
        )

    def _follow(self, on: bool) -> None:
        """Answer to the sliders, or let them be."""
        for slider in self.sliders:
            if on:
                slider.observe(self._slid, "value")
            else:
                slider.unobserve(self._slid, "value")

    def _slid(self, _: dict) -> None:
        """Move the last point by what the sliders say."""
        self._guarded(self._move_last)([slider.value for slider in self.sliders])

    def _move_last(self, amounts: list[float]) -> None:
        """Move the point that was clicked last."""
        if not self._last:
            raise ValueError("Click a point first: the sliders move the last one.")
        self.move(self._last[-1], amounts)

    def _walk(self, _: widgets.Button) -> None:
        """Go from A to B, the last two points."""
        if len(self._last) < 2:
            raise ValueError("Click two points first: the way goes from A to B.")
        self.path(*self._last, self.steps.value)


def directions(z: np.ndarray, n: int = DIRECTIONS) -> np.ndarray:
    """Find the first principal directions of latents, the same in every frame.

    Directions of whole windows would hold when something happens, and windows begin anywhere: of
    waveforms the first one explains 1 % of the variance and is hardly heard, per frame 6 %.

    Parameters
    ----------
    z
        Latents (B, K, T).
    n
        How many directions; fewer where there are fewer maps or frames.

    Returns
    -------
    ndarray
        (n, K, 1) float32: one standard deviation along each.
    """
    frames = z.transpose(0, 2, 1).reshape(-1, z.shape[1])
    model = PCA(min(n, *frames.shape), svd_solver="full").fit(frames)
    axes = model.components_ * np.sqrt(model.explained_variance_)[:, None]  # n x K
    return axes[..., None].astype(np.float32)


def uploaded(value: dict | Sequence[dict]) -> list[tuple[str, bytes]]:
    """Return the name and the bytes of each file in the value of a FileUpload.

    Parameters
    ----------
    value
        A tuple of dictionaries in ipywidgets 8; by name in ipywidgets 7.
    """
    if isinstance(value, dict):
        return [(name, bytes(file["content"])) for name, file in value.items()]
    return [(file["name"], bytes(file["content"])) for file in value]


def _some(z: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Take rows of latents (B, K, T), evenly, that hold as many frames as are needed."""
    most = min(len(rows), -(-FRAMES // z.shape[2]))
    return z[rows[np.linspace(0, len(rows) - 1, most).astype(int)]]


def _slider(number: int) -> widgets.FloatSlider:
    """Make the slider of a direction, in standard deviations."""
    about = f"Direction {number}"
    return widgets.FloatSlider(0.0, min=-3, max=3, continuous_update=False, description=about)


def _written(sounds: np.ndarray, names: Sequence[str], sr: int, folder: Path) -> pd.DataFrame:
    """Write sounds (S, N) into a folder; return them as rows that play."""
    paths = [audio.write(folder / f"{i}.wav", y, sr) for i, y in enumerate(sounds)]
    items = pd.DataFrame({"item_id": names, "path": [str(path) for path in paths]})
    return items.assign(start_s=0.0, end_s=sounds.shape[1] / sr)


def _show(rows: Rows, items: pd.DataFrame) -> None:
    """Show other rows, and the table if it was hidden."""
    rows.show(items)
    rows.layout.display = None
