"""Find the sections of a track: which are central, and where the music itself changes.

Sections of a fixed grid cut across the music; those of `structural_sections` begin and end where it
changes, on a beat. `central_sections` chooses among sections of either kind.
"""

from itertools import chain, tee
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from musiclatent import audio
from musiclatent.audio import windows
from musiclatent.config import SR
from musiclatent.files import need_columns

LEVEL_DB, OCTAVES = 3.0, 0.5  # what counts as one step of level, and of the spectral centroid
LOUD = 90  # percentile of the levels of a track that is its loud level
N_FFT, HOP = 2048, 1024
N_MFCC = 12
STEP_S = 0.5  # from one feature to the next where no beats are known
KERNEL, THRESHOLD = 24, 0.05  # beats or steps; of novelty: chosen on demo tracks of seeds 0 and 1
BAR = 4  # beats
_FLOOR = 1e-6  # least rms: -120 dB


def central_sections(
    sections: pd.DataFrame, quiet_db: float = 10.0, spread: float = 1.5
) -> pd.DataFrame:
    """Choose the sections of each track in which its energy is concentrated.

    The rule, track by track: (1) a section is quiet, and dropped, if it is silent or its mean RMS
    lies more than `quiet_db` below the loud level of the track, the 90th percentile of its sections
    that are not silent. (2) The others are points in a plane of level and spectral centroid, in
    steps of 3 dB and half an octave. The centre of the track is the point with the most energy
    around it: the largest sum over all points of their energy times exp(-d^2 / 2), d the distance
    in steps. (3) Points within `spread` steps of the centre are central and chosen. A track that is
    silent throughout keeps its loudest section, so that every track keeps one.

    Parameters
    ----------
    sections
        One row per section: item_id, silent, rms_mean, spectral_centroid_mean in Hz.
    quiet_db
        Decibels, above 0. Ten sound about half as loud.
    spread
        Steps, above 0.

    Returns
    -------
    DataFrame
        The sections with level_db (0 for an rms of 1), distance (steps from the centre; NaN for
        quiet ones), role ("central", "border" or "quiet"), chosen (bool) and why, in words.

    Raises
    ------
    ValueError
        If a column is missing, numbers are missing, or a limit is not above 0.

    Notes
    -----
    Murillo Martinez (2022): central sections by energy concentration, RMS energy against spectral
    centroid. The paper gives no numbers: these are ours.
    """
    _check_sections(sections, quiet_db, spread)
    level = 20 * np.log10(np.maximum(sections["rms_mean"], _FLOOR))
    table = sections.assign(level_db=level, distance=np.nan, role="quiet", chosen=False, why="")
    for rows in table.groupby("item_id", sort=False).indices.values():
        track = table.iloc[rows]
        for column, values in _roles(track, quiet_db, spread).items():
            table.iloc[rows, table.columns.get_loc(column)] = values.to_numpy()
    return table


def novelty(features: np.ndarray, kernel_size: int = KERNEL) -> np.ndarray:
    """Measure how much the music changes at each point, by Foote's checkerboard kernel.

    Parameters
    ----------
    features
        (F, T), one column per beat or step; best centred, each row about 0.
    kernel_size
        Columns compared before a point, and as many after it.

    Returns
    -------
    array (T,)
        In [-1, 1], just before each column: 1 where what follows is the opposite of what went
        before, 0 where nothing changes. The ends are mirrored. Memory grows with T, not its
        square: only the band of the self-similarity that the kernel covers is computed.

    Raises
    ------
    ValueError
        If features are no table of numbers or empty, or the kernel has no columns.

    Notes
    -----
    Foote (2000), Automatic audio segmentation using a measure of audio novelty: similarities are
    cosines, the kernel is tapered by a Gaussian (of half its size at one standard deviation).
    """
    features = np.asarray(features, np.float32)
    if features.ndim != 2 or not features.size or not np.isfinite(features).all():
        raise ValueError(f"features have shape {features.shape}; give (F, T), not empty, finite")
    if kernel_size < 1:
        raise ValueError(f"kernel_size is {kernel_size}; choose 1 or more")
    L = kernel_size
    unit = features / np.maximum(np.linalg.norm(features, axis=0), 1e-9)
    unit = np.pad(unit, ((0, 0), (L, L)), mode="symmetric")  # F x (T + 2 L)
    kernel = _checkerboard(L)
    total = np.zeros(features.shape[1])
    for lag in range(2 * L):  # the similarity is symmetric: each other lag counts twice
        similar = np.einsum("ft,ft->t", unit[:, : unit.shape[1] - lag], unit[:, lag:])
        weights = np.diagonal(kernel, lag) * (2 if lag else 1)
        total += np.correlate(similar, weights, mode="valid")[: len(total)]
    return total / np.abs(kernel).sum()


