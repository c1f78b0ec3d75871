"""The samples of wav, aiff, au, w64, caf and rf64 files, and what stands behind them."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from musiclatent.audio.containers.parts import Part

STREAMING = 0x7FFF0000  # sizes from here on are what recorders write before they know the size
LITTLE = 4096  # bytes behind the sound that are no sound: what taggers and disks leave
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")
_CHUNKS = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"_PMX", b"JUNK", b"PAD ", b"FLLR")
_W64, _CAF = "<4s12xQ", ">4sQ"  # heads of their chunks: name, then size; that of wav is shorter


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Where the samples of a wav, aiff, au, w64, caf or rf64 file stand.

    Parameters
    ----------
    offset
        First byte of the samples.
    size
        Bytes of samples that the header promises; None where it leaves them open.
    present
        Bytes from the first sample to the end of the file.
    left
        Bytes behind the promised ones that are no tags: sound that the header does not know of.
    place, form
        Where the size stands, and how, as `struct` names it.
    extra
        Bytes that the size counts beside the samples.
    """

    offset: int
    size: int | None
    present: int
    left: int
    place: int
    form: str
    extra: int = 0

    def mended(self, path: Path) -> Part:
        """Return the file with the size of the samples that it holds."""
        total = self.offset + self.present
        size = self.present + self.extra
        with path.open("rb") as file:
            head = bytearray(file.read(self.offset))
        full = 256 ** struct.calcsize(self.form) - 1
        head[self.place : self.place + struct.calcsize(self.form)] = struct.pack(
            self.form, min(size, full)
        )
        if head[:4] == b"FORM" and (at := head.find(b"COMM", 12)) > 0:
            _mend_frames(head, at + 8, self.present)
        if head[:4] in (b"RIFF", b"FORM"):
            head[4:8] = struct.pack(self.form, min(total - 8, full))
        return Part(path, self.offset, total, bytes(head))


def _mend_frames(head: bytearray, at: int, present: int) -> None:
    """Write how many frames an aiff holds into its COMM chunk at `at`."""
    channels, _, bits = struct.unpack_from(">HIH", head, at)
    struct.pack_into(">I", head, at + 2, present // max(1, channels * ((bits + 7) // 8)))


def data_chunk(path: Path) -> Chunk | None:
    """Find the samples of a wav, aiff, au, w64, caf or rf64 file; None in any other."""
    find = {b"RIFF": _in_riff, b"RIFX": _in_riff, b"FORM": _in_riff, b"RF64": _in_rf64}
    find |= {b"riff": _in_w64, b"caff": _in_caf, b".snd": _in_au, b"dns.": _in_au}
    with path.open("rb") as f:
        end = os.fstat(f.fileno()).st_size
        form = f.read(4)
        return find[form](f, form, end) if form in find else None


def _chunk(f, end: int, head: str, **place) -> Chunk:
    """Return a chunk, having looked behind what it promises."""
    offset, size = place["offset"], place["size"]
    present = max(0, end - offset)
    left = 0 if size is None or size >= present else _left_over(f, offset + size, end, head)
    return Chunk(present=present, left=left, **place)


def _in_au(f, form: bytes, end: int) -> Chunk:
    """Find the samples of an au file."""
    order = ">" if form == b".snd" else "<"
    offset, size = struct.unpack(order + "2I", f.read(8).ljust(8, b"\0"))
    size = None if size >= STREAMING or not size else size
    return _chunk(f, end, order + "4sI", offset=offset, size=size, place=8, form=order + "I")


def _in_riff(f, form: bytes, end: int) -> Chunk | None:
    """Find the samples of a wav or aiff file."""
    order = "<" if form == b"RIFF" else ">"
    kind = order + "4sI"
    f.seek(12)
    while len(head := f.read(8)) == 8:
        name, size = struct.unpack(kind, head)
        if name in (b"data", b"SSND"):
            extra = 8 if name == b"SSND" else 0
            size = None if size >= STREAMING else max(0, size - extra)
            at = f.tell()
            place = {"place": at - 4, "form": order + "I", "extra": extra}
            return _chunk(f, end, kind, offset=at + extra, size=size, **place)
        f.seek(size + size % 2, os.SEEK_CUR)
    return None


def _in_rf64(f, form: bytes, end: int) -> Chunk | None:
    """Find the samples of a wav file with sizes of 64 bits (EBU Tech 3306)."""
    chunk = _in_riff(f, b"RIFF", end)
    f.seek(12)
    if chunk is None or f.read(4) != b"ds64":
        return None
    f.seek(28)
    (size,) = struct.unpack("<Q", f.read(8))
    size = None if size >= 1 << 62 else size
    return _chunk(f, end, "<4sI", offset=chunk.offset, size=size, place=28, form="<Q")


def _in_w64(f, form: bytes, end: int) -> Chunk | None:
    """Find the samples of a Sony Wave64 file: names of 16 bytes, sizes of 8 that count the head."""
    f.seek(40)
    while len(head := f.read(24)) == 24:
        name, size = struct.unpack(_W64, head)
        if name == b"data":
            size, at = size - 24 if 24 <= size < 1 << 62 else None, f.tell()
            return _chunk(f, end, _W64, offset=at, size=size, place=at - 8, form="<Q", extra=24)
        f.seek(max(0, size - 24) + -size % 8, os.SEEK_CUR)
    return None


def _in_caf(f, form: bytes, end: int) -> Chunk | None:
    """Find the samples of a Core Audio file; a size of -1 is open."""
    f.seek(8)
    while len(head := f.read(12)) == 12:
        name, size = struct.unpack(_CAF, head)
        if name == b"data":
            size, at = size - 4 if 4 <= size < 1 << 62 else None, f.tell()
            return _chunk(f, end, _CAF, offset=at + 4, size=size, place=at - 8, form=">Q", extra=4)
        f.seek(min(size, 1 << 62), os.SEEK_CUR)
    return None


def _left_over(f, at: int, end: int, head: str) -> int:
    """Count the bytes behind promised samples that are neither chunks nor tags nor padding."""
    n = struct.calcsize(head)
    at += at % 2
    while end - at > LITTLE:
        f.seek(at)
        start = f.read(64)
        if start.startswith((*_TAGS, *_CHUNKS)):
            return 0
        name, size = struct.unpack_from(head, start)
        size -= n if head == _W64 else 0
        if not name.strip(b"\0"):
            return end - at if _sounds(f) else 0
        if not (name.isascii() and name.decode().isprintable()) or not 0 <= size <= end - at - n:
            return end - at
        at += n + size + size % 2
    return 0


def _sounds(f) -> bool:
    """Return whether the rest of a file is more than zeros."""
    while block := f.read(1 << 20):
        if block.strip(b"\0"):
            return True
    return False
