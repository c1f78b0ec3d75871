"""Decode latents to sound of any length, in constant memory.

Windows start at multiples of the model's stride, so that neighbours cut what they share into the
same frames. Of the overlap of two windows the outer thirds, where one of them suffers from its
edge, are taken from the other; in the middle third the first fades into the second.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from musiclatent import audio
from musiclatent.audio import windows
from musiclatent.audio.windows import Transform
from musiclatent.errors import LatentsError
from musiclatent.latents import encode
from musiclatent.models.base import LitModule

OVERLAP_S = 0.25
BATCH = 4  # windows reconstructed at once


@torch.no_grad()
def decode(model: LitModule, z: np.ndarray, latent_shape: Sequence[int]) -> np.ndarray:
    """Decode latents to what a model takes, a few at a time.

    Parameters
    ----------
    model
        A trained autoencoder.
    z
        Latents (B, D) or (B, K, T).
    latent_shape
        (K, T), as in the provenance.

    Returns
    -------
    array (B, N) or (B, M, T), float32
        Waveforms in [-1, 1] at the study's rate, or spectrograms in [0, 1]; a whole number
        of latent frames, so that they may be a little longer than the window that was encoded.

    Raises
    ------
    LatentsError
        If `z` does not have that shape.
    """
    z = np.asarray(z, np.float32)
    width = int(np.prod(latent_shape))
    if z.ndim not in (2, 3) or not len(z) or z[0].size != width:
        raise LatentsError(f"latents have shape {z.shape}; give (B, {width}), one row or more")
    batches = torch.from_numpy(z.reshape(len(z), *latent_shape).copy()).split(encode.BATCH)
    return np.concatenate([model.decode(batch)[:, 0].numpy() for batch in batches])


def rebuild(
    model: LitModule,
    source: str | Path | Iterable[np.ndarray],
    *,
    transform: Transform,
    overlap_s: float = OVERLAP_S,
) -> Iterator[np.ndarray]:
    """Reconstruct sound of any length by a model.

    Parameters
    ----------
    model
        A trained autoencoder.
    source
        An audio file of any format, rate and length; or blocks of samples ``(N,)`` at the model's
        rate.
    transform
        Transform to the model's input and back, with the rate and the length of a window.
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
    n, hop = window_starts(model, transform, overlap_s)
    blocks = audio.blocks(source, transform.sr) if isinstance(source, str | Path) else source
    outputs = _outputs(model, transform, cut_windows(blocks, n, hop))
    return _crossfaded(outputs, hop, crossfade(n - hop))


def window_starts(model: LitModule, transform: Transform, overlap_s: float) -> tuple[int, int]:
    """Return the samples of a window, and those from one window to the next: whole frames."""
    sr, window_s = transform.sr, transform.window_s
    stride = model.stride * transform.hop_length
    n = windows.Grid(sr, window_s).n
    shared = max(round(overlap_s * sr), 3 * model.edge)  # the outer thirds are discarded
    hop = (n - shared) // stride * stride
    if overlap_s < 0 or 2 * hop < n:
        raise ValueError(
            f"windows of {window_s:g} s in frames of {stride} samples at {sr} Hz cannot share "
            f"{overlap_s:g} s; choose an overlap from 0 to {max(0, n / 2 - stride) / sr:.3g} s"
        )
    return n, hop


def crossfade(n: int) -> np.ndarray:
    """Return weights (n,) of the second of two windows: 0, raised cosine in the middle third, 1."""
    position = (np.arange(n) + 0.5) / max(n, 1)
    return (0.5 - 0.5 * np.cos(np.pi * np.clip(3 * position - 1, 0, 1))).astype(np.float32)


def cut_windows(blocks: Iterable[np.ndarray], n: int, hop: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield windows (n,) of joined blocks, the last padded, and how much of each is sound.

    Parameters
    ----------
    blocks
        Samples ``(N,)``, block after block.
    n, hop
        Samples of a window, and from one window to the next.
    """
    shared = 0
    for part in windows.frames(blocks, n, hop, rest=True):
        length = part.shape[1]
        for y in part:
            if length > shared:  # else the window before holds all of it
                yield np.pad(y, (0, n - length)), length
            shared = n - hop


@torch.no_grad()
def _outputs(
    model: LitModule, transform: Transform, cuts: Iterator[tuple[np.ndarray, int]]
) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the reconstruction of each window, and how much of it is sound."""
    while batch := list(islice(cuts, BATCH)):
        raw = np.stack([transform(y) for y, _ in batch])
        x = torch.from_numpy(transform.model_input(raw))[:, None]  # B x 1 x ...
        x_hat = model(x).x_hat[:, 0].numpy()
        sounds = transform.to_audio(x_hat, *transform.value_range(raw))  # B x N'
        for y_hat, (y, real) in zip(sounds, batch, strict=True):
            yield np.pad(y_hat, (0, len(y) - len(y_hat))), real


def _crossfaded(
    outputs: Iterator[tuple[np.ndarray, int]], hop: int, fade: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield the samples of overlapping windows, each faded into the next."""
    tail, left = np.empty(0, np.float32), 0
    for y, real in outputs:
        if len(tail):
            y[: len(fade)] = tail + fade * (y[: len(fade)] - tail)
        yield y[: min(hop, real)]
        tail, left = y[hop:], real - hop
    if left > 0:
        yield tail[:left]


@torch.no_grad()
def interpolate(
    model: LitModule, z_a: np.ndarray, z_b: np.ndarray, positions: Sequence[float]
) -> np.ndarray | None:
    """Return latents on a model's own interpolation path, where a straight one mixes up positions.

    Parameters
    ----------
    model
        A trained autoencoder.
    z_a, z_b
        Latents (K, T).
    positions
        P positions: 0 is A and 1 is B.

    Returns
    -------
    ndarray or None
        Latents (P, K, T); None where the model's own path is the straight one.
    """
    if not model.own_path:
        return None
    a, b = (torch.tensor(np.array(z, np.float32)[None], device=model.device) for z in (z_a, z_b))
    return torch.cat([model.between(a, b, float(p)) for p in positions]).cpu().numpy()
