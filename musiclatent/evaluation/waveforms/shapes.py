"""Compare shapes of one model of one size: how far apart its frames lie, and what each sees."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from musiclatent.analysis import statistics
from musiclatent.audio.windows import Transform
from musiclatent.evaluation import reconstruction
from musiclatent.models import base
from musiclatent.training.run_folder import Run

BATCH = 4  # windows rebuilt at once
END = 1024  # samples at either end of a window
LEAST = 1e-20  # a mean square below it is none


def shape_table(
    runs: Mapping[str, Run], x: np.ndarray, units: np.ndarray, transform: Transform
) -> pd.DataFrame:
    """Measure models that differ in kernel, stride or padding on the same excerpts.

    Parameters
    ----------
    runs
        Name -> trained experiment; the first one is what the others are compared with.
    x
        Held-out waveforms (B, N) in [-1, 1], none silent.
    units
        Recording of each (B,).
    transform
        What the models take.

    Returns
    -------
    DataFrame
        One row per model: ``stride``, ``kernel``, ``padding``, ``numbers`` (latent dimensions of an
        excerpt); means over the excerpts of ``mse``, ``mrstft``, ``frame_seams_db`` (`seams_db` at
        the borders of frames) and ``ends_db`` (error in the first and last 1,024 samples over that
        between); ``window_seams_db``, see `reconstruction.seam_error_db`; and the ratio of the
        squared error to that of the first, ``mse_ratio`` with ``mse_ratio_low`` and ``_high``, the
        geometric mean over recordings with its 95 % interval.
    """
    rows, errors = {}, {}
    for name, run in runs.items():
        rows[name], errors[name] = _measured(run, x, transform)
    table = pd.DataFrame.from_dict(rows, orient="index")
    first = errors[next(iter(runs))]
    for name, mse in errors.items():
        gain = statistics.ratio(mse, first, units)
        bounds = gain.estimate, gain.low, gain.high
        table.loc[name, ["mse_ratio", "mse_ratio_low", "mse_ratio_high"]] = bounds
    return table


def seams_db(y: np.ndarray, borders: np.ndarray) -> float:
    """Compare how far rebuilt sound steps at given samples with how far it does elsewhere.

    Parameters
    ----------
    y
        Rebuilt sound (B, N): not its error, which steps everywhere by what the model leaves out.
    borders
        Which samples (N,), bool, are the first after a border.

    Returns
    -------
    float
        Mean square of the step from the sample before, at borders over elsewhere, in dB; the mean
        over the excerpts. 0 where borders cannot be told from the rest.

    Raises
    ------
    ValueError
        If all samples are borders, or none is.
    """
    borders = np.asarray(borders, bool)[1:]
    if borders.all() or not borders.any():
        raise ValueError("the borders are all samples or none; give those where frames meet")
    steps = np.square(np.diff(np.asarray(y, np.float64), axis=1))
    at, elsewhere = steps[:, borders].mean(axis=1), steps[:, ~borders].mean(axis=1)
    return float((10 * np.log10((at + LEAST) / (elsewhere + LEAST))).mean())


def frame_borders(samples: int, stride: int, outside: int) -> np.ndarray:
    """Return which samples (N,) are the first or the first no more that a latent frame reaches.

    Parameters
    ----------
    samples
        N.
    stride
        Samples from frame to frame.
    outside
        Samples before the beginning of the window that the first frame reaches.
    """
    phase = np.arange(samples) % stride
    return (phase == outside % stride) | (phase == -outside % stride)


@torch.no_grad()
def _measured(run: Run, x: np.ndarray, transform: Transform) -> tuple[dict, np.ndarray]:
    """Return a model's row, and the squared error of each excerpt (B,)."""
    model = run.load()
    parts = [model(part).x_hat for part in torch.from_numpy(x)[:, None].split(BATCH)]
    x_hat = torch.cat(parts)
    numbers, error = model.encode(torch.from_numpy(x[:1, None])).numel(), x_hat[:, 0].numpy() - x
    mse, middle = np.square(error).mean(axis=1), np.square(error[:, END:-END]).mean(axis=1)
    ends = np.square(np.concatenate([error[:, :END], error[:, -END:]], axis=1)).mean(axis=1)
    options, borders = model.hparams, frame_borders(x.shape[1], model.stride, model.outside)
    return {
        "stride": options["stride"],
        "kernel": options["kernel_size"],
        "padding": options.get("padding", "zeros"),
        "numbers": numbers,
        "mse": mse.mean(),
        "mrstft": base.mrstft(torch.from_numpy(x)[:, None], x_hat).mean().item(),
        "frame_seams_db": seams_db(x_hat[:, 0].numpy(), borders),
        "ends_db": float((10 * np.log10((ends + LEAST) / (middle + LEAST))).mean()),
        "window_seams_db": reconstruction.seam_error_db(model, transform),
    }, mse
