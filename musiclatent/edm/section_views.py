"""Two views of the same sections, by descriptors and by a network, made comparable."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn import metrics

from musiclatent.analysis import clustering, projection, statistics
from musiclatent.analysis.projection import Projection
from musiclatent.config import SEED
from musiclatent.files import need_columns

# The descriptors that Murillo Martinez, EAFIT (2022), keeps.
SEVENTEEN = (
    "amplitude_envelope_mean",
    "rms_mean",
    "zero_crossing_rate_mean",
    "spectral_centroid_mean",
    *(f"mfcc{i}_mean" for i in range(1, 14)),
)
CORRELATION = 0.9  # from which two columns are named as nearly the same
DRAWS = 20  # of sections at random, beside a choice of as many
_EVEN = 1 / 256  # of a column's range: rows that differ by less in all columns are the same


@dataclass(frozen=True, kw_only=True)
class View:
    """Sections as standardised descriptors.

    Parameters
    ----------
    z
        (B, D) float32, standardised.
    rows
        Place of each in the table of sections (B,): duplicates are left out.
    columns
        Names of the descriptors (D,).
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
    """Choose, validate and standardise descriptors of sections.

    Parameters
    ----------
    sections
        Descriptors, one row per section.
    columns
        Those that count.

    Raises
    ------
    ValueError
        If a column is missing or not finite, or fewer than three sections differ.
    """
    need_columns(sections, columns, "the sections lack", "compute descriptors for them")
    x = sections[list(columns)].astype(np.float64)
    if not np.isfinite(x.to_numpy()).all():
        raise ValueError("descriptors hold NaN or infinity; leave those sections out")
    rows = np.flatnonzero(~x.duplicated().to_numpy())
    if len(rows) < 3:
        raise ValueError(f"{len(rows)} sections differ; give three or more")
    x = x.iloc[rows]
    centres = pd.DataFrame({"mean": x.mean(), "median": x.median()})
    spread = x.std(ddof=0).replace(0.0, 1.0)
    centres["apart"] = (centres["mean"] - centres["median"]) / spread
    z = ((x - x.mean()) / spread).to_numpy(np.float32)
    return View(z=z, rows=rows, columns=tuple(columns), correlated=_correlated(x), centres=centres)


def _correlated(x: pd.DataFrame) -> pd.DataFrame:
    """Return pairs of columns with a strong correlation, the strongest first."""
    with np.errstate(invalid="ignore", divide="ignore"):  # of constants there is none
        table = x.corr()
    pairs = table.where(np.triu(np.ones(table.shape, bool), 1)).stack().rename("correlation")
    strong = pairs[pairs.abs() >= CORRELATION].rename_axis(["first", "second"]).reset_index()
    order = strong["correlation"].abs().sort_values(ascending=False, kind="stable").index
    return strong.loc[order].reset_index(drop=True)


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """Sections in clusters, and what tells how well these part.

    Parameters
    ----------
    view
        Their descriptors.
    items
        Which sections of the table the rows of the view are: their index, with their `item_id`.
    labels
        Cluster of each row of the view (B,), int.
    centres
        (K, D).
    plane
        Principal components of the rows.
    curve
        Inertia by number of clusters, see `clustering.elbow`.
    """

    view: View
    items: pd.Series
    labels: np.ndarray
    centres: np.ndarray
    plane: Projection
    curve: pd.DataFrame

    @property
    def silhouettes(self) -> np.ndarray:
        """Silhouette of each row (B,), in [-1, 1]."""
        return metrics.silhouette_samples(self.view.z, self.labels)

    def figures(self) -> dict[str, float]:
        """Return how many, the elbow, the silhouette over tracks, and what two components explain.

        Returns
        -------
        dict
            ``clustered``, ``bend_classical``, ``rmse_classical`` (of the distances to the own
            centre; 4.1 for one cluster of 17 descriptors), ``silhouette_classical`` with ``_low``
            and ``_high``, ``pca_classical_1`` and 2 of the rows, ``pca_centres_1`` and 2.
        """
        bend = clustering.elbow_point(self.curve)
        found = {"clustered": len(self.items), "bend_classical": bend}
        away = np.square(self.view.z - self.centres[self.labels]).sum(axis=1)
        found |= {"rmse_classical": float(np.sqrt(away.mean()))}
        over_tracks = statistics.mean(self.silhouettes, self.items.to_numpy())
        found |= over_tracks.named("silhouette_classical")
        shares = {"classical": self.plane, "centres": projection.pca(self.centres)}
        return found | {
            f"pca_{name}_{i + 1}": float(share)
            for name, plane in shares.items()
            for i, share in enumerate(plane.explained)
        }


def group_sections(sections: pd.DataFrame, k: int) -> Grouped:
    """Cluster sections by their descriptors, in as many clusters as half of them bear.

    Parameters
    ----------
    sections
        item_id and descriptors, one row per section.
    k
        Number of clusters.

    Raises
    ------
    ValueError
        As `classical_view` and `clustering.kmeans`.
    """
    view, labels = _labels(sections, k)
    centres = pd.DataFrame(view.z).groupby(labels).mean().to_numpy()
    return Grouped(
        view=view,
        items=sections["item_id"].iloc[view.rows],
        labels=labels,
        centres=centres,
        plane=projection.pca(view.z),
        curve=clustering.elbow(view.z),
    )


