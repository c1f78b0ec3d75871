"""Evaluate classifiers of tables of descriptors: chosen on a validation part, then tested once.

A split names the part of each row: ``train``, ``validation``, ``test``, or empty for rows left out.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from joblib import Parallel
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from musiclatent import config
from musiclatent.analysis import statistics
from musiclatent.analysis.statistics import Interval
from musiclatent.config import SEED, Study, Workspace
from musiclatent.data import cache, corpus, gtzan_tables, splits
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import classifiers
from musiclatent.features import descriptors
from musiclatent.numba_cache import delayed

SEEDS = 5
REDRAWS = 20  # of a split at random: each test row is in six of them
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
    units
        What is independent of what (Q,), such as the recording; None where each row is.
    """

    name: str
    rows: np.ndarray
    classes: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    units: np.ndarray | None = None

    @property
    def predicted(self) -> np.ndarray:
        """Return the most probable labels (seeds, Q)."""
        return self.classes[self.probabilities.argmax(axis=2)]

    @property
    def codes(self) -> np.ndarray:
        """Return the true labels (Q,) as columns; -1 for one that training never saw."""
        return pd.Index(self.classes).get_indexer(self.labels)

    @property
    def right(self) -> np.ndarray:
        """Return the share of the seeds (Q,) that name each row rightly."""
        return (self.predicted == self.labels).mean(axis=0)

    def summary(self) -> dict[str, float | str | int]:
        """Return method, accuracy, low and high over units, and seeds_low and seeds_high."""
        over_units = statistics.mean(self.right, self.units)
        over_seeds = statistics.over_seeds((self.predicted == self.labels).mean(axis=1))
        return {
            "method": self.name,
            "accuracy": over_units.estimate,
            "low": over_units.low,
            "high": over_units.high,
            "seeds_low": over_seeds.low,
            "seeds_high": over_seeds.high,
            "n_test": len(self.rows),
            "seeds": over_seeds.units,
        }

    def metrics(self, key: str) -> dict[str, float]:
        """Return what a table of metrics keeps: KEY, and its bounds over units and over seeds."""
        one = self.summary()
        bounds = {f"{key}_{at}": one[at] for at in ("low", "high", "seeds_low", "seeds_high")}
        return {key: one["accuracy"]} | {k: v for k, v in bounds.items() if np.isfinite(v)}

    def by_part(self, split: np.ndarray, key: str) -> dict[str, float]:
        """Return the accuracy on each part of a split (B,) of the table, as KEY_PART."""
        accuracy = pd.Series(self.right).groupby(np.asarray(split)[self.rows]).mean()
        return accuracy.add_prefix(f"{key}_").to_dict()

    def difference(self, other: "Predictions") -> Interval:
        """Compute how much more accurate this classifier is than another on the same rows.

        Raises
        ------
        ValueError
            If they predict other rows.
        """
        require_same_rows(self, other)
        return statistics.paired(self.right, other.right, self.units)


def require_same_rows(one: Predictions, other: Predictions) -> None:
    """Validate that two classifiers predict the same rows.

    Raises
    ------
    ValueError
        If rows or their labels differ.
    """
    same_rows = np.array_equal(other.rows, one.rows)
    if not same_rows or not np.array_equal(other.labels, one.labels):
        raise ValueError(f"{other.name} and {one.name} predict other rows; take one split")


def compare_in_pairs(predictions: Sequence[Predictions]) -> dict[str, float]:
    """Compare each of several classifiers of the same rows with those after it.

    Parameters
    ----------
    predictions
        What they predict.

    Returns
    -------
    dict
        ONE_vs_OTHER, by how much ONE is more accurate, with its interval and p.
    """
    metrics = {}
    for one, other in combinations(predictions, 2):
        metrics |= one.difference(other).named(f"{one.name}_vs_{other.name}")
    return metrics


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
        units=None if parts[0].units is None else np.concatenate([part.units for part in parts]),
    )


def stack_seeds(runs: Sequence[Predictions]) -> Predictions:
    """Stack predictions of the same rows that differ in the seed of their training.

    Raises
    ------
    ValueError
        If they predict other rows.
    """
    for run in runs:
        require_same_rows(runs[0], run)
    return replace(runs[0], probabilities=np.concatenate([run.probabilities for run in runs]))


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


def measure_leakage(
    name: str, x: np.ndarray, *, labels: np.ndarray, split: np.ndarray, redraws: int = REDRAWS
) -> Interval:
    """Measure how much better the test rows are classified where parts are drawn at random.

    Parameters
    ----------
    name, x, labels
        As in `fit_predict`.
    split
        Part of each row (B,), such as the lists that keep artists apart.
    redraws
        How often the same rows are divided at random into parts of the same sizes.

    Returns
    -------
    Interval
        Share right under random parts less that under `split`, paired by row: the same rows, and
        as many to learn from, so that what differs is who is on both sides.
    """
    split = np.asarray(split, str)
    inside = np.flatnonzero(np.isin(split, splits.SPLITS))
    strict = evaluate_on_test(name, x, labels=labels, split=split, seeds=1)
    right = np.full((redraws, len(split)), np.nan)
    for seed in range(redraws):
        drawn = split.copy()
        drawn[inside] = np.random.default_rng(seed).permutation(split[inside])
        loose = evaluate_on_test(name, x, labels=labels, split=drawn, seeds=1)
        right[seed, loose.rows] = loose.right
    drawn_rows = np.isfinite(right[:, strict.rows]).any(axis=0)
    shares = np.nanmean(right[:, strict.rows[drawn_rows]], axis=0)
    return statistics.paired(shares, strict.right[drawn_rows])


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
        ``temperature``, and the metrics of `classifiers.compare_calibration`.
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
