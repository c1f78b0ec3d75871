"""What everybody needs who makes files: whole or not there, hashed, named, counted on a bar."""

import errno
import hashlib
import json
import mmap
import os
import sys
import tempfile
import tomllib
import uuid
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    import numpy as np

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a name to write to, which becomes `path` at the end of the block; or leave nothing.

    Parameters
    ----------
    path
        The file to make or to replace, in a folder that is there.

    Yields
    ------
    Path
        A name in the same folder that no other process has, and that ends in ``.part``.
    """
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        told = _told(error, path)
        if told is error:
            raise
        raise told from error
    finally:
        with suppress(OSError):  # what went wrong before is the better message
            part.unlink()


def _told(error: OSError, path: Path) -> OSError:
    """Return an error that names the folder where there is no room, for the system does not."""
    code = error.errno or next((n for n in NO_ROOM if f"[Errno {n}]" in str(error)), None)
    if code not in NO_ROOM:
        return error
    reason = f"{os.strerror(code)}; free some space in {path.parent} or name another folder"
    return OSError(code, reason, str(path))


def write_file(path: Path, content: str | bytes) -> Path:
    """Write a file, whole or not at all; its folder is made.

    Parameters
    ----------
    path
        The file to make or to replace.
    content
        Bytes, or text for UTF-8, in which names that are no valid text are escaped.

    Returns
    -------
    Path
        The file.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_bytes(content)
    return path


