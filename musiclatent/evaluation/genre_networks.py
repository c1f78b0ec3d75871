"""Classify the genre of short excerpts: by networks, by classifiers of descriptors, and by both.

The descriptors of an excerpt are computed from its own spectrogram, so that they belong together;
tables of other rows are never joined to it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.analysis import genre_groups, pooling, statistics
from musiclatent.analysis.statistics import Interval
from musiclatent.audio.windows import Transform
from musiclatent.config import SEED, Experiment, Study, Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.errors import CheckpointError
from musiclatent.evaluation import (
    attribute_classification,
    classifiers,
)
from musiclatent.evaluation.attribute_classification import Predictions
from musiclatent.features import mel_descriptors
from musiclatent.training import run_folder, supervised

SEED_STEP = 10  # between the seeds of a fold's weights, so that no two folds share one
FINAL = "classifier"  # folder of the network that names the genre of any file


@dataclass(frozen=True, kw_only=True)
class Excerpts:
    """Excerpts of one split, those with a label and with sound.

    Parameters
    ----------
    x
        Log-mel spectrograms (B, M, T) in [0, 1], each by its own range.
    descriptors
        Descriptors (B, D) of the same spectrograms, see `mel_descriptors.extract`.
    bands
        Mean and deviation of each band (B, 2M) before scaling, see `pooling.mean_and_deviation`.
    items
        One row per excerpt: item_id, label, group, split, start_s.
    summary
        Corpora, split and counts, see `CorpusDataModule.summary`.
    transform
        What made the spectrograms.
    """

    x: np.ndarray
    descriptors: np.ndarray
    bands: np.ndarray
    items: pd.DataFrame
    summary: dict
    transform: Transform

    @property
    def labels(self) -> np.ndarray:
        """Return the labels (B,)."""
        return self.items["label"].to_numpy(str)

    def part(self, split: str) -> np.ndarray:
        """Return the rows (B,) bool of one part of the split."""
        return self.items["split"].eq(split).to_numpy()

    def units(self, rows: np.ndarray) -> np.ndarray:
        """Return the recordings of the rows (B,) bool, which are independent of each other."""
        return self.items.loc[rows, "group"].to_numpy()

    def select(self, rows: np.ndarray) -> "Excerpts":
        """Return the rows (B,) bool alone."""
        parts = {name: getattr(self, name)[rows] for name in ("x", "descriptors", "bands", "items")}
        return replace(self, **parts)

    def inputs(self, rows: np.ndarray, with_descriptors: bool) -> list[np.ndarray]:
        """Return what a network takes of the rows (B,) bool."""
        return [self.x[rows], self.descriptors[rows]] if with_descriptors else [self.x[rows]]


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A trained network and what its outputs mean.

    Parameters
    ----------
    folder
        What `supervised.fit_classifier` filled.
    classes
        Labels in the order of its outputs.
    takes_descriptors
        Whether it takes descriptors beside the spectrogram.
    temperature
        By which its probabilities are softened, see `classifiers.apply_temperature`.
    """

    folder: Path
    classes: tuple[str, ...]
    takes_descriptors: bool
    temperature: float = 1.0

    def probabilities(self, x: np.ndarray, descriptors: np.ndarray | None = None) -> np.ndarray:
        """Return the probability of each class (B, classes).

        Parameters
        ----------
        x
            Spectrograms (B, M, T) in [0, 1], each by its own range.
        descriptors
            Their descriptors (B, D); None computes them where the network takes them.
        """
        inputs = [x]
        if self.takes_descriptors:
            inputs.append(mel_descriptors.extract(x) if descriptors is None else descriptors)
        raw = supervised.class_probabilities(self.folder, inputs)
        return classifiers.apply_temperature(raw, self.temperature)


def load_excerpts(study: Study, space: Workspace, split: str = "") -> Excerpts:
    """Read the excerpts of a study, and compute the descriptors of each from its spectrogram.

    Parameters
    ----------
    study, space
        What is studied, and where its results go.
    split
        Such as ``outer-0``, see `corpus.load`; the study's own unless given.

    Raises
    ------
    ValueError
        If fewer than two labels are known.
    """
    data = CorpusDataModule.of_study(study, space, split=split)
    data.setup()
    items = data.cached.items
    items = items[items["label"].ne("") & ~items["silent"].astype(bool)]
    if items["label"].nunique() < 2:
        raise ValueError(f"{', '.join(data.names)}: no two labels are known; genre needs labels")
    raw = np.array(data.cached.x[items["row"].to_numpy()])
    x = data.transform.model_input(raw)
    bands = pooling.mean_and_deviation(raw)
    items = items[["item_id", "label", "group", "split", "start_s"]].reset_index(drop=True)
    return Excerpts(
        x=x,
        descriptors=mel_descriptors.extract(x),
        bands=bands,
        items=items,
        summary=data.summary(),
        transform=data.transform,
    )


