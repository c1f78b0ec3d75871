"""Train an experiment, resume it, or reuse it; and load what was trained, trusting no pickle."""

import copy
import hashlib
import json
import logging
import os
import shutil
import sys
import time
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
import tqdm
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO
from safetensors.torch import save_file

from musiclatent import __version__, config, neighbours
from musiclatent.config import SEED, Experiment, Workspace
from musiclatent.datamodules import SPLITS, CorpusDataModule
from musiclatent.models.blocks import Trained
from musiclatent.runs import MODELS, Run, evaluate, load, read_run, write_json

FORMAT = 1  # raise by hand when a change of code makes older checkpoints wrong
LEAST_STEPS = 100  # of a training for which it pays to time both precisions
log = logging.getLogger("musiclatent")
# Devices, precision and advertisements: a notebook with 15 trainings would show little else.
logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)


class _AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are whole or not there."""

    def save_checkpoint(self, checkpoint, path, storage_options=None) -> None:
        """Write beside `path`, then rename."""
        super().save_checkpoint(checkpoint, f"{path}.part", storage_options)
        os.replace(f"{path}.part", path)


class _Curves(Callback):
    """The metrics of every epoch, kept in the checkpoint so that resuming continues them."""

    def __init__(self):
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Add a row."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.rows.append({"epoch": trainer.current_epoch, **values})

    def state_dict(self) -> dict:
        """Return plain values."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict) -> None:
        """Take the rows of the run that was broken off."""
        self.rows = list(state["rows"])


class _Progress(Callback):
    """A plain bar on stderr: Lightning's own floods executed notebooks."""

    def __init__(self, name: str):
        self.name, self.bar = name, None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Open the bar at the epoch where training begins or goes on."""
        interval = 0.1 if sys.stderr.isatty() else 10
        options = {"initial": trainer.current_epoch, "mininterval": interval, "unit": "epoch"}
        self.bar = tqdm.tqdm(total=trainer.max_epochs, desc=self.name, **options)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Move on, with the validation loss."""
        known = trainer.callback_metrics
        name = "validation_mse" if "validation_mse" in known else "train_mse"
        value = float(known.get(name, float("nan")))
        self.bar.set_postfix({name: f"{value:.5f}"}, refresh=False)
        self.bar.update(1)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Close the bar."""
        self.bar.close()


def fit(
    experiment: Experiment,
    data: CorpusDataModule,
    folder: Path,
    *,
    epochs: int,
    seed: int = SEED,
    stop_after: int | None = None,
    **trainer_options,
) -> Run | None:
    """Train an experiment; go on where an earlier run was killed, or reuse one that ended.

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
    ended = (folder / "metrics.json").exists() and (folder / "best.ckpt").exists()
    if _stored(folder) == identity["hash"] and ended:
        log.info("%s: reused, it was trained before on the same data", experiment.name)
        return read_run(experiment, folder)
    resumed = _prepare(experiment, folder, identity)
    pl.seed_everything(seed, verbose=False)
    model = MODELS[experiment.model](
        **experiment.options,
        learning_rate=experiment.training.learning_rate,
        total_steps=data.steps(epochs),
    )
    if "precision" not in trainer_options:
        trainer_options["precision"] = _precision(model, data, folder)
    trainer = _trainer(experiment, folder, stop_after or epochs, **trainer_options)
    log.info("%s: %s", experiment.name, "resumed" if resumed else "training")
    _fit_quietly(trainer, model, data, folder / "last.ckpt" if resumed else None)
    if trainer.interrupted:
        raise KeyboardInterrupt(f"{experiment.name} was stopped; run the same command to go on")
    if stop_after and stop_after < epochs:
        return None
    _finish(experiment, data, folder, trainer, identity)
    return replace(read_run(experiment, folder), status="resumed" if resumed else "trained")


def _set_up(data: CorpusDataModule, experiment: Experiment) -> None:
    """Let the windows come as an experiment wants them."""
    plan = experiment.training
    data.batch_size, data.balanced, data.labelled = plan.batch_size, plan.balanced, plan.labelled
    data.setup()
    _require_splits(data, plan.select)
    if plan.balanced and (data.codes() < 0).all():
        log.warning("%s: there are no labels, so it trains without triplets", experiment.name)


def _fit_quietly(
    trainer: pl.Trainer, model: Trained, data: CorpusDataModule, last: Path | None
) -> None:
    """Train without what Lightning says of folders, workers and splits that are meant so."""
    words = ("Checkpoint dir", ".*many workers", ".*LeafSpec", ".*no optimizer", ".*interval")
    with warnings.catch_warnings():
        for start in (*words, ".*across ranks is zero"):
            warnings.filterwarnings("ignore", start)
        trainer.fit(model, datamodule=data, ckpt_path=last, weights_only=True)


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
    return fit(experiment, data, space.folder("checkpoints", experiment.name), epochs=epochs)


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
    learns = data.transform.kind == "logmel"  # from labels, or is judged by them
    plan = {
        "experiment": asdict(experiment) | {"about": "", "paper": {}, "source": ""},
        "epochs": epochs,
        "seed": seed,
        "data": data.data_hash(),
        "data_seed": data.seed,
        "labels": hashlib.sha256(data.codes().tobytes()).hexdigest() if learns else "",
        "format": FORMAT,
    }
    return plan | {"hash": hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()}


