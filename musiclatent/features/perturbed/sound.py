"""Perturb sound as its recording allows: gain, noise, pitch by resampling, and time."""

from collections.abc import Sequence

import librosa
import numpy as np

from musiclatent import audio

GAIN_DB = 6.0  # up or down at most
NOISE_DB = (15.0, 40.0)  # signal-to-noise ratio
PITCH = 0.06  # by which share the rate changes at most: a semitone, and the tempo with it
STRETCH = 0.1  # by which share the tempo changes at most, the pitch staying


def perturb(y: np.ndarray, sr: int, *, seed: int | Sequence[int]) -> np.ndarray:
    """Return sound that is louder or quieter, noisier, higher or lower, and faster or slower.

    Parameters
    ----------
    y
        Samples (N,) in [-1, 1].
    sr
        Their rate in Hz.
    seed
        The same seed gives the same sound.

    Returns
    -------
    ndarray
        Samples float32 in [-1, 1], about N of them at the same rate.

    Raises
    ------
    ValueError
        If there are no samples, or they have several channels.

    Notes
    -----
    Salamon and Bello (2017), Deep convolutional neural networks and data augmentation for
    environmental sound classification.
    """
    y = np.asarray(y, np.float32)
    if y.ndim != 1 or not y.size:
        raise ValueError(f"samples have shape {y.shape}; give one channel (N,) that is not empty")
    rng = np.random.default_rng(seed)
    y = audio.convert(y, sr, round(sr * np.exp(rng.uniform(-PITCH, PITCH))))  # heard at `sr`
    y = librosa.effects.time_stretch(y, rate=np.exp(rng.uniform(-STRETCH, STRETCH)))
    level = np.sqrt(np.mean(np.square(y))) * 10 ** (-rng.uniform(*NOISE_DB) / 20)
    y = y + level * rng.standard_normal(len(y))
    y = y * 10 ** (rng.uniform(-GAIN_DB, GAIN_DB) / 20)
    return np.clip(y, -1, 1).astype(np.float32)
