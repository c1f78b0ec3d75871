"""The two shapes of adapters: one row per window, and one row per frame of a codec."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from musiclatent.latents.encoders import contract

BATCH = 4  # windows at once
CHUNK_S = 30.0  # that a codec hears at once


@dataclass(frozen=True, kw_only=True)
class WindowEncoder:
    """Represent windows by the mean over time of one layer of a network.

    Parameters
    ----------
    name, sr, window_s, licence, revision, note
        As in `contract.FrameEncoder`.
    step_s
        Seconds from row to row; 0 for windows one behind the other.
    answers
        From windows (B, N) to what each layer answers: (B, T, D) or (B, D).
    layers, layer
        Their names, and which of them is a row.
    """

    name: str
    sr: int
    window_s: float
    licence: str
    revision: str
    answers: Callable[[np.ndarray], Sequence[np.ndarray]]
    layers: tuple[str, ...]
    layer: str
    step_s: float = 0.0
    note: str = ""

    @property
    def hop_s(self) -> float:
        """Seconds from row to row."""
        return self.step_s or self.window_s

    @cached_property
    def dimensions(self) -> int:
        """Numbers in a row."""
        return self.encode(np.zeros(1, np.float32)).shape[1]

    def at_layer(self, layer: str) -> "WindowEncoder":
        """Return the encoder whose rows are another of `layers`."""
        name, revision = self.name.partition("#")[0], self.revision.rpartition("-")[0]
        return replace(self, name=f"{name}#{layer}", layer=layer, revision=f"{revision}-{layer}")

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return rows (T, D) of samples (N,), see `contract.FrameEncoder`."""
        cut, place = contract.cut(self, y), self.layers.index(self.layer)
        rows = []
        for first in range(0, len(cut), BATCH):
            answer = self.answers(np.array(cut[first : first + BATCH]))[place]
            rows.append(answer.mean(axis=1) if answer.ndim == 3 else answer)
        return np.concatenate(rows).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class TextEncoder(WindowEncoder):
    """Represent windows and words in one space.

    Parameters
    ----------
    words
        From a text to its vector (D,).
    """

    words: Callable[[str], np.ndarray]

    def embed_text(self, words: str) -> np.ndarray:
        """Return the vector (D,) of a text, to compare with rows by their angle."""
        return self.words(words)


@dataclass(frozen=True, kw_only=True)
class CodecEncoder:
    """Represent sound by the frames of a codec, before they are rounded to codes.

    Parameters
    ----------
    name, sr, dimensions, licence, revision, note
        As in `contract.FrameEncoder`.
    hop
        Samples of a frame.
    to_rows
        From samples (N,), a multiple of `hop`, to rows (T, D).
    to_sound
        From rows (T, D) to samples.

    Notes
    -----
    A sound is encoded half a minute at a time, so that memory stays the same; inside of it each
    frame listens as far as its network does.
    """

    name: str
    sr: int
    dimensions: int
    licence: str
    revision: str
    hop: int
    to_rows: Callable[[np.ndarray], np.ndarray]
    to_sound: Callable[[np.ndarray], np.ndarray]
    note: str = ""

    context_s = np.inf

    @property
    def hop_s(self) -> float:
        """Seconds from row to row."""
        return self.hop / self.sr

    @property
    def window_s(self) -> float:
        """Seconds that a row stands for."""
        return self.hop / self.sr

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return rows (T, D) of samples (N,), see `contract.FrameEncoder`."""
        padded = np.pad(y, (0, -len(y) % self.hop))
        size = max(1, round(CHUNK_S / self.hop_s)) * self.hop
        parts = [padded[first : first + size] for first in range(0, len(padded), size)]
        return np.concatenate([self.to_rows(part) for part in parts]).astype(np.float32)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Return samples (N,) in [-1, 1] of rows (T, D), half a minute at a time."""
        size = max(1, round(CHUNK_S / self.hop_s))
        parts = [self.to_sound(z[first : first + size]) for first in range(0, len(z), size)]
        return np.concatenate(parts).clip(-1, 1).astype(np.float32)
