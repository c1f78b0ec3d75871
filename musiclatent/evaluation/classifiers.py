"""Make classifiers of tables by name, and calibrate their probabilities.

Means and variances of spectra spread over decades and move together when a recording is louder or
duller. So the tuned ones take logarithms, and whiten the descriptors: what varies inside a genre
then varies alike in every direction. Probabilities get one temperature, fitted on validation rows.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn import ensemble
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import VotingClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from musiclatent import files
from musiclatent.analysis import statistics
from musiclatent.config import SEED

SHRINKAGE = 0.1  # of the scatter inside genres towards that of independent features
TREES = 600


class Logs(TransformerMixin, BaseEstimator):
    """Take the logarithm of the columns that are above zero in every training row."""

    def fit(self, x: np.ndarray, y: np.ndarray | None = None) -> "Logs":
        """Find which columns of `x` (B, D) those are."""
        least = np.min(x, axis=0)
        self.least_ = np.where(least > 0, least, np.nan)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return `x` (B, D) with logarithms; what lies below the training rows is lifted there."""
        return np.where(np.isnan(self.least_), x, np.log(np.fmax(x, self.least_).clip(1e-300)))


class Whiten(TransformerMixin, BaseEstimator):
    """Rotate and scale features so that rows of one label spread alike in every direction.

    Parameters
    ----------
    shrinkage
        Share of independent features in the scatter inside labels, in (0, 1].

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
        even = np.trace(scatter) / len(scatter) or 1.0  # one row per label: nothing to measure
        scatter = (1 - self.shrinkage) * scatter + self.shrinkage * even * np.eye(len(scatter))
        powers, directions = np.linalg.eigh(scatter)
        self.mean_ = x.mean(axis=0)
        self.rotation_ = directions / np.sqrt(powers)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return `x` (B, D) rotated and scaled."""
        return (x - self.mean_) @ self.rotation_


class Margins(SVC):
    """Support vectors whose decision values pass through a softmax; they must be calibrated."""

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return a number for each class (B, classes), rows of sum 1."""
        values = self.decision_function(x)
        if values.ndim == 1:  # two classes
            values = np.stack([-values, values], axis=1)
        return softmax(values, axis=1)


LDA = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)
# The kernel is fixed: finding one by likelihood takes minutes.
WIDE = make_pipeline(Whiten(), GaussianProcessClassifier(10 * RBF(6.0), optimizer=None))
# A share, as a small table has fewer columns than a fixed number that each split would try.
RANDOM_TREES = make_pipeline(Whiten(), ensemble.ExtraTreesClassifier(TREES, max_features=0.36))
BOOSTING = ensemble.HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15)
# Three that err differently.
VOTE = VotingClassifier([("lda", LDA), ("gp", WIDE), ("trees", RANDOM_TREES)], voting="soft")
MODELS = {  # unfitted; cloned by `make_classifier`
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
    "svm": make_pipeline(StandardScaler(), Margins(C=5.0)),
    "forest": make_pipeline(StandardScaler(), ensemble.RandomForestClassifier(TREES)),
    "boosting": make_pipeline(StandardScaler(), BOOSTING),
    "mlp": make_pipeline(StandardScaler(), MLPClassifier((110, 110), max_iter=400)),
    "svm_logs": make_pipeline(Logs(), StandardScaler(), Margins(C=5.0)),
    "lda": make_pipeline(Logs(), StandardScaler(), LDA),
    "gp": make_pipeline(Logs(), StandardScaler(), WIDE),
    "vote": make_pipeline(Logs(), StandardScaler(), VOTE),
}
SEEDED = ("forest", "boosting", "mlp", "vote")  # the others do not depend on a seed
BINS = 10  # of as many rows each, so that none stands on a handful
BOUNDS = (0.05, 20.0)  # of the temperature
_LEAST = 1e-12


def make_classifier(name: str, seed: int = SEED) -> Pipeline:
    """Return an unfitted classifier by its name.

    Parameters
    ----------
    name
        ``logistic``, ``svm`` (C = 5), ``forest``, ``boosting``, ``mlp`` (two layers of 110), all of
        them on standardised features; ``svm_logs``, ``lda``, ``gp`` (Gaussian process) and
        ``vote`` (of the latter two and of trees), on standardised logarithms.
    seed
        Seed of those that draw numbers.

    Raises
    ------
    ValueError
        If there is no such classifier.
    """
    model = clone(files.pick(MODELS, name, "classifier"))
    if name in SEEDED:
        seeds = {key: seed for key in model.get_params() if key.endswith("random_state")}
        model.set_params(**seeds)
    return model


def fit_temperature(probabilities: np.ndarray, codes: np.ndarray) -> float:
    """Find the temperature under which validation rows are most likely.

    Parameters
    ----------
    probabilities
        (B, classes), of rows that the classifier was not fitted on.
    codes
        Their true classes (B,), as column numbers; -1 where there is no column: such rows are left
        out here, and count as wrong elsewhere.

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
    rows = np.flatnonzero(codes >= 0)
    if not len(rows):
        raise ValueError("no row is of a class with a column; give classes seen in training")

    def loss(log_t: float) -> float:
        softened = apply_temperature(probabilities, float(np.exp(log_t)))
        return -np.log(np.maximum(softened[rows, codes[rows]], _LEAST)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(BOUNDS), method="bounded").x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Soften or sharpen probabilities (B, classes) by a temperature above 0; rows keep sum 1."""
    if not temperature > 0:
        raise ValueError(f"a temperature of {temperature} cannot be; give one above 0")
    return softmax(np.log(np.maximum(probabilities, _LEAST)) / temperature, axis=1)


def reliability_curve(
    probabilities: np.ndarray, codes: np.ndarray, bins: int = BINS
) -> pd.DataFrame:
    """Compare how sure a classifier is with how often it is right.

    Parameters
    ----------
    probabilities, codes
        As in `fit_temperature`, of held-out rows.
    bins
        Ranges of the highest probability that hold as many rows each; equal ones share a range.

    Returns
    -------
    DataFrame
        One row per range: `confidence` and `accuracy` (means), `n`.
    """
    table = _answers(probabilities, codes, bins)
    parts = table.groupby("bin")
    return parts[["confidence", "accuracy"]].mean().assign(n=parts.size()).reset_index(drop=True)


def calibration_gaps(probabilities: np.ndarray, codes: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return a number for each row (B,) whose mean is the expected calibration error; 0 is best.

    Parameters
    ----------
    probabilities, codes, bins
        As in `reliability_curve`.

    Notes
    -----
    Confidence less accuracy of a row, with the sign that its range has: the sum over a range is
    the range's distance times its rows (Nixon et al. 2019, Measuring calibration in deep
    learning, with ranges of equal mass). The error is biased upward where rows are few.
    """
    table = _answers(probabilities, codes, bins)
    gaps = table["confidence"] - table["accuracy"]
    return (gaps * np.sign(gaps.groupby(table["bin"]).transform("mean"))).to_numpy()


