"""Measure tempo, beats and bars of tracks, with key and loudness section by section.

A track is read once, block by block: of its sound we keep the onset strength of three bands every
5.8 ms, the pitch classes every 93 ms, and the power. Dance music keeps one tempo: a grid of beats
is fitted to all onsets of a track at once, so that it goes on through breaks and silence. Where no
grid fits, beats are tracked one by one.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import tee
from pathlib import Path

import joblib
import librosa
import numpy as np
import pandas as pd
from scipy.fft import rfft
from scipy.ndimage import maximum_filter1d
from scipy.signal.windows import hann

from musiclatent import audio, numba_cache
from musiclatent.audio import windows
from musiclatent.config import SR
from musiclatent.errors import AudioError
from musiclatent.features import beat_grid, tonal
from musiclatent.features.beat_grid import HOP, RATE
from musiclatent.files import need_columns, progress, sha256_of, write_file

CACHE_VERSION = 1  # raise it when the features change: tracks are then computed anew
N_FFT = 512  # 23 ms
CHROMA_HOP = 16 * HOP
BANDS, LOW, HIGH = 24, 2, 16  # mel bands; those below LOW hold the bass drum, from HIGH cymbals
LEVEL = 1e4  # a band is loud, to the logarithm, above the power 1 / LEVEL
LATE_S = 0.003  # noise bursts that set in at once are found so much early: frames reach ahead
STABLE = 0.85  # below it, beats are tracked one by one
EDGE_S = 0.012  # so much before the file a beat may lie; it is set to 0
LEAST_S = 8.0  # shorter tracks have no rhythm
FLOOR_DB = -120.0  # loudness of silence
# What makes the beginning of a bar: bass drum there, on all its beats, snare, change of harmony.
WEIGHTS = (1.0, 1.0, 0.5, 2.0)


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """Tempo and beats of a track.

    Parameters
    ----------
    tempo
        Beats per minute; NaN where there is no rhythm, as in silence.
    beats_s
        (n,) times of the beats in seconds, rising, from the first to the last of the track.
    downbeat
        Index (0 to 3) of the first beat that begins a bar of four.
    stability
        From 0 to 1: how well one tempo explains the onsets; below `STABLE` beats were tracked one
        by one.
    """

    tempo: float
    beats_s: np.ndarray
    downbeat: int
    stability: float


@dataclass(frozen=True)
class Track:
    """What is stored of a track.

    Parameters
    ----------
    rhythm
        Its tempo and beats.
    chroma
        (12, S) strength of the pitch classes in each second.
    power
        (S,) mean square of the samples in each second.
    """

    rhythm: Rhythm
    chroma: np.ndarray
    power: np.ndarray

    def key(self, start_s: float = 0.0, end_s: float = math.inf) -> tonal.Key:
        """Find the key of a part, given in seconds."""
        return tonal.estimate_key(self.chroma @ self._shares(start_s, end_s))

    def loudness_db(self, start_s: float = 0.0, end_s: float = math.inf) -> float:
        """Measure the RMS of a part, given in seconds, in dB below full scale."""
        shares = self._shares(start_s, end_s)
        mean = self.power @ shares / max(shares.sum(), 1e-9)
        return 10 * math.log10(max(mean, 10 ** (FLOOR_DB / 10)))

    def part(self, start_s: float, end_s: float) -> dict:
        """Return the row of `rhythm_table` for a part, given in seconds."""
        key = self.key(start_s, end_s)
        row = {"tempo": self.rhythm.tempo, "stability": self.rhythm.stability}
        row |= {"tonic": key.tonic, "mode": key.mode, "key": key.name, "camelot": key.camelot}
        loudness_db = self.loudness_db(start_s, end_s)
        return row | {"key_strength": key.strength, "loudness_db": loudness_db}

    def _shares(self, start_s: float, end_s: float) -> np.ndarray:
        """Return the share of each second that lies in the part."""
        second = np.arange(len(self.power))
        return np.clip(np.minimum(end_s, second + 1) - np.maximum(start_s, second), 0, 1)


def rhythm_table(
    sections: pd.DataFrame, folder: Path, n_jobs: int = 2
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add tempo, key and loudness to sections of tracks.

    Parameters
    ----------
    sections
        Columns path, start_s and end_s (seconds), and others, kept but for those named below.
    folder
        Where tracks are stored, as in `analyse_tracks`.
    n_jobs
        Processes.

    Returns
    -------
    sections
        The sections of readable files, with tempo and stability of their track (as in `Rhythm`);
        tonic, mode, key, camelot, key_strength and loudness_db of the section; track_key.
    quarantine
        Files set aside: path, reason.

    Raises
    ------
    ValueError
        If a column is missing, or as in `analyse_tracks`.
    """
    span = ["path", "start_s", "end_s"]
    need_columns(sections, span, "sections lack", "cut the tracks into sections first")
    tracks, quarantine = analyse_tracks(list(sections["path"].unique()), folder, n_jobs=n_jobs)
    usable = sections[sections["path"].isin(tracks.keys())].reset_index(drop=True)
    names = {path: track.key().name for path, track in tracks.items()}
    parts = usable[span].itertuples(index=False)
    columns = pd.DataFrame([tracks[path].part(*span_s) for path, *span_s in parts])
    return usable.assign(**columns, track_key=usable["path"].map(names)), quarantine


