"""Unpack archives that nobody vouches for: all or nothing, and never outside the target."""

import re
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from musiclatent.errors import FetchError, plain_errors

_CHUNK = 2**20  # bytes
# Damage, and what the reader raises when it is fed nonsense.
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ValueError)


def unpack(
    archive: Path, target: Path, *, max_files: int = 10_000, max_bytes: int = 4 * 2**30
) -> list[Path]:
    """Unpack a zip archive that nobody vouches for: all or nothing.

    Only regular files are taken, without their modes; any other member, a path that leaves the
    target, or a name that comes twice refuses the whole archive.

    Parameters
    ----------
    archive
        The file.
    target
        Folder to make; it must not exist.
    max_files
        Most members allowed, folders counted.
    max_bytes
        Most bytes allowed in all files together, counted as they are written.

    Returns
    -------
    list of Path
        The files written, in the archive's order.

    Raises
    ------
    FetchError
        If the archive is hostile, damaged, encrypted or too big, or the disk is full; then
        `target` does not exist.
    """
    if target.exists():
        raise FetchError(f"{target} exists: move it away before unpacking {archive.name}")
    with plain_errors(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            staging = Path(scratch) / "files"
            staging.mkdir()
            paths = _extract(archive, staging, max_files, max_bytes)
            staging.replace(target)
    return [target / path.relative_to(staging) for path in paths]


def _extract(archive: Path, staging: Path, max_files: int, max_bytes: int) -> list[Path]:
    """Write the members into `staging`, counting files and real bytes."""
    paths = []
    left = max_bytes
    try:
        for count, (name, stream) in enumerate(_members(archive)):
            if count >= max_files:
                raise _hostile(archive, f"has more than {max_files:,} members")
            path = _inside(archive, staging, name)
            if stream is None:
                continue
            if path.exists():
                raise _hostile(archive, f"has {name!r} twice")
            left = _copy(stream, path, left)
            if left < 0:
                raise _hostile(archive, f"unpacks to more than {max_bytes:,} bytes")
            paths.append(path)
    except _DAMAGED as error:
        raise FetchError(f"{archive.name} is damaged ({error}): download it again") from error
    return paths


def _copy(stream: IO[bytes], path: Path, left: int) -> int:
    """Write a member until it ends or `left` bytes are used up; return what is left of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        while left >= 0 and (chunk := stream.read(_CHUNK)):
            file.write(chunk[:left])
            left -= len(chunk)
    return left


def _inside(archive: Path, folder: Path, name: str) -> Path:
    """Join a member's name to a folder; refuse names that mean a place elsewhere."""
    elsewhere = re.search(r"^/|^[A-Za-z]:|\\|\0|(^|/)\.\.(/|$)|^$", name)
    path = folder / name.replace("\0", "")
    if elsewhere or not path.resolve().is_relative_to(folder.resolve()):
        raise _hostile(archive, f"has a member outside its folder, {name!r}")
    return path


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield name and open stream of each member; no stream for folders."""
    with zipfile.ZipFile(archive) as bundle:
        for info in bundle.infolist():
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _hostile(archive, f"has a link or device, {info.filename!r}")
            if info.flag_bits & 1:
                raise FetchError(f"{archive.name} is encrypted: unpack it by hand")
            if info.is_dir():
                yield info.orig_filename, None
                continue
            with bundle.open(info) as stream:
                yield info.orig_filename, stream


def _hostile(archive: Path, reason: str) -> FetchError:
    return FetchError(f"{archive.name} {reason}: it was not unpacked; do not use this file")