def train_network(
    experiment: Experiment, data: Excerpts, *, folder: Path, epochs: int, seed: int = SEED
) -> Classifier:
    """Train a network on the training part, or reuse it.

    Parameters
    ----------
    experiment
        What to train; how many classes and descriptors it takes is set here.
    data
        Excerpts of one split.
    folder
        Folder of its checkpoint.
    epochs
        Length of the training.
    seed
        Seed of weights, order and augmentation.
    """
    rows = data.part("train")
    classes, codes = np.unique(data.labels[rows], return_inverse=True)
    options = experiment.options | {"classes": len(classes)}
    joint = bool(options.get("attributes"))
    if joint:
        options["attributes"] = data.descriptors.shape[1]
    labels = classes.tolist()
    supervised.fit_classifier(
        replace(experiment, options=options),
        data.inputs(rows, joint),
        codes,
        folder,
        labels=labels,
        transform=data.transform,
        epochs=epochs,
        seed=seed,
    )
    return Classifier(folder=folder, classes=tuple(labels), takes_descriptors=joint)


def evaluate_network(
    experiment: Experiment, data: Excerpts, *, folder: Path, epochs: int, seed: int = SEED
) -> Predictions:
    """Train a network on the training part and classify the test part.

    Parameters
    ----------
    experiment, data, folder, epochs, seed
        As in `train_network`.
    """
    network = train_network(experiment, data, folder=folder, epochs=epochs, seed=seed)
    test = data.part("test")
    return Predictions(
        name=experiment.key,
        rows=np.flatnonzero(test),
        classes=np.array(network.classes),
        labels=data.labels[test],
        probabilities=network.probabilities(data.x[test], data.descriptors[test])[None],
        units=data.units(test),
    )


def evaluate_over_folds(
    experiments: Sequence[Experiment],
    study: Study,
    *,
    space: Workspace,
    splits: Sequence[str],
    epochs: int,
    seeds: Sequence[int] = (SEED,),
) -> dict[str, list[Predictions]]:
    """Evaluate networks and an SVM on several splits, each trained on that split alone.

    Parameters
    ----------
    experiments
        Networks.
    study, space
        What is studied, and where its results go.
    splits
        Such as ``outer-0``; the number at the end is that of the fold.
    epochs
        Length of each training.
    seeds
        Of the trainings on each split; weights take the number of the fold and ten times the seed.

    Returns
    -------
    dict
        Name -> predictions of the test part of each split; ``svm_attributes`` sees the descriptors,
        ``svm_band_stats`` no more than mean and deviation of each band.
    """
    predictions = defaultdict(list)
    for split in splits:
        data = load_excerpts(study, space, split)
        for row in experiments:
            folders = seed_folders(space, row.name, split, seeds)
            runs = [
                evaluate_network(row, data, folder=folder, epochs=epochs, seed=seed)
                for seed, folder in folders.items()
            ]
            predictions[row.key].append(attribute_classification.stack_seeds(runs))
        train, test = data.part("train"), data.part("test")
        tables = {"svm_attributes": data.descriptors, "svm_band_stats": data.bands}
        for key, table in tables.items():
            of_test = attribute_classification.fit_predict("svm", table, data.labels, train, test)
            predictions[key].append(replace(of_test, units=data.units(test)))
    return dict(predictions)


def seed_folders(space: Workspace, name: str, split: str, seeds: Sequence[int]) -> dict[int, Path]:
    """Return the seed of the weights of a row on a split, and its folder, for each seed.

    One that the study ``mel`` trained on embedded music is not trained again.
    """
    fold, folders = int(split.rpartition("-")[2]), {}
    for k in seeds:
        place = "folds", f"{name}-{split}" + (f"-seed-{k}" if k != SEED else "")
        beside = replace(space, study="mel").path(*place)
        there = run_folder.has_ended(beside)
        folders[fold + SEED_STEP * k] = beside if there else space.path(*place)
    return folders


