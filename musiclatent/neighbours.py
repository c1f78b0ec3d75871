"""Nearest neighbours of latents or their summaries; how far outside a corpus a sound lies."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

OUTSIDE, EDGE = 99.0, 95.0  # percentiles from which a sentence says so


def nearest(z_query: np.ndarray, z_corpus: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest rows of a corpus, by exact Euclidean distance.

    Parameters
    ----------
    z_query
        Vectors (Q, D) to find neighbours of.
    z_corpus
        Vectors (B, D) to look among.
    k
        Number of neighbours; all of them where the corpus has fewer.

    Returns
    -------
    distances
        (Q, min(k, B)), the nearest first.
    indices
        (Q, min(k, B)) rows of the corpus.

    Raises
    ------
    ValueError
        If k is below 1, there is nothing to look among, the widths differ, or numbers are missing.
    """
    query, corpus = _checked(z_query), _checked(z_corpus)
    if k < 1:
        raise ValueError(f"k is {k}; ask for at least one neighbour")
    if query.shape[1] != corpus.shape[1]:
        raise ValueError(
            f"the query has {query.shape[1]} numbers a row and the corpus {corpus.shape[1]}; "
            "encode both with the same experiment"
        )
    search = NearestNeighbors(n_neighbors=min(k, len(corpus)), algorithm="brute").fit(corpus)
    _, indices = search.kneighbors(query)
    # The quick search rounds: measured again, so that equal rows lie at 0.
    rows = zip(query, indices, strict=True)
    distances = np.array([np.linalg.norm(corpus[near] - row, axis=1) for row, near in rows])
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(distances, order, 1), np.take_along_axis(indices, order, 1)


def percentile(z_query: np.ndarray, z_train: np.ndarray) -> np.ndarray:
    """Say how far outside a training set vectors lie.

    Parameters
    ----------
    z_query
        Vectors (Q, D).
    z_train
        Vectors (B, D) of the training set, at least two.

    Returns
    -------
    array (Q,)
        Share in percent of the training vectors that lie nearer to their own nearest neighbour in
        the training set than the query to its: 100 is farther out than any.

    Raises
    ------
    ValueError
        As `nearest`, or if there are fewer than two training vectors.
    """
    train = _checked(z_train)
    if len(train) < 2:
        raise ValueError("one training vector has no neighbour to compare with; give two or more")
    distances, indices = nearest(train, train, 2)
    own = indices[:, 0] == np.arange(len(train))  # of equal rows another may come first, at 0
    usual = np.sort(np.where(own, distances[:, 1], distances[:, 0]))
    reach = nearest(z_query, train, 1)[0][:, 0]
    return 100.0 * np.searchsorted(usual, reach, side="left") / len(usual)


def sentence(percentile: float) -> str:
    """Say in plain words what a percentile of `percentile` means.

    Raises
    ------
    ValueError
        If it is not between 0 and 100.
    """
    if not 0 <= percentile <= 100:
        raise ValueError(f"a percentile of {percentile} cannot be; it lies between 0 and 100")
    share = f"{percentile:.0f} % of the training recordings lie nearer to their own neighbours"
    if percentile >= OUTSIDE:
        return f"far outside what the model knows: {share}; its reconstruction may fail"
    if percentile >= EDGE:
        return f"at the edge of what the model knows: {share}"
    return f"like the training music: {share}"


def _checked(z: np.ndarray) -> np.ndarray:
    """Refuse what is no table of numbers."""
    z = np.asarray(z)
    if z.ndim != 2 or not z.size:
        raise ValueError(f"vectors have shape {z.shape}; give a table (B, D) that is not empty")
    if not np.isfinite(z).all():
        raise ValueError("vectors hold NaN or infinity; leave those rows out")
    return z
