"""Find nearest neighbours: which they are, how well they predict labels, how far away they lie.

An unknown label is the empty string.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import StandardScaler

from musiclatent.analysis import statistics, validation
from musiclatent.config import SEED

OUTSIDE = 99.0  # percentile from which a vector is described as far outside the training set
EDGE = 95.0  # percentile from which it is described as at its edge
K = 10  # neighbours that vote, as in Kovar, CTU Prague
# Rows on both sides above which an index names the candidates. It compiles for 33 s and takes 2.5 s
# for 20,000 rows of 64 numbers, which the exact search has in 2.4 s, and twice as many in 9.
EXACT = 50_000
# Of the ten nearest of 8,000 rows of noise in 64 dimensions this finds 0.98, for rows of the index
# 0.995; with 30 and 0.1, as pynndescent has it, 0.71 and 0.956.
MARGIN = 50  # neighbours of each row in an index, so that it finds its way
DETOUR = 0.3  # how much farther than the nearest so far it looks
FARTHEST = 200  # neighbours that an index is asked for; more are searched for one by one


def nearest(z_query: np.ndarray, z_corpus: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest rows of a corpus, by exact Euclidean distance.

    Where both sides have more than `EXACT` rows, which of them are near is taken from an index
    (Dong, Moses and Li, Efficient k-nearest neighbor graph construction, WWW 2011), so that
    the work grows with the number of rows and not with its square; it misses a few of a hundred
    neighbours (`benchmarks/scale.py` counts them).

    Parameters
    ----------
    z_query
        Vectors (Q, D) to find neighbours of.
    z_corpus
        Vectors (B, D) to search.
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
        If k is below 1, there is nothing to search, the dimensions differ, or numbers are missing.
    """
    query, corpus = validation.matrix(z_query), validation.matrix(z_corpus)
    validation.same_width(query, corpus)
    k = _count(k, corpus)
    if min(len(query), len(corpus)) > EXACT and k <= FARTHEST:
        indices = _from_index(query, corpus, k)
    else:
        search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(corpus)
        indices = search.kneighbors(query, return_distance=False)
    # Either search rounds: measured again, so that equal rows lie at 0.
    rows = zip(query, indices, strict=True)
    distances = np.array([np.linalg.norm(corpus[near] - row, axis=1) for row, near in rows])
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(distances, order, 1), np.take_along_axis(indices, order, 1)


def _from_index(query: np.ndarray, corpus: np.ndarray, k: int) -> np.ndarray:
    """Return candidates (Q, k) for the nearest rows of a corpus."""
    from pynndescent import NNDescent  # it compiles for seconds

    corpus = corpus.astype(np.float32)
    # On one thread, so that a second run finds the same.
    index = NNDescent(corpus, n_neighbors=max(k, MARGIN), random_state=SEED, n_jobs=1)
    if np.array_equal(query, corpus):
        return index.neighbor_graph[0][:, :k]
    return index.query(query.astype(np.float32), k, epsilon=DETOUR)[0]


def distance_to_nearest(z: np.ndarray) -> np.ndarray:
    """Measure how far each row lies from its nearest other.

    Parameters
    ----------
    z
        Vectors (B, D), two or more.

    Returns
    -------
    array (B,)
        Euclidean distances, 0 for equal rows.

    Raises
    ------
    ValueError
        As `nearest`.
    """
    distances, indices = nearest(z, z, 2)
    itself = indices[:, 0] == np.arange(len(z))  # of equal rows another may come first, at 0
    return np.where(itself, distances[:, 1], distances[:, 0])


def nearest_others(z: np.ndarray, groups: Sequence, k: int) -> np.ndarray:
    """Find for every row the nearest ones of other groups: a recording is like itself.

    Parameters
    ----------
    z
        Vectors (B, D).
    groups
        Group of each row (B,), such as its recording.
    k
        Number of neighbours.

    Returns
    -------
    array (B, min(k, B - 1)), int
        Row numbers, the nearest first; -1 where fewer rows are of other groups.

    Raises
    ------
    ValueError
        As `nearest`, or if lengths differ.
    """
    z = validation.matrix(z)
    _, codes, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if len(codes) != len(z):
        raise ValueError(f"{len(z)} vectors and {len(codes)} groups; give one group per row")
    rows = nearest(z, z, k + int(sizes.max()))[1]  # at most so many are of the row's own group
    same = codes[rows] == codes[:, None]
    order = np.argsort(same, axis=1, kind="stable")[:, : min(k, len(z) - 1)]
    return np.take_along_axis(np.where(same, -1, rows), order, 1)


