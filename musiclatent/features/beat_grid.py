"""Fit a grid of beats to onset strength, or track beats one by one where no grid fits.

Strength (T,) is sampled `RATE` times per second; a rise lies between two frames.
"""

import math

import numpy as np
from scipy.fft import fft, next_fast_len, rfft
from scipy.signal.windows import hann

from musiclatent.config import SR

HOP = 128  # samples from one value of the strength to the next: 5.8 ms
RATE = SR / HOP  # values per second
TEMPI = (85.0, 175.0)  # beats per minute, a little more than an octave
BELIEVED = (20.0, 400.0)  # beats per minute of a tag or table; others are mistakes
NEAR = 0.04  # of it, within which the tempo is looked for
USUAL = 125.0  # between equally good tempi the one nearer to it is taken
SIXTEENTHS = 1.2  # times the strength of eighths: beats are rather counted twice as fast
SLOWEST = 45.0  # beats per minute that anybody counts
LOCAL_S = 24.0  # over which the tempo of any music holds
TIGHT = 100.0  # what a beat off the tempo costs: as in librosa
_COARSE = 4  # frames joined for tracking
_BLOCK = 43  # frames, a quarter of a second
_STEPS = np.linspace(-1, 1, 21)


def _tempo_hz(strength: np.ndarray, tempi: tuple[float, float]) -> float:
    """Estimate beats per second, roughly, from spectra of `LOCAL_S` each: tempo may drift."""
    size = min(len(strength), round(LOCAL_S * RATE))
    starts = np.linspace(0, len(strength) - size, math.ceil(2 * len(strength) / size)).astype(int)
    window, n = hann(size), next_fast_len(8 * size)
    parts = (strength[start : start + size] for start in starts)
    spectrum = sum(np.abs(rfft((part - part.mean()) * window, n)) for part in parts)
    hz = np.arange(tempi[0] / 60, tempi[1] / 60, RATE / n / 4)
    score = sum(_at(spectrum, k * hz * n / RATE) for k in (1, 2, 4))
    return float(hz[np.argmax(score * np.exp(-0.5 * np.log2(60 * hz / USUAL) ** 2))])


def fit_grid(strength: np.ndarray, tempi: tuple[float, float] = TEMPI) -> tuple[float, float]:
    """Return beats per second, and time of one eighth, of the grid on which most onsets lie.

    Parameters
    ----------
    strength
        Onset strength (T,).
    tempi
        Range of beats per minute in which the tempo is looked for.
    """
    near, middle_s = _tempo_hz(strength, tempi), len(strength) / RATE / 2
    step, reach = RATE / len(strength) / 4, 0.5 / min(LOCAL_S, 2 * middle_s)
    off_hz = np.arange(-reach, reach, step / 8)
    score = sum(_near(strength, k * near, k * off_hz) for k in (1, 2, 4))
    hz = near + off_hz[np.argmax(score)]
    phasor = _phasors(strength, 2 * hz).sum() * np.exp(4j * np.pi * hz * middle_s)
    start_s = middle_s - np.angle(phasor) / (4 * np.pi * hz)
    reach = math.ceil(len(strength) / RATE * hz)
    places = np.arange(-reach, reach)
    for share in (1.0, 0.1):  # coarse, then fine
        options = [
            (_at(strength, (late_s + places / (2 * rate)) * RATE + 0.5).sum(), rate, late_s)
            for rate in hz + share * step / 2 * _STEPS
            for late_s in start_s + share * 0.03 * _STEPS
        ]
        _, hz, start_s = max(options)
    return float(hz), float(start_s)


def _phasors(strength: np.ndarray, hz: float, size: int = _BLOCK) -> np.ndarray:
    """Sum the strength as phasors of `hz` turns per second, `size` frames at a time."""
    times_s = (np.arange(len(strength)) - 0.5) / RATE  # a rise lies between two frames
    phasors = strength * np.exp(-2j * np.pi * hz * times_s)
    return np.add.reduceat(phasors, np.arange(0, len(phasors), size))


def _near(strength: np.ndarray, hz: float, off_hz: np.ndarray) -> np.ndarray:
    """Compute the magnitude of the spectrum of the strength a little off `hz`."""
    parts = _phasors(strength, hz)
    n = next_fast_len(4 * len(parts))
    return _at(np.abs(np.roll(fft(parts, n), n // 2)), n // 2 + off_hz * n * _BLOCK / RATE)


def _at(x: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Interpolate x (n,) at some places; 0 outside."""
    return np.interp(places, np.arange(len(x)), x, 0, 0)


def track(strength: np.ndarray, hz: float) -> np.ndarray:
    """Return times of beats, about `hz` per second, each of them free to come early or late."""
    strength = np.maximum.reduceat(strength, np.arange(0, len(strength), _COARSE))
    strength = strength / max(strength.std(), 1e-9)
    period = RATE / _COARSE / hz
    back = np.arange(round(period / 2), round(2 * period) + 1)
    cost = TIGHT * np.log(back / period) ** 2
    total, before = strength.copy(), np.full(len(strength), -1)
    for i in range(back[0], len(strength)):
        reached = back[: i - back[0] + 1]
        gains = total[i - reached] - cost[: len(reached)]
        best = int(np.argmax(gains))
        total[i], before[i] = strength[i] + gains[best], i - reached[best]
    beats = [len(total) - back[-1] + int(np.argmax(total[-back[-1] :]))]
    while before[beats[-1]] >= 0:
        beats.append(before[beats[-1]])
    return (np.array(beats[::-1]) * _COARSE + (_COARSE - 1) / 2 - 0.5) / RATE


def stability(strength: np.ndarray, hz: float) -> float:
    """Return how well phases agree along the track, 0 to 1, of its eighths or its sixteenths."""
    size = int(RATE * min(4.0, len(strength) / RATE / 8))
    agreement = []
    for k in (2, 4):  # off-beats against beats cancel in one of them, not in the other
        parts = _phasors(strength, k * hz, size)
        parts = parts[:-1] + parts[1:]
        agreement.append(np.abs(parts.sum()) / max(np.abs(parts).sum(), 1e-9))
    return float(max(agreement))


def octave(strength: np.ndarray, hz: float) -> float:
    """Return 0.5 or 2: by what the tempo could be counted as well.

    Twice, where sixteenths are stronger than eighths or half the tempo would be too slow to count.

    Parameters
    ----------
    strength
        Onset strength (T,).
    hz
        Beats per second.
    """
    eighths, sixteenths = (_near(strength, k * hz, np.zeros(1))[0] for k in (2, 4))
    return 2.0 if sixteenths > SIXTEENTHS * eighths or 30 * hz < SLOWEST else 0.5


def around(bpm: float, tempi: tuple[float, float] = TEMPI) -> tuple[float, float]:
    """Return the range of tempi to look in where a tempo is known, and `tempi` where it is NaN.

    Parameters
    ----------
    bpm
        Beats per minute of a tag or a table.
    tempi
        The range elsewhere.
    """
    if not BELIEVED[0] <= bpm <= BELIEVED[1]:
        return tempi
    return (1 - NEAR) * bpm, (1 + NEAR) * bpm
