"""Cluster latents: how many clusters, which, how large and how well separated.

Latents are rows of a matrix (B, D), as `store.Latents.z` holds them.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.cluster import KMeans

from musiclatent.analysis import validation
from musiclatent.config import SEED

STARTS = 10  # k-means takes the best of so many starts: of four, now and then none is good
SAMPLE = 2_000  # rows that a silhouette is taken of: its cost grows with their square


def elbow(z: np.ndarray, ks: Sequence[int] = range(1, 13), seed: int = SEED) -> pd.DataFrame:
    """Compute the inertia of k-means for several k.

    Parameters
    ----------
    z
        Latents (B, D).
    ks
        Numbers of clusters; those above the number of rows are left out.
    seed
        Seed of the first centres.

    Returns
    -------
    DataFrame
        `k` and `inertia`, the sum of squared distances to the centres.

    Raises
    ------
    ValueError
        As `kmeans`.
    """
    z = _rotated(z)
    rows = [(k, _fit(z, k, seed).inertia_) for k in ks if k <= len(z)]
    return pd.DataFrame(rows, columns=["k", "inertia"])


def elbow_point(table: pd.DataFrame) -> int:
    """Find the elbow of a curve by Kneedle's rule: the point farthest below the chord.

    Both axes are scaled to [0, 1]; the elbow is where the curve lies farthest below the straight
    line from its first point to its last.

    Parameters
    ----------
    table
        Columns `k`, rising, and `inertia`; at least three rows.

    Returns
    -------
    int
        The k of the elbow; the first k of a curve that is nowhere below its chord.

    Raises
    ------
    ValueError
        If there are fewer than three points, or k does not rise.

    Notes
    -----
    Satopaa, Albrecht, Irwin and Raghavan (2011), Finding a "kneedle" in a haystack; without its
    smoothing, for inertia is smooth.
    """
    k, inertia = table["k"].to_numpy(float), table["inertia"].to_numpy(float)
    if len(k) < 3 or (np.diff(k) <= 0).any():
        raise ValueError(f"an elbow needs three or more rising k, not {k.astype(int).tolist()}")
    fall = inertia[0] - inertia[-1]
    if not fall > 0:
        return int(k[0])
    chord = 1 - (k - k[0]) / (k[-1] - k[0])
    return int(k[np.argmax(chord - (inertia - inertia[-1]) / fall)])


def kmeans(z: np.ndarray, k: int, seed: int = SEED) -> np.ndarray:
    """Assign latents to k clusters.

    Parameters
    ----------
    z
        Latents (B, D).
    k
        Number of clusters.
    seed
        Seed of the first centres.

    Returns
    -------
    array (B,), int
        Cluster of each row, numbered from 0, the largest cluster first.

    Raises
    ------
    ValueError
        If k is below 1, there are fewer rows than clusters, or numbers are missing.
    """
    labels = _fit(_rotated(z), k, seed).labels_
    return np.argsort(largest_first(np.bincount(labels, minlength=k)))[labels]


def largest_first(sizes: np.ndarray) -> np.ndarray:
    """Return the order of clusters by size (K,); equal ones stay in their order."""
    return np.argsort(-sizes, kind="stable")


def evaluate(z: np.ndarray, labels: np.ndarray, seed: int = SEED) -> dict[str, float]:
    """Compute how large and how well separated clusters are, without labels.

    Parameters
    ----------
    z
        Latents (B, D).
    labels
        Cluster of each row (B,).
    seed
        Seed of the sample that the silhouette is taken of where there are more than 2,000 rows.

    Returns
    -------
    dict
        ``silhouette`` in [-1, 1], 1 for clusters far apart; ``clusters``, their number;
        ``largest_share``, share of all rows that the largest cluster holds.

    Raises
    ------
    ValueError
        If lengths differ, or there are not at least two clusters and fewer than rows.

    Notes
    -----
    Rousseeuw (1987), Silhouettes: a graphical aid to the interpretation of cluster analysis.
    """
    labels = validation.labels(labels, len(z))
    counts = np.unique(labels, return_counts=True)[1]
    if not 2 <= len(counts) < len(z):
        raise ValueError(
            f"{len(counts)} clusters of {len(z)} rows have no silhouette; take two or more, "
            "and fewer than rows"
        )
    rows = _sample(labels, seed)
    return {
        "silhouette": float(metrics.silhouette_score(_rotated(z[rows]), labels[rows])),
        "clusters": len(counts),
        "largest_share": float(counts.max() / len(z)),
    }


def label_scores(labels_true: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """Compute how well clusters agree with labels.

    Parameters
    ----------
    labels_true
        Label of each row (B,); rows with an unknown label, the empty string, are left out.
    clusters
        Cluster of each row (B,), under any numbers.

    Returns
    -------
    dict
        ``v_measure`` from 0 to 1, and ``adjusted_rand``, about 0 for chance: 1 where clusters and
        labels are the same sets.

    Raises
    ------
    ValueError
        If lengths differ, or no row has a label.

    Notes
    -----
    Rosenberg and Hirschberg (2007), V-measure; Hubert and Arabie (1985), Comparing partitions.
    """
    clusters, labels = validation.labelled(clusters, labels_true, "rows in clusters")
    return {
        "v_measure": float(metrics.v_measure_score(labels, clusters)),
        "adjusted_rand": float(metrics.adjusted_rand_score(labels, clusters)),
    }


def agreement(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Compute how far two clusterings of the same rows agree.

    Parameters
    ----------
    first, second
        Cluster of each row (B,), under any numbers; rows that either leaves out, -1, do not count.

    Returns
    -------
    dict
        ``adjusted_rand``, about 0 for chance, and ``normalised_mutual_information`` from 0 to 1: 1
        where both are the same sets.

    Raises
    ------
    ValueError
        If lengths differ, or no row is in clusters of both.

    Notes
    -----
    Hubert and Arabie (1985), Comparing partitions; Strehl and Ghosh (2002), Cluster ensembles, with
    the arithmetic mean of both entropies.
    """
    first, second = _both(first, second)
    information = metrics.normalized_mutual_info_score(first, second)
    return {
        "adjusted_rand": float(metrics.adjusted_rand_score(first, second)),
        "normalised_mutual_information": float(information),
    }


