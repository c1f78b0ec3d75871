"""Models whose latents are sent as indices, beside Opus at the same rates."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from musiclatent.evaluation import rate_distortion, reconstruction
from musiclatent.evaluation.discrete import residual
from musiclatent.evaluation.rate_distortion import Measured
from musiclatent.evaluation.reconstruction import Analysis

FEWEST = 6  # recordings from which Opus and a model are compared


def beside_opus(
    coders: Mapping[str, residual.LatentCoder],
    x: np.ndarray,
    units: np.ndarray,
    *,
    training: np.ndarray,
    sr: int,
    rates: Sequence[int],
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Measure models whose latents are sent as indices, and Opus at the same rates.

    Parameters
    ----------
    coders
        Name -> trained model.
    x, units
        Held-out waveforms (B, N), and the recording of each.
    training
        Waveforms (B', N) that the codebooks are fitted to.
    sr
        Sampling rate in Hz.
    rates
        In kbit/s.

    Returns
    -------
    DataFrame
        One row per model and rate, and of Opus where it is there: ``bits_s`` and
        `rate_distortion.COMPARED`.
    dict
        ``ROW_COLUMN`` of each; of a model ``ROW_better`` and ``ROW_worse``, how many of the five
        columns that nothing was trained on are better and worse than those of Opus at that rate,
        with an interval over recordings that leaves 0 out.
    """
    rows = residual.rate_rows(coders, training, rates=rates, seconds=x.shape[1] / sr)
    references = rate_distortion.reference_codecs(x.shape[1], sr)
    rows |= {name: references[name] for rate in rates if (name := f"opus_{rate}") in references}
    original = reconstruction.analyse(x, sr)
    measured = rate_distortion.measure_codecs(rows, original, training=training, sr=sr)
    table = rate_distortion.rate_distortion_table(measured, original)
    table = table[["bits_s", *rate_distortion.COMPARED]]
    metrics = {f"{row}_{name}": float(v) for (row, name), v in table.stack().items()}
    if len(set(units)) >= FEWEST:
        metrics |= _against_opus(measured, original, units)
    return table, metrics


def _against_opus(
    measured: Mapping[str, Measured], original: Analysis, units: np.ndarray
) -> dict[str, float]:
    """Count in which columns models are better and worse than Opus at their rate."""
    counts = {}
    for name, one in measured.items():
        opus = measured.get(f"opus_{name.rpartition('_')[2]}")
        if opus is None or one is opus:
            continue
        found = rate_distortion.untrained_differences(one, opus, original, units)
        wins = found["wins"].astype(bool)
        clear = found["low"].astype(float) * found["high"].astype(float) > 0
        counts |= {f"{name}_better": int(wins.sum()), f"{name}_worse": int((clear & ~wins).sum())}
    return counts
