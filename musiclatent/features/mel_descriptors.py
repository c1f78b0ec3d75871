"""Compute descriptors of a short log-mel spectrogram, where there is no sound to take them from.

They need no level and no scale: each spectrogram is scaled to [0, 1] by its own range, so that
excerpts of a table and windows of a file give the same numbers.
"""

from collections.abc import Iterator

import numpy as np
import scipy.fft

N_MFCC = 30
MODULATED = 8  # MFCC whose changes are divided into `RATES` ranges of rates
RATES = 4
LEAST = 80  # frames: what the ranges of rates and the lags of a beat need
_CONTRASTS = 8  # groups of neighbouring bands
_EDGE = 3  # bands that make a peak or a valley
_LAGS = slice(9, 65)  # frames of 23 ms: beats of 40 to 290 per minute
_QUANTILES = (0.1, 0.5, 0.9)


def columns(n_mels: int) -> list[str]:
    """Name the descriptors of spectrograms with `n_mels` bands, a multiple of eight."""
    _check(n_mels, LEAST)
    return [name for name, _ in _parts(np.zeros((1, n_mels, LEAST), np.float32))]


def extract(x: np.ndarray) -> np.ndarray:
    """Compute the descriptors of log-mel spectrograms.

    Parameters
    ----------
    x
        Spectrograms (B, M, T) in [0, 1], each scaled by its own range; T of 80 frames or more.

    Returns
    -------
    ndarray
        (B, D) float32, named by `columns`: mean, deviation and mean step of each band; of 30 MFCC
        mean, deviation and deviation of the change, and for the first eight the logarithm of the
        power of their changes in four ranges of rates; contrast of peaks and valleys in eight
        groups of bands; onset strength, its highest autocorrelation and the means of the
        autocorrelation over eight ranges of lags; quantiles.

    Raises
    ------
    ValueError
        If the shape cannot be used or values are not in [0, 1].
    """
    x = np.asarray(x, np.float32)
    if x.ndim != 3 or not len(x):
        raise ValueError(f"spectrograms have shape {x.shape}; give (B, M, T) that is not empty")
    _check(*x.shape[1:])
    if not (x.min() >= 0 and x.max() <= 1):
        raise ValueError("spectrograms are not in [0, 1]; scale them with stft.scale first")
    return np.stack([row for _, row in _parts(x)], axis=1).astype(np.float32)


def _check(n_mels: int, frames: int) -> None:
    """Validate that spectrograms are large enough for what is measured."""
    if n_mels < N_MFCC or n_mels % _CONTRASTS or frames < LEAST:
        raise ValueError(
            f"spectrograms have {n_mels} bands and {frames} frames; give at least {N_MFCC} bands, "
            f"a multiple of {_CONTRASTS}, and {LEAST} frames"
        )


def _parts(x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and values (B,) of each descriptor."""
    steps = np.diff(x, axis=2)
    mfcc = scipy.fft.dct(x, axis=1, norm="ortho")[:, :N_MFCC]
    yield from _named("band", mean=x.mean(2), sd=x.std(2), step=np.abs(steps).mean(2))
    changes = np.diff(mfcc, axis=2).std(2)
    yield from _named("mfcc", mean=mfcc.mean(2), sd=mfcc.std(2), delta_sd=changes)
    ordered = np.sort(x.reshape(len(x), _CONTRASTS, -1, x.shape[2]), axis=2)  # B x 8 x M/8 x T
    contrast = ordered[:, :, -_EDGE:].mean(2) - ordered[:, :, :_EDGE].mean(2)
    yield from _named("contrast", mean=contrast.mean(2), sd=contrast.std(2))
    for i, row in enumerate(_rates(mfcc[:, :MODULATED]).T):
        yield f"mfcc{i // RATES + 1}_rate{i % RATES + 1}", row
    onsets = np.maximum(0, steps).mean(1)
    beats = _beats(onsets)
    yield "onset_mean", onsets.mean(1)
    yield "onset_sd", onsets.std(1)
    yield "beat_regularity", beats.max(1)
    for i, part in enumerate(np.array_split(beats, 8, axis=1), 1):
        yield f"beat_lags{i}", part.mean(1)
    for quantile, row in zip(_QUANTILES, np.quantile(x, _QUANTILES, axis=(1, 2)), strict=True):
        yield f"quantile{quantile:g}", row


def _named(stem: str, **tables: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Name the columns of tables (B, K), counted from 1."""
    for what, table in tables.items():
        for i, row in enumerate(table.T, 1):
            yield f"{stem}{i}_{what}", row


def _rates(mfcc: np.ndarray) -> np.ndarray:
    """Compute the logarithm of the power of changes (B, 8 * 4), by ranges of eight rates each."""
    moving = mfcc - mfcc.mean(2, keepdims=True)
    power = np.square(np.abs(np.fft.rfft(moving, axis=2)))[:, :, 1 : 1 + 8 * RATES]
    logs = np.log(power + 1e-6).reshape(*mfcc.shape[:2], RATES, -1)  # B x 8 x 4 x 8
    return logs.mean(3).reshape(len(mfcc), -1)  # B x 32


def _beats(onsets: np.ndarray) -> np.ndarray:
    """Compute the autocorrelation of onset strength (B, T) at the lags of beats, by its power."""
    moving = onsets - onsets.mean(1, keepdims=True)
    size = 2 * moving.shape[1]
    products = np.fft.irfft(np.square(np.abs(np.fft.rfft(moving, size, axis=1))), size)
    return products[:, _LAGS] / np.maximum(products[:, :1], 1e-9)
