"""System B: a small spectrogram transformer, which the paper names as future work."""

from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from musiclatent.models.mel import MelAutoencoder


class SpectrogramTransformer(MelAutoencoder):
    """Patches of all bands and some frames, attention among them, and the decoder of the others.

    Parameters
    ----------
    latent
        K, dimensions of a patch that come out.
    width
        Features of a patch inside, a multiple of `heads`.
    depth
        Layers of attention.
    heads
        Heads of each.
    options
        As `MelAutoencoder`, whose decoder it has: a patch is ``prod(time_strides)`` frames long.

    Raises
    ------
    ValueError
        If the width is no even multiple of the heads, or as `MelAutoencoder`.

    Notes
    -----
    Gong, Chung and Glass (2021), AST: audio spectrogram transformer, there with patches of 16
    bands by 16 frames; Vaswani et al. (2017), Attention is all you need, for sines as positions,
    so that any length works.
    """

    def __init__(
        self, latent: int = 128, width: int = 160, depth: int = 4, heads: int = 4, **options: Any
    ) -> None:
        super().__init__(latent, **options)
        if depth < 1 or heads < 1 or width % (2 * heads):
            raise ValueError(
                f"width {width}, depth {depth}, heads {heads}; give a layer and a head or more, "
                "and as width an even multiple of the heads"
            )
        self.save_hyperparameters()
        del self.down
        patch = (self.hparams.n_mels, prod(self.hparams.time_strides))
        self.patches = nn.Conv2d(1, width, patch, patch)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.attention = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.to_latent = nn.Linear(width, latent)

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent (B, K, T') of spectrograms `x` (B, 1, M, T), T' = ceil(T / stride)."""
        patches = self.patches(self.pad(x)).squeeze(2).transpose(1, 2)  # B x T' x width
        seen = self.attention(patches + _positions(patches))
        return self.to_latent(seen).transpose(1, 2).float()

    @property
    def grad_cam_layer(self) -> nn.Module:
        """The only convolution: what becomes of a patch before attention."""
        return self.patches


def _positions(patches: Tensor) -> Tensor:
    """Return sines and cosines of the places of patches (B, T', width): (T', width)."""
    _, length, width = patches.shape
    rates = 1e4 ** -(torch.arange(0, width, 2, device=patches.device) / width)
    angles = torch.arange(length, device=patches.device)[:, None] * rates  # T' x width / 2
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1).to(patches)
