"""Which sections are of one tune: harmony laid over harmony, timbre, and the tracks around them.

A version may begin elsewhere, in another key or twice as slow, and be played by others. So the
pitch classes of a section are laid over the other track at every place, in all keys. Where a
version keeps its sounds, timbre says so. And sections whose tracks agree on the whole are more
likely of one tune than two that agree by chance, whatever they are compared by.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import fft
from scipy.spatial.distance import pdist, squareform

from musiclatent.analysis import statistics

# By `benchmarks/versions.py` on embedded tunes with known versions: harmony and tracks are in use.
# Those tunes choose no timbre, for their versions have other instruments; its share is older.
MARGIN = 0.2
TRACK_SHARE = 4.0
TIMBRE_SHARE = 0.4
# How many times as slow a track is taken; so the other way round is tried as well. By steps of an
# eighth the ends of a section come less than a second apart.
TEMPI = (1, 9 / 8, 5 / 4, 2)
MOST = 4_000  # sections: every one is compared with every other
FAINT = 1e-3  # of the mean energy: what is fainter has no harmony to agree with
TIMBRE = (
    *(f"mfcc{i}_mean" for i in range(1, 21)),
    *(f"mfcc{i}_var" for i in range(1, 21)),
    "spectral_centroid_mean",
    "zero_crossing_rate_mean",
    "rms_mean",
)


def align_harmony(
    harmony: np.ndarray,
    items: Sequence[str],
    places: Sequence[int],
    *,
    margin: float = MARGIN,
) -> np.ndarray:
    """Lay every section over every track and keep where its harmony agrees best with each section.

    Two tracks may differ in key, by any of twelve transpositions, and one may be slower, by as much
    as one of `TEMPI`.

    Parameters
    ----------
    harmony
        Pitch classes over time (B, 12, T), as `tonal.Harmony` gives them.
    items
        Track of each section (B,).
    places
        Place of each section in its track (B,), counted from 0; those left out count as silent.
    margin
        By how much sections must agree better in another key or tempo, for there are 47 of those
        that noise may agree in; 2 leaves them out.

    Returns
    -------
    ndarray
        (B, B) float32, symmetric, from 0, the same harmony, upwards: one minus the largest
        correlation of one section with what of the other's track has its middle in the other
        section, and the margin more where it was moved. 1 for silence. For two tracks one key and
        one tempo are taken, those in which all their sections agree best.

    Raises
    ------
    ValueError
        If shapes do not fit together, values are not finite, or there are more than `MOST`.

    Notes
    -----
    Serra, Gomez and Herrera (2008), Transposing chroma representations to a common key: one
    transposition of the pitch classes for a pair of tracks.
    """
    harmony, items, places = np.asarray(harmony, np.float32), np.asarray(items), np.asarray(places)
    validate_harmony(harmony, items, places)
    if len(harmony) > MOST:
        raise ValueError(f"{len(harmony)} sections are more than {MOST}; compare fewer tracks")
    query = queries(harmony)
    of_track, names = pd.factorize(items)
    distances = np.empty((len(harmony), len(harmony)), np.float32)
    for code in range(len(names)):
        rows = np.flatnonzero(of_track == code)
        track = harmony[rows], places[rows]
        distances[:, rows] = lay_over(query, of_track, *track, margin=margin)
    return np.minimum(distances, distances.T)


def queries(harmony: np.ndarray) -> np.ndarray:
    """Return the movement of the pitch classes of sections (B, 12, T) at one strength."""
    query = harmony - harmony.mean(axis=2, keepdims=True)
    energy = np.square(query).sum(axis=(1, 2))
    query /= np.sqrt(np.maximum(energy, max(FAINT * float(energy.mean()), 1e-9)))[:, None, None]
    return query


def lay_over(
    query: np.ndarray,
    of_track: np.ndarray,
    harmony: np.ndarray,
    places: np.ndarray,
    *,
    margin: float = MARGIN,
) -> np.ndarray:
    """Lay sections over one track, all of a track in one key and one tempo.

    Parameters
    ----------
    query
        Sections (B, 12, T), as `queries` gives them.
    of_track
        Number of the track of each (B,), from 0 on.
    harmony, places
        Sections (b, 12, T) of the track that they are laid over, and their places in it (b,).
    margin
        As in `align_harmony`.

    Returns
    -------
    ndarray
        (B, b) float32, distances in this direction.
    """
    tempi = TEMPI if margin < 2 else TEMPI[:1]  # no correlation is 2 better than another
    tried = [_over_track(query, harmony, places, tempo) for tempo in tempi]
    ways = np.concatenate(tried)  # 48 or 12 x B x b; the first is as they are
    ways[1:] -= margin
    return 1 - _best_together(ways, of_track)


def validate_harmony(harmony: np.ndarray, items: np.ndarray, places: np.ndarray) -> None:
    """Refuse what cannot be aligned.

    Raises
    ------
    ValueError
        If shapes do not fit together, or values are not finite.
    """
    if harmony.ndim != 3 or not harmony.size or not np.isfinite(harmony).all():
        raise ValueError(f"harmony has shape {harmony.shape}; give finite (B, 12, T)")
    if not len(items) == len(places) == len(harmony):
        raise ValueError(
            f"there are {len(harmony)} sections but {len(items)} tracks and {len(places)} places"
        )


def _over_track(
    query: np.ndarray, harmony: np.ndarray, places: np.ndarray, tempo: float
) -> np.ndarray:
    """Correlate (B, 12, T) with a track in each key at every place: the best (12, B, b)."""
    width = query.shape[2]
    track = faster(whole(harmony, places), tempo, width)
    length, starts = track.shape[1], track.shape[1] - width + 1
    # Over classes and time at once: twelve keys cost little more than one.
    spectra = fft.rfftn(query, (12, length), axes=(1, 2)).conj()
    product = fft.irfftn(spectra * fft.rfftn(track), (12, length), axes=(1, 2))[:, :, :starts]
    windows = np.lib.stride_tricks.sliding_window_view(track, width, axis=1)  # 12 x starts x T
    energy = (windows.var(axis=2) * width).sum(axis=0)
    agreement = product / np.sqrt(np.maximum(energy, max(FAINT * float(energy.mean()), 1e-9)))
    middle = (np.arange(starts) + width // 2) * tempo // width  # the place that holds it
    found = [agreement[:, :, middle == place].max(axis=2, initial=-1) for place in places]
    return np.stack(found, axis=2).transpose(1, 0, 2)


def whole(harmony: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Join sections (b, 12, T) of a track at their places (b,): (12, N)."""
    width = harmony.shape[2]
    track = np.zeros((12, (places.max() + 1) * width), np.float32)
    for place, part in zip(places, harmony, strict=True):
        track[:, place * width : (place + 1) * width] = part
    return track