def _stored(folder: Path) -> str:
    """Hash of the identity of what lies in a folder; empty if there is none that can be read."""
    try:
        return json.loads((folder / "run.json").read_text())["hash"]
    except (OSError, ValueError, KeyError):
        return ""


def _prepare(experiment: Experiment, folder: Path, identity: dict) -> bool:
    """Make the folder ready; tell whether it holds the beginning of the same run."""
    begun = (folder / "last.ckpt").exists() and not (folder / "metrics.json").exists()
    if _stored(folder) == identity["hash"] and begun:
        load(folder / "last.ckpt", experiment)  # says so if it cannot be read
        return True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / "run.json", identity)
    return False


def _precision(model: Trained, data: CorpusDataModule, folder: Path) -> str:
    """Choose bfloat16 where the model may take it and it is faster here; a resumed run keeps it."""
    if not model.mixed:
        return "32-true"
    model.to(memory_format=torch.channels_last)
    if torch.backends.mps.is_available():
        return "32-true"  # Lightning takes that device, on which 16 bits were not tried
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    if model.total_steps < LEAST_STEPS:
        return "32-true"  # over before the timing would have paid
    path = folder / "precision.json"
    if not path.exists():
        x = next(iter(data.loader("train")))[0]
        seconds = [_step_s(model, x, mixed) for mixed in (False, True)]
        write_json(path, "bf16-mixed" if seconds[1] < seconds[0] / 1.2 else "32-true")
        log.info("step in 32 and 16 bits: %.3f and %.3f s", *seconds)
    return json.loads(path.read_text())


def _step_s(model: Trained, x: torch.Tensor, mixed: bool) -> float:
    """Time a pass forward and backward in seconds: the best of three, after one that warms up."""
    model = copy.deepcopy(model)  # normalisation counts what it sees
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            x_hat = model(x).x_hat
        x_hat.float().mean().backward()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def _trainer(experiment: Experiment, folder: Path, epochs: int, **options) -> pl.Trainer:
    """Lightning's trainer with our callbacks."""
    best = experiment.training.select == "best"
    monitor = "validation_mse" if best else None
    callbacks = [
        _Curves(),
        *([EarlyStopping(monitor, patience=experiment.training.patience)] if best else []),
        ModelCheckpoint(folder, "best", monitor, save_last=not best, enable_version_counter=False),
        # Of its own: Lightning's save_last waits for the next best epoch.
        *([ModelCheckpoint(folder, "last", enable_version_counter=False)] if best else []),
        _Progress(experiment.name),
    ]
    return pl.Trainer(
        max_epochs=epochs,
        callbacks=callbacks,
        logger=TensorBoardLogger(folder / "tensorboard", name="", version=""),
        plugins=[_AtomicCheckpoints()],
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=False,
        log_every_n_steps=10,
        **options,
    )


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
    model = load(best, experiment)
    save_file(model.state_dict(), folder / "model.safetensors.part")
    os.replace(folder / "model.safetensors.part", folder / "model.safetensors")
    curves = next(c for c in trainer.callbacks if isinstance(c, _Curves)).rows
    write_json(folder / "curves.json", curves)
    metrics = {"epochs": len(curves), "parameters": sum(p.numel() for p in model.parameters())}
    metrics["latent_numbers"] = _latent_numbers(model, data)
    for split in SPLITS:
        # All test and validation windows, some of training; the dear STFT distance of fewer.
        batches = data.loader(split, at_most=96 if split == "train" else None)
        values = evaluate(model, batches, 1 if split == "test" else max(1, len(batches) // 3))
        metrics |= {f"{split}_{name}": value for name, value in values.items()}
    metrics |= _genre(model, data)
    card = {"experiment": experiment.name, "model": experiment.model, "about": experiment.about}
    card |= {"precision": str(trainer.precision)}
    card |= {"options": experiment.options, "metrics": metrics, "run": identity}
    write_json(
        folder / "card.json", card | {"musiclatent": __version__, "torch": torch.__version__}
    )
    write_json(folder / "metrics.json", metrics)  # last: with it the run counts as ended


@torch.no_grad()
def _genre(model: Trained, data: CorpusDataModule) -> dict[str, float]:
    """Judge embeddings of spectrograms by the labels of their training neighbours."""
    if data.transform.kind != "logmel":
        return {}
    parts = {}
    for split in ("train", "test"):
        loader = data.loader(split, audible=True)
        batches = [(model.encode(x).numpy(), codes.numpy()) for x, _, codes in loader]
        z, codes = (np.concatenate(column) for column in zip(*batches, strict=True))
        parts[split] = neighbours.embedding(z)[codes >= 0], codes[codes >= 0].astype(str)
    (z_train, labels_train), (z_test, labels_test) = parts.values()
    if not len(z_train) or not len(z_test):
        return {}
    z_train, z_test = neighbours.standardise(z_train, z_test)
    found = neighbours.knn(z_train, labels_train, z_test, labels_test)
    names = {"accuracy": "knn", "low": "knn_low", "high": "knn_high", "n": "knn_windows"}
    return {f"test_{new}": found[old] for old, new in names.items()}


@torch.no_grad()
def _latent_numbers(model: Trained, data: CorpusDataModule) -> int:
    """Count the latent numbers of one window."""
    return model.encode(torch.zeros(1, 1, *data.transform.shape)).numel()
