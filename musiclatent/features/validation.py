"""Validate what measurements of sound take: samples, the frames of an STFT, decibels."""

import numpy as np


def samples(y: np.ndarray, least: int = 1) -> np.ndarray:
    """Return samples ``(N,)`` as float32.

    Parameters
    ----------
    y
        Samples ``(N,)``, floats in [-1, 1].
    least
        Samples that are needed, 1 or more.

    Raises
    ------
    ValueError
        If they are too few, not one channel, no floats, or not finite.
    """
    y = np.asarray(y)
    if y.ndim != 1 or y.dtype.kind != "f" or len(y) < least:
        raise ValueError(
            f"samples have shape {y.shape} and are {y.dtype}; give (N,), one channel of floats in "
            f"[-1, 1], {least} or more"
        )
    if not np.isfinite(y).all():
        raise ValueError("samples hold NaN or infinity; repair them first")
    return y.astype(np.float32, copy=False)


def frames(n_fft: int, hop_length: int, longest_hop: int, top_db: float = 80.0) -> None:
    """Validate frames of an STFT, at most `longest_hop` samples apart, and their range in dB."""
    if n_fft < 2 or n_fft % 2:
        raise ValueError(f"n_fft is {n_fft}; it must be even and 2 or more")
    if not 1 <= hop_length <= longest_hop:
        raise ValueError(f"hop_length is {hop_length} for n_fft {n_fft}; take 1 to {longest_hop}")
    if not top_db > 0:
        raise ValueError(f"top_db is {top_db}; it must be above 0 dB")


def decibels(x_db: np.ndarray, loudest_db: float) -> np.ndarray:
    """Return a spectrogram ``(F, T)`` in dB as float32.

    Parameters
    ----------
    x_db
        Decibels ``(F, T)``, of frequency bins or mel bands.
    loudest_db
        Above it values are no decibels of sound, but power or magnitudes.

    Raises
    ------
    ValueError
        If there are less than two frames, or values that no sound has.
    """
    x_db = np.asarray(x_db, np.float32)
    if x_db.ndim != 2 or x_db.shape[1] < 2 or not len(x_db):
        raise ValueError(f"a spectrogram has shape {x_db.shape}; give (F, T) of 2 frames or more")
    if not np.isfinite(x_db).all() or x_db.max() > loudest_db:
        raise ValueError(
            f"a spectrogram reaches {x_db.max():g} or is not finite; "
            f"give decibels up to {loudest_db:g}, not power or magnitudes"
        )
    return x_db