def analyse_tracks(
    paths: Sequence[str | Path], folder: Path, *, n_jobs: int = 2
) -> tuple[dict[str, Track], pd.DataFrame]:
    """Analyse files, or read what an earlier run stored of them.

    Parameters
    ----------
    paths
        Audio files.
    folder
        One json file per track goes there, named by the hash of the file, as soon as it is done: a
        run that was killed goes on.
    n_jobs
        Processes.

    Returns
    -------
    tracks
        Path -> its track, in the order given.
    quarantine
        Files set aside: path, reason.

    Raises
    ------
    ValueError
        If there is no path, or none of the files can be read.
    """
    if not len(paths):
        raise ValueError("there are no tracks to analyse; check the folder they were read from")
    Path(folder).mkdir(parents=True, exist_ok=True)
    numba_cache.compile_librosa()
    tasks = (numba_cache.delayed(_stored)(str(path), Path(folder)) for path in paths)
    done = joblib.Parallel(n_jobs, return_as="generator")(tasks)
    bar = progress(done, "rhythm", "file", total=len(paths))
    results = dict(zip(map(str, paths), bar, strict=True))
    bad = [(path, reason) for path, reason in results.items() if isinstance(reason, str)]
    if len(bad) == len(results):
        path, reason = bad[0]
        raise ValueError(f"none of the {len(bad)} files can be used; the first, {path!r}: {reason}")
    tracks = {path: track for path, track in results.items() if isinstance(track, Track)}
    return tracks, pd.DataFrame(bad, columns=["path", "reason"])


def _stored(path: str, folder: Path) -> Track | str:
    """Read a stored track, or analyse and store it; return the reason where it is bad."""
    try:
        target = folder / f"{sha256_of(path)}-{CACHE_VERSION}.json"
    except OSError as error:
        return f"it cannot be read ({error.strerror}); check the path and its permissions"
    if target.exists():
        return _load(target)
    try:
        track = analyse_track(path)
    except AudioError as error:
        return error.advice
    _save(target, track)
    return track


def _save(target: Path, track: Track) -> None:
    """Write a track, whole or not at all."""
    rhythm = track.rhythm
    values = {"tempo": None if math.isnan(rhythm.tempo) else rhythm.tempo}
    values |= {"beats_s": np.round(rhythm.beats_s, 6).tolist(), "downbeat": rhythm.downbeat}
    values["steady"] = rhythm.stability  # its name in the files of all versions
    values |= {"chroma": np.round(track.chroma, 5).tolist(), "power": track.power.tolist()}
    write_file(target, json.dumps(values))


def _load(file: Path) -> Track:
    """Read what `_save` wrote."""
    values = json.loads(file.read_text())
    tempo, beats_s = values["tempo"] or math.nan, np.array(values["beats_s"])
    rhythm = Rhythm(
        tempo=tempo, beats_s=beats_s, downbeat=values["downbeat"], stability=values["steady"]
    )
    return Track(rhythm, np.array(values["chroma"]), np.array(values["power"]))


def analyse_track(path: str | Path) -> Track:
    """Measure rhythm, pitch classes and power of a file of any length, block by block.

    Parameters
    ----------
    path
        An audio file.

    Raises
    ------
    AudioError
        If the file cannot be read.
    """
    before = np.zeros((1, BANDS), np.float32)
    parts = []
    sizes = ((N_FFT, HOP), (tonal.N_FFT, CHROMA_HOP), (HOP, HOP))
    inputs = zip(tee(audio.blocks(path, SR), 3), sizes, strict=True)
    streams = [windows.frames(y, *size, centre=True) for y, size in inputs]
    for fine, wide, plain in zip(*streams, strict=True):
        bands = np.concatenate([before, _bands(fine)])
        power = np.square(plain).mean(axis=1, keepdims=True)
        rises = np.add.reduceat(np.maximum(0, np.diff(bands, axis=0)), [0, LOW, HIGH], axis=1)
        parts.append((rises, tonal.peak_chroma(wide, SR), power))
        before = bands[-1:]
    onsets, classes, power = map(np.concatenate, zip(*parts, strict=True))
    del parts  # half of the memory that a long file takes
    chroma = tonal.tuned(classes)
    seconds = max(1, math.ceil((len(power) - 1) / RATE))
    each = tonal.each_second(chroma.T, SR / CHROMA_HOP, seconds).T
    return Track(track_beats(onsets, chroma), each, tonal.each_second(power, RATE, seconds)[:, 0])


