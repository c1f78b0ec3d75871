"""What the workers of a cache do: compute files into shards.

A shard is an array of rows (``.npy``) with a journal beside it (``.jsonl``). A file counts from the
line that its worker writes there, behind its last row; what has no line was not finished, and is
computed again. Rows are found by a key, the sha256 of (sha256 of the file's bytes, kind, parameters
and version of the transform, CACHE_VERSION), so that the same key means the same rows.
"""

import hashlib
import io
import json
import math
import uuid
from collections.abc import Container, Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from musiclatent.audio import windows
from musiclatent.errors import AudioError
from musiclatent.files import sha256_of

_PART = 1 << 19  # bytes copied at once: few enough to stay in the processor's cache
CACHE_VERSION = 1  # raise by hand when everything must be computed anew
SILENT = 10 ** (-90 / 20)  # a window whose peak lies below -90 dBFS: at most one step of 16 bits


@dataclass(frozen=True)
class File:
    """One file as far as it was read; also one line of a journal.

    Parameters
    ----------
    path
        The audio file.
    size, mtime_ns, sha256
        Its size in bytes, the time of its last change in ns, the hash of its bytes.
    key
        Name of what the transform makes of these bytes.
    source, row
        File in the cache folder that holds its windows, and the first row there; empty where
        nothing was computed.
    start_s, silent
        Of each window: where it begins in seconds, and whether its peak lies below -90 dBFS.
    reason
        Why the file is set aside; empty if it is good.
    """

    path: str
    size: int = -1
    mtime_ns: int = -1
    sha256: str = ""
    key: str = ""
    source: str = ""
    row: int = 0
    start_s: list[float] = ()
    silent: list[bool] = ()
    reason: str = ""


def compute(
    files: list[File], transform: windows.Measurement, *, folder: Path, keys: Container[bytes]
) -> Iterator[File]:
    """Write the windows of files into one new shard; leave out what is cached already.

    Parameters
    ----------
    files
        Files to compute; those without a key are hashed first.
    transform
        As in `cache.build`.
    folder
        The cache folder; the shard goes into its ``shards``.
    keys
        Keys that are cached; may grow meanwhile.

    Yields
    ------
    File
        Each file in turn: with its windows if they were computed, with a reason if it is bad.
    """
    path = folder / "shards" / f"{uuid.uuid4().hex}.npy"
    n_rows = 0
    with path.open("wb", buffering=0) as shard, path.with_suffix(".jsonl").open("wb", 0) as journal:
        put(header(0, transform.shape), shard)
        for file in files:
            try:
                file = file if file.key else _identify(file.path, transform)
                if file.key.encode() not in keys:
                    file = _append(file, transform, shard)
                    file = replace(file, source=f"shards/{path.name}", row=n_rows)
                    n_rows += len(file.start_s)
                    put(json.dumps(vars(file)).encode() + b"\n", journal)
            except AudioError as error:
                file = File(file.path, reason=error.advice)
            yield file
        shard.seek(0)
        put(header(n_rows, transform.shape), shard)


def compute_one(
    file: File, transform: windows.Measurement, folder: Path, keys: Container[bytes]
) -> File:
    """Write the windows of one file into a shard of its own; see `compute`."""
    [file] = compute([file], transform, folder=folder, keys=keys)
    return file


def finished(folder: Path, transform: windows.Measurement) -> list[File]:
    """List the files that shards hold.

    Parameters
    ----------
    folder, transform
        As in `compute`.
    """
    files = []
    for shard in sorted((folder / "shards").glob("*.npy")):
        size = shard.stat().st_size - len(header(0, transform.shape))
        n_rows = size // row_bytes(transform)
        files += [file for file in _journal(shard) if file.row + len(file.start_s) <= n_rows]
    return files


def clean(folder: Path) -> None:
    """Remove the shards that hold no whole file.

    Parameters
    ----------
    folder
        As in `compute`.
    """
    for shard in (folder / "shards").glob("*.npy"):
        if not _journal(shard):
            shard.unlink()
            shard.with_suffix(".jsonl").unlink(missing_ok=True)


def _journal(shard: Path) -> list[File]:
    """Read the whole lines beside a shard; the last may be broken off."""
    try:
        lines = shard.with_suffix(".jsonl").read_text().split("\n")[:-1]
        return [File(**json.loads(line)) for line in lines]
    except (FileNotFoundError, ValueError):
        return []


def stamp(path: str) -> tuple[int, int]:
    """Return size (bytes) and time of the last change (ns) of a file."""
    status = Path(path).stat()
    return status.st_size, status.st_mtime_ns


