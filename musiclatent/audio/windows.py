"""Cut files into windows and streams into frames, and define what a transform of a window is.

`Grid` alone decides where a window begins and ends.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from musiclatent import audio
from musiclatent.config import SR

OFFSET = 0.02  # mean of the samples, in [-1, 1], from which it is no music
CENTRE_S = 0.5  # of samples of which a mean says that: 40 Hz at full scale has one of 0.016
Level = np.ndarray | float | None  # of one end of the range that a model's values are scaled by


class Measurement(Protocol):
    """Turn a window into one array, which the cache keeps.

    A child is a frozen dataclass of plain values: these, `kind` and `version` name what is kept, so
    that a change of any of them computes it anew.
    """

    kind: ClassVar[str]  # of the transform, such as "logmel"
    version: ClassVar[int] = 1  # raised by hand in the child whose code gives other values
    first_only: ClassVar[bool] = False  # whether a file gives one window and the rest is cut
    sr: int  # sampling rate in Hz
    window_s: float  # length of a window in seconds

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output."""

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Return an array of `shape` of the samples ``(N,)`` of one window, in [-1, 1]."""


class Transform(Measurement, Protocol):
    """Turn a window into what a model takes, and what a model gives into sound.

    `Waveform` is the simplest.
    """

    hop_length: int  # samples from one place of the last axis to the next

    def model_input(self, x: np.ndarray) -> np.ndarray:
        """Scale outputs ``(..., *shape)`` as a model takes them."""

    def value_range(self, x: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return by what `model_input` scales outputs ``(..., *shape)``: `low` and `high`."""

    def to_audio(self, x: np.ndarray, low: Level = None, high: Level = None) -> np.ndarray:
        """Return samples ``(B, N)`` of model outputs ``(B, *shape)`` in their `value_range`."""


@dataclass(frozen=True)
class Grid:
    """Where the windows of a file begin and end: one behind the other, from its start.

    Parameters
    ----------
    sr
        Sampling rate in Hz.
    window_s
        Length of a window in seconds.
    """

    sr: int
    window_s: float

    @property
    def n(self) -> int:
        """Samples of a window: round(window_s * sr).

        Raises
        ------
        ValueError
            If a window holds none.
        """
        n = round(self.window_s * self.sr)
        if n < 1:
            raise ValueError(
                f"a window of {self.window_s} s at {self.sr} Hz holds no sample; make it longer"
            )
        return n

    def start_s(self, place: int) -> float:
        """Return where the window at a place, from 0, begins, in seconds."""
        return place * self.n / self.sr

    def end_s(self, start_s: np.ndarray, seconds: np.ndarray | float = np.inf) -> np.ndarray:
        """Return where windows that begin at `start_s` (B,) end, in files of so many seconds."""
        length_s = np.where(seconds > start_s, seconds, np.nan)  # unknown where it is too short
        return np.fmin(start_s + self.window_s, length_s)  # what follows the file is padding

    def place(self, start_s: np.ndarray) -> np.ndarray:
        """Return the places, from 0, of windows that begin at `start_s` (B,)."""
        return np.round(start_s / self.window_s).astype(int)

    def offset_s(self, time_s: np.ndarray) -> np.ndarray:
        """Return how long after the start of their windows times (B,) lie, in seconds."""
        return time_s % self.window_s

    def span_s(self, count: int) -> float:
        """Return how many seconds a number of windows last."""
        return count * self.window_s

    def most(self, seconds: np.ndarray) -> np.ndarray:
        """Return how many windows files of some length (B,) have at most."""
        return np.ceil(seconds / self.window_s)

    def read(self, path: str | Path, start_s: float = 0.0) -> np.ndarray:
        """Read the samples ``(N,)`` of one window again, as `windows` gave them.

        Parameters
        ----------
        path
            An audio file.
        start_s
            Where the window begins, in seconds.

        Raises
        ------
        AudioError
            If the file cannot be read.
        """
        y, _ = audio.read(path, self.sr, start_s=start_s, duration_s=self.window_s)
        return np.pad(y[: self.n], (0, max(0, self.n - len(y))))


