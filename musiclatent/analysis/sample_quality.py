"""Judge a set of sounds as a whole, beside a set of real ones, in a space of features."""

import numpy as np

from musiclatent.analysis import validation


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Compute the Frechet distance of two sets, each taken for a Gaussian.

    Parameters
    ----------
    x, y
        Features (B, D) and (B', D), finite, two rows or more each; scale them first where their
        units differ.

    Returns
    -------
    float
        Squared distance of the means and of the covariances, in the square of the features' unit;
        0 for the same set.

    Raises
    ------
    ValueError
        If one is no matrix of numbers, their dimensions differ, or a set has less than two rows.

    Notes
    -----
    Dowson and Landau (1982), The Frechet distance between multivariate normal distributions; Heusel
    et al. (2017), GANs trained by a two time-scale update rule. The trace of the root of the
    product of both covariances is the nuclear norm of the product of the centred sets: no root of a
    matrix, and exact for fewer rows than dimensions.
    """
    x, y = (validation.matrix(part) for part in (x, y))
    validation.same_width(y, x)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"sets of {len(x)} and {len(y)} rows have no spread; give two rows each")
    shift = np.square(x.mean(axis=0) - y.mean(axis=0)).sum()
    a, b = ((part - part.mean(axis=0)) / np.sqrt(len(part) - 1) for part in (x, y))
    spread = np.square(a).sum() + np.square(b).sum()
    return float(max(0.0, shift + spread - 2 * np.linalg.norm(a @ b.T, "nuc")))
