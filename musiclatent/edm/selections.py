"""Which sections or seconds to list: central, at a border, unlike all others, or near one.

`sections` are one row per section: item_id (the track), path, start_s and end_s in seconds.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np
import pandas as pd
from scipy.spatial import KDTree

from musiclatent.analysis import projection
from musiclatent.analysis.neighbours import distance_to_nearest
from musiclatent.features import descriptors

# What may be unusual about a section:
MEASURED = {*descriptors.COLUMNS, "tempo", "stability", "key_strength", "loudness_db"}
FAINT_DB = 30.0  # below the median loudness: a pause, or the end of a fade
EVEN = 0.01  # of the median distance: the least spread by which one is called far
NEAREST = 10  # in a plane, of which are counted that are of other clusters
CLIPPED = 0.01  # share of samples at full scale from which clipping is named


def cluster(sections: pd.DataFrame, labels: np.ndarray, k: int) -> pd.DataFrame:
    """Choose all sections of a cluster, in their order.

    Parameters
    ----------
    sections
        B rows.
    labels
        Cluster of each row (B,), int; -1 for none.
    k
        The cluster.

    Returns
    -------
    DataFrame
        Rows of `sections` with a column `why`.

    Raises
    ------
    ValueError
        If lengths differ, or no section is of cluster k.
    """
    labels = _clusters(labels, sections)
    if k not in labels:
        clusters = ", ".join(map(str, np.unique(labels[labels >= 0])))
        raise ValueError(f"no section is of cluster {k}; choose one of {clusters}")
    return sections[labels == k].assign(why=f"of cluster {k}")


def central(
    z: np.ndarray, sections: pd.DataFrame, *, labels: np.ndarray, k: int, n: int
) -> pd.DataFrame:
    """Choose the sections nearest to the mean of a cluster, the nearest first.

    Parameters
    ----------
    z
        One row per section (B, D).
    sections, labels, k
        As in `cluster`.
    n
        How many; all where the cluster has fewer.

    Returns
    -------
    DataFrame
        Rows of `sections` with a column `why`.

    Raises
    ------
    ValueError
        As `cluster`, or if z has another length or holds NaN.
    """
    z = _checked(z, sections)
    members = cluster(sections, labels, k)
    z = z[np.asarray(labels) == k]
    distance = np.linalg.norm(z - z.mean(axis=0), axis=1)
    half = f"from the centre of cluster {k}, half lie within {np.median(distance):.3g}"
    return members.assign(why=[f"{d:.3g} {half}" for d in distance]).iloc[
        np.argsort(distance, kind="stable")[:n]
    ]


def border(z: np.ndarray, sections: pd.DataFrame, *, labels: np.ndarray, n: int) -> pd.DataFrame:
    """Choose the sections that lie almost as near to the mean of a second cluster as to the first.

    Parameters
    ----------
    z
        One row per section (B, D).
    sections, labels
        As in `cluster`; sections of no cluster are left out.
    n
        How many; all where there are fewer.

    Returns
    -------
    DataFrame
        Rows of `sections` with a column `why`, the smallest difference between the distances to
        the two nearest means first.

    Raises
    ------
    ValueError
        As `central`, or if there are fewer than two clusters.
    """
    z, labels = _checked(z, sections), _clusters(labels, sections)
    ks = np.unique(labels[labels >= 0])
    if len(ks) < 2:
        raise ValueError(f"{len(ks)} clusters have no border; give sections of two or more")
    rows = np.flatnonzero(labels >= 0)
    distance = np.stack([np.linalg.norm(z[rows] - z[labels == k].mean(axis=0), axis=1) for k in ks])
    a, b = np.argsort(distance, axis=0, kind="stable")[:2]
    near, second = np.sort(distance, axis=0)[:2]
    why = [
        f"between clusters {ks[i]} and {ks[j]}: {d:.3g} from one centre, {e:.3g} from the other"
        for i, j, d, e in zip(a, b, near, second, strict=True)
    ]
    order = np.argsort(second - near, kind="stable")[:n]
    return sections.iloc[rows].assign(why=why).iloc[order]


def anomalies(z: np.ndarray, sections: pd.DataFrame, n: int) -> pd.DataFrame:
    """Choose the sections that are silent, clipped, cut short or unlike all others, and why.

    Parameters
    ----------
    z
        One row per section (B, D), at least three.
    sections
        B rows. Read where there are such columns: `silent` (bool), `rms_mean` (of samples in
        [-1, 1]), `clipped` (share of samples at full scale) and the descriptors of
        `descriptors.COLUMNS`.
    n
        How many at most.

    Returns
    -------
    DataFrame
        Rows of `sections` with a column `why`: those with the most reasons first, and of equals
        the farthest from its nearest section. A section is unlike all others when that distance
        lies 2.5 robust standard deviations above the median; its two most unusual descriptors are
        named (see `projection.outliers`). It is cut when it is shorter than the longest, provided
        that most have that length.

    Raises
    ------
    ValueError
        If lengths differ, z holds NaN, or there are fewer than three sections.
    """
    z = _checked(z, sections)
    if len(z) < 3:
        raise ValueError(f"{len(z)} sections are too few to call one unusual; give three or more")
    distance = distance_to_nearest(z)
    reasons: list[list[str]] = [[] for _ in z]
    checks = _silence(sections), _clipping(sections), _cuts(sections)
    for row, reason in chain(*checks, _outliers(z, sections, distance)):
        reasons[row].append(reason)
    count = np.array([len(of_row) for of_row in reasons])
    order = np.lexsort([-distance, -count])[: min(n, np.count_nonzero(count))]
    return sections.iloc[order].assign(why=["; ".join(reasons[row]) for row in order])


def of_plane(
    points: np.ndarray, seconds: pd.DataFrame, *, labels: np.ndarray, n: int
) -> dict[str, pd.DataFrame]:
    """Choose seconds by their place in a plane such as that of t-SNE.

    Parameters
    ----------
    points
        (B, 2).
    seconds, labels
        As `sections` and `labels` in `cluster`.
    n
        How many of each; all where there are fewer.

    Returns
    -------
    dict
        Rows of `seconds` with a column `why`. ``central``: the second nearest to the median of the
        plane, and those nearest to it. ``border``: the second farthest from that median that is
        not lost, and those nearest to it. ``lost``: those farthest from the median of their own
        cluster, by the median distance of its seconds, the farthest first.

    Raises
    ------
    ValueError
        As `central`.

    Notes
    -----
    Murillo Martinez (2022), sections 4.4.4.1 to 4.4.4.3, chooses them by eye in the Projector.
    """
    z, labels = _checked(points, seconds), _clusters(labels, seconds)
    away = np.linalg.norm(z - np.median(z, axis=0), axis=1)
    ratio = _ratio_to_cluster(z, labels)
    lost = np.argsort(-ratio, kind="stable")[:n]
    kept = np.setdiff1d(np.arange(len(z)), lost) if len(z) > n else np.arange(len(z))
    lists = {
        "central": _around(z, seconds, int(away.argmin()), n, "of the middle of the plane"),
        "border": _around(z, seconds, int(kept[away[kept].argmax()]), n, "of one at the rim"),
    }
    others = (labels[_nearest(z, NEAREST)] != labels[:, None]).sum(axis=1)
    why = [
        f"{ratio[i]:.1f} times as far from the middle of cluster {labels[i]} as half of it; "
        f"{others[i]} of the nearest {NEAREST} are of other clusters"
        for i in lost
    ]
    return lists | {"lost": seconds.iloc[lost].assign(why=why)}


def _around(z: np.ndarray, seconds: pd.DataFrame, i: int, n: int, where: str) -> pd.DataFrame:
    """Choose row i and the rows nearest to it."""
    distance = np.linalg.norm(z - z[i], axis=1)
    rows = np.argsort(distance, kind="stable")[:n]
    return seconds.iloc[rows].assign(why=[f"within {distance[row]:.3g} {where}" for row in rows])


def _ratio_to_cluster(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return distances (B,) to the median of the own cluster, by their median; 0 for none."""
    ratio = np.zeros(len(z))
    for k in np.unique(labels[labels >= 0]):
        rows = labels == k
        distance = np.linalg.norm(z[rows] - np.median(z[rows], axis=0), axis=1)
        ratio[rows] = distance / max(np.median(distance), 1e-12)
    return ratio