def boundaries(
    novelty: np.ndarray, times_s: np.ndarray, end_s: float, least_s: float, longest_s: float
) -> np.ndarray:
    """Choose the times at which sections begin, from the peaks of novelty.

    Peaks above `THRESHOLD` are taken, the highest first, unless one taken before or an end of the
    track is nearer than `least_s`. Then sections longer than `longest_s` are cut where novelty is
    highest, peak or not (where it is equal, in the middle), as long as both parts keep `least_s`.

    Parameters
    ----------
    novelty
        (T,), as from `novelty`.
    times_s
        Time of each number in seconds (T,), rising.
    end_s
        Length of the track in seconds.
    least_s, longest_s
        Shortest and longest section in seconds, 0 < least_s, 2 least_s <= longest_s.

    Returns
    -------
    array
        Rising times in seconds, without 0 and the end; may be empty.

    Raises
    ------
    ValueError
        If lengths differ, times do not rise, or the limits cannot both hold.
    """
    novelty, times_s = np.asarray(novelty, np.float64), np.asarray(times_s, np.float64)
    if novelty.shape != times_s.shape or novelty.ndim != 1 or (np.diff(times_s) <= 0).any():
        raise ValueError(f"{novelty.size} numbers of novelty need as many rising times")
    if not 0 < 2 * least_s <= longest_s:
        raise ValueError(
            f"sections of {least_s} s to {longest_s} s cannot be; the longest must be twice the "
            "shortest or more"
        )
    around = np.pad(novelty, 1, constant_values=-np.inf)
    peak = (novelty >= around[:-2]) & (novelty > around[2:]) & (novelty >= THRESHOLD)
    edges = [0.0, end_s]
    for i in np.argsort(-np.where(peak, novelty, -np.inf), kind="stable")[: peak.sum()]:
        if np.abs(times_s[i] - edges).min() >= least_s:
            edges.append(times_s[i])
    return _cut(sorted(edges), novelty, times_s, least_s, longest_s)


def structural_sections(
    path: str | Path,
    beats_s: np.ndarray | None = None,
    *,
    downbeat: int | None = None,
    bar: int = BAR,
    least_s: float = 8.0,
    longest_s: float = 60.0,
) -> pd.DataFrame:
    """Cut a track where its music changes, on a beat where beats are known.

    Parameters
    ----------
    path
        An audio file of any length.
    beats_s
        Times of the beats in seconds (n,), rising; None for steps of half a second.
    downbeat
        Index of the first beat that begins a bar; sections then begin with a bar. None: with any
        beat.
    bar
        Beats of a bar.
    least_s, longest_s
        As in `boundaries`; a track shorter than twice the least is one section.

    Returns
    -------
    DataFrame
        One row per section: start_s, end_s, novelty at its start (0 for the first). Sections follow
        each other without gaps from 0 to the end.

    Raises
    ------
    AudioError
        If the file cannot be read.
    ValueError
        If beats do not rise, the downbeat is none of the first bar, or as in `boundaries`.
    """
    frames, end_s = _frames(path)
    edges = _edges(beats_s, end_s)
    changes = novelty(synchronised(frames, edges))
    times_s = edges[:-1]
    if downbeat is not None and beats_s is not None:
        first = _first_bar(beats_s, downbeat, times_s, bar)
        changes, times_s = changes[first::bar], times_s[first::bar]
    inner = boundaries(changes, times_s, end_s, least_s, longest_s)
    at = changes[np.searchsorted(times_s, inner)]
    return pd.DataFrame({"start_s": [0.0, *inner], "end_s": [*inner, end_s], "novelty": [0.0, *at]})


