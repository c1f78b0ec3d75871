"""Descriptors of a section of music: numbers measured from its sound, all from one STFT.

The first 57 bear the names of GTZAN's table (``features_30_sec.csv``) and are computed as there, by
librosa with its usual settings: mean and variance over the frames, ``_mean`` and ``_var``. Those of
`FURTHER` are ours. In that table ``harmony`` and ``perceptr`` are the samples of the harmonic and
the percussive part. Beside them: the share of clipped samples, and what tells one window of a
recording from the others.
"""

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import librosa
import numpy as np
import pandas as pd
from scipy.ndimage import median_filter

from musiclatent.audio.windows import Measurement
from musiclatent.config import SR
from musiclatent.features import stft, validation

N_FFT, HOP = 2048, 512
N_MFCC = 20
LEAST = 8 * HOP  # samples: nine frames, over which the change of an MFCC is taken
ABOVE_HZ = 12_800  # half of it is where the last band of the contrast begins
BEATS_BPM = (30.0, 300.0)  # where a beat is looked for
_KERNEL = 31  # of the median filters, as in librosa.effects.hpss
_TUNED_HZ = 4000.0  # librosa looks for pitches below it
GAP_DB, GAP_FLOOR, GAP_MS = 40.0, 2.5e-4, 5  # what is a silence inside a second; -72 dB
FULL_SCALE = 0.999  # from which a sample counts as clipped
_FRAMES = ["chroma_stft", "rms", "spectral_centroid", "spectral_bandwidth", "rolloff"]
_MFCC = [f"mfcc{i}" for i in range(1, N_MFCC + 1)]
_CONTRAST = [f"contrast{i}" for i in range(1, 8)]


def _both(names: list[str]) -> list[str]:
    """Return the names of mean and variance."""
    return [f"{name}_{what}" for name in names for what in ("mean", "var")]


CLASSIC = (*_both([*_FRAMES, "zero_crossing_rate", "harmony", "perceptr"]), "tempo", *_both(_MFCC))
FURTHER = (
    *(f"{name}_delta_var" for name in _MFCC),  # the mean change is about 0
    *_both([*_CONTRAST, "flux", "onset_strength", "amplitude_envelope"]),
    "beat_regularity",
)
COLUMNS = (*CLASSIC, *FURTHER)
EMPTY = ("harmony_mean", "perceptr_mean")  # means of samples: about 0 for any music


def family(column: str) -> str:
    """Name the family of a column: ``mfcc5_mean`` and ``mfcc5_delta_var`` are of ``mfcc5``."""
    return re.sub(r"(_delta)?_(mean|var|sd)$", "", column)


@dataclass(frozen=True, kw_only=True)
class Frames:
    """A section and the spectra that its descriptors share.

    Parameters
    ----------
    y
        Samples (N,) in [-1, 1].
    sr
        Sampling rate in Hz.
    D
        Complex STFT (F, T).
    S
        Its magnitude (F, T).
    power
        Its square (F, T).
    mel_db
        Log-mel spectrogram (M, T) in dB.
    mfcc
        (20, T).
    onsets
        Onset strength (T,).
    """

    y: np.ndarray
    sr: int
    D: np.ndarray
    S: np.ndarray
    power: np.ndarray
    mel_db: np.ndarray
    mfcc: np.ndarray
    onsets: np.ndarray


def frames(y: np.ndarray, sr: int) -> Frames:
    """Compute the spectra that descriptors share.

    Parameters
    ----------
    y
        Samples (N,), floats in [-1, 1], of at least `LEAST` samples.
    sr
        Sampling rate in Hz, above `ABOVE_HZ`.

    Raises
    ------
    ValueError
        If the section is too short, not one channel of floats, or not finite, or `sr` too low.
    """
    if sr <= ABOVE_HZ:
        raise ValueError(f"sr is {sr}; resample to more than {ABOVE_HZ:,} Hz")
    y = validation.samples(y, LEAST)
    D = librosa.stft(y, n_fft=N_FFT, hop_length=HOP)
    S = np.abs(D)
    power = S**2
    mel_db = librosa.power_to_db(librosa.feature.melspectrogram(S=power, sr=sr))
    mfcc = librosa.feature.mfcc(S=mel_db, n_mfcc=N_MFCC)
    onsets = librosa.onset.onset_strength(S=mel_db, sr=sr, aggregate=np.median)
    return Frames(y=y, sr=sr, D=D, S=S, power=power, mel_db=mel_db, mfcc=mfcc, onsets=onsets)