def _nearest(z: np.ndarray, k: int) -> np.ndarray:
    """Return the k nearest rows of each but itself (B, k); fewer where there are not as many."""
    return KDTree(z).query(z, min(k + 1, len(z)))[1].reshape(len(z), -1)[:, 1:]


def neighbours(z: np.ndarray, sections: pd.DataFrame, *, i: int, n: int) -> pd.DataFrame:
    """Choose the sections of other tracks that are nearest to one of them.

    Parameters
    ----------
    z
        One row per section (B, D).
    sections
        B rows; rows of one `group` (else of one item_id) are of the same track.
    i
        Row number of the section that is asked about.
    n
        How many; all where there are fewer.

    Returns
    -------
    DataFrame
        Rows of `sections` with a column `why`, the nearest first.

    Raises
    ------
    ValueError
        If lengths differ, z holds NaN, or there is no row i.
    """
    z = _checked(z, sections)
    if not 0 <= i < len(z):
        raise ValueError(f"there is no section {i}; choose one of 0 to {len(z) - 1}")
    distance = np.linalg.norm(z - z[i], axis=1)
    tracks = sections["group" if "group" in sections else "item_id"].to_numpy()
    others = np.flatnonzero(tracks != tracks[i])
    order = others[np.argsort(distance[others], kind="stable")][:n]
    return sections.iloc[order].assign(why=[f"{distance[row]:.3g} away" for row in order])


