"""Find duplicate recordings from their sound, whatever their gain, codec or cut.

A fingerprint holds one word of 24 bits per frame: whether the energy difference between adjacent
bands (300 to 2,000 Hz) grows or falls from one frame to a later one. Gain cancels, and a cut that
is no multiple of the hop changes few bits, because frames are eight times longer than the hop. An
index of equal words votes for pairs and offsets; a pair is confirmed where enough bits of the whole
overlap agree, about half of them do in music that is not the same.

Source: J. Haitsma and T. Kalker, A highly robust audio fingerprinting system, ISMIR 2002; ours has
longer hops and differences, and fewer bands.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from scipy.fft import rfft
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from musiclatent import audio, numba_cache
from musiclatent.audio import windows
from musiclatent.errors import AudioError
from musiclatent.features.copies import rips, short
from musiclatent.files import hashes, progress, write_file

CACHE_VERSION = 2  # raise by hand when the words change: older stores are then computed anew
SR = 5_512  # Hz
N_FFT = 2_048  # 372 ms
HOP_LENGTH = 256  # 46 ms
LAG = 4  # frames between the two that are compared
BITS = 24
BAND_HZ = (300.0, 2_000.0)
SILENCE = 1e-6  # frames 60 dB below the loudest say nothing
SCORE = 0.78  # share of equal bits above which two recordings are the same
OVERLAP = 0.4  # least part of the shorter recording that must be common
OVERLAP_S = 3.0  # and its least length
VOTES = 2  # equal words at one offset that make a candidate
NEIGHBOURS = 24  # equal words that one word is compared with: bounds the work on common words
MOST = 5_000_000  # words that vote; of more, some are left out, the same ones of all files
_BATCH = 256  # files that are done at once
_GROWTH = 1.1  # of the store between two writes of it, so that all writes together stay linear
_SETS = 8  # of files, whose pairs are kept
_FEW = 32  # files that are done before other processes have started
_NONE = np.zeros(0, np.uint32)
_POWERS = 1 << np.arange(BITS, dtype=np.uint32)


def find_duplicates(
    paths: Sequence[Path | str],
    *,
    store: Path | None = None,
    n_jobs: int = 1,
    remember: bool = False,
) -> pd.DataFrame:
    """Find the pairs of files that hold the same recording, or overlapping cuts of it.

    Sounds shorter than 3 s are compared by their samples, whole recordings also at speeds up to
    4.5 % apart. Files that cannot be read are in no pair unless their bytes are equal.

    Parameters
    ----------
    paths
        Audio files.
    store
        Parquet file that keeps fingerprints by the hash of the file, so that a second run is quick.
    n_jobs
        Processes that compute fingerprints.
    remember
        Whether the hash of each file, by its size and time, and the pairs of a set of files are
        kept beside the store, so that a set that has not changed is not even read.

    Returns
    -------
    DataFrame
        `a`, `b`: positions in `paths`, a < b; `score`: share of equal bits in the overlap, 0.5 by
        chance and 1 at best; `offset_s`: where `b` begins on the clock of `a`, in seconds.
        Of many files that are all the same, not every pair is listed, but they stay connected.
    """
    remember = remember and store is not None
    digests = hashes(paths, store.with_suffix(".hashes.json") if remember else None)
    if not remember:
        return _find(paths, digests, store, n_jobs)
    kept = store.with_suffix(f".pairs-{_key(digests)}.parquet")
    with suppress(OSError, ValueError):
        return pd.read_parquet(kept)
    pairs = _find(paths, digests, store, n_jobs)
    for old in sorted(store.parent.glob(f"{store.stem}.pairs-*.parquet"))[_SETS:]:
        old.unlink(missing_ok=True)
    write_file(kept, pairs.to_parquet(index=False))
    return pairs


def _key(digests: Sequence[str]) -> str:
    """Name a set of files in their order, and how they are compared."""
    how = [CACHE_VERSION, SCORE, OVERLAP, OVERLAP_S, VOTES, MOST]
    return hashlib.sha256(json.dumps([how, *digests]).encode()).hexdigest()[:16]


def _find(paths: Sequence, digests: list[str], store: Path | None, n_jobs: int) -> pd.DataFrame:
    """Find the pairs, see `find_duplicates`."""
    prints = _prints(paths, digests, store, n_jobs)
    first, rows = {}, []
    for i, digest in enumerate(digests):
        if digest in first:
            rows.append((first[digest], i, 1.0, 0.0))
        elif digest:
            first[digest] = i
    files = [i for digest, i in first.items() if digest in prints]
    found = [prints[digests[i]] for i in files]
    rows += [(files[a], files[b], *more) for a, b, *more in _same([paths[i] for i in files], found)]
    pairs = pd.DataFrame(rows, columns=["a", "b", "score", "offset_s"])
    pairs = pairs.astype({"a": int, "b": int, "score": float, "offset_s": float})
    return pairs.sort_values(["a", "b"], ignore_index=True)


@dataclass(frozen=True, kw_only=True)
class Print:
    """What is kept of a file.

    Parameters
    ----------
    words
        As `fingerprint` gives them.
    sound
        Its samples (N,) at `SR` where it is shorter than `OVERLAP_S`, else none.
    course
        As `rips.course` gives it.
    seconds
        Its length.
    """

    words: np.ndarray
    sound: np.ndarray
    course: np.ndarray
    seconds: float


def _same(paths: Sequence, prints: list[Print]) -> Iterator[tuple[int, int, float, float]]:
    """Yield a, b, score and offset of the pairs of files that hold the same recording."""
    pairs = _matches([found.words for found in prints])
    yield from pairs
    for a, b, score, lag in short.same_sounds([found.sound for found in prints]):
        yield a, b, score, lag / SR
    known = {(a, b) for a, b, *_ in pairs}

    def words(i: int, speed: float) -> np.ndarray:
        """Return the fingerprint of a file at another speed."""
        return prints[i].words if speed == 1 else fingerprint(paths[i], speed)

    courses, seconds = [p.course for p in prints], [p.seconds for p in prints]
    for a, b, score in rips.other_speeds(courses, seconds, words):
        if (a, b) not in known:
            yield a, b, score, 0.0


def connected_groups(n: int, pairs: pd.DataFrame) -> np.ndarray:
    """Find the sets of files that pairs connect.

    Parameters
    ----------
    n
        How many files there are.
    pairs
        Columns `a` and `b`, positions from 0 to n - 1.

    Returns
    -------
    array (n,)
        A number for each file, equal for files that are connected, counted up from 0 in order of
        first appearance.
    """
    if not n:
        return np.zeros(0, int)
    a, b = pairs["a"].to_numpy(int), pairs["b"].to_numpy(int)
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(int)


def fingerprint(path: Path | str, speed: float = 1.0) -> np.ndarray:
    """Compute the fingerprint of a file of any length, block by block.

    Parameters
    ----------
    path
        An audio file.
    speed
        How many times as fast it is played, and as high.

    Returns
    -------
    array (T,), uint32
        A word for every 46 ms; 0 where there is silence.

    Raises
    ------
    AudioError
        If the file cannot be read.
    """
    return _words(_all_energies(audio.blocks(path, round(SR / speed))))


def _all_energies(blocks: Iterator[np.ndarray]) -> np.ndarray:
    """Compute the energies (T, BITS + 1) of all frames of a file."""
    parts = [_energies(y) for y in windows.frames(blocks, N_FFT, HOP_LENGTH)]
    return np.concatenate(parts)


def _print(path: Path | str) -> Print:
    """Compute what is kept of a file."""
    count, begin = 0, []

    def counted() -> Iterator[np.ndarray]:
        """Pass blocks on; count their samples and hold the first."""
        nonlocal count
        for y in audio.blocks(path, SR):
            count += len(y)
            begin.extend([y] if count < OVERLAP_S * SR else [])
            yield y

    energies = _all_energies(counted())
    sound = np.concatenate(begin) if count < OVERLAP_S * SR else np.zeros(0)
    return Print(
        words=_words(energies),
        sound=sound.astype(np.float32),
        course=rips.course(energies.sum(axis=1)),
        seconds=count / SR,
    )


def _energies(y: np.ndarray) -> np.ndarray:
    """Compute the energy (T, BITS + 1) in each band of frames (T, N_FFT)."""
    window = np.hanning(N_FFT).astype(np.float32)
    edges = np.round(np.geomspace(*BAND_HZ, BITS + 2) * N_FFT / SR).astype(int)
    # Chunks of 64 frames stay in the processor's cache.
    chunks = [y[i : i + 64] * window for i in range(0, max(1, len(y)), 64)]
    power = (np.abs(rfft(chunk)[:, : edges[-1]]) ** 2 for chunk in chunks)
    return np.concatenate([np.add.reduceat(p, edges[:-1], axis=1) for p in power])


def _words(energies: np.ndarray) -> np.ndarray:
    """Return words (T - LAG,) of band energies (T, BITS + 1)."""
    slope = np.diff(energies, axis=1)
    bits = slope[LAG:] > slope[:-LAG]
    total = energies.sum(axis=1)
    loud = total > SILENCE * total.max(initial=0.0)
    words = bits.astype(np.uint32) @ _POWERS | np.uint32(1 << BITS)  # the top bit marks sound
    return np.where(loud[LAG:] & loud[:-LAG], words, 0).astype(np.uint32)


def _matches(words: list[np.ndarray]) -> list[tuple[int, int, float, float]]:
    """Confirm candidates: for each pair the offset with the highest score, where it suffices."""
    best = {}
    for a, b, lag in _candidates(words):
        for shift in (lag, lag + 1):
            score = _score(words[a], words[b], shift)
            if score >= SCORE and score > best.get((a, b), (0, 0))[0]:
                best[a, b] = (score, shift * HOP_LENGTH / SR)
    return [(a, b, score, offset) for (a, b), (score, offset) in sorted(best.items())]


def _candidates(words: list[np.ndarray]) -> np.ndarray:
    """List rows a, b, lag (frames) at which, or one frame later, some words are equal; a < b."""
    share = max(1, -(-sum(map(len, words)) // MOST))
    voting = [_voters(w, share) for w in words]
    file = np.repeat(np.arange(len(words)), [len(w) for w in voting])
    frame = np.concatenate([*voting, np.zeros(0, int)])
    value = np.concatenate([*(w[v] for w, v in zip(words, voting, strict=True)), _NONE])
    # by frame within a word, so that in music made of loops the neighbours have small lags
    order = np.lexsort((file, frame, value))[np.count_nonzero(value == 0) :]
    file, frame, value = file[order], frame[order], value[order]
    span = 2 * max((len(w) for w in words), default=0) + 1
    votes = [np.zeros(0, int)]
    for k in range(1, NEIGHBOURS + 1):
        i = np.flatnonzero((value[k:] == value[:-k]) & (file[k:] != file[:-k]))
        i, j = np.where(file[i] < file[i + k], (i, i + k), (i + k, i))
        votes.append((file[i] * len(words) + file[j]) * span + frame[i] - frame[j] + span // 2)
    key, count = np.unique(np.concatenate(votes), return_counts=True)
    count[:-1] += np.where(np.diff(key) == 1, count[1:], 0)
    pair, lag = np.divmod(key[count >= VOTES], span)
    return np.stack([*np.divmod(pair, len(words)), lag - span // 2], axis=1)


def _voters(words: np.ndarray, share: int) -> np.ndarray:
    """Return the frames (n,) whose words vote: one value in `share`, spread by Knuth's hash."""
    if share == 1:
        return np.arange(len(words))
    return np.flatnonzero((words * np.uint32(2_654_435_761) >> np.uint32(12)) % share == 0)


