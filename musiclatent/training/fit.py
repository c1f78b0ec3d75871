"""Train an experiment, resume it, or reuse it; and load what was trained, trusting no pickle."""

import hashlib
import logging
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from safetensors.torch import save_file

from musiclatent import __version__, config
from musiclatent.analysis import neighbours, pooling
from musiclatent.config import SEED, Experiment, Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.data.splits import SPLITS
from musiclatent.files import whole_file, write_json
from musiclatent.models import MODELS
from musiclatent.models.base import LitModule
from musiclatent.training.checkpoints import load_checkpoint
from musiclatent.training.metrics import evaluate
from musiclatent.training.run_folder import Run, is_complete, prepare_folder, read_run, with_hash
from musiclatent.training.trainer import Clock, Curves, fit_quietly, make_trainer, precision

FORMAT = 1  # raise by hand when a change of code makes older checkpoints wrong
log = logging.getLogger("musiclatent")


def train_experiment(
    experiment: Experiment,
    data: CorpusDataModule,
    folder: Path,
    *,
    epochs: int,
    seed: int = SEED,
    stop_after: int | None = None,
    **trainer_options: Any,
) -> Run | None:
    """Train an experiment; go on where an earlier run was killed, or reuse one that ended.

    A run that was killed ends at the same weights to the bit where both parts ran on the same
    processor and number of threads; else kernels of another width round otherwise, by about 1e-7.

    Parameters
    ----------
    experiment
        What to train.
    data
        Windows; its batch size is set to the experiment's.
    folder
        Folder of the experiment's checkpoints, figures and TensorBoard log.
    epochs
        Length of the whole training, which the schedule of the rate spans.
    seed
        Seed of the weights.
    stop_after
        End early after so many epochs, as if killed; the next call goes on from there.
    trainer_options
        Lightning's own, such as ``devices``, ``num_nodes`` and ``strategy``.

    Returns
    -------
    Run or None
        None if `stop_after` ended it.
    """
    _set_up(data, experiment)
    identity = _identity(experiment, data, epochs, seed)
    if is_complete(folder, identity):
        log.info("%s: reused, it was trained before on the same data", experiment.name)
        return read_run(experiment, folder)
    resumed = prepare_folder(experiment, folder, identity)
    pl.seed_everything(seed, verbose=False)
    model = MODELS[experiment.model](
        **experiment.options,
        learning_rate=experiment.training.learning_rate,
        total_steps=data.steps(epochs),
    )
    if "precision" not in trainer_options:
        batch = partial(_first, data)
        trainer_options["precision"] = precision(model, batch, folder)
    trainer = make_trainer(experiment, folder, stop_after or epochs, **trainer_options)
    log.info("%s: %s", experiment.name, "resumed" if resumed else "training")
    fit_quietly(trainer, model, data, folder / "last.ckpt" if resumed else None)
    if stop_after and stop_after < epochs:
        return None
    _finish(experiment, data, folder, trainer, identity)
    return replace(read_run(experiment, folder), status="resumed" if resumed else "trained")


def _first(data: CorpusDataModule) -> list[torch.Tensor]:
    """Return what a model takes of the first training batch."""
    return [next(iter(data.loader("train")))[0]]


def _set_up(data: CorpusDataModule, experiment: Experiment) -> None:
    """Let the windows come as an experiment wants them."""
    plan = experiment.training
    data.batch_size, data.balanced, data.labelled = plan.batch_size, plan.balanced, plan.labelled
    data.setup()
    _require_splits(data, plan.select)
    if plan.balanced and (data.targets() < 0).all():
        log.warning("%s: there are no labels, so it trains without triplets", experiment.name)


def ensure(experiment: Experiment, data: CorpusDataModule, space: Workspace) -> Run:
    """Train an experiment at its place in a study's results, or reuse it.

    Parameters
    ----------
    experiment
        What to train, for the epochs of the profile.
    data
        Windows.
    space
        The study's results.
    """
    epochs = experiment.training.epochs(config.profile(space.profile), space.study)
    return train_experiment(
        experiment, data, space.path("checkpoints", experiment.name), epochs=epochs
    )