@dataclass(frozen=True)
class Waveform(Transform):
    """Keep a window as it is: the samples themselves.

    Parameters
    ----------
    sr
        Sampling rate in Hz.
    window_s
        Length of a window in seconds.
    """

    kind: ClassVar[str] = "waveform"
    hop_length: ClassVar[int] = 1

    sr: int = SR
    window_s: float = 5.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output: ``(N,)``."""
        return (Grid(self.sr, self.window_s).n,)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Return the window as float32.

        Parameters
        ----------
        y
            Samples ``(N,)`` of one window, in [-1, 1].

        Raises
        ------
        ValueError
            If the window has another length.
        """
        if y.shape != self.shape:
            raise ValueError(f"a window has shape {y.shape}; this transform takes {self.shape}")
        return np.asarray(y, np.float32)

    def model_input(self, x: np.ndarray) -> np.ndarray:
        """Return what a model takes: the samples as they are.

        Parameters
        ----------
        x
            Samples ``(..., N)`` in [-1, 1].
        """
        return x

    def value_range(self, x: np.ndarray) -> tuple[None, None]:
        """Return what `to_audio` needs to undo the scaling of `x`: nothing."""
        return None, None

    def to_audio(self, x: np.ndarray, low: Level = None, high: Level = None) -> np.ndarray:
        """Return what can be heard: the samples as they are.

        Parameters
        ----------
        x
            Samples ``(..., N)`` in [-1, 1].
        low, high
            Not used: samples are not scaled, so there is no range to undo.
        """
        return x


def windows(path: str | Path, sr: int, window_s: float) -> Iterator[tuple[float, np.ndarray]]:
    """Cut a file of any length into consecutive windows, in constant memory.

    A last window that is not full is padded with zeros if at least half of it is sound, or if it
    is the only one; else it is dropped.

    Parameters
    ----------
    path
        An audio file.
    sr
        Sampling rate of the windows in Hz; the file is resampled and mixed to mono.
    window_s
        Length of a window in seconds.

    Yields
    ------
    start_s
        Where the window begins, in seconds.
    y
        Its samples ``(N,)``, float32 in [-1, 1], N = round(window_s * sr).

    Raises
    ------
    AudioError
        If the file cannot be read; for a file that is cut short, after its last full window.
    """
    yield from cut(audio.blocks(path, sr), sr, window_s)


def cut(
    blocks: Iterable[np.ndarray], sr: int, window_s: float
) -> Iterator[tuple[float, np.ndarray]]:
    """Cut a stream into consecutive windows, as `windows` does a file.

    Parameters
    ----------
    blocks
        Samples ``(N,)``, block after block.
    sr, window_s
        As in `windows`.

    Yields
    ------
    start_s, y
        As `windows`.
    """
    grid, count = Grid(sr, window_s), 0
    n = grid.n
    for part in frames(blocks, n, n, rest=True):
        length = part.shape[1]
        for y in part:
            if 2 * length >= n or (length and not count):
                yield grid.start_s(count), np.pad(y, (0, n - length))
                count += 1


def centred(y: np.ndarray, sr: int) -> np.ndarray:
    """Return a window without the constant that a poor recorder adds, where there is one.

    Parameters
    ----------
    y
        Samples ``(N,)`` in [-1, 1]; zeros at the end are padding.
    sr
        Their sampling rate in Hz.
    """
    if abs(y.mean()) < OFFSET / 2:  # most music, and half of a window may be padding
        return y
    sound = len(np.trim_zeros(y, "b"))
    mean = y[:sound].mean() if sound >= CENTRE_S * sr else 0.0
    if abs(mean) < OFFSET:
        return y
    return np.concatenate([y[:sound] - mean, y[sound:]])


def frames(
    blocks: Iterable[np.ndarray], n: int, hop: int, *, centre: bool = False, rest: bool = False
) -> Iterator[np.ndarray]:
    """Cut a stream into overlapping frames, in constant memory, whatever the size of its blocks.

    Parameters
    ----------
    blocks
        Samples ``(N,)``, block after block, as `audio.blocks` gives.
    n, hop
        Samples in a frame, and from one frame to the next; the hop is at most n.
    centre
        Whether frames are centred on the multiples of the hop: half a frame of zeros goes before
        the samples, and half a frame follows.
    rest
        Whether the frame that the end of the stream cuts short is yielded too, perhaps empty.

    Yields
    ------
    array (T, n), float32
        The frames that a block completes, perhaps none: one array for each block, and one for the
        end. With `rest` one more, ``(1, m)`` with m < n: what stands where the next frame begins.

    Raises
    ------
    ValueError
        If the hop is below 1 or above n.
    """
    if not 1 <= hop <= n:
        raise ValueError(f"the hop is {hop}; frames of {n} samples take 1 to {n}")
    zeros = np.zeros(n // 2 if centre else 0, np.float32)
    left = zeros
    for block in chain(blocks, [zeros]):
        left = np.concatenate([left, block], dtype=np.float32)
        count = max(0, (len(left) - n) // hop + 1)
        yield sliding_window_view(left, n)[::hop] if count else np.empty((0, n), np.float32)
        left = left[count * hop :]
    if rest:
        yield left[None]
