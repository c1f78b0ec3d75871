"""System A: autoencoders of waveforms, and the linear transforms that they must beat.

The system is that of Nunez, Suarez and Vitetta (2024): A1 is the model that they chose, A2 those
that they rejected, (i) made from a classifier and (ii) A1 with added layers.
"""

from itertools import pairwise

import torch
from scipy.linalg import eigh
from torch import Tensor, nn

from musiclatent.models import base, mdct

EXTRAS = ("none", "conv", "dense")
PADDINGS = ("reflect", "none")


class ShiftedReLU(nn.Module):
    """ReLU moved down by one: ``max(x, -1)``, so that its mean lies nearer to zero.

    Notes
    -----
    Clevert, Unterthiner and Hochreiter (2016), Fast and accurate deep network learning by ELUs.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Clip `x` from below at -1."""
        return torch.clamp(x, min=-1.0)


class WaveformAutoencoder(base.Autoencoder):
    """One convolution and one transposed convolution, tanh on the output (A1); or added ones (A2).

    Parameters
    ----------
    maps
        K, channels of the latent.
    kernel_size
        Samples that a frame sees; at least `stride`, and as even as it.
    stride
        Samples from frame to frame: 512 gives 216 frames in five seconds at 22,050 Hz.
    extra
        ``none`` for A1; ``conv`` or ``dense`` adds that layer and ReLU on both sides.
    learning_rate, total_steps
        Training, see `base.LitModule`.

    Raises
    ------
    ValueError
        If `extra` has no meaning or `kernel_size` does not fit `stride`.
    """

    def __init__(
        self,
        maps: int = 64,
        kernel_size: int = 1024,
        stride: int = 512,
        extra: str = "none",
        learning_rate: float = 4e-3,
        total_steps: int = 1,
    ) -> None:
        super().__init__(learning_rate, total_steps)
        if extra not in EXTRAS:
            raise ValueError(f"extra is {extra!r}; choose one of: {', '.join(EXTRAS)}")
        if kernel_size < stride or (kernel_size - stride) % 2:
            raise ValueError(
                f"kernel_size {kernel_size} must be stride {stride} plus an even number"
            )
        self.save_hyperparameters()
        self.stride = stride
        self.outside = (kernel_size - stride) // 2  # samples that the first frame sees before 0
        self.analysis = nn.Conv1d(1, maps, kernel_size, stride, self.outside)
        self.synthesis = nn.ConvTranspose1d(maps, 1, kernel_size, stride, self.outside)
        self.after_analysis = _extra_layers(extra, maps)
        self.before_synthesis = _extra_layers(extra, maps)

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent (B, K, T) of waveforms `x` (B, 1, N), T = ceil(N / stride)."""
        return self.after_analysis(self.analysis(self.pad(x)))

    def decode(self, z: Tensor) -> Tensor:
        """Return waveforms (B, 1, T * stride) of latents `z` (B, K, T)."""
        return torch.tanh(self.synthesis(self.before_synthesis(z)))


class PaddedAutoencoder(WaveformAutoencoder):
    """A1 whose first and last frames see no zeros beyond the window.

    Parameters
    ----------
    padding
        ``reflect``: they see the window mirrored; ``none``: they begin and end with the window,
        which gives less frames.
    maps, kernel_size, stride, extra, learning_rate, total_steps
        As in `WaveformAutoencoder`.

    Raises
    ------
    ValueError
        If `padding` has no meaning or `kernel_size` does not fit.
    """

    def __init__(
        self,
        padding: str = "reflect",
        maps: int = 64,
        kernel_size: int = 1024,
        stride: int = 512,
        extra: str = "none",
        learning_rate: float = 4e-3,
        total_steps: int = 1,
    ) -> None:
        super().__init__(maps, kernel_size, stride, extra, learning_rate, total_steps)
        if padding not in PADDINGS:
            raise ValueError(f"padding is {padding!r}; choose one of: {', '.join(PADDINGS)}")
        if padding == "reflect" and kernel_size >= 3 * stride:
            raise ValueError(
                f"kernel_size {kernel_size} would mirror more than a frame; with padding "
                f"'reflect' give less than three times the stride, {3 * stride}"
            )
        self.save_hyperparameters()
        self.mirrored, self.analysis.padding = padding == "reflect", (0,)  # `pad` does it
        if not self.mirrored:
            self.outside, self.synthesis.padding = 0, (0,)

    def pad(self, x: Tensor) -> Tensor:
        """Pad waveforms (B, 1, N) with zeros to whole latent frames, then mirror their ends."""
        n, least = x.shape[-1], self.stride if self.mirrored else self.hparams.kernel_size
        x = nn.functional.pad(x, (0, max(least - n, (least - n) % self.stride)))
        return nn.functional.pad(x, [self.outside] * 2, "reflect") if self.mirrored else x


def _extra_layers(extra: str, maps: int) -> nn.Module:
    """Build the layers that A2 adds between the latent and the convolutions."""
    if extra == "none":
        return nn.Identity()
    width = 3 if extra == "conv" else 1  # a dense layer acts on each frame by itself
    return nn.Sequential(
        nn.Conv1d(maps, maps, width, padding=width // 2),
        nn.ReLU(),
        nn.Conv1d(maps, maps, width, padding=width // 2),
    )


class PoolingAutoencoder(base.Autoencoder):
    """The autoencoder made from an earlier classifier (A2, i): conv, max-pooling, dense layers.

    Parameters
    ----------
    maps
        K, channels of the latent.
    channels
        Output channels of the convolutions; each is followed by ELU and a max-pooling.
    kernel_size
        Kernel of the convolutions, odd.
    pool
        Factor of each max-pooling; a frame covers ``pool ** len(channels)`` samples.
    hidden
        Width of the dense layers, which act on each frame.
    learning_rate, total_steps
        Training, see `base.LitModule`.
    """

    def __init__(
        self,
        maps: int = 64,
        channels: list[int] = [4, 16, 64],  # noqa: B006, a plain list: it goes to the checkpoint
        kernel_size: int = 9,
        pool: int = 8,
        hidden: int = 128,
        learning_rate: float = 1e-3,
        total_steps: int = 1,
    ) -> None:
        super().__init__(learning_rate, total_steps)
        self.save_hyperparameters()
        self.stride = pool ** len(channels)
        down, up = [], []
        for left, right in pairwise([1, *channels]):
            conv = nn.Conv1d(left, right, kernel_size, padding=kernel_size // 2)
            down += [conv, nn.ELU(), nn.MaxPool1d(pool)]
            back = nn.Conv1d(right, left, kernel_size, padding=kernel_size // 2)
            up = [nn.Upsample(scale_factor=pool), back, nn.ELU(), *up]
        self.down = nn.Sequential(*down)
        self.dense_in = _dense(channels[-1], hidden, maps)
        self.dense_out = _dense(maps, hidden, channels[-1])
        self.up = nn.Sequential(*up[:-1])  # no ELU before the tanh

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent (B, K, T) of waveforms `x` (B, 1, N), T = ceil(N / stride)."""
        return self.dense_in(self.down(self.pad(x)))

    def decode(self, z: Tensor) -> Tensor:
        """Return waveforms (B, 1, T * stride) of latents `z` (B, K, T)."""
        return torch.tanh(self.up(self.dense_out(z)))


