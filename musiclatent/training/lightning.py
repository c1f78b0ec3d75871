"""What of a training is Lightning's: modules, callbacks, checkpoints.

It takes 4 s to import, so `trainer` does that where something is trained.
"""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, Timer
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO

from musiclatent import files
from musiclatent.config import Experiment
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.models.base import LitModule


class _AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are whole or not there."""

    def save_checkpoint(self, checkpoint, path, storage_options=None) -> None:
        """Write beside `path`, then rename."""
        with files.whole_file(Path(path)) as part:
            super().save_checkpoint(checkpoint, part, storage_options)


class Trained(pl.LightningModule):
    """A model as Lightning trains it: steps, hooks and weights are the model's.

    Parameters
    ----------
    model
        What is trained.
    """

    def __init__(self, model: LitModule) -> None:
        super().__init__()
        self.model = model
        self.automatic_optimization = model.automatic_optimization
        self.save_hyperparameters(dict(model.hparams))

    def state_dict(self, *args: Any, **options: Any) -> dict:
        """Return the weights under the names that they have in the model."""
        return self.model.state_dict(*args, **options)

    def load_state_dict(self, *args: Any, **options: Any) -> Any:
        """Load weights by the names that they have in the model."""
        return self.model.load_state_dict(*args, **options)

    def training_step(self, batch: Any, index: int) -> Any:
        """Return the loss of a training batch."""
        return self.model.training_step(batch, index)

    def validation_step(self, batch: Any, index: int) -> None:
        """Log the figures of a validation batch."""
        self.model.validation_step(batch, index)

    def on_fit_start(self) -> None:
        """Let the model ask for epoch and data."""
        self.model.trainer = self.trainer
        self.model.on_fit_start()

    def on_fit_end(self) -> None:
        """Let go of the trainer: outside of a training nobody is told figures."""
        self.model.trainer = None

    def on_train_epoch_start(self) -> None:
        """Pass on."""
        self.model.on_train_epoch_start()

    def on_validation_epoch_start(self) -> None:
        """Pass on."""
        self.model.on_validation_epoch_start()

    def configure_gradient_clipping(
        self, optimizer: torch.optim.Optimizer, *_: Any, **__: Any
    ) -> None:
        """Pass on."""
        self.model.clip_gradients(optimizer)

    def configure_optimizers(self) -> Any:
        """Pass on."""
        return self.model.configure_optimizers()


class Loading(pl.LightningDataModule):
    """Windows as Lightning loads them."""

    def __init__(self, data: CorpusDataModule) -> None:
        super().__init__()
        self.loader = data.loader
        self.train_dataloader = data.train_dataloader
        self.val_dataloader = data.val_dataloader


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


def trainer(experiment: Experiment, folder: Path, epochs: int, **options: Any) -> pl.Trainer:
    """Build a trainer with our callbacks; `options` are Lightning's own."""
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
