"""Remember what was read of files, by size and time, so that only what changed is read again."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from musiclatent.files import progress, write_file

_KINDS = {"path": object, "size": "int64", "mtime_ns": "int64"}
_STAMP = list(_KINDS)
_NOTHING = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _KINDS.items()})


def facts(
    paths: Sequence[str], read: Callable[[str], dict], *, store: Path | None, label: str
) -> pd.DataFrame:
    """Read files, or take what an earlier run read of those whose size and time are the same.

    Parameters
    ----------
    paths
        Files.
    read
        From a path to plain values by name, the same names for every file. It does not raise.
    store
        Parquet file that remembers; None remembers nothing. One that is broken, or has other names,
        is made anew.
    label
        What the bar says.

    Returns
    -------
    DataFrame
        One row per path, in their order; columns as `read` names them.
    """
    stamps = pd.DataFrame([(path, *_stamp(path)) for path in paths], columns=_STAMP)
    known = _load(store)
    found = stamps.merge(known, "left", _STAMP, indicator="source")
    new = found["source"].eq("left_only")
    fresh = pd.DataFrame(_read(list(stamps["path"][new]), read, label), index=stamps.index[new])
    if not new.any():
        return found[[name for name in known if name not in _STAMP]]
    if len(known) and set(fresh) != set(known) - set(_STAMP):  # other facts than were asked for
        known, fresh = known[:0], pd.DataFrame(_read(list(paths), read, label))
    values = pd.concat([found.loc[~new, list(fresh)], fresh]) if len(known) else fresh
    values = values.sort_index()
    if store:
        others = known[~known["path"].isin(stamps["path"])]
        table = stamps.join(values)[stamps["size"] >= 0].drop_duplicates("path")
        table = pd.concat([others, table]) if len(others) else table
        write_file(store, table.to_parquet(index=False))
    return values


def _stamp(path: str) -> tuple[int, int]:
    """Return size and time of a file; -1 where it cannot be reached."""
    try:
        status = Path(path).stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _load(store: Path | None) -> pd.DataFrame:
    """Read a store; empty where there is none that can be read."""
    try:
        table = pd.read_parquet(store) if store else _NOTHING
        return table.astype(_KINDS).drop_duplicates(_STAMP)
    except (OSError, ValueError, KeyError):
        return _NOTHING


def _read(paths: list[str], read: Callable[[str], dict], label: str) -> list[dict]:
    """Read files in threads: decoders let others run meanwhile."""
    with ThreadPoolExecutor() as pool:
        done = pool.map(read, paths)
        return list(progress(done, label, "file", total=len(paths), delay=2)) if paths else []
