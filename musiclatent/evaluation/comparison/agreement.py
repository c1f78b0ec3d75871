"""How alike two encoders arrange the same music: linear CKA, and neighbours that both name."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from musiclatent.analysis import neighbours, validation
from musiclatent.evaluation.comparison.vectors import Vectors, shared_rows

K = 10  # neighbours that two encoders may share


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Compute linear centred kernel alignment between two sets of vectors of the same rows.

    Parameters
    ----------
    x, y
        Vectors (B, D) and (B, E).

    Returns
    -------
    float
        0 to 1; 1 where one is a rotation and scaling of the other, NaN where all rows of one are
        the same.

    Raises
    ------
    ValueError
        If they have different rows, or numbers are missing.

    Notes
    -----
    Kornblith, Norouzi, Lee and Hinton (2019), Similarity of neural network representations
    revisited; without the diagonals of the kernels, as else few rows of many numbers always agree
    (Song and others 2012, Feature selection via dependence maximization).
    """
    x, y = validation.matrix(x), validation.matrix(y)
    if len(x) != len(y) or len(x) < 4:
        raise ValueError(f"{len(x)} and {len(y)} rows; give the same four rows or more of each")
    k, m = (_without_diagonal(part) for part in (x, y))
    own = _hsic(k, k) * _hsic(m, m)
    return float(np.clip(_hsic(k, m) / np.sqrt(own), 0, 1)) if own > 0 else float("nan")


def _without_diagonal(x: np.ndarray) -> np.ndarray:
    """Return the linear kernel (B, B) of centred rows of unit size, with a diagonal of 0."""
    x = x - x.mean(axis=0)
    size = np.square(x).sum()
    if not size > 0:
        return np.zeros((len(x), len(x)))
    kernel = x @ x.T * (len(x) / size)
    np.fill_diagonal(kernel, 0)
    return kernel


def _hsic(k: np.ndarray, m: np.ndarray) -> float:
    """Return the unbiased Hilbert-Schmidt independence criterion of kernels (B, B)."""
    n = len(k)
    whole = k.sum() * m.sum() / ((n - 1) * (n - 2))
    crossed = 2 * (k.sum(axis=0) @ m.sum(axis=0)) / (n - 2)
    return float(((k * m).sum() + whole - crossed) / (n * (n - 3)))


def shared_neighbours(x: np.ndarray, y: np.ndarray, k: int = K) -> float:
    """Compute the mean share of the k nearest neighbours that two sets of vectors both name.

    Parameters
    ----------
    x, y
        Vectors (B, D) and (B, E) of the same rows, as they are compared.
    k
        How many neighbours; fewer where there are fewer rows.

    Returns
    -------
    float
        0 to 1; by chance k / (B - 1).

    Raises
    ------
    ValueError
        If they have different rows, or numbers are missing.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} and {len(y)} rows cannot be compared; give the same rows")
    k = min(k, len(x) - 1)
    near = [neighbours.nearest_others(part, np.arange(len(part)), k) for part in (x, y)]
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(*near, strict=True)]))


def matrices(measured: Mapping[str, Vectors]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare every encoder with every other on the rows that all have.

    Parameters
    ----------
    measured
        Encoder -> vectors of the same files.

    Returns
    -------
    cka, shared
        Encoders by encoders, symmetric, 1 on the diagonal: `linear_cka` and `shared_neighbours`.
    """
    rows = shared_rows(measured)
    x = {name: found.take(rows).scaled() for name, found in measured.items()}
    names = list(x)
    cka, shared = (pd.DataFrame(1.0, index=names, columns=names) for _ in range(2))
    for i, one in enumerate(names):
        for other in names[:i]:
            cka.loc[one, other] = cka.loc[other, one] = linear_cka(x[one], x[other])
            value = shared_neighbours(x[one], x[other])
            shared.loc[one, other] = shared.loc[other, one] = value
    return cka, shared
