"""Judge vectors by labels: what the nearest are of, what neighbours and a linear probe answer.

Every encoder gets the same scaling, the same folds and the same labels. What is of the same
recording as a query is no neighbour of it.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn.linear_model import RidgeClassifierCV

from musiclatent.analysis import neighbours, validation
from musiclatent.evaluation import linear_probes
from musiclatent.evaluation.comparison.vectors import Vectors

STRENGTHS = np.logspace(-3, 3, 13)  # of the ridge, chosen by leaving one training row out
K = 5  # neighbours that vote: of some genres there are few clips
FOLDS = 5


def retrieved(
    z: np.ndarray,
    *,
    labels: Sequence,
    recordings: Sequence,
    within: Sequence | None = None,
    queries: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Rank all other recordings by their distance from each query.

    Parameters
    ----------
    z
        Vectors (B, D) as they are compared.
    labels
        Label of each row (B,), such as the artist; an empty one is of no other's.
    recordings
        Recording of each row (B,): those of the query's are no neighbours.
    within
        Group of each row (B,), such as the album, for `inside`; none unless given.
    queries
        Row numbers of those that ask; all unless given.

    Returns
    -------
    DataFrame
        One row per query: `top1`, whether the nearest has its label; `map`, average precision;
        `inside`, `top1` among the rows of its group. Missing where nothing else has the label, or
        where all of the group have it.

    Raises
    ------
    ValueError
        If lengths differ or numbers are missing.
    """
    z = validation.matrix(z)
    within = np.zeros(len(z)) if within is None else within
    columns = [np.asarray(part) for part in (labels, recordings, within)]
    if {len(part) for part in columns} != {len(z)}:
        raise ValueError(
            f"{len(z)} vectors, {[len(part) for part in columns]} labels; give as many"
        )
    queries = np.arange(len(z)) if queries is None else np.asarray(queries)
    rows = [
        _ranked(i, distances, *columns)
        for i, distances in zip(queries, cdist(z[queries], z), strict=True)
    ]
    return pd.DataFrame(rows, index=queries, columns=["top1", "map", "inside"], dtype=float)


def _ranked(
    i: int, distances: np.ndarray, labels: np.ndarray, recordings: np.ndarray, within: np.ndarray
) -> tuple[float, float, float]:
    """Judge the ranking of one query."""
    others = recordings != recordings[i]
    same = (labels[others] == labels[i]) & bool(labels[i] != "")
    if not same.any():
        return np.nan, np.nan, np.nan
    near, inside = -distances[others], within[others] == within[i]
    mixed = same[inside].any() and not same[inside].all()
    within_top1 = float(same[inside][near[inside].argmax()]) if mixed else np.nan
    ranked = same[np.argsort(-near, kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(same[near.argmax()]), float(precision[ranked].mean()), within_top1


def classified(
    vectors: Vectors, labels: Sequence[str], groups: Sequence[str], folds: int = FOLDS
) -> pd.DataFrame:
    """Answer the label of each row from folds that hold nothing of its group.

    Parameters
    ----------
    vectors
        Vectors (B, D), scaled here on the training rows of each fold.
    labels
        Label of each row (B,).
    groups
        What may not straddle folds (B,): recording, speaker.
    folds
        How many folds at most, see `linear_probes.folds`.

    Returns
    -------
    DataFrame
        One row per row: whether the vote of `K` `neighbours`, and the linear `probe`, were right.

    Notes
    -----
    The probe is a ridge classifier, whose strength is chosen inside of the training rows.
    """
    labels, groups = np.asarray(labels, str), np.asarray(groups, str)
    return answers(vectors, labels, linear_probes.folds(groups, folds))


def answers(
    vectors: Vectors, labels: np.ndarray, splits: Sequence[tuple[np.ndarray, np.ndarray]]
) -> pd.DataFrame:
    """Answer the label of each row that a split asks for.

    Parameters
    ----------
    vectors, labels
        As in `classified`.
    splits
        Rows to learn from and rows that ask.

    Returns
    -------
    DataFrame
        As `classified`; NaN where no split asks.
    """
    right = np.full((len(labels), 2), np.nan)
    for train, test in splits:
        x = vectors.scaled(fit_on=train)
        vote = neighbours.predictions(x[train], labels[train], x[test], K)
        right[test, 0] = vote == labels[test]
        right[test, 1] = probe_of(x[train], labels[train]).predict(x[test]) == labels[test]
    return pd.DataFrame(right, columns=["neighbours", "probe"])


def probe_of(x: np.ndarray, labels: Sequence[str]) -> RidgeClassifierCV:
    """Fit the linear probe: a ridge classifier, to which a rare class weighs as much as others.

    Parameters
    ----------
    x
        Vectors (B, D) as they are compared.
    labels
        Label of each row (B,).
    """
    return RidgeClassifierCV(STRENGTHS, class_weight="balanced").fit(x, labels)
