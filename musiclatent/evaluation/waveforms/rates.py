"""Measure what a lower sampling rate leaves out of recordings that have a higher one."""

from collections.abc import Sequence
from pathlib import Path

import librosa
import numpy as np
import pandas as pd

from musiclatent import audio, files
from musiclatent.analysis import statistics
from musiclatent.config import SR, data_root
from musiclatent.data import folders
from musiclatent.features import stft

FULL_HZ = 44_100  # rate from which on a recording is taken
CORPORA = ("edm", "game_music")
FRAME_S = 0.0464  # 1,024 samples at 22,050 Hz: the same time at every rate
LEAST = 1e-12  # energy below it is none
DESCRIPTORS = ("centroid", "bandwidth", "rolloff")


def recordings(most: int) -> list[Path]:
    """Return files of the corpora that keep high rates, evenly over each; none where none is.

    Parameters
    ----------
    most
        How many of a corpus at most.
    """
    chosen: list[Path] = []
    for name in CORPORA if most else ():
        folder = data_root() / name
        found = folders.walk(folder).found if folder.is_dir() else []
        rows = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).astype(int))
        chosen += [found[i] for i in rows]
    return chosen


def rate_table(paths: Sequence[str | Path], sr: int = SR, *, seconds: float = 15.0) -> pd.DataFrame:
    """Compare the middle of recordings with what a lower rate keeps of it.

    Parameters
    ----------
    paths
        Audio files; those below 44,100 Hz are left out, and so is silence.
    sr
        The lower rate in Hz, at most half of theirs or a little more.
    seconds
        How much of the middle of each.

    Returns
    -------
    DataFrame
        One row per recording: item_id, corpus (the first folder below the data), ``rate`` in Hz;
        ``above_db``, the energy from sr / 2 on over the whole, in dB; ``above_share``, the same as
        a share; ``log_spectral_distance`` in dB from the recording to what comes back from `sr`,
        80 dB deep; centroid, bandwidth and rolloff (85 %): how much lower they are at `sr`, as a
        share.

    Raises
    ------
    AudioError
        If a file cannot be read.
    """
    rows = []
    for path in files.progress(paths, "rates", "file", delay=2):
        info = audio.info(path)
        if info.sr < FULL_HZ:
            continue
        start_s = max(0.0, (info.seconds - seconds) / 2) if np.isfinite(info.seconds) else 0.0
        y, rate = audio.read(path, start_s=start_s, duration_s=seconds)
        if np.square(y).sum() > LEAST:
            row = {"item_id": Path(path).stem, "corpus": _corpus(path), "rate": rate}
            rows.append(row | _changes(y, rate, sr))
    columns = ["item_id", "corpus", "rate", "above_db", "above_share", "log_spectral_distance"]
    return pd.DataFrame(rows, columns=[*columns, *DESCRIPTORS])


def summary(table: pd.DataFrame, key: str = "rate") -> dict[str, float]:
    """Return means over recordings with their 95 % intervals.

    Parameters
    ----------
    table
        As `rate_table` returns it.
    key
        Beginning of the names.

    Returns
    -------
    dict
        KEY_recordings; and KEY_CORPUS_COLUMN with ``_low`` and ``_high`` for each column.
    """
    metrics: dict[str, float] = {f"{key}_recordings": len(table)}
    for corpus, rows in table.groupby("corpus"):
        for name in ("above_db", "above_share", "log_spectral_distance", *DESCRIPTORS):
            metrics |= statistics.mean(rows[name]).named(f"{key}_{corpus}_{name}")
    return metrics


def _corpus(path: str | Path) -> str:
    """Return the first folder below the data that a file is in; else its own folder."""
    path = Path(path)
    below = path.is_relative_to(data_root())
    return path.relative_to(data_root()).parts[0] if below else path.parent.name


def _changes(y: np.ndarray, rate: int, sr: int) -> dict[str, float]:
    """Return what a lower rate changes in samples (N,)."""
    energy = np.square(np.abs(np.fft.rfft(y)))
    above = energy[np.fft.rfftfreq(len(y), 1 / rate) >= sr / 2].sum() / energy.sum()
    low = librosa.resample(y, orig_sr=rate, target_sr=sr)
    back = librosa.util.fix_length(librosa.resample(low, orig_sr=sr, target_sr=rate), size=len(y))
    n_fft = 2 * round(FRAME_S * rate / 2)
    pair = (stft.log_stft(one, n_fft, hop_length=n_fft // 2) for one in (y, back))
    before, after = _shape(y, rate), _shape(low, sr)
    lower = {name: 1 - after[name] / max(before[name], LEAST) for name in DESCRIPTORS}
    return {
        "above_db": float(10 * np.log10(above + LEAST)),
        "above_share": float(above),
        "log_spectral_distance": float(stft.log_spectral_distance(*pair)),
    } | lower


def _shape(y: np.ndarray, rate: int) -> dict[str, float]:
    """Return medians over frames of equal time of descriptors of a spectrum's shape, in Hz."""
    n_fft = 2 * round(FRAME_S * rate / 2)
    magnitude = np.abs(librosa.stft(y, n_fft=n_fft, hop_length=n_fft // 2))
    how = {"S": magnitude, "sr": rate, "n_fft": n_fft}
    values = {
        "centroid": librosa.feature.spectral_centroid(**how),
        "bandwidth": librosa.feature.spectral_bandwidth(**how),
        "rolloff": librosa.feature.spectral_rolloff(**how, roll_percent=0.85),
    }
    return {name: float(np.median(value)) for name, value in values.items()}
