"""Train a classifier on arrays, go on where it was killed, or reuse it."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from musiclatent import models
from musiclatent.config import SEED, Experiment
from musiclatent.data.datamodules import EpochSampler
from musiclatent.files import write_json
from musiclatent.training import trainer as training_trainer
from musiclatent.training.checkpoints import load_checkpoint
from musiclatent.training.run_folder import is_complete, prepare_folder, with_hash
from musiclatent.training.trainer import fit_quietly, make_trainer

CACHE_VERSION = 1  # raise it when new code makes older classifiers wrong


def fit_classifier(
    experiment: Experiment,
    inputs: Sequence[np.ndarray],
    codes: np.ndarray,
    folder: Path,
    *,
    epochs: int,
    seed: int = SEED,
) -> Path:
    """Train a classifier for the whole schedule.

    Parameters
    ----------
    experiment
        What to train; its options name the number of classes.
    inputs
        What the model takes, one row an example each: spectrograms (B, M, T) in [0, 1], and
        attributes (B, D) for a model that takes them.
    codes
        Class of each row (B,), int from 0.
    folder
        Folder of its checkpoint.
    epochs
        Length of the training.
    seed
        Seed of weights, order and augmentation.

    Returns
    -------
    Path
        The checkpoint, reused where the same was trained before.

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
    identity = with_hash(_plan(experiment, inputs, codes, epochs, seed))
    if is_complete(folder, identity):
        return folder / "best.ckpt"
    resumed = prepare_folder(experiment, folder, identity)
    pl.seed_everything(seed, verbose=False)
    data = TensorDataset(*tensors(inputs), torch.from_numpy(np.asarray(codes, np.int64)))
    sampler, size = EpochSampler(len(data), seed), experiment.training.batch_size
    # A lone last row has no deviation to normalise by.
    batches = DataLoader(data, size, sampler=sampler, drop_last=len(data) % size == 1)
    model = models.MODELS[experiment.model](
        **experiment.options,
        learning_rate=experiment.training.learning_rate,
        total_steps=epochs * len(batches),
    )
    precision = training_trainer.precision(model, lambda: next(iter(batches))[:-1], folder)
    trainer = make_trainer(experiment, folder, epochs, precision=precision)
    fit_quietly(trainer, model, batches, folder / "last.ckpt" if resumed else None)
    known = {key: float(value) for key, value in trainer.callback_metrics.items()}
    write_json(folder / "metrics.json", known)  # last: with it the training counts as ended
    return folder / "best.ckpt"


def tensors(inputs: Sequence[np.ndarray]) -> list[torch.Tensor]:
    """Return inputs as tensors float32; spectrograms get a channel: (B, 1, M, T)."""
    found = [torch.from_numpy(np.ascontiguousarray(part, np.float32)) for part in inputs]
    return [part[:, None] if part.ndim == 3 else part for part in found]


@torch.no_grad()
def class_probabilities(
    checkpoint: Path, experiment: Experiment, inputs: Sequence[np.ndarray]
) -> np.ndarray:
    """Return the probability of each class (B, classes).

    Parameters
    ----------
    checkpoint, experiment
        What was trained.
    inputs
        As in `fit`.
    """
    model = load_checkpoint(checkpoint, experiment)
    parts = zip(*(part.split(64) for part in tensors(inputs)), strict=True)
    return torch.cat([model(*part).softmax(1) for part in parts]).numpy()


def _plan(
    experiment: Experiment, inputs: Sequence[np.ndarray], codes: np.ndarray, epochs: int, seed: int
) -> dict:
    """Everything that decides what the training gives."""
    data = hashlib.sha256()
    for part in (*inputs, np.asarray(codes, np.int64)):
        data.update(np.ascontiguousarray(part).tobytes())
    about = asdict(experiment) | {"about": "", "paper": {}, "source": "", "full": {}}
    about["full_training"] = None
    del about["study"]  # it decides nothing, and older identities were without it
    return {"experiment": about, "epochs": epochs, "seed": seed, "format": CACHE_VERSION} | {
        "data": data.hexdigest()
    }