def synchronised(frames: np.ndarray, edges_s: np.ndarray) -> np.ndarray:
    """Average frames from edge to edge, and give timbre, harmony and level equal weight.

    Parameters
    ----------
    frames
        (25, T): 12 MFCC, 12 chroma, level in dB.
    edges_s
        Edges in seconds (n + 1,), rising.

    Returns
    -------
    array (25, n)
        Each row of mean 0; each of the three kinds of variance 1 in all.
    """
    sums = np.zeros((len(frames), frames.shape[1] + 1))
    np.cumsum(frames, axis=1, out=sums[:, 1:], dtype=float)
    at = np.round(edges_s * SR / HOP).astype(int)
    first = np.clip(at[:-1], 0, frames.shape[1] - 1)
    last = np.clip(at[1:], first + 1, frames.shape[1])
    means = (sums[:, last] - sums[:, first]) / (last - first)  # 25 x n
    means -= means.mean(axis=1, keepdims=True)
    for rows in (slice(N_MFCC), slice(N_MFCC, N_MFCC + 12), slice(-1, None)):
        means[rows] /= max(np.sqrt(np.square(means[rows]).sum(axis=0).mean()), 1e-9)
    return means


def hit_rate(estimated: np.ndarray, reference: np.ndarray, window_s: float) -> dict[str, float]:
    """Compare estimated boundaries with those of a reference, one to one.

    Parameters
    ----------
    estimated, reference
        Times in seconds, without the ends of the track, in any order.
    window_s
        Largest distance of a hit in seconds.

    Returns
    -------
    dict
        ``precision``, ``recall`` and ``f``, their harmonic mean: 1 where all are hit, also where
        both are empty.

    Raises
    ------
    ValueError
        If the window is below 0 or times are not finite.

    Notes
    -----
    Turnbull et al. (2007), A supervised approach for detecting boundaries in music; as
    ``mir_eval.segment.detection`` with the ends trimmed.
    """
    estimated, reference = np.asarray(estimated, float), np.asarray(reference, float)
    if not window_s >= 0 or not np.isfinite([*estimated, *reference]).all():
        raise ValueError(f"a window of {window_s} s and finite times are needed; 0.5 is usual")
    n, m = len(estimated), len(reference)
    if not n or not m:
        return dict.fromkeys(("precision", "recall", "f"), float(n == m))
    near = csr_array(np.abs(estimated[:, None] - reference) <= window_s)
    hits = int((maximum_bipartite_matching(near) >= 0).sum())
    return {"precision": hits / n, "recall": hits / m, "f": 2 * hits / (n + m)}


def _check_sections(sections: pd.DataFrame, quiet_db: float, spread: float) -> None:
    """Validate a table of sections and the limits of `central_sections`."""
    needed = ["item_id", "silent", "rms_mean", "spectral_centroid_mean"]
    need_columns(sections, needed, "sections lack", "take cache.descriptor_table")
    if not np.isfinite(sections[needed[2:]].to_numpy(float)).all():
        raise ValueError("sections hold NaN in rms or centroid; leave those rows out")
    if not (quiet_db > 0 and spread > 0):
        raise ValueError(f"quiet_db is {quiet_db} and spread {spread}; both must be above 0")


def _roles(track: pd.DataFrame, quiet_db: float, spread: float) -> pd.DataFrame:
    """Return distance, role, choice and reason for each section of one track."""
    level, silent = track["level_db"].to_numpy(), track["silent"].to_numpy(bool)
    if silent.all():
        why = np.full(len(track), "silent", dtype=object)
        why[level.argmax()] = "silent like the whole track, kept as its loudest section"
        chosen = np.arange(len(track)) == level.argmax()
        return pd.DataFrame({"distance": np.nan, "role": "quiet", "chosen": chosen, "why": why})
    below = np.percentile(level[~silent], LOUD) - level
    quiet = silent | (below > quiet_db)
    octaves = np.log2(np.maximum(track["spectral_centroid_mean"].to_numpy(float), 1.0))
    points = np.stack([level / LEVEL_DB, octaves / OCTAVES], axis=1)  # B x 2
    away = np.where(quiet[:, None], np.nan, points - _centre(points[~quiet], level[~quiet]))
    distance = np.linalg.norm(away, axis=1)
    central = distance <= spread
    role = np.select([quiet, central], ["quiet", "central"], "border")
    why = [_why(*row) for row in zip(role, silent, below, away, strict=True)]
    return pd.DataFrame({"distance": distance, "role": role, "chosen": central, "why": why})