def _score(a: np.ndarray, b: np.ndarray, lag: int) -> float:
    """Return the share of equal bits where `b`, from frame `lag` of `a`, overlaps it, or 0."""
    start, stop = max(0, lag), min(len(a), lag + len(b))
    least = max(OVERLAP * min(len(a), len(b)), OVERLAP_S * SR / HOP_LENGTH)
    if stop - start < least:
        return 0.0
    x, y = a[start:stop], b[start - lag : stop - lag]
    sound = (x > 0) & (y > 0)
    if sound.sum() < least / 2:
        return 0.0
    return 1.0 - float(np.bitwise_count(x[sound] ^ y[sound]).mean()) / BITS


def _prints(paths: Sequence, digests: list[str], store: Path | None, n_jobs: int) -> dict:
    """Return fingerprints by hash, from the store where it has them."""
    prints = _load(store)
    todo = {d: p for p, d in zip(paths, digests, strict=True) if d and d not in prints}
    if not todo:
        return prints
    todo, written = list(todo.items()), len(prints)
    bar = progress(None, "fingerprints", "file", total=len(todo), delay=2)
    with bar, joblib.Parallel(n_jobs if len(todo) > _FEW else 1) as parallel:
        for i in range(0, len(todo), _BATCH):
            digests, files = zip(*todo[i : i + _BATCH], strict=True)
            results = parallel(numba_cache.delayed(_try)(file) for file in files)
            prints |= {d: w for d, w in zip(digests, results, strict=True) if w is not None}
            if len(prints) >= written * _GROWTH or i + _BATCH >= len(todo):
                _save(store, prints)
                written = len(prints)
            bar.update(len(files))
    return prints


