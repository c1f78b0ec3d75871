"""Play one track of a mix: its time map, and its samples at the places that the map names.

A row of a mix says where a track lies in it, see `mixdown.Mix`.
"""

from collections.abc import Mapping

import numpy as np
import soxr

from musiclatent import audio
from musiclatent.edm.decks import silence
from musiclatent.edm.decks.silence import Cuts

_OVER = 8  # cubic interpolation at so many times the rate keeps errors 80 dB down up to 15 kHz
_MARGIN = 1024  # samples on both sides that the oversampling filter looks at
BLOCK = 1 << 17  # samples rendered at once
_FAR = 1e6  # seconds, longer than any mix


def source(row: Mapping, t: np.ndarray) -> np.ndarray:
    """Return the seconds of a track that play at seconds t of the mix."""
    after_s = t - row["start_s"]
    rate = row["rate"]
    u = np.clip(after_s - row["fade_s"], 0, row["glide_s"])
    glided = u * (rate + (1 - rate) * u / (2 * row["glide_s"] or 1))  # the rate changes linearly
    by_itself = np.maximum(after_s - row["fade_s"] - row["glide_s"], 0)
    return row["from_s"] + rate * np.minimum(after_s, row["fade_s"]) + glided + by_itself


def mixed(row: Mapping, s: np.ndarray) -> np.ndarray:
    """Return the seconds of the mix at which seconds s of a track play."""
    ramp = row["fade_s"] + np.linspace(0, row["glide_s"] or 1, 4097)  # errors far below a sample
    t = row["start_s"] + np.concatenate([[-_FAR], ramp, [_FAR]])
    return np.interp(s, source(row, t), t)


def alone_s(row: Mapping) -> float:
    """Return the second of the mix from which on a track runs as by itself."""
    return row["start_s"] + (0 if row["rate"] == 1 else row["fade_s"] + row["glide_s"])


class Deck:
    """One track, read and played sample by sample of the mix from its first on."""

    def __init__(self, row: dict, sr: int, cuts: Cuts) -> None:
        self.row = row
        self.sr = sr
        self.gain = np.float32(10 ** (row["gain_db"] / 20))
        self.at = round(row["start_s"] * sr)
        self.end = round(row["end_s"] * sr)
        self.free = round(alone_s(row) * sr)
        # Whole seconds are whole samples at every rate.
        start_s = int(cuts.source(max(0.0, row["from_s"] - 1)))
        spans = [(round(start * sr), round(end * sr)) for start, end in cuts.spans]
        blocks = audio.blocks(row["path"], sr, mono=False, block_s=5.0, start_s=start_s)
        self.blocks = silence.without(blocks, spans, start_s * sr)
        self.held = np.zeros((2, 0), np.float32)
        before = (min(end, start_s * sr) - min(start, start_s * sr) for start, end in spans)
        self.offset = start_s * sr - sum(before)

    def take(self, n: int) -> np.ndarray:
        """Return the next n samples (2, n)."""
        y = [self._next(min(BLOCK, n - k)) for k in range(0, n, BLOCK)]
        return self.gain * np.concatenate(y, axis=1)

    def _next(self, n: int) -> np.ndarray:
        """Return the next n samples as they are in the file, or between them."""
        start = self.at
        self.at += n
        if start >= self.free:
            first = round(source(self.row, start / self.sr) * self.sr)
            return self._samples(first, first + n)
        at = source(self.row, np.arange(start, self.at) / self.sr) * self.sr
        first = int(at[0]) - _MARGIN
        y = self._samples(first, int(at[-1]) + _MARGIN)
        # Played faster, what lies above 20.8 kHz folds back to above 20 kHz: no filter needed.
        y = soxr.resample(y.T, self.sr, _OVER * self.sr, quality="HQ").T
        return _interpolated(y, _OVER * (at - first))

    def _samples(self, first: int, end: int) -> np.ndarray:
        """Return samples of the track, zeros beyond its ends; those before `first` are dropped."""
        held, end_held = [self.held], self.offset + self.held.shape[1]
        while end_held < end:
            y = next(self.blocks, None)
            held.append(np.zeros((2, end - end_held), np.float32) if y is None else _stereo(y))
            end_held += held[-1].shape[1]
        self.held = np.concatenate(held, axis=1)[:, max(0, first - self.offset) :]
        self.offset = max(first, self.offset)
        y = self.held[:, : end - self.offset]
        return np.pad(y, ((0, 0), (end - first - y.shape[1], 0)))


def _stereo(y: np.ndarray) -> np.ndarray:
    """Return two channels of (C, N)."""
    return y if len(y) == 2 else np.repeat(y.mean(axis=0, keepdims=True), 2, axis=0)


def _interpolated(y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the values of y (C, N) at places between its samples: Lagrange's cubic."""
    i = np.floor(at).astype(np.int64)
    t = (at - i).astype(np.float32)
    a, b, c, d = (np.take(y, i + k, axis=1) for k in (-1, 0, 1, 2))
    cubic = (d - a) / 6 + (b - c) / 2
    return b + t * (c - a / 3 - b / 2 - d / 6 + t * ((a + c) / 2 - b + t * cubic))
