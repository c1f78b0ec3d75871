"""Find copies of sounds too short for a fingerprint, whatever their gain and codec.

Two sounds are the same where one, laid over the other at the best place, is nearly a multiple of
it. Only sounds of like spectra are laid over one another.
"""

from collections.abc import Sequence

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

LIKE = 0.95  # cosine of two spectra from which sounds are compared
SAME = 0.95  # correlation from which they are the same
MOST = 48  # of the likest that one sound is compared with
_POINTS = 1 << 14
_BANDS = 64


def same_sounds(sounds: Sequence[np.ndarray]) -> list[tuple[int, int, float, int]]:
    """Find the pairs that hold the same sound.

    Parameters
    ----------
    sounds
        Samples ``(N,)`` of each, a few seconds long at one rate.

    Returns
    -------
    list
        a, b: positions, a < b; the correlation; how many samples later b begins on the clock of a.
        Of many that are all the same, not every pair is listed, but they stay connected.
    """
    units = [_unit(y) for y in sounds]
    rows = [i for i, y in enumerate(units) if len(y)]
    if len(rows) < 2:
        return []
    bands = np.stack([_bands(units[i]) for i in rows])
    pairs = []
    for at in range(1, len(rows)):
        like = bands[:at] @ bands[at]
        for near in np.argsort(-like, kind="stable")[:MOST]:
            if like[near] < LIKE:
                break
            a, b = rows[near], rows[at]
            score, lag = _correlation(units[a], units[b])
            if score >= SAME:
                pairs.append((a, b, score, lag))
    return sorted(pairs)


def _unit(y: np.ndarray) -> np.ndarray:
    """Return samples without offset and of energy 1; none of silence."""
    y = np.asarray(y, np.float64)
    y = y - y.mean() if len(y) else y
    energy = float(np.sqrt(np.square(y).sum()))
    return y / energy if energy > 1e-6 else y[:0]


def _bands(y: np.ndarray) -> np.ndarray:
    """Return the spectrum of a sound as amplitudes of 64 bands, of length 1."""
    power = np.abs(rfft(y, max(_POINTS, len(y)))) ** 2
    edges = np.linspace(0, len(power), _BANDS + 1)[:-1].astype(int)
    bands = np.sqrt(np.add.reduceat(power, edges))
    return bands / np.linalg.norm(bands)


def _correlation(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """Return the largest correlation of two sounds, whatever the sign, and where b begins in a."""
    n = next_fast_len(len(a) + len(b), real=True)
    product = irfft(rfft(a, n) * rfft(b, n).conj(), n)
    at = int(np.abs(product).argmax())
    return float(abs(product[at])), at if at < len(a) else at - n
