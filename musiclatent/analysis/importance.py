"""Explain a classifier: which descriptors it needs, and which moved one answer.

Columns of one family, such as the mean and the variance of an MFCC, are permuted together: each of
them alone could stand in for the other, and neither would seem to matter.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from musiclatent.analysis import validation
from musiclatent.config import SEED
from musiclatent.features import descriptors

REPEATS = 20
STRONGEST = 10  # reasons that are given for one answer
TOLERANCE = 1e-3  # contributions and probability may differ by so much: trees round to float32


def permutation_importance(
    model: Any,
    x: np.ndarray,
    *,
    labels: np.ndarray,
    columns: Sequence[str],
    repeats: int = REPEATS,
    seed: int = SEED,
) -> pd.DataFrame:
    """Compute how much accuracy is lost when a family of descriptors is permuted.

    Parameters
    ----------
    model
        Fitted classifier with `predict`.
    x
        Descriptors (B, D) of rows that the model was not fitted on.
    labels
        Their labels (B,).
    columns
        Names of the D descriptors.
    repeats
        Number of permutations per family; all columns of a family are permuted by the same.
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
    x = validation.matrix(x, "descriptors", len(columns))
    labels = validation.labels(labels, len(x))
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; permute at least once")
    rng = np.random.default_rng(seed)
    orders = np.array([rng.permutation(len(x)) for _ in range(repeats)])
    families = np.array([descriptors.family(column) for column in columns])
    accuracy = np.mean(model.predict(x) == labels)
    rows = []
    for name in dict.fromkeys(families):
        drops = accuracy - _permuted(model, x, labels, families == name, orders)
        rows.append((name, drops.mean(), drops.std()))
    table = pd.DataFrame(rows, columns=["family", "drop", "sd"])
    return table.sort_values("drop", ascending=False, kind="stable", ignore_index=True)


def _permuted(
    model: Any, x: np.ndarray, labels: np.ndarray, columns: np.ndarray, orders: np.ndarray
) -> np.ndarray:
    """Return accuracies (R,) with some columns permuted, one per order of `orders` (R, B)."""
    repeated = np.tile(x, (len(orders), 1))  # R * B x D: one call is quicker than R
    repeated[:, columns] = x[orders.ravel()][:, columns]
    return np.mean(model.predict(repeated).reshape(orders.shape) == labels, axis=1)


def shap_values(forest: RandomForestClassifier | ExtraTreesClassifier, x: np.ndarray) -> np.ndarray:
    """Compute what each descriptor contributes to the probabilities that a forest gives.

    Parameters
    ----------
    forest
        Fitted forest; of a pipeline its last step, with `x` as the steps before it give it.
    x
        Descriptors (B, D).

    Returns
    -------
    ndarray (B, D, classes)
        What each descriptor adds to the probability of each class, in the order of
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

    x = validation.matrix(x, "descriptors", forest.n_features_in_)
    explainer = TreeExplainer(forest)
    values = explainer.shap_values(x, check_additivity=False)  # checked against the forest itself
    _adds_up(explainer.expected_value + values.sum(axis=1), forest.predict_proba(x))
    return values


def _adds_up(sums: np.ndarray, probabilities: np.ndarray) -> None:
    """Validate that contributions add up to the probabilities that they explain."""
    error = np.abs(sums - probabilities).max()
    if error > TOLERANCE:
        raise ValueError(
            f"the contributions miss the probability by {error:.3g}; they explain another forest: "
            "install the release of shap that pyproject.toml asks for"
        )


def strongest_reasons(
    values: np.ndarray,
    columns: Sequence[str],
    *,
    x: np.ndarray,
    classes: Sequence[str],
    label: str,
    strongest: int = STRONGEST,
) -> pd.DataFrame:
    """Return the descriptors that moved one answer most, beside what they did for its rival.

    Parameters
    ----------
    values
        Contributions (D, classes) of one row of `shap_values`.
    columns
        Names of the D descriptors.
    x
        The row's descriptors (D,), in the units in which they shall be shown.
    classes
        Names of the classes.
    label
        The class in question: the answer, or what was expected.
    strongest
        Number of descriptors.

    Returns
    -------
    DataFrame
        `attribute`, `value`, `label`, `toward` (what it adds to the probability of the label),
        `rival` (of the other classes the one that all descriptors together raise most; the same in
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
    toward = pd.DataFrame(values, columns=classes)
    rival = toward.sum().drop(label).idxmax()
    table = pd.DataFrame({"attribute": list(columns), "value": x, "label": label})
    table = table.assign(toward=toward[label], rival=rival, toward_rival=toward[rival])
    order = np.argsort(-np.abs(toward[label].to_numpy()), kind="stable")[:strongest]
    return table.iloc[order].reset_index(drop=True)


def cluster_importance(
    x: np.ndarray, labels: np.ndarray, *, columns: Sequence[str], seed: int = SEED
) -> tuple[pd.DataFrame, float]:
    """Compute which columns separate clusters, by a forest that learns to predict them.

    Parameters
    ----------
    x
        Standardised features (B, D).
    labels
        Cluster of each row (B,).
    columns
        Names of the features (D,).
    seed
        Seed of the forest.

    Returns
    -------
    DataFrame
        One row per column, the most important first: column, importance (mean decrease of
        impurity), and for each cluster ``cluster K``: the mean SHAP value of its rows, the part of
        their probability that the column gives.
    float
        Out-of-bag accuracy: share of rows that trees which did not see them assign correctly.

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
            f"features {x.shape}, {len(labels)} labels, {len(columns)} names; give one label per "
            "row, one name per column, and two clusters or more"
        )
    trees = fit_forest(x, labels, seed)
    values = shap_values(trees, x)  # B x D x K
    table = pd.DataFrame({"column": columns, "importance": trees.feature_importances_})
    for code, label in enumerate(trees.classes_):
        table[f"cluster {label}"] = values[labels == label, :, code].mean(axis=0)
    table = table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)
    return table, float(trees.oob_score_)


def fit_forest(x: np.ndarray, labels: np.ndarray, seed: int = SEED) -> RandomForestClassifier:
    """Fit the forest of `cluster_importance` to features (B, D) and labels (B,)."""
    trees = RandomForestClassifier(300, oob_score=True, random_state=seed, n_jobs=1)
    return trees.fit(x, labels)
