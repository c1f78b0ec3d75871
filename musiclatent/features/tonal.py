"""Measure the tonal content of music: pitch classes over time, and the key.

Pitch classes are counted from 0 for C; chroma (12, T) holds the strength of each over time. It is
taken from peaks of an STFT (`peak_chroma`) for keys, and from a constant-Q transform
(`cqt_chroma`), whose movement recognises a tune whatever instruments play it.
"""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import librosa
import numpy as np
from scipy.fft import rfft
from scipy.ndimage import uniform_filter1d

from musiclatent.audio.windows import Measurement
from musiclatent.config import SR
from musiclatent.features import validation

NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
MODES = ("major", "minor")
N_FFT = 8192  # 372 ms at 22,050 Hz
RANGE_HZ = (60.0, 1000.0)
STEPS = 3  # bins of a semitone, from which the tuning is read
HOP = 1024
OCTAVES = 7  # from C1, 33 Hz
POOL = 8  # frames of the transform that become one: 0.37 s at 22,050 Hz
SOFT = 100.0  # a tone 40 dB below the loudest still counts for a seventh of it
STEADY_HZ = 100.0  # above the tone of a bass drum
APART = 4  # frames between those that must hold a tone: at 93 ms each they do not overlap
OUT = 1.5  # times the mean of its neighbourhood that a tone stands out
WIDE = 31  # bins of that neighbourhood: 83 Hz
SURE = (
    0.005  # strength of a key times the share of tones that stay; drums, noise have 0.003 at most
)
_QUIET = 0.01  # of a spectral peak: about 106 dB below full scale
PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}  # of Krumhansl and Kessler, 1982


@dataclass(frozen=True)
class Key:
    """A key and how well it fits.

    Parameters
    ----------
    tonic
        Pitch class of the tonic, 0 to 11; C is 0. -1 where there is no key, see `NO_KEY`.
    mode
        ``major`` or ``minor``; empty where there is no key.
    strength
        Correlation of the chroma with the profile of the key, in [-1, 1]; 0 for silence.
    """

    tonic: int
    mode: str
    strength: float = 1.0

    @property
    def name(self) -> str:
        """Name such as ``A# minor``; empty where there is no key."""
        return f"{NAMES[self.tonic]} {self.mode}" if self else ""

    @property
    def fifths(self) -> int:
        """Place on the circle of fifths, 0 to 11, that relative keys share; C major is 0."""
        return 7 * (self.tonic + 3 * (self.mode == "minor")) % 12

    @property
    def camelot(self) -> str:
        """Name on the wheel that DJs use, such as ``3A``; C major is 8B, A minor 8A."""
        return f"{(self.fifths + 7) % 12 + 1}{'A' if self.mode == 'minor' else 'B'}" if self else ""

    def __bool__(self) -> bool:
        return self.tonic >= 0


NO_KEY = Key(-1, "", 0.0)  # of drums, noise and silence