def _centre(points: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Find the point (2,) that has the most energy around it."""
    distance = np.linalg.norm(points[:, None] - points, axis=2)  # B x B
    energy = 10 ** ((level - level.max()) / 10)
    return points[(np.exp(-np.square(distance) / 2) @ energy).argmax()]


def _why(role: str, silent: bool, below: float, away: np.ndarray) -> str:
    """Return in words why a section is chosen or not."""
    if role == "quiet":
        return "silent" if silent else f"{below:.1f} dB below the loud level of its track"
    level, octaves = away * (LEVEL_DB, OCTAVES)
    near = "near" if role == "central" else "far from"
    return f"{near} the centre of its track: {level:+.1f} dB, {octaves:+.2f} octaves of brightness"


def _checkerboard(L: int) -> np.ndarray:
    """Return Foote's kernel (2 L, 2 L): plus on both sides of the middle, minus across it."""
    at = (np.arange(2 * L) - L + 0.5) / L
    taper = np.sign(at) * np.exp(-2 * np.square(at))
    return np.outer(taper, taper)


def _cut(
    edges: list[float], novelty: np.ndarray, times_s: np.ndarray, least_s: float, longest_s: float
) -> np.ndarray:
    """Cut what is longer than the longest; leave it where no time is free."""
    done = [edges.pop(0)]
    while edges:
        free = (times_s >= done[-1] + least_s) & (times_s <= edges[0] - least_s)
        if edges[0] - done[-1] > longest_s and free.any():
            off = np.abs(times_s - (done[-1] + edges[0]) / 2)
            edges.insert(0, times_s[np.lexsort((-off, novelty, free))[-1]])
        else:
            done.append(edges.pop(0))
    return np.array(done[1:-1])


def _edges(beats_s: np.ndarray | None, end_s: float) -> np.ndarray:
    """Return the edges of beats or steps, from 0 to the end."""
    if beats_s is None:
        beats_s = np.arange(STEP_S, end_s, STEP_S)
    beats_s = np.asarray(beats_s, np.float64)
    if beats_s.ndim != 1 or not np.isfinite(beats_s).all() or (np.diff(beats_s) <= 0).any():
        raise ValueError("beats must be rising times in seconds (n,); sort them, drop repeats")
    inner = beats_s[(beats_s > 0.05) & (beats_s < end_s - 0.05)]
    return np.concatenate([[0.0], inner, [end_s]])


def _first_bar(beats_s: np.ndarray, downbeat: int, times_s: np.ndarray, bar: int) -> int:
    """Return the index (0..3) of the first time at which a bar begins."""
    if not 0 <= downbeat < min(bar, len(beats_s)):
        raise ValueError(f"downbeat is {downbeat} of {len(beats_s)} beats; give an index, 0 to 3")
    return int(np.abs(times_s - beats_s[downbeat]).argmin()) % bar


def _frames(path: str | Path) -> tuple[np.ndarray, float]:
    """Compute frames (25, T), of a file read block by block, and its length in seconds."""
    counted, blocks = tee(audio.blocks(path, SR))
    lengths, zeros = map(len, counted), np.zeros(N_FFT, np.float32)
    parts, n = [], 0
    # Not `centre`: without the frames that are cut off below, novelty moves by 3e-10.
    for y in windows.frames(chain([zeros[: N_FFT // 2]], blocks, [zeros]), N_FFT, HOP):
        n += next(lengths, 0)
        if len(y):
            parts.append(_block_features(y))
    return np.concatenate(parts, axis=1)[:, : 1 + n // HOP], n / SR


def _block_features(y: np.ndarray) -> np.ndarray:
    """Compute MFCC, chroma and level (25, T) of frames (T, N_FFT), one by one but for rounding."""
    window = librosa.filters.get_window("hann", N_FFT)
    power = np.square(np.abs(np.fft.rfft(y * window).astype(np.complex64))).T  # F x T
    mel = librosa.feature.melspectrogram(S=power, sr=SR, n_mels=64)
    mel_db = librosa.power_to_db(mel, amin=1e-4, top_db=None)
    chroma = librosa.feature.chroma_stft(S=power, sr=SR, tuning=0.0)
    level = librosa.power_to_db(mel.sum(axis=0, keepdims=True), amin=1e-4, top_db=None)
    mfcc = librosa.feature.mfcc(S=mel_db, n_mfcc=N_MFCC + 1)[1:]  # without the first: the level
    return np.concatenate([mfcc, chroma, level]).astype(np.float32)
