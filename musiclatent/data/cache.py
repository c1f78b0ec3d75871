"""Preprocessed arrays on disk: resumable, atomic, memory-mapped.

A cache folder holds one transform of one corpus:

- ``x.npy``: every window of every item, float32, in index order;
- ``index.parquet``: one row per window, with the key of the file that it came from;
- ``quarantine.csv``: files set aside (path, reason);
- ``seen.parquet``: size, time and sha256 of every file, so that an unchanged file is not hashed;
- ``transform.json``: what was computed;
- ``shards/``: what workers have finished, only while a build runs or after it was killed.

The merged files are written into ``draft/``, which becomes ``ready/`` by one rename, the moment
from which they count; then they move up one by one. A run that finds ``ready/`` first finishes that
move. So a run can be killed at any moment, and the next one computes only what is missing. A lock
of the operating system, gone with the process that held it, makes a second run on the same folder
wait. (A power cut is another matter: nothing is flushed to the disk on purpose.)
"""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import pandas as pd

from musiclatent import numba_cache
from musiclatent.audio import windows
from musiclatent.data import shards
from musiclatent.data.workers import pool
from musiclatent.errors import CacheError
from musiclatent.features import descriptors
from musiclatent.files import need_columns, progress


def descriptor_table(
    items: pd.DataFrame, folder: Path, *, window_s: float = 30.0, n_jobs: int = 2
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute the descriptors of every section of a corpus, or read them from the cache.

    Parameters
    ----------
    items
        Corpus index, as in `cache.build`.
    folder
        Folder above the caches; one for each length is made in it.
    window_s
        Length of a section in seconds; the last one of a file may be half of it, and a file
        shorter than that is one section.
    n_jobs
        As in `cache.build`.

    Returns
    -------
    sections
        One row per section: item_id, path, label, group, split, start_s and end_s in seconds,
        silent (peak below -90 dBFS), and `descriptors.COLUMNS`.
    quarantine
        Files set aside: path, reason.

    Raises
    ------
    ValueError
        If a section is too short for descriptors, or as in `cache.build`.
    CacheError
        As in `cache.build`.
    """
    transform = descriptors.Descriptors(window_s=window_s)
    cached = build(items, transform, folder=folder_of(folder, transform), n_jobs=n_jobs)
    values = pd.DataFrame(np.asarray(cached.x, np.float64), columns=list(descriptors.COLUMNS))
    return pd.concat([cached.items[WINDOW], values], axis=1), cached.quarantine


def folder_of(root: Path, transform: windows.Measurement) -> Path:
    """Return the folder under `root` that caches a transform, one for each rate and length."""
    return Path(root) / f"{transform.kind}-{transform.window_s:g}s-{transform.sr}hz"


ORIGIN = ["item_id", "path", "label", "group", "split"]  # columns of all tables of a corpus
ITEM = [*ORIGIN, "seconds"]  # one row per recording
WINDOW = [*ORIGIN, "start_s", "end_s", "silent"]  # one row per window
INDEX = [*WINDOW, "row", "key"]  # one row per cached window
SEEN = ["path", "size", "mtime_ns", "sha256"]  # one row per file that was read
_log = logging.getLogger("musiclatent")


@dataclass(frozen=True)
class Cached:
    """A corpus as a model reads it.

    Parameters
    ----------
    x
        Memory-mapped float32 array (W, ...): W windows in the order of the corpus.
    items
        One row per window: item_id, path, label, group, split, start_s, end_s (in seconds), silent
        (peak below -90 dBFS), row (in `x`), key.
    quarantine
        Files set aside: path, reason.
    """

    x: np.memmap
    items: pd.DataFrame
    quarantine: pd.DataFrame


def build(
    items: pd.DataFrame,
    transform: windows.Measurement,
    *,
    folder: Path,
    n_jobs: int = 1,
    scheduler: str | None = None,
) -> Cached:
    """Compute a transform of every window of a corpus, or reuse what is there.

    Parameters
    ----------
    items
        Corpus index with the columns item_id, path, label, group, split, seconds.
    transform
        What is computed of a window, such as `windows.Waveform`.
    folder
        Folder of this cache, one for each transform and corpus.
    n_jobs
        Processes on this machine; -1 takes every core.
    scheduler
        Address ``tcp://host:port`` of a Dask scheduler that takes the work instead. Its workers
        must see the files and `folder` under the same paths.

    Returns
    -------
    Cached
        The array, its index, and the files set aside.

    Raises
    ------
    ValueError
        If `items` is empty, lacks a column, or none of its files can be read.
    CacheError
        If `folder` cannot be written (no space left, say), or `scheduler` does not answer.
    """
    _check(items)
    work = _Build(
        items=items,
        transform=transform,
        folder=Path(folder).absolute(),
        n_jobs=n_jobs,
        scheduler=scheduler,
    )
    try:
        with _alone(work.folder):
            work.run()
            return _load(work.folder)
    except OSError as error:
        raise CacheError(work.failure(error)) from error


def _check(items: pd.DataFrame) -> None:
    """Validate that a table is a corpus."""
    need_columns(items, ITEM, "the corpus index lacks", "load the corpus with corpus.load")
    if items.empty:
        raise ValueError("the corpus is empty: nothing to cache; check the folder it was read from")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other runs out of the folder, and leave nothing half-written in it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        _log.info("cache: another run builds %s; waiting for it", folder)
        lock.acquire()
    try:
        _clean(folder)
        yield
    finally:
        _clean(folder)
        lock.release()


def _clean(folder: Path) -> None:
    """Finish what is ready, remove what is half-written."""
    _publish(folder)
    shutil.rmtree(folder / "draft", ignore_errors=True)
    shards.clean(folder)


def _publish(folder: Path) -> None:
    """Move the finished files up; each move can be repeated after a kill."""
    ready = folder / "ready"
    if ready.exists():
        for path in sorted(ready.iterdir()):
            path.replace(folder / path.name)
        shutil.rmtree(folder / "shards", ignore_errors=True)
        ready.rmdir()


@dataclass(frozen=True, kw_only=True)
class _Build:
    """One run over a cache folder, see `build`."""

    items: pd.DataFrame
    transform: windows.Measurement
    folder: Path
    n_jobs: int
    scheduler: str | None

    def run(self) -> None:
        """Compute what is missing and write the merged files."""
        old, hashes = _merged(self.folder)
        left = shards.finished(self.folder, self.transform)
        hashes |= {(file.path, file.size, file.mtime_ns): file.sha256 for file in left}
        files = {path: self.identify(path, hashes) for path in self.items["path"].unique()}
        keys = {key.encode() for key in (*old["key"], *(file.key for file in left))}
        todo = [file for file in files.values() if file.key.encode() not in keys]
        for file in self.compute(todo, keys) if todo else ():
            files[file.path] = file
            keys.add(file.key.encode())  # so that one process does not compute equal files twice
        self.report(files)
        self.write(files, _rows(old, [*left, *files.values()]), old)

    def identify(self, path: str, hashes: dict) -> shards.File:
        """Take the hash of a file that did not change since the last run."""
        try:
            stamp = shards.stamp(path)
        except OSError:
            return shards.File(path)
        sha256 = hashes.get((path, *stamp))
        if not sha256:
            return shards.File(path)
        return shards.File(path, *stamp, sha256, shards.key(sha256, self.transform))

    def compute(self, todo: list[shards.File], keys: set[bytes]) -> Iterator[shards.File]:
        """Compute here into one shard, or have workers write a shard for each file."""
        (self.folder / "shards").mkdir(exist_ok=True)
        if self.n_jobs == 1 and self.scheduler is None:
            done = shards.compute(todo, self.transform, folder=self.folder, keys=keys)
        else:
            numba_cache.compile_librosa()
            shared = np.array(sorted(keys), dtype="S64")  # joblib hands a large array over once
            tasks = [(file, self.transform, self.folder, shared) for file in todo]
            where = {"n_jobs": self.n_jobs, "scheduler": self.scheduler}
            done = pool.each(shards.compute_one, tasks, **where)
        yield from progress(done, "cache", "file", total=len(todo))

    def report(self, files: dict[str, shards.File]) -> None:
        """Report what was reused and what was set aside; refuse a corpus without a good file."""
        bad = [file for file in files.values() if file.reason]
        if len(bad) == len(files):
            above = os.path.commonpath([Path(path).absolute().parent for path in files])
            raise ValueError(
                f"none of the {len(files)} files in {above!r} can be used; the first,"
                f" {Path(bad[0].path).name!r}: {bad[0].reason}"
            )
        reused = [path for path, file in files.items() if not (file.source or file.reason)]
        count = self.items["path"].isin(reused).sum()
        _log.info("cache: %d of %d items reused", count, len(self.items))
        if bad:
            table = self.folder / "quarantine.csv"
            _log.warning("cache: %d of %d files set aside, see %s", len(bad), len(files), table)

    def write(self, files: dict, rows: pd.DataFrame, old: pd.DataFrame) -> None:
        """Write the merged files aside, then have them count all at once."""
        table = pd.DataFrame([vars(file) for file in files.values()])
        bad = table["reason"] != ""
        index = self.items[ITEM].merge(table.loc[~bad, ["path", "key"]], on="path")
        index = index.merge(rows, on="key")
        draft = self.folder / "draft"
        draft.mkdir()
        if not index[["key", "start_s"]].equals(old[["key", "start_s"]]):
            shards.merge(index, self.transform, folder=self.folder, target=draft / "x.npy")
        end_s = self.grid.end_s(index["start_s"], index["seconds"])
        index = index.assign(end_s=end_s, row=np.arange(len(index)))
        index[INDEX].to_parquet(draft / "index.parquet", index=False)
        table.loc[~bad, SEEN].to_parquet(draft / "seen.parquet", index=False)
        aside = table.loc[bad, ["path", "reason"]]
        aside.to_csv(draft / "quarantine.csv", index=False, lineterminator="\n")
        (draft / "transform.json").write_text(shards.description(self.transform))
        draft.rename(self.folder / "ready")
        _publish(self.folder)

    @property
    def grid(self) -> windows.Grid:
        """Where the windows lie."""
        return windows.Grid(self.transform.sr, self.transform.window_s)

    def failure(self, error: OSError) -> str:
        """Return what is kept, how much space is needed, and what to do."""
        finished = shards.finished(self.folder, self.transform)
        paths = [*_merged(self.folder)[0]["path"], *(file.path for file in finished)]
        size = self.grid.most(self.items["seconds"]).sum() * shards.row_bytes(self.transform)
        reason = os.strerror(error.errno) if error.errno else str(error)
        return (
            f"cannot write the cache in {str(self.folder)!r}: {reason};"
            f" {self.items['path'].isin(paths).sum()} of {len(self.items)} items are done and kept;"
            f" the array takes about {size / 1e6:,.0f} MB, twice that while several processes build"
            " it; free some space or choose another folder, then run again to continue"
        )


def _merged(folder: Path) -> tuple[pd.DataFrame, dict]:
    """Read which windows and files x.npy holds; nothing where the folder is not whole."""
    try:
        index = pd.read_parquet(folder / "index.parquet")
        seen = pd.read_parquet(folder / "seen.parquet")
        n_rows = len(np.load(folder / "x.npy", mmap_mode="r"))
    except (OSError, ValueError):
        n_rows = -1
    if n_rows < 0 or n_rows != len(index):
        return pd.DataFrame(columns=INDEX), {}
    return index, seen.set_index(SEEN[:3])["sha256"].to_dict()


def _rows(old: pd.DataFrame, files: list[shards.File]) -> pd.DataFrame:
    """Return one row per window that exists, with the file and the row where it lies."""
    merged = old[["key", "start_s", "silent", "row"]].assign(source="x.npy")
    new = pd.DataFrame([vars(file) for file in files])
    new = new.loc[new["source"] != "", ["key", "start_s", "silent", "row", "source"]]
    new = new.explode(["start_s", "silent"], ignore_index=True)
    new["row"] += new.groupby(["source", "row"]).cumcount()
    rows = pd.concat([table for table in (merged, new) if len(table)])
    rows = rows.astype({"start_s": float, "silent": bool, "row": int})
    return rows.drop_duplicates(["key", "start_s"])


def _load(folder: Path) -> Cached:
    """Open the merged files."""
    x = np.load(folder / "x.npy", mmap_mode="r")
    items = pd.read_parquet(folder / "index.parquet")
    return Cached(x, items, pd.read_csv(folder / "quarantine.csv", dtype=str))


def values_of(cached: Cached, sections: pd.DataFrame) -> np.ndarray:
    """Values of the same sections, in their order; zeros where a file broke off earlier."""
    names = ["item_id", "start_s"]
    rows = sections[names].merge(cached.items[[*names, "row"]], "left", names)["row"]
    x = np.asarray(cached.x)[rows.fillna(0).astype(int)]
    x[rows.isna().to_numpy()] = 0
    return x
