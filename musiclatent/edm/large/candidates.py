"""Versions among more sections than can all be compared: an index names the tracks to compare.

Which tracks are worth laying over each other is taken from what of their harmony stays in another
key and at another place, in every tempo that is tried. Only these are then compared, exactly. What
is kept grows with the number of sections, not with its square: of each section the nearest in each
track that its own is compared with.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import fft
from scipy.spatial.distance import cdist
from sklearn.metrics import pairwise_distances

from musiclatent.analysis import neighbours
from musiclatent.edm import versions
from musiclatent.edm.collection import Collection
from musiclatent.files import progress

TRACKS = 50  # that each track is compared with, beside those that it is a candidate of
SECTIONS = 10  # nearest of each section, in views of vectors, whose tracks are compared
STEPS = 2  # places in a section at which a window begins
SAME_KEY = 2.0  # margin by which no section is ever moved
COLUMNS = {"row": "i4", "own": "i4", "other": "i4", "nearest": "i4", "distance": "f4"}
Between = Callable[[np.ndarray, np.ndarray], np.ndarray]


def near_in_harmony(
    harmony: np.ndarray, items: Sequence[str], places: Sequence[int], k: int = TRACKS
) -> np.ndarray:
    """Find which tracks are worth laying over each other.

    Parameters
    ----------
    harmony, items, places
        As `versions.align_harmony` takes them.
    k
        How many tracks each is compared with, at least; all where there are fewer.

    Returns
    -------
    array (P, 2), int
        Pairs of tracks, numbered as they first appear in `items`; the smaller number first.

    Raises
    ------
    ValueError
        As `versions.align_harmony`, but for how many there are; or if there is one track only.

    Notes
    -----
    Ellis and Bertin-Mahieux (2012), Large-scale cover song recognition using the 2D Fourier
    transform magnitude: shifts in pitch and in time do not change it.
    """
    harmony, items, places = np.asarray(harmony, np.float32), np.asarray(items), np.asarray(places)
    versions.validate_harmony(harmony, items, places)
    tracks = [(harmony[rows], places[rows]) for rows in _rows_of(_numbers(items))]
    as_they_are = np.stack([_invariant(*track, 1) for track in tracks])
    found = []
    for tempo in versions.TEMPI:
        asked = as_they_are if tempo == 1 else np.stack([_invariant(*t, tempo) for t in tracks])
        distances, near = neighbours.nearest(asked, as_they_are, k + 1)
        a = np.repeat(np.arange(len(tracks)), near.shape[1])
        found.append(pd.DataFrame({"a": a, "b": near.ravel(), "distance": distances.ravel()}))
    table = pd.concat(found).sort_values(["distance", "a", "b"], kind="stable")
    table = table[table["a"] != table["b"]].drop_duplicates(["a", "b"])
    return _pairs(table.groupby("a").head(k)[["a", "b"]].to_numpy())


def _numbers(items: Sequence[str]) -> np.ndarray:
    """Return the number of each track (B,), as they first appear; one alone is refused."""
    of_track, names = pd.factorize(np.asarray(items))
    if len(names) < 2:
        raise ValueError("there is one track only; the version test needs two or more")
    return of_track


def _rows_of(of_track: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each track."""
    order = np.argsort(of_track, kind="stable")
    return np.split(order, np.cumsum(np.bincount(of_track))[:-1])


def _pairs(pairs: np.ndarray) -> np.ndarray:
    """Return each pair once, the smaller number first."""
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _invariant(harmony: np.ndarray, places: np.ndarray, tempo: float) -> np.ndarray:
    """Return what of a track (b, 12, T) stays in any key, wherever its music begins: (D,)."""
    width = harmony.shape[2]
    track = versions.faster(versions.whole(harmony, places), tempo, width)
    windows = np.lib.stride_tricks.sliding_window_view(track, width, axis=1)
    windows = windows[:, :: max(1, width // STEPS)].transpose(1, 0, 2)
    moving = windows - windows.mean(axis=2, keepdims=True)
    x = np.abs(fft.rfft2(moving, axes=(1, 2)))[:, :, 1:]
    x = x.reshape(len(x), -1)
    mean = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)).mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)


def near_in_vectors(z: np.ndarray, items: Sequence[str], k: int = SECTIONS) -> np.ndarray:
    """Find the pairs of tracks (P, 2) in which a section is one of the k nearest of another.

    Parameters
    ----------
    z
        Vectors (B, D).
    items, k
        Track of each (B,), and how many sections of other tracks are asked for.

    Raises
    ------
    ValueError
        As `neighbours.nearest_others`, or if there is one track only.
    """
    of_track = _numbers(items)
    near = neighbours.nearest_others(z, of_track, k)
    a = np.repeat(of_track, near.shape[1])[near.ravel() >= 0]
    return _pairs(np.stack([a, of_track[near[near >= 0]]], axis=1))


