"""Find by its bytes where the sound of a file begins and ends, whatever its header promises.

Recorders leave sizes out, writers stop early, and people join files byte on byte. So what stands
before, behind and between the sounds of a file is looked at before one of its counts is believed.
"""

import io
import mmap
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STREAMING = 0x7FFF0000  # sizes from here on are what recorders write before they know the size
LITTLE = 4096  # bytes behind the sound that are no sound: what taggers and disks leave
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")
_CHUNKS = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"_PMX", b"JUNK", b"PAD ", b"FLLR")
_W64, _CAF = "<4s12xQ", ">4sQ"  # heads of their chunks: name, then size; that of wav is shorter
_OTHERS = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"OggS", b"fLaC", b"riff", b"caff", b".snd")
_JUNK = 60_000  # bytes before the first frame that libsndfile gets past
_BIT_RATES = {  # kbit/s of MPEG-1 and of MPEG-2, layer III
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


class Part(io.RawIOBase):
    """A part of a file as a file of its own: `head`, then the bytes from `start` to `stop`."""

    def __init__(self, path: Path, start: int, stop: int, head: bytes = b"") -> None:
        self.file = path.open("rb")
        self.name = str(path)
        self.start, self.head = start, head
        self.size = len(head) + stop - start
        self.at = 0

    def readable(self) -> bool:
        """Return whether bytes can be read."""
        return True

    def seekable(self) -> bool:
        """Return whether a place can be gone to."""
        return True

    def tell(self) -> int:
        """Return the place in the part."""
        return self.at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the part and return it."""
        self.at = max(0, offset + {0: 0, 1: self.at, 2: self.size}[whence])
        return self.at

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer with the next bytes; return how many there were."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, n: int = -1) -> bytes:
        """Return the next n bytes, or all."""
        n = self.size - self.at if n is None or n < 0 else max(0, min(n, self.size - self.at))
        data = self.head[self.at : self.at + n]
        if len(data) < n:
            self.file.seek(self.start + self.at + len(data) - len(self.head))
            data += self.file.read(n - len(data))
        self.at += len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        self.file.close()
        super().close()


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    """Yield the bytes of a file that is not empty."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


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
    with _mapped(path) as data:
        begins = [0, *_begins(data)[1:]]
        return list(zip(begins, [*begins[1:], len(data)], strict=True))


def _begins(data: mmap.mmap) -> list[int]:
    """Return where streams begin."""
    if data[:4] == b"OggS":
        return _ogg_begins(data)
    if data[:4] in (b"RIFF", b"FORM"):
        return _riff_begins(data)
    if data[4:8] == b"ftyp":
        return _mp4_begins(data)
    at = _before(data)
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
    for at, name in _atoms(data):
        if name == b"ftyp" and had_moov:
            begins.append(at)
        had_moov = name == b"moov" or (had_moov and name != b"ftyp")
    return begins


def _atoms(data: mmap.mmap) -> Iterator[tuple[int, bytes]]:
    """Yield place and name of the outer parts of an mp4 file (ISO 14496-12)."""
    at, size = 0, 8
    while len(head := data[at : at + 8]) == 8 and size >= 8:
        size, name = struct.unpack(">I4s", head)
        yield at, name
        size = int.from_bytes(data[at + 8 : at + 16]) if size == 1 else size
        at += size


def is_cut_ogg(path: Path) -> bool:
    """Return whether the last page of an Ogg file is not whole, or not marked as the last."""
    with _mapped(path) as data:
        if data[:4] != b"OggS":
            return False
        at = data.rfind(b"OggS\0")
        if len(data) < at + 27:
            return True
        table = data[at + 27 : at + 27 + data[at + 26]]
        return not data[at + 5] & 4 or at + 27 + len(table) + sum(table) > len(data)


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


@dataclass(frozen=True, kw_only=True)
class Mpeg:
    """Where the frames of an mp3 file stand.

    Parameters
    ----------
    start, stop
        First byte of the first frame, and the one behind the last that is no tag.
    samples
        Length in samples as the table in the first frame counts it (Xing, Info, VBRI), else 0.
    size
        Bytes of the frames as that table counts them, else 0.
    known
        Whether libsndfile finds that table.
    guess
        Length in samples by the bit rate of the first frame.
    """

    start: int
    stop: int
    samples: int
    size: int
    known: bool
    guess: int

    @property
    def whole(self) -> bool:
        """Whether libsndfile decodes all frames that there are."""
        return bool(self.samples and self.size and self.known) and self.left <= LITTLE

    @property
    def left(self) -> int:
        """Bytes behind the frames that the table counts."""
        return self.stop - self.start - self.size if self.size else 0


def mpeg(path: Path) -> Mpeg | None:
    """Find the frames of an mp3 file, past tags and padding; None where there are none."""
    with _mapped(path) as data:
        begin, stop = _before(data), _behind(data)
        start = None if data[:4] in _OTHERS else _first_frame(data, begin)
        if start is None:
            return None
        version, kbit_s, sr = _frame(data, start)
        block = 1152 if version == 3 else 576
        head = data[start : start + 2048]
        samples, size, vbri = _table(head, block)
        known = not vbri and start - _past_tag(data, 0) <= _JUNK
        guess = round(8 * (stop - start) / (1000 * kbit_s) * sr)
        return Mpeg(start=start, stop=stop, samples=samples, size=size, known=known, guess=guess)


def is_unknown(path: Path) -> bool:
    """Return whether a file holds neither frames of mp3 nor begins as a format known here."""
    with path.open("rb") as file:
        return file.read(4) not in _OTHERS and mpeg(path) is None


def is_opus(path: Path) -> bool:
    """Return whether a file is Ogg with Opus in it."""
    with path.open("rb") as file:
        head = file.read(64)
    return head[:4] == b"OggS" and b"OpusHead" in head


def _before(data: mmap.mmap) -> int:
    """Return the place behind all tags and zeros at the beginning."""
    at, before = 0, -1
    while at != before:
        before, at = at, _past_tag(data, at)
        zeros = re.compile(rb"\0*").match(data, at)
        at = zeros.end() if zeros else at
    return at


def _past_tag(data: mmap.mmap, at: int) -> int:
    """Return the place behind the tag at a place, if there is one."""
    if data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        foot = 10 if data[at + 5] & 0x10 else 0
        return at + 10 + int("".join(f"{b & 127:07b}" for b in data[at + 6 : at + 10]), 2) + foot
    if data[at : at + 8] == b"APETAGEX" and len(data) >= at + 32:
        return at + 32 + struct.unpack("<I", data[at + 12 : at + 16])[0]
    return at


def _behind(data: mmap.mmap) -> int:
    """Return the place before all tags at the end."""
    stop = len(data)
    if data[max(0, stop - 128) : stop][:3] == b"TAG":
        stop -= 128
    if data[max(0, stop - 9) : stop] == b"LYRICS200":
        size = data[stop - 15 : stop - 9]
        stop -= 15 + int(size) if size.isdigit() else 0
    if data[max(0, stop - 32) : max(0, stop - 24)] == b"APETAGEX":
        size, _, flags = struct.unpack("<3I", data[stop - 20 : stop - 8])
        stop -= size + (32 if flags >> 31 else 0)
    return max(0, stop)


def _first_frame(data: mmap.mmap, start: int) -> int | None:
    """Return the first frame of layer III that another one follows; within a megabyte."""
    for sync in re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]").finditer(
        data, start, min(len(data), start + (1 << 20))
    ):
        if _frame(data, sync.start()):
            return sync.start()
    return None


