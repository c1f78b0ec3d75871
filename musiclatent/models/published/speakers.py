"""The network of Resemblyzer 0.1.4, by which voices are told apart.

Wan et al. (2018), Generalized end-to-end loss for speaker verification.
"""

from torch import Tensor, nn

N_MELS, FRAMES, SIZE = 40, 160, 256


class VoiceNetwork(nn.Module):
    """Three layers of LSTM over mel spectra."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(N_MELS, SIZE, 3, batch_first=True)
        self.linear = nn.Linear(SIZE, SIZE)

    def forward(self, x: Tensor) -> Tensor:
        """Return embeddings (B, 256) of length 1 and of numbers that are 0 or more.

        Parameters
        ----------
        x
            Mel spectra (B, T, 40), powers.
        """
        h = self.linear(self.lstm(x)[1][0][-1]).relu()
        return nn.functional.normalize(h, dim=1)
