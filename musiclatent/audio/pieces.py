"""Samples of a stream as they are checked, scaled and mixed, and what is said of an odd file."""

import math
import warnings
from functools import reduce
from pathlib import Path

import numpy as np

from musiclatent.audio.stream import Stream, starts_late
from musiclatent.errors import AudioError, printable

KEEP = 0.95  # share of the promised length above which a cut file is kept
MAX_PEAK = 16.0  # +24 dB; above it, floats are no samples but integers stored as floats
HOT = 1.06  # +0.5 dB: a peak of floats that is clipped unheard; above it they are scaled
CANCEL = 10 ** (-12 / 10)  # power of the mean of channels, by theirs, below which they cancel
_PROBE_S = 60.0  # of a file from which it is judged whether its channels cancel
MAX_VALUES = 1 << 22  # decoded at once: 16 MiB, whatever the rate and the channels


class Pieces:
    """Checked samples of a stream in pieces of any size, the first of which may be looked at."""

    def __init__(self, stream: Stream, wanted: float) -> None:
        self.stream, self.wanted = stream, wanted
        self.got = self.pulled = 0
        self.held: list[np.ndarray] = []
        self.ended = self.last = False

    def _pull(self, n: int) -> np.ndarray:
        """Return the next n samples of the file (n, C)."""
        n = int(min(n, self.wanted - self.pulled))
        y = self.stream.pull(n)
        self.pulled += len(y)
        self.ended = len(y) < n or self.pulled == self.wanted
        if not self.stream.pcm:
            _check_samples(self.stream.path, y)
        return y

    def take(self, n: int) -> np.ndarray:
        """Return the next n samples (n, C), fewer at the end."""
        held = sum(map(len, self.held))
        if held < n and not self.ended:
            self.held.append(self._pull(n - held))
        y = self.held[0] if len(self.held) == 1 else np.concatenate(self.held)
        self.held = [y[n:]]
        self.got += min(n, len(y))
        self.last = self.ended and len(y) <= n
        return y[:n]

    def loud_channel(self) -> int | None:
        """Return the channel to read in place of the mean of channels that cancel, else None."""
        most = min(round(_PROBE_S * self.stream.sr), MAX_VALUES // self.stream.channels)
        self.held = [self._pull(most)]
        if not len(self.held[0]):
            return None
        power = np.array([y.var() for y in self.held[0].T])  # var(axis=0) takes 20 times as long
        if not power.sum() or mean(self.held[0]).var() >= CANCEL * power.mean():
            return None
        channel = int(np.argmax(power > 0.999 * power.max()))
        reason = f"its channels cancel each other; channel {channel + 1} alone is read"
        self.stream.notes.append(reason)
        return channel


def scale(stream: Stream) -> np.float32:
    """Return by what a file of floats is multiplied so that its peak fits."""
    peak = stream.peak() if stream.peak else 0.0
    if not HOT < peak <= MAX_PEAK:
        return np.float32(1)
    db = 20 * math.log10(peak)
    stream.notes.append(f"its peak is {peak:.2f}, {db:.1f} dB above full scale; it is scaled to 1")
    return np.float32(1 / peak)


def _check_samples(path: Path, y: np.ndarray) -> None:
    """Refuse samples that are no sound: not finite, or far beyond full scale."""
    low, high = (y.min(), y.max()) if y.size else (0.0, 0.0)
    if not np.isfinite([low, high]).all():
        raise AudioError(path, "it holds samples that are NaN or infinite", "export it again")
    if (peak := max(-low, high)) > MAX_PEAK:
        raise AudioError(path, f"its peak is {peak:.3g}, far above 1", _as_integers(peak))


def _as_integers(peak: float) -> str:
    """Return how to mend integers that are stored as floats."""
    bits = next((n for n in (8, 16, 24) if peak <= 2 ** (n - 1)), 32)
    full = 2 ** (bits - 1)
    return (
        f"they look like integers of {bits} bits: divide the samples by {full} and save it again, "
        f"such as with: ffmpeg -i IN -af volume=1/{full} OUT.wav"
    )


def check_length(stream: Stream, got: int) -> None:
    """Compare what was decoded up to the end of the file with what its header promised."""
    end, sr = stream.start + got, stream.sr
    if not got and stream.start:
        raise starts_late(stream.path, stream.start / sr)
    if not got:
        raise AudioError(stream.path, "it holds no samples")
    message = f"only {end / sr:.2f} s of the promised {stream.frames / sr:.2f} s can be decoded"
    if stream.promised and end + stream.slack <= KEEP * stream.frames:
        raise AudioError(stream.path, f"it is cut short: {message}", "get a whole copy of the file")
    if stream.promised and end + max(stream.slack, sr // 100) < stream.frames:
        stream.notes.insert(0, f"{message}; kept")


def report(stream: Stream) -> None:
    """Warn of what is odd about a file that was read."""
    for note in stream.notes:
        warnings.warn(f"{printable(stream.path)}: {note}", stacklevel=4)


def mean(y: np.ndarray) -> np.ndarray:
    """Average the channels of ``(N, C)``; sample by sample, so that blocks do not matter."""
    return reduce(np.add, y.T) / np.float32(y.shape[1])