def spectral(shared: Frames) -> dict[str, float]:
    """Compute the 53 descriptors of GTZAN's table that need no separation.

    Parameters
    ----------
    shared
        What `frames` gives.

    Returns
    -------
    dict
        Name -> value, what librosa gives from the samples to a relative 1e-5.
    """
    y, sr, S = shared.y, shared.sr, shared.S
    centroid = librosa.feature.spectral_centroid(S=S, sr=sr)
    rows = {
        "chroma_stft": librosa.feature.chroma_stft(S=shared.power, sr=sr, tuning=_tuning(shared)),
        "rms": librosa.feature.rms(y=y),
        "spectral_centroid": centroid,
        "spectral_bandwidth": librosa.feature.spectral_bandwidth(S=S, sr=sr, centroid=centroid),
        "rolloff": librosa.feature.spectral_rolloff(S=S, sr=sr),
        "zero_crossing_rate": librosa.feature.zero_crossing_rate(y),
    }
    tempo = librosa.feature.tempo(onset_envelope=shared.onsets, sr=sr)
    rows |= dict(zip(_MFCC, shared.mfcc, strict=True))
    return _summaries(rows) | {"tempo": float(tempo[0])}


def _tuning(shared: Frames) -> float:
    """Estimate the tuning as librosa does, from the bins alone in which it looks for pitches."""
    power, sr, loudest = shared.power, shared.sr, shared.power.max(axis=0)
    if sr / 4 > _TUNED_HZ:  # half of the bins reach a quarter of the rate: all that librosa keeps
        power, sr = power[: N_FFT // 4 + 1], sr / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Trying to estimate tuning")  # silence has none: 0
        return librosa.estimate_tuning(
            S=power, sr=sr, bins_per_octave=12, ref=lambda *_, **__: loudest
        )


def separated(shared: Frames) -> dict[str, float]:
    """Compute the four descriptors of the harmonic and the percussive part.

    Parameters
    ----------
    shared
        What `frames` gives.

    Notes
    -----
    Fitzgerald (2010), Harmonic/percussive separation using median filtering. As
    ``librosa.effects.hpss``, whose median filter over one axis of a table is ten times as slow as
    the same over one long row.
    """
    S, phase = librosa.magphase(shared.D)
    harmonic, percussive = _median(S), _median(S.T).T
    rows = {}
    for name, part, rest in (
        ("harmony", harmonic, percussive),
        ("perceptr", percussive, harmonic),
    ):
        mask = librosa.util.softmask(part, rest, power=2.0, split_zeros=True)
        rows[name] = librosa.istft((S * mask) * phase, length=len(shared.y))
    return _summaries(rows)


def _median(rows: np.ndarray) -> np.ndarray:
    """Compute the median over 31 values along the last axis, mirrored at the ends."""
    half = _KERNEL // 2
    padded = np.pad(rows, ((0, 0), (half, half)), mode="symmetric")
    return median_filter(padded.ravel(), _KERNEL).reshape(padded.shape)[:, half:-half]


def further(shared: Frames) -> dict[str, float]:
    """Compute the descriptors that GTZAN's table does not have.

    Parameters
    ----------
    shared
        What `frames` gives.

    Returns
    -------
    dict
        ``mfccK_delta_var``: variance of the change of an MFCC; ``contrastK``: peaks above valleys
        in seven octaves, dB (Jiang et al., 2002); ``flux``: Euclidean norm of what grows from frame
        to frame in spectra of sum 1; ``onset_strength``; ``amplitude_envelope``: peak of every 512
        samples; ``beat_regularity``: highest autocorrelation of the onset strength at 30 to 300
        beats per minute, at most 1 (Lartillot et al., 2008).
    """
    deltas = librosa.feature.delta(shared.mfcc).var(axis=1)
    contrast = librosa.feature.spectral_contrast(S=shared.S, sr=shared.sr)
    shares = shared.S / np.maximum(shared.S.sum(axis=0), 1e-10)
    grown = np.maximum(0, np.diff(shares, axis=1))
    whole = len(shared.y) // HOP * HOP
    values = {f"{name}_delta_var": float(x) for name, x in zip(_MFCC, deltas, strict=True)}
    values["beat_regularity"] = beat_regularity(shared.onsets, shared.sr)
    rows = dict(zip(_CONTRAST, contrast, strict=True)) | {
        "flux": np.linalg.norm(grown, axis=0),
        "onset_strength": shared.onsets,
        "amplitude_envelope": np.abs(shared.y[:whole]).reshape(-1, HOP).max(axis=1),
    }
    return values | _summaries(rows)


def beat_regularity(onsets: np.ndarray, sr: int, hop_length: int = HOP) -> float:
    """Return how regular the beat is: the highest autocorrelation of the onset strength.

    Parameters
    ----------
    onsets
        Onset strength (T,).
    sr, hop_length
        Sampling rate in Hz, and samples from one frame to the next.

    Returns
    -------
    float
        At most 1; 0 where nothing changes, or the section is too short for a beat.
    """
    moving = onsets - onsets.mean()
    power = float(np.square(moving).sum())
    lags = 60.0 * sr / hop_length / np.array(BEATS_BPM[::-1])
    first, last = int(np.ceil(lags[0])), min(int(lags[1]), len(onsets) // 2)
    if power < 1e-8 or last <= first:
        return 0.0
    return float(max(0.0, librosa.autocorrelate(moving)[first : last + 1].max() / power))


def extract(y: np.ndarray, sr: int) -> pd.Series:
    """Compute all descriptors of a section.

    Parameters
    ----------
    y
        Samples (N,), floats in [-1, 1], of at least `LEAST` samples.
    sr
        Sampling rate in Hz.

    Returns
    -------
    Series
        Value of each of `COLUMNS`.

    Raises
    ------
    ValueError
        As `frames`.
    """
    shared = frames(y, sr)
    return pd.Series(spectral(shared) | separated(shared) | further(shared))[list(COLUMNS)]


@dataclass(frozen=True)
class Descriptors(Measurement):
    """Turn a section into its descriptors, for the cache.

    Parameters
    ----------
    sr
        Sampling rate in Hz.
    window_s
        Length of a section in seconds.
    """

    kind: ClassVar[str] = "attributes"  # the name that caches are kept under

    sr: int = SR
    window_s: float = 30.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output: ``(len(COLUMNS),)``."""
        return (len(COLUMNS),)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Return the descriptors (D,) of samples ``(N,)`` without the zeros that fill a window."""
        trimmed = np.trim_zeros(y, "b")
        return extract(trimmed if len(trimmed) >= LEAST else y, self.sr).to_numpy(np.float32)


def _summaries(rows: dict[str, np.ndarray]) -> dict[str, float]:
    """Return mean and variance of each row."""
    values = [float(f(row)) for row in rows.values() for f in (np.mean, np.var)]
    return dict(zip(_both(list(rows)), values, strict=True))


@dataclass(frozen=True)
class Clipping(Measurement):
    """Measure the share of clipped samples of a section, for the cache.

    Channels are mixed before: what is clipped in one of them only is not seen.

    Parameters
    ----------
    sr
        Sampling rate in Hz; that of most tracks, for another rate blurs the peaks.
    window_s
        Length of a section in seconds.
    """

    kind: ClassVar[str] = "clipping"

    sr: int = 44_100
    window_s: float = 15.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output: ``(1,)``."""
        return (1,)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Return the share (1,) of samples (N,) at full scale."""
        return np.array([np.mean(np.abs(y) >= FULL_SCALE)], np.float32)


@dataclass(frozen=True)
class Gaps(Measurement):
    """Measure the silences inside each second of a section, in steps of a millisecond.

    A millisecond is silent where its RMS lies `GAP_DB` below that of the loudest one of the
    section, or below `GAP_FLOOR`. A gap is `GAP_MS` or more of them in a row. Murillo Martinez
    (2022), section 7, names such silences as what its seconds may hold unseen; the limits are ours.

    Parameters
    ----------
    sr
        Sampling rate in Hz; that of most tracks, for a slow one blurs short silences.
    window_s
        Length of a section in whole seconds.
    """

    kind: ClassVar[str] = "gaps"

    sr: int = 44_100
    window_s: float = 15.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output: ``(2, seconds)``."""
        return (2, max(1, int(self.window_s)))

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Return of each second of samples (N,): the number of gaps, and the silent share."""
        seconds = self.shape[1]
        edges = np.round(np.arange(1000 * seconds) * self.sr / 1000).astype(int)
        y = np.pad(y, (0, max(0, round(seconds * self.sr) - len(y))))[: round(seconds * self.sr)]
        power = np.add.reduceat(np.square(y, dtype=np.float64), edges)
        level = np.sqrt(power / np.diff([*edges, len(y)]))
        silent = level <= max(level.max() * 10 ** (-GAP_DB / 20), GAP_FLOOR)
        by_second = silent.reshape(seconds, 1000)
        return np.array([[_gaps(row) for row in by_second], by_second.mean(axis=1)], np.float32)


def _gaps(silent: np.ndarray) -> int:
    """Count runs of `GAP_MS` or more."""
    edges = np.flatnonzero(np.diff(silent.astype(int), prepend=0, append=0)).reshape(-1, 2)
    return int((edges[:, 1] - edges[:, 0] >= GAP_MS).sum())


def window_statistics(windows: Iterable[np.ndarray], sr: int) -> pd.DataFrame:
    """Measure windows of sound, for an index that holds no factors.

    Parameters
    ----------
    windows
        Samples (N,) of each window, in [-1, 1]; or its log-mel spectrogram (M, T).
    sr
        Sampling rate in Hz; not used for spectrograms.

    Returns
    -------
    DataFrame
        One row per window: `tempo` (estimated beats per minute), `centroid_hz` (of the spectrum),
        `level_db` (RMS, dB of full scale). Tempo and centroid of silence are missing. Of a
        spectrogram: `centroid` (share of the bands), `flux` and `level` (shares of its range).
    """
    return pd.DataFrame([_measure(y, sr) if y.ndim == 1 else _measure_mel(y) for y in windows])


def _measure(y: np.ndarray, sr: int) -> dict[str, float]:
    """Measure one window of samples (N,)."""
    level_db = 10 * np.log10(np.mean(np.square(y)) + 1e-12)
    if level_db < -90:
        return {"tempo": np.nan, "centroid_hz": np.nan, "level_db": level_db}
    S = np.abs(librosa.stft(y, n_fft=min(N_FFT, len(y)), hop_length=HOP))
    onsets = np.maximum(0, np.diff(np.log1p(100 * S), axis=1)).mean(axis=0)
    tempo = librosa.feature.tempo(onset_envelope=onsets, sr=sr, hop_length=HOP)
    centroid_hz = float((np.linspace(0, sr / 2, len(S)) @ S).sum() / S.sum())
    return {"tempo": float(tempo[0]), "centroid_hz": centroid_hz, "level_db": level_db}


def _measure_mel(x: np.ndarray) -> dict[str, float]:
    """Measure one log-mel spectrogram (M, T), in shares of its own range and bands."""
    x = stft.scale(x)[0]
    centroid = float((np.linspace(0, 1, len(x)) @ x).sum() / max(x.sum(), 1e-9))
    flux = float(np.maximum(0, np.diff(x, axis=1)).mean())
    return {"centroid": centroid, "flux": flux, "level": float(x.mean())}