def contingency(first: np.ndarray, second: np.ndarray) -> pd.DataFrame:
    """Count how many rows are in each pair of clusters: those of `first` by those of `second`.

    Raises
    ------
    ValueError
        As `agreement`.
    """
    first, second = _both(first, second)
    return pd.crosstab(pd.Series(first, name="first"), pd.Series(second, name="second"))


def _both(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the clusters of the rows that are in clusters of both."""
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape:
        raise ValueError(f"one clustering has {first.size} rows, the other {second.size}")
    shared = (first != -1) & (second != -1)
    if not shared.any():
        raise ValueError("no row is in clusters of both; cluster the same rows")
    return first[shared], second[shared]


def sizes(labels: np.ndarray) -> pd.DataFrame:
    """Return one row per cluster: cluster, windows, share of all; the largest first."""
    cluster, windows = np.unique(labels, return_counts=True)
    table = pd.DataFrame({"cluster": cluster, "windows": windows})
    table["share"] = table["windows"] / max(1, len(labels))
    return table.sort_values("windows", ascending=False, kind="stable", ignore_index=True)


def _rotated(z: np.ndarray) -> np.ndarray:
    """Return wide rows with as many dimensions as there are rows, their distances unchanged."""
    z = validation.matrix(z, "latents")
    if z.shape[1] <= len(z):
        return z
    centred = z - z.mean(axis=0, dtype=np.float64).astype(np.float32)
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    return vectors * np.sqrt(values.clip(0))


def _fit(z: np.ndarray, k: int, seed: int) -> KMeans:
    """Fit k-means."""
    validation.cluster_count(k, z)
    return KMeans(k, n_init=STARTS, random_state=seed).fit(z)


def _sample(labels: np.ndarray, seed: int) -> np.ndarray:
    """Draw rows, of every cluster at least one."""
    rows = np.random.default_rng(seed).permutation(len(labels))
    first = rows[np.unique(labels[rows], return_index=True)[1]]
    return np.unique(np.concatenate([rows[:SAMPLE], first]))
