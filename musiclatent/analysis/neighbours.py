"""Nearest neighbours: which, how well they predict labels, how far off.

An unknown label is the empty string.
"""

import numpy as np
from scipy.stats import norm
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import StandardScaler

OUTSIDE, EDGE = 99.0, 95.0  # percentiles from which a sentence says so
K = 10  # neighbours that vote, as in Kovar, CTU Prague


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
    _same_width(query, corpus)
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


def describe_percentile(percentile: float) -> str:
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


def standardise(train: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Give each number mean 0 and standard deviation 1 over the training rows.

    Parameters
    ----------
    train
        Vectors (B, D), the only ones that mean and deviation are taken of.
    others
        Vectors (Q, D) to scale by the same; a number that never changes in training stays at 0
        there.

    Returns
    -------
    tuple of arrays
        `train` and each of `others`, scaled.

    Raises
    ------
    ValueError
        If one is no table of numbers, or widths differ.
    """
    parts = [_checked(part) for part in (train, *others)]
    for part in parts[1:]:
        _same_width(part, parts[0])
    scaler = StandardScaler().fit(parts[0])
    return tuple(scaler.transform(part) for part in parts)


def predictions(
    z_train: np.ndarray, labels_train: np.ndarray, z_test: np.ndarray, k: int = K
) -> np.ndarray:
    """Predict labels by the vote of the nearest training rows (Euclidean, equal weights).

    Parameters
    ----------
    z_train
        Vectors (B, D) that may vote.
    labels_train
        Their labels (B,); rows with an unknown label are left out.
    z_test
        Vectors (Q, D) to name.
    k
        Number of neighbours that vote; all of them where fewer training rows have a label. Of
        labels with equal votes the first in the alphabet wins.

    Returns
    -------
    array (Q,)
        The predicted labels.

    Raises
    ------
    ValueError
        As `nearest`, if lengths differ, or no training row has a label.
    """
    train, labels, test = *_labelled(z_train, labels_train, "training"), _checked(z_test)
    _same_width(test, train)
    if k < 1:
        raise ValueError(f"k is {k}; ask for at least one neighbour")
    return KNeighborsClassifier(min(k, len(train))).fit(train, labels).predict(test)


def knn(
    z_train: np.ndarray,
    labels_train: np.ndarray,
    z_test: np.ndarray,
    labels_test: np.ndarray,
    k: int = K,
) -> dict[str, float]:
    """Judge how well the neighbours among training rows tell the labels of test rows.

    Parameters
    ----------
    z_train
        Vectors (B, D), of an encoder that never saw the test rows.
    labels_train
        Their labels (B,); rows with an unknown label are left out.
    z_test
        Vectors (Q, D).
    labels_test
        Their labels (Q,); rows with an unknown label are left out.
    k
        Number of neighbours that vote; all of them where there are fewer.

    Returns
    -------
    dict
        ``accuracy`` of the vote; ``recall_at_1``, share of rows whose nearest neighbour has their
        label; ``mean_average_precision`` of all training rows ranked by distance, in which a label
        that no training row has counts 0; ``low`` and ``high``, see `interval`; ``n`` rows judged.

    Raises
    ------
    ValueError
        As `predictions`, or if no test row has a label.
    """
    train, labels = _labelled(z_train, labels_train, "training")
    test, truth = _labelled(z_test, labels_test, "test")
    accuracy = float(np.mean(predictions(train, labels, test, k) == truth))
    recall, precision = _ranked(train, labels, test, truth)
    low, high = interval(accuracy, len(test))
    return {
        "accuracy": accuracy,
        "recall_at_1": recall,
        "mean_average_precision": precision,
        "low": low,
        "high": high,
        "n": len(test),
    }


def interval(accuracy: float, n: int) -> tuple[float, float]:
    """Compute the 95 % interval of a share by Wilson's formula.

    Parameters
    ----------
    accuracy
        Share of right answers, from 0 to 1.
    n
        Number of answers.

    Returns
    -------
    low, high
        Bounds, from 0 to 1.

    Raises
    ------
    ValueError
        If `accuracy` is no share, or there are no answers.

    Notes
    -----
    Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    if not 0 <= accuracy <= 1 or n < 1:
        raise ValueError(f"{accuracy} of {n} answers is no share; give 0 to 1 of one or more")
    z2 = norm.ppf(0.975) ** 2
    middle = (accuracy + z2 / (2 * n)) / (1 + z2 / n)
    reach = np.sqrt(z2 * (accuracy * (1 - accuracy) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return float(max(0.0, middle - reach)), float(min(1.0, middle + reach))


def _ranked(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray
) -> tuple[float, float]:
    """Recall at 1 and mean average precision of training rows ranked by distance."""
    first, precisions, done = [], [], 0
    for distances in pairwise_distances_chunked(test, train):
        order = np.argsort(distances, axis=1, kind="stable")
        hits = labels[order] == truth[done : done + len(order), None]
        precision = np.cumsum(hits, axis=1) / np.arange(1, len(train) + 1)
        precisions.append((precision * hits).sum(axis=1) / np.maximum(1, hits.sum(axis=1)))
        first.append(hits[:, 0])
        done += len(order)
    return float(np.concatenate(first).mean()), float(np.concatenate(precisions).mean())


def _labelled(z: np.ndarray, labels: np.ndarray, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows with a known label, and the labels."""
    z, labels = _checked(z), np.asarray(labels)
    if labels.shape != (len(z),):
        raise ValueError(f"there are {len(z)} {part} rows but {labels.size} labels")
    known = labels.astype(str) != ""
    if not known.any():
        raise ValueError(f"no {part} row has a label; choose a corpus with labels")
    return z[known], labels[known]


def _same_width(query: np.ndarray, corpus: np.ndarray) -> None:
    """Refuse vectors of two experiments."""
    if query.shape[1] != corpus.shape[1]:
        raise ValueError(
            f"the query has {query.shape[1]} numbers a row and the corpus {corpus.shape[1]}; "
            "encode both with the same experiment"
        )


def _checked(z: np.ndarray) -> np.ndarray:
    """Refuse what is no table of numbers."""
    z = np.asarray(z)
    if z.ndim != 2 or not z.size:
        raise ValueError(f"vectors have shape {z.shape}; give a table (B, D) that is not empty")
    if not np.isfinite(z).all():
        raise ValueError("vectors hold NaN or infinity; leave those rows out")
    return z
