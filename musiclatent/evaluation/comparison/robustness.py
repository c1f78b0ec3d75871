"""What everyday damage does to vectors: neighbours kept, and answers of a probe that stay right."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import librosa
import numpy as np
import pandas as pd
import soundfile as sf
from filelock import FileLock
from joblib import Parallel
from scipy.signal import butter, oaconvolve, sosfilt

from musiclatent import audio, numba_cache
from musiclatent.analysis import neighbours
from musiclatent.config import SEED
from musiclatent.errors import AudioError
from musiclatent.evaluation import linear_probes
from musiclatent.evaluation.comparison import retrieval
from musiclatent.evaluation.comparison.judged import Judged, gather
from musiclatent.evaluation.comparison.vectors import Vectors, middle, shared_rows
from musiclatent.files import progress, sha256_of
from musiclatent.numba_cache import delayed

SR = 32_000  # of all excerpts: what mp3 has, and more than most encoders take
EXCERPT_S = 8.0  # from the middle of a track
MOST = 30  # tracks, evenly chosen
K = 5  # neighbours that are kept or not; fewer of less than 16 tracks
CACHE_VERSION = 1  # raise by hand when the same damage would sound otherwise
CLEAN = "clean"


def _softer(y: np.ndarray, decibels: float) -> np.ndarray:
    """Change the level."""
    return y * 10 ** (-decibels / 20)


def _late(y: np.ndarray, seconds: float) -> np.ndarray:
    """Put silence before the sound, which keeps its length."""
    return np.concatenate([np.zeros(round(seconds * SR), y.dtype), y])[: len(y)]


def _noisy(y: np.ndarray, snr_db: float) -> np.ndarray:
    """Add white noise at a signal-to-noise ratio."""
    noise = np.random.default_rng(SEED).standard_normal(len(y))
    return y + noise * np.sqrt(np.square(y).mean() + 1e-12) * 10 ** (-snr_db / 20)


def _mp3(y: np.ndarray, kbit_s: float) -> np.ndarray:
    """Compress to mp3 of that rate on average, and back; the tag says where the sound begins."""
    level = min(0.999, (320 - kbit_s) / (320 - 32))  # as libsndfile takes it; it refuses 1
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sound.mp3"
        options = {"format": "MP3", "bitrate_mode": "AVERAGE", "compression_level": level}
        sf.write(path, y, SR, **options)
        back = audio.read(path, SR)[0]
    return np.resize(back, len(y)) if len(back) >= len(y) else np.pad(back, (0, len(y) - len(back)))


def _muffled(y: np.ndarray, hz: float) -> np.ndarray:
    """Take what lies above a frequency away."""
    return sosfilt(butter(8, hz, fs=SR, output="sos"), y)


def _in_a_room(y: np.ndarray, seconds: float) -> np.ndarray:
    """Add the reverberation of a room, as loud as the sound itself."""
    t = np.arange(round(seconds * SR)) / SR
    ir = np.random.default_rng(SEED).standard_normal(len(t)) * np.exp(-6.9 * t / seconds)
    wet = oaconvolve(y, ir)[: len(y)]
    return y + wet * np.sqrt(np.square(y).mean() / max(np.square(wet).mean(), 1e-12))


def _higher(y: np.ndarray, semitones: float) -> np.ndarray:
    """Shift the pitch, at the same tempo."""
    return librosa.effects.pitch_shift(y, sr=SR, n_steps=semitones)


def _faster(y: np.ndarray, rate: float) -> np.ndarray:
    """Change the tempo, at the same pitch."""
    return librosa.effects.time_stretch(y, rate=rate)


DAMAGE: dict[str, tuple[Callable[[np.ndarray, float], np.ndarray], tuple[float, ...]]] = {
    "gain": (_softer, (6, 20)),  # dB softer
    "lead-in": (_late, (0.1, 1)),  # seconds of silence
    "noise": (_noisy, (30, 20, 10)),  # dB above the noise
    "mp3": (_mp3, (128, 64, 32)),  # kbit/s
    "low-pass": (_muffled, (8000, 4000, 2000)),  # Hz
    "reverb": (_in_a_room, (0.5, 2)),  # seconds
    "pitch": (_higher, (1, 3)),  # semitones
    "time": (_faster, (1.05, 1.2)),  # times as fast
}
KINDS = tuple(f"{name} {step:g}" for name, (_, steps) in DAMAGE.items() for step in steps)
COPIES = ("gain 6", "gain 20", "lead-in 0.1", "mp3 128", "mp3 64", "mp3 32")  # the same recording


def damaged(y: np.ndarray, kind: str) -> np.ndarray:
    """Damage a sound.

    Parameters
    ----------
    y
        Samples (N,) at `SR`.
    kind
        One of `KINDS`, such as ``mp3 64``, or `CLEAN`.

    Returns
    -------
    array (N,), float32
        Within [-1, 1]: what would be louder is made softer as a whole.
    """
    if kind == CLEAN:
        return y.astype(np.float32)
    name, step = kind.split()
    y = np.asarray(DAMAGE[name][0](y.astype(np.float64), float(step)))
    return (y / max(1.0, np.abs(y).max())).astype(np.float32)


def excerpts(
    paths: Sequence[str], folder: Path, *, most: int = MOST, n_jobs: int = 2
) -> pd.DataFrame:
    """Write damaged excerpts of evenly chosen tracks, or take up what is there.

    Parameters
    ----------
    paths
        Audio files that can be read.
    folder
        Where the excerpts go, named by the bytes of the track and the damage.
    most
        Tracks at most.
    n_jobs
        Processes that write.

    Returns
    -------
    DataFrame
        One row per excerpt: row (place of the track in `paths`), kind, path.
    """
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int))
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        files = {row: _files(paths[row], folder) for row in chosen}
        jobs = [row for row, of_track in files.items() if not _complete(of_track)]
        if jobs:
            numba_cache.compile_librosa()
        tasks = [delayed(_write)(paths[row], files[row]) for row in jobs]
        done = Parallel(n_jobs=min(n_jobs, max(1, len(jobs))), return_as="generator")(tasks)
        list(progress(done, "damage", "track", total=len(jobs), delay=5))
    rows = [
        {"row": row, "kind": kind, "path": str(path)}
        for row, of_track in files.items()
        if _complete(of_track)
        for kind, path in of_track.items()
    ]
    return pd.DataFrame(rows, columns=["row", "kind", "path"])


def _files(path: str, folder: Path) -> dict[str, Path]:
    """Return where the excerpts of one track stand: kind -> path; none of a track that is gone."""
    if not Path(path).is_file():
        return {}
    what = f"{sha256_of(path)}-{EXCERPT_S:g}-{CACHE_VERSION}"
    name = hashlib.sha256(what.encode()).hexdigest()[:20]
    return {kind: folder / f"{name}-{kind.replace(' ', '-')}.flac" for kind in (CLEAN, *KINDS)}


def _complete(files: Mapping[str, Path]) -> bool:
    """Return whether all excerpts of a track are there."""
    return bool(files) and all(path.exists() for path in files.values())


def _write(path: str, files: Mapping[str, Path]) -> None:
    """Write what is missing of one track's excerpts; nothing of a track that cannot be read."""
    try:
        y = middle(path, SR, EXCERPT_S) if files else np.zeros(0)
    except AudioError:
        return
    for kind, file in files.items():
        if not file.exists():
            audio.write(file, damaged(y, kind), SR, subtype="PCM_16")


