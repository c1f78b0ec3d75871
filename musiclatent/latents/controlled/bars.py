"""Spectrograms of bars that know neither tempo nor key, and back to sound.

A bar is cut at its own beats and stretched to `FRAMES` frames, so that its tempo is gone; its
spectra are moved until the tonic is C, so that its key is gone; and its sound is brought to one
level. What is left is put into few bands. Back to sound, tempo, key and level are those asked for.
"""

from dataclasses import dataclass

import librosa
import numpy as np

from musiclatent.config import SR
from musiclatent.features import phase

N_FFT, HOP = 4096, 1024
FRAMES = 64  # of a bar
PLAIN = 372  # bins below 2 kHz, where tones lie, are kept as they are
WIDE = 60  # bands above, evenly spaced in octaves
BANDS = PLAIN + WIDE
LEVEL_DB = -20.0  # RMS that every sound is brought to
FLOOR_DB = -40.0  # of a bin, at that level: nothing below it is heard beside the music
TUNED = (-6, 6)  # semitones by which a tonic lies from C, at most
ITERATIONS = 16


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a bar is made free of, and what it is given back.

    Parameters
    ----------
    tonic
        Pitch class, 0 to 11; C is 0.
    bar_s
        Length of a bar in seconds.
    level_db
        RMS in dBFS.
    """

    tonic: int
    bar_s: float
    level_db: float = LEVEL_DB


def spectra(y: np.ndarray, starts_s: np.ndarray, *, tonic: int) -> np.ndarray:
    """Compute the spectrograms of bars, free of tempo, key and level.

    Parameters
    ----------
    y
        Samples (N,) at `SR`, not silent.
    starts_s
        Where bars begin in seconds (n + 1,), rising: the last is where the last bar ends.
    tonic
        Pitch class of the tonic, 0 to 11.

    Returns
    -------
    ndarray
        Decibels (n, `FRAMES`, `BANDS`) float32.

    Raises
    ------
    ValueError
        If the sound is silent or there is no whole bar.
    """
    starts_s, rms = np.asarray(starts_s, float), np.sqrt(np.mean(np.square(y)))
    if len(starts_s) < 2 or (np.diff(starts_s) <= 0).any():
        raise ValueError("there is no whole bar; give rising starts, and where the last one ends")
    if not rms > 0:
        raise ValueError("the sound is silent; leave it out")
    y = np.asarray(y * (10 ** (LEVEL_DB / 20) / rms), np.float32)
    db = librosa.amplitude_to_db(np.abs(librosa.stft(y, n_fft=N_FFT, hop_length=HOP)), top_db=None)
    db = _banded(_moved(np.maximum(db, FLOOR_DB).T, -_shift(tonic)))  # T x BANDS
    steps = (np.arange(FRAMES) + 0.5) / FRAMES
    times_s = starts_s[:-1, None] + np.diff(starts_s)[:, None] * steps
    return _at(db, times_s * SR / HOP)


def sound(bars: np.ndarray, setting: Setting, *, seed: int = 0) -> np.ndarray:
    """Make the sound of bars.

    Parameters
    ----------
    bars
        Decibels (n, `FRAMES`, `BANDS`), as from `spectra`.
    setting
        Tempo, key and level that it gets.
    seed
        Of the first phases.

    Returns
    -------
    ndarray
        Samples (N,) float32 at `SR`, of n bars; its peaks may pass 1 where the level is high.
    """
    frames = bars.reshape(-1, bars.shape[2])
    count = 1 + round(len(bars) * setting.bar_s * SR / HOP)
    places = np.arange(count) * HOP / SR / setting.bar_s * FRAMES - 0.5
    db = _moved(_plain(_at(frames, places)), _shift(setting.tonic))
    magnitude = np.where(db > FLOOR_DB, 10 ** (db / 20), 0).T.astype(np.float32)
    y = phase.griffin_lim(magnitude, N_FFT, HOP, n_iter=ITERATIONS, seed=seed)
    rms = max(float(np.sqrt(np.mean(np.square(y)))), 1e-9)
    return (y * (10 ** (setting.level_db / 20) / rms)).astype(np.float32)


def _shift(tonic: int) -> int:
    """Return how many semitones a tonic lies above C, the shorter way."""
    return (tonic - TUNED[0]) % 12 + TUNED[0]


def _at(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return rows (..., D) between the rows (T, D), at places counted in rows."""
    places = np.clip(places, 0, len(rows) - 1)
    low = np.minimum(places.astype(int), max(0, len(rows) - 2))
    share = (places - low)[..., None].astype(np.float32)
    return (1 - share) * rows[low] + share * rows[np.minimum(low + 1, len(rows) - 1)]


def _moved(db: np.ndarray, semitones: int) -> np.ndarray:
    """Return spectra (T, F) moved up by semitones; what comes from outside is the last bin."""
    return _at(db.T, np.arange(db.shape[1]) / 2 ** (semitones / 12)).T


def _edges() -> np.ndarray:
    """Return the first bin of each wide band, and the end of the last (WIDE + 1,)."""
    return np.round(np.geomspace(PLAIN, N_FFT // 2 + 1, WIDE + 1)).astype(int)


def _banded(db: np.ndarray) -> np.ndarray:
    """Return the bands (T, BANDS) of spectra (T, F): the mean of the bins of each wide one."""
    edges = _edges()
    wide = np.add.reduceat(db, edges[:-1], axis=1) / np.diff(edges)
    return np.concatenate([db[:, :PLAIN], wide], axis=1).astype(np.float32)


def _plain(bands: np.ndarray) -> np.ndarray:
    """Return the spectra (T, F) of bands (T, BANDS), by straight lines between wide ones."""
    edges = _edges()
    middles = np.concatenate([np.arange(PLAIN), (edges[:-1] + edges[1:] - 1) / 2])
    bins = np.arange(N_FFT // 2 + 1)
    return _at(bands.T, np.interp(bins, middles, np.arange(len(middles)))).T
