"""Find the silence of a track, and play the track without it.

In a mix nobody wants to wait: a silence before or behind the music is left out, and of one inside,
as before a hidden track, only `KEPT_S` stays. Seconds of a track without its silence are called
played seconds.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from musiclatent import audio

FAINT = 2e-3  # of the peak of a track: 54 dB below it, where a fade is no longer heard
LONGEST_S = 1.0  # a longer rest is cut
KEPT_S = 0.5  # of it that stays
STEP_S = 0.01  # at which the level is measured


@dataclass(frozen=True)
class Cuts:
    """What is left out of a track.

    Parameters
    ----------
    seconds
        Length of the track.
    spans
        Pairs of seconds (K, 2) between which it is left out, rising.
    """

    seconds: float
    spans: tuple[tuple[float, float], ...] = ()

    @cached_property
    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Edges of what is left out in seconds of the track, and in played seconds."""
        edges = np.array([0.0, *(edge for span in self.spans for edge in span), 1e9])
        lengths = np.diff(edges)
        lengths[1::2] = 0
        return edges, np.concatenate([[0.0], np.cumsum(lengths)])

    def played(self, t: np.ndarray | float) -> np.ndarray:
        """Return the played seconds of seconds (n,) of the track."""
        return np.interp(t, *self._bounds)

    def source(self, t: np.ndarray | float) -> np.ndarray:
        """Return the seconds of the track of played seconds (n,), behind what is left out."""
        edges, played = self._bounds
        part = 2 * (np.searchsorted(played[2::2], t, side="right"))  # parts that are played
        return edges[part] + np.maximum(t, 0) - played[part]

    def joints_s(self) -> np.ndarray:
        """Return the played seconds (K,) at which something is left out, but for the ends."""
        inside = [start for start, end in self.spans if start > 0 and end < self.seconds]
        return self.played(np.array(inside, float))


def find_cuts(path: str | Path) -> Cuts:
    """Listen to a track and decide what to leave out of it.

    Parameters
    ----------
    path
        An audio file.

    Raises
    ------
    AudioError
        If it cannot be read.
    """
    sr = audio.info(path).sr
    hop = round(STEP_S * sr)
    levels, left, samples = [], None, 0
    for y in audio.blocks(path, mono=False):
        y = y if left is None else np.concatenate([left, y], axis=1)
        n = y.shape[1] // hop
        levels.append(np.ptp(y[:, : n * hop].reshape(len(y), n, hop), axis=2).max(axis=0))
        left, samples = y[:, n * hop :], samples + n * hop
    samples += 0 if left is None else left.shape[1]
    level = np.concatenate(levels) if levels else np.zeros(0)
    return Cuts(samples / sr, tuple(_spans(level, samples / sr, hop / sr)))


def _spans(level: np.ndarray, seconds: float, step_s: float) -> Iterator[tuple[float, float]]:
    """Yield what is left out, from the level of each step."""
    quiet = level <= FAINT * level.max(initial=0.0)
    if quiet.all():
        return
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(int)))
    for start, end in edges.reshape(-1, 2):
        first, last = start * step_s, end * step_s
        if end == len(level) and last - first > KEPT_S:
            yield first + KEPT_S / 2, seconds + step_s
        elif start == 0 and last > KEPT_S:
            yield 0.0, last
        elif last - first > LONGEST_S:
            yield first + KEPT_S / 2, last - KEPT_S / 2


def without(
    blocks: Iterable[np.ndarray], spans: Sequence[tuple[int, int]], first: int
) -> Iterator[np.ndarray]:
    """Leave spans out of blocks.

    Parameters
    ----------
    blocks
        Samples (C, N), block after block.
    spans
        Pairs of samples of the track between which it is left out, rising.
    first
        Sample of the track with which the blocks begin.

    Yields
    ------
    array (C, N')
        What is left of each block, perhaps nothing.
    """
    for y in blocks:
        keep = np.ones(y.shape[1], bool)
        for start, end in spans:
            keep[max(0, start - first) : max(0, end - first)] = False
        yield y if keep.all() else y[:, keep]
        first += y.shape[1]