def percentile(z_query: np.ndarray, z_train: np.ndarray) -> np.ndarray:
    """Compute how far outside a training set vectors lie.

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
    train = validation.matrix(z_train)
    if len(train) < 2:
        raise ValueError("one training vector has no neighbour to compare with; give two or more")
    among_train = np.sort(distance_to_nearest(train))
    to_train = nearest(z_query, train, 1)[0][:, 0]
    return 100.0 * np.searchsorted(among_train, to_train, side="left") / len(train)


def describe_percentile(value: float) -> str:
    """Return in plain words what a value of `percentile` means.

    Raises
    ------
    ValueError
        If it is not between 0 and 100.
    """
    if not 0 <= value <= 100:
        raise ValueError(f"a percentile of {value} cannot be; it lies between 0 and 100")
    share = f"{value:.0f} % of the training recordings lie nearer to their own neighbours"
    if value >= OUTSIDE:
        return f"far outside what the model knows: {share}; its reconstruction may fail"
    if value >= EDGE:
        return f"at the edge of what the model knows: {share}"
    return f"like the training music: {share}"


def standardise(train: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Scale each dimension to mean 0 and standard deviation 1 over the training rows.

    Parameters
    ----------
    train
        Vectors (B, D), the only ones that mean and deviation are taken of.
    others
        Vectors (Q, D) to scale by the same; a dimension that is constant in training is only
        centred.

    Returns
    -------
    tuple of arrays
        `train` and each of `others`, scaled.

    Raises
    ------
    ValueError
        If one is no matrix of numbers, or their dimensions differ.
    """
    parts = [validation.matrix(part) for part in (train, *others)]
    for part in parts:
        validation.same_width(part, parts[0])
    scaler = StandardScaler().fit(parts[0])
    return tuple(scaler.transform(part) for part in parts)


def standardise_in_place(z: np.ndarray, block: int = 1_000) -> None:
    """Scale each dimension to mean 0 and standard deviation 1, some rows at a time.

    Parameters
    ----------
    z
        Vectors (B, D), which are written over; a constant dimension is only centred.
    block
        Rows that are scaled at once.

    Raises
    ------
    ValueError
        If they are no matrix of numbers.
    """
    scaler, parts = StandardScaler(), range(0, len(z), block)
    for first in parts:
        scaler.partial_fit(validation.matrix(z[first : first + block]))
    for first in parts:
        z[first : first + block] = scaler.transform(z[first : first + block])


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
        Vectors (Q, D) to predict labels of.
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
    train, labels = validation.labelled(validation.matrix(z_train), labels_train, "training rows")
    test = validation.matrix(z_test)
    validation.same_width(test, train)
    return KNeighborsClassifier(_count(k, train)).fit(train, labels).predict(test)


def _count(k: int, corpus: np.ndarray) -> int:
    """Return k, or the number of rows where there are fewer."""
    if k < 1:
        raise ValueError(f"k is {k}; ask for at least one neighbour")
    return min(k, len(corpus))


def knn(
    z_train: np.ndarray,
    labels_train: np.ndarray,
    *,
    z_test: np.ndarray,
    labels_test: np.ndarray,
    k: int = K,
) -> dict[str, float]:
    """Compute how well the neighbours among training rows predict the labels of test rows.

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
        that no training row has counts 0; ``low`` and ``high``, see `statistics.wilson`; ``n`` test
        rows.

    Raises
    ------
    ValueError
        As `predictions`, or if no test row has a label.
    """
    train, labels = validation.labelled(validation.matrix(z_train), labels_train, "training rows")
    test, truth = validation.labelled(validation.matrix(z_test), labels_test, "test rows")
    accuracy = float(np.mean(predictions(train, labels, test, k) == truth))
    recall, precision = _ranked(train, labels, test, truth)
    low, high = statistics.wilson(accuracy, len(test))
    return {
        "accuracy": accuracy,
        "recall_at_1": recall,
        "mean_average_precision": precision,
        "low": low,
        "high": high,
        "n": len(test),
    }


def _ranked(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray
) -> tuple[float, float]:
    """Return recall at 1 and mean average precision of training rows ranked by distance."""
    first, precisions = [], []
    done = 0
    for distances in pairwise_distances_chunked(test, train):
        order = np.argsort(distances, axis=1, kind="stable")
        hits = labels[order] == truth[done : done + len(order), None]
        precision = np.cumsum(hits, axis=1) / np.arange(1, len(train) + 1)
        precisions.append((precision * hits).sum(axis=1) / np.maximum(1, hits.sum(axis=1)))
        first.append(hits[:, 0])
        done += len(order)
    return float(np.concatenate(first).mean()), float(np.concatenate(precisions).mean())
