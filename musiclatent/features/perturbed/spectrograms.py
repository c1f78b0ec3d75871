"""Perturb log-mel spectrograms as their recording allows: they still sound like the same music."""

from collections.abc import Sequence

import numpy as np

from musiclatent.features import stft

PART = 0.77  # of the frames that a view keeps, from a random place on
STRETCH = 0.05  # by which share a part is longer or shorter at most: another tempo
SHIFT = 6  # mel bands up or down at most: another pitch
MIXED = 0.2  # largest share of the power that comes from another spectrogram
COLOUR = 0.1  # deviation of a smooth curve over the bands, in parts of the range: another equaliser
KNOTS = 6  # points of that curve
NOISE = 0.02  # deviation of the noise on every value, in parts of the range
FLOOR = 0.45  # highest level of a noise floor, in parts of the range: another gain above the noise
_POWER = np.log(10) * 8  # a range of 80 dB as a logarithm of power


def perturb(x: np.ndarray, *, seed: int | Sequence[int]) -> np.ndarray:
    """Return another view of each spectrogram: a part of it, as another recording would hold it.

    Its tempo, pitch, equaliser and the noise around it change a little, and another spectrogram
    is mixed in softly.

    Parameters
    ----------
    x
        Log-mel spectrograms (B, M, T) in [0, 1], a range of about 80 dB.
    seed
        The same seed gives the same views.

    Returns
    -------
    ndarray
        (B, M, T') float32 in [0, 1], each scaled by its own range; T' is 0.77 T.

    Raises
    ------
    ValueError
        If `x` has another number of axes, or no row.

    Notes
    -----
    Jansen et al. (2018), Unsupervised learning of semantic audio representations: parts of one
    recording, noise, shifts in time and pitch, and mixtures as positives.
    """
    x = np.asarray(x, np.float32)
    if x.ndim != 3 or not x.size:
        raise ValueError(f"spectrograms have shape {x.shape}; give (B, M, T) that is not empty")
    rng = np.random.default_rng(seed)
    x = _shifted(_part(x, rng), rng)
    x = _mixed(x, rng) + _colours(rng, *x.shape[:2])[:, :, None]
    floor = np.where(rng.random(len(x)) < 0.5, rng.uniform(0, FLOOR, len(x)), -np.inf)
    x = np.maximum(x, floor[:, None, None]) + NOISE * rng.standard_normal(x.shape)
    return stft.scale(x)[0]


def _part(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a part of each spectrogram (B, M, T), stretched to (B, M, T')."""
    n, _, frames = x.shape
    kept = max(1, round(PART * frames))
    length = np.minimum(kept * np.exp(rng.uniform(-STRETCH, STRETCH, n)), frames)
    first = rng.random(n) * (frames - length)
    places = first[:, None] + np.linspace(0, 1, kept) * (length[:, None] - 1)  # B x T'
    left = np.floor(places).clip(0, frames - 1).astype(int)
    share = (places - left)[:, None]
    right = np.minimum(left + 1, frames - 1)
    return (1 - share) * _frames(x, left) + share * _frames(x, right)


def _frames(x: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the frames of (B, M, T) at places (B, T')."""
    return np.take_along_axis(x, places[:, None], axis=2)


def _shifted(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return spectrograms (B, M, T) moved by some bands; the outermost band fills the gap."""
    n, bands, _ = x.shape
    moved = np.arange(bands) + rng.integers(-SHIFT, SHIFT + 1, (n, 1))
    return np.take_along_axis(x, moved.clip(0, bands - 1)[:, :, None], axis=1)


def _mixed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return each of (B, M, T) with some power of another one."""
    share = rng.uniform(0, MIXED, (len(x), 1, 1))
    power = np.exp(_POWER * x)
    return np.log((1 - share) * power + share * power[rng.permutation(len(x))]) / _POWER


def _colours(rng: np.random.Generator, n: int, bands: int) -> np.ndarray:
    """Draw smooth curves over the bands (n, M)."""
    knots = COLOUR * rng.standard_normal((n, KNOTS))
    places = np.linspace(0, 1, bands)
    return np.stack([np.interp(places, np.linspace(0, 1, KNOTS), row) for row in knots])
