"""Files as people have them: what encoders, taggers and recorders leave, in bytes."""

import io
import struct

import numpy as np
import soundfile as sf

SR = 22_050


def tune(seconds: float = 6.0, seed: int = 0) -> np.ndarray:
    """A melody over beats: another seed is another recording."""
    rng, t = np.random.default_rng(seed), np.arange(round(seconds * SR)) / SR
    beat = np.exp(-20 * (t % 0.5))
    hz = 220 * 2 ** (rng.integers(0, 12, int(4 * seconds) + 1)[(4 * t).astype(int)] / 12)
    noise = 0.1 * beat * rng.standard_normal(len(t))
    y = 0.3 * beat * np.sin(2 * np.pi * 55 * t) + noise
    return (y + 0.2 * np.sin(2 * np.pi * np.cumsum(hz) / SR)).astype(np.float32)


def coded(y: np.ndarray, sr: int = SR, **options: object) -> bytes:
    """The bytes of a file, such as ``format="FLAC"``."""
    file = io.BytesIO()
    sf.write(file, y, sr, **options)
    return file.getvalue()


def mp3(y: np.ndarray, *, table: bool = True, mode: str = "CONSTANT") -> bytes:
    """An mp3; without the table in its first frame where asked."""
    data = coded(y, format="MP3", bitrate_mode=mode, compression_level=0.5)
    return data if table else data[data.index(data[:2], 100) :]


def id3(size: int) -> bytes:
    """A tag with a cover of so many bytes."""
    body = b"APIC" + struct.pack(">I", size) + b"\0\0" + b"\1" * size
    return b"ID3\3\0\0" + bytes((len(body) >> shift) & 127 for shift in (21, 14, 7, 0)) + body


def patched(data: bytes, at: int, form: str, value: int) -> bytes:
    """The same bytes with another number in them."""
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]
