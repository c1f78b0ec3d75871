"""Fit linear probes: what of the known factors of a corpus can be read off its latents.

A probe is a linear model from latents to one factor. It is fitted on the training rows and scored
on the others; groups never straddle.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

from musiclatent import files
from musiclatent.analysis import neighbours

FACTORS = {
    "tempo": "number",
    "brightness": "number",
    "key": "class",
    "mode": "class",
    "style": "class",
}
FOLDS = 3  # of the training rows, to choose the strength on
PROBES = {
    "number": (Ridge(), {"alpha": np.logspace(-4, 3, 8)}, DummyRegressor()),
    "class": (
        LogisticRegression(max_iter=200),
        {"C": np.logspace(-3, 1, 3)},
        DummyClassifier(strategy="most_frequent"),
    ),
}


def probe(z: np.ndarray, items: pd.DataFrame, factors: Mapping[str, str] = FACTORS) -> pd.DataFrame:
    """Fit a linear probe for each factor, and score it on recordings it has not seen.

    Numbers are read by ridge regression, classes by logistic regression; its strength is chosen
    inside the training rows, by group.

    Parameters
    ----------
    z
        Latents or their summaries (B, D), standardised here on the training rows.
    items
        One row per latent: split, group, and one column per factor. Rows in which a factor is
        unknown (NaN or the empty string) are left out for that factor.
    factors
        Kind of each factor: ``number`` or ``class``.

    Returns
    -------
    DataFrame
        One row per factor: `factor`, `kind`, `score` (R² of a number, at most 1; accuracy of a
        class), `chance` (the score of the training mean, or of the most frequent training class,
        on the same rows), `n_test` (rows of the test and validation parts). Score and chance are
        NaN where fewer than two groups or values are there to learn from, or two rows to score.

    Raises
    ------
    ValueError
        If lengths differ, a column is missing, a kind is unknown, a group is in two parts, or
        there is nothing to learn from or to score on.

    Notes
    -----
    Alain and Bengio (2017), Understanding intermediate layers using linear classifier probes.
    """
    train, test = _parts(z, items, factors)
    x = neighbours.standardise(z[train], z)[1]
    if x.shape[1] > train.sum():  # a penalised probe weighs nothing outside the training rows' span
        x = PCA(svd_solver="full").fit(x[train]).transform(x)
    x = x / np.sqrt(z.shape[1])  # mean square of about 1: the same strengths suit any width
    rows = []
    for factor, kind in factors.items():
        y = items[factor].to_numpy()
        usable = (items[factor].notna() & items[factor].astype(str).ne("")).to_numpy()
        fitted, scored = train & usable, test & usable
        scores = _score(x, y, items["group"].to_numpy(), fitted, scored, PROBES[kind])
        rows.append((factor, kind, *scores, int(scored.sum())))
    return pd.DataFrame(rows, columns=["factor", "kind", "score", "chance", "n_test"])


def _score(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, fitted: np.ndarray, scored: np.ndarray, models
) -> tuple[float, float]:
    """Return the score of the probe, and of a constant prediction."""
    n_groups = len(np.unique(groups[fitted]))
    if n_groups < 2 or len(np.unique(y[fitted])) < 2 or scored.sum() < 2:
        return np.nan, np.nan
    model, grid, constant = models
    search = GridSearchCV(model, grid, cv=GroupKFold(min(FOLDS, n_groups)))
    search.fit(x[fitted], y[fitted], groups=groups[fitted])
    chance = clone(constant).fit(x[fitted], y[fitted])
    return search.score(x[scored], y[scored]), chance.score(x[scored], y[scored])


def _parts(
    z: np.ndarray, items: pd.DataFrame, factors: Mapping[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """Validate the inputs; return rows (B,) bool to learn from and to score on."""
    if len(z) != len(items):
        raise ValueError(f"there are {len(z)} latents but {len(items)} items; give one row of each")
    missing = [name for name in ("split", "group", *factors) if name not in items]
    if missing:
        raise ValueError(f"the items have no column {missing[0]!r}; name factors that they have")
    for kind in factors.values():
        files.pick(PROBES, kind, "kind of factor")
    train = (items["split"] == "train").to_numpy()
    test = items["split"].isin(["validation", "test"]).to_numpy()
    if not train.any() or not test.any():
        raise ValueError(
            f"{train.sum()} rows to learn from and {test.sum()} to score on; "
            "split the corpus into train and test"
        )
    groups = items["group"].astype(str)
    both = sorted(set(groups[train]) & set(groups[test]))
    if both:
        raise ValueError(f"group {both[0]!r} is in two parts; split the corpus by group")
    return train, test
