"""Report whether a notebook would only make again what is there.

A stamp holds a hash of all that decides what a notebook gives: its source and parameters, the
package's files that it stands on (`imports`), the sizes of its profile and studies, its data files
by name, size and time, and what the notebooks that it needs left for it, by content. Beside it the
files that it made, with their sizes. Where both hold, running it changes nothing; and a notebook
that ran again and left the same files makes no other run again.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from musiclatent import config, studies
from musiclatent.apps.running import imports
from musiclatent.config import Workspace
from musiclatent.data.folders import walk
from musiclatent.data.shards import stamp
from musiclatent.files import own_output, sha256_of, write_json

LARGE = 16_000_000  # bytes, from which on a file is told by its size and time


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What a notebook that ran to its end left a note of.

    Parameters
    ----------
    identity
        As `identity` gives it.
    files
        Size in bytes of each file that it made, by its place in the study's folder.
    left
        Hash of those of them that other notebooks may read.
    seconds
        How long it took.
    """

    identity: str
    files: dict[str, int] = field(default_factory=dict)
    left: str = ""
    seconds: float = 0.0


def identity(
    source: Path,
    parameters: Mapping[str, str],
    *,
    data: Sequence[Path],
    left: Mapping[str, str] | None = None,
) -> str:
    """Hash all that decides what a notebook gives.

    Parameters
    ----------
    source
        The notebook.
    parameters
        Its parameters; ``profile`` and ``study`` count with what they mean.
    data
        Folders of the audio that it works on.
    left
        Notebooks that it needs -> what they left, see `Stamp`.
    """
    listing = [_listing(folder, times=True) | _linked(folder) for folder in data]
    code = imports.digest(imports.code_of(source))
    facts = [dict(parameters), listing, dict(left or {}), code, _sizes(parameters, left or {})]
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(source.read_bytes() + text.encode()).hexdigest()


def _sizes(parameters: Mapping[str, str], left: Mapping[str, str]) -> str:
    """Describe the profile and the studies that a notebook works on."""
    if "profile" not in parameters:
        return ""
    profile = parameters["profile"]
    names = sorted({parameters["study"], *(name.split("/")[0] for name in left)})
    plans = [studies.study(name, profile) for name in names]
    return repr((config.profile(profile), plans))


def _listing(folder: Path, times: bool, since_ns: int = 0) -> dict[str, list[int]]:
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
            if status.st_mtime_ns >= since_ns:
                sizes[str(path.relative_to(folder))] = stamp
    return sizes


def _linked(folder: Path) -> dict[str, list[int]]:
    """Return size and time of the music that links lead to, which no plain walk finds."""
    found = {str(path): path for path in walk(folder).found} if folder.is_dir() else {}
    return {name: list(stamp(name)) for name, path in found.items() if path.exists()}


def _path(space: Workspace, name: str) -> Path:
    """Return the file of a notebook's stamp, in the folder of executed notebooks."""
    return space.path("notebooks", f".{name}.stamp.json")


def read(space: Workspace, name: str) -> Stamp:
    """Return a notebook's stamp; an empty one where it did not run to its end.

    Parameters
    ----------
    space
        The study's results.
    name
        The notebook's name.
    """
    try:
        return Stamp(**json.loads(_path(space, name).read_text()))
    except (OSError, ValueError, TypeError):
        return Stamp(identity="")


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
    stamp = read(space, name)
    if stamp.identity != wanted:
        return False
    there = (space.path(file) for file in stamp.files)
    return all(
        path.is_file() and path.stat().st_size == size
        for path, size in zip(there, stamp.files.values(), strict=True)
    )


def record(space: Workspace, name: str, digest: str, *, began: float) -> None:
    """Write the stamp of a notebook that ran to its end.

    Nothing else runs in the study's folder meanwhile: what is new there is the notebook's.

    Parameters
    ----------
    space
        The study's results.
    name
        The notebook's name.
    digest
        Its identity.
    began
        When it began, in seconds since 1970.
    """
    folder, old = space.path(), read(space, name).files
    new = _listing(folder, times=False, since_ns=int(began * 1e9))
    kept = {file: [(folder / file).stat().st_size] for file in old if (folder / file).is_file()}
    # The index of a cache changes with the split that another notebook asks for.
    files = {f: size for f, (size,) in (kept | new).items() if not f.endswith("index.parquet")}
    stamp = {"identity": digest, "files": files, "left": _left(folder, sorted(files), name)}
    write_json(_path(space, name), stamp | {"seconds": round(time.time() - began, 1)})


def _left(folder: Path, files: Sequence[str], name: str) -> str:
    """Hash those files that do not bear the notebook's name or number: others may read them."""
    number = f"{name.partition('_')[0]}_"
    digest = hashlib.sha256()
    for file in files:
        if not any(part.startswith(number) for part in Path(file).parts):
            digest.update(f"{file} {_content(folder / file)}\n".encode())
    return digest.hexdigest()


def _content(path: Path) -> str:
    """Return the hash of a file; of a large one size and time, which a reused one keeps."""
    status = path.stat()
    if status.st_size > LARGE:
        return f"{status.st_size} {status.st_mtime_ns}"
    return sha256_of(path)