def faster(track: np.ndarray, tempo: float, width: int) -> np.ndarray:
    """Average as many frames of a track (12, N) into one; silence follows less than a section."""
    frames = int(track.shape[1] / tempo)
    total = np.pad(np.cumsum(track, axis=1, dtype=float), ((0, 0), (1, 0)))
    edges = np.arange(frames + 1) * tempo
    before = np.minimum(edges.astype(int), track.shape[1] - 1)
    part = edges - before
    total = (1 - part) * total[:, before] + part * total[:, before + 1]
    track = (np.diff(total, axis=1) / tempo).astype(np.float32)
    return np.pad(track, ((0, 0), (0, max(0, width - frames))))


def _best_together(ways: np.ndarray, of_track: np.ndarray) -> np.ndarray:
    """Take, for all sections of a track, the way (W, B, b) in which it agrees best: (B, b)."""
    nearest = pd.DataFrame(ways.max(axis=2).T)  # B x W
    best = nearest.groupby(of_track).mean().to_numpy().argmax(axis=1)
    return ways[best[of_track], np.arange(len(of_track))]


def timbre(sections: pd.DataFrame) -> np.ndarray:
    """Return how sections sound on the whole.

    Parameters
    ----------
    sections
        One row per section with the columns `TIMBRE`.

    Returns
    -------
    ndarray
        (B, D): the standardised columns, of deviations rather than variances.
    """
    x = sections[list(TIMBRE)].to_numpy(np.float64, copy=True)
    spread = [name.endswith("_var") for name in TIMBRE]
    x[:, spread] = np.sqrt(x[:, spread])
    return (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-12)


