"""The lapped cosine transform (MDCT) that the models past the paper stand on; random crops.

A lapped transform cuts a waveform into frames that overlap by half and turns each into as many
cosine coefficients as it moves on by: as many values as samples, and back without error. It is
written as a rotation of the samples on either side of each boundary of frames, then a cosine
transform of every frame. So it is orthonormal whatever the angles of the rotation are, and these
may be learned: they are the window's shape. At both ends of a waveform nothing is rotated, so that
no frame reaches past them.
"""

import math

import torch
from torch import Tensor, nn


class Lapped(nn.Module):
    """Orthonormal lapped transform of hop H: frames of 2 H samples, H coefficients each.

    Parameters
    ----------
    hop
        H, samples from frame to frame, even.
    beta
        Shape of the Kaiser-Bessel derived window at the start, at least 0: larger leaks less into
        far bins and more into the next.
    learned
        Whether the window's angles are parameters.

    Raises
    ------
    ValueError
        If `hop` is not even and positive, or `beta` is below 0.

    Notes
    -----
    Princen, Johnson and Bradley (1987), Subband/transform coding using filter bank designs based
    on time domain aliasing cancellation; Malvar (1992), Signal processing with lapped transforms.
    """

    def __init__(self, hop: int, beta: float = 2.0, learned: bool = False) -> None:
        super().__init__()
        if hop < 2 or hop % 2:
            raise ValueError(f"hop is {hop}; give an even number of samples, 2 or more")
        if beta < 0:
            raise ValueError(f"beta is {beta}; give 0 or more")
        self.hop = hop
        angle = _angles(hop, beta)
        if learned:
            self.angle = nn.Parameter(angle)
        else:
            self.register_buffer("angle", angle)
        n = torch.arange(hop // 2, dtype=torch.float64)
        phase = -math.pi * (8 * n + 1) / (8 * hop)
        self.register_buffer("twiddle", torch.stack([phase.cos(), phase.sin()], -1).float())

    def forward(self, x: Tensor) -> Tensor:
        """Analyse waveforms.

        Parameters
        ----------
        x
            Waveforms (B, T * H).

        Returns
        -------
        Tensor
            Coefficients (B, T, H), from low to high frequency.

        Raises
        ------
        ValueError
            If the waveforms are not whole frames.
        """
        if x.shape[-1] % self.hop or not x.shape[-1]:
            raise ValueError(f"{x.shape[-1]} samples are not whole frames of {self.hop}; pad them")
        c, s = self.angle.cos(), self.angle.sin()
        left, right = x.unflatten(-1, (-1, self.hop)).chunk(2, -1)  # B x T x H/2
        before, after = right[:, :-1].flip(-1), left[:, 1:]  # outwards from each boundary
        left = torch.cat([left[:, :1], c * after + s * before], 1)
        right = torch.cat([(c * before - s * after).flip(-1), right[:, -1:]], 1)
        return self._cosine(torch.cat([left, right], -1))

    def inverse(self, z: Tensor) -> Tensor:
        """Return the waveforms (B, T * H) that have the coefficients `z` (B, T, H)."""
        c, s = self.angle.cos(), self.angle.sin()
        left, right = self._cosine(z).chunk(2, -1)  # B x T x H/2
        after, before = left[:, 1:], right[:, :-1].flip(-1)
        left = torch.cat([left[:, :1], c * after - s * before], 1)
        right = torch.cat([(s * after + c * before).flip(-1), right[:, -1:]], 1)
        return torch.cat([left, right], -1).flatten(1)  # B x (T H)

    def _cosine(self, x: Tensor) -> Tensor:
        """Return the orthonormal DCT-IV of the last axis by an FFT; it is its own inverse."""
        twiddle = torch.view_as_complex(self.twiddle)
        y = torch.fft.fft(torch.complex(x[..., 0::2], x.flip(-1)[..., 0::2]) * twiddle)
        y = y * (twiddle * math.sqrt(2 / self.hop))
        return torch.stack([y.real, -y.imag.flip(-1)], -1).flatten(-2)


def _angles(hop: int, beta: float) -> Tensor:
    """Return the angles (H / 2,) of a Kaiser-Bessel derived window, outwards from the boundary."""
    w = torch.kaiser_window(hop + 1, False, math.pi * beta, dtype=torch.float64).cumsum(0)
    w = (w[:hop] / w[hop]).sqrt()  # the rising half of the window
    return torch.atan2(w[: hop // 2].flip(0), w[hop // 2 :]).float()


def crops(x: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Cut a part of the same length from each waveform, each at a random place.

    Parameters
    ----------
    x
        Waveforms (B, 1, N).
    n
        Samples of a part; all of a waveform that is no longer.
    generator
        Draws the places.

    Returns
    -------
    Tensor
        Parts (B, 1, min(n, N)).
    """
    if x.shape[-1] <= n:
        return x
    starts = torch.randint(x.shape[-1] - n + 1, (len(x),), generator=generator).tolist()
    return torch.stack([one[:, start : start + n] for one, start in zip(x, starts, strict=True)])
