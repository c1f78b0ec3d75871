"""Find recordings that were played a little faster or slower, as turntables and old tapes do.

How the level goes from the beginning to the end of a recording is the same at any speed. Where two
recordings agree in that and differ in length by as much as a speed may, one is read at the speed of
the other, and their fingerprints are compared piece by piece.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

BINS = 256  # of the course of the level
LEAST_S = 15.0  # of a recording whose speed can be told
SPEEDS = (1.003, 1.045)  # by how much one may be faster: below, a fingerprint finds it by itself
AGREE = 0.8  # correlation of two courses from which recordings are compared
SCORE = 0.72  # mean share of equal bits from which they are the same; 0.6 by chance
PIECE, SHIFT = 215, 12  # frames of a piece, 10 s, and those by which it may lie elsewhere
Words = Callable[[int, float], np.ndarray]


def course(level: np.ndarray) -> np.ndarray:
    """Return how the level of a recording goes (`BINS`,), in units of its own spread.

    Parameters
    ----------
    level
        Energy of each frame (T,).
    """
    if len(level) < 2:
        return np.zeros(BINS, np.float32)
    sums = np.concatenate([[0.0], np.cumsum(level, dtype=np.float64)])
    at = np.interp(np.linspace(0, len(level), BINS + 1), np.arange(len(sums)), sums)
    energy = np.diff(at)
    db = 10 * np.log10(np.maximum(energy, 1e-6 * max(float(energy.max()), 1e-30)))
    spread = float(db.std())
    return ((db - db.mean()) / spread if spread > 1e-3 else 0 * db).astype(np.float32)


def other_speeds(
    courses: Sequence[np.ndarray], seconds: Sequence[float], words: Words
) -> Iterator[tuple[int, int, float]]:
    """Find the pairs that hold the same recording at two speeds.

    Parameters
    ----------
    courses, seconds
        Of each recording: `course`, and its length.
    words
        Gives the fingerprint of a recording, by its position, at a number of times its speed.

    Yields
    ------
    tuple
        a, b: positions, a < b; mean share of equal bits.
    """
    order = np.argsort(seconds, kind="stable")
    lengths = np.asarray(seconds, float)[order]
    table = np.stack([courses[i] for i in order]) if len(order) else np.zeros((0, BINS))
    for i in np.flatnonzero(lengths >= LEAST_S):
        low, high = np.searchsorted(lengths, lengths[i] * np.array(SPEEDS))
        agree = table[low:high] @ table[i] / BINS
        for j in low + np.flatnonzero(agree >= AGREE):
            slow, fast = int(order[j]), int(order[i])
            score = _compare(words(slow, lengths[j] / lengths[i]), words(fast, 1.0))
            if score >= SCORE:
                yield min(slow, fast), max(slow, fast), score


def _compare(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean share of equal bits of the pieces of one fingerprint, each where it fits."""
    scores = []
    for start in range(SHIFT, min(len(a), len(b)) - PIECE - SHIFT, PIECE):
        piece = a[start : start + PIECE]
        shares = [
            _share(piece, b[start + lag : start + lag + PIECE]) for lag in range(-SHIFT, SHIFT + 1)
        ]
        scores += [max(shares)] if max(shares) > 0 else []
    return float(np.mean(scores)) if scores else 0.0


def _share(a: np.ndarray, b: np.ndarray) -> float:
    """Return the share of equal bits where both sound, 0 where less than half does."""
    sound = (a > 0) & (b > 0)
    if 2 * sound.sum() < len(a):
        return 0.0
    return 1.0 - float(np.bitwise_count(a[sound] ^ b[sound]).mean()) / 24
