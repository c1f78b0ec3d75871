"""Judge classifiers on tables of attributes: chosen on a validation part, then tested once.

A split names the part of each row: ``train``, ``validation``, ``test``, or empty for rows left out.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from musiclatent import config
from musiclatent.analysis.neighbours import interval
from musiclatent.config import SEED, Study, Workspace
from musiclatent.data import cache, corpus, gtzan_tables, splits
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.data.splits import SPLITS
from musiclatent.evaluation import classifiers
from musiclatent.features import descriptors

SEEDS = 5
FOLDS = 5  # of a random split: one is the test part
KINDS = ("filtered", "random")  # splits of the table


@dataclass(frozen=True)
class Predictions:
    """What a classifier said of held-out rows.

    Parameters
    ----------
    name
        The classifier.
    rows
        Rows (Q,) of the table that were judged.
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
        """Most probable label (seeds, Q)."""
        return self.classes[self.probabilities.argmax(axis=2)]

    @property
    def codes(self) -> np.ndarray:
        """True labels (Q,) as column numbers; one that training never saw gets none: -1."""
        found = np.searchsorted(self.classes, self.labels).clip(max=len(self.classes) - 1)
        return np.where(self.classes[found] == self.labels, found, -1)

    def summary(self) -> dict[str, float | str | int]:
        """Return method, accuracy (mean over the seeds), sd, low, high (95 %), n_test, seeds."""
        scores = (self.predicted == self.labels).mean(axis=1)
        low, high = interval(scores.mean(), len(self.rows))
        sd = float(scores.std(ddof=1)) if len(scores) > 1 else np.nan
        found = {"method": self.name, "accuracy": float(scores.mean()), "sd": sd}
        return found | {"low": low, "high": high, "n_test": len(self.rows), "seeds": len(scores)}


def load_table(study: Study, space: Workspace, window_s: float = 30.0) -> tuple[pd.DataFrame, ...]:
    """Read the attributes of a study's recordings, and two ways to split them.

    Parameters
    ----------
    study, space
        What is studied, and where its results go.
    window_s
        Length of a section in seconds, where attributes are taken from sound.

    Returns
    -------
    items : DataFrame
        One row a section: item_id, label, `filtered` (the fault-filtered lists of GTZAN, or a split
        by group) and `random` (the published random lists, or a random split of the recordings);
        empty for rows that a split leaves out.
    numbers : DataFrame
        Their attributes, without `descriptors.EMPTY`. In the profiles on real data they are the
        published table of all 1,000 clips where it is there, else they are computed from sound.

    Raises
    ------
    CorpusError
        If the data is missing.
    """
    data = CorpusDataModule.of_study(study, space, sound=True, split="group")
    real = config.profile(space.profile).demo is None and not space.corpus
    if real and gtzan_tables.descriptors_path(data.root).is_file():
        found = gtzan_tables.read_descriptors(data.root)
        lists = {kind: corpus.descriptor_splits(data.root, kind) for kind in KINDS}
    else:
        folder, items = space.path("cache"), data.index().items
        found, _ = cache.descriptor_table(items, folder, window_s=window_s)
        found = found[~found["silent"] & found["label"].ne("")].reset_index(drop=True)
        lists = _published(study, space) if real else _drawn(items)
    parts = {kind: found["item_id"].map(split).fillna("") for kind, split in lists.items()}
    columns = [name for name in descriptors.COLUMNS if name in found]
    numbers = found[columns].drop(columns=list(descriptors.EMPTY))
    return found[["item_id", "label"]].assign(**parts), numbers


def _published(study: Study, space: Workspace) -> dict[str, pd.Series]:
    """Parts of the clips by the published lists."""
    indices = {
        kind: CorpusDataModule.of_study(study, space, sound=True, split=kind).index().items
        for kind in KINDS
    }
    return {kind: items.set_index("item_id")["split"] for kind, items in indices.items()}


