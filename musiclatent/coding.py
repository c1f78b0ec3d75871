"""Bits of a code: round its numbers to 8 bits, and count what an entropy coder makes of them.

A code is ``dense``, numbers (B, K, T) of K components, or ``sparse``, values and positions
(B, 2, k), the positions rising. The numbers of a component, or all values of a sparse code, are
rounded to 256 equal steps from the least to the largest on the training windows; what lies outside
is clipped. What a symbol costs is taken from how often it came on the training windows, as an
arithmetic coder with that table would have it; one is added to each count, so that a symbol that
never came can be sent. Positions are sent as gaps to the one before.
"""

from dataclasses import dataclass

import numpy as np

from musiclatent.files import pick

LEVELS = 256
GAPS = 256  # from here on a gap is sent as its power of two, and the rest in plain bits
_SYMBOLS = GAPS + 32


@dataclass(frozen=True)
class Quantiser:
    """Steps and costs, learned on training windows.

    Parameters
    ----------
    form
        ``dense`` or ``sparse``.
    low, step
        Least number and size of a step, (K, 1) each; one row for all values of a sparse code.
    costs
        Bits of each of the 256 symbols of each row (K, 256).
    gaps
        Bits of each symbol of a gap (288,), without the plain bits; zeros of a dense code.
    """

    form: str
    low: np.ndarray
    step: np.ndarray
    costs: np.ndarray
    gaps: np.ndarray

    def rounded(self, z: np.ndarray) -> np.ndarray:
        """Return codes as they come back from 8 bits; positions stay as they are."""
        numbers = (self.low + self.step * _symbols(self, z)).astype(np.float32)
        if self.form == "dense":
            return numbers
        return np.concatenate([numbers, np.asarray(z[:, 1:], np.float32)], axis=1)

    def bits(self, z: np.ndarray) -> np.ndarray:
        """Return the bits (B,) of codes, as (B, K, T) or (B, 2, k)."""
        symbols = _symbols(self, z)
        rows = np.arange(len(self.costs))[:, None]
        total = self.costs[rows, symbols].sum(axis=(1, 2))
        if self.form == "sparse":
            symbols, plain = _gaps(z)
            total += (self.gaps[symbols] + plain).sum(axis=1)
        return total


def fit(z: np.ndarray, form: str) -> Quantiser:
    """Learn steps and costs.

    Parameters
    ----------
    z
        Codes of training windows: (B, K, T), or (B, 2, k) of values and rising positions.
    form
        ``dense`` or ``sparse``.

    Raises
    ------
    ValueError
        If the form is another, or the array is not of it.
    """
    rows = pick({"dense": None, "sparse": 2}, form, "form of a code")
    z = np.asarray(z)
    if z.ndim != 3 or not z.size or rows not in (None, z.shape[1]):
        raise ValueError(f"a {form} code cannot have the shape {z.shape}; encode some windows")
    if not np.isfinite(z).all():
        raise ValueError("the codes hold NaN or infinity; encode the sound again")
    numbers = _numbers(z, form)
    low = numbers.min(axis=(0, 2))[:, None].astype(np.float64)
    step = np.maximum((numbers.max(axis=(0, 2))[:, None] - low) / (LEVELS - 1), 1e-12)
    none = np.zeros(_SYMBOLS)
    found = Quantiser(form, low, step, np.zeros((len(low), LEVELS)), none)
    symbols = _symbols(found, z)
    costs = np.stack([_costs(symbols[:, k], LEVELS) for k in range(len(low))])
    gaps = _costs(_gaps(z)[0], _SYMBOLS) if form == "sparse" else none
    return Quantiser(form, low, step, costs, gaps)


def _numbers(z: np.ndarray, form: str) -> np.ndarray:
    """Numbers (B, K, T) that are rounded: all of a dense code, the values of a sparse one."""
    return np.asarray(z if form == "dense" else z[:, :1])


def _symbols(quantiser: Quantiser, z: np.ndarray) -> np.ndarray:
    """Return the steps (B, K, T) that the numbers are nearest to."""
    steps = (_numbers(z, quantiser.form) - quantiser.low) / quantiser.step
    return np.clip(np.rint(steps), 0, LEVELS - 1).astype(np.int64)


def _gaps(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Symbol and number of plain bits (B, k) of each gap between positions."""
    gap = np.diff(np.asarray(z[:, 1]).astype(np.int64), axis=1, prepend=-1)
    if (gap < 1).any():
        raise ValueError("the positions of a sparse code must rise; sort them")
    power = np.floor(np.log2(gap)).astype(np.int64)
    far = gap >= GAPS
    return np.where(far, GAPS + power, gap), np.where(far, power, 0)


def _costs(symbols: np.ndarray, n: int) -> np.ndarray:
    """Bits (n,) of each symbol, from how often it came, and once more."""
    counts = np.bincount(symbols.ravel(), minlength=n) + 1
    return np.log2(counts.sum() / counts)