def timbre_distance(sections: pd.DataFrame) -> np.ndarray:
    """Compute how far apart sections sound on the whole: (B, B) float32, Euclidean of `timbre`."""
    return squareform(pdist(timbre(sections))).astype(np.float32)


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
    sections: pd.DataFrame, aligned: np.ndarray, *, timbre_share: float = TIMBRE_SHARE
) -> np.ndarray:
    """Add harmony and timbre, each in units of its median.

    Parameters
    ----------
    sections
        item_id and the columns `TIMBRE`.
    aligned
        (B, B) of `align_harmony`.
    timbre_share
        Share of timbre; 0 leaves it out.

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
    apart = timbre_distance(sections)
    units = [max(float(np.median(part)), 1e-9) for part in (aligned, apart)]
    return aligned / units[0] + timbre_share * apart / units[1]


def with_tracks(
    distances: np.ndarray, items: Sequence[str], share: float = TRACK_SHARE
) -> np.ndarray:
    """Add to distances (B, B) of sections a share of `track_distance`; any view can be given."""
    return distances + share * track_distance(distances, items)


def chance(sections: pd.DataFrame) -> float:
    """Return how often a section of another track, drawn at random, is of the same tune.

    Parameters
    ----------
    sections
        As in `version_retrieval`, whose share of right answers it is to be compared with.
    """
    sizes = sections.groupby("group")["item_id"].value_counts()
    others = sizes.groupby("group").transform("sum") - sizes  # of the tune, in other tracks
    asked = sizes[others > 0]
    return float(np.average(others[others > 0] / (len(sections) - asked), weights=asked))


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
    validate_versions(sections)
    return judge_nearest(sections, nearest_of_other_tracks(distances, sections["item_id"]))


def validate_versions(sections: pd.DataFrame) -> None:
    """Refuse sections none of which has another version.

    Raises
    ------
    ValueError
        If no tune has several versions.
    """
    if sections.groupby("group")["item_id"].nunique().max() < 2:
        raise ValueError("no tune has several versions; name versions alike, such as tune-2.mp3")


def judge_nearest(sections: pd.DataFrame, near: np.ndarray) -> pd.DataFrame:
    """Report as `version_retrieval` does, of the nearest section (B,) of another track."""
    tunes = sections["group"].to_numpy(str)
    several = (sections.groupby("group")["item_id"].transform("nunique") > 1).to_numpy()
    table = sections[["item_id", "group"]].reset_index(drop=True)
    table = table.assign(row=table.index, nearest=near, right=tunes[near] == tunes)
    return table[several].reset_index(drop=True)


def summarise_by_file(tested: pd.DataFrame) -> pd.DataFrame:
    """Sum up `version_retrieval`: index item_id; sections, right (the share of them)."""
    return tested.groupby("item_id", sort=True)["right"].agg(sections="size", right="mean")


def compare_views(
    distances: Mapping[str, np.ndarray], sections: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Ask every view for versions, section by section and with the tracks around them.

    Parameters
    ----------
    distances
        Name of a view -> (B, B).
    sections
        As in `version_retrieval`.

    Returns
    -------
    dict
        NAME and NAME_tracks -> `version_retrieval`.

    Raises
    ------
    ValueError
        As `version_retrieval`.
    """
    tested = {}
    for name, away in distances.items():
        both = {name: away, f"{name}_tracks": with_tracks(away, sections["item_id"])}
        tested |= {key: version_retrieval(sections, matrix) for key, matrix in both.items()}
    return tested


def summarise_views(tested: Mapping[str, pd.DataFrame], best: str) -> pd.DataFrame:
    """Compare views by the files that they are right about, for the sections of one are not apart.

    Parameters
    ----------
    tested
        Name of a view -> `version_retrieval` of the same sections.
    best
        Name of the view that all others are compared with.

    Returns
    -------
    DataFrame
        Index view; sections (share of all sections that are right), files (mean over files of the
        share of their sections), files_low, files_high (its interval over files), behind (how much
        more `best` has, file by file), behind_low, behind_high, behind_p.
    """
    shares = {name: summarise_by_file(rows)["right"] for name, rows in tested.items()}
    rows = {
        name: {"sections": float(tested[name]["right"].mean())}
        | statistics.mean(share).named("files")
        | statistics.paired(shares[best], share).named("behind")
        for name, share in shares.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("view")
