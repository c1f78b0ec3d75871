"""Vectors of the same files by several encoders, kept by the bytes of a file and the revision.

Each encoder has a table of its own on disk, into which its process writes after every file: a run
that stopped goes on from there. A file that one encoder cannot take is set aside for that one.
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel

from musiclatent import audio, numba_cache
from musiclatent.analysis import neighbours, validation
from musiclatent.errors import AudioError, LatentsError, first_line, one_line
from musiclatent.files import progress, sha256_of
from musiclatent.latents.encoders import contract
from musiclatent.latents.encoders.contract import FrameEncoder

CACHE_VERSION = 1  # raise by hand when the same encoder would give other vectors
LIMIT_S = 60.0  # from the middle of a file: longer music costs no more
HOW = "mean"
FEW = 8  # files that are encoded in this process: a new one takes seconds to start
Find = Callable[[], FrameEncoder]


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """One vector per file by one encoder.

    Parameters
    ----------
    z
        (B, D) float32; rows of NaN for files that were set aside.
    widths
        Numbers in each part of a vector, which count the same when vectors are compared.
    reasons
        Row -> why the file was set aside.
    """

    z: np.ndarray
    widths: tuple[int, ...]
    reasons: dict[int, str] = field(default_factory=dict)

    @property
    def known(self) -> np.ndarray:
        """Return the rows (n,) that have a vector."""
        return np.flatnonzero(np.isfinite(self.z).all(axis=1))

    def take(self, rows: Sequence[int] | np.ndarray) -> "Vectors":
        """Return some rows, in that order."""
        rows = np.asarray(rows)
        reasons = {i: self.reasons[row] for i, row in enumerate(rows) if row in self.reasons}
        return replace(self, z=self.z[rows], reasons=reasons)

    def scaled(self, fit_on: np.ndarray | None = None) -> np.ndarray:
        """Return rows (B, D) whose Euclidean distances compare files; all of them are known.

        Parameters
        ----------
        fit_on
            Rows (n,) that mean and deviation of each number are taken of; all unless given.
        """
        fitted = self.z if fit_on is None else self.z[fit_on]
        return neighbours.standardise(fitted, self.z)[1] / np.sqrt(
            np.repeat(self.widths, self.widths)
        )


def measure(
    encoders: Mapping[str, Find],
    paths: Sequence[str | Path],
    store: Path,
    *,
    how: str = HOW,
    n_jobs: int = 2,
) -> dict[str, Vectors]:
    """Measure one vector per file and encoder, or take those that are kept.

    Parameters
    ----------
    encoders
        Name -> what finds the encoder, in whichever process works with it.
    paths
        Audio files; of one longer than `LIMIT_S` the middle is taken.
    store
        Folder that keeps the vectors.
    how
        How the rows of a file become one vector, see `contract.pool`.
    n_jobs
        Processes; each has one encoder at a time.

    Returns
    -------
    dict
        Name -> vectors, one row per path in their order.

    Raises
    ------
    ValueError
        If there are no encoders or no files.
    """
    if not encoders or not len(paths):
        raise ValueError(f"{len(encoders)} encoders and {len(paths)} files; name one or more each")
    store.mkdir(parents=True, exist_ok=True)
    digests = [_digest(path) for path in paths]
    many = {
        name: find for name, find in encoders.items() if _lacks_many(find(), digests, store, how)
    }
    done: dict[str, Vectors] = {}
    if many:
        numba_cache.compile_librosa()  # encoders may use it
        measure = numba_cache.delayed(_measured)
        # The bar of all encoders is enough: those of workers would write over each other.
        tasks = (measure(find, paths, digests, store, how, quiet=True) for find in many.values())
        found = Parallel(n_jobs=min(n_jobs, len(many)), return_as="generator")(tasks)
        bar = progress(found, "encoders", "encoder", total=len(many), delay=2)
        done = dict(zip(many, bar, strict=True))
    rest = encoders.keys() - many.keys()
    done |= {name: _measured(encoders[name], paths, digests, store, how) for name in rest}
    return {name: done[name] for name in encoders}


def _lacks_many(encoder: FrameEncoder, digests: Sequence[str], store: Path, how: str) -> bool:
    """Return whether enough is missing that it is worth a process of its own."""
    with closing(open_table(encoder, store, how)) as table:
        return len(set(digests) - read_kept(table, digests).keys()) > FEW


def _digest(path: str | Path) -> str:
    """Return the hash of a file, or nothing where it cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return ""


def _measured(
    find: Find,
    paths: Sequence[str | Path],
    digests: Sequence[str],
    store: Path,
    how: str,
    *,
    quiet: bool = False,
) -> Vectors:
    """Measure the vectors of one encoder."""
    encoder = find()
    kept: dict[str, np.ndarray] = {}
    reasons: dict[int, str] = {}
    with closing(open_table(encoder, store, how)) as table:
        kept |= read_kept(table, digests)
        rows = zip(paths, digests, strict=True)
        bar = rows if quiet else _watched(encoder.name, rows, digests, kept)
        for row, (path, digest) in enumerate(bar):
            if digest in kept:
                continue
            try:
                kept[digest] = file_vector(encoder, path, how)
            except (AudioError, LatentsError) as error:
                reasons[row] = getattr(error, "advice", "") or one_line(error)
                continue
            write_kept(table, {digest: kept[digest]})
    widths = widths_of(encoder, how)
    blank = np.full(sum(widths), np.nan, np.float32)
    z = np.stack([blank if i in reasons else kept[digest] for i, digest in enumerate(digests)])
    return Vectors(z=z, widths=widths, reasons=reasons)


