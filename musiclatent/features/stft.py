"""Log-magnitude spectrograms: scaled for a model, and all the way back to sound.

Conventions: frames are centred, the window is Hann, the highest bin is left out so that the number
of bins is a power of two. Values are decibels relative to a magnitude of 1.
"""

from dataclasses import dataclass
from typing import ClassVar

import librosa
import numpy as np
import pandas as pd

from musiclatent.audio.windows import Grid, Level, Transform, Waveform
from musiclatent.config import SR
from musiclatent.features import phase, validation

FLAT_DB = 1e-3  # a range that no sound has: silence
TYPICAL_DB = (-52.0, 28.0)  # median range of 3 s of GTZAN; between those of digits and jazz
ITERATIONS = 32  # of Griffin-Lim
_LOUDEST_DB = 120.0  # no magnitude of samples in [-1, 1] comes near it
START = "gradient"  # of the phases: closer than random ones after as many iterations


def scale(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale each spectrogram by its own minimum and maximum.

    Parameters
    ----------
    x
        Decibels ``(..., F, T)``, of frequency bins or mel bands.

    Returns
    -------
    x01
        Float32 in [0, 1], same shape; zeros where the range is below 0.001 dB, as in silence.
    low, high
        The minimum and the maximum in dB, ``(...)`` float32, for `unscale`.

    Raises
    ------
    ValueError
        If a spectrogram holds NaN or infinity.
    """
    x = np.asarray(x, np.float32)
    low, high = x.min((-2, -1)), x.max((-2, -1))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError("a spectrogram holds NaN or infinity; repair it before scaling")
    flat = high - low < FLAT_DB
    span = np.where(flat, np.float32(np.inf), high - low)
    return (x - low[..., None, None]) / span[..., None, None], low, high


def unscale(x: np.ndarray, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
    """Undo `scale`.

    Parameters
    ----------
    x
        Spectrograms ``(..., F, T)`` in [0, 1].
    low, high
        Their minimum and maximum in dB, ``(...)``, or one number for all.

    Returns
    -------
    ndarray
        Decibels ``(..., F, T)`` float32.
    """
    low, high = (np.asarray(value, np.float32)[..., None, None] for value in (low, high))
    return low + np.asarray(x, np.float32) * (high - low)


def log_stft(
    y: np.ndarray, n_fft: int = 512, *, hop_length: int = 256, top_db: float = 80.0
) -> np.ndarray:
    """Compute a log-magnitude spectrogram without its highest bin.

    Parameters
    ----------
    y
        Samples ``(N,)``, floats in [-1, 1].
    n_fft
        Length of a frame in samples; even.
    hop_length
        Samples from one frame to the next.
    top_db
        Range kept below the loudest value, in dB.

    Returns
    -------
    ndarray
        Decibels ``(F, T)`` float32, F = n_fft // 2, T = 1 + N // hop_length.

    Raises
    ------
    ValueError
        If the samples are empty or not finite, or a parameter is out of its range.
    """
    validation.frames(n_fft, hop_length, n_fft // 2, top_db)
    spectra = librosa.stft(validation.samples(y), n_fft=n_fft, hop_length=hop_length)[:-1]
    return librosa.amplitude_to_db(np.abs(spectra), top_db=top_db)  # F x T


def stft_to_audio(x_db: np.ndarray, hop_length: int = 256, length: int = 0) -> np.ndarray:
    """Make sound that has a given log-magnitude spectrogram, see `phase.griffin_lim`.

    Parameters
    ----------
    x_db
        Decibels ``(F, T)`` as from `log_stft`.
    hop_length
        As in `log_stft`.
    length
        Samples wanted; 0 gives (T - 1) * hop_length.

    Returns
    -------
    ndarray
        Samples ``(N,)`` float32; scaled down if their peak passes 1.

    Raises
    ------
    ValueError
        If the spectrogram has less than two frames, or values that no sound has.
    """
    magnitude = magnitudes(x_db)
    n_fft = 2 * len(magnitude) - 2
    y = phase.griffin_lim(
        magnitude, n_fft, hop_length, n_iter=ITERATIONS, start=START, length=length or None
    )
    return (y / max(1.0, np.abs(y).max())).astype(np.float32, copy=False)


def magnitudes(x_db: np.ndarray) -> np.ndarray:
    """Undo the decibels of a spectrogram.

    Parameters
    ----------
    x_db
        Decibels ``(F, T)``.

    Returns
    -------
    ndarray
        Magnitudes ``(F + 1, T)`` float32: the bin that was left out is 0.

    Raises
    ------
    ValueError
        If the spectrogram has less than two frames, or values that no sound has.
    """
    return np.pad(librosa.db_to_amplitude(validation.decibels(x_db, _LOUDEST_DB)), ((0, 1), (0, 0)))


def log_spectral_distance(x_db: np.ndarray, x_hat_db: np.ndarray) -> np.ndarray:
    """Measure how far spectrograms lie apart.

    Parameters
    ----------
    x_db, x_hat_db
        Decibels ``(..., F, T)``.

    Returns
    -------
    ndarray
        dB ``(...)``: root mean squared difference over the bins, mean over the frames.

    References
    ----------
    Gray and Markel: Distance measures for speech processing, IEEE TASSP 1976.
    """
    x_db, x_hat_db = np.asarray(x_db), np.asarray(x_hat_db)
    if x_db.shape != x_hat_db.shape:
        raise ValueError(f"spectrograms are {x_db.shape} and {x_hat_db.shape}; give equal shapes")
    return np.sqrt(np.square(x_db - x_hat_db).mean(-2)).mean(-1)


class RangeScaled(Transform):
    """What transforms to decibels share: scaling by their own range, and the way back.

    A child is a frozen dataclass with `sr`, `window_s`, `shape` and ``_sound_of``.
    """

    def model_input(self, x: np.ndarray) -> np.ndarray:
        """Scale spectrograms `x` ``(..., F, T)`` in dB to [0, 1], each by its own range."""
        return scale(x)[0]

    def value_range(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return lowest and highest value (...) of spectrograms `x` ``(..., F, T)`` in dB."""
        return scale(x)[1:]

    def to_audio(self, x: np.ndarray, low: Level = None, high: Level = None) -> np.ndarray:
        """Make scaled spectrograms audible.

        Parameters
        ----------
        x
            Spectrograms ``(B, F, T)`` in [0, 1], as a model gives them.
        low, high
            Their minimum and maximum in dB, ``(B,)`` or one for all; None takes a typical one.

        Returns
        -------
        ndarray
            Samples ``(B, N)`` float32 in [-1, 1].

        Raises
        ------
        ValueError
            If `x` has another number of axes or bins, or values that no sound has.
        """
        if np.ndim(x) != 3 or np.shape(x)[1] != self.shape[0]:
            raise ValueError(f"spectrograms have shape {np.shape(x)}; give (B, {self.shape[0]}, T)")
        low = TYPICAL_DB[0] if low is None else low
        high = TYPICAL_DB[1] if high is None else high
        return np.stack([self._sound_of(x_db) for x_db in unscale(x, low, high)])

    @property
    def length(self) -> int:
        """Samples of a window."""
        return Grid(self.sr, self.window_s).n

    def _window(self, y: np.ndarray) -> np.ndarray:
        """Return the samples (N,) of a window; refuse another length."""
        return Waveform(self.sr, self.window_s)(y)


@dataclass(frozen=True, kw_only=True)
class LogSTFT(RangeScaled):
    """Turn a window into a log-magnitude spectrogram.

    Parameters
    ----------
    sr
        Sampling rate in Hz.
    window_s
        Length of a window in seconds.
    n_fft, hop_length, top_db
        As in `log_stft`.
    first_only
        Whether only the first window of a file is taken: what is longer is cut.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    kind: ClassVar[str] = "logstft"

    sr: int = SR
    window_s: float = 0.74
    n_fft: int = 512
    hop_length: int = 256
    top_db: float = 80.0
    first_only: bool = False

    def __post_init__(self) -> None:
        validation.frames(self.n_fft, self.hop_length, self.n_fft // 2, self.top_db)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output: ``(F, T)``."""
        return (self.n_fft // 2, 1 + self.length // self.hop_length)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Compute the log-magnitude spectrogram of a window.

        Parameters
        ----------
        y
            Samples ``(N,)`` of one window, in [-1, 1].

        Returns
        -------
        ndarray
            Decibels ``(F, T)`` float32.

        Raises
        ------
        ValueError
            If the window has another length or holds NaN or infinity.
        """
        return log_stft(self._window(y), self.n_fft, hop_length=self.hop_length, top_db=self.top_db)

    def _sound_of(self, x_db: np.ndarray) -> np.ndarray:
        """Return the sound (N,) of decibels (F, T): as long as a window if it has its frames."""
        length = self.length if x_db.shape[1] == self.shape[1] else 0
        return stft_to_audio(x_db, self.hop_length, length)

    def inside(self, seconds: np.ndarray, top_hz: float) -> np.ndarray:
        """Return which cells can hold sound: neither padding nor above the recording's band.

        Parameters
        ----------
        seconds
            Lengths of the recordings ``(B,)``; what is longer than a window was cut.
        top_hz
            Highest frequency of the recordings in Hz: half of the rate that they were made at.

        Returns
        -------
        ndarray
            ``(B, F, T)`` bool.
        """
        bins, frames = self.shape
        below_top = np.arange(bins) * self.sr / self.n_fft < top_hz
        # A frame reaches half of n_fft to the left of its place.
        start_s = (np.arange(frames) * self.hop_length - self.n_fft // 2) / self.sr
        return below_top[:, None] & (start_s < np.asarray(seconds)[:, None, None])  # B x F x T


@dataclass(frozen=True)
class SpectrogramBatch:
    """Spectrograms of one split, in [0, 1], with what brings them back to decibels.

    Parameters
    ----------
    x
        ``(B, F, T)`` in [0, 1].
    low, high
        Their minimum and maximum in dB (B,).
    items
        One row each: item_id, path, label, start_s, end_s and what else the corpus knows.
    transform
        What made them.
    """

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    items: pd.DataFrame
    transform: LogSTFT

    def db(self, x: np.ndarray | None = None) -> np.ndarray:
        """Return decibels (B, F, T) of the spectrograms, or of others with the same ranges."""
        return unscale(self.x if x is None else x, self.low, self.high)

    def sounds(self, x: np.ndarray | None = None) -> np.ndarray:
        """Return the sounds (B, N) of the spectrograms, or of others with the same ranges."""
        return self.transform.to_audio(self.x if x is None else x, self.low, self.high)
