"""Latents on a plane, and which of them lie apart, and why."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist
from sklearn import manifold
from sklearn.decomposition import PCA

from musiclatent.config import SEED

SAMPLE = 2_000  # rows that trustworthiness is taken of: its cost grows with the square
FIRST = 50  # principal components that UMAP is given
UNUSUAL = 2.5  # robust standard deviations from which a factor is called far off


@dataclass(frozen=True)
class Projection:
    """Latents in few dimensions.

    Parameters
    ----------
    points
        (B, n), one row a latent.
    explained
        (n,) shares of the variance, None where the method has none.
    name
        ``PCA`` or ``UMAP``.
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
    return Projection(model.transform(z), model.explained_variance_ratio_, "PCA", model.transform)


def umap(z: np.ndarray, seed: int = SEED, fit_on: np.ndarray | None = None) -> Projection:
    """Lay latents out on a plane where near neighbours stay near.

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
    from umap import UMAP  # seconds to import, and its first use compiles for twelve

    rows, z, narrow = _narrowed(z, fit_on)
    model = UMAP(n_neighbors=min(15, len(rows) - 1), random_state=seed, n_jobs=1)
    points = np.empty((len(z), 2), np.float32)
    points[rows] = model.fit_transform(z[rows])
    rest = np.setdiff1d(np.arange(len(z)), rows)
    if len(rest):
        points[rest] = model.transform(z[rest])
    return Projection(points, None, "UMAP", lambda z: model.transform(narrow(z)))


def tsne(z: np.ndarray, seed: int = SEED, fit_on: np.ndarray | None = None) -> Projection:
    """Lay latents out on a plane by t-SNE, which keeps neighbours and gives up distances.

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

    rows, z, narrow = _narrowed(z, fit_on)
    perplexity = min(30.0, (len(rows) - 1) / 3)
    model = TSNE(perplexity=perplexity, random_state=seed, n_jobs=1).fit(np.asarray(z[rows], float))
    points = np.empty((len(z), 2), np.float32)
    points[rows] = model
    rest = np.setdiff1d(np.arange(len(z)), rows)

    def place(z: np.ndarray) -> np.ndarray:
        """Place new rows, each by itself."""
        return np.asarray(model.transform(np.asarray(z, float)), np.float32)

    if len(rest):
        points[rest] = place(z[rest])
    return Projection(points, None, "t-SNE", lambda z: place(narrow(z)))


def _narrowed(
    z: np.ndarray, fit_on: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Rows that decide a plane, latents of `FIRST` numbers at most, and what narrows others."""
    rows = _rows(z, fit_on, 4)
    if z.shape[1] <= FIRST:
        return rows, z, lambda z: z
    first = pca(z, min(FIRST, len(rows)), fit_on)
    return rows, first.points, first.place


def trustworthiness(z: np.ndarray, points: np.ndarray, k: int = 15) -> float:
    """Say how far neighbours on the plane are neighbours among the latents.

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
        From 0 to 1: 1 where no stranger has come near.

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
    points: np.ndarray, labels: np.ndarray, a: str = "classical", b: str = "jazz"
) -> float:
    """Compare the distance of two labels with what is usual between labels.

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
        all pairs of labels: below 1 they lie closer than usual. NaN where a label is missing.

    Raises
    ------
    ValueError
        If lengths differ.
    """
    labels = np.asarray(labels).astype(str)
    if len(labels) != len(points):
        raise ValueError(f"there are {len(points)} points but {len(labels)} labels")
    names = np.unique(labels[labels != ""])
    if not {a, b} <= set(names) or a == b:
        return float("nan")
    centroids = np.array([points[labels == name].mean(axis=0) for name in names])
    usual = np.median(pdist(centroids))
    apart = np.linalg.norm(centroids[names == a] - centroids[names == b])
    return float(apart / usual) if usual > 0 else float("nan")


def outliers(
    points: np.ndarray, items: pd.DataFrame, factors: pd.DataFrame, n: int = 5
) -> pd.DataFrame:
    """Name the recordings that lie farthest from the middle, and what is unusual about them.

    Parameters
    ----------
    points
        (B, n) points or latents, one row a window.
    items
        Its items (B rows): item_id, start_s.
    factors
        Numbers known of each window (B rows): columns such as tempo, from the index or from
        `statistics`. Numbers may be missing.
    n
        How many recordings.

    Returns
    -------
    DataFrame
        item_id, start_s of its farthest window, distance from the middle in robust standard
        deviations, why: a sentence that names the two most unusual factors. Farthest first.

    Raises
    ------
    ValueError
        If the tables have other lengths than the points.
    """
    if not len(points) == len(items) == len(factors):
        raise ValueError(
            f"{len(points)} points, {len(items)} items and {len(factors)} rows of factors; "
            "give one row of each a window"
        )
    numbers = factors.select_dtypes("number").astype(float).dropna(axis=1, how="all")
    numbers = numbers.reset_index(drop=True)
    scores = pd.DataFrame({name: _robust_z(numbers[name]) for name in numbers}, numbers.index)
    table = items[["item_id", "start_s"]].reset_index(drop=True)
    table["distance"] = np.linalg.norm(
        np.apply_along_axis(_robust_z, 0, np.asarray(points, float)), axis=1
    )
    far = table.sort_values("distance", ascending=False, kind="stable").drop_duplicates("item_id")
    far = far.head(n)
    why = [_why(numbers.loc[row], scores.loc[row], numbers.median()) for row in far.index]
    return far.assign(why=why).reset_index(drop=True)


def _robust_z(x: np.ndarray) -> np.ndarray:
    """Distances from the median in units of the scaled median absolute deviation."""
    gap = x - np.nanmedian(x)
    scale = 1.4826 * np.nanmedian(np.abs(gap)) or np.nanstd(x)
    return gap / scale if scale > 0 else gap * 0.0


def _why(values: pd.Series, scores: pd.Series, middle: pd.Series) -> str:
    """Name the two most unusual factors of a window."""
    names = scores.abs().sort_values(ascending=False, kind="stable").dropna().index[:2]
    if names.empty:
        return "nothing is known of it"
    return "; ".join(_compared(name, values[name], scores[name], middle[name]) for name in names)


def _compared(name: str, value: float, score: float, middle: float) -> str:
    """Compare a factor with its median in words."""
    side = "above" if score > 0 else "below" if score < 0 else "at"
    far = "far " if abs(score) >= UNUSUAL else ""
    return f"{name} {value:.4g} is {far}{side} the median {middle:.4g}"


def _rows(z: np.ndarray, fit_on: np.ndarray | None, least: int) -> np.ndarray:
    """Rows to fit on, after a look at the door."""
    chosen = np.ones(len(z), bool) if fit_on is None else np.asarray(fit_on)
    if chosen.dtype != bool or chosen.shape != (len(z),):
        raise ValueError(f"fit_on must hold a truth value for each of the {len(z)} rows")
    if chosen.sum() < least or z.shape[1] < 2:
        raise ValueError(
            f"{chosen.sum()} rows of {z.shape[1]} numbers are too few to fit a projection; "
            f"give at least {least} rows"
        )
    if not np.isfinite(z).all():
        raise ValueError("latents hold NaN or infinity; leave those rows out")
    return np.flatnonzero(chosen)
