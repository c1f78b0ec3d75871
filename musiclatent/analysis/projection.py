"""Project latents onto a plane, and find outliers and what is unusual about them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist
from sklearn import manifold
from sklearn.decomposition import PCA

from musiclatent import numba_cache
from musiclatent.analysis import validation
from musiclatent.config import SEED

SAMPLE = 2_000  # rows that trustworthiness is taken of: its cost grows with their square
FIRST = 50  # principal components that UMAP is given
UNUSUAL = 2.5  # robust standard deviations from which a factor is called far from the median
EVEN = 1e-3  # of a median: the least spread that counts


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Latents in few dimensions.

    Parameters
    ----------
    points
        (B, n), one row per latent.
    explained
        (n,) shares of the variance, None where the method has none.
    name
        ``PCA``, ``UMAP`` or ``t-SNE``.
    place
        Places further latents (B', D), such as new music, on the same plane: (B', n).
    """

    points: np.ndarray
    explained: np.ndarray | None
    name: str
    place: Callable[[np.ndarray], np.ndarray]


def pca(z: np.ndarray, n: int = 2, fit_on: np.ndarray | None = None) -> Projection:
    """Project latents onto their principal components.

    Parameters
    ----------
    z
        Latents (B, D).
    n
        Number of components.
    fit_on
        (B,) bool: rows that decide the components; the rest is projected. None takes all.

    Raises
    ------
    ValueError
        If `fit_on` chooses too few rows or has another length, or numbers are missing.
    """
    rows = _rows(z, fit_on, n)
    solver = "arpack" if n < min(len(rows), z.shape[1]) else "full"  # exact, and quick for few
    model = PCA(n, svd_solver=solver, random_state=SEED).fit(z[rows])
    return Projection(
        points=model.transform(z),
        explained=model.explained_variance_ratio_,
        name="PCA",
        place=model.transform,
    )


def components(rows: np.ndarray, n: int, *, whiten: bool = False, seed: int = SEED) -> PCA:
    """Fit the best linear map from wide rows to few dimensions and back.

    Parameters
    ----------
    rows
        (B, D).
    n
        Dimensions; as many as there are rows or columns at most.
    whiten
        Whether each dimension has variance 1.
    seed
        Of the randomised decomposition.
    """
    kept = min(n, *rows.shape)
    # As many more as are wanted: then the search finds what an exact one would.
    model = PCA(kept, whiten=whiten, svd_solver="randomized", n_oversamples=kept, random_state=seed)
    return model.fit(rows)


def umap(z: np.ndarray, seed: int = SEED, fit_on: np.ndarray | None = None) -> Projection:
    """Project latents onto a plane where near neighbours stay near.

    Of wide latents the first 50 principal components are taken.

    Parameters
    ----------
    z
        Latents (B, D).
    seed
        Seed; with it one thread works, and the same seed gives the same plane.
    fit_on
        (B,) bool: rows that decide the plane; the rest is placed on it. None takes all.

    Raises
    ------
    ValueError
        As `pca`; the plane needs four rows at least.

    Notes
    -----
    McInnes, Healy and Melville (2018), UMAP: uniform manifold approximation and projection.
    """
    from umap import UMAP  # seconds to import

    numba_cache.read_umap()

    def fit(z: np.ndarray) -> tuple[np.ndarray, Callable]:
        model = UMAP(n_neighbors=min(15, len(z) - 1), random_state=seed, n_jobs=1)
        return model.fit_transform(z), model.transform

    return _plane("UMAP", z, fit_on, fit)


def tsne(z: np.ndarray, seed: int = SEED, fit_on: np.ndarray | None = None) -> Projection:
    """Project latents onto a plane by t-SNE, which keeps neighbours and gives up distances.

    Of wide latents the first 50 principal components are taken.

    Parameters
    ----------
    z
        Latents (B, D).
    seed
        Seed; one thread works, and the same seed gives the same plane.
    fit_on
        (B,) bool: rows that decide the plane; the rest is placed on it. None takes all.

    Raises
    ------
    ValueError
        As `pca`; the plane needs four rows at least.

    Notes
    -----
    van der Maaten and Hinton (2008), Visualizing data using t-SNE; openTSNE (Policar et al. 2019).
    """
    from openTSNE import TSNE  # a second to import

    def fit(z: np.ndarray) -> tuple[np.ndarray, Callable]:
        perplexity = min(30.0, (len(z) - 1) / 3)
        model = TSNE(perplexity=perplexity, random_state=seed, n_jobs=1).fit(np.asarray(z, float))
        return model, lambda z: np.asarray(model.transform(np.asarray(z, float)), np.float32)

    return _plane("t-SNE", z, fit_on, fit)


def _plane(name: str, z: np.ndarray, fit_on: np.ndarray | None, fit: Callable) -> Projection:
    """Fit a plane to some rows, of `FIRST` dimensions at most, and place the others on it."""
    rows = _rows(z, fit_on, 4)
    reduce = pca(z, min(FIRST, len(rows)), fit_on).place if z.shape[1] > FIRST else np.asarray
    z = reduce(z)
    points = np.empty((len(z), 2), np.float32)
    points[rows], place = fit(z[rows])
    rest = np.setdiff1d(np.arange(len(z)), rows)
    if len(rest):
        points[rest] = place(z[rest])
    return Projection(points=points, explained=None, name=name, place=lambda z: place(reduce(z)))


