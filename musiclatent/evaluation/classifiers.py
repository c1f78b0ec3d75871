"""Classifiers of tables by name, and probabilities that mean what they say.

Means and variances of spectra spread over decades and move together when a recording is louder or
duller. So the tuned ones take logarithms, and whiten the descriptors so that what varies inside a
genre varies alike in every direction. Probabilities get one temperature, fitted on validation rows.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from musiclatent.config import SEED
from musiclatent.files import pick

SHRINKAGE = 0.1  # of the scatter inside genres towards that of independent numbers
TREES = 600


class Logs(TransformerMixin, BaseEstimator):
    """Take the logarithm of the columns that are above zero in every training row."""

    def fit(self, x: np.ndarray, y: np.ndarray | None = None) -> "Logs":
        """Look which columns of `x` (B, D) those are."""
        least = np.min(x, axis=0)
        self.least_ = np.where(least > 0, least, np.nan)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return `x` (B, D) with logarithms; what lies below the training rows is lifted there."""
        return np.where(np.isnan(self.least_), x, np.log(np.fmax(x, self.least_).clip(1e-300)))


class Whiten(TransformerMixin, BaseEstimator):
    """Turn and scale numbers so that rows of one label spread alike in every direction.

    Parameters
    ----------
    shrinkage
        Share of independent numbers in the scatter inside labels, in (0, 1].

    Notes
    -----
    Hatch, Kajarekar and Stolcke (2006), Within-class covariance normalization.
    """

    def __init__(self, shrinkage: float = SHRINKAGE) -> None:
        self.shrinkage = shrinkage

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Whiten":
        """Measure the scatter of `x` (B, D) inside the labels `y` (B,)."""
        centres = {label: x[y == label].mean(axis=0) for label in np.unique(y)}
        inner = x - np.stack([centres[label] for label in y])
        scatter = inner.T @ inner / len(x)  # D x D
        even = np.trace(scatter) / len(scatter) or 1.0  # one row a label: nothing to measure
        scatter = (1 - self.shrinkage) * scatter + self.shrinkage * even * np.eye(len(scatter))
        powers, directions = np.linalg.eigh(scatter)
        self.mean_, self.turn_ = x.mean(axis=0), directions / np.sqrt(powers)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return `x` (B, D) turned."""
        return (x - self.mean_) @ self.turn_


class Margins(SVC):
    """Support vectors whose decision values pass through a softmax; they must be calibrated."""

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return a number for each class (B, classes), rows of sum 1."""
        values = self.decision_function(x)
        # Of two classes it gives one column.
        values = values if values.ndim == 2 else np.stack([-values, values], axis=1)
        return softmax(values, axis=1)


def _discriminant() -> LinearDiscriminantAnalysis:
    """Make linear discriminants with a shrunken scatter."""
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)


def _process(power: float, scale: float) -> GaussianProcessClassifier:
    """Make a Gaussian process of a fixed kernel: finding one by likelihood takes minutes."""
    return GaussianProcessClassifier(power * RBF(scale), optimizer=None)


def _vote(seed: int) -> VotingClassifier:
    """Take the mean of the probabilities of three that err differently."""
    # A small table has fewer columns than a fixed number that the trees would look at.
    trees = ExtraTreesClassifier(TREES, max_features=0.36, random_state=seed)
    members = {"lda": _discriminant(), "gp": make_pipeline(Whiten(), _process(10, 6.0))}
    members["trees"] = make_pipeline(Whiten(), trees)
    return VotingClassifier(list(members.items()), voting="soft")


def _near() -> VotingClassifier:
    """Look at neighbours near and far, turned and as they are, where copies are among them."""
    members = {"far": make_pipeline(Whiten(), _process(10, 6.0))}
    members |= {"near": make_pipeline(Whiten(), _process(10, 4.0)), "plain": _process(100, 4.0)}
    return VotingClassifier(list(members.items()), voting="soft")


def _plain(model: BaseEstimator) -> Pipeline:
    """Standardise, then classify."""
    return make_pipeline(StandardScaler(), model)


def _logs(model: BaseEstimator) -> Pipeline:
    """Take logarithms, standardise, then classify."""
    return make_pipeline(Logs(), StandardScaler(), model)


MODELS: dict[str, Callable[[int], Pipeline]] = {
    "logistic": lambda seed: _plain(LogisticRegression(max_iter=2000)),
    "svm": lambda seed: _plain(Margins(C=5.0)),
    "forest": lambda seed: _plain(RandomForestClassifier(TREES, random_state=seed)),
    "boosting": lambda seed: _plain(
        HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, random_state=seed)
    ),
    "mlp": lambda seed: _plain(MLPClassifier((110, 110), max_iter=400, random_state=seed)),
    "svm_logs": lambda seed: _logs(Margins(C=5.0)),
    "lda": lambda seed: _logs(_discriminant()),
    "gp": lambda seed: _logs(make_pipeline(Whiten(), _process(10, 6.0))),
    "vote": lambda seed: _logs(_vote(seed)),
    "vote_near": lambda seed: _logs(_near()),
}
SEEDED = ("forest", "boosting", "mlp", "vote")  # the others do not depend on a seed


def make_classifier(name: str, seed: int = SEED) -> Pipeline:
    """Return an unfitted classifier by its name.

    Parameters
    ----------
    name
        ``logistic``, ``svm`` (C = 5), ``forest``, ``boosting``, ``mlp`` (two layers of 110), all of
        them on standardised numbers; ``svm_logs``, ``lda``, ``gp`` (Gaussian process), ``vote``
        (of the latter two and of trees), ``vote_near`` (of three Gaussian processes), on
        standardised logarithms.
    seed
        Seed of those that draw numbers.

    Raises
    ------
    ValueError
        If there is no such classifier.
    """
    return pick(MODELS, name, "classifier")(seed)


BINS = 10
BOUNDS = (0.05, 20.0)  # of the temperature
_LEAST = 1e-12


def fit_temperature(probabilities: np.ndarray, codes: np.ndarray) -> float:
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
        warmed = apply_temperature(probabilities, float(np.exp(log_t)))
        return -np.log(np.maximum(warmed[np.arange(len(codes)), codes], _LEAST)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(BOUNDS), method="bounded").x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Soften or sharpen probabilities (B, classes) by a temperature above 0; rows keep sum 1."""
    if not temperature > 0:
        raise ValueError(f"a temperature of {temperature} cannot be; give one above 0")
    logs = np.log(np.maximum(probabilities, _LEAST)) / temperature
    warmed = np.exp(logs - logs.max(axis=1, keepdims=True))
    return warmed / warmed.sum(axis=1, keepdims=True)


def reliability_curve(
    probabilities: np.ndarray, codes: np.ndarray, bins: int = BINS
) -> pd.DataFrame:
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
    found = reliability_curve(probabilities, codes, bins)
    return float(np.average((found["confidence"] - found["accuracy"]).abs(), weights=found["n"]))


def compare_calibration(
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
    warmed = apply_temperature(probabilities, temperature)
    curves = {"as it is": probabilities, f"temperature {temperature:.2f}": warmed}
    errors = {"calibration_error_raw": calibration_error(probabilities, codes)}
    errors["calibration_error"] = calibration_error(warmed, codes)
    return {title: reliability_curve(p, codes) for title, p in curves.items()}, errors


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
