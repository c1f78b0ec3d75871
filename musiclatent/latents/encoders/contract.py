"""What every encoder keeps to, and the vectors of recordings that are made with one.

Row t of an encoder's answer stands for the window of `window_s` seconds that begins at
``t * hop_s``. Whoever takes an answer takes it from `encode_sound` or `encode_file`, which refuse
one that breaks the contract in one sentence.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from musiclatent import audio
from musiclatent.errors import LatentsError
from musiclatent.files import pick

MEMBERS = ("name", "sr", "window_s", "hop_s", "dimensions", "licence", "revision", "encode")
_FLOOR = 1e-9  # of the energy that rows are weighted by: silence weighs the same everywhere


@runtime_checkable
class FrameEncoder(Protocol):
    """An encoder, whoever trained it; only these members are asked for.

    An encoder may also have ``decode(z) -> y``, ``embed_text(words) -> (D,)``, ``layers`` (names)
    with ``at_layer(name) -> FrameEncoder``, ``parts`` (widths of the parts of a row that count the
    same when rows are compared), ``context_s`` (how far beyond its window a row listens; 0
    without) and ``note`` (what a reader of its figures has to know).
    """

    name: str
    sr: int  # Hz
    window_s: float  # seconds that a row sees
    hop_s: float  # seconds from row to row
    dimensions: int  # D
    licence: str  # of the weights, as their makers state it
    revision: str  # another one wherever the same sound would give another answer

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return rows (T, D) float32 of mono samples (N,) float32 at `sr`, in [-1, 1].

        T is 1 for what is no longer than a window, which the encoder pads.
        """


def expected_rows(encoder: FrameEncoder, samples: int) -> int:
    """Return how many whole windows a sound has, 1 at least; an answer may differ by one.

    Parameters
    ----------
    encoder
        Whose windows.
    samples
        Length of the sound at the encoder's rate.
    """
    rest = samples / encoder.sr - encoder.window_s
    return max(1, 1 + int(np.floor(rest / encoder.hop_s + 1e-6)))


def encode_sound(encoder: FrameEncoder, y: np.ndarray) -> np.ndarray:
    """Encode samples, and refuse an answer that breaks the contract.

    Parameters
    ----------
    encoder
        Any encoder.
    y
        Samples (N,) float32 at the encoder's rate, in [-1, 1].

    Returns
    -------
    array (T, D), float32
        One row per window.

    Raises
    ------
    LatentsError
        If the answer is no array (T, D) of finite float32, or has another width or length.
    """
    z = encoder.encode(y)
    if problem := _problem(encoder, z, len(y)):
        raise LatentsError(
            f"{encoder.name} {problem}; mend its encode, and try it with: musiclatent models check"
        )
    return z


def _problem(encoder: FrameEncoder, z: object, samples: int) -> str:
    """Return what is wrong with an answer; empty if nothing is."""
    if getattr(z, "requires_grad", False):
        return "returned a tensor that needs grad; return z.detach().cpu().numpy()"
    if not isinstance(z, np.ndarray) or z.ndim != 2:
        shape = f" of shape {tuple(z.shape)}" if hasattr(z, "shape") else ""
        return f"returned a {type(z).__name__}{shape}, not an array (T, D)"
    if z.dtype != np.float32:
        return f"returned {z.dtype}, not float32"
    if z.shape[1] != encoder.dimensions:
        return f"returned rows of {z.shape[1]} numbers, not of {encoder.dimensions} as it says"
    rows = expected_rows(encoder, samples)
    if not len(z) or abs(len(z) - rows) > 1:
        seconds = samples / encoder.sr
        return f"returned {len(z)} rows of {seconds:.2f} s, not {rows} as its hop and window say"
    return "" if np.isfinite(z).all() else "returned NaN or infinity"


def encode_file(encoder: FrameEncoder, path: str | Path) -> np.ndarray:
    """Encode an audio file of any format and rate.

    Parameters
    ----------
    encoder
        Any encoder.
    path
        An audio file; it is read whole.

    Returns
    -------
    array (T, D), float32
        One row per window.

    Raises
    ------
    AudioError
        If the file cannot be read.
    LatentsError
        As `encode_sound`.
    """
    return encode_sound(encoder, audio.read(path, encoder.sr)[0])


