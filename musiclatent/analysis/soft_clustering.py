"""Soft clusters: how much each row belongs to each cluster; and clusters in other metrics.

Memberships are tables (B, K) of shares from 0 to 1; each row adds up to 1. Clusters are numbered
from 0, the largest first. Rows (B, D) are standardised numbers or latents, as in `clustering`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist, pdist
from scipy.special import softmax, xlogy
from sklearn.cluster import HDBSCAN, kmeans_plusplus
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.mixture import GaussianMixture

from musiclatent.analysis import clustering
from musiclatent.config import SEED
from musiclatent.files import pick

STARTS = 8  # fuzzy c-means takes the best of so many
ITERATIONS = 1_000
CLOSE = 1e-5  # no membership changes by more at the end
FUZZIFIERS = (*(round(2 - 0.05 * i, 2) for i in range(20)), 1.04, 1.03, 1.02, 1.01)
SHARE = 0.25  # of the way from 1/K to 1 that a partition coefficient must come
APART = 0.1  # of the rows' usual distance to their mean: nearer centres have fallen together
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Fuzzy:
    """Clusters of fuzzy c-means.

    Parameters
    ----------
    memberships
        (B, K); each row adds up to 1.
    centres
        (K, D).
    m
        The fuzzifier, above 1.
    partition_coefficient
        Mean over rows of the sum of their squared memberships: from 1/K, where all memberships are
        equal and say nothing, to 1, where each row belongs to one cluster (Bezdek, 1981).
    iterations
        Steps that the best start took.
    """

    memberships: np.ndarray
    centres: np.ndarray
    m: float
    partition_coefficient: float
    iterations: int

    @property
    def normalised_coefficient(self) -> float:
        """Partition coefficient scaled to 0 to 1, whatever K is (Dave, 1996); 1 for K = 1."""
        k = len(self.centres)
        return (k * self.partition_coefficient - 1) / (k - 1) if k > 1 else 1.0

    @property
    def labels(self) -> np.ndarray:
        """The cluster of the largest membership of each row (B,), int."""
        return self.memberships.argmax(axis=1)


def fuzzy_c_means(z: np.ndarray, k: int, m: float, seed: int = SEED) -> Fuzzy:
    """Cluster by fuzzy c-means.

    Parameters
    ----------
    z
        Rows (B, D). With m = 2 in more than about ten dimensions all memberships become 1/K:
        choose m by `fuzzifier`.
    k
        Number of clusters.
    m
        Fuzzifier, above 1; near 1 the clusters are those of k-means.
    seed
        Seed of the first centres, drawn as in k-means++.

    Returns
    -------
    Fuzzy
        The best of 8 starts. Centres that fell together, as with too large an m, are kept.

    Raises
    ------
    ValueError
        If m is not above 1, k is below 1, there are fewer rows than clusters, or numbers are
        missing.

    Notes
    -----
    Bezdek (1981), Pattern recognition with fuzzy objective function algorithms: memberships are
    in proportion to d^(-2/(m-1)), d the distance to a centre, and centres are means of all rows
    weighted by the memberships to the power m; which lowers the sum of u^m d^2 step by step.
    """
    z = _checked(z, k)
    if not 1 < m < np.inf:
        raise ValueError(f"the fuzzifier is {m}; choose one above 1, such as 1.2")
    rng = np.random.default_rng(seed)
    starts = [int(s) for s in rng.integers(2**31, size=STARTS)]
    found = [_descend(z, kmeans_plusplus(z, k, random_state=s)[0], m) for s in starts]
    _, u, centres, steps = min(found, key=lambda one: one[0])
    order = _largest_first(u.sum(axis=0))
    u = u[:, order]
    return Fuzzy(u, centres[order], m, float(np.square(u).sum(axis=1).mean()), steps)


def fuzzifier(z: np.ndarray, k: int, seed: int = SEED) -> float:
    """Choose how soft clusters are: as soft as they can be and still say something.

    The rule: the largest m of 2.00, 1.95, ... 1.05, 1.04, ... 1.01 whose partition coefficient
    comes a quarter of the way from 1/K (all memberships equal) to 1 (hard clusters), which is at
    least 1/K + 0.125, and whose centres all lie apart: no two nearer than a tenth of the root mean
    square distance of rows to their mean.

    Parameters
    ----------
    z
        Rows (B, D).
    k
        Number of clusters, at least 2.
    seed
        As in `fuzzy`.

    Returns
    -------
    float
        The fuzzifier m.

    Raises
    ------
    ValueError
        As `fuzzy`, if k is 1, or memberships stay equal with every m.
    """
    if k < 2:
        raise ValueError(f"k is {k}; a fuzzifier needs two clusters or more")
    for m in FUZZIFIERS:
        found = fuzzy_c_means(z, k, m, seed)
        usual = np.sqrt(np.var(z, axis=0, dtype=np.float64).sum())
        if found.normalised_coefficient >= SHARE and pdist(found.centres).min() > APART * usual:
            return m
    raise ValueError(
        f"{len(z)} rows do not form {k} clusters: memberships stay almost equal, or centres fall "
        f"together, down to m = {m}; take fewer clusters"
    )


def mixture(z: np.ndarray, k: int, seed: int = SEED) -> np.ndarray:
    """Cluster by a mixture of Gaussians.

    Parameters
    ----------
    z
        Rows (B, D).
    k
        Number of Gaussians.
    seed
        Seed of the first centres.

    Returns
    -------
    array (B, K)
        Probability that each row is of each Gaussian; each row adds up to 1. Of covariances that
        are spherical, diagonal, or one of all clusters (where there are more rows than numbers in
        a row) those with the lowest Bayesian information criterion (Schwarz, 1978) are taken; a
        thousandth of the mean variance is added to each, so that no Gaussian shrinks to a point.

    Raises
    ------
    ValueError
        If k is below 1, there are fewer rows than clusters or than two, or numbers are missing.
    """
    z = _checked(z, k)
    if len(z) < 2:
        raise ValueError("one row has no covariance; give two or more")
    kinds = ("spherical", "diag", "tied") if z.shape[1] < len(z) else ("spherical", "diag")
    floor = max(1e-3 * float(z.var(axis=0).mean()), 1e-12)
    options = {"n_init": 4, "reg_covar": floor, "random_state": seed}
    models = [GaussianMixture(k, covariance_type=kind, **options).fit(z) for kind in kinds]
    u = min(models, key=lambda model: model.bic(z)).predict_proba(z)
    return u[:, _largest_first(u.sum(axis=0))]


def hdbscan(z: np.ndarray, min_size: int = 5) -> np.ndarray:
    """Cluster by density, and leave out what is in no dense place.

    Parameters
    ----------
    z
        Rows (B, D).
    min_size
        Fewest rows of a cluster, from 2 to B.

    Returns
    -------
    array (B,), int
        Cluster of each row, the largest cluster first; -1 for rows of none.

    Raises
    ------
    ValueError
        If `min_size` is out of its range, or numbers are missing.

    Notes
    -----
    Campello, Moulavi and Sander (2013), Density-based clustering based on hierarchical density
    estimates (HDBSCAN).
    """
    z = _checked(z, 1)
    if not 2 <= min_size <= len(z):
        raise ValueError(f"min_size is {min_size}; choose from 2 to the number of rows, {len(z)}")
    labels = HDBSCAN(min_cluster_size=min_size, copy=True).fit_predict(z)
    order = _largest_first(np.bincount(labels[labels >= 0]))
    return np.append(np.argsort(order), -1)[labels]  # the label -1 takes the last


def in_metric(z: np.ndarray, metric: str) -> np.ndarray:
    """Turn rows so that their Euclidean distance is the distance of another metric.

    Parameters
    ----------
    z
        Rows (B, D).
    metric
        ``euclidean``; ``cosine``: distances are sqrt(2 - 2 cos), which rise with the angle; or
        ``mahalanobis`` with the covariance of these rows.

    Returns
    -------
    array (B, D') float64
        The rows as they are; of length 1 (zeros stay zeros); or whitened, D' = min(B, D).

    Raises
    ------
    ValueError
        If there is no such metric, or numbers are missing.

    Notes
    -----
    Mahalanobis (1936), On the generalised distance in statistics. Ledoit and Wolf (2004), A
    well-conditioned estimator for large-dimensional covariance matrices: the covariance is drawn
    towards a multiple of the identity, so that few rows are enough.
    """
    return pick(METRICS, metric, "metric")(_checked(z, 1))


def compare_metrics(
    views: Mapping[str, np.ndarray],
    k: int,
    metrics: Sequence[str] = ("euclidean", "cosine", "mahalanobis"),
    seed: int = SEED,
) -> pd.DataFrame:
    """Compare k-means of several views of the same rows in several metrics.

    Parameters
    ----------
    views
        Name of a view -> rows (B, D).
    k
        Number of clusters, at least 2.
    metrics
        As in `in_metric`.
    seed
        As in `clustering.kmeans`.

    Returns
    -------
    DataFrame
        One row a view and metric: view, metric, silhouette (with distances of that metric),
        largest_share, sizes (list of int, the largest first).

    Raises
    ------
    ValueError
        As `in_metric`, `clustering.kmeans` and `clustering.evaluate`.
    """
    rows = []
    for view, z in views.items():
        for metric in metrics:
            turned = in_metric(z, metric)
            labels = clustering.kmeans(turned, k, seed)
            figures = clustering.evaluate(turned, labels, seed)
            sizes = np.bincount(labels).tolist()
            rows.append((view, metric, figures["silhouette"], figures["largest_share"], sizes))
    return pd.DataFrame(rows, columns=["view", "metric", "silhouette", "largest_share", "sizes"])


def membership_table(sections: pd.DataFrame, memberships: np.ndarray) -> pd.DataFrame:
    """Say for each section how much of it belongs to each cluster.

    Parameters
    ----------
    sections
        Columns item_id and start_s, one row a section.
    memberships
        (B, K), such as `fuzzy` or `mixture` gives.

    Returns
    -------
    DataFrame
        item_id, start_s, cluster0 to cluster{K-1}, certain (the largest membership), entropy (of
        the memberships, from 0 for one cluster to 1 for all alike).

    Raises
    ------
    ValueError
        If the numbers of rows differ, or the memberships of a row do not add up to 1.
    """
    u = np.asarray(memberships, np.float64)
    if u.ndim != 2 or len(u) != len(sections):
        raise ValueError(f"there are {len(sections)} sections but memberships {u.shape}")
    if not (np.abs(u.sum(axis=1) - 1) <= 1e-3).all():
        raise ValueError("the memberships of a section do not add up to 1; give shares (B, K)")
    k = u.shape[1]
    table = sections[["item_id", "start_s"]].reset_index(drop=True)
    table[[f"cluster{i}" for i in range(k)]] = u
    table["certain"] = u.max(axis=1)
    table["entropy"] = -xlogy(u, u).sum(axis=1) / np.log(k) if k > 1 else 0.0
    return table


def _checked(z: np.ndarray, k: int) -> np.ndarray:
    """Refuse what cannot be clustered; doubles, for sums of many powers."""
    z = np.asarray(z, np.float64)
    if z.ndim != 2 or not z.size:
        raise ValueError(f"rows have shape {z.shape}; give (B, D) that is not empty")
    if not np.isfinite(z).all():
        raise ValueError("rows hold NaN or infinity; leave those rows out")
    if not 1 <= k <= len(z):
        raise ValueError(f"{len(z)} rows cannot form {k} clusters; choose k from 1 to {len(z)}")
    return z


def _descend(
    z: np.ndarray, centres: np.ndarray, m: float
) -> tuple[float, np.ndarray, np.ndarray, int]:
    """Go down from given centres; return objective, memberships, centres, steps."""
    u, steps, moved = np.zeros((len(z), len(centres))), 0, np.inf
    while moved > CLOSE and steps < ITERATIONS:
        # In logarithms a row on a centre is no 0/0, and powers of 1 / (m - 1) do not overflow.
        distances = cdist(z, centres, "sqeuclidean")  # B x K
        after = softmax(-np.log(np.maximum(distances, _TINY)) / (m - 1), axis=1)
        weights = (after / np.maximum(after.max(axis=0), _TINY)) ** m
        centres = weights.T @ z / np.maximum(weights.sum(axis=0)[:, None], _TINY)
        moved, u, steps = np.abs(after - u).max(), after, steps + 1
    return float((u**m * distances).sum()), u, centres, steps


def _largest_first(sizes: np.ndarray) -> np.ndarray:
    """Order of clusters by size; equal ones as they came."""
    return np.argsort(-sizes, kind="stable")


def _unit(z: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), _TINY)


def _whitened(z: np.ndarray) -> np.ndarray:
    """Rows whose covariance, shrunk, is the identity; by SVD, since D may be thousands."""
    z = z - z.mean(axis=0)
    u, s, _ = np.linalg.svd(z, full_matrices=False)
    variance, share = np.square(s) / len(z), ledoit_wolf_shrinkage(z, assume_centered=True)
    shrunk = (1 - share) * variance + share * variance.sum() / z.shape[1]
    return u * (s / np.sqrt(np.maximum(shrunk, _TINY)))


METRICS = {"euclidean": np.copy, "cosine": _unit, "mahalanobis": _whitened}
