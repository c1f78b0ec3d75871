"""Cluster softly, with a membership of each row in each cluster, and in several metrics.

Memberships are matrices (B, K) of shares from 0 to 1; each row adds up to 1. Clusters are numbered
from 0, the largest first. Rows (B, D) are standardised features or latents, as in `clustering`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist, pdist
from scipy.special import softmax, xlogy
from sklearn.cluster import HDBSCAN, kmeans_plusplus
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import normalize

from musiclatent.analysis import clustering, validation
from musiclatent.config import SEED
from musiclatent.files import pick

STARTS = 8  # fuzzy c-means takes the best of so many starts
ITERATIONS = 1_000
TOLERANCE = 1e-5  # converged when no membership changes by more
FUZZIFIERS = (*(round(2 - 0.05 * i, 2) for i in range(20)), 1.04, 1.03, 1.02, 1.01)
LEAST_COEFFICIENT = 0.25  # of the normalised partition coefficient: below it all rows look alike
LEAST_DISTANCE = 0.1  # of centres, in RMS distances of rows to their mean: nearer ones coincide
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, kw_only=True)
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
        equal, to 1, where each row belongs to one cluster (Bezdek, 1981).
    """

    memberships: np.ndarray
    centres: np.ndarray
    m: float
    partition_coefficient: float

    @property
    def normalised_coefficient(self) -> float:
        """Partition coefficient scaled to 0 to 1, whatever K is (Dave, 1996); 1 for K = 1."""
        k = len(self.centres)
        return (k * self.partition_coefficient - 1) / (k - 1) if k > 1 else 1.0

    @property
    def labels(self) -> np.ndarray:
        """Cluster of the largest membership of each row (B,), int."""
        return self.memberships.argmax(axis=1)


def fuzzy_c_means(z: np.ndarray, k: int, *, m: float, seed: int = SEED) -> Fuzzy:
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
    z = _rows(z, k)
    if not 1 < m < np.inf:
        raise ValueError(f"the fuzzifier is {m}; choose one above 1, such as 1.2")
    rng = np.random.default_rng(seed)
    starts = [int(s) for s in rng.integers(2**31, size=STARTS)]
    fits = [_descend(z, kmeans_plusplus(z, k, random_state=s)[0], m) for s in starts]
    _, u, centres = min(fits, key=lambda fit: fit[0])
    order = clustering.largest_first(u.sum(axis=0))
    u = u[:, order]
    return Fuzzy(
        memberships=u,
        centres=centres[order],
        m=m,
        partition_coefficient=float(np.square(u).sum(axis=1).mean()),
    )


def fuzzifier(z: np.ndarray, k: int, seed: int = SEED) -> float:
    """Return the fuzzifier of the softest clusters that still differ.

    The rule: the largest m of 2.00, 1.95, ... 1.05, 1.04, ... 1.01 whose normalised partition
    coefficient is at least a quarter, which is at least 1/K + 0.125 before normalising, and whose
    centres are distinct: no two nearer than a tenth of the root mean square distance of rows to
    their mean.

    Parameters
    ----------
    z
        Rows (B, D).
    k
        Number of clusters, at least 2.
    seed
        As in `fuzzy_c_means`.

    Returns
    -------
    float
        The fuzzifier m.

    Raises
    ------
    ValueError
        As `fuzzy_c_means`, if k is 1, or memberships stay equal with every m.
    """
    if k < 2:
        raise ValueError(f"k is {k}; a fuzzifier needs two clusters or more")
    least = LEAST_DISTANCE * np.sqrt(np.var(z, axis=0, dtype=np.float64).sum())
    for m in FUZZIFIERS:
        fuzzy = fuzzy_c_means(z, k, m=m, seed=seed)
        distinct = pdist(fuzzy.centres).min() > least
        if distinct and fuzzy.normalised_coefficient >= LEAST_COEFFICIENT:
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
        are spherical, diagonal, or one of all clusters (where there are more rows than dimensions)
        those with the lowest Bayesian information criterion (Schwarz, 1978) are taken; a thousandth
        of the mean variance is added to each, so that no Gaussian shrinks to a point.

    Raises
    ------
    ValueError
        If k is below 1, there are fewer rows than clusters or than two, or numbers are missing.
    """
    z = _rows(z, k)
    if len(z) < 2:
        raise ValueError("one row has no covariance; give two or more")
    floor = max(1e-3 * float(z.var(axis=0).mean()), 1e-12)
    fit = partial(GaussianMixture, k, n_init=4, reg_covar=floor, random_state=seed)
    shapes = ("spherical", "diag", "tied") if z.shape[1] < len(z) else ("spherical", "diag")
    models = [fit(covariance_type=shape).fit(z) for shape in shapes]
    u = min(models, key=lambda model: model.bic(z)).predict_proba(z)
    return u[:, clustering.largest_first(u.sum(axis=0))]


def hdbscan(z: np.ndarray, min_size: int = 5) -> np.ndarray:
    """Cluster by density, and leave out rows of no dense region.

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
    z = _rows(z)
    if not 2 <= min_size <= len(z):
        raise ValueError(f"min_size is {min_size}; choose from 2 to the number of rows, {len(z)}")
    labels = HDBSCAN(min_cluster_size=min_size, copy=True).fit_predict(z)
    order = clustering.largest_first(np.bincount(labels[labels >= 0]))
    return np.append(np.argsort(order), -1)[labels]  # the label -1 takes the last