def judge(
    measured: Mapping[str, Vectors], table: pd.DataFrame, units: Sequence[str]
) -> list[Judged]:
    """Judge whether damage leaves a track's neighbours what they were.

    Parameters
    ----------
    measured
        Encoder -> vectors, one row per row of the table.
    table
        As `excerpts` returns it.
    units
        Unit of each track (the places that the table names), such as its recording.

    Returns
    -------
    list of Judged
        ``kept_KIND``, the share of the `K` nearest clean tracks that stay nearest; ``found_copies``
        whether the nearest clean excerpt of a copy is its own.
    """
    measured, table = _whole(measured, table)
    tracks = table["row"].unique()
    parts = {name: _kept(found, table) for name, found in measured.items()}
    about = {"dataset": "damaged excerpts", "split": "clean excerpts answer"}
    named = np.asarray(units)[tracks]
    question = "neighbours stay the same under damage"
    kept = gather(
        {name: kept for name, (kept, _) in parts.items()},
        named,
        name="kept",
        question=question,
        **about,
    )
    copies = gather(
        {name: found for name, (_, found) in parts.items()},
        named,
        name="found",
        question="a near-duplicate finds its original",
        **about,
    )
    return kept + copies


def _whole(
    measured: Mapping[str, Vectors], table: pd.DataFrame
) -> tuple[dict[str, Vectors], pd.DataFrame]:
    """Leave out the tracks of which some encoder lacks a version."""
    rows = shared_rows(measured)
    kinds = table.iloc[rows].groupby("row")["kind"].transform("size")
    rows = rows[(kinds == 1 + len(KINDS)).to_numpy()]
    taken = {name: found.take(rows) for name, found in measured.items()}
    return taken, table.iloc[rows].reset_index(drop=True)