def _silence(sections: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """Name the sections that are silent, or nearly."""
    silent = sections.get("silent", pd.Series(False, sections.index)).to_numpy(bool)
    rms = sections.get("rms_mean", pd.Series(1.0, sections.index)).to_numpy(float)
    below = 20 * np.log10(np.median(rms[~silent]) / rms.clip(1e-9)) if (~silent).any() else rms
    for row in range(len(sections)):
        if silent[row]:
            yield row, "silence"
        elif below[row] > FAINT_DB:
            yield row, f"almost silence, {below[row]:.0f} dB below the median"


def _clipping(sections: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """Name the sections that are cut off at full scale."""
    for row, share in enumerate(sections.get("clipped", ())):
        if share >= CLIPPED:
            yield row, f"clipping, {share:.1%} of the samples at full scale"


def _cuts(sections: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """Name the sections that the end of their file cuts short, on a grid of one length."""
    length = (sections["end_s"] - sections["start_s"]).to_numpy(float)
    whole, short = length.max(), length < length.max() - 0.1
    for row in np.flatnonzero(short if short.mean() < 0.5 else []):
        yield int(row), f"cut at the end of the file, {length[row]:.1f} of {whole:.1f} s are sound"


def _outliers(
    z: np.ndarray, sections: pd.DataFrame, distance: np.ndarray
) -> Iterator[tuple[int, str]]:
    """Name the sections far from any other, and what is most unusual about them."""
    middle = np.median(distance)
    spread = max(1.4826 * np.median(abs(distance - middle)), EVEN * middle)
    far = np.flatnonzero(distance > middle + projection.UNUSUAL * spread)
    rows = sections[["start_s"]].assign(item_id=np.arange(len(z)))
    factors = sections[[name for name in sections if name in MEASURED]]
    why = projection.outliers(z, rows, factors, len(z)).set_index("item_id")["why"]
    for row in far:
        yield int(row), f"unlike all others: {why[row]}"


def _checked(z: np.ndarray, sections: pd.DataFrame) -> np.ndarray:
    """Return vectors of the sections in double precision, once validated."""
    z = np.asarray(z, float)
    if z.ndim != 2 or len(z) != len(sections):
        raise ValueError(f"vectors of shape {z.shape} do not fit {len(sections)} sections")
    if not np.isfinite(z).all():
        raise ValueError("vectors hold NaN or infinity; leave those rows out")
    return z


def _clusters(labels: np.ndarray, sections: pd.DataFrame) -> np.ndarray:
    """Return the cluster of each section, once validated."""
    labels = np.asarray(labels)
    if labels.shape != (len(sections),):
        raise ValueError(f"there are {len(sections)} sections but {labels.size} labels")
    return labels