def _watched(
    name: str, rows: Iterable, digests: Sequence[str], kept: Mapping
) -> Iterable[tuple[str | Path, str]]:
    """Return the files under a bar that is drawn where some take time."""
    missing = sum(digest not in kept for digest in digests)
    return progress(rows, name, "file", total=len(digests), disable=not missing, delay=5)


def widths_of(encoder: FrameEncoder, how: str = HOW) -> tuple[int, ...]:
    """Return the widths of the parts of a pooled vector.

    Parameters
    ----------
    encoder
        Its `parts`, or its dimensions as one part.
    how
        As in `contract.pool`: mean and deviation have each the parts of a row.
    """
    parts = tuple(getattr(encoder, "parts", ()) or (encoder.dimensions,))
    return parts * 2 if how == "mean+deviation" else parts


def file_vector(encoder: FrameEncoder, path: str | Path, how: str = HOW) -> np.ndarray:
    """Make one vector of the middle of a file.

    Parameters
    ----------
    encoder
        Any encoder.
    path
        An audio file.
    how
        As in `contract.pool`.

    Returns
    -------
    array (D,), float32

    Raises
    ------
    AudioError
        If the file cannot be read.
    LatentsError
        If the encoder fails on it, or breaks its contract.
    """
    y = middle(path, encoder.sr, LIMIT_S)
    try:
        z = contract.encode_sound(encoder, y)
    except (AudioError, LatentsError):
        raise
    except Exception as error:  # whatever code of others raises
        reason = one_line(first_line(error))
        raise LatentsError(
            f"{encoder.name} failed on {len(y) / encoder.sr:.2f} s of sound "
            f"({type(error).__name__}: {reason}); mend its encode, or leave the file out"
        ) from error
    return contract.pool(z, how, energy=contract.row_energy(encoder, y, len(z)))


def middle(path: str | Path, sr: int, seconds: float) -> np.ndarray:
    """Read the middle of a file, or all of it where it is no longer.

    Parameters
    ----------
    path
        An audio file.
    sr
        Rate in Hz of the samples.
    seconds
        How much of it.

    Returns
    -------
    array (N,), float32
    """
    length_s = audio.info(path).seconds
    if not length_s > seconds:  # a length that no header tells is NaN
        y = audio.read(path, sr)[0]
        spare = max(0, len(y) - round(seconds * sr)) // 2
        return y[spare : spare + round(seconds * sr)]
    return audio.read(path, sr, start_s=(length_s - seconds) / 2, duration_s=seconds)[0]


def open_table(encoder: FrameEncoder, store: Path, how: str) -> sqlite3.Connection:
    """Open the table that keeps the vectors of an encoder, made if it is missing.

    Parameters
    ----------
    encoder
        Its name and revision name the file.
    store
        Folder of the tables.
    how
        Another pooling is another table.
    """
    name = f"{encoder.name}-{encoder.revision}-{how}-{LIMIT_S:g}s-{CACHE_VERSION}"
    path = store / f"{re.sub(r'[^A-Za-z0-9.+-]+', '-', name)[:150]}.sqlite"
    table = sqlite3.connect(path, timeout=60)
    try:
        table.execute("create table if not exists vectors (sha256 text primary key, z blob)")
    except sqlite3.DatabaseError as error:
        table.close()
        raise LatentsError(
            f"{path} cannot be read as kept vectors ({error}); delete it and run again"
        ) from error
    return table


def read_kept(table: sqlite3.Connection, digests: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the vectors that are kept.

    Parameters
    ----------
    table
        From `open_table`.
    digests
        Hashes of what is wanted.

    Returns
    -------
    dict
        Hash -> vector (D,), of those that are there.
    """
    wanted = set(digests)
    rows = table.execute("select sha256, z from vectors")
    return {digest: np.frombuffer(z, "<f4") for digest, z in rows if digest in wanted}


def write_kept(table: sqlite3.Connection, found: Mapping[str, np.ndarray]) -> None:
    """Keep vectors; what is committed stays there when the run is killed.

    Parameters
    ----------
    table
        From `open_table`.
    found
        Hash -> vector (D,).
    """
    rows = [(digest, z.astype("<f4").tobytes()) for digest, z in found.items()]
    with table:
        table.executemany("insert or replace into vectors values (?, ?)", rows)


def quarantine(measured: Mapping[str, Vectors], paths: Sequence[str | Path]) -> pd.DataFrame:
    """List what was set aside: one row per file and reason, with the encoders it holds for.

    Parameters
    ----------
    measured, paths
        As `measure` returns and takes them.

    Returns
    -------
    DataFrame
        path, reason, encoders (names joined by commas).
    """
    rows = [
        (str(paths[row]), reason, name)
        for name, vectors in measured.items()
        for row, reason in vectors.reasons.items()
    ]
    table = pd.DataFrame(rows, columns=["path", "reason", "encoders"])
    return table.groupby(["path", "reason"], as_index=False)["encoders"].agg(", ".join)


def shared_rows(measured: Mapping[str, Vectors]) -> np.ndarray:
    """Return the rows (n,) that every encoder has a vector of: all are judged on the same.

    Raises
    ------
    ValueError
        If there are fewer than two.
    """
    known = np.logical_and.reduce([np.isfinite(v.z).all(axis=1) for v in measured.values()])
    rows = np.flatnonzero(known)
    if len(rows) < 2:
        raise ValueError(
            f"all encoders together have vectors of {len(rows)} files; compare two files or more"
        )
    for vectors in measured.values():
        validation.matrix(vectors.z[rows])
    return rows
