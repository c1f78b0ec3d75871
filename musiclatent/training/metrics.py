"""Measure trained models, and set their figures side by side and beside the paper's."""

from collections.abc import Iterable, Sequence

import pandas as pd
import torch

from musiclatent.analysis import statistics
from musiclatent.models import base
from musiclatent.training.run_folder import Run


def metrics_table(runs: list[Run]) -> pd.DataFrame:
    """Return one row per run: experiment, family, status and its metrics."""
    rows = [
        {"experiment": run.experiment.name, "family": run.experiment.family, "status": run.status}
        | run.metrics
        for run in runs
    ]
    return pd.DataFrame(rows)


def beside_paper(runs: list[Run], name: str) -> pd.DataFrame:
    """Compare one figure of every run with the paper's.

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
            title = f"{row.name}: {row.about.partition(';')[0]}"
            theirs = {"name": title, "paper": row.paper[name]}
            rows.append({"experiment": row.name, "family": row.family} | theirs | ours)
    columns = ["experiment", "family", "name", "paper", "ours", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype({"ours": float, "low": float, "high": float})


def flatten(runs: list[Run]) -> dict[str, float]:
    """Return the metrics of all runs by name and the experiment's key, such as ``test_mse_64``."""
    return {
        f"{name}_{run.experiment.key}": value for run in runs for name, value in run.metrics.items()
    }


def over_seeds(runs: Iterable[Sequence[Run]], names: Sequence[str]) -> pd.DataFrame:
    """Compare experiments by figures that trainings with several seeds gave.

    Parameters
    ----------
    runs
        The runs of each experiment, one per seed.
    names
        Names of figures, such as ``test_mse``; one that a run lacks is left out.

    Returns
    -------
    DataFrame
        One row per experiment and figure: experiment, figure, `mean`, `low` and `high` (95 %
        interval over the seeds; NaN of a single one), `seeds`.
    """
    rows = []
    for same in runs:
        first = same[0]
        for name in (name for name in names if name in first.metrics):
            one = statistics.over_seeds([run.metrics[name] for run in same])
            rows.append((first.experiment.name, name, one.estimate, one.low, one.high, one.units))
    return pd.DataFrame(rows, columns=["experiment", "figure", "mean", "low", "high", "seeds"])


@torch.no_grad()
def evaluate(
    model: base.LitModule, batches: Iterable[Sequence[torch.Tensor]], every: int = 1
) -> dict[str, float]:
    """Measure reconstructions.

    Parameters
    ----------
    model
        A trained autoencoder.
    batches
        Tuples of model inputs (B, 1, ...) and anything.
    every
        The most expensive metrics, as the STFT distance, are computed of every so many batches.

    Returns
    -------
    dict
        Means of what the model's ``measure`` returns, over all windows that it returns a value
        for; empty where there is no batch.
    """
    model.eval()
    # As plain numbers: small tensors kept between large ones that go made the heap grow by 300 MB.
    parts: dict[str, list[float]] = {}
    for index, (x, *_) in enumerate(batches):
        for name, values in model.measure(x, model(x).x_hat, index % every == 0).items():
            parts.setdefault(name, []).extend(values.tolist())
    return {name: float(torch.tensor(values).mean()) for name, values in parts.items()}
