"""Bytes of a file, and a part of them as a file of its own."""

import io
import mmap
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Yield the bytes of a file that is not empty."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def before_sound(data: mmap.mmap) -> int:
    """Return the place behind all tags and zeros at the beginning."""
    at, before = 0, -1
    while at != before:
        before, at = at, past_tag(data, at)
        zeros = re.compile(rb"\0*").match(data, at)
        at = zeros.end() if zeros else at
    return at


def past_tag(data: mmap.mmap, at: int) -> int:
    """Return the place behind the tag at a place, if there is one."""
    if data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        foot = 10 if data[at + 5] & 0x10 else 0
        return at + 10 + int("".join(f"{b & 127:07b}" for b in data[at + 6 : at + 10]), 2) + foot
    if data[at : at + 8] == b"APETAGEX" and len(data) >= at + 32:
        return at + 32 + struct.unpack("<I", data[at + 12 : at + 16])[0]
    return at