def _require_splits(data: CorpusDataModule, select: str) -> None:
    """Say at the door when there is nothing to train on or to judge by."""
    needed = SPLITS if select == "best" else ("train", "test")
    empty = [split for split in needed if not len(data.rows(split, audible=True))]
    if empty:
        raise ValueError(
            f"the corpus {', '.join(data.names)} has no sound in its split {' and '.join(empty)}; "
            "add recordings: at least three that are not copies of each other"
        )


def _identity(experiment: Experiment, data: CorpusDataModule, epochs: int, seed: int) -> dict:
    """Everything that decides what the training gives, for comparison with what is stored."""
    learns = data.transform.kind != "waveform"  # from labels, or is judged by them
    # Full sizes are in use as options and training, or not at all; the study decides nothing.
    said = ("full", "full_training", "study")
    plan = {
        "experiment": {k: v for k, v in asdict(experiment).items() if k not in said}
        | {"about": "", "paper": {}, "source": ""},
        "epochs": epochs,
        "seed": seed,
        "data": data.data_hash(),
        "data_seed": data.seed,
        "labels": hashlib.sha256(data.targets().tobytes()).hexdigest() if learns else "",
        "format": FORMAT,
    }
    return with_hash(plan)


def _finish(
    experiment: Experiment,
    data: CorpusDataModule,
    folder: Path,
    trainer: pl.Trainer,
    identity: dict,
) -> None:
    """Measure the best weights on every split and store weights, card, curves and metrics."""
    best = folder / "best.ckpt"
    if not best.exists():  # a closed form takes no optimizer step, so Lightning saved nothing
        trainer.save_checkpoint(best)
    model = load_checkpoint(best, experiment)
    with whole_file(folder / "model.safetensors") as part:
        save_file(model.state_dict(), part)
    curves = next(c for c in trainer.callbacks if isinstance(c, Curves)).rows
    seconds = next(c for c in trainer.callbacks if isinstance(c, Clock)).seconds
    write_json(folder / "curves.json", curves)
    metrics = {"epochs": len(curves), "parameters": sum(p.numel() for p in model.parameters())}
    metrics["latent_numbers"] = _latent_numbers(model, data)
    for split in SPLITS:
        # All test and validation windows, some of training; the costly STFT distance of fewer.
        batches = data.loader(split, at_most=96 if split == "train" else None)
        values = evaluate(model, batches, 1 if split == "test" else max(1, len(batches) // 3))
        metrics |= {f"{split}_{name}": value for name, value in values.items()}
    metrics |= _genre(model, data)
    card = {"experiment": experiment.name, "model": experiment.model, "about": experiment.about}
    card |= {"precision": str(trainer.precision), "train_seconds": round(seconds, 1)}
    card |= {"options": experiment.options, "metrics": metrics, "run": identity}
    write_json(
        folder / "card.json", card | {"musiclatent": __version__, "torch": torch.__version__}
    )
    write_json(folder / "metrics.json", metrics)  # last: with it the run counts as ended


@torch.no_grad()
def _genre(model: LitModule, data: CorpusDataModule) -> dict[str, float]:
    """Judge embeddings of spectrograms by the labels of their training neighbours."""
    if data.transform.kind == "waveform":
        return {}
    compared = pooling.WINDOW_POOLING[data.transform.kind]
    parts = {}
    for split in ("train", "test"):
        loader = data.loader(split, audible=True)
        batches = [(model.encode(x).numpy(), codes.numpy()) for x, _, codes in loader]
        z, codes = (np.concatenate(column) for column in zip(*batches, strict=True))
        parts[split] = compared(z)[codes >= 0], codes[codes >= 0].astype(str)
    (z_train, labels_train), (z_test, labels_test) = parts.values()
    if not len(z_train) or not len(z_test):
        return {}
    z_train, z_test = neighbours.standardise(z_train, z_test)
    found = neighbours.knn(z_train, labels_train, z_test, labels_test)
    names = {"accuracy": "knn", "low": "knn_low", "high": "knn_high", "n": "knn_windows"}
    return {f"test_{new}": found[old] for old, new in names.items()}


@torch.no_grad()
def _latent_numbers(model: LitModule, data: CorpusDataModule) -> int:
    """Count the latent numbers of one window."""
    return model.encode(torch.zeros(1, 1, *data.transform.shape)).numel()