def _bands(frames: np.ndarray) -> np.ndarray:
    """Compute the loudness (T, BANDS) of frames (T, N_FFT), logarithmic."""
    window = hann(N_FFT, sym=False).astype(np.float32) / N_FFT
    filters = librosa.filters.mel(sr=SR, n_fft=N_FFT, n_mels=BANDS, norm=None).T
    power = np.empty((len(frames), BANDS), np.float32)
    for i in range(0, len(frames), 256):  # parts that stay in the processor's cache
        power[i : i + 256] = np.abs(rfft(frames[i : i + 256] * window, axis=1)) ** 2 @ filters
    return np.log1p(LEVEL * power)


def track_beats(onsets: np.ndarray, chroma: np.ndarray) -> Rhythm:
    """Find tempo, beats and bars.

    Parameters
    ----------
    onsets
        (T, 3) onset strength of low, middle and high bands, `HOP` samples at `SR` apart, 0 or more.
    chroma
        (12, T') pitch classes, `CHROMA_HOP` samples apart.

    Returns
    -------
    Rhythm
        Without beats, and of tempo NaN, where nothing sounds or less than `LEAST_S` is given.

    Raises
    ------
    ValueError
        If a shape is another, or a value is negative or not finite.

    Notes
    -----
    The tempo is where the spectrum of the onset strength has most at it, its double and its
    fourfold; then the grid of eighths on which most onsets lie is taken. One in eight of them
    begins a bar: see `WEIGHTS`. The tracker is that of D. P. W. Ellis, Beat tracking by dynamic
    programming, J. New Music Research 36, 2007; librosa's compiles for half a minute.
    """
    onsets, chroma = np.asarray(onsets, np.float32), np.asarray(chroma, np.float32)
    shaped = onsets.ndim == 2 == chroma.ndim and (onsets.shape[1], len(chroma)) == (3, 12)
    if not shaped or not all((np.isfinite(x) & (x >= 0)).all() for x in (onsets, chroma)):
        raise ValueError(
            f"onsets {onsets.shape} and chroma {chroma.shape} have another shape than (T, 3) and "
            "(12, T), or values that are negative or not finite; take them as `analyse_track` does"
        )
    if len(onsets) < LEAST_S * RATE or not onsets.any():
        return Rhythm(tempo=math.nan, beats_s=np.zeros(0), downbeat=0, stability=0.0)
    strength = onsets.sum(axis=1) / onsets.sum(axis=1).mean()
    hz, offset_s = beat_grid.fit_grid(strength)
    stability = beat_grid.stability(strength, hz)
    if stability < STABLE:
        beats_s = LATE_S + beat_grid.track(strength, hz)
        eighths = np.interp(np.arange(2 * len(beats_s) - 1) / 2, np.arange(len(beats_s)), beats_s)
        bar = int(np.argmax(_bars(onsets, chroma, eighths)[::2]))
        tempo = float(60 / np.diff(beats_s).mean())
        beats_s = np.maximum(0, beats_s)
    else:
        offset_s += LATE_S
        first = math.ceil(-2 * hz * (offset_s + EDGE_S))
        length_s = len(onsets) / RATE
        eighths = offset_s + np.arange(first, 2 * hz * length_s + 1) / (2 * hz)
        eighths = np.maximum(0, eighths[eighths < length_s])
        bar, off_beat = divmod(int(np.argmax(_bars(onsets, chroma, eighths))), 2)
        tempo = 60 * hz
        beats_s = eighths[off_beat::2]
    return Rhythm(tempo=tempo, beats_s=beats_s, downbeat=bar, stability=stability)


def _bars(onsets: np.ndarray, chroma: np.ndarray, eighths: np.ndarray) -> np.ndarray:
    """Weigh the evidence that a bar begins at each of the first eight eighths (n,)."""
    frame = np.clip(np.round((eighths - LATE_S) * RATE + 0.5).astype(int), 0, len(onsets) - 1)
    accents = maximum_filter1d(onsets, 9, axis=0)[frame]  # within 23 ms
    bar_s = 8 * np.median(np.diff(eighths))
    harmony = tonal.changes(chroma, eighths, span_s=bar_s, rate=SR / CHROMA_HOP)
    later = (np.arange(8)[:, None] + np.arange(8)) % 8  # row k: k eighths later
    low, high, harmony = (_by_place(x)[later] for x in (*accents[:, [0, 2]].T, harmony))
    snare = (high[[2, 6]] - high[[0, 4]]).mean(axis=0)
    change = harmony[:2].mean(axis=0)  # it shows once the notes have begun
    terms = (low[0], low[::2].mean(axis=0), snare, change)
    return sum(weight * term for weight, term in zip(WEIGHTS, terms, strict=True))


def _by_place(x: np.ndarray) -> np.ndarray:
    """Return means of x (n,) at the eight eighths of a bar, relative to the mean of all."""
    means = np.array([x[place::8].mean() for place in range(8)])
    return means / max(means.mean(), 0.01)  # less is rounding
