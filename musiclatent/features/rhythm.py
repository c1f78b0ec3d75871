"""Measure tempo, beats and bars of tracks, with key and loudness section by section.

A track is read once, block by block: of its sound we keep the onset strength of three bands every
5.8 ms, the pitch classes every 93 ms, and the power. Dance music keeps one tempo: a grid of beats
is fitted to all onsets of a track at once, so that it goes on through breaks and silence. Where no
grid fits, beats are tracked one by one.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import tee
from pathlib import Path

import joblib
import librosa
import numpy as np
import pandas as pd
from scipy.fft import rfft
from scipy.signal.windows import hann

from musiclatent import audio, numba_cache
from musiclatent.audio import windows
from musiclatent.config import SR
from musiclatent.errors import AudioError
from musiclatent.features import bars, beat_grid, tonal
from musiclatent.features.bars import CHROMA_HOP, LATE_S
from musiclatent.features.beat_grid import HOP, RATE, TEMPI
from musiclatent.files import hashes, need_columns, progress, write_file

CACHE_VERSION = 2  # raise it when the features change: tracks are then computed anew
N_FFT = 512  # 23 ms
BANDS, LOW, HIGH = 24, 2, 16  # mel bands; those below LOW hold the bass drum, from HIGH cymbals
LEVEL = 1e4  # a band is loud, to the logarithm, above the power 1 / LEVEL
STABLE = 0.85  # below it, beats are tracked one by one
EDGE_S = 0.012  # so much before the file a beat may lie; it is set to 0
LEAST_S = 8.0  # shorter tracks have no rhythm
FLOOR_DB = -120.0  # loudness of silence


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
        Index of the first beat that begins a bar.
    stability
        From 0 to 1: how well one tempo explains the onsets; below `STABLE` beats were tracked one
        by one.
    other
        Twice or half the tempo, whichever the music could be counted in as well; NaN where there
        is none.
    bar
        Beats of a bar: 3, 4 or 6, of which six are three at half the tempo.
    """

    tempo: float
    beats_s: np.ndarray
    downbeat: int
    stability: float
    other: float = math.nan
    bar: int = 4

    @property
    def downbeats_s(self) -> np.ndarray:
        """Times of the beats that begin a bar (m,), in seconds."""
        return self.beats_s[self.downbeat :: self.bar]

    @property
    def said(self) -> str:
        """Tempo in both octaves, such as ``87.0 or 174.0``; empty where there is none."""
        told = [f"{tempo:.1f}" for tempo in (self.tempo, self.other) if not math.isnan(tempo)]
        return " or ".join(told)


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
    tones
        (S,) share of the sound in each second that is tones which stay, see `tonal.sustained`.
    """

    rhythm: Rhythm
    chroma: np.ndarray
    power: np.ndarray
    tones: np.ndarray

    def key(self, start_s: float = 0.0, end_s: float = math.inf) -> tonal.Key:
        """Find the key of a part, given in seconds; none in drums, noise and silence."""
        shares = self._shares(start_s, end_s)
        heard = shares > min(0.5, shares.max(initial=0) / 2)
        key = tonal.estimate_key(self.chroma @ shares)
        tones = float(np.median(self.tones[heard])) if heard.any() else 0.0
        return key if key.strength * tones >= tonal.SURE else tonal.NO_KEY

    def loudness_db(self, start_s: float = 0.0, end_s: float = math.inf) -> float:
        """Measure the RMS of a part, given in seconds, in dB below full scale."""
        shares = self._shares(start_s, end_s)
        mean = self.power @ shares / max(shares.sum(), 1e-9)
        return 10 * math.log10(max(mean, 10 ** (FLOOR_DB / 10)))

    def part(self, start_s: float, end_s: float) -> dict:
        """Return the row of `rhythm_table` for a part, given in seconds."""
        key = self.key(start_s, end_s)
        row = {"tempo": self.rhythm.tempo, "tempo_or": self.rhythm.other}
        row |= {"bar": self.rhythm.bar, "stability": self.rhythm.stability}
        row |= {"tonic": key.tonic, "mode": key.mode, "key": key.name, "camelot": key.camelot}
        loudness_db = self.loudness_db(start_s, end_s)
        return row | {"key_strength": key.strength, "loudness_db": loudness_db}

    def _shares(self, start_s: float, end_s: float) -> np.ndarray:
        """Return the share of each second that lies in the part."""
        second = np.arange(len(self.power))
        return np.clip(np.minimum(end_s, second + 1) - np.maximum(start_s, second), 0, 1)


def rhythm_table(
    sections: pd.DataFrame,
    folder: Path,
    *,
    n_jobs: int = 2,
    tempi: Mapping[str, tuple[float, float]] | None = None,
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
    tempi
        As in `analyse_tracks`.

    Returns
    -------
    sections
        The sections of readable files, with tempo, tempo_or (the other octave), bar and stability
        of their track (as in `Rhythm`); tonic, mode, key, camelot, key_strength and loudness_db of
        the section, without a key as in `tonal.NO_KEY`; track_key.
    quarantine
        Files set aside: path, reason.

    Raises
    ------
    ValueError
        If a column is missing, or as in `analyse_tracks`.
    """
    span = ["path", "start_s", "end_s"]
    need_columns(sections, span, "sections lack", "cut the tracks into sections first")
    paths = list(sections["path"].unique())
    tracks, quarantine = analyse_tracks(paths, folder, n_jobs=n_jobs, tempi=tempi)
    usable = sections[sections["path"].isin(tracks.keys())].reset_index(drop=True)
    names = {path: track.key().name for path, track in tracks.items()}
    parts = usable[span].itertuples(index=False)
    columns = pd.DataFrame([tracks[path].part(*span_s) for path, *span_s in parts])
    return usable.assign(**columns, track_key=usable["path"].map(names)), quarantine