def _drawn(items: pd.DataFrame) -> dict[str, pd.Series]:
    """Parts of recordings by group, and at random with no regard to groups."""
    alone = items.assign(group=items["item_id"])  # copies of a recording fall anywhere
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
    """Fit a classifier on some rows and ask it about others.

    Parameters
    ----------
    name
        See `classifiers.make_classifier`.
    x
        Rows (B, D).
    labels
        Their labels (B,).
    train, test
        Rows (B,) bool to fit on and to judge.
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
            f"{train.sum()} rows to learn from, {test.sum()} to judge, {(train & test).sum()} in "
            "both; give two parts that share no row"
        )
    if not np.isfinite(x[train | test]).all():
        raise ValueError("the table holds NaN or infinity; leave those rows out")
    if len(np.unique(labels[train])) < 2:
        raise ValueError(
            f"all rows to learn from are of {str(labels[train][0])!r}; give two labels"
        )
    seeds = seeds if name in classifiers.SEEDED else 1
    tasks = [delayed(_asked)(name, SEED + i, x, labels, train, test) for i in range(seeds)]
    classes, found = zip(*Parallel(min(seeds, os.cpu_count() or 1))(tasks), strict=True)
    return Predictions(name, np.flatnonzero(test), classes[0], labels[test], np.stack(found))


def _asked(
    name: str, seed: int, x: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit with one seed; return the classes and their probabilities (Q, classes)."""
    with threadpool_limits(1):  # on tables this small, threads wait for each other
        model = classifiers.make_classifier(name, seed).fit(x[train], labels[train])
        return model.classes_, model.predict_proba(x[test])


def compare_on_validation(
    x: np.ndarray,
    labels: np.ndarray,
    split: np.ndarray,
    names: Sequence[str] = tuple(classifiers.MODELS),
    seeds: int = SEEDS,
) -> pd.DataFrame:
    """Compare classifiers on the validation part, without a look at the test part.

    Parameters
    ----------
    x, labels, seeds
        As in `judge`.
    split
        Part of each row (B,).
    names
        Classifiers.

    Returns
    -------
    DataFrame
        One row a classifier, the best first: see `Verdict.summary`.
    """
    train, validation = _part(split, "train"), _part(split, "validation")
    rows = [fit_predict(name, x, labels, train, validation, seeds).summary() for name in names]
    return pd.DataFrame(rows).sort_values("accuracy", ascending=False, ignore_index=True)


def evaluate_on_test(
    name: str, x: np.ndarray, labels: np.ndarray, split: np.ndarray, seeds: int = SEEDS
) -> Predictions:
    """Fit a classifier on the training and the validation part, and judge it on the test part.

    Parameters
    ----------
    name, x, labels, seeds
        As in `judge`.
    split
        Part of each row (B,).
    """
    known = _part(split, "train") | _part(split, "validation")
    return fit_predict(name, x, labels, known, _part(split, "test"), seeds)


def rotate_parts(
    name: str, x: np.ndarray, labels: np.ndarray, split: np.ndarray, seeds: int = SEEDS
) -> Predictions:
    """Hold out each part of a split in turn, and learn from the other two.

    Parameters
    ----------
    name, x, labels, seeds
        As in `judge`.
    split
        Part of each row (B,).

    Returns
    -------
    Verdict
        On all rows of the three parts.
    """
    inside = np.isin(np.asarray(split, str), SPLITS)
    found = []
    for part in SPLITS:
        held = _part(split, part)
        found.append(fit_predict(name, x, labels, inside & ~held, held, seeds))
    same = [verdict.classes.tolist() for verdict in found]
    if any(classes != same[0] for classes in same):
        raise ValueError("a label is missing in two of the parts; leave its rows out")
    rows = np.concatenate([verdict.rows for verdict in found])
    said = np.concatenate([verdict.probabilities for verdict in found], axis=1)
    return Predictions(name, rows, found[0].classes, np.asarray(labels, str)[rows], said)


def calibrate_on_validation(
    name: str, x: np.ndarray, labels: np.ndarray, split: np.ndarray
) -> tuple[dict[str, float], dict[str, pd.DataFrame]]:
    """Fit a temperature on the validation part, and see on the test part what it is worth.

    Parameters
    ----------
    name, x, labels
        As in `judge`.
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
    before = fit_predict(name, x, labels, train, _part(split, "validation"), 1)
    after = fit_predict(name, x, labels, train, _part(split, "test"), 1)
    heat = classifiers.fit_temperature(before.probabilities[0], before.codes)
    curves, errors = classifiers.compare_calibration(after.probabilities[0], after.codes, heat)
    return {"temperature": heat} | errors, curves


def _part(split: np.ndarray, name: str) -> np.ndarray:
    """Rows (B,) bool of one part."""
    return np.asarray(split, str) == name