def _dense(left: int, hidden: int, right: int) -> nn.Module:
    """Build two dense layers on each frame, with shifted ReLU between."""
    return nn.Sequential(nn.Conv1d(left, hidden, 1), ShiftedReLU(), nn.Conv1d(hidden, right, 1))


class LinearBlocks(base.Autoencoder):
    """The best linear transform of blocks of samples to `maps` coefficients and back.

    It is fitted in one pass: the training step adds up the covariance of the blocks, whose first
    `maps` eigenvectors are the transform. No other linear transform of single blocks leaves a
    smaller squared error on the training windows; longer or overlapping blocks may.

    Parameters
    ----------
    maps
        K, coefficients kept of each block.
    stride
        Samples in a block.
    lapped
        Whether blocks overlap by half: those of a lapped cosine transform, 2 `stride` samples each,
        of whose coefficients the first `maps` principal components are kept.
    learning_rate, total_steps
        Unused: nothing is learned by gradient.

    Notes
    -----
    Eckart and Young (1936), The approximation of one matrix by another of lower rank; Malvar
    (1992), Signal processing with lapped transforms.
    """

    automatic_optimization = False

    def __init__(
        self,
        maps: int = 64,
        stride: int = 512,
        lapped: bool = False,
        learning_rate: float = 0.0,
        total_steps: int = 1,
    ) -> None:
        super().__init__(learning_rate, total_steps)
        self.save_hyperparameters()
        self.stride, self.edge = stride, stride if lapped else 0
        self.lapped = mdct.Lapped(stride) if lapped else None
        self.register_buffer("basis", torch.eye(stride)[:maps])  # K x stride
        # Of no use after the fit, and 134 MB for blocks of 4,096: not kept.
        zeros = torch.zeros(stride, stride, dtype=torch.float64)
        self.register_buffer("covariance", zeros, persistent=False)

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent (B, K, T) of waveforms `x` (B, 1, N), T = ceil(N / stride)."""
        return (self._blocks(x) @ self.basis.T).transpose(1, 2)  # B x K x T

    def decode(self, z: Tensor) -> Tensor:
        """Return waveforms (B, 1, T * stride) of latents `z` (B, K, T)."""
        blocks = z.transpose(1, 2) @ self.basis  # B x T x stride
        return (self.lapped.inverse(blocks) if self.lapped else blocks.flatten(1))[:, None]

    def _blocks(self, x: Tensor) -> Tensor:
        """Return the blocks (B, T, stride) of waveforms, or their lapped coefficients."""
        y = self.pad(x)[:, 0]
        return self.lapped(y) if self.lapped else y.unflatten(-1, (-1, self.stride))

    def training_step(self, batch: tuple[Tensor, ...], index: int) -> None:
        """Add the blocks of a training batch to the covariance."""
        blocks = self._blocks(batch[0]).flatten(0, 1)  # (B T) x stride
        self.covariance += (blocks.T @ blocks).double()

    def on_validation_epoch_start(self) -> None:
        """Solve for the basis before the fitted transform is judged."""
        if self.covariance.any():
            last = [self.stride - len(self.basis), self.stride - 1]  # the largest eigenvalues
            vectors = eigh(self.covariance.cpu().numpy(), subset_by_index=last)[1]
            self.basis = torch.from_numpy(vectors.T[::-1].copy()).to(self.basis)

    def configure_optimizers(self) -> None:
        """Return no optimizer: nothing is learned by gradient."""