def analyse_tracks(
    paths: Sequence[str | Path],
    folder: Path,
    *,
    n_jobs: int = 2,
    tempi: Mapping[str, tuple[float, float]] | None = None,
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
    tempi
        By path: the range of beats per minute in which a track is counted, where it is not
        `beat_grid.TEMPI`.

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
    tempi, names = tempi or {}, list(map(str, paths))
    digests = hashes(names, Path(folder) / "hashes.json")
    tasks = (
        numba_cache.delayed(_stored)(name, sha256, Path(folder), tempi=tempi.get(name, TEMPI))
        for name, sha256 in zip(names, digests, strict=True)
    )
    done = joblib.Parallel(n_jobs, return_as="generator")(tasks)
    bar = progress(done, "rhythm", "file", total=len(paths))
    results = dict(zip(names, bar, strict=True))
    bad = [(path, reason) for path, reason in results.items() if isinstance(reason, str)]
    if len(bad) == len(results):
        path, reason = bad[0]
        raise ValueError(f"none of the {len(bad)} files can be used; the first, {path!r}: {reason}")
    tracks = {path: track for path, track in results.items() if isinstance(track, Track)}
    return tracks, pd.DataFrame(bad, columns=["path", "reason"])


def _stored(path: str, sha256: str, folder: Path, *, tempi: tuple[float, float]) -> Track | str:
    """Read a stored track, or analyse and store it; return the reason where it is bad."""
    if not sha256:
        return "it cannot be read; check the path and its permissions"
    counted = "" if tempi == TEMPI else f"-{tempi[0]:g}-{tempi[1]:g}"
    target = folder / f"{sha256}{counted}-{CACHE_VERSION}.json"
    if target.exists():
        return _load(target)
    try:
        track = analyse_track(path, tempi)
    except AudioError as error:
        return error.advice
    _save(target, track)
    return track


def _save(target: Path, track: Track) -> None:
    """Write a track, whole or not at all."""
    rhythm = track.rhythm
    values = {"tempo": None if math.isnan(rhythm.tempo) else rhythm.tempo}
    values |= {"beats_s": np.round(rhythm.beats_s, 6).tolist(), "downbeat": rhythm.downbeat}
    values |= {"steady": rhythm.stability, "bar": rhythm.bar}
    values["other"] = None if math.isnan(rhythm.other) else rhythm.other
    values |= {"chroma": np.round(track.chroma, 5).tolist(), "power": track.power.tolist()}
    values["tones"] = np.round(track.tones, 5).tolist()
    write_file(target, json.dumps(values))


def _load(file: Path) -> Track:
    """Read what `_save` wrote."""
    values = json.loads(file.read_text())
    tempo, other = (values[name] or math.nan for name in ("tempo", "other"))
    beats = {"beats_s": np.array(values["beats_s"]), "downbeat": values["downbeat"]}
    rhythm = Rhythm(
        tempo=tempo, other=other, stability=values["steady"], bar=values["bar"], **beats
    )
    return Track(rhythm, *(np.array(values[name]) for name in ("chroma", "power", "tones")))


def analyse_track(path: str | Path, tempi: tuple[float, float] = TEMPI) -> Track:
    """Measure rhythm, pitch classes and power of a file of any length, block by block.

    Parameters
    ----------
    path
        An audio file.
    tempi
        Range of beats per minute in which its tempo is looked for.

    Raises
    ------
    AudioError
        If the file cannot be read.
    """
    before, held = np.zeros((1, BANDS), np.float32), None
    parts = []
    sizes = ((N_FFT, HOP), (tonal.N_FFT, CHROMA_HOP), (HOP, HOP))
    inputs = zip(tee(audio.blocks(path, SR), 3), sizes, strict=True)
    streams = [windows.frames(y, *size, centre=True) for y, size in inputs]
    for fine, wide, plain in zip(*streams, strict=True):
        bands = np.concatenate([before, _bands(fine)])
        power = np.square(plain).mean(axis=1, keepdims=True)
        rises = np.add.reduceat(np.maximum(0, np.diff(bands, axis=0)), [0, LOW, HIGH], axis=1)
        S = tonal.spectra(wide, SR)
        held = np.concatenate([np.zeros((tonal.APART, S.shape[1])) if held is None else held, S])
        parts.append((rises, tonal.peaks_of(S, SR), tonal.sustained(held, SR), power))
        before, held = bands[-1:], held[-2 * tonal.APART :]
    parts.append(_ending(held))
    onsets, classes, staying, power = map(np.concatenate, zip(*parts, strict=True))
    del parts  # half of the memory that a long file takes
    chroma = tonal.tuned(classes)
    seconds = max(1, math.ceil((len(power) - 1) / RATE))
    each = tonal.each_second(chroma.T, SR / CHROMA_HOP, seconds).T
    tones, all_tones = tonal.each_second(staying, SR / CHROMA_HOP, seconds).T
    power = tonal.each_second(power, RATE, seconds)[:, 0]
    rhythm = track_beats(onsets, chroma, tempi)
    return Track(rhythm, each, power, tones / np.maximum(all_tones, 1e-9))


def _ending(held: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return a last part that holds only how the last frames are sustained: not at all."""
    silence = np.zeros((tonal.APART, held.shape[1]), held.dtype)
    staying = tonal.sustained(np.concatenate([held, silence]), SR)
    nothing = [np.zeros((0, n), np.float32) for n in (3, 12 * tonal.STEPS, 1)]
    return nothing[0], nothing[1], staying, nothing[2]


def _bands(frames: np.ndarray) -> np.ndarray:
    """Compute the loudness (T, BANDS) of frames (T, N_FFT), logarithmic."""
    window = hann(N_FFT, sym=False).astype(np.float32) / N_FFT
    filters = librosa.filters.mel(sr=SR, n_fft=N_FFT, n_mels=BANDS, norm=None).T
    power = np.empty((len(frames), BANDS), np.float32)
    for i in range(0, len(frames), 256):  # parts that stay in the processor's cache
        power[i : i + 256] = np.abs(rfft(frames[i : i + 256] * window, axis=1)) ** 2 @ filters
    return np.log1p(LEVEL * power)


def track_beats(
    onsets: np.ndarray, chroma: np.ndarray, tempi: tuple[float, float] = TEMPI
) -> Rhythm:
    """Find tempo, beats and bars.

    Parameters
    ----------
    onsets
        (T, 3) onset strength of low, middle and high bands, `HOP` samples at `SR` apart, 0 or more.
    chroma
        (12, T') pitch classes, `CHROMA_HOP` samples apart.
    tempi
        Range of beats per minute in which the tempo is looked for.

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
    fourfold; then the grid of eighths on which most onsets lie is taken. How many beats a bar has,
    and which eighth begins one, see `bars`. The tracker is that of D. P. W. Ellis, Beat tracking by
    dynamic programming, J. New Music Research 36, 2007; librosa's compiles for half a minute.
    """
    onsets, chroma = np.asarray(onsets, np.float32), np.asarray(chroma, np.float32)
    _validate(onsets, chroma)
    if len(onsets) < LEAST_S * RATE or not onsets.any():
        return Rhythm(tempo=math.nan, beats_s=np.zeros(0), downbeat=0, stability=0.0)
    strength = onsets.sum(axis=1) / onsets.sum(axis=1).mean()
    hz, offset_s = beat_grid.fit_grid(strength, tempi)
    stability = beat_grid.stability(strength, hz)
    steady = stability >= STABLE
    eighths = _grid(len(onsets), hz, offset_s) if steady else _tracked(strength, hz)
    bar = bars.beats_of_bar(onsets, chroma, eighths)
    evidence = bars.evidence(onsets, chroma, eighths, bar)
    place = int(np.argmax(evidence if steady else evidence[::2]))
    downbeat, off_beat = divmod(place, 2) if steady else (place, 0)
    beats_s = np.maximum(0, eighths[off_beat::2])
    tempo = 60 * hz if steady else float(60 / np.diff(eighths[::2]).mean())
    other = tempo * beat_grid.octave(strength, hz)
    return Rhythm(
        tempo=tempo, beats_s=beats_s, downbeat=downbeat, stability=stability, other=other, bar=bar
    )


def _validate(onsets: np.ndarray, chroma: np.ndarray) -> None:
    """Refuse what has no beats."""
    shaped = onsets.ndim == 2 == chroma.ndim and (onsets.shape[1], len(chroma)) == (3, 12)
    if not shaped or not all((np.isfinite(x) & (x >= 0)).all() for x in (onsets, chroma)):
        raise ValueError(
            f"onsets {onsets.shape} and chroma {chroma.shape} have another shape than (T, 3) and "
            "(12, T), or values that are negative or not finite; take them as `analyse_track` does"
        )


def _grid(n: int, hz: float, offset_s: float) -> np.ndarray:
    """Return the eighths of a steady tempo that lie in n frames, from a little before the first."""
    offset_s += LATE_S
    first = math.ceil(-2 * hz * (offset_s + EDGE_S))
    eighths = offset_s + np.arange(first, 2 * hz * n / RATE + 1) / (2 * hz)
    return np.maximum(0, eighths[eighths < n / RATE])


def _tracked(strength: np.ndarray, hz: float) -> np.ndarray:
    """Return beats that are tracked one by one, and the eighths between them."""
    beats_s = LATE_S + beat_grid.track(strength, hz)
    return np.interp(np.arange(2 * len(beats_s) - 1) / 2, np.arange(len(beats_s)), beats_s)
