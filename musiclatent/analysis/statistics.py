"""Intervals and tests over independent units: recordings, artists, files or tunes, never windows.

One method is called better than another only where the interval of their paired difference leaves
0 out: the order of rows by their means turned when the same command with the same seed ran on
another processor (accuracy 0.755 and 0.728).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy  # whose parts come as they are used: `scipy.stats` takes 0.4 s

from musiclatent.config import SEED

DRAWS = 10_000  # of a bootstrap or a permutation: the second digit of a bound stands still
LEVEL = 0.95
ROUNDING = 1e-12  # sums of equal shares differ by less: that is no difference


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its 95 % interval.

    Parameters
    ----------
    estimate
        The mean, or the mean difference.
    low, high
        Bounds; NaN where one unit alone says nothing of the spread.
    units
        Number of independent units it stands on.
    p
        Two-sided probability of such a difference by chance; NaN where none was tested.
    """

    estimate: float
    low: float
    high: float
    units: int
    p: float = np.nan

    @property
    def leaves_zero_out(self) -> bool:
        """Return whether 0 lies outside of the bounds."""
        return bool(self.low > ROUNDING or self.high < -ROUNDING)

    def named(self, key: str) -> dict[str, float]:
        """Return what a table of metrics keeps: KEY, KEY_low, KEY_high, and KEY_p if tested."""
        metrics = {key: self.estimate, f"{key}_low": self.low, f"{key}_high": self.high}
        return metrics | ({} if np.isnan(self.p) else {f"{key}_p": self.p})


def mean(values: Sequence[float], units: Sequence | None = None, *, seed: int = SEED) -> Interval:
    """Compute the mean of values with a bootstrap over the units that they belong to.

    Parameters
    ----------
    values
        One number per judged row (N,), such as right or wrong; finite.
    units
        Unit of each row (N,), such as its recording; every row is one of its own unless given.
    seed
        Seed of the draws.

    Raises
    ------
    ValueError
        If there are no values, lengths differ, or a number is missing.

    Notes
    -----
    Percentiles of means of drawn units: Efron and Tibshirani (1993), An introduction to the
    bootstrap; whole clusters are drawn: Field and Welsh (2007), Bootstrapping clustered data.
    """
    sums, counts = _by_unit(values, units)
    estimate = float(sums.sum() / counts.sum())
    if len(sums) < 2:
        return _without_spread(estimate)
    low, high = _bootstrap(sums, counts, seed)
    return Interval(estimate=estimate, low=low, high=high, units=len(sums))


def paired(
    values: Sequence[float],
    others: Sequence[float],
    units: Sequence | None = None,
    *,
    seed: int = SEED,
) -> Interval:
    """Compute how much larger values are than others of the same rows, unit by unit.

    Parameters
    ----------
    values, others
        One number of either method per row (N,), in the same order.
    units
        Unit of each row (N,); every row is one of its own unless given.
    seed
        Seed of the draws.

    Returns
    -------
    Interval
        Mean of `values` less `others` with a bootstrap over units; `p` of a permutation that
        exchanges both methods within a unit (exact where there are few units).

    Raises
    ------
    ValueError
        As `mean`, or if the methods judged different numbers of rows.
    """
    if len(values) != len(others):
        raise ValueError(
            f"one method judged {len(values)} rows and the other {len(others)}; judge the same"
        )
    differences = np.asarray(values, float) - np.asarray(others, float)
    found = mean(differences, units, seed=seed)
    sums, _ = _by_unit(differences, units)
    return found if len(sums) < 2 else replace(found, p=_exchanged(sums, seed))


def ratio(values: Sequence[float], others: Sequence[float], units: Sequence) -> Interval:
    """Compute how many times as large an error is as another one of the same rows, unit by unit.

    Parameters
    ----------
    values, others
        One error of either method per row (N,), in the same order, above 0.
    units
        Unit of each row (N,).

    Returns
    -------
    Interval
        Geometric mean over the units of the ratio of their mean errors, with bounds and `p` of
        `paired` on the logarithms; 1 is the same.

    Raises
    ------
    ValueError
        As `paired`.
    """
    logs = [np.log(np.divide(*_by_unit(one, units))) for one in (values, others)]
    found = paired(*logs)
    names = ("estimate", "low", "high")
    return replace(found, **{name: float(np.exp(getattr(found, name))) for name in names})


