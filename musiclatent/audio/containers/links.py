"""Files that were joined byte on byte, and Ogg files that were cut."""

import mmap
import re
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from musiclatent.audio.containers.parts import before_sound, mapped


def links(path: Path) -> list[tuple[int, int]]:
    """Find the streams that stand one behind the other in an Ogg, FLAC, wav, aiff or mp4 file.

    Parameters
    ----------
    path
        A file that is not empty.

    Returns
    -------
    list
        First byte and the one behind the last, of each stream; one for the whole file where there
        is no second one.
    """
    status = path.stat()
    return _links(path, status.st_size, status.st_mtime_ns)


@lru_cache(4096)
def _links(path: Path, size: int, mtime_ns: int) -> list[tuple[int, int]]:
    """Return the streams of a file that did not change: all its bytes are looked at."""
    with mapped(path) as data:
        begins = [0, *_begins(data)[1:]]
        return list(zip(begins, [*begins[1:], size], strict=True))


def _begins(data: mmap.mmap) -> list[int]:
    """Return where streams begin."""
    if data[:4] == b"OggS":
        return _ogg_begins(data)
    if data[:4] in (b"RIFF", b"FORM"):
        return _riff_begins(data)
    if data[4:8] == b"ftyp":
        return _mp4_begins(data)
    at = before_sound(data)
    # STREAMINFO of a flac is 34 bytes long and stands first.
    marks = re.finditer(rb"fLaC[\0\x80]\0\0\x22", data) if data[at : at + 4] == b"fLaC" else ()
    return [mark.start() for mark in marks]


def _ogg_begins(data: mmap.mmap) -> list[int]:
    """Return the pages with the flag "begin of stream" after a page without it (RFC 3533)."""
    begins, before = [], False
    for page in re.finditer(rb"OggS\0([\0-\7])", data):
        begin = bool(page[1][0] & 2)
        begins += [page.start()] if begin and not before else []
        before = begin
    return begins


def _riff_begins(data: mmap.mmap) -> list[int]:
    """Return where wav or aiff files begin behind one another."""
    begins, order = [], "<" if data[:4] == b"RIFF" else ">"
    at = 0
    while data[at : at + 4] == data[:4] and data[at + 8 : at + 12] == data[8:12] != b"":
        begins.append(at)
        (size,) = struct.unpack(order + "I", data[at + 4 : at + 8])
        at += 8 + size + size % 2
    return begins


def _mp4_begins(data: mmap.mmap) -> list[int]:
    """Return where mp4 files begin behind one another: at each atom ftyp that follows a moov."""
    begins, had_moov = [], True
    for at, name in atoms(data):
        if name == b"ftyp" and had_moov:
            begins.append(at)
        had_moov = name == b"moov" or (had_moov and name != b"ftyp")
    return begins


def atoms(data: mmap.mmap) -> Iterator[tuple[int, bytes]]:
    """Yield place and name of the outer parts of an mp4 file (ISO 14496-12)."""
    at, size = 0, 8
    while len(head := data[at : at + 8]) == 8 and size >= 8:
        size, name = struct.unpack(">I4s", head)
        yield at, name
        size = int.from_bytes(data[at + 8 : at + 16]) if size == 1 else size
        at += size


def is_cut_ogg(path: Path) -> bool:
    """Return whether the last page of an Ogg file is not whole, or not marked as the last."""
    with mapped(path) as data:
        if data[:4] != b"OggS":
            return False
        at = data.rfind(b"OggS\0")
        if len(data) < at + 27:
            return True
        table = data[at + 27 : at + 27 + data[at + 26]]
        return not data[at + 5] & 4 or at + 27 + len(table) + sum(table) > len(data)


def is_opus(path: Path) -> bool:
    """Return whether a file is Ogg with Opus in it."""
    with path.open("rb") as file:
        head = file.read(64)
    return head[:4] == b"OggS" and b"OpusHead" in head
