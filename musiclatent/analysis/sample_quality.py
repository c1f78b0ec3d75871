"""Judge generated samples against recordings: whether they are stored, plausible, and as varied.

Rows are features (B, D) of decoded sounds, all from one network that no sample was shown to. A
figure tells little alone: set that of held-out recordings beside it.
"""

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist

from musiclatent.analysis import validation

NEIGHBOURS = 5  # of the balls, as in Naeem et al.
NEAR = 5  # percentile of real nearest distances: of real recordings one in twenty lies nearer


def copy_test(samples: np.ndarray, held_out: np.ndarray, training: np.ndarray) -> float:
    """Test whether samples lie nearer to training recordings than other recordings do.

    Parameters
    ----------
    samples
        Features of samples (n, D).
    held_out, training
        Features of recordings that were not trained on (m, D), and that were (B, D).

    Returns
    -------
    float
        Mann-Whitney's z of both sets of nearest distances: far below 0 samples are stored
        recordings, near 0 they lie as fresh ones do, far above 0 they lie off the data.

    Raises
    ------
    ValueError
        If a table is empty, holds NaN or infinity, or has other columns than the training's.

    Notes
    -----
    Meehan, Chaudhuri and Dasgupta (2020), A non-parametric test to detect data-copying in
    generative models; over the whole space as one cell.
    """
    validation.matrix(training, "training recordings")
    sets = {"samples": samples, "held-out recordings": held_out}
    near = [_distances(x, training, name).min(axis=1) for name, x in sets.items()]
    return float(stats.ranksums(*near).statistic)


def fidelity(samples: np.ndarray, recordings: np.ndarray, k: int = NEIGHBOURS) -> dict[str, float]:
    """Measure how plausible and how varied samples are.

    Around each point lies a ball that reaches to its k-th nearest other point of the same set.

    Parameters
    ----------
    samples
        Features of samples (n, D); the last two figures grow with n.
    recordings
        Features of training recordings (B, D).
    k
        Neighbours that a ball reaches to.

    Returns
    -------
    dict
        ``precision``, share of samples in the ball of a recording; ``density``, mean number of
        such balls over k; ``near_share``, share of samples nearer to a recording than the 5th
        percentile of the recordings' own nearest distances; ``recall``, share of recordings in the
        ball of a sample; ``coverage``, share of recordings whose ball holds a sample.

    Raises
    ------
    ValueError
        As `copy_test`, or if a set has no more than k rows.

    Notes
    -----
    Kynkaanniemi et al. (2019), Improved precision and recall metric for assessing generative
    models; Naeem et al. (2020), Reliable fidelity and diversity metrics for generative models.
    """
    validation.matrix(recordings, "training recordings")
    across = _distances(samples, recordings, "samples")  # n x B
    if min(across.shape) <= k:
        raise ValueError(f"there are {across.shape} samples and recordings; {k + 1} are needed")
    ordered = {name: _ordered(x) for name, x in (("new", samples), ("real", recordings))}
    inside = across <= ordered["real"][:, k - 1]  # of the ball of each recording
    within = across <= ordered["new"][:, k - 1, None]  # of the ball of each sample
    bound = np.percentile(ordered["real"][:, 0], NEAR)
    figures = {
        "precision": inside.any(axis=1).mean(),
        "density": inside.sum(axis=1).mean() / k,
        "near_share": (across.min(axis=1) < bound).mean(),
        "recall": within.any(axis=0).mean(),
        "coverage": inside.any(axis=0).mean(),
    }
    return {name: float(value) for name, value in figures.items()}


def evaluate(
    samples: np.ndarray, held_out: np.ndarray, training: np.ndarray, k: int = NEIGHBOURS
) -> dict[str, float]:
    """Return ``copy_test_z`` of samples, and all figures of `fidelity`."""
    z = copy_test(samples, held_out, training)
    return {"copy_test_z": z} | fidelity(samples, training, k)


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


def _distances(x: np.ndarray, training: np.ndarray, name: str) -> np.ndarray:
    """Return the distance from each row of `x` (n, D) to each training recording: (n, B)."""
    return cdist(validation.matrix(x, name, np.shape(training)[1]), training)


def _ordered(x: np.ndarray) -> np.ndarray:
    """Return the distances (B, B - 1) from each row of `x` (B, D) to all others, nearest first."""
    distances = cdist(x, x)
    np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)[:, :-1]
