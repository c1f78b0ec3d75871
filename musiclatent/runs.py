"""What a training left: load it, trusting no pickle; measure it; set runs side by side."""

import json
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from musiclatent.config import Experiment
from musiclatent.errors import CheckpointError, first_line
from musiclatent.excerpts import Transform
from musiclatent.files import pick
from musiclatent.models import blocks, deep, genre, judge, mel, sparse, vae, waveform

MODELS = {
    model.__name__: model
    for model in (
        waveform.WaveformAutoencoder,
        waveform.PoolingAutoencoder,
        waveform.LinearBlocks,
        sparse.SparseAutoencoder,
        deep.DeepAutoencoder,
        mel.MelAutoencoder,
        mel.CRNNAutoencoder,
        vae.VAE,
        vae.RecurrentVAE,
        judge.Judge,
        genre.GenreNetwork,
    )
}


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
            f"make reproduce STUDY={experiment.study} EXPERIMENT={experiment.name}"
        )
    metrics = json.loads((folder / "metrics.json").read_text())
    curves = pd.DataFrame(json.loads((folder / "curves.json").read_text()))
    return Run(experiment, folder / "best.ckpt", metrics, curves, "reused")


def load(checkpoint: Path, experiment: Experiment) -> blocks.Trained:
    """Load trained weights without running any code that the file may hold.

    Parameters
    ----------
    checkpoint
        A file that `fit` wrote.
    experiment
        The experiment that it must belong to.

    Returns
    -------
    Trained
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
        raise CheckpointError(
            f"{checkpoint} cannot be read as plain weights ({first_line(error)}); it is cut short "
            f"or holds code; {remedy}"
        ) from None
    options = content.get("hyper_parameters") if isinstance(content, dict) else None
    model = pick(MODELS, experiment.model, "model")(**experiment.options)
    if _own(options or {}) != _own(model.hparams):
        raise CheckpointError(f"{checkpoint} was not made by {experiment.name}; {remedy}")
    try:
        model.load_state_dict(content["state_dict"])
    except (RuntimeError, KeyError):
        raise CheckpointError(f"{checkpoint} was not made by {experiment.name}; {remedy}") from None
    return model.eval()


def _own(options: Mapping) -> dict:
    """Leave out of a model's options what its training decides."""
    return {k: v for k, v in options.items() if k not in ("learning_rate", "total_steps")}


@torch.no_grad()
def reconstruct(run: Run, x: np.ndarray, transform: Transform) -> np.ndarray:
    """Send cached windows through a trained autoencoder, and back to sound.

    Parameters
    ----------
    run
        What was trained.
    x
        Cached windows: waveforms (B, N) in [-1, 1], or spectrograms (B, M, T) in dB.
    transform
        What made them.

    Returns
    -------
    ndarray
        Sounds (B, N) in [-1, 1].
    """
    model = load(run.checkpoint, run.experiment)
    x_hat = model(torch.from_numpy(transform.model_input(x))[:, None]).x_hat[:, 0].numpy()
    return transform.sound(x_hat, *transform.pair(x))


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


def beside_paper(runs: list[Run], name: str) -> pd.DataFrame:
    """Set one figure of every run beside the paper's.

    Parameters
    ----------
    runs
        Trained experiments; those without the figure in the paper are left out.
    name
        Name of the figure, such as ``test_knn``.

    Returns
    -------
    DataFrame
        experiment, family, name (what it is, in short), paper, ours, and `low` and `high`, the
        95 % interval of ours; missing where we have none.
    """
    rows = []
    for run in runs:
        row, get = run.experiment, run.metrics.get
        if name in row.paper:
            ours = {"ours": get(name), "low": get(f"{name}_low"), "high": get(f"{name}_high")}
            about = {"name": f"{row.name}: {row.about.partition(';')[0]}", "paper": row.paper[name]}
            rows.append({"experiment": row.name, "family": row.family} | about | ours)
    columns = ["experiment", "family", "name", "paper", "ours", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype({"ours": float, "low": float, "high": float})


def flatten(runs: list[Run]) -> dict[str, float]:
    """Return the metrics of all runs by name and the experiment's key, such as ``test_mse_64``."""
    return {
        f"{name}_{run.experiment.key}": value for run in runs for name, value in run.metrics.items()
    }


@torch.no_grad()
def evaluate(
    model: blocks.Trained, batches: Iterable[Sequence[torch.Tensor]], every: int = 1
) -> dict[str, float]:
    """Measure reconstructions.

    Parameters
    ----------
    model
        A trained autoencoder.
    batches
        Tuples of model inputs (B, 1, ...) and anything.
    every
        What costs most, such as the STFT distance, is taken of every so many batches.

    Returns
    -------
    dict
        Means of what the model's ``measure`` gives, over all windows that it gives something for;
        nothing where there is no batch.
    """
    model.eval()
    parts: dict[str, list] = {}
    for index, (x, *_) in enumerate(batches):
        for name, values in model.measure(x, model(x).x_hat, index % every == 0).items():
            parts.setdefault(name, []).append(values)
    return {name: float(torch.cat(values).mean()) for name, values in parts.items()}
