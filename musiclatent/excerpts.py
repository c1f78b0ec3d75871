"""Cut files into windows, and turn windows into what a model takes.

A transform is a frozen dataclass of plain values with `kind`, `version`, `first_only` (whether a
file gives one window and the rest is cut), `sr`, `window_s`, `hop_length`, `shape` and a call
from samples ``(N,)`` to one array of that shape, which the cache keeps; `model_input` scales such
arrays for a model, `pair` says by what, and `sound` goes all the way back. `Waveform` is the
simplest.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from musiclatent import audio
from musiclatent.config import SR


@dataclass(frozen=True)
class Waveform:
    """Keep a window as it is: the samples themselves.

    Parameters
    ----------
    sr
        Sampling rate in Hz.
    window_s
        Length of a window in seconds.
    """

    kind: ClassVar[str] = "waveform"
    version: ClassVar[int] = 1
    hop_length: ClassVar[int] = 1  # samples from one place of the last axis to the next
    first_only: ClassVar[bool] = False  # a file gives all its windows

    sr: int = SR
    window_s: float = 5.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output: ``(N,)``."""
        return (_samples(self.sr, self.window_s),)

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

    def pair(self, x: np.ndarray) -> tuple[None, None]:
        """Return what `sound` needs to undo the scaling of `x`: nothing."""
        return None, None

    def sound(
        self,
        x: np.ndarray,
        low: np.ndarray | float | None = None,
        high: np.ndarray | float | None = None,
    ) -> np.ndarray:
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
    n = _samples(sr, window_s)
    count = 0
    for part in frames(audio.blocks(path, sr), n, n, rest=True):
        length = part.shape[1]
        for y in part:
            if 2 * length >= n or (length and not count):
                yield count * n / sr, np.pad(y, (0, n - length))
                count += 1


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


def _samples(sr: int, window_s: float) -> int:
    """Length of a window in samples."""
    n = round(window_s * sr)
    if n < 1:
        raise ValueError(f"a window of {window_s} s at {sr} Hz holds no sample; make it longer")
    return n
