"""Run one training: checkpoints that are whole, curves, a bar, and the right precision."""

import copy
import json
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, Timer
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch.utils.data import DataLoader

from musiclatent import files, models
from musiclatent.config import Experiment
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.models.base import LitModule

LEAST_STEPS = 100  # of a training for which it pays to time both precisions
# What Lightning warns of although it is meant so: folders, workers, splits, closed forms.
EXPECTED = (
    "Checkpoint dir|.*(many workers|LeafSpec|no optimizer|interval|validation_step|ranks is zero)"
)
log = logging.getLogger("musiclatent")


class _AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are whole or not there."""

    def save_checkpoint(self, checkpoint, path, storage_options=None) -> None:
        """Write beside `path`, then rename."""
        with files.whole_file(Path(path)) as part:
            super().save_checkpoint(checkpoint, part, storage_options)


class Curves(Callback):
    """The metrics of every epoch, kept in the checkpoint so that resuming continues them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Add a row."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.rows.append({"epoch": trainer.current_epoch, **values})

    def state_dict(self) -> dict:
        """Return plain values."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict) -> None:
        """Restore the rows of the run that was broken off."""
        self.rows = list(state["rows"])


class _Progress(Callback):
    """A plain bar on stderr: Lightning's own floods executed notebooks."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Open the bar at the epoch where training begins or goes on."""
        self.bar = files.progress(
            None, self.name, "epoch", total=trainer.max_epochs, initial=trainer.current_epoch
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Advance, with the validation loss."""
        metrics = trainer.callback_metrics
        name = next((n for n in ("validation_mse", "train_mse") if n in metrics), "train_loss")
        value = float(metrics.get(name, float("nan")))
        self.bar.set_postfix({name: f"{value:.5f}"}, refresh=False)
        self.bar.update(1)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Close the bar."""
        self.bar.close()


def seeded_model(experiment: Experiment, seed: int, total_steps: int) -> LitModule:
    """Seed everything and return the experiment's model, untrained; steps are of the schedule."""
    pl.seed_everything(seed, verbose=False)
    rate = experiment.training.learning_rate
    model = models.MODELS[experiment.model]
    return model(**experiment.options, learning_rate=rate, total_steps=total_steps)


def make_trainer(experiment: Experiment, folder: Path, epochs: int, **options: Any) -> pl.Trainer:
    """Build Lightning's trainer with our callbacks; `options` are its own."""
    # Devices, precision and advertisements: a notebook with 15 trainings would show little else.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    best = experiment.training.select == "best"
    monitor = "validation_mse" if best else None
    callbacks = [
        Curves(),
        Timer(),
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


def fit_quietly(
    trainer: pl.Trainer, model: LitModule, *, data: CorpusDataModule | DataLoader, last: Path | None
) -> None:
    """Train without the warnings that are `EXPECTED`.

    Parameters
    ----------
    trainer, model, data
        What trains what on what.
    last
        Checkpoint to go on from; None begins anew.

    Raises
    ------
    KeyboardInterrupt
        If it was stopped; Lightning only makes a note of that.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", EXPECTED)
        trainer.fit(model, data, ckpt_path=last, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt("training was stopped; run the same command to go on")


def precision(model: LitModule, inputs: Callable[[], Sequence[torch.Tensor]], folder: Path) -> str:
    """Choose bfloat16 where the model may take it and it is faster here; a resumed run keeps it.

    Parameters
    ----------
    model
        What is to be trained; one that may take 16 bits gets its channels last.
    inputs
        Returns what the model takes of one batch, to time it on.
    folder
        Where the choice is noted.
    """
    if not model.supports_bf16:
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
        batch = inputs()
        seconds = [_step_s(model, batch, mixed) for mixed in (False, True)]
        files.write_json(path, "bf16-mixed" if seconds[1] < seconds[0] / 1.2 else "32-true")
        log.info("step in 32 and 16 bits: %.3f and %.3f s", *seconds)
    return json.loads(path.read_text())


def _step_s(model: LitModule, inputs: Sequence[torch.Tensor], mixed: bool) -> float:
    """Time a pass forward and backward in seconds: the best of three, after one that warms up."""
    model = copy.deepcopy(model)  # normalisation counts what it sees
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            out = model(*inputs)
        getattr(out, "x_hat", out).float().mean().backward()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])