def _frame(data: mmap.mmap, at: int) -> tuple[int, int, int] | None:
    """Return version, kbit/s and rate of a frame; None where it, or the next, is none."""
    if not (here := _fields(data, at)):
        return None
    version, kbit_s, sr, size = here
    following = _fields(data, at + size)
    return (version, kbit_s, sr) if following and following[2] == sr else None


def _fields(data: mmap.mmap, at: int) -> tuple[int, int, int, int] | None:
    """Return version, kbit/s, rate and bytes of the frame at a place, by its four bytes."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, rate = head[1] >> 3 & 3, head[2] >> 2 & 3
    kbit_s = _BIT_RATES[3 if version == 3 else 2][head[2] >> 4]
    if version == 1 or rate == 3 or not kbit_s:
        return None
    sr = _RATES[version][rate]
    size = (144 if version == 3 else 72) * 1000 * kbit_s // sr + (head[2] >> 1 & 1)
    return version, kbit_s, sr, size


def _table(head: bytes, block: int) -> tuple[int, int, bool]:
    """Return samples and bytes that the table in the first frame counts, and if it is VBRI."""
    if table := re.search(rb"(?:Xing|Info)...([\0-\x0f])", head, re.DOTALL):
        flags, at, counts = table[1][0], table.end(), [0, 0]
        for bit in (1, 2):
            if flags & bit:
                counts[bit - 1] = int.from_bytes(head[at : at + 4])
                at += 4
        return block * counts[0], counts[1], False
    if table := re.search(rb"VBRI.{6}(.{4})(.{4})", head, re.DOTALL):
        return block * int.from_bytes(table[2]), int.from_bytes(table[1]), True
    return 0, 0, False


def what_else(path: Path) -> tuple[str, str] | None:
    """Name what a file is that is no sound, and what helps; None where its bytes do not say."""
    with path.open("rb") as file:
        head = file.read(512).lstrip(b"\xef\xbb\xbf \r\n\t")
    kinds = {
        (b"#EXTM3U", b"[playlist]", b"ffconcat"): ("a playlist", "name the files that it lists"),
        (b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML"): ("a web page", "download the file again"),
        (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM"): ("a picture", "name a file with sound"),
        (b"PK\3\4", b"Rar!", b"7z\xbc", b"\x1f\x8b"): ("an archive", "unpack it first"),
        (b"%PDF",): ("a document", "name a file with sound"),
        (b"MThd",): ("MIDI, notes without sound", "render it to wav with a synthesiser"),
    }
    with _mapped(path) as data:
        if data[4:8] == b"ftyp" and b"moov" not in {name for _, name in _atoms(data)}:
            return "an mp4 whose index (moov) is missing, so it is cut short", "get a whole copy"
    found = [words for marks, words in kinds.items() if head.startswith(marks)]
    return found[0] if found else None
