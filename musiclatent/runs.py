"""What a training left: load it, trusting no pickle; measure it; set runs side by side."""

import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from musiclatent.config import Experiment, pick
from musiclatent.models import blocks, waveform

MODELS = {
    model.__name__: model
    for model in (waveform.WaveformAutoencoder, waveform.PoolingAutoencoder, waveform.LinearBlocks)
}


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; the message says which, why and what to do."""


@dataclass(frozen=True)
class Run:
    """A trained experiment.

    Parameters
    ----------
    experiment
        What was trained.
    checkpoint
        File of the best weights.
    metrics
        Name -> figure, such as ``test_mse``.
    curves
        One row an epoch: epoch, and the logged metrics of training and validation.
    status
        ``trained``, ``resumed`` or ``reused``.
    """

    experiment: Experiment
    checkpoint: Path
    metrics: dict[str, float]
    curves: pd.DataFrame
    status: str


def read_run(experiment: Experiment, folder: Path) -> Run:
    """Read a run that ended, from the folder that `fit` filled.

    Raises
    ------
    CheckpointError
        If nothing was trained there.
    """
    if not ((folder / "metrics.json").exists() and (folder / "best.ckpt").exists()):
        raise CheckpointError(
            f"{experiment.name} has not been trained in {folder}; train it with: "
            f"make reproduce STUDY={experiment.name.split('-')[0]} EXPERIMENT={experiment.name}"
        )
    metrics = json.loads((folder / "metrics.json").read_text())
    curves = pd.DataFrame(json.loads((folder / "curves.json").read_text()))
    return Run(experiment, folder / "best.ckpt", metrics, curves, "reused")


def load(checkpoint: Path, experiment: Experiment) -> blocks.Autoencoder:
    """Load trained weights without running any code that the file may hold.

    Parameters
    ----------
    checkpoint
        A file that `fit` wrote.
    experiment
        The experiment that it must belong to.

    Returns
    -------
    Autoencoder
        The model, in evaluation mode.

    Raises
    ------
    CheckpointError
        If the file is missing, cut short, holds more than plain values and tensors, or belongs
        to another experiment.
    """
    remedy = f"delete {Path(checkpoint).parent} and train {experiment.name} again"
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{checkpoint} is not there; train {experiment.name} first") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{checkpoint} cannot be read as plain weights ({reason[:120]}); it is cut short or "
            f"holds code; {remedy}"
        ) from None
    options = content.get("hyper_parameters") if isinstance(content, dict) else None
    own = {k: v for k, v in (options or {}).items() if k not in ("learning_rate", "total_steps")}
    if own != experiment.options:
        raise CheckpointError(f"{checkpoint} was not made by {experiment.name}; {remedy}")
    model = pick(MODELS, experiment.model, "model")(**options)
    try:
        model.load_state_dict(content["state_dict"])
    except (RuntimeError, KeyError):
        raise CheckpointError(f"{checkpoint} was not made by {experiment.name}; {remedy}") from None
    return model.eval()


@torch.no_grad()
def reconstruct(run: Run, x: np.ndarray) -> np.ndarray:
    """Send waveforms through a trained autoencoder.

    Parameters
    ----------
    run
        What was trained.
    x
        Waveforms (B, N) in [-1, 1].

    Returns
    -------
    ndarray
        Reconstructions (B, N).
    """
    model = load(run.checkpoint, run.experiment)
    return model(torch.from_numpy(x)[:, None]).x_hat[:, 0].numpy()


def table(runs: list[Run]) -> pd.DataFrame:
    """Return one row a run: experiment, family, status and its metrics."""
    return pd.DataFrame(
        [
            {"experiment": run.experiment.name, "family": run.experiment.family}
            | {"status": run.status}
            | run.metrics
            for run in runs
        ]
    )


def flatten(runs: list[Run]) -> dict[str, float]:
    """Return the metrics of all runs by name and the experiment's key, such as ``test_mse_64``."""
    return {
        f"{name}_{run.experiment.key}": value for run in runs for name, value in run.metrics.items()
    }


def write_json(path: Path, value) -> None:
    """Write plain values as json, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
    os.replace(part, path)


@torch.no_grad()
def evaluate(model: blocks.Autoencoder, batches, every: int = 1) -> dict[str, float]:
    """Measure reconstructions.

    Parameters
    ----------
    model
        A trained autoencoder.
    batches
        Pairs of waveforms (B, 1, N) and anything.
    every
        The STFT distance, which costs most, is taken of every so many batches.

    Returns
    -------
    dict
        ``mse`` over all windows; ``sisdr`` in dB and ``mrstft`` over the audible ones.
    """
    model.eval()
    mse, ratio, distance = [], [], []
    for index, (x, _) in enumerate(batches):
        x_hat = model(x).x_hat
        mse.append((x_hat - x).square().mean(dim=(1, 2)))
        ratio.append(blocks.sisdr(x, x_hat))
        if index % every == 0:
            distance.append(blocks.mrstft(x, x_hat))
    values = {"mse": mse, "sisdr": ratio, "mrstft": distance}
    return {name: float(torch.cat(parts).mean()) for name, parts in values.items()}
