"""Compare waveform models of which each was trained with several seeds."""

from collections.abc import Sequence

import numpy as np

from musiclatent.analysis import statistics
from musiclatent.analysis.statistics import Interval
from musiclatent.evaluation.rate_distortion import ModelCodec
from musiclatent.training.run_folder import Run


def error_ratio(
    runs: Sequence[Run], others: Sequence[Run], x: np.ndarray, units: np.ndarray
) -> Interval:
    """Compute how many times as large the squared error of a model is as that of another.

    Parameters
    ----------
    runs, others
        The trainings of either model, one of each seed.
    x
        Held-out waveforms (B, N) in [-1, 1].
    units
        Recording of each (B,).

    Returns
    -------
    Interval
        `statistics.ratio` over recordings, of the error of each excerpt as the mean over the seeds.
    """
    models = (runs, others)
    errors = [np.mean([_errors(run, x) for run in each], axis=0) for each in models]
    return statistics.ratio(*errors, units)


def _errors(run: Run, x: np.ndarray) -> np.ndarray:
    """Return the mean squared error of each excerpt (B,), rebuilt without noise."""
    coder = ModelCodec(run, x.shape[1])
    return np.square(coder.nearest(coder.encode(x)) - x).mean(axis=1)
