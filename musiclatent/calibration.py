"""Probabilities that mean what they say: one temperature, fitted on validation rows."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

BINS = 10
BOUNDS = (0.05, 20.0)  # of the temperature
_LEAST = 1e-12


def temperature(probabilities: np.ndarray, codes: np.ndarray) -> float:
    """Find the temperature under which validation rows are most likely.

    Parameters
    ----------
    probabilities
        (B, classes), of rows that the classifier was not fitted on.
    codes
        Their true classes (B,), as column numbers; -1 where there is no column: such rows are left
        out here, and count as wrong in `curve`.

    Returns
    -------
    float
        Above 1 for a classifier too sure of itself, below 1 for one that is too unsure.

    Raises
    ------
    ValueError
        If shapes differ, there are no rows, no class has a column, or rows are no probabilities.

    Notes
    -----
    Guo, Pleiss, Sun and Weinberger (2017), On calibration of modern neural networks.
    """
    probabilities, codes = _checked(probabilities, codes)
    known = codes >= 0
    if not known.any():
        raise ValueError(
            "no row is of a class with a column; give rows of classes seen in training"
        )
    probabilities, codes = probabilities[known], codes[known]

    def loss(log_t: float) -> float:
        warmed = temper(probabilities, float(np.exp(log_t)))
        return -np.log(np.maximum(warmed[np.arange(len(codes)), codes], _LEAST)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(BOUNDS), method="bounded").x))


def temper(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Soften or sharpen probabilities (B, classes) by a temperature above 0; rows keep sum 1."""
    if not temperature > 0:
        raise ValueError(f"a temperature of {temperature} cannot be; give one above 0")
    logs = np.log(np.maximum(probabilities, _LEAST)) / temperature
    warmed = np.exp(logs - logs.max(axis=1, keepdims=True))
    return warmed / warmed.sum(axis=1, keepdims=True)


def curve(probabilities: np.ndarray, codes: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """Compare how sure a classifier is with how often it is right.

    Parameters
    ----------
    probabilities, codes
        As in `temperature`, of held-out rows.
    bins
        Ranges of the highest probability, of equal width.

    Returns
    -------
    DataFrame
        One row a range that holds rows: `confidence` and `accuracy` (means), `n`.
    """
    probabilities, codes = _checked(probabilities, codes)
    best = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == codes
    table = pd.DataFrame({"confidence": best, "accuracy": right, "bin": (best * bins).astype(int)})
    table["bin"] = table["bin"].clip(upper=bins - 1)
    parts = table.groupby("bin")
    found = parts[["confidence", "accuracy"]].mean().assign(n=parts.size())
    return found.reset_index(drop=True)


def calibration_error(probabilities: np.ndarray, codes: np.ndarray, bins: int = BINS) -> float:
    """Return the mean distance of confidence and accuracy over ranges, weighted by rows; 0 is best.

    Parameters
    ----------
    probabilities, codes, bins
        As in `curve`.
    """
    found = curve(probabilities, codes, bins)
    return float(np.average((found["confidence"] - found["accuracy"]).abs(), weights=found["n"]))


def compare(
    probabilities: np.ndarray, codes: np.ndarray, temperature: float
) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Set held-out rows with and without a temperature side by side.

    Parameters
    ----------
    probabilities, codes
        As in `curve`.
    temperature
        Fitted on other rows.

    Returns
    -------
    dict
        Title -> `curve`.
    dict
        ``calibration_error_raw`` and ``calibration_error``.
    """
    warmed = temper(probabilities, temperature)
    curves = {"as it is": probabilities, f"temperature {temperature:.2f}": warmed}
    errors = {"calibration_error_raw": calibration_error(probabilities, codes)}
    errors["calibration_error"] = calibration_error(warmed, codes)
    return {title: curve(p, codes) for title, p in curves.items()}, errors


def _checked(probabilities: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Refuse what are no probabilities of these rows."""
    p, codes = np.asarray(probabilities, float), np.asarray(codes)
    if p.ndim != 2 or not len(p) or codes.shape != (len(p),):
        raise ValueError(f"probabilities have shape {p.shape}, classes {codes.shape}; one a row")
    if not np.allclose(p.sum(axis=1), 1, atol=1e-4) or p.min() < 0:
        raise ValueError("rows are no probabilities; they must not be negative and have sum 1")
    if codes.min() < -1 or codes.max() >= p.shape[1]:
        raise ValueError(
            f"classes go from {codes.min()} to {codes.max()}, columns from 0 to {p.shape[1] - 1}; "
            "give column numbers, or -1 where there is none"
        )
    return p, codes