def trustworthiness(z: np.ndarray, points: np.ndarray, k: int = 15) -> float:
    """Compute how far neighbours on the plane are neighbours among the latents.

    Parameters
    ----------
    z
        Latents (B, D). Of more than 2,000 rows a fixed random sample of 2,000 is taken.
    points
        The same rows on the plane (B, n).
    k
        Number of neighbours; fewer where there are not more than twice as many rows.

    Returns
    -------
    float
        From 0 to 1: 1 where all neighbours on the plane are neighbours among the latents.

    Raises
    ------
    ValueError
        If lengths differ, or there are fewer than four rows.

    Notes
    -----
    Venna and Kaski (2001), Neighborhood preservation in nonlinear projection methods.
    """
    if len(z) != len(points) or len(z) < 4:
        raise ValueError(f"{len(z)} latents and {len(points)} points; give four or more of each")
    rows = np.random.default_rng(SEED).permutation(len(z))[:SAMPLE]
    k = min(k, (len(rows) - 1) // 2)
    return float(manifold.trustworthiness(z[rows], points[rows], n_neighbors=k))


def label_distance(
    points: np.ndarray, labels: np.ndarray, *, a: str = "classical", b: str = "jazz"
) -> float:
    """Compute the distance of two labels relative to the median distance of labels.

    Parameters
    ----------
    points
        Points or latents (B, n).
    labels
        Label of each row (B,); rows with an unknown label, the empty string, are left out.
    a, b
        Two labels.

    Returns
    -------
    float
        Distance between the centroids of the two labels over the median distance between those of
        all pairs of labels: below 1 they lie closer than most. NaN where a label is missing.

    Raises
    ------
    ValueError
        If lengths differ.
    """
    labels = validation.labels(labels, len(points), "points").astype(str)
    names = np.unique(labels[labels != ""])
    if not {a, b} <= set(names) or a == b:
        return float("nan")
    centroids = np.array([points[labels == name].mean(axis=0) for name in names])
    median = np.median(pdist(centroids))
    distance = np.linalg.norm(centroids[names == a] - centroids[names == b])
    return float(distance / median) if median > 0 else float("nan")


def outliers(
    points: np.ndarray, items: pd.DataFrame, factors: pd.DataFrame, n: int = 5
) -> pd.DataFrame:
    """Find the recordings that lie farthest from the median, and what is unusual about them.

    Parameters
    ----------
    points
        (B, n) points or latents, one row per window.
    items
        Its items (B rows): item_id, start_s.
    factors
        Factors and descriptors of each window (B rows): columns such as tempo, from the index or
        from `descriptors.window_statistics`. Numbers may be missing.
    n
        How many recordings.

    Returns
    -------
    DataFrame
        item_id, start_s of its farthest window, distance from the median in robust standard
        deviations, why: a sentence that names the two most unusual factors. Farthest first.

    Raises
    ------
    ValueError
        If the tables have other lengths than the points.
    """
    if not len(points) == len(items) == len(factors):
        raise ValueError(
            f"{len(points)} points, {len(items)} items and {len(factors)} rows of factors; "
            "give one row of each per window"
        )
    numbers = factors.select_dtypes("number").astype(float).dropna(axis=1, how="all")
    numbers = numbers.reset_index(drop=True)
    scores = pd.DataFrame({name: _robust_z(numbers[name]) for name in numbers}, numbers.index)
    table = items[["item_id", "start_s"]].reset_index(drop=True)
    distances = np.apply_along_axis(_robust_z, 0, np.asarray(points, float))
    table["distance"] = np.linalg.norm(distances, axis=1)
    far = table.sort_values("distance", ascending=False, kind="stable")
    far = far.drop_duplicates("item_id").head(n)
    median = numbers.median()
    why = [_why(numbers.loc[row], scores.loc[row], median) for row in far.index]
    return far.assign(why=why).reset_index(drop=True)


def _robust_z(x: np.ndarray) -> np.ndarray:
    """Return distances from the median in units of the scaled median absolute deviation."""
    median = np.nanmedian(x)
    gap = x - median
    scale = 1.4826 * np.nanmedian(np.abs(gap)) or np.nanstd(x)
    scale = max(scale, EVEN * abs(median))  # what differs by rounding alone is not unusual
    return gap / scale if scale > 0 else gap * 0.0


def _why(values: pd.Series, scores: pd.Series, medians: pd.Series) -> str:
    """Return a sentence on the two most unusual factors of a window."""
    names = scores.abs().sort_values(ascending=False, kind="stable").dropna().index[:2]
    if names.empty:
        return "nothing is known of it"
    return "; ".join(_compared(name, values[name], scores[name], medians[name]) for name in names)


def _compared(name: str, value: float, score: float, median: float) -> str:
    """Return how a factor differs from its median, in words."""
    side = "above" if score > 0 else "below" if score < 0 else "at"
    far = "far " if abs(score) >= UNUSUAL else ""
    return f"{name} {value:.4g} is {far}{side} the median {median:.4g}"


def _rows(z: np.ndarray, fit_on: np.ndarray | None, least: int) -> np.ndarray:
    """Return the valid rows to fit on, at least so many."""
    chosen = np.ones(len(z), bool) if fit_on is None else np.asarray(fit_on)
    if chosen.dtype != bool or chosen.shape != (len(z),):
        raise ValueError(f"fit_on must hold a truth value for each of the {len(z)} rows")
    if chosen.sum() < least or z.shape[1] < 2:
        raise ValueError(
            f"{chosen.sum()} rows of {z.shape[1]} dimensions are too few to fit a projection; "
            f"give at least {least} rows"
        )
    validation.matrix(z, "latents")
    return np.flatnonzero(chosen)
