"""Evaluate classifiers of tables of descriptors: chosen on a validation part, then tested once.

A split names the part of each row: ``train``, ``validation``, ``test``, or empty for rows left out.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from musiclatent import config
from musiclatent.analysis import statistics
from musiclatent.config import SEED, Study, Workspace
from musiclatent.data import cache, corpus, gtzan_tables, splits
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import classifiers
from musiclatent.features import descriptors

SEEDS = 5
FOLDS = 5  # of a random split: one is the test part
KINDS = ("filtered", "random")  # splits of the table


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a classifier predicts for held-out rows.

    Parameters
    ----------
    name
        The classifier.
    rows
        Rows (Q,) of the table that were classified.
    classes
        The labels, in the order of the probabilities.
    labels
        True labels (Q,).
    probabilities
        (seeds, Q, classes).
    """

    name: str
    rows: np.ndarray
    classes: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """Return the most probable labels (seeds, Q)."""
        return self.classes[self.probabilities.argmax(axis=2)]

    @property
    def codes(self) -> np.ndarray:
        """Return the true labels (Q,) as columns; -1 for one that training never saw."""
        return pd.Index(self.classes).get_indexer(self.labels)

    def summary(self) -> dict[str, float | str | int]:
        """Return method, accuracy (mean over the seeds), sd, low, high (95 %), n_test, seeds."""
        scores = (self.predicted == self.labels).mean(axis=1)
        low, high = statistics.wilson(scores.mean(), len(self.rows))
        return {
            "method": self.name,
            "accuracy": float(scores.mean()),
            "sd": float(scores.std(ddof=1)) if len(scores) > 1 else np.nan,
            "low": low,
            "high": high,
            "n_test": len(self.rows),
            "seeds": len(scores),
        }


def concatenate(name: str, parts: Sequence[Predictions]) -> Predictions:
    """Concatenate predictions of several test parts.

    Raises
    ------
    ValueError
        If their classifiers learned different labels.
    """
    if any(not np.array_equal(part.classes, parts[0].classes) for part in parts):
        raise ValueError(f"{name}: a label is missing in some training parts; leave its rows out")
    return Predictions(
        name=name,
        rows=np.concatenate([part.rows for part in parts]),
        classes=parts[0].classes,
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts], axis=1),
    )


def load_table(study: Study, space: Workspace, window_s: float = 30.0) -> tuple[pd.DataFrame, ...]:
    """Read the descriptors of a study's recordings, and two ways to split them.

    Parameters
    ----------
    study, space
        What is studied, and where its results go.
    window_s
        Length of a section in seconds, where descriptors are computed from sound.

    Returns
    -------
    items : DataFrame
        One row per section: item_id, label, `filtered` (the fault-filtered lists of GTZAN, or a
        split by group) and `random` (the published random lists, or a random split of the
        recordings); empty for rows that a split leaves out.
    table : DataFrame
        Their descriptors, without `descriptors.EMPTY`. In the profiles on real data they are the
        published table of all 1,000 clips where it is there, else they are computed from sound.

    Raises
    ------
    CorpusError
        If the data is missing.
    """
    data = CorpusDataModule.of_study(study, space, sound=True, split="group")
    real = config.profile(space.profile).demo is None and not space.corpus
    if real and gtzan_tables.descriptors_path(data.root).is_file():
        table = gtzan_tables.read_descriptors(data.root)
        lists = {kind: corpus.descriptor_splits(data.root, kind) for kind in KINDS}
    else:
        items = data.index().items
        table, _ = cache.descriptor_table(items, space.path("cache"), window_s=window_s)
        table = table[~table["silent"] & table["label"].ne("")].reset_index(drop=True)
        lists = _published(study, space) if real else _drawn(items)
    parts = {kind: table["item_id"].map(split).fillna("") for kind, split in lists.items()}
    columns = [c for c in descriptors.COLUMNS if c in table and c not in descriptors.EMPTY]
    return table[["item_id", "label"]].assign(**parts), table[columns]


def _published(study: Study, space: Workspace) -> dict[str, pd.Series]:
    """Return the part of each clip by the published lists."""
    lists = {}
    for kind in KINDS:
        data = CorpusDataModule.of_study(study, space, sound=True, split=kind)
        lists[kind] = data.index().items.set_index("item_id")["split"]
    return lists


def _drawn(items: pd.DataFrame) -> dict[str, pd.Series]:
    """Draw parts of recordings by group, and at random with no regard to groups."""
    alone = items.assign(group=items["item_id"])  # duplicates of a recording fall anywhere
    drawn = splits.by_fold(alone.assign(fold=splits.folds(alone, FOLDS)), 0)
    parts = {"filtered": items["split"], "random": drawn}
    return {kind: part.set_axis(items["item_id"]) for kind, part in parts.items()}