def compare(pairs: np.ndarray, items: Sequence[str], between: Between) -> pd.DataFrame:
    """Compare tracks, and keep for each section the nearest of each other track.

    Parameters
    ----------
    pairs
        Tracks (P, 2), numbered as they first appear in `items`.
    items
        Track of each section (B,).
    between
        Distances (a, b) between the sections of some rows (a,), one track, and others (b,).

    Returns
    -------
    DataFrame
        row (a section), own and other (numbers of tracks), nearest (row of the other track),
        distance; both ways of each pair.
    """
    rows = _rows_of(_numbers(items))
    found: dict[str, list[np.ndarray]] = {name: [] for name in COLUMNS}
    for one, other in progress(pairs, "compare", "pair", delay=2):
        distances = between(rows[one], rows[other])
        for a, b, d in ((one, other, distances), (other, one, distances.T)):
            best = d.argmin(axis=1)
            values = rows[a], np.full(len(d), a), np.full(len(d), b), rows[b][best], d.min(axis=1)
            for name, value in zip(COLUMNS, values, strict=True):
                found[name].append(value.astype(COLUMNS[name]))
    return pd.DataFrame({name: np.concatenate(parts) for name, parts in found.items()})


def harmony_between(
    harmony: np.ndarray,
    items: Sequence[str],
    places: Sequence[int],
    *,
    margin: float = versions.MARGIN,
) -> Between:
    """Return what measures distances as `versions.align_harmony` does, of two tracks at a time.

    Parameters
    ----------
    harmony, items, places, margin
        As there.
    """
    harmony, places = np.asarray(harmony, np.float32), np.asarray(places)
    query = versions.queries(harmony)

    def one_way(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Lay the sections of one track over another."""
        of_track = np.zeros(len(a), int)
        return versions.lay_over(query[a], of_track, harmony[b], places[b], margin=margin)

    return lambda a, b: np.minimum(one_way(a, b), one_way(b, a).T)


def vectors_between(z: np.ndarray) -> Between:
    """Return what measures Euclidean distances of vectors (B, D) of two tracks at a time."""
    return lambda a, b: cdist(z[a], z[b])


def with_tracks(found: pd.DataFrame, share: float = versions.TRACK_SHARE) -> pd.DataFrame:
    """Add a share of the distance of tracks, see `versions.track_distance`, to `compare`."""
    mean = found.groupby(["own", "other"])["distance"].transform("mean")
    both = found.assign(mean=mean, a=found[["own", "other"]].min(axis=1))
    both = both.assign(b=found[["own", "other"]].max(axis=1))
    one_way = both.groupby(["a", "b", "own"])["mean"].first()
    track = one_way.groupby(["a", "b"]).mean().rename("track")
    track = both[["a", "b"]].join(track, on=["a", "b"])["track"]
    return found.assign(distance=found["distance"] + share * track)


def nearest_of_other_tracks(found: pd.DataFrame) -> np.ndarray:
    """Return the row of the nearest section (B,) of another track, from `compare`."""
    order = found.sort_values(["row", "distance", "nearest"], kind="stable")
    return order.drop_duplicates("row")["nearest"].to_numpy()


def compare_views(tracks: Collection, vectors: Mapping[str, np.ndarray]) -> dict[str, pd.DataFrame]:
    """Ask every view for versions: all sections with all, or candidates above `versions.MOST`.

    Parameters
    ----------
    tracks
        A collection.
    vectors
        Name of a view of its sections -> (B, D).

    Returns
    -------
    dict
        NAME and NAME_tracks -> `versions.version_retrieval`, of the vectors and of ``timbre``,
        ``harmony_same_key``, ``harmony``, and up to `versions.MOST` sections ``harmony_timbre``.

    Raises
    ------
    ValueError
        As `versions.version_retrieval` and `near_in_harmony`.
    """
    sections, tested = tracks.sections, {}
    if len(sections) <= versions.MOST:
        return versions.compare_views(_matrices(tracks, vectors), sections)
    versions.validate_versions(sections)
    for name, found in _views(tracks, vectors):
        for key, table in ((name, found), (f"{name}_tracks", with_tracks(found))):
            tested[key] = versions.judge_nearest(sections, nearest_of_other_tracks(table))
    return tested


def _matrices(tracks: Collection, vectors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the distances (B, B) of all sections in each view."""
    aligned = tracks.aligned()
    distances = {name: pairwise_distances(z) for name, z in vectors.items()}
    distances["timbre"] = versions.timbre_distance(tracks.sections)
    distances["harmony_same_key"] = tracks.aligned(margin=SAME_KEY)
    distances["harmony"] = aligned
    return distances | {"harmony_timbre": versions.version_distance(tracks.sections, aligned)}


def _views(
    tracks: Collection, vectors: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each view and what `compare` finds in it."""
    items = tracks.sections["item_id"]
    for name, z in {**vectors, "timbre": versions.timbre(tracks.sections)}.items():
        yield name, compare(near_in_vectors(z, items), items, vectors_between(z))
    heard = tracks.harmony(), items, tracks.positions
    pairs = near_in_harmony(*heard)
    for name, margin in (("harmony_same_key", SAME_KEY), ("harmony", versions.MARGIN)):
        yield name, compare(pairs, items, harmony_between(*heard, margin=margin))