def fuse(name: str, predictions: Sequence[Predictions]) -> Predictions:
    """Fuse the predictions of several classifiers for the same rows: their mean probabilities.

    Raises
    ------
    ValueError
        If they are of different rows, or have different labels.
    """
    first = predictions[0]
    for other in predictions[1:]:
        attribute_classification.require_same_rows(first, other)
        if not np.array_equal(other.classes, first.classes):
            raise ValueError(f"{other.name} and {first.name} have other labels; fuse one split")
    total = sum(part.probabilities for part in predictions)  # one seed goes with each of several
    return replace(first, name=name, probabilities=total / len(predictions))


def genre_group_accuracy(
    predictions: Sequence[Predictions], study: Study, space: Workspace, splits: Sequence[str]
) -> Interval:
    """Compute how often the group of a genre is right: probabilities of its genres are added up.

    Parameters
    ----------
    predictions
        One per split.
    study, space, splits
        As in `evaluate_over_folds`; the groups are made from the descriptors of the training part
        of each.

    Returns
    -------
    Interval
        Over recordings; mean over the seeds of the predictions.
    """
    right, units = [], []
    for part, split in zip(predictions, splits, strict=True):
        data = load_excerpts(study, space, split)
        train = data.part("train")
        columns = mel_descriptors.columns(data.x.shape[1])
        table = pd.DataFrame(data.descriptors[train], columns=columns)
        groups = genre_groups.fit(table, data.labels[train])
        names, codes = np.unique(groups.assign(part.classes), return_inverse=True)
        by_group = part.probabilities @ np.eye(len(names))[codes]  # seeds x Q x groups
        seen = np.isin(part.labels, part.classes)
        predicted = names[by_group.argmax(axis=2)][:, seen]
        right.append((predicted == groups.assign(part.labels[seen])).mean(axis=0))
        units.append(part.units[seen])
    return statistics.mean(np.concatenate(right), np.concatenate(units))


def calibrate(
    network: Classifier, data: Excerpts
) -> tuple[Classifier, dict[str, pd.DataFrame], dict[str, float]]:
    """Fit a network's temperature on the validation part, and evaluate it on the test part.

    Parameters
    ----------
    network
        Trained on the training part of the same split.
    data
        Excerpts of a split with all three parts.

    Returns
    -------
    Classifier
        With its temperature.
    dict
        Title -> curve of the test part, see `classifiers.reliability_curve`.
    dict
        Metrics of the test part, see `classifiers.compare_calibration`.
    """
    parts = {}
    for split in ("validation", "test"):
        rows = data.part(split) & np.isin(data.labels, network.classes)
        probabilities = network.probabilities(data.x[rows], data.descriptors[rows])
        parts[split] = probabilities, np.searchsorted(network.classes, data.labels[rows])
    factor = classifiers.fit_temperature(*parts["validation"])
    curves, errors = classifiers.compare_calibration(*parts["test"], factor, units=data.units(rows))
    return replace(network, temperature=network.temperature * factor), curves, errors


def final_classifier(
    experiment: Experiment, study: Study, *, space: Workspace, epochs: int
) -> tuple[Classifier, dict[str, pd.DataFrame], dict[str, float]]:
    """Train the network that names the genre of any file, or reuse it, and calibrate it.

    Parameters
    ----------
    experiment
        What to train, on ``fold-0``: its validation part gives the temperature.
    study, space
        What is studied, and where its results go.
    epochs
        Length of the training.

    Returns
    -------
    Classifier, dict, dict
        As `calibrate`.
    """
    folder = space.path(FINAL, experiment.name)
    data = load_excerpts(study, space, "fold-0")
    network = train_network(experiment, data, folder=folder, epochs=epochs)
    network, curves, errors = calibrate(network, data)
    run_folder.amend_config(folder, temperature=network.temperature)
    return network, curves, errors


def read_classifier(folder: Path) -> Classifier:
    """Read a network that `final_classifier` trained.

    Parameters
    ----------
    folder
        Its folder.

    Raises
    ------
    CheckpointError
        As `run_folder.read_config`, or if the model there is no such network.
    """
    config = run_folder.read_config(folder)
    try:
        return Classifier(
            folder=folder,
            classes=tuple(map(str, config["labels"])),
            takes_descriptors=bool(config["options"]["attributes"]),
            temperature=float(config["temperature"]),
        )
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"{folder} holds {config['model']}, not a classifier of genre with its labels and "
            "temperature; train one with: make reproduce STUDY=genre"
        ) from None
