"""How the harmony of a section moves: which pitch classes sound when, whatever plays them."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import librosa
import numpy as np

from musiclatent.config import SR

HOP = 1024
OCTAVES = 7  # from C1, 33 Hz
POOL = 8  # frames of the transform that become one: 0.37 s at 22,050 Hz
SOFT = 100.0  # a tone 40 dB below the loudest still counts for a seventh of it


@dataclass(frozen=True)
class Harmony:
    """Turn a section into its pitch classes over time, for the cache.

    Parameters
    ----------
    sr
        Sampling rate in Hz.
    window_s
        Length of a section in seconds.
    """

    kind: ClassVar[str] = "harmony"
    version: ClassVar[int] = 1
    first_only: ClassVar[bool] = False

    sr: int = SR
    window_s: float = 15.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output: ``(12, T)``."""
        return (12, int(self.window_s * self.sr / HOP) // POOL)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Return the pitch classes (12, T) of samples ``(N,)``."""
        return pitch_classes(y, self.sr)[:, : self.shape[1]]


def pitch_classes(y: np.ndarray, sr: int) -> np.ndarray:
    """Measure how strongly each pitch class sounds, over time.

    Parameters
    ----------
    y
        Samples (N,) in [-1, 1], at least a second.
    sr
        Sampling rate in Hz, above 8,400 so that the highest octave is heard.

    Returns
    -------
    ndarray
        (12, T) float32 from C to B, 0.37 s a frame at 22,050 Hz; the mean of each frame is 0, so
        that its level does not count.

    Raises
    ------
    ValueError
        If the section is too short or not finite, or `sr` too low.

    Notes
    -----
    Constant-Q transform as in librosa (Schoerkhuber and Klapuri 2010); its magnitudes, as shares of
    the largest, become logarithms before the octaves are added up.
    """
    y = np.asarray(y, np.float32)
    if sr <= 8_400 or len(y) < sr:
        raise ValueError(
            f"{len(y)} samples at {sr} Hz: harmony needs a second of sound above 8,400 Hz"
        )
    if not np.isfinite(y).all():
        raise ValueError("the section holds NaN or infinity; repair its samples first")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "n_fft=")  # the deepest tones of a short section
        S = np.abs(
            librosa.cqt(
                y, sr=sr, hop_length=HOP, fmin=librosa.note_to_hz("C1"), n_bins=12 * OCTAVES
            )
        )
    S = np.log1p(SOFT * S / max(float(S.max()), 1e-6))
    chroma = S.reshape(OCTAVES, 12, -1).sum(axis=0)  # 12 x frames
    frames = chroma.shape[1] // POOL
    chroma = chroma[:, : frames * POOL].reshape(12, frames, POOL).mean(axis=2)  # 12 x T
    return (chroma - chroma.mean(axis=0, keepdims=True)).astype(np.float32)