@lru_cache
def description(transform: windows.Measurement) -> str:
    """Return as json everything that decides what a transform gives."""
    values = {"kind": transform.kind, "parameters": asdict(transform)}
    values |= {"version": transform.version, "format": CACHE_VERSION}
    return json.dumps(values, indent=2, sort_keys=True)


def key(sha256: str, transform: windows.Measurement) -> str:
    """Name what a transform makes of a file with these bytes."""
    return hashlib.sha256((sha256 + description(transform)).encode()).hexdigest()


def _identify(path: str, transform: windows.Measurement) -> File:
    """Hash the bytes of a file."""
    try:
        size, mtime_ns = stamp(path)
        sha256 = sha256_of(path)
    except OSError as error:
        reason = f"it cannot be read ({error.strerror})"
        raise AudioError(path, reason, "check the path and its permissions") from error
    return File(path, size, mtime_ns, sha256, key(sha256, transform))


def _append(file: File, transform: windows.Measurement, shard: BinaryIO) -> File:
    """Compute the windows of one file onto the end of a shard, all or none."""
    begin = shard.tell()
    start_s, silent = [], []
    try:
        cut = windows.windows(file.path, transform.sr, transform.window_s)
        for start, y in islice(cut, 1 if transform.first_only else None):
            y = windows.centred(y, transform.sr)
            put(_row(transform, y), shard)
            start_s.append(float(start))
            silent.append(_silent(y))
        if stamp(file.path) != (file.size, file.mtime_ns):
            raise AudioError(file.path, "it changed while it was read", "run again")
    except BaseException:
        shard.seek(begin)
        shard.truncate()
        raise
    return replace(file, start_s=start_s, silent=silent)


def _silent(y: np.ndarray) -> bool:
    """Return whether no sample reaches SILENT; one in 64 settles it for nearly all music."""
    return bool(np.abs(y[::64]).max() < SILENT and np.abs(y).max() < SILENT)


def _row(transform: windows.Measurement, y: np.ndarray) -> memoryview:
    """Compute one row, and validate that it has the shape that the transform promises."""
    x = np.ascontiguousarray(transform(y), dtype="<f4")
    if x.shape != tuple(transform.shape):
        raise ValueError(
            f"transform {transform.kind!r} gave shape {x.shape} and promised {transform.shape};"
            " correct its `shape`"
        )
    return x.data.cast("B")


def row_bytes(transform: windows.Measurement) -> int:
    """Count the bytes of one row."""
    return 4 * math.prod(transform.shape)


def header(n_rows: int, shape: tuple[int, ...]) -> bytes:
    """Return the head of a npy file; its length is the same for any number of rows.

    Parameters
    ----------
    n_rows
        Number of rows, W.
    shape
        Shape of one row.
    """
    head = io.BytesIO()
    fields = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, *shape)}
    np.lib.format.write_array_header_1_0(head, fields)
    return head.getvalue()


def put(data: bytes | memoryview, file: BinaryIO) -> None:
    """Write all bytes to an unbuffered file, which may take only some at a time."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def merge(
    index: pd.DataFrame, transform: windows.Measurement, *, folder: Path, target: Path
) -> None:
    """Write the rows of all items behind one another; a shard that is just that is linked."""
    head = header(len(index), transform.shape)
    size = row_bytes(transform)
    follows = (index["source"] == index["source"].shift()) & (index["row"].diff() == 1)
    runs = index.groupby((~follows).cumsum()).agg(
        source=("source", "first"), row=("row", "first"), n_rows=("row", "size")
    )
    if len(runs) == 1 and _link(folder / runs["source"].iloc[0], head, len(index) * size, target):
        return
    with target.open("wb", buffering=0) as merged:
        put(head, merged)
        for run in runs.itertuples():
            _copy(folder / run.source, len(head) + run.row * size, run.n_rows * size, merged)


def _link(shard: Path, head: bytes, size: int, target: Path) -> bool:
    """Return whether a shard is the whole array and could be given a second name."""
    with shard.open("rb") as file:
        if file.read(len(head)) != head or shard.stat().st_size != len(head) + size:
            return False
    try:
        target.hardlink_to(shard)
    except OSError:
        return False
    return True


def _copy(source: Path, offset: int, size: int, target: BinaryIO) -> None:
    """Copy a part of a file onto the end of another."""
    with source.open("rb", buffering=0) as file:
        file.seek(offset)
        while size:
            part = file.read(min(size, _PART))
            if not part:
                raise OSError(f"{str(source)!r} is shorter than its index says; delete its folder")
            put(part, target)
            size -= len(part)
