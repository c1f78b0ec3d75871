"""The frames of an mp3 file, and the table in the first of them that may count all."""

import mmap
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from musiclatent.audio.containers.chunks import LITTLE
from musiclatent.audio.containers.parts import before_sound, mapped, past_tag

_OTHERS = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"OggS", b"fLaC", b"riff", b"caff", b".snd")
_JUNK = 60_000  # bytes before the first frame that libsndfile gets past
_BIT_RATES = {  # kbit/s of MPEG-1 and of MPEG-2, layer III
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


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
    with mapped(path) as data:
        begin, stop = before_sound(data), _behind(data)
        start = None if data[:4] in _OTHERS else _first_frame(data, begin)
        if start is None:
            return None
        version, kbit_s, sr = _frame(data, start)
        block = 1152 if version == 3 else 576
        head = data[start : start + 2048]
        samples, size, vbri = _table(head, block)
        known = not vbri and start - past_tag(data, 0) <= _JUNK
        guess = round(8 * (stop - start) / (1000 * kbit_s) * sr)
        return Mpeg(start=start, stop=stop, samples=samples, size=size, known=known, guess=guess)


def is_unknown(path: Path) -> bool:
    """Return whether a file holds neither frames of mp3 nor begins as a format known here."""
    with path.open("rb") as file:
        return file.read(4) not in _OTHERS and mpeg(path) is None


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
