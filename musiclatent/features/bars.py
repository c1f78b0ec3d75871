"""Find how many beats a bar has, and which of them it begins with, from accents and harmony."""

import numpy as np
from scipy.ndimage import maximum_filter1d

from musiclatent.config import SR
from musiclatent.features import tonal
from musiclatent.features.beat_grid import HOP, RATE

CHROMA_HOP = 16 * HOP
LATE_S = 0.003  # noise bursts that set in at once are found so much early: frames reach ahead
BARS = (3, 4, 6)  # beats; six are three of a tempo that was counted twice as fast
# What makes the beginning of a bar: bass drum there, on all its beats, snare, change of harmony.
WEIGHTS = (1.0, 1.0, 0.5, 2.0)
LEAST = 0.1  # by which accents three beats later agree better than four beats later
LEAST_SIX = 0.2  # and six beats later: four-beat music repeats after eight, which is near


def beats_of_bar(onsets: np.ndarray, chroma: np.ndarray, eighths: np.ndarray) -> int:
    """Count the beats of a bar by how well accents and harmony agree with those some beats later.

    Parameters
    ----------
    onsets
        (T, 3) onset strength of low, middle and high bands, `HOP` samples at `SR` apart.
    chroma
        (12, T') pitch classes, `CHROMA_HOP` samples apart.
    eighths
        (n,) times of the eighths in seconds, the first of them a beat or an off-beat.

    Returns
    -------
    int
        One of `BARS`; 4 where nothing speaks for another, and below six bars of four.
    """
    if len(eighths) < 48:
        return 4
    harmony = _changes(chroma, eighths, 4)
    x = np.column_stack([_accents(onsets, eighths), harmony])
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-6)
    three, four, six, eight, twelve = ((x[: -2 * k] * x[2 * k :]).mean() for k in (3, 4, 6, 8, 12))
    fours = max(four, eight)
    if min(six, twelve) - fours > LEAST_SIX and six - three > LEAST_SIX:
        return 6
    return 3 if three - four > LEAST and six - eight > LEAST and three + six > 4 * LEAST else 4


def evidence(
    onsets: np.ndarray, chroma: np.ndarray, eighths: np.ndarray, beats: int = 4
) -> np.ndarray:
    """Weigh the evidence that a bar begins at each of the first eighths.

    Parameters
    ----------
    onsets, chroma, eighths
        As in `beats_of_bar`.
    beats
        Beats of a bar.

    Returns
    -------
    array (2 * beats,)
        The largest where a bar begins.
    """
    n = 2 * beats
    accents, harmony = _accents(onsets, eighths), _changes(chroma, eighths, beats)
    later = (np.arange(n)[:, None] + np.arange(n)) % n  # row k: k eighths later
    low, high, harmony = (_by_place(x, n)[later] for x in (*accents[:, [0, 2]].T, harmony))
    backbeats = [2, 6] if beats == 4 else [2, 4]
    others = [0, 4] if beats == 4 else [0]
    snare = high[backbeats].mean(axis=0) - high[others].mean(axis=0)
    change = harmony[:2].mean(axis=0)  # it shows once the notes have begun
    terms = (low[0], low[::2].mean(axis=0), snare, change)
    return sum(weight * term for weight, term in zip(WEIGHTS, terms, strict=True))


def _accents(onsets: np.ndarray, eighths: np.ndarray) -> np.ndarray:
    """Return the largest strength (n, 3) within 23 ms of each eighth."""
    frame = np.clip(np.round((eighths - LATE_S) * RATE + 0.5).astype(int), 0, len(onsets) - 1)
    return maximum_filter1d(onsets, 9, axis=0)[frame]


def _changes(chroma: np.ndarray, eighths: np.ndarray, beats: int) -> np.ndarray:
    """Return how the harmony changes (n,) at each eighth, over a bar."""
    bar_s = 2 * beats * np.median(np.diff(eighths))
    return tonal.changes(chroma, eighths, span_s=bar_s, rate=SR / CHROMA_HOP)


def _by_place(x: np.ndarray, n: int) -> np.ndarray:
    """Return means of x at the n eighths of a bar, relative to the mean of all."""
    means = np.array([x[place::n].mean() for place in range(n)])
    return means / max(means.mean(), 0.01)  # less is rounding
