"""Rebuild sound of any length through a trained model, in overlapping windows, in constant memory.

Windows start at multiples of the model's stride, so that neighbours cut what they share into the
same frames. Of what two windows share, the outer thirds, where one of them feels its edge, are
taken from the other; in the middle third the first fades into the second.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from musiclatent import audio
from musiclatent.excerpts import Grid, Transform, frames, windows
from musiclatent.models.blocks import Trained, mrstft, sisdr

OVERLAP_S = 0.25
FLOOR = 1e-10  # mean squared error that 16 bits leave
BATCH = 4  # windows rebuilt at once


def rebuild(
    model: Trained,
    source: str | Path | Iterable[np.ndarray],
    transform: Transform,
    overlap_s: float = OVERLAP_S,
) -> Iterator[np.ndarray]:
    """Send sound of any length through a model.

    Parameters
    ----------
    model
        A trained autoencoder.
    source
        An audio file of any format, rate and length; or blocks of samples ``(N,)`` at the model's
        rate.
    transform
        What the model takes: rate and length of a window, and the way there and back.
    overlap_s
        Least time that neighbouring windows share, in seconds; more where a model is worse at the
        edges of its windows.

    Returns
    -------
    Iterator of ndarray
        Blocks ``(N,)`` float32 in [-1, 1] at the model's rate; joined, as long as the source.

    Raises
    ------
    ValueError
        If two windows cannot share that much.
    AudioError
        While iterating, if the file cannot be read.
    """
    n, hop = _grid(model, transform, overlap_s)
    blocks = audio.blocks(source, transform.sr) if isinstance(source, str | Path) else source
    return _crossfaded(_outputs(model, transform, _cut(blocks, n, hop)), hop, _fade(n - hop))


def _grid(model: Trained, transform: Transform, overlap_s: float) -> tuple[int, int]:
    """Return the samples of a window, and those from one window to the next: whole frames."""
    sr, window_s = transform.sr, transform.window_s
    stride = model.stride * transform.hop_length
    n = Grid(sr, window_s).n
    shared = max(round(overlap_s * sr), 3 * model.edge)  # the outer thirds are not heard
    hop = (n - shared) // stride * stride
    if overlap_s < 0 or 2 * hop < n:
        raise ValueError(
            f"windows of {window_s:g} s in frames of {stride} samples at {sr} Hz cannot share "
            f"{overlap_s:g} s; choose an overlap from 0 to {max(0, n / 2 - stride) / sr:.3g} s"
        )
    return n, hop


def _fade(n: int) -> np.ndarray:
    """Weights (n,) of the second of two windows: 0, a raised cosine in the middle third, 1."""
    position = (np.arange(n) + 0.5) / max(n, 1)
    return (0.5 - 0.5 * np.cos(np.pi * np.clip(3 * position - 1, 0, 1))).astype(np.float32)


def _cut(blocks: Iterable[np.ndarray], n: int, hop: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield windows (n,) of joined blocks, the last padded, and how much of each is sound."""
    shared = 0
    for part in frames(blocks, n, hop, rest=True):
        length = part.shape[1]
        for y in part:
            if length > shared:  # else the window before holds all of it
                yield np.pad(y, (0, n - length)), length
            shared = n - hop


@torch.no_grad()
def _outputs(
    model: Trained, transform: Transform, cuts: Iterator[tuple[np.ndarray, int]]
) -> Iterator[tuple[np.ndarray, int]]:
    """Rebuild each window."""
    while batch := list(islice(cuts, BATCH)):
        found = np.stack([transform(y) for y, _ in batch])
        x = torch.from_numpy(transform.model_input(found))[:, None]  # B x 1 x ...
        sounds = transform.sound(model(x).x_hat[:, 0].numpy(), *transform.pair(found))  # B x N'
        for y_hat, (y, real) in zip(sounds, batch, strict=True):
            yield np.pad(y_hat, (0, len(y) - len(y_hat))), real


def _crossfaded(
    outputs: Iterator[tuple[np.ndarray, int]], hop: int, fade: np.ndarray
) -> Iterator[np.ndarray]:
    """Join rebuilt windows."""
    tail, left = np.empty(0, np.float32), 0
    for y, real in outputs:
        if len(tail):
            y[: len(fade)] = tail + fade * (y[: len(fade)] - tail)
        yield y[: min(hop, real)]
        tail, left = y[hop:], real - hop
    if left > 0:
        yield tail[:left]


def seam_error_db(model: Trained, transform: Transform) -> float:
    """Compare the error where windows fade into each other with the error elsewhere.

    The sound is a sine of 440 Hz over ten windows; both ends of the sound are left out.

    Parameters
    ----------
    model, transform
        As in `rebuild`.

    Returns
    -------
    float
        Mean squared error at the nine seams against that elsewhere, in dB; 0 where there is no
        error that 16 bits could hold.
    """
    n, hop = _grid(model, transform, OVERLAP_S)
    fade = _fade(n - hop)
    y = 0.5 * np.sin(2 * np.pi * 440 * np.arange(9 * hop + n) / transform.sr, dtype=np.float64)
    y = y.astype(np.float32)
    error = np.square(np.concatenate(list(rebuild(model, [y], transform))) - y)
    inner = error[hop : 10 * hop].reshape(9, hop)  # each row begins with what two windows share
    seams = np.zeros(hop, bool)
    seams[: len(fade)] = (fade > 0) & (fade < 1)
    at_seams, elsewhere = inner[:, seams].mean(), inner[:, ~seams].mean()
    return float(10 * np.log10((at_seams + FLOOR) / (elsewhere + FLOOR)))


@torch.no_grad()
def measure(
    original: str | Path, rebuilt: str | Path, sr: int, window_s: float
) -> dict[str, float]:
    """Measure a rebuilt file against its original, window by window.

    Parameters
    ----------
    original, rebuilt
        Audio files of the same length.
    sr
        Sample rate of the comparison in Hz.
    window_s
        Length of a window in seconds; less than half a window at the end is left out.

    Returns
    -------
    dict
        ``mse`` of the samples; ``sisdr`` in dB and ``mrstft``, means over the audible windows, NaN
        where there is none.
    """
    error, sisdrs, mrstfts = 0.0, [], []
    pairs = zip(windows(original, sr, window_s), windows(rebuilt, sr, window_s), strict=True)
    for (_, y), (_, y_hat) in pairs:
        x, x_hat = torch.from_numpy(y)[None, None], torch.from_numpy(y_hat)[None, None]
        error += float((x_hat - x).square().sum())
        sisdrs.append(sisdr(x, x_hat)), mrstfts.append(mrstft(x, x_hat))
    span_s = Grid(sr, window_s).span_s(len(sisdrs))
    seconds = min(span_s, audio.info(original).seconds)  # without the padding
    means = {"sisdr": float(torch.cat(sisdrs).mean()), "mrstft": float(torch.cat(mrstfts).mean())}
    return {"mse": error / (seconds * sr)} | means