def fit_predict(
    name: str,
    x: np.ndarray,
    labels: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    seeds: int = SEEDS,
) -> Predictions:
    """Fit a classifier on some rows and classify others.

    Parameters
    ----------
    name
        See `classifiers.make_classifier`.
    x
        Rows (B, D).
    labels
        Their labels (B,).
    train, test
        Rows (B,) bool to fit on and to classify.
    seeds
        How many seeds; one is enough for a classifier that draws nothing.

    Raises
    ------
    ValueError
        If a part is empty or overlaps the other, numbers are missing, or all rows to learn from
        have one label.
    """
    x, labels = np.asarray(x, float), np.asarray(labels, str)
    if not train.any() or not test.any() or (train & test).any():
        raise ValueError(
            f"{train.sum()} rows to learn from, {test.sum()} to classify, "
            f"{(train & test).sum()} in both; give two parts that share no row"
        )
    if not np.isfinite(x[train | test]).all():
        raise ValueError("the table holds NaN or infinity; leave those rows out")
    if len(np.unique(labels[train])) < 2:
        label = str(labels[train][0])
        raise ValueError(f"all rows to learn from are of {label!r}; give two labels")
    seeds = seeds if name in classifiers.SEEDED else 1
    models = [classifiers.make_classifier(name, SEED + i) for i in range(seeds)]
    tasks = [delayed(_probabilities)(m, x[train], labels[train], x[test]) for m in models]
    probabilities = Parallel(min(seeds, os.cpu_count() or 1))(tasks)
    classes = np.unique(labels[train])
    return Predictions(
        name=name,
        rows=np.flatnonzero(test),
        classes=classes,
        labels=labels[test],
        probabilities=np.stack(probabilities),
    )


def _probabilities(model: Pipeline, x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    """Fit a classifier on rows (B, D) and return probabilities (Q, classes) of others."""
    with threadpool_limits(1):  # on tables this small, threads wait for each other
        return model.fit(x, y).predict_proba(x_test)


def compare_on_validation(
    x: np.ndarray,
    labels: np.ndarray,
    *,
    split: np.ndarray,
    names: Sequence[str],
    seeds: int = SEEDS,
) -> pd.DataFrame:
    """Compare classifiers on the validation part, without the test part.

    Parameters
    ----------
    x, labels, seeds
        As in `fit_predict`.
    split
        Part of each row (B,).
    names
        Classifiers.

    Returns
    -------
    DataFrame
        One row per classifier, the best first: see `Predictions.summary`.
    """
    train, validation = _part(split, "train"), _part(split, "validation")
    rows = [fit_predict(name, x, labels, train, validation, seeds).summary() for name in names]
    return pd.DataFrame(rows).sort_values("accuracy", ascending=False, ignore_index=True)


def evaluate_on_test(
    name: str, x: np.ndarray, *, labels: np.ndarray, split: np.ndarray, seeds: int = SEEDS
) -> Predictions:
    """Fit a classifier on the training and the validation part, and evaluate it on the test part.

    Parameters
    ----------
    name, x, labels, seeds
        As in `fit_predict`.
    split
        Part of each row (B,).
    """
    fitted = _part(split, "train") | _part(split, "validation")
    return fit_predict(name, x, labels, fitted, _part(split, "test"), seeds)


def rotate_parts(
    name: str, x: np.ndarray, *, labels: np.ndarray, split: np.ndarray, seeds: int = SEEDS
) -> Predictions:
    """Hold out each part of a split in turn, and learn from the other two.

    Parameters
    ----------
    name, x, labels, seeds
        As in `fit_predict`.
    split
        Part of each row (B,).

    Returns
    -------
    Predictions
        Of all rows of the three parts.
    """
    inside = np.isin(np.asarray(split, str), splits.SPLITS)
    tests = [_part(split, part) for part in splits.SPLITS]
    parts = [fit_predict(name, x, labels, inside & ~test, test, seeds) for test in tests]
    return concatenate(name, parts)


def calibrate_on_validation(
    name: str, x: np.ndarray, *, labels: np.ndarray, split: np.ndarray
) -> tuple[dict[str, float], dict[str, pd.DataFrame]]:
    """Fit a temperature on the validation part, and evaluate it on the test part.

    Parameters
    ----------
    name, x, labels
        As in `fit_predict`.
    split
        Part of each row (B,); the classifier learns from the training part alone.

    Returns
    -------
    dict
        ``temperature``, ``calibration_error_raw`` and ``calibration_error`` after it.
    dict
        Title -> curve, see `classifiers.reliability_curve`.
    """
    train = _part(split, "train")
    validation = fit_predict(name, x, labels, train, _part(split, "validation"), 1)
    test = fit_predict(name, x, labels, train, _part(split, "test"), 1)
    factor = classifiers.fit_temperature(validation.probabilities[0], validation.codes)
    curves, errors = classifiers.compare_calibration(test.probabilities[0], test.codes, factor)
    return {"temperature": factor} | errors, curves


def _part(split: np.ndarray, name: str) -> np.ndarray:
    """Return the rows (B,) bool of one part."""
    return np.asarray(split, str) == name
