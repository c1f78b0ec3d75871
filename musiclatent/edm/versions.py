"""Which sections are of one tune: harmony laid over harmony, timbre, and the tracks around them.

A version may begin elsewhere and be played by others. So the pitch classes of a section are laid
over the other track at every place. Where a version keeps its sounds, timbre says so. And sections
whose tracks agree on the whole are more likely of one tune than two that agree by chance.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist, squareform

from musiclatent.analysis import statistics

# Shares of timbre and of the tracks in the distance, by `benchmarks/versions.py` on demo tunes with
# known versions: the best, and of equally good ones that with the most timbre, for the versions of
# the demo have other instruments, and those of others often keep theirs.
TIMBRE_SHARE = 0.4
TRACK_SHARE = 2.0
MOST = 4_000  # sections: every one is compared with every other
FAINT = 1e-3  # of the mean energy: what is fainter has no harmony to agree with
TIMBRE = (
    *(f"mfcc{i}_mean" for i in range(1, 21)),
    *(f"mfcc{i}_var" for i in range(1, 21)),
    "spectral_centroid_mean",
    "zero_crossing_rate_mean",
    "rms_mean",
)


def align_harmony(harmony: np.ndarray, items: Sequence[str], places: Sequence[int]) -> np.ndarray:
    """Lay every section over every track and keep where its harmony agrees best with each section.

    Parameters
    ----------
    harmony
        Pitch classes over time (B, 12, T), as `tonal.Harmony` gives them.
    items
        Track of each section (B,).
    places
        Place of each section in its track (B,), counted from 0; those left out count as silent.

    Returns
    -------
    ndarray
        (B, B) float32, symmetric, from 0, the same harmony, to 2: one minus the largest correlation
        of one section with what of the other's track has its middle in the other section. 1 for
        silence.

    Raises
    ------
    ValueError
        If shapes do not fit together, values are not finite, or there are more than `MOST`.
    """
    harmony, items, places = np.asarray(harmony, np.float32), np.asarray(items), np.asarray(places)
    if harmony.ndim != 3 or not harmony.size or not np.isfinite(harmony).all():
        raise ValueError(f"harmony has shape {harmony.shape}; give finite (B, 12, T)")
    if not len(items) == len(places) == len(harmony):
        raise ValueError(
            f"there are {len(harmony)} sections but {len(items)} tracks and {len(places)} places"
        )
    if len(harmony) > MOST:
        raise ValueError(f"{len(harmony)} sections are more than {MOST}; compare fewer tracks")
    query = harmony - harmony.mean(axis=2, keepdims=True)
    energy = np.square(query).sum(axis=(1, 2))
    query /= np.sqrt(np.maximum(energy, max(FAINT * float(energy.mean()), 1e-9)))[:, None, None]
    distances = np.empty((len(harmony), len(harmony)), np.float32)
    for name in pd.unique(items):
        rows = np.flatnonzero(items == name)
        distances[:, rows] = 1 - _over_track(query, harmony[rows], places[rows])
    return np.minimum(distances, distances.T)


def _over_track(query: np.ndarray, harmony: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Correlate sections (B, 12, T) with a track at every place: the best by section (B, b)."""
    width = query.shape[2]
    track = np.zeros((12, (places.max() + 1) * width), np.float32)
    for place, part in zip(places, harmony, strict=True):
        track[:, place * width : (place + 1) * width] = part
    length, starts = track.shape[1], track.shape[1] - width + 1
    spectra = np.fft.rfft(query, length).conj() * np.fft.rfft(track)  # B x 12 x F
    product = np.fft.irfft(spectra.sum(axis=1), length)[:, :starts]
    windows = np.lib.stride_tricks.sliding_window_view(track, width, axis=1)  # 12 x starts x T
    energy = (windows.var(axis=2) * width).sum(axis=0)
    agreement = product / np.sqrt(np.maximum(energy, max(FAINT * float(energy.mean()), 1e-9)))
    middle = (np.arange(starts) + width // 2) // width  # the place that holds it
    return np.stack([agreement[:, middle == place].max(axis=1) for place in places], axis=1)


def timbre_distance(sections: pd.DataFrame) -> np.ndarray:
    """Compute how far apart sections sound on the whole.

    Parameters
    ----------
    sections
        One row per section with the columns `TIMBRE`.

    Returns
    -------
    ndarray
        (B, B) float32: Euclidean distance of the standardised columns, of deviations rather than
        variances.
    """
    x = sections[list(TIMBRE)].to_numpy(np.float64, copy=True)
    spread = [name.endswith("_var") for name in TIMBRE]
    x[:, spread] = np.sqrt(x[:, spread])
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-12)
    return squareform(pdist(x)).astype(np.float32)