def mcnemar(right: Sequence[bool], others: Sequence[bool]) -> float:
    """Compute the probability of such a difference between two classifiers by chance.

    Parameters
    ----------
    right, others
        Whether each method was right, of the same independent rows (N,).

    Returns
    -------
    float
        Two-sided, exact, of the rows where one alone was right; 1 where there are none.

    Raises
    ------
    ValueError
        If they judged different numbers of rows.

    Notes
    -----
    McNemar (1947), Note on the sampling error of the difference between correlated proportions.
    """
    right, others = np.asarray(right, bool), np.asarray(others, bool)
    if right.shape != others.shape:
        raise ValueError(f"{len(right)} and {len(others)} answers cannot be paired; judge the same")
    only, other = int((right & ~others).sum()), int((others & ~right).sum())
    return float(scipy.stats.binomtest(only, only + other).pvalue) if only + other else 1.0


def over_seeds(values: Sequence[float]) -> Interval:
    """Compute the mean over trainings that differ in their seed, and Student's interval of it.

    Parameters
    ----------
    values
        One figure per seed.

    Raises
    ------
    ValueError
        If there is none, or one is missing.
    """
    numbers, _ = _by_unit(values, None)
    if len(numbers) < 2:
        return _without_spread(float(numbers[0]))
    reach = scipy.stats.sem(numbers) * scipy.stats.t.ppf(0.5 + LEVEL / 2, len(numbers) - 1)
    middle = float(numbers.mean())
    bounds = {"low": float(middle - reach), "high": float(middle + reach)}
    return Interval(estimate=middle, **bounds, units=len(numbers))


def wilson(share: float, n: int) -> tuple[float, float]:
    """Compute the 95 % interval of a share of independent answers by Wilson's formula.

    Parameters
    ----------
    share
        Share of right answers, from 0 to 1.
    n
        Number of answers, each of a unit of its own.

    Returns
    -------
    low, high
        Bounds, from 0 to 1.

    Raises
    ------
    ValueError
        If `share` is none, or there are no answers.

    Notes
    -----
    Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    if not 0 <= share <= 1 or n < 1:
        raise ValueError(f"{share} of {n} answers is no share; give 0 to 1 of one or more")
    z2 = scipy.stats.norm.ppf(0.5 + LEVEL / 2) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return float(max(0.0, middle - reach)), float(min(1.0, middle + reach))


def _without_spread(estimate: float) -> Interval:
    """Return the estimate of one unit, which says nothing of the spread."""
    return Interval(estimate=estimate, low=np.nan, high=np.nan, units=1)


def _by_unit(values: Sequence[float], units: Sequence | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of the values of each unit (U,), and how many it has (U,)."""
    numbers = np.asarray(values, float)
    units = np.arange(len(numbers)) if units is None else np.asarray(units)
    if numbers.ndim != 1 or not len(numbers) or len(units) != len(numbers):
        raise ValueError(
            f"{numbers.shape} values of {len(units)} units; give one number and one unit per row"
        )
    if not np.isfinite(numbers).all():
        raise ValueError("values hold NaN or infinity; leave those rows out of both methods")
    _, inverse, counts = np.unique(units, return_inverse=True, return_counts=True)
    return np.bincount(inverse, weights=numbers), counts


def _bootstrap(sums: np.ndarray, counts: np.ndarray, seed: int) -> tuple[float, float]:
    """Return the bounds of the mean per row when whole units are drawn again."""
    drawn = scipy.stats.bootstrap(
        (sums, counts),
        lambda sums, counts, axis: sums.sum(axis=axis) / counts.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=DRAWS,
        batch=500,
        method="percentile",  # BCa has no bounds where all units agree
        rng=np.random.default_rng(seed),
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def _exchanged(sums: np.ndarray, seed: int) -> float:
    """Return the probability of a sum as large when the sign of each unit is drawn at random."""
    test = scipy.stats.permutation_test(
        (sums,),
        lambda sums, axis: np.round(sums.sum(axis=axis), 12),  # equal sums round differently
        permutation_type="samples",
        vectorized=True,
        n_resamples=DRAWS,
        batch=500,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)
