"""Turn sound into log-mel spectrograms, and spectrograms back into sound.

Conventions are librosa's: hann window, centred frames on zero padding, power, slaney mel bands;
decibels against a power of 1, floored at -100 dB and `top_db` below the loudest value.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import librosa
import numpy as np
import scipy.sparse
from numpy.lib.stride_tricks import sliding_window_view

from musiclatent.config import SR
from musiclatent.features import phase, validation
from musiclatent.features.stft import RangeScaled

AMIN = 1e-10  # power below which all is silence: -100 dB
_BLOCK = 64  # frames at once: their spectra fit into the cache
_LOUDEST_DB = 100.0  # far above what samples in [-1, 1] can give
_TINY = 1e-20
_UPDATES = 20  # of the inverse mel: then its own error is far below that of the phases


def log_mel(
    y: np.ndarray,
    sr: int,
    n_fft: int = 2048,
    hop_length: int = 512,
    n_mels: int = 128,
    top_db: float = 80.0,
) -> np.ndarray:
    """Compute a log-mel spectrogram, block by block.

    Equal to ``librosa.power_to_db(librosa.feature.melspectrogram(...), ref=1.0, amin=1e-10)``.

    Parameters
    ----------
    y
        Samples ``(N,)``, floats in [-1, 1].
    sr
        Their sampling rate in Hz.
    n_fft
        Length of a frame in samples; even.
    hop_length
        Samples from one frame to the next.
    n_mels
        Number of mel bands from 0 to sr / 2 Hz.
    top_db
        Range kept below the loudest value, in dB.

    Returns
    -------
    ndarray
        Decibels ``(M, T)`` float32, T = 1 + N // hop_length.

    Raises
    ------
    ValueError
        If the samples are empty, not finite, no floats or far too loud, or a parameter is out of
        its range.
    """
    _check(sr, n_fft, hop_length, n_mels, top_db)
    x = _mel_power(validation.samples(y), mel_filters(sr, n_fft, n_mels), n_fft, hop_length)
    np.log10(np.maximum(x, AMIN, out=x), out=x)
    x *= 10
    loudest = x.max()
    if not np.isfinite(loudest):  # from 1e16 on, power is too large for float32
        raise ValueError("samples are too loud to measure; scale them to [-1, 1]")
    return np.maximum(x, loudest - np.float32(top_db), out=x)


def _mel_power(
    y: np.ndarray, filters: scipy.sparse.csr_array, n_fft: int, hop_length: int
) -> np.ndarray:
    """Power in mel bands (M, T); spectra live for one block only."""
    window = librosa.filters.get_window("hann", n_fft).astype(np.float32)
    frames = sliding_window_view(np.pad(y, n_fft // 2), n_fft)[::hop_length]  # T x n_fft
    x = np.empty((filters.shape[0], len(frames)), np.float32)
    for t in range(0, len(frames), _BLOCK):
        spectra = scipy.fft.rfft(frames[t : t + _BLOCK] * window, overwrite_x=True)  # T x F
        power = spectra.real**2
        power += spectra.imag**2
        x[:, t : t + _BLOCK] = filters @ power.T
    return x


@lru_cache(maxsize=8)
def mel_filters(sr: int, n_fft: int, n_mels: int) -> scipy.sparse.csr_array:
    """Return librosa's mel filters; a bin feeds two bands at most, so they are kept sparse.

    Parameters
    ----------
    sr, n_fft, n_mels
        As in `log_mel`.

    Returns
    -------
    csr_array
        Weights ``(M, F)`` float32, F = 1 + n_fft // 2; shared between callers, not to be changed.
    """
    return scipy.sparse.csr_array(librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels))


def mel_to_audio(
    x_db: np.ndarray,
    sr: int,
    *,
    n_fft: int = 2048,
    hop_length: int = 512,
    n_iter: int = 32,
    seed: int = 0,
) -> np.ndarray:
    """Make sound that has a given log-mel spectrogram, with phases by fast Griffin-Lim.

    Parameters
    ----------
    x_db
        Decibels ``(M, T)`` as from `log_mel`.
    sr, n_fft, hop_length
        As in `log_mel`.
    n_iter
        Iterations of Griffin-Lim.
    seed
        Of the first phases.

    Returns
    -------
    ndarray
        Samples ``(N,)`` float32, N = (T - 1) * hop_length; scaled down if their peak passes 1.

    Raises
    ------
    ValueError
        If the spectrogram has less than two frames, or values that no sound has.

    References
    ----------
    Perraudin, Balazs, Søndergaard: A fast Griffin-Lim algorithm, WASPAA 2013.
    """
    _check(sr, n_fft, hop_length, 1, 1.0)
    power = librosa.db_to_power(validation.decibels(x_db, _LOUDEST_DB))
    magnitude = _inverse_mel(power, mel_filters(sr, n_fft, len(power)))
    length = (power.shape[1] - 1) * hop_length
    y = phase.griffin_lim_of_librosa(magnitude, hop_length, n_iter=n_iter, length=length, seed=seed)
    return (y / max(1.0, np.abs(y).max())).astype(np.float32, copy=False)


def _inverse_mel(power: np.ndarray, filters: scipy.sparse.csr_array) -> np.ndarray:
    """Magnitudes (F, T) with this power in mel bands, by Lee and Seung's updates (NIPS 2000).

    They lessen the Kullback-Leibler divergence, which heeds quiet bands; librosa's least squares
    heed the loudest and take forty times as long.
    """
    weight = np.maximum(filters.sum(0), _TINY)[:, None]
    S = filters.T @ power / weight
    for _ in range(_UPDATES):
        S *= filters.T @ (power / np.maximum(filters @ S, _TINY)) / weight
    return np.sqrt(S)


@dataclass(frozen=True, kw_only=True)
class LogMel(RangeScaled):
    """Turn a window into a log-mel spectrogram.

    Parameters
    ----------
    sr
        Sampling rate in Hz.
    window_s
        Length of a window in seconds.
    n_fft, hop_length, n_mels, top_db
        As in `log_mel`.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    kind: ClassVar[str] = "logmel"

    sr: int = SR
    window_s: float = 3.0
    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    top_db: float = 80.0

    def __post_init__(self) -> None:
        _check(*self.parameters)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output: ``(M, T)``."""
        return (self.n_mels, 1 + self.length // self.hop_length)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Compute the log-mel spectrogram of a window.

        Parameters
        ----------
        y
            Samples ``(N,)`` of one window, in [-1, 1].

        Returns
        -------
        ndarray
            Decibels ``(M, T)`` float32.

        Raises
        ------
        ValueError
            If the window has another length or holds NaN or infinity.
        """
        return log_mel(self._window(y), *self.parameters)

    def _sound_of(self, x_db: np.ndarray) -> np.ndarray:
        """Return the sound (N,) of decibels (M, T), N = (T - 1) * hop_length."""
        return mel_to_audio(x_db, self.sr, n_fft=self.n_fft, hop_length=self.hop_length)

    @property
    def parameters(self) -> tuple[int, int, int, int, float]:
        """Arguments of `log_mel` after the samples."""
        return self.sr, self.n_fft, self.hop_length, self.n_mels, self.top_db


def _check(sr: int, n_fft: int, hop_length: int, n_mels: int, top_db: float) -> None:
    """Validate the parameters of a log-mel spectrogram."""
    validation.frames(n_fft, hop_length, n_fft, top_db)
    if sr < 1 or n_mels < 1:
        raise ValueError(f"sr is {sr} and n_mels is {n_mels}; both must be 1 or more")
