"""Training augmentation of spectrograms: shift, masks and mixing, drawn from a seed."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

WIDEST = 0.18  # part of the bands or frames that one mask covers at most


def augment(
    x: Tensor, *, seed: int | Sequence[int], shift: bool = True, masks: int = 2, mixing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Shift, mix and mask spectrograms as their label allows.

    Parameters
    ----------
    x
        Spectrograms (B, 1, M, T) in [0, 1].
    seed
        The same seed gives the same changes.
    shift
        Whether each is rotated in time by a random number of frames.
    masks
        How many ranges of bands and how many of frames are set to 0 in each.
    mixing
        Largest part of another spectrogram of the batch that is added; 0 adds none.

    Returns
    -------
    x
        What the encoder sees (B, 1, M, T).
    target
        What the decoder should give: shifted and mixed, without the masks.

    Notes
    -----
    Park et al. (2019), SpecAugment; Zhang et al. (2018), mixup, here with the label of the larger
    part.
    """
    rng = np.random.default_rng(seed)
    n, _, bands, frames = x.shape
    if shift:
        turn = torch.from_numpy(rng.integers(frames, size=(n, 1)))
        places = (torch.arange(frames)[None] + turn) % frames  # B x T
        x = x.gather(3, places.to(x.device)[:, None, None].expand_as(x))
    if mixing:
        part = torch.from_numpy(rng.uniform(0, mixing, (n, 1, 1, 1))).to(x)
        x = (1 - part) * x + part * x[torch.from_numpy(rng.permutation(n)).to(x.device)]
    hidden = torch.zeros(n, 1, bands, frames, dtype=torch.bool)
    for _ in range(masks):
        hidden |= _ranges(rng, n, bands)[:, None, :, None]
        hidden |= _ranges(rng, n, frames)[:, None, None, :]
    return x.masked_fill(hidden.to(x.device), 0.0), x


def _ranges(rng: np.random.Generator, n: int, length: int) -> Tensor:
    """Draw one range in each of n rows (n, length)."""
    width = rng.integers(1 + int(WIDEST * length), size=(n, 1))
    first = (rng.random((n, 1)) * (length - width + 1)).astype(int)
    place = np.arange(length)[None]
    return torch.from_numpy((place >= first) & (place < first + width))
