"""Train a classifier on arrays, go on where it was killed, or reuse it."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from musiclatent import files
from musiclatent.audio.windows import Transform
from musiclatent.config import SEED, Experiment
from musiclatent.data.datamodules import EpochSampler
from musiclatent.training import checkpoints, run_folder, trainer

CACHE_VERSION = 1  # raise it when new code makes older classifiers wrong


def fit_classifier(
    experiment: Experiment,
    inputs: Sequence[np.ndarray],
    codes: np.ndarray,
    folder: Path,
    *,
    labels: Sequence[str],
    transform: Transform,
    epochs: int,
    seed: int = SEED,
) -> Path:
    """Train a classifier for the whole schedule.

    Parameters
    ----------
    experiment
        What to train; its options name the number of classes.
    inputs
        What the model takes, one row per example: spectrograms (B, M, T) in [0, 1], and
        descriptors (B, D) for a model that takes them.
    codes
        Class of each row (B,), int from 0.
    folder
        Where it goes, see `run_folder.write_model`.
    labels
        Names of the classes, in the order of their codes.
    transform
        What makes the spectrograms.
    epochs
        Length of the training.
    seed
        Seed of weights, order and augmentation.

    Returns
    -------
    Path
        The folder, reused where the same was trained before.

    Raises
    ------
    ValueError
        If lengths differ, or there is nothing to learn from.
    """
    if len(codes) < 2 or any(len(part) != len(codes) for part in inputs):
        lengths = [len(part) for part in inputs]
        raise ValueError(
            f"there are {lengths} inputs and {len(codes)} classes; give as many, two or more"
        )
    identity = _identity(experiment, inputs, codes, epochs, seed)
    if run_folder.is_complete(folder, identity):
        return folder
    resumed = run_folder.prepare_folder(experiment, folder, identity)
    batches = _batches(inputs, codes, experiment.training.batch_size, seed)
    metrics = _train(experiment, batches, folder=folder, epochs=epochs, seed=seed, resumed=resumed)
    about = {"study": experiment.study, "experiment": experiment.name, "about": experiment.about}
    about |= {"labels": list(labels), "data": identity["data"], "figures": metrics}
    model = checkpoints.load_checkpoint(folder / "best.ckpt", experiment)
    run_folder.write_model(folder, model, transform=transform, **about)
    files.write_json(folder / "metrics.json", metrics)  # last: with it the training counts as ended
    return folder


def _batches(inputs: Sequence[np.ndarray], codes: np.ndarray, size: int, seed: int) -> DataLoader:
    """Return batches of inputs and classes, in an order of each epoch's own."""
    data = TensorDataset(*tensors(inputs), torch.from_numpy(np.asarray(codes, np.int64)))
    # A lone last row has no deviation to normalise by.
    lone = len(data) % size == 1
    return DataLoader(data, size, sampler=EpochSampler(len(data), seed), drop_last=lone)


def _train(
    experiment: Experiment,
    batches: DataLoader,
    *,
    folder: Path,
    epochs: int,
    seed: int,
    resumed: bool,
) -> dict[str, float]:
    """Train a network, or go on with it, and return its last figures."""
    model = trainer.seeded_model(experiment, seed, epochs * len(batches))
    precision = trainer.precision(model, lambda: next(iter(batches))[:-1], folder)
    lightning = trainer.make_trainer(experiment, folder, epochs, precision=precision)
    last = folder / "last.ckpt" if resumed else None
    trainer.fit_quietly(lightning, model, data=batches, last=last)
    return {key: float(value) for key, value in lightning.callback_metrics.items()}


def tensors(inputs: Sequence[np.ndarray]) -> list[torch.Tensor]:
    """Return inputs as tensors float32; spectrograms get a channel: (B, 1, M, T)."""
    parts = [torch.from_numpy(np.ascontiguousarray(part, np.float32)) for part in inputs]
    return [part[:, None] if part.ndim == 3 else part for part in parts]


def class_probabilities(folder: Path, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Return the probability of each class (B, classes).

    Parameters
    ----------
    folder
        What `fit_classifier` filled.
    inputs
        As there.
    """
    model = run_folder.load_model(folder)
    return _batched(lambda *part: model(*part).softmax(1), inputs)


def class_features(folder: Path, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Return the features (B, D) that a network scores, of all heads; arguments as above."""
    model = run_folder.load_model(folder)
    return _batched(lambda *part: torch.cat(model.embed(*part), dim=1), inputs)


@torch.no_grad()
def _batched(function: Callable[..., torch.Tensor], inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Return what a function gives of inputs, 64 rows at a time."""
    parts = zip(*(part.split(64) for part in tensors(inputs)), strict=True)
    return torch.cat([function(*part) for part in parts]).numpy()


def _identity(
    experiment: Experiment, inputs: Sequence[np.ndarray], codes: np.ndarray, epochs: int, seed: int
) -> dict:
    """Return everything that decides what the training gives, with its hash."""
    data = hashlib.sha256()
    for part in (*inputs, np.asarray(codes, np.int64)):
        data.update(np.ascontiguousarray(part).tobytes())
    plan = {
        "experiment": run_folder.deciding(experiment) | {"full": {}, "full_training": None},
        "epochs": epochs,
        "seed": seed,
        "format": CACHE_VERSION,
        "data": data.hexdigest(),
    }
    return run_folder.with_hash(plan)