def _try(path: Path | str) -> Print | None:
    """Return what is kept of a file, or None where it cannot be read."""
    try:
        return _print(path)
    except AudioError:
        return None


def _load(store: Path | None) -> dict[str, Print]:
    """Read a store; one that is missing, broken or of another version is empty."""
    try:
        table = pd.read_parquet(store) if store else None
        if table is None or (table["version"] != CACHE_VERSION).any():
            return {}
        return {row.sha256: _unpacked(row) for row in table.itertuples()}
    except (OSError, ValueError, KeyError, AttributeError):  # pyarrow's errors are ValueErrors
        return {}


def _unpacked(row: tuple) -> Print:
    """Return a row of a store."""
    sound, course = (np.frombuffer(part, "<f2") for part in (row.sound, row.course))
    words = np.frombuffer(row.words, "<u4")
    parts = {"sound": sound.astype(np.float32), "course": course.astype(np.float32)}
    return Print(words=words, seconds=row.seconds, **parts)


def _save(store: Path | None, prints: dict[str, Print]) -> None:
    """Write a store whole or not at all."""
    if store is None:
        return
    kinds = {"words": "<u4", "sound": "<f2", "course": "<f2"}
    columns = {
        name: [getattr(found, name).astype(kind).tobytes() for found in prints.values()]
        for name, kind in kinds.items()
    }
    seconds = [found.seconds for found in prints.values()]
    table = pd.DataFrame({"sha256": list(prints), **columns, "seconds": seconds})
    table = table.assign(version=CACHE_VERSION)
    write_file(store, table.to_parquet(index=False))
