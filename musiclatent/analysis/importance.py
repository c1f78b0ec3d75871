"""Why a classifier answers as it does: which attributes it needs, and which moved one answer.

Columns of one family, such as the mean and the variance of an MFCC, are permuted together: each of
them alone could stand in for the other, and neither would seem to matter.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from musiclatent.config import SEED
from musiclatent.features.descriptors import family

REPEATS = 20
STRONGEST = 10  # reasons that are given for one answer
TOLERANCE = 1e-3  # contributions and probability may differ by so much: trees round to float32


def permutation_importance(
    model: Any,
    x: np.ndarray,
    labels: np.ndarray,
    columns: Sequence[str],
    repeats: int = REPEATS,
    seed: int = SEED,
) -> pd.DataFrame:
    """Measure how much accuracy is lost when a family of attributes says nothing any more.

    Parameters
    ----------
    model
        Fitted classifier with `predict`.
    x
        Attributes (B, D) of rows that the model was not fitted on.
    labels
        Their labels (B,).
    columns
        Names of the D attributes.
    repeats
        Number of permutations a family; all columns of a family are permuted by the same.
    seed
        Seed of the permutations.

    Returns
    -------
    DataFrame
        `family`, `drop` (mean loss of accuracy, from -1 to 1; about 0 where it is not needed) and
        `sd` over the repeats; the largest loss first.

    Raises
    ------
    ValueError
        If lengths differ, numbers are missing, or there are no repeats.

    Notes
    -----
    Breiman (2001), Random forests.
    """
    x, labels = _table(x, columns), np.asarray(labels)
    if labels.shape != (len(x),):
        raise ValueError(f"there are {len(x)} rows but {labels.size} labels; give one label a row")
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; permute at least once")
    rng = np.random.default_rng(seed)
    orders = np.array([rng.permutation(len(x)) for _ in range(repeats)])
    families = np.array([family(column) for column in columns])
    right = np.mean(model.predict(x) == labels)
    rows = []
    for name in dict.fromkeys(families):
        drops = right - _permuted(model, x, labels, families == name, orders)
        rows.append((name, drops.mean(), drops.std()))
    table = pd.DataFrame(rows, columns=["family", "drop", "sd"])
    return table.sort_values("drop", ascending=False, kind="stable", ignore_index=True)


def _permuted(
    model: Any, x: np.ndarray, labels: np.ndarray, mine: np.ndarray, orders: np.ndarray
) -> np.ndarray:
    """Accuracy (R,) with some columns permuted, one value an order of `orders` (R, B)."""
    repeated = np.tile(x, (len(orders), 1))  # R * B x D: one call is quicker than R
    repeated[:, mine] = x[orders.ravel()][:, mine]
    return np.mean(model.predict(repeated).reshape(orders.shape) == labels, axis=1)


def shap_values(forest: RandomForestClassifier | ExtraTreesClassifier, x: np.ndarray) -> np.ndarray:
    """Share out the probabilities that a forest gives among the attributes.

    Parameters
    ----------
    forest
        Fitted forest; of a pipeline its last step, with `x` as the steps before it give it.
    x
        Attributes (B, D).

    Returns
    -------
    ndarray (B, D, classes)
        What each attribute adds to the probability of each class, in the order of
        ``forest.classes_``; with the mean probability of the class they add up to the forest's.

    Raises
    ------
    ValueError
        If it is no forest, numbers are missing, the width is wrong, or they do not add up.

    Notes
    -----
    Lundberg et al. (2020), From local explanations to global understanding with explainable AI for
    trees.
    """
    if not isinstance(forest, RandomForestClassifier | ExtraTreesClassifier):
        raise ValueError(
            f"{type(forest).__name__} is no forest; give a fitted RandomForestClassifier, of a "
            "pipeline its last step"
        )
    from shap import TreeExplainer  # takes seconds

    x = _table(x, range(forest.n_features_in_))
    explainer = TreeExplainer(forest)
    values = explainer.shap_values(x, check_additivity=False)  # checked against the forest itself
    _adds_up(explainer.expected_value + values.sum(axis=1), forest.predict_proba(x))
    return values


def _adds_up(found: np.ndarray, probabilities: np.ndarray) -> None:
    """Refuse contributions that do not make the probability they explain."""
    error = np.abs(found - probabilities).max()
    if error > TOLERANCE:
        raise ValueError(
            f"the contributions miss the probability by {error:.3g}; they explain another forest: "
            "install the release of shap that pyproject.toml asks for"
        )


def strongest_reasons(
    values: np.ndarray,
    columns: Sequence[str],
    x: np.ndarray,
    classes: Sequence[str],
    label: str,
    strongest: int = STRONGEST,
) -> pd.DataFrame:
    """List the attributes that moved one answer most, beside what they did for its rival.

    Parameters
    ----------
    values
        Contributions (D, classes) of one row of `shap_values`.
    columns
        Names of the D attributes.
    x
        The row's attributes (D,), in the units in which they shall be shown.
    classes
        Names of the classes.
    label
        The class in question: the answer, or what was expected.
    strongest
        Number of attributes.

    Returns
    -------
    DataFrame
        `attribute`, `value`, `label`, `toward` (what it adds to the probability of the label),
        `rival` (of the other classes the one that all attributes together raise most; the same in
        each row) and `toward_rival`; the largest `toward` first, of whatever sign.

    Raises
    ------
    ValueError
        If shapes do not fit, there is no other class, or the label is none of the classes.
    """
    values, x, classes = np.asarray(values), np.asarray(x), list(classes)
    if values.shape != (len(columns), len(classes)) or x.shape != (len(columns),):
        raise ValueError(
            f"contributions have shape {values.shape} and the row {x.shape}; give "
            f"({len(columns)}, {len(classes)}) and ({len(columns)},), one row's"
        )
    if label not in classes or len(classes) < 2:
        raise ValueError(f"{label!r} is none of two or more classes; choose from {classes}")
    others = [name for name in classes if name != label]
    rival = max(others, key=lambda name: values[:, classes.index(name)].sum())
    toward, toward_rival = (values[:, classes.index(name)] for name in (label, rival))
    table = pd.DataFrame({"attribute": list(columns), "value": x, "label": label})
    table = table.assign(toward=toward, rival=rival, toward_rival=toward_rival)
    order = np.argsort(-np.abs(toward), kind="stable")[:strongest]
    return table.iloc[order].reset_index(drop=True)


def cluster_importance(
    x: np.ndarray, labels: np.ndarray, columns: Sequence[str], seed: int = SEED
) -> tuple[pd.DataFrame, float]:
    """Say which columns set clusters apart, by a forest that learns to tell them.

    Parameters
    ----------
    x
        Standardised numbers (B, D).
    labels
        Cluster of each row (B,).
    columns
        Names of the numbers (D,).
    seed
        Seed of the forest.

    Returns
    -------
    DataFrame
        One row a column, the most important first: column, importance (mean decrease of impurity),
        and for each cluster ``cluster K``: the mean SHAP value of its own rows, the part of their
        probability that the column gives.
    float
        Share of rows that trees which did not see them put into their cluster.

    Raises
    ------
    ValueError
        If lengths differ or there are fewer than two clusters.

    Notes
    -----
    Breiman (2001), Random forests; Lundberg et al. (2020), TreeSHAP.
    """
    labels = np.asarray(labels)
    if x.shape != (len(labels), len(columns)) or len(np.unique(labels)) < 2:
        raise ValueError(
            f"numbers {x.shape}, {len(labels)} labels, {len(columns)} names; give one label a row, "
            "one name a column, and two clusters or more"
        )
    trees = fit_forest(x, labels, seed)
    values = shap_values(trees, x)  # B x D x K
    table = pd.DataFrame({"column": columns, "importance": trees.feature_importances_})
    for code, label in enumerate(trees.classes_):
        table[f"cluster {label}"] = values[labels == label, :, code].mean(axis=0)
    table = table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)
    return table, float(trees.oob_score_)


def fit_forest(x: np.ndarray, labels: np.ndarray, seed: int = SEED) -> RandomForestClassifier:
    """Fit the forest of `clusters` to numbers (B, D) and labels (B,)."""
    trees = RandomForestClassifier(300, oob_score=True, random_state=seed, n_jobs=1)
    return trees.fit(x, labels)


def _table(x: np.ndarray, columns: Sequence) -> np.ndarray:
    """Refuse what is no table with these columns."""
    x = np.asarray(x)
    if x.ndim != 2 or not len(x) or x.shape[1] != len(columns):
        raise ValueError(
            f"attributes have shape {x.shape}; give a table (B, {len(columns)}) that is not empty"
        )
    if not np.isfinite(x).all():
        raise ValueError("attributes hold NaN or infinity; leave those rows out")
    return x
