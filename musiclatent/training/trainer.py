"""Run one training: checkpoints that are whole, curves, a bar, and the right precision."""

import copy
import json
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from musiclatent import files, models
from musiclatent.config import Experiment
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.models.base import LitModule

if TYPE_CHECKING:  # takes 4 s, which who only uses models need not wait for
    import pytorch_lightning as pl

LEAST_STEPS = 100  # of a training for which it pays to time both precisions
# What Lightning warns of although it is meant so: folders, workers, splits, closed forms.
EXPECTED = (
    "Checkpoint dir|.*(many workers|LeafSpec|no optimizer|interval|validation_step|ranks is zero)"
)
log = logging.getLogger("musiclatent")


def seeded_model(experiment: Experiment, seed: int, total_steps: int) -> LitModule:
    """Seed everything and return the experiment's model, untrained; steps are of the schedule."""
    import pytorch_lightning as pl

    pl.seed_everything(seed, verbose=False)
    rate = experiment.training.learning_rate
    model = models.MODELS[experiment.model]
    return model(**experiment.options, learning_rate=rate, total_steps=total_steps)


def make_trainer(experiment: Experiment, folder: Path, epochs: int, **options: Any) -> "pl.Trainer":
    """Build Lightning's trainer with our callbacks; `options` are its own."""
    from musiclatent.training import lightning

    # Devices, precision and advertisements: a notebook with 15 trainings would show little else.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    return lightning.trainer(experiment, folder, epochs, **options)


def fit_quietly(
    trainer: "pl.Trainer",
    model: LitModule,
    *,
    data: CorpusDataModule | DataLoader,
    last: Path | None,
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
    from musiclatent.training.lightning import Loading, Trained

    loading = data if isinstance(data, DataLoader) else Loading(data)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", EXPECTED)
        trainer.fit(Trained(model), loading, ckpt_path=last, weights_only=True)
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