def track_distance(distances: np.ndarray, items: Sequence[str]) -> np.ndarray:
    """Compare whole tracks: the mean distance of the sections of one to the nearest of the other.

    Parameters
    ----------
    distances
        (B, B) of sections.
    items
        Track of each section (B,).

    Returns
    -------
    ndarray
        (B, B): for each pair of sections the distance of their tracks, in both directions.
    """
    names, of_track = np.unique(np.asarray(items), return_inverse=True)
    of = [of_track == i for i in range(len(names))]
    nearest = np.stack([distances[:, rows].min(axis=1) for rows in of], axis=1)  # B x tracks
    mean = np.stack([nearest[rows].mean(axis=0) for rows in of])
    mean = (mean + mean.T) / 2
    return mean[np.ix_(of_track, of_track)]


def version_distance(
    sections: pd.DataFrame,
    aligned: np.ndarray,
    *,
    timbre_share: float = TIMBRE_SHARE,
    track_share: float = TRACK_SHARE,
) -> np.ndarray:
    """Add harmony and timbre, each in units of its median, and how their tracks agree.

    Parameters
    ----------
    sections
        item_id and the columns `TIMBRE`.
    aligned
        (B, B) of `align_harmony`.
    timbre_share, track_share
        Shares of timbre and of `track_distance`; 0 leaves it out.

    Returns
    -------
    ndarray
        (B, B) float.

    Raises
    ------
    ValueError
        If sizes differ.
    """
    _validate(aligned, sections)
    timbre = timbre_distance(sections)
    units = [max(float(np.median(part)), 1e-9) for part in (aligned, timbre)]
    distances = aligned / units[0] + timbre_share * timbre / units[1]
    return distances + track_share * track_distance(distances, sections["item_id"])


def _validate(distances: np.ndarray, sections: pd.DataFrame) -> None:
    """Refuse distances of other sections."""
    if distances.shape != (len(sections), len(sections)):
        raise ValueError(f"there are {len(sections)} sections but distances {distances.shape}")


def find_duplicate_tracks(sections: pd.DataFrame) -> dict[str, str]:
    """Find tracks that hold the same samples as an earlier one.

    Parameters
    ----------
    sections
        One row per section: item_id, start_s, and descriptors (float columns).

    Returns
    -------
    dict
        item_id of each duplicate -> item_id of the first track whose sections all have equal
        descriptors.
    """
    columns = sections.select_dtypes("float").columns.drop(["start_s", "end_s"], errors="ignore")
    first = {}
    duplicates = {}
    for name, rows in sections.groupby("item_id", sort=False):
        mark = rows.sort_values("start_s")[columns].to_numpy().tobytes()
        if first.setdefault(mark, name) != name:
            duplicates[name] = first[mark]
    return duplicates


def nearest_of_other_tracks(distances: np.ndarray, items: Sequence[str]) -> np.ndarray:
    """Return the row of the nearest section (B,) of another track."""
    items = np.asarray(items)
    distances = np.where(items[:, None] == items[None], np.inf, distances)
    if not np.isfinite(distances.min(axis=1)).all():
        raise ValueError("there is one track only; the version test needs two or more")
    return distances.argmin(axis=1)


def version_retrieval(sections: pd.DataFrame, distances: np.ndarray) -> pd.DataFrame:
    """Report for every section of a tune with several versions whether the nearest is of that tune.

    Parameters
    ----------
    sections
        item_id and group (the tune), one row per section; silent ones and duplicates left out.
    distances
        (B, B) of any view; sections of the same track do not count.

    Returns
    -------
    DataFrame
        One row per such section: row (its place in `sections`), item_id, group, nearest (row),
        right.

    Raises
    ------
    ValueError
        If no tune has several versions, or sizes differ.
    """
    _validate(distances, sections)
    tunes = sections["group"].to_numpy(str)
    several = (sections.groupby("group")["item_id"].transform("nunique") > 1).to_numpy()
    if not several.any():
        raise ValueError("no tune has several versions; name versions alike, such as tune-2.mp3")
    near = nearest_of_other_tracks(distances, sections["item_id"])
    table = sections[["item_id", "group"]].reset_index(drop=True)
    table = table.assign(row=table.index, nearest=near, right=tunes[near] == tunes)
    return table[several].reset_index(drop=True)


def summarise_by_track(tested: pd.DataFrame) -> pd.DataFrame:
    """Sum up `version_retrieval` by track: item_id, sections, share right, its 95 % interval."""
    rows = tested.groupby("item_id", sort=True)["right"].agg(sections="size", right="mean")
    bounds = [statistics.wilson(row.right, row.sections) for row in rows.itertuples()]
    return rows.assign(low=[low for low, _ in bounds], high=[high for _, high in bounds])
