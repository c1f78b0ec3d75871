"""Go from one track to another through a folder, in steps of equal size."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from musiclatent import audio
from musiclatent.apps.own import new_music
from musiclatent.data import folders
from musiclatent.edm import playlist_files
from musiclatent.files import write_file
from musiclatent.latents.representations import Representation

LIKELY = 5  # candidates for each step, among which copies of one recording are looked for


def path(
    representation: Representation, ends: tuple[Path, Path], *, music: Path, out: Path, n: int
) -> pd.DataFrame:
    """Choose tracks of a folder that lead from one track to another.

    Between both a straight line is drawn in the space of the representation, and for n - 2 equal
    steps on it the tracks are taken whose distances to them are least in all; no recording comes
    twice.

    Parameters
    ----------
    representation
        By what recordings are compared.
    ends
        The first and the last track, files of any folder.
    music
        The folder that the others are taken of.
    out
        Where the path goes: ``path.m3u8``, ``path.html`` and ``path.csv``.
    n
        How many tracks, both ends among them; 3 or more.

    Returns
    -------
    DataFrame
        step (from 1), title, distance (from its step; 0 for both ends), path.

    Raises
    ------
    AudioError
        If one of the ends cannot be read.
    ValueError
        If n is below 3, or the folder has too few tracks that are other recordings.
    """
    if n < 3:
        raise ValueError(f"a path of {n} tracks has nothing between its ends; ask for 3 or more")
    paths = [str(Path(end).absolute()) for end in ends]
    items = folders.index(Path(music))
    items = items[items["reason"].eq("") & ~items["path"].isin(paths)]
    found = list(new_music.measured(representation, [*paths, *items["path"]], out / "vectors"))
    for end, vector in zip(paths, found[:2], strict=True):
        if isinstance(vector, str):
            raise ValueError(f"{end}: {vector}")
    usable = [not isinstance(vector, str) for vector in found[2:]]
    items = items[usable].reset_index(drop=True)
    vectors = np.stack([vector for vector in found if not isinstance(vector, str)])
    between = _between(representation.compared(vectors), items, paths, out, n)
    rows = [(Path(paths[0]).name, 0.0, paths[0]), *between, (Path(paths[1]).name, 0.0, paths[1])]
    tracks = pd.DataFrame(rows, columns=["title", "distance", "path"])
    tracks.insert(0, "step", tracks.index + 1)
    _write(representation.name, tracks, Path(music), out)
    return tracks


def _between(
    z: np.ndarray, items: pd.DataFrame, paths: list[str], out: Path, n: int
) -> list[tuple[str, float, str]]:
    """Choose the tracks between the ends, whose vectors are the first two of z (2 + B, D)."""
    share = np.linspace(0, 1, n)[1:-1, None]
    away = cdist((1 - share) * z[0] + share * z[1], z[2:])  # n - 2 x B
    likely = np.unique(np.argsort(away, axis=1, kind="stable")[:, : LIKELY + n])
    likely = likely[np.argsort(away[:, likely].min(axis=0), kind="stable")]
    groups = new_music.recordings([*paths, *items["path"].iloc[likely]], out)
    first = ~pd.Series(groups).duplicated()[2:].to_numpy()
    kept = likely[first]
    if len(kept) < n - 2:
        raise ValueError(
            f"the folder has {len(kept)} other recordings near the path; ask for at most "
            f"{len(kept) + 2} tracks, or name a larger folder"
        )
    steps, columns = linear_sum_assignment(away[:, kept])
    return [
        (items["item_id"].iloc[row], float(away[step, row]), items["path"].iloc[row])
        for step, row in zip(steps, kept[columns], strict=True)
    ]


def _write(compared_by: str, tracks: pd.DataFrame, music: Path, out: Path) -> None:
    """Write the path as a playlist, a page and a table."""
    ends = [audio.info(path).seconds for path in tracks["path"]]
    sections = tracks.assign(start_s=0.0, end_s=ends, item_id=tracks["title"])
    titles = list(tracks["title"])
    name = f"{titles[0]} to {titles[-1]}"
    playlist_files.write_playlist(out / "path.m3u8", sections, f"from {name}")
    page = new_music.page(compared_by, Path(tracks["path"].iloc[0]), music, tracks, path=True)
    write_file(out / "path.html", page)
    write_file(out / "path.csv", tracks.to_csv(index=False))
