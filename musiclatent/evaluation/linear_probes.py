"""Linear probes: what of the known factors of a corpus can be read off its latents.

A probe is a linear model from latents to one factor. It is fitted on the training rows and judged
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

from musiclatent.analysis.neighbours import standardise

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
    """Fit a linear probe for each factor, and judge it on recordings it has not seen.

    Numbers are read by ridge regression, classes by logistic regression; its strength is chosen
    inside the training rows, by group.

    Parameters
    ----------
    z
        Latents or their summaries (B, D), standardised here on the training rows.
    items
        One row a latent: split, group, and a column a factor. Rows in which a factor is unknown
        (NaN or the empty string) are left out for that factor.
    factors
        Kind of each factor: ``number`` or ``class``.

    Returns
    -------
    DataFrame
        One row a factor: `factor`, `kind`, `score` (R² of a number, at most 1; accuracy of a
        class), `chance` (the score of the training mean, or of the most frequent training class,
        on the same rows), `n_test` (rows of the test and validation parts). Score and chance are
        NaN where fewer than two groups or values are there to learn from, or two rows to judge.

    Raises
    ------
    ValueError
        If lengths differ, a column is missing, a kind is unknown, a group is in two parts, or
        there is nothing to learn from or to judge on.

    Notes
    -----
    Alain and Bengio (2017), Understanding intermediate layers using linear classifier probes.
    """
    train, judged = _parts(z, items, factors)
    x_train, x_judged = _turned(*standardise(z[train], z[judged]))
    x = np.empty((len(z), x_train.shape[1]))
    x[train], x[judged] = x_train, x_judged
    rows = []
    for factor, kind in factors.items():
        known = items[factor].notna().to_numpy() & (items[factor].astype(str) != "").to_numpy()
        learn, judge = train & known, judged & known
        scores = _score(x, items[factor].to_numpy(), items["group"].to_numpy(), learn, judge, kind)
        rows.append((factor, kind, *scores, int(judge.sum())))
    return pd.DataFrame(rows, columns=["factor", "kind", "score", "chance", "n_test"])


def _score(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, learn: np.ndarray, judge: np.ndarray, kind
) -> tuple[float, float]:
    """Score of the probe and of one that knows no latents."""
    n_groups = len(np.unique(groups[learn]))
    if n_groups < 2 or len(np.unique(y[learn])) < 2 or judge.sum() < 2:
        return np.nan, np.nan
    model, grid, dummy = PROBES[kind]
    search = GridSearchCV(model, grid, cv=GroupKFold(min(FOLDS, n_groups)))
    search.fit(x[learn], y[learn], groups=groups[learn])
    chance = clone(dummy).fit(x[learn], y[learn]).score(x[judge], y[judge])
    return search.score(x[judge], y[judge]), chance


def _turned(train: np.ndarray, judged: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn wide rows onto the training rows' span, where alone a penalised probe looks.

    Rows get a mean square of about 1, so that the same strengths suit latents of any width.
    """
    width = np.sqrt(train.shape[1])
    if train.shape[1] > len(train):
        model = PCA(svd_solver="full").fit(train)
        train, judged = model.transform(train), model.transform(judged)
    return train / width, judged / width


def _parts(
    z: np.ndarray, items: pd.DataFrame, factors: Mapping[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (B,) bool to learn from and to judge on, after a look at the door."""
    if len(z) != len(items):
        raise ValueError(f"there are {len(z)} latents but {len(items)} items; give one row of each")
    missing = [name for name in ("split", "group", *factors) if name not in items]
    if missing:
        raise ValueError(f"the items have no column {missing[0]!r}; name factors that they have")
    strange = [kind for kind in factors.values() if kind not in PROBES]
    if strange:
        raise ValueError(f"a factor cannot be a {strange[0]!r}; say number or class")
    train = (items["split"] == "train").to_numpy()
    judged = items["split"].isin(["validation", "test"]).to_numpy()
    if not train.any() or not judged.any():
        raise ValueError(
            f"{train.sum()} rows to learn from and {judged.sum()} to judge on; "
            "split the corpus into train and test"
        )
    both = sorted(set(items["group"][train].astype(str)) & set(items["group"][judged].astype(str)))
    if both:
        raise ValueError(f"group {both[0]!r} is in two parts; split the corpus by group")
    return train, judged
