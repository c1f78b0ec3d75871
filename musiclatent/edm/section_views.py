"""Two views of the same sections, classical and of a network, made comparable."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from musiclatent.analysis import clustering
from musiclatent.config import SEED

# The descriptors that Murillo Martinez, EAFIT (2022), keeps.
SEVENTEEN = (
    "amplitude_envelope_mean",
    "rms_mean",
    "zero_crossing_rate_mean",
    "spectral_centroid_mean",
    *(f"mfcc{i}_mean" for i in range(1, 14)),
)
CORRELATION = 0.9  # from which two columns are named as nearly the same
_EVEN = 1 / 256  # of a number's range: rows that differ by less in all numbers are the same


@dataclass(frozen=True)
class View:
    """Sections as numbers.

    Parameters
    ----------
    z
        (B, D) float32, standardised.
    rows
        Place of each in the table of sections (B,): duplicates are left out.
    columns
        What the numbers are (D,).
    correlated
        Pairs of columns that are nearly the same: first, second, correlation.
    centres
        By column: mean, median, and their difference in standard deviations, which is large where a
        few sections pull the mean.
    """

    z: np.ndarray
    rows: np.ndarray
    columns: tuple[str, ...]
    correlated: pd.DataFrame
    centres: pd.DataFrame


def classical_view(sections: pd.DataFrame, columns: tuple[str, ...] = SEVENTEEN) -> View:
    """Choose, check and standardise attributes of sections.

    Parameters
    ----------
    sections
        Attributes, one row a section.
    columns
        Those that count.

    Raises
    ------
    ValueError
        If a column is missing or not finite, or fewer than three sections differ.
    """
    missing = [name for name in columns if name not in sections]
    if missing:
        raise ValueError(f"the sections lack {', '.join(missing)}; compute attributes for them")
    x = sections[list(columns)].astype(np.float64)
    if not np.isfinite(x.to_numpy()).all():
        raise ValueError("attributes hold NaN or infinity; leave those sections out")
    rows = np.flatnonzero(~x.duplicated().to_numpy())
    if len(rows) < 3:
        raise ValueError(f"{len(rows)} sections differ; give three or more")
    x = x.iloc[rows]
    centres = pd.DataFrame({"mean": x.mean(), "median": x.median()})
    spread = x.std(ddof=0).replace(0.0, 1.0)
    centres["apart"] = (centres["mean"] - centres["median"]) / spread
    z = ((x - x.mean()) / spread).to_numpy(np.float32)
    return View(z, rows, tuple(columns), _correlated(x), centres)


def _correlated(x: pd.DataFrame) -> pd.DataFrame:
    """Pairs of columns with a strong correlation, the strongest first."""
    with np.errstate(invalid="ignore", divide="ignore"):  # of constants there is none
        table = x.corr()
    pairs = table.where(np.triu(np.ones(table.shape, bool), 1)).stack().rename("correlation")
    strong = pairs[pairs.abs() >= CORRELATION].rename_axis(["first", "second"]).reset_index()
    order = strong["correlation"].abs().sort_values(ascending=False, kind="stable").index
    return strong.loc[order].reset_index(drop=True)


def mark_distinct(z: np.ndarray) -> np.ndarray:
    """Mark the rows that differ from all earlier ones: a track repeats itself.

    Parameters
    ----------
    z
        Embeddings (B, D).

    Returns
    -------
    ndarray
        (B,) bool; rows that are equal when each number is rounded to 8 bits of its range, as VGGish
        does, count as the same.
    """
    step = np.maximum(np.ptp(z, axis=0) * _EVEN, 1e-12)
    levels = np.round((z - z.min(axis=0)) / step).astype(np.uint16)
    keep = np.zeros(len(z), bool)
    keep[np.unique(levels, axis=0, return_index=True)[1]] = True
    return keep


def assign_to_sections(items: pd.DataFrame, sections: pd.DataFrame) -> np.ndarray:
    """Find the section that holds the middle of each part.

    Parameters
    ----------
    items
        item_id, start_s, end_s, one row a part.
    sections
        The same, one row a section; sections of a track do not overlap.

    Returns
    -------
    ndarray
        (P,) int: row in `sections`, -1 for parts of none.
    """
    owner = np.full(len(items), -1)
    middle = ((items["start_s"] + items["end_s"]) / 2).to_numpy()
    rows_of = sections.reset_index(drop=True).groupby("item_id").groups
    for name, places in items.reset_index(drop=True).groupby("item_id").groups.items():
        for row in rows_of.get(name, []):
            start_s, end_s = sections["start_s"].iloc[row], sections["end_s"].iloc[row]
            inside = (middle[places] >= start_s) & (middle[places] < end_s)
            owner[places[inside]] = row
    return owner


def majority_vote(labels: np.ndarray, owner: np.ndarray, n: int) -> np.ndarray:
    """Give each section the cluster that most of its parts are in.

    Parameters
    ----------
    labels
        Cluster of each part (P,), int; -1 is none.
    owner
        Section of each part (P,), -1 for none; see `owners`.
    n
        Number of sections.

    Returns
    -------
    ndarray
        (n,) int; of equally frequent clusters the first; -1 for a section without parts in any.
    """
    labels, owner = np.asarray(labels, int), np.asarray(owner, int)
    counts = np.zeros((n, labels.max(initial=0) + 1), int)
    known = (owner >= 0) & (labels >= 0)
    np.add.at(counts, (owner[known], labels[known]), 1)
    return np.where(counts.sum(axis=1) > 0, counts.argmax(axis=1), -1)


def cluster_means(z: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Average the numbers of each cluster; those that differ most stand first.

    Parameters
    ----------
    z
        Embeddings (P, D).
    labels
        Cluster of each row (P,); -1 is none.

    Returns
    -------
    DataFrame
        One row a cluster, one column a number.
    """
    table = pd.DataFrame(np.asarray(z)).groupby(np.asarray(labels)).mean()
    table = table[table.index >= 0].rename_axis("cluster")
    return table[table.std(ddof=0).sort_values(ascending=False, kind="stable").index]


def cluster_seconds(
    z: np.ndarray, k: int, seed: int = SEED
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cluster parts by k-means, the repeated ones left out, and place those in their cluster.

    Parameters
    ----------
    z
        Embeddings (P, D).
    k
        Number of clusters.
    seed
        Of k-means.

    Returns
    -------
    labels
        Cluster of each part (P,), int, that with the nearest centre.
    centres
        (K, D).
    keep
        The parts that decide (P,), bool, see `distinct`.

    Raises
    ------
    ValueError
        As `clustering.kmeans`.
    """
    keep = mark_distinct(z)
    found = clustering.kmeans(z[keep], k, seed)
    centres = np.stack([z[keep][found == code].mean(axis=0) for code in range(k)])
    return cdist(z, centres).argmin(axis=1), centres, keep
