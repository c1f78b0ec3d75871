"""Genre from short excerpts: networks on spectrograms, classifiers on attributes, and both.

The attributes of an excerpt are computed from its own spectrogram, so that they belong together;
tables of other rows are never joined to it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent import config, studies
from musiclatent.analysis import genre_groups, neighbours, pooling
from musiclatent.config import SEED, Experiment, Study, Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.errors import CheckpointError
from musiclatent.evaluation import attribute_classification, classifiers, cross_validation
from musiclatent.evaluation.attribute_classification import Predictions
from musiclatent.features import mel_descriptors
from musiclatent.files import write_json
from musiclatent.training import supervised

FINAL = "classifier"  # folder of the network that names the genre of any file


@dataclass(frozen=True)
class Excerpts:
    """Excerpts of one split, those with a label and with sound.

    Parameters
    ----------
    x
        Log-mel spectrograms (B, M, T) in [0, 1], each by its own range.
    numbers
        Attributes (B, D) of the same spectrograms, see `mel_attributes`.
    bands
        Mean and deviation of each band (B, 2M) before scaling, see `pooling.mean_and_deviation`.
    items
        One row each: item_id, label, group, split, start_s.
    about
        Corpora, split and counts, see `CorpusDataModule.summary`.
    """

    x: np.ndarray
    numbers: np.ndarray
    bands: np.ndarray
    items: pd.DataFrame
    about: dict

    @property
    def labels(self) -> np.ndarray:
        """Labels (B,)."""
        return self.items["label"].to_numpy(str)

    def part(self, split: str) -> np.ndarray:
        """Rows (B,) bool of one part of the split."""
        return self.items["split"].eq(split).to_numpy()

    def inputs(self, experiment: Experiment, rows: np.ndarray) -> list[np.ndarray]:
        """Return what a network takes of the rows (B,) bool."""
        return [self.x[rows], *([self.numbers[rows]] if takes_descriptors(experiment) else [])]


@dataclass(frozen=True)
class Classifier:
    """A trained network and what its outputs mean.

    Parameters
    ----------
    checkpoint, experiment
        What was trained.
    classes
        Labels in the order of its outputs.
    temperature
        By which its probabilities are softened, see `calibration`.
    """

    checkpoint: Path
    experiment: Experiment
    classes: tuple[str, ...]
    temperature: float = 1.0

    def probabilities(self, x: np.ndarray, numbers: np.ndarray | None = None) -> np.ndarray:
        """Return the probability of each class (B, classes).

        Parameters
        ----------
        x
            Spectrograms (B, M, T) in [0, 1], each by its own range.
        numbers
            Their attributes (B, D); None computes them where the network takes them.
        """
        inputs = [x]
        if takes_descriptors(self.experiment):
            inputs.append(mel_descriptors.extract(x) if numbers is None else numbers)
        found = supervised.class_probabilities(self.checkpoint, self.experiment, inputs)
        return classifiers.apply_temperature(found, self.temperature)


def takes_descriptors(experiment: Experiment) -> bool:
    """Tell whether a network takes attributes beside the spectrogram."""
    return bool(experiment.options.get("attributes"))


def load_excerpts(study: Study, space: Workspace, split: str = "") -> Excerpts:
    """Read the excerpts of a study, and compute the attributes of each from its spectrogram.

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
    kept = items["label"].ne("") & ~items["silent"].astype(bool)
    if items.loc[kept, "label"].nunique() < 2:
        raise ValueError(f"{', '.join(data.names)}: no two labels are known; genre needs labels")
    items = items[kept]
    raw = np.array(data.cached.x[items["row"].to_numpy()])
    x, bands = data.transform.model_input(raw), pooling.mean_and_deviation(raw)
    columns = ["item_id", "label", "group", "split", "start_s"]
    items = items[columns].reset_index(drop=True)
    return Excerpts(x, mel_descriptors.extract(x), bands, items, data.summary())