def log_losses(probabilities: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the negative logarithm of the true class's probability of each row (B,), in nats.

    Parameters
    ----------
    probabilities, codes
        As in `fit_temperature`.
    """
    return -np.log(np.maximum(_of_true_class(probabilities, codes), _LEAST))


def brier_scores(probabilities: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the squared distance of each row (B,) from the truth, from 0 to 2.

    Parameters
    ----------
    probabilities, codes
        As in `fit_temperature`.

    Notes
    -----
    Brier (1950), Verification of forecasts expressed in terms of probability.
    """
    of_true = _of_true_class(probabilities, codes)
    return np.square(probabilities).sum(axis=1) - 2 * of_true + 1


# Each is a mean over rows, so that the gain by a temperature is a paired difference.
MEASURES = {
    "calibration_error": calibration_gaps,
    "log_loss": log_losses,
    "brier": brier_scores,
}


def compare_calibration(
    probabilities: np.ndarray,
    codes: np.ndarray,
    temperature: float,
    *,
    units: Sequence | None = None,
) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Compare held-out rows with and without a temperature.

    Parameters
    ----------
    probabilities, codes
        As in `reliability_curve`.
    temperature
        Fitted on other rows.
    units
        Unit of each row (B,), as in `statistics.paired`.

    Returns
    -------
    dict
        Title -> `reliability_curve`.
    dict
        Of each of `MEASURES`: NAME_raw, NAME with the temperature, and NAME_gain, by how much it
        fell, with its paired interval.
    """
    softened = apply_temperature(probabilities, temperature)
    curves = {
        "as it is": reliability_curve(probabilities, codes),
        f"temperature {temperature:.2f}": reliability_curve(softened, codes),
    }
    metrics = {}
    for name, measure in MEASURES.items():
        before, after = measure(probabilities, codes), measure(softened, codes)
        metrics |= {f"{name}_raw": float(before.mean()), name: float(after.mean())}
        metrics |= statistics.paired(before, after, units).named(f"{name}_gain")
    return curves, metrics


def _answers(probabilities: np.ndarray, codes: np.ndarray, bins: int) -> pd.DataFrame:
    """Return confidence, whether it is right (`accuracy`), and the range (`bin`) of each row."""
    probabilities, codes = _checked(probabilities, codes)
    best, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == codes
    table = pd.DataFrame({"confidence": best, "accuracy": right.astype(float)})
    ranks = table["confidence"].rank(method="min") - 1  # equal ones stay together
    return table.assign(bin=(ranks * bins // len(table)).astype(int))


def _of_true_class(probabilities: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the probability of the true class of each row (B,); 0 where it has no column."""
    probabilities, codes = _checked(probabilities, codes)
    return np.where(codes >= 0, probabilities[np.arange(len(codes)), codes], 0.0)


def _checked(probabilities: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Validate probabilities (B, classes) and true classes (B,)."""
    p, codes = np.asarray(probabilities, float), np.asarray(codes)
    if p.ndim != 2 or not len(p) or codes.shape != (len(p),):
        raise ValueError(f"probabilities have shape {p.shape}, classes {codes.shape}; one per row")
    if not np.allclose(p.sum(axis=1), 1, atol=1e-4) or p.min() < 0:
        raise ValueError("rows are no probabilities; they must not be negative and have sum 1")
    if codes.min() < -1 or codes.max() >= p.shape[1]:
        raise ValueError(
            f"classes go from {codes.min()} to {codes.max()}, columns from 0 to {p.shape[1] - 1}; "
            "give column numbers, or -1 where there is none"
        )
    return p, codes