def compare_choice(
    sections: pd.DataFrame, k: int, *, whole: Grouped, alone: Grouped, seed: int = SEED
) -> dict[str, float]:
    """Compare clusters of chosen sections alone with those of all, on the chosen ones.

    Parameters
    ----------
    sections
        All of them, as in `group_sections`, with an index of their own.
    k
        Number of clusters of both.
    whole, alone
        All sections, and the chosen ones, in clusters.
    seed
        Of sections at random.

    Returns
    -------
    dict
        ``adjusted_rand`` of both clusterings; ``adjusted_rand_random``, its mean over `DRAWS`
        choices of as many sections at random, with the 2.5th and 97.5th percentile as ``_low``
        and ``_high``; ``silhouette_gain``, by how much the same sections' silhouettes are larger
        where they are clustered alone, with its interval over tracks.

    Raises
    ------
    ValueError
        As `group_sections`.
    """
    rng, draws = np.random.default_rng(seed), []
    for _ in range(DRAWS):
        some = sections.iloc[np.sort(rng.permutation(len(sections))[: len(alone.items)])]
        view, labels = _labels(some, k)
        draws.append(_rand(whole, some.index[view.rows], labels))
    low, high = np.percentile(draws, (2.5, 97.5))
    by_row = [pd.Series(part.silhouettes, part.items.index) for part in (alone, whole)]
    both = pd.concat([*by_row, whole.items], axis=1, join="inner")
    return {
        "adjusted_rand": _rand(whole, alone.items.index, alone.labels),
        "adjusted_rand_random": float(np.mean(draws)),
        "adjusted_rand_random_low": float(low),
        "adjusted_rand_random_high": float(high),
        **statistics.paired(both[0], both[1], both["item_id"]).named("silhouette_gain"),
    }


def _labels(sections: pd.DataFrame, k: int) -> tuple[View, np.ndarray]:
    """Return the view of sections, and their clusters."""
    view = classical_view(sections)
    return view, clustering.kmeans(view.z, max(2, min(k, len(view.z) // 2)))


def _rand(whole: Grouped, sections: pd.Index, labels: np.ndarray) -> float:
    """Return how clusters of some sections agree with those of all."""
    both = [pd.Series(whole.labels, whole.items.index), pd.Series(labels, sections)]
    shared = pd.concat(both, axis=1, join="inner").to_numpy()
    return clustering.agreement(*shared.T)["adjusted_rand"]


def mark_distinct(z: np.ndarray) -> np.ndarray:
    """Mark the rows that differ from all earlier ones: a track repeats itself.

    Parameters
    ----------
    z
        Embeddings (B, D).

    Returns
    -------
    ndarray
        (B,) bool; rows that are equal when each column is rounded to 8 bits of its range, as VGGish
        does, count as the same.
    """
    step = np.maximum(np.ptp(z, axis=0) * _EVEN, 1e-12)
    levels = np.round((z - z.min(axis=0)) / step).astype(np.uint16)
    keep = np.zeros(len(z), bool)
    keep[np.unique(levels, axis=0, return_index=True)[1]] = True
    return keep


def assign_to_sections(items: pd.DataFrame, sections: pd.DataFrame) -> np.ndarray:
    """Find the section that holds the middle of each second.

    Parameters
    ----------
    items
        item_id, start_s, end_s, one row per second.
    sections
        The same, one row per section; sections of a track do not overlap.

    Returns
    -------
    ndarray
        (P,) int: row in `sections`, -1 for seconds of none.
    """
    owner = np.full(len(items), -1)
    middle = ((items["start_s"] + items["end_s"]) / 2).to_numpy()
    seconds_of = items.reset_index(drop=True).groupby("item_id").indices
    for row, section in enumerate(sections.itertuples()):
        rows = seconds_of.get(section.item_id, np.zeros(0, int))
        inside = (middle[rows] >= section.start_s) & (middle[rows] < section.end_s)
        owner[rows[inside]] = row
    return owner


def majority_vote(labels: np.ndarray, owner: np.ndarray, n: int) -> np.ndarray:
    """Return the cluster that most seconds of each section are in.

    Parameters
    ----------
    labels
        Cluster of each second (P,), int; -1 is none.
    owner
        Section of each second (P,), -1 for none; see `assign_to_sections`.
    n
        Number of sections.

    Returns
    -------
    ndarray
        (n,) int; of equally frequent clusters the first; -1 for a section without seconds in any.
    """
    labels, owner = np.asarray(labels, int), np.asarray(owner, int)
    counts = np.zeros((n, labels.max(initial=0) + 1), int)
    counted = (owner >= 0) & (labels >= 0)
    np.add.at(counts, (owner[counted], labels[counted]), 1)
    return np.where(counts.sum(axis=1) > 0, counts.argmax(axis=1), -1)


def cluster_means(z: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Average each cluster; the columns that differ most stand first.

    Parameters
    ----------
    z
        Embeddings (P, D).
    labels
        Cluster of each row (P,); -1 is none.

    Returns
    -------
    DataFrame
        One row per cluster, one column per dimension of `z`.
    """
    table = pd.DataFrame(np.asarray(z)).groupby(np.asarray(labels)).mean()
    table = table[table.index >= 0].rename_axis("cluster")
    return table[table.std(ddof=0).sort_values(ascending=False, kind="stable").index]


def cluster_seconds(
    z: np.ndarray, k: int, seed: int = SEED
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cluster seconds by k-means, the repeated ones left out, and place those in their cluster.

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
        Cluster of each second (P,), int, that with the nearest centre.
    centres
        (K, D).
    keep
        The seconds that decide (P,), bool, see `mark_distinct`.

    Raises
    ------
    ValueError
        As `clustering.kmeans`.
    """
    keep = mark_distinct(z)
    labels = clustering.kmeans(z[keep], k, seed)
    centres = np.stack([z[keep][labels == code].mean(axis=0) for code in range(k)])
    return cdist(z, centres).argmin(axis=1), centres, keep
