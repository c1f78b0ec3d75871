"""Train an experiment on a corpus, resume it, or reuse it."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from musiclatent import config, files, models
from musiclatent.analysis import neighbours, pooling
from musiclatent.config import SEED, Experiment, Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.data.splits import SPLITS
from musiclatent.models.base import LitModule
from musiclatent.training import checkpoints, metrics, run_folder, trainer
from musiclatent.training.run_folder import Run

if TYPE_CHECKING:
    import pytorch_lightning as pl

CACHE_VERSION = 2  # raise it when a change of code makes older checkpoints wrong
log = logging.getLogger("musiclatent")


def train_experiment(
    experiment: Experiment,
    data: CorpusDataModule,
    *,
    folder: Path,
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
    _configure(data, experiment)
    identity = _identity(experiment, data, epochs, seed)
    if run_folder.is_complete(folder, identity):
        log.info("%s: reused, it was trained before on the same data", experiment.name)
        return run_folder.read_run(experiment, folder)
    resumed = run_folder.prepare_folder(experiment, folder, identity)
    model = trainer.seeded_model(experiment, seed, data.steps(epochs))
    if "precision" not in trainer_options:
        trainer_options["precision"] = trainer.precision(
            model, lambda: [next(iter(data.loader("train")))[0]], folder
        )
    fitted = trainer.make_trainer(experiment, folder, stop_after or epochs, **trainer_options)
    log.info("%s: %s", experiment.name, "resumed" if resumed else "training")
    trainer.fit_quietly(fitted, model, data=data, last=folder / "last.ckpt" if resumed else None)
    if stop_after and stop_after < epochs:
        return None
    _finish(experiment, data, folder, fitted, identity)
    run = run_folder.read_run(experiment, folder)
    return replace(run, status="resumed" if resumed else "trained")


def _configure(data: CorpusDataModule, experiment: Experiment) -> None:
    """Configure the windows as an experiment takes them."""
    plan = experiment.training
    data.batch_size = plan.batch_size
    data.balanced = plan.balanced
    data.labelled = plan.labelled
    data.setup()
    _require_splits(data, plan.select)
    if plan.balanced and (data.targets() < 0).all():
        log.warning("%s: there are no labels, so it trains without triplets", experiment.name)


def ensure(
    experiment: Experiment, data: CorpusDataModule, space: Workspace, *, seed: int = SEED
) -> Run:
    """Train an experiment at its place in a study's results, or reuse it.

    Parameters
    ----------
    experiment
        What to train, for the epochs of the profile.
    data
        Windows.
    space
        The study's results.
    seed
        Seed of the weights; any but the first has a folder of its own, ``NAME-seed-1``.
    """
    epochs = experiment.training.epochs(config.profile(space.profile), space.study)
    name = experiment.name if seed == SEED else f"{experiment.name}-seed-{seed}"
    folder = space.path("checkpoints", name)
    return train_experiment(experiment, data, folder=folder, epochs=epochs, seed=seed)


def ensure_seeds(
    experiments: Sequence[Experiment], data: CorpusDataModule, space: Workspace
) -> dict[str, list[Run]]:
    """Train experiments with every seed of the profile, or reuse them.

    Parameters
    ----------
    experiments, data, space
        As in `ensure`.

    Returns
    -------
    dict
        Name -> runs, in the order of the seeds; one of a closed form, which no seed changes, and
        of a folder of one's own.
    """
    seeds = config.profile(space.profile).seeds
    some = {row.name: bool(row.training.epoch_factor) and not space.corpus for row in experiments}
    return {
        row.name: [
            ensure(row, data, space, seed=seed) for seed in (seeds if some[row.name] else seeds[:1])
        ]
        for row in experiments
    }


def _require_splits(data: CorpusDataModule, select: str) -> None:
    """Validate that there is something to train on and to measure by."""
    needed = SPLITS if select == "best" else ("train", "test")
    empty = [split for split in needed if not len(data.rows(split, audible=True))]
    if empty:
        raise ValueError(
            f"the corpus {', '.join(data.names)} has no sound in its split {' and '.join(empty)}; "
            "add recordings: at least four that are not duplicates of each other"
        )


def _identity(experiment: Experiment, data: CorpusDataModule, epochs: int, seed: int) -> dict:
    """Return everything that decides what the training gives, with its hash."""
    labelled = data.transform.kind != "waveform"  # it learns from labels, or is measured by them
    plan = {
        "experiment": run_folder.deciding(experiment),
        "epochs": epochs,
        "seed": seed,
        "data": data.data_hash(),
        "data_seed": data.seed,
        "labels": hashlib.sha256(data.targets().tobytes()).hexdigest() if labelled else "",
        "format": CACHE_VERSION,
    }
    version = files.pick(models.MODELS, experiment.model, "model").version
    return run_folder.with_hash(plan | ({"model_version": version} if version > 1 else {}))


def _finish(
    experiment: Experiment,
    data: CorpusDataModule,
    folder: Path,
    fitted: "pl.Trainer",
    identity: dict,
) -> None:
    """Measure the best weights on every split and store the model, curves and metrics."""
    best = folder / "best.ckpt"
    if not best.exists():  # a closed form takes no optimizer step, so Lightning saved nothing
        fitted.save_checkpoint(best, weights_only=False)
    model = checkpoints.load_checkpoint(best, experiment)
    callbacks = {type(callback).__name__: callback for callback in fitted.callbacks}
    curves = callbacks["Curves"].rows
    files.write_json(folder / "curves.json", curves)
    figures = {"epochs": len(curves), "parameters": sum(p.numel() for p in model.parameters())}
    window = torch.zeros(1, 1, *data.transform.shape)
    figures["latent_numbers"] = model.encode(window).numel()
    for split in SPLITS:
        # All test and validation windows, some of training; the costly STFT distance of fewer.
        batches = data.loader(split, at_most=96 if split == "train" else None)
        every = 1 if split == "test" else max(1, len(batches) // 3)
        values = metrics.evaluate(model, batches, every)
        figures |= {f"{split}_{name}": value for name, value in values.items()}
    figures |= _neighbour_accuracy(model, data)
    seconds = callbacks["Timer"].time_elapsed("train")
    run_folder.write_model(
        folder,
        model,
        transform=data.transform,
        study=experiment.study,
        experiment=experiment.name,
        about=experiment.about,
        data=identity["data"],
        figures=figures,
        precision=str(fitted.precision),
        train_seconds=round(seconds, 1),
    )
    files.write_json(folder / "metrics.json", figures)  # last: with it the run counts as ended


@torch.no_grad()
def _neighbour_accuracy(model: LitModule, data: CorpusDataModule) -> dict[str, float]:
    """Measure latents of spectrograms by the labels of their nearest training neighbours."""
    if data.transform.kind == "waveform":
        return {}
    pooled = pooling.WINDOW_POOLING[data.transform.kind]
    parts = {}
    for split in ("train", "test"):
        loader = data.loader(split, audible=True)
        batches = [(pooled(model.encode(x).numpy()), codes.numpy()) for x, _, codes in loader]
        z, codes = (np.concatenate(column) for column in zip(*batches, strict=True))
        parts[split] = z[codes >= 0], codes[codes >= 0].astype(str)
    (z_train, labels_train), (z_test, labels_test) = parts.values()
    if not len(z_train) or not len(z_test):
        return {}
    z_train, z_test = neighbours.standardise(z_train, z_test)
    scores = neighbours.knn(z_train, labels_train, z_test=z_test, labels_test=labels_test)
    names = {"accuracy": "knn", "low": "knn_low", "high": "knn_high", "n": "knn_windows"}
    return {f"test_{new}": scores[old] for old, new in names.items()}