def _kept(vectors: Vectors, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return per track the share of neighbours kept by kind, and whether its copies find it."""
    clean = np.flatnonzero(table["kind"] == CLEAN)
    x, itself = vectors.scaled(fit_on=clean), np.arange(len(clean))
    before, _ = _nearest(x[clean], x[clean])
    kept, copies = {}, []
    for kind in KINDS:
        after, first = _nearest(x[table["kind"].to_numpy() == kind], x[clean])
        pairs = zip(before, after, strict=True)
        kept[kind] = [len(set(a) & set(b)) / max(1, len(a)) for a, b in pairs]
        copies += [first == itself] * (kind in COPIES)
    return pd.DataFrame(kept), pd.DataFrame({"copies": np.mean(copies, axis=0)})


def _nearest(query: np.ndarray, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the K nearest other tracks (N, k) of each track, and the nearest of all (N,)."""
    order = neighbours.nearest(query, clean, len(clean))[1]
    others = order[order != np.arange(len(clean))[:, None]].reshape(len(clean), -1)
    k = max(1, min(K, (len(clean) - 1) // 3))  # of few tracks all would be near
    return others[:, :k], order[:, 0]


def probe_accuracy(
    measured: Mapping[str, Vectors], table: pd.DataFrame, labels: Sequence[str], groups: Sequence
) -> pd.DataFrame:
    """Measure how often a probe of clean excerpts is right about damaged ones.

    Parameters
    ----------
    measured, table
        As in `judge`.
    labels, groups
        Label of each track, and what may not straddle folds.

    Returns
    -------
    DataFrame
        One row per encoder, one column per kind and `CLEAN`: accuracy over folds in which the
        probe saw nothing of the track's group.
    """
    measured, table = _whole(measured, table)
    labels, groups = np.asarray(labels, str), np.asarray(groups)
    answers = {name: _accuracy(found, table, labels, groups) for name, found in measured.items()}
    return pd.DataFrame(answers).T


def _accuracy(
    vectors: Vectors, table: pd.DataFrame, labels: np.ndarray, groups: np.ndarray
) -> dict[str, float]:
    """Return by kind how often the probe of one encoder is right."""
    track, kinds = table["row"].to_numpy(), table["kind"].to_numpy()
    right: dict[str, list] = {kind: [] for kind in (CLEAN, *KINDS)}
    clean = np.flatnonzero(kinds == CLEAN)
    for train, test in linear_probes.folds(groups[track[clean]], retrieval.FOLDS):
        x = vectors.scaled(fit_on=clean[train])
        probe = retrieval.probe_of(x[clean[train]], labels[track[clean[train]]])
        for kind, hits in right.items():
            rows = (kinds == kind) & np.isin(track, track[clean[test]])
            hits += list(probe.predict(x[rows]) == labels[track[rows]])
    return {kind: float(np.mean(hits)) for kind, hits in right.items()}