def train_network(
    experiment: Experiment,
    data: Excerpts,
    folder: Path,
    *,
    epochs: int,
    seed: int = SEED,
) -> Classifier:
    """Train a network on the training part, or reuse it.

    Parameters
    ----------
    experiment
        What to train; the numbers of classes and of attributes are set here.
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
    if takes_descriptors(experiment):
        options["attributes"] = data.numbers.shape[1]
    plan = replace(experiment, options=options)
    checkpoint = supervised.fit_classifier(
        plan, data.inputs(plan, rows), codes, folder, epochs=epochs, seed=seed
    )
    return Classifier(checkpoint, plan, tuple(classes.tolist()))


def evaluate_network(
    experiment: Experiment, data: Excerpts, folder: Path, *, epochs: int, seed: int = SEED
) -> Predictions:
    """Train a network on the training part and ask it about the test part.

    Parameters
    ----------
    experiment, data, folder, epochs, seed
        As in `train`.
    """
    network = train_network(experiment, data, folder, epochs=epochs, seed=seed)
    test = data.part("test")
    said = network.probabilities(data.x[test], data.numbers[test])
    rows = np.flatnonzero(test)
    name, classes = experiment.key, np.array(network.classes)
    return Predictions(name, rows, classes, data.labels[test], said[None])


def evaluate_over_folds(
    experiments: Sequence[Experiment],
    study: Study,
    space: Workspace,
    splits: Sequence[str],
    *,
    epochs: int,
    plain: Sequence[str] = ("svm",),
) -> dict[str, list[Predictions]]:
    """Judge networks and plain classifiers on several splits, each trained on that split alone.

    Parameters
    ----------
    experiments
        Networks.
    study, space
        What is studied, and where its results go.
    splits
        Such as ``outer-0``; the number at the end is the seed of the weights.
    epochs
        Length of each training.
    plain
        Classifiers of the attributes, see `classifiers.make_classifier`.

    Returns
    -------
    dict
        Name -> a verdict on the test part of each split; ``svm_band_stats`` knows no more than mean
        and deviation of each band.
    """
    found: dict[str, list[Predictions]] = {}
    for split in splits:
        data, seed = load_excerpts(study, space, split), int(split.rpartition("-")[2])
        for row in experiments:
            folder = space.path("folds", f"{row.name}-{split}")
            said = evaluate_network(row, data, folder, epochs=epochs, seed=seed)
            found.setdefault(row.key, []).append(said)
        parts = data.part("train"), data.part("test")
        for name in plain:
            said = attribute_classification.fit_predict(
                name, data.numbers, data.labels, *parts, seeds=1
            )
            found.setdefault(f"{name}_attributes", []).append(said)
        said = attribute_classification.fit_predict("svm", data.bands, data.labels, *parts, seeds=1)
        found.setdefault("svm_band_stats", []).append(said)
    return found


def concatenate(name: str, parts: Sequence[Predictions]) -> Predictions:
    """Put verdicts on several test parts into one.

    Raises
    ------
    ValueError
        If they know different labels.
    """
    if any(part.classes.tolist() != parts[0].classes.tolist() for part in parts):
        raise ValueError(f"{name}: its splits know different labels; leave the rare ones out")
    return Predictions(
        name,
        np.concatenate([part.rows for part in parts]),
        parts[0].classes,
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.probabilities for part in parts], axis=1),
    )


def fuse(name: str, verdicts: Sequence[Predictions]) -> Predictions:
    """Fuse what several classifiers say of the same rows: the mean of their probabilities.

    Raises
    ------
    ValueError
        If they were asked about different rows, or know different labels.
    """
    first = verdicts[0]
    for other in verdicts[1:]:
        same = np.array_equal(other.rows, first.rows) and np.array_equal(other.labels, first.labels)
        if not same or other.classes.tolist() != first.classes.tolist():
            raise ValueError(f"{other.name} and {first.name} judged other rows; fuse one split")
    return replace(
        first, name=name, probabilities=np.mean([v.probabilities for v in verdicts], axis=0)
    )


def classify_latents(space: Workspace, split: str, name: str = "svm") -> Predictions | None:
    """Ask a classifier of the latents of the study ``mel``, whose encoder saw the same split.

    Parameters
    ----------
    space
        Where the results of genre go. On real data the encoder must have been trained by the study
        ``mel`` beside it; an embedded one is trained here.
    split
        Such as ``outer-0``.
    name
        The classifier, see `classifiers.make_classifier`.

    Returns
    -------
    Verdict or None
        None where there is no such encoder.
    """
    study, home = studies.study("mel", space.profile), replace(space, study="mel")
    row, embedded = study.main(), config.profile(space.profile).demo is not None
    trained = home.path("folds", f"{row.name}-{split}", "latents") / "provenance.json"
    if not (embedded or trained.exists()):
        return None
    # Beside an embedded study mel may be at work in its folder.
    _, encoded = cross_validation.train_on_split(row, study, space if embedded else home, split)
    items = encoded.items
    heard = items["label"].ne("").to_numpy() & ~items["silent"].to_numpy(bool)
    z, labels = pooling.window_vectors(encoded)[heard], items["label"].to_numpy(str)[heard]
    part = items["split"].to_numpy(str)[heard]
    said = attribute_classification.fit_predict(
        name, z, labels, part == "train", part == "test", seeds=1
    )
    return replace(said, name=f"mel_latents_{split}")


def genre_group_accuracy(
    verdicts: Sequence[Predictions], study: Study, space: Workspace, splits: Sequence[str]
) -> dict[str, float]:
    """Judge how well genres tell music types: the probabilities of a type's genres are added up.

    Parameters
    ----------
    verdicts
        One a split.
    study, space, splits
        As in `over_folds`; the types are made from the attributes of the training part of each.

    Returns
    -------
    dict
        ``accuracy``, ``low``, ``high`` (95 %), ``n_test``.
    """
    right = []
    for verdict, split in zip(verdicts, splits, strict=True):
        data = load_excerpts(study, space, split)
        train = data.part("train")
        numbers = pd.DataFrame(
            data.numbers[train], columns=mel_descriptors.columns(data.x.shape[1])
        )
        types = genre_groups.fit(numbers, data.labels[train])
        of_class = types.assign(verdict.classes)
        names = np.unique(of_class)
        said = np.stack([verdict.probabilities[0][:, of_class == n].sum(1) for n in names], axis=1)
        known = np.isin(verdict.labels, verdict.classes)
        right.append(names[said.argmax(axis=1)][known] == types.assign(verdict.labels[known]))
    right = np.concatenate(right)
    low, high = neighbours.interval(right.mean(), len(right))
    return {"accuracy": float(right.mean()), "low": low, "high": high, "n_test": len(right)}


def calibrate(
    network: Classifier, data: Excerpts
) -> tuple[Classifier, dict[str, pd.DataFrame], dict[str, float]]:
    """Fit a network's temperature on the validation part; see on the test part what it is worth.

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
        ``calibration_error_raw``, and ``calibration_error`` with the temperature.
    """
    parts = {}
    for split in ("validation", "test"):
        rows = data.part(split) & np.isin(data.labels, network.classes)
        said = network.probabilities(data.x[rows], data.numbers[rows])
        parts[split] = said, np.searchsorted(network.classes, data.labels[rows])
    heat = classifiers.fit_temperature(*parts["validation"])
    curves, errors = classifiers.compare_calibration(*parts["test"], heat)
    return replace(network, temperature=network.temperature * heat), curves, errors


def final_classifier(
    experiment: Experiment, study: Study, space: Workspace, *, epochs: int
) -> tuple[Classifier, dict[str, pd.DataFrame], dict[str, float]]:
    """Make the network that names the genre of any file, or reuse it, and calibrate it.

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
    folder, data = space.path(FINAL, experiment.name), load_excerpts(study, space, "fold-0")
    network, curves, errors = calibrate(
        train_network(experiment, data, folder, epochs=epochs), data
    )
    write_classifier(network, folder)
    return network, curves, errors


def write_classifier(network: Classifier, folder: Path) -> Path:
    """Note beside a checkpoint what its outputs mean."""
    return write_json(
        folder / "classifier.json",
        {
            "experiment": network.experiment.name,
            "options": network.experiment.options,
            "classes": list(network.classes),
            "temperature": network.temperature,
            "checkpoint": network.checkpoint.name,
        },
    )


def read_classifier(folder: Path, profile: str) -> Classifier:
    """Read a classifier that `write` noted.

    Parameters
    ----------
    folder
        Folder of the checkpoint.
    profile
        Profile that it was trained in.

    Raises
    ------
    CheckpointError
        If nothing that can be read was trained there.
    """
    path = folder / "classifier.json"
    try:
        said = json.loads(path.read_text())
        experiment = studies.study("genre", profile).experiment(said["experiment"])
        plan = replace(experiment, options=said["options"])
        return Classifier(
            folder / said["checkpoint"], plan, tuple(said["classes"]), float(said["temperature"])
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); train the classifier with: "
            f"make reproduce STUDY=genre PROFILE={profile}"
        ) from None