def write_json(path: Path, value: object) -> Path:
    """Write plain values as json with sorted keys, as `write_file` does."""
    return write_file(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


# Folders of a user, which those who use them make below the home, or fail.
OF_HOME = ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME")
OWN = ".musiclatent-output"  # in a folder: names of what we have made there, or "*" for all of it


def mark_output(folder: Path, *names: str) -> None:
    """Note in a folder which of its files we have made, so that no walk takes them for music.

    Parameters
    ----------
    folder
        A folder that is there.
    *names
        Names of files in it; none for the whole folder.
    """
    own = own_output(folder)
    wanted = own | set(names or "*")
    with suppress(OSError):  # what stands there is whole all the same
        if wanted != own:
            about = "made by musiclatent; what is named here is no music to be read"
            write_json(folder / OWN, {"about": about, "names": sorted(wanted)})


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """Mark what is made in a folder inside the block; all of it where the folder was not there."""
    before = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    yield folder
    made = {path.name for path in folder.iterdir()} - before if folder.is_dir() else set()
    if made:
        mark_output(folder, *(made if before else ()))


def own_output(folder: Path) -> set[str]:
    """Return the names of what we have made in a folder; "*" stands for all."""
    try:
        return set(json.loads((folder / OWN).read_bytes())["names"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def read_toml(path: Path) -> dict:
    """Read a table of the package, in the order of the file, every list as a tuple."""
    return _frozen(tomllib.loads(path.read_text("utf-8")))


def _frozen(value):
    """Turn the lists of a value into tuples, at any depth."""
    if isinstance(value, dict):
        return {name: _frozen(item) for name, item in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def sha256_of(path: Path | str) -> str:
    """Return the sha256 of a file's bytes as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Line:
    """What a bar in a notebook writes to: one line that is written again, in no red block."""

    _shown = None

    def write(self, text: str) -> None:
        """Write the state of a bar over the one before."""
        if not (text := text.strip("\r\n ")):
            return
        from IPython.display import display  # there is a notebook: it is loaded

        content = {"text/plain": text}
        if self._shown:
            self._shown.update(content, raw=True)
        else:
            self._shown = display(content, raw=True, display_id=True)

    def flush(self) -> None:
        """Do nothing: each line is shown as it is written."""


def hashes(paths: Sequence[Path | str], store: Path | None = None) -> list[str]:
    """Return the sha256 of each file, from a table where its size and time are as they were.

    Parameters
    ----------
    paths
        Files.
    store
        Json file that remembers size, time of the last change in ns, and hash of each; made anew
        where it is broken. None remembers nothing.

    Returns
    -------
    list of str
        64 hexadecimal digits each; empty where a file cannot be read.
    """
    known, names = _read_hashes(store), [str(Path(path).absolute()) for path in paths]
    stamps = {name: _stamp(name) for name in names}
    todo = [name for name in stamps if known.get(name, [])[:2] != stamps[name]]
    with ThreadPoolExecutor() as pool:
        done = progress(pool.map(_hash, todo), "hash", "file", total=len(todo), delay=2)
        found = dict(zip(todo, done, strict=True))
    known |= {name: [*stamps[name], sha256] for name, sha256 in found.items() if sha256}
    if store and any(found.values()):
        write_file(store, json.dumps(known))
    return [known[name][2] if stamps[name] and found.get(name, "-") else "" for name in names]


def _read_hashes(store: Path | None) -> dict[str, list]:
    """Read a table of hashes."""
    try:
        known = json.loads(store.read_text()) if store else {}
        return known if all(len(row) == 3 for row in known.values()) else {}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _stamp(name: str) -> list[int]:
    """Return size in bytes and time of the last change in ns; nothing where there is no file."""
    try:
        status = Path(name).stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _hash(name: str) -> str:
    """Return the hash of a file, empty where it cannot be read."""
    try:
        return sha256_of(name)
    except OSError:
        return ""


def progress(rows: Iterable | None, label: str, unit: str, **options) -> tqdm:
    """Return a bar that counts items: on stderr, or one line with the time it took in a notebook.

    Parameters
    ----------
    rows
        What to iterate over; None for a bar that its owner advances.
    label, unit
        What is done, and one of what is counted.
    **options
        Of tqdm, such as `total` and `delay` (in seconds).
    """
    pace_s = 0.1 if sys.stderr.isatty() else 10  # logs keep every state of a bar
    if type(sys.stderr).__module__.startswith("ipykernel"):
        form = "{desc}: {n_fmt} of {total_fmt} ({unit}), {elapsed}{postfix}"
        options |= {"file": _Line(), "bar_format": form}
        pace_s = 1
    return tqdm(rows, label, unit=unit, mininterval=pace_s, **options)


def blocks(x: "np.ndarray", size: int) -> "Iterator[np.ndarray]":
    """Yield an array some rows at a time; of a mapped file no other rows stay in memory.

    Parameters
    ----------
    x
        (B, ...), in memory or memory-mapped.
    size
        Rows at once.

    Yields
    ------
    ndarray
        Views of `x`, one at least.
    """
    for first in range(0, max(1, len(x)), size):
        yield x[first : first + size]
        release(x)


def each_row(x: "np.ndarray", rows: Iterable[int]) -> "Iterator[np.ndarray]":
    """Yield copies of some rows of an array; of a mapped file no other rows stay in memory.

    Parameters
    ----------
    x
        (B, ...), in memory or memory-mapped.
    rows
        Row numbers.
    """
    for row in rows:
        yield x[row].copy()
        release(x)


def release(x: "np.ndarray") -> None:
    """Give back the memory of a mapped file; what is read next comes from the file again.

    Parameters
    ----------
    x
        A memory-mapped array or a view of one; any other stays as it is.
    """
    while x is not None and not isinstance(x, mmap.mmap):
        x = getattr(x, "base", None)
    if x is not None and hasattr(mmap, "MADV_DONTNEED"):  # Windows has no such call
        x.madvise(mmap.MADV_DONTNEED)


def unique_names(files: Sequence[Path], folder: Path, endings: Sequence[str]) -> dict[Path, str]:
    """Name what files become, with a number where that would be another file's place.

    Parameters
    ----------
    files
        Files of any folders.
    folder
        Where it goes.
    endings
        What is added to the name of a file, for each thing that it becomes.

    Returns
    -------
    dict
        File -> name without its ending; no two differ in upper and lower case alone.
    """
    taken = {str(file.resolve()).casefold() for file in files}
    names = {}
    for file in files:
        for number in count(1):
            name = _short(file.stem) + (f"-{number}" if number > 1 else "")
            paths = [folder / f"{name}{end}" for end in endings]
            wanted = {str(path.resolve()).casefold() for path in paths}
            if not wanted & taken:
                break
        names[file] = name
        taken |= wanted
    return names


def _short(stem: str) -> str:
    """Return the beginning of a name, of 60 letters and 160 bytes at most: names have 255 bytes."""
    return stem[:60].encode("utf-8", "backslashreplace")[:160].decode(errors="ignore")


def need_columns(table: Container, names: Iterable[str], lacks: str, remedy: str) -> None:
    """Refuse a table without some columns: say who `lacks` them, such as "sections lack".

    Raises
    ------
    ValueError
        If a column is missing.
    """
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(f"{lacks} {', '.join(missing)}; {remedy}")


def pick(table: dict, name: str, kind: str):
    """Return one entry of a named table, or report which names there are.

    Raises
    ------
    ValueError
        If `name` is not in `table`.
    """
    if name not in table:
        raise ValueError(f"there is no {kind} named {name!r}; choose one of: {', '.join(table)}")
    return table[name]


def find_room() -> None:
    """Name a folder of one's own under the temporary one where there is no home to write to.

    Without this numba refuses to load librosa where neither the package nor the home may be
    written to, and a kernel does not start.
    """
    if _is_writable(Path(os.path.expanduser("~"))):  # noqa: PTH111 (no error without a home)
        return
    room = _room()
    for name in OF_HOME:
        os.environ.setdefault(name, str(room / name.lower()))
    spec = find_spec("librosa")
    packages = list(spec.submodule_search_locations or []) if spec else []
    if not all(_is_writable(Path(package)) for package in packages):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(room / "numba"))


def _is_writable(folder: Path) -> bool:
    """Return whether files can be made in a folder that is there."""
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _room() -> Path:
    """Return a folder that is this user's alone."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    room = Path(tempfile.gettempdir()) / f"musiclatent-{user}"
    room.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and room.lstat().st_uid != user:  # somebody else has made it
        return Path(tempfile.mkdtemp(prefix="musiclatent-"))
    return room