def estimate_key(chroma: np.ndarray) -> Key:
    """Find the key whose profile correlates best with the chroma.

    Parameters
    ----------
    chroma
        (12,) or (12, T), not negative; frames are added up.

    Returns
    -------
    Key
        C major of strength 0 where all pitch classes are equal, as in silence.

    Raises
    ------
    ValueError
        If the shape is another, or a value is negative or not finite.

    Notes
    -----
    C. L. Krumhansl and E. J. Kessler, Tracing the dynamic changes in perceived tonal organization,
    Psychological Review 89, 1982; C. L. Krumhansl, Cognitive foundations of musical pitch, 1990.
    """
    chroma = np.asarray(chroma, float)
    if chroma.ndim not in (1, 2) or len(chroma) != 12:
        raise ValueError(f"chroma has shape {chroma.shape}; give (12,) or (12, T)")
    if not (np.isfinite(chroma) & (chroma >= 0)).all():
        raise ValueError("chroma holds values that are negative or not finite; give strengths")
    total = chroma.reshape(12, -1).sum(axis=1)
    if np.ptp(total) <= 1e-9 * total.max():
        return Key(0, "major", 0.0)
    profiles = [np.roll(PROFILES[mode], tonic) for mode in MODES for tonic in range(12)]
    fits = np.corrcoef(total, profiles)[0, 1:]
    best = int(fits.argmax())
    return Key(best % 12, MODES[best // 12], float(fits[best]))


def key_distance(a: Key, b: Key) -> int:
    """Count the steps between two keys for mixing.

    Parameters
    ----------
    a, b
        Two keys.

    Returns
    -------
    int
        Steps on the circle of fifths between the major keys that have the same notes, 0 to 6, and
        one more where the modes differ and the keys are not relative: 0 for the same key and for
        relative ones, 1 for a fifth, 4 for C major and C minor; at most 7. 0 where one has no key.
    """
    if not (a and b):
        return 0
    steps = (a.fifths - b.fifths) % 12
    steps = min(steps, 12 - steps)
    return steps + (a.mode != b.mode and steps > 0)


def each_second(x: np.ndarray, rate: float, seconds: int) -> np.ndarray:
    """Average frames second by second.

    Parameters
    ----------
    x
        (T, D).
    rate
        Frames per second.
    seconds
        How many seconds there are; what comes later is counted to the last.

    Returns
    -------
    array (S, D)
        Means.
    """
    starts = np.minimum(np.ceil(np.arange(seconds) * rate).astype(int), len(x) - 1)
    counts = np.maximum(1, np.diff(starts, append=len(x)))
    return np.add.reduceat(x.astype(float), starts, axis=0) / counts[:, None]


def peak_chroma(frames: np.ndarray, sr: int) -> np.ndarray:
    """Add up the spectral peaks of each frame by their place in the octave.

    Parameters
    ----------
    frames
        Samples (T, N_FFT).
    sr
        Sampling rate in Hz.

    Returns
    -------
    array (T, 12 * STEPS), float32
        Square roots of the amplitudes of the peaks between 60 and 1,000 Hz, in thirds of a
        semitone; bin 0 is C of 440 Hz tuning.
    """
    return peaks_of(spectra(frames, sr), sr)


def spectra(frames: np.ndarray, sr: int) -> np.ndarray:
    """Return amplitudes of frames between 60 and 1,000 Hz, and of one bin more on both sides.

    Parameters
    ----------
    frames
        Samples (T, N_FFT).
    sr
        Sampling rate in Hz.

    Returns
    -------
    array (T, F), float32
        Bins of sr / N_FFT Hz.
    """
    low, high = _bounds(sr)
    window = np.hanning(N_FFT).astype(np.float32)
    parts = [  # that stay in the processor's cache
        np.abs(rfft(frames[i : i + 32] * window, axis=1))[:, low - 1 : high + 1]
        for i in range(0, max(1, len(frames)), 32)
    ]
    return np.concatenate(parts)


def sustained(S: np.ndarray, sr: int) -> np.ndarray:
    """Measure how much of the sound is tones that stay where they are for three frames.

    Parameters
    ----------
    S
        Amplitudes (T, F) as `spectra` gives, `APART` of whose frames have no sample in common.
    sr
        Sampling rate in Hz.

    Returns
    -------
    array (T - 2 * APART, 2), float32
        Of each frame but the first and last `APART`: the amplitudes above 100 Hz that stand out
        from their neighbourhood in the frame and as far before and behind it, summed, and the sum
        of all. Drums, noise and glides have next to none of the former.
    """
    low = round(STEADY_HZ * N_FFT / sr) - _bounds(sr)[0] + 1
    here, width = S[APART:-APART, low:], 2 * APART
    staying = np.minimum(np.minimum(S[:-width, low:], S[width:, low:]), here)
    standing_out = staying > OUT * uniform_filter1d(here, WIDE, axis=1)
    return np.stack([(staying * standing_out).sum(axis=1), here.sum(axis=1)], axis=1)


def _bounds(sr: int) -> tuple[int, int]:
    """Return the first bin of `RANGE_HZ`, and the first one above."""
    low, high = (round(hz * N_FFT / sr) for hz in RANGE_HZ)
    return low, high


def peaks_of(S: np.ndarray, sr: int) -> np.ndarray:
    """Return the pitch classes (T, 12 * STEPS) of spectra (T, F), see `peak_chroma`."""
    return np.concatenate([_peaks(S[i : i + 32], sr) for i in range(0, max(1, len(S)), 32)])


def _peaks(S: np.ndarray, sr: int) -> np.ndarray:
    """Return the pitch classes (T, 12 * STEPS) of a few spectra."""
    bins, low = STEPS * 12, _bounds(sr)[0]
    before, here, after = S[:, :-2], S[:, 1:-1], S[:, 2:]
    frame, k = np.nonzero((here > before) & (here >= after) & (here > _QUIET))
    before, here, after = (np.log(part[frame, k] + 1e-9) for part in (before, here, after))
    shift = 0.5 * (before - after) / np.minimum(before - 2 * here + after, -1e-9)
    hz = (k + low + shift) * sr / N_FFT
    place = np.rint(bins * np.log2(hz / 440.0) + 9 * STEPS).astype(int) % bins
    classes = np.bincount(frame * bins + place, np.exp(0.5 * here), len(S) * bins)
    return classes.reshape(-1, bins).astype(np.float32)


def tuned(classes: np.ndarray) -> np.ndarray:
    """Join thirds of a semitone to pitch classes, in the tuning that the music has.

    Parameters
    ----------
    classes
        (T, 12 * STEPS), as `peak_chroma` gives; all frames share one tuning.

    Returns
    -------
    array (12, T), float32
        Chroma.
    """
    total = classes.sum(axis=0, dtype=float)
    angle = np.angle(np.sum(total * np.exp(2j * np.pi * np.arange(total.size) / STEPS)))
    shift = round(angle / (2 * np.pi) * STEPS) - 1  # the bin below the centre of C
    return np.roll(classes, -shift, axis=1).reshape(-1, 12, STEPS).sum(axis=2).T


def changes(chroma: np.ndarray, times_s: np.ndarray, *, span_s: float, rate: float) -> np.ndarray:
    """Measure how the harmony changes at some times.

    Parameters
    ----------
    chroma
        (12, T).
    times_s
        (n,) in seconds.
    span_s
        How much before and after is compared, in seconds.
    rate
        Frames of the chroma per second.

    Returns
    -------
    array (n,)
        Cosine distance of the chroma summed over both spans, 0 to 1; 0 beside silence.
    """
    total = np.pad(np.cumsum(chroma, axis=1, dtype=float), ((0, 0), (1, 0)))
    edges = (times_s + span_s * np.array([[-1], [0], [1]])) * rate + 0.5
    at = np.stack([np.interp(edges, np.arange(total.shape[1]), row) for row in total])
    before, after = np.diff(at, axis=1).transpose(1, 0, 2)  # 12 x n each
    size = np.linalg.norm(before, axis=0) * np.linalg.norm(after, axis=0)
    same = (before * after).sum(axis=0) / np.maximum(size, 1e-9)
    return np.where(size > 1e-9, 1 - same, 0.0)


@dataclass(frozen=True)
class Harmony(Measurement):
    """Turn a section into its pitch classes over time, for the cache.

    Parameters
    ----------
    sr
        Sampling rate in Hz.
    window_s
        Length of a section in seconds.
    """

    kind: ClassVar[str] = "harmony"

    sr: int = SR
    window_s: float = 15.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output: ``(12, T)``."""
        return (12, int(self.window_s * self.sr / HOP) // POOL)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Return the pitch classes (12, T) of samples ``(N,)``."""
        return cqt_chroma(y, self.sr)[:, : self.shape[1]]


def cqt_chroma(y: np.ndarray, sr: int) -> np.ndarray:
    """Measure how strongly each pitch class sounds, over time.

    Parameters
    ----------
    y
        Samples (N,) in [-1, 1], at least a second.
    sr
        Sampling rate in Hz, above 8,400 so that it holds the highest octave.

    Returns
    -------
    ndarray
        (12, T) float32 from C to B, 0.37 s per frame at 22,050 Hz; the mean of each frame is 0, so
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
    if sr <= 8_400:
        raise ValueError(f"sr is {sr}; resample to more than 8,400 Hz")
    y = validation.samples(y, sr)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "n_fft=")  # the deepest tones of a short section
        # From C1 up, as by default.
        S = np.abs(librosa.cqt(y, sr=sr, hop_length=HOP, n_bins=12 * OCTAVES))
    S = np.log1p(SOFT * S / max(float(S.max()), 1e-6))
    chroma = S.reshape(OCTAVES, 12, -1).sum(axis=0)  # 12 x frames
    frames = chroma.shape[1] // POOL
    chroma = chroma[:, : frames * POOL].reshape(12, frames, POOL).mean(axis=2)  # 12 x T
    return (chroma - chroma.mean(axis=0, keepdims=True)).astype(np.float32)
