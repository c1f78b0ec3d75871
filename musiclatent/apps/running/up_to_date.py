"""Report whether a notebook would only make again what is there.

A stamp holds a hash of all that decides what a notebook gives (its source, its parameters, our
code, the data files by name, size and time, the notebook before it) and the files that stood in
the study's folder when it ended, with their sizes. Where both hold, running it changes nothing.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from musiclatent.config import Workspace
from musiclatent.data.folders import walk
from musiclatent.data.shards import stamp
from musiclatent.files import own_output, write_json

SOURCES = (".py", ".toml", ".mk", ".js", ".j2")  # of the package's files


def identity(
    source: Path, parameters: dict[str, str], *, data: Sequence[Path], before: str = ""
) -> str:
    """Hash all that decides what a notebook gives.

    Parameters
    ----------
    source
        The notebook.
    parameters
        Its parameters.
    data
        Folders of the audio that it works on.
    before
        Identity of the notebook that runs before it.
    """
    listing = [_listing(folder, times=True) | _linked(folder) for folder in data]
    text = json.dumps([parameters, listing, before, _code()], sort_keys=True)
    return hashlib.sha256(source.read_bytes() + text.encode()).hexdigest()


@cache
def _code() -> str:
    """Hash the package's own files."""
    folder = Path(__file__).parents[2]
    files = sorted(p for p in folder.rglob("*") if p.suffix in SOURCES)
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _listing(folder: Path, times: bool) -> dict[str, list[int]]:
    """Return size, and time where asked, of every file under a folder that is not hidden."""
    sizes = {}
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "tensorboard"))]
        folders[:] = [name for name in folders if "*" not in own_output(Path(here, name))]
        for path in (Path(here, name) for name in names if not name.startswith(".")):
            try:
                status = path.stat()
            except OSError:  # a link to nothing, or a file that has just gone
                continue
            stamp = [status.st_size, status.st_mtime_ns] if times else [status.st_size]
            sizes[str(path.relative_to(folder))] = stamp
    return sizes


def _linked(folder: Path) -> dict[str, list[int]]:
    """Return size and time of the music that links lead to, which no plain walk finds."""
    found = {str(path): path for path in walk(folder).found} if folder.is_dir() else {}
    return {name: list(stamp(name)) for name, path in found.items() if path.exists()}


def _path(folder: Path, name: str) -> Path:
    """Return the file of a notebook's stamp, in the folder of executed notebooks."""
    return folder / f".{name}.stamp.json"


def is_up_to_date(space: Workspace, name: str, wanted: str) -> bool:
    """Return whether a notebook ran with this identity and all that it left is still there.

    Parameters
    ----------
    space
        The study's results.
    name
        The notebook's name.
    wanted
        As `identity` gives it.
    """
    try:
        stamp = json.loads(_path(space.path("notebooks"), name).read_text())
    except (OSError, ValueError):
        return False
    there = _listing(space.path(), times=False)
    return stamp["identity"] == wanted and stamp["files"].items() <= there.items()


def record(space: Workspace, name: str, digest: str) -> None:
    """Write the stamp of a notebook that ran to its end."""
    path = _path(space.make("notebooks"), name)
    files = _listing(space.path(), times=False)
    # Later notebooks run again and change; the index of a cache changes with the split.
    other = {f for f in files if f.startswith("notebooks") and Path(f).stem != name}
    other |= {f for f in files if f.endswith("index.parquet")}
    files = {file: size for file, size in files.items() if file not in other}
    write_json(path, {"identity": digest, "files": files})