def row_energy(encoder: FrameEncoder, y: np.ndarray, rows: int) -> np.ndarray:
    """Return the mean power (T,) of the samples that each row stands for.

    Parameters
    ----------
    encoder
        Whose rows.
    y
        Samples (N,) at its rate.
    rows
        T.
    """
    sums = np.append(0.0, np.cumsum(np.square(y, dtype=np.float64)))
    starts = np.round(np.arange(rows) * encoder.hop_s * encoder.sr).astype(int)
    n = max(1, round(encoder.window_s * encoder.sr))
    return (sums[np.minimum(starts + n, len(y))] - sums[np.minimum(starts, len(y))]) / n


def _mean(z: np.ndarray, energy: np.ndarray | None) -> np.ndarray:
    """Return the mean of rows."""
    return z.mean(axis=0, dtype=np.float64)


def _mean_and_deviation(z: np.ndarray, energy: np.ndarray | None) -> np.ndarray:
    """Return the mean of rows, then their standard deviation."""
    return np.concatenate([z.mean(axis=0, dtype=np.float64), z.std(axis=0, dtype=np.float64)])


def _by_energy(z: np.ndarray, energy: np.ndarray | None) -> np.ndarray:
    """Return the mean of rows, where louder ones count more: by the root of their power."""
    if energy is None or np.shape(energy) != (len(z),):
        raise ValueError(f"rows pooled by energy need one power each; give ({len(z)},)")
    return np.average(z.astype(np.float64), axis=0, weights=np.sqrt(energy) + _FLOOR)


POOLINGS: dict[str, Callable[[np.ndarray, np.ndarray | None], np.ndarray]] = {
    "mean": _mean,
    "mean+deviation": _mean_and_deviation,
    "energy": _by_energy,
}


def pool(z: np.ndarray, how: str = "mean", *, energy: np.ndarray | None = None) -> np.ndarray:
    """Make one vector of the rows of a recording.

    Parameters
    ----------
    z
        Rows (T, D).
    how
        ``mean``; ``mean+deviation``, which is twice as wide; or ``energy``, the mean where louder
        rows count more.
    energy
        Power (T,) of each row for ``energy``, from `row_energy`.

    Returns
    -------
    array (D,) or (2D,), float32

    Raises
    ------
    ValueError
        If there is no such pooling, it lacks the energies, or `z` holds no rows (T, D).
    """
    z = np.asarray(z)
    if z.ndim != 2 or not len(z):
        raise ValueError(f"rows have shape {z.shape}; give (T, D), one row or more")
    return pick(POOLINGS, how, "pooling")(z, energy).astype(np.float32)


def file_vector(encoder: FrameEncoder, path: str | Path, how: str = "mean") -> np.ndarray:
    """Make one vector of an audio file.

    Parameters
    ----------
    encoder
        Any encoder.
    path
        An audio file.
    how
        As in `pool`.

    Returns
    -------
    array (D,) or (2D,), float32

    Raises
    ------
    AudioError, LatentsError, ValueError
        As `encode_file` and `pool`.
    """
    y = audio.read(path, encoder.sr)[0]
    z = encode_sound(encoder, y)
    return pool(z, how, energy=row_energy(encoder, y, len(z)))


def cut(encoder: FrameEncoder, y: np.ndarray) -> np.ndarray:
    """Cut samples into the windows of an encoder, the last one padded with zeros.

    Parameters
    ----------
    encoder
        What says how long windows are and how far apart.
    y
        Samples (N,).

    Returns
    -------
    array (T, n), float32
        All whole windows; one more if what is left behind them fills half of a hop, or is all
        there is.
    """
    n = round(encoder.window_s * encoder.sr)
    hop = round(encoder.hop_s * encoder.sr)
    whole = max(0, (len(y) - n) // hop + 1)
    left = len(y) - (whole - 1) * hop - n  # behind the last whole window
    count = whole + (not whole or 2 * left >= hop)
    padded = np.zeros((count - 1) * hop + n, np.float32)
    padded[: min(len(y), len(padded))] = y[: len(padded)]
    return np.lib.stride_tricks.sliding_window_view(padded, n)[::hop]