def _whitened(z: np.ndarray) -> np.ndarray:
    """Return rows whose covariance, shrunk, is the identity; by SVD, since D may be thousands."""
    z = z - z.mean(axis=0)
    u, s, _ = np.linalg.svd(z, full_matrices=False)
    variance = np.square(s) / len(z)
    share = ledoit_wolf_shrinkage(z, assume_centered=True)
    shrunk = (1 - share) * variance + share * variance.sum() / z.shape[1]
    return u * (s / np.sqrt(np.maximum(shrunk, _TINY)))


METRICS = {"euclidean": np.copy, "cosine": normalize, "mahalanobis": _whitened}


def in_metric(z: np.ndarray, metric: str) -> np.ndarray:
    """Transform rows so that their Euclidean distance is the distance of another metric.

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
    return pick(METRICS, metric, "metric")(_rows(z))


def compare_metrics(views: Mapping[str, np.ndarray], k: int, seed: int = SEED) -> pd.DataFrame:
    """Compare k-means of several views of the same rows in each metric of `in_metric`.

    Parameters
    ----------
    views
        Name of a view -> rows (B, D).
    k
        Number of clusters, at least 2.
    seed
        As in `clustering.kmeans`.

    Returns
    -------
    DataFrame
        One row per view and metric: view, metric, silhouette (with distances of that metric),
        largest_share, sizes (list of int, the largest first).

    Raises
    ------
    ValueError
        As `in_metric`, `clustering.kmeans` and `clustering.evaluate`.
    """
    rows = []
    for view, z in views.items():
        for metric in METRICS:
            transformed = in_metric(z, metric)
            labels = clustering.kmeans(transformed, k, seed)
            figures = clustering.evaluate(transformed, labels, seed)
            sizes = np.bincount(labels).tolist()
            rows.append({"view": view, "metric": metric, **figures, "sizes": sizes})
    return pd.DataFrame(rows).drop(columns="clusters")


def membership_table(sections: pd.DataFrame, memberships: np.ndarray) -> pd.DataFrame:
    """Return one row per section with its membership in each cluster.

    Parameters
    ----------
    sections
        Columns item_id and start_s, one row per section.
    memberships
        (B, K), such as those of `fuzzy_c_means` or `mixture`.

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


def _rows(z: np.ndarray, k: int = 1) -> np.ndarray:
    """Return valid rows that can form k clusters, in doubles, for sums of many powers."""
    z = validation.matrix(z, "rows").astype(np.float64)
    validation.cluster_count(k, z)
    return z


def _descend(
    z: np.ndarray, centres: np.ndarray, m: float
) -> tuple[float, np.ndarray, np.ndarray, int]:
    """Iterate from given centres; return objective, memberships and centres."""
    u = np.zeros((len(z), len(centres)))
    for _ in range(ITERATIONS):
        # In logarithms a row on a centre is no 0/0, and powers of 1 / (m - 1) do not overflow.
        distances = cdist(z, centres, "sqeuclidean")  # B x K
        before, u = u, softmax(-np.log(np.maximum(distances, _TINY)) / (m - 1), axis=1)
        weights = (u / np.maximum(u.max(axis=0), _TINY)) ** m
        centres = weights.T @ z / np.maximum(weights.sum(axis=0)[:, None], _TINY)
        if np.abs(u - before).max() <= TOLERANCE:
            break
    return float((u**m * distances).sum()), u, centres
