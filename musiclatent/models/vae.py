"""System D: variational autoencoders of spectrograms, one convolutional and one recurrent."""

import math
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from musiclatent.models import augment, base

FITTED = 2**26  # values of the training windows that components are fitted to: 256 MiB
SLOW = 0.01  # rate of the components: at the full one its first steps undo the fit
SMALLEST, LARGEST = -12.0, 6.0  # of a log-variance: beyond them 16 bits overflow


@dataclass(frozen=True)
class VariationalOutput(base.Output):
    """What a variational autoencoder returns: also mean and log-variance (B, K, T') of `z`."""

    mean: Tensor
    log_variance: Tensor


class VAE(base.LitModule):
    """Convolutions and a dense layer to mean and variance of K dimensions, and the mirror back.

    Parameters
    ----------
    latent
        K, latent dimensions of a spectrogram.
    channels
        Output channels of the convolutions, 3 x 3, each with batch normalisation and ReLU.
    band_strides, time_strides
        Factors by which each convolution reduces bins and frames.
    bins, frames
        F and T of the input; the products of the strides divide them.
    kl_weight
        Weight of the Kullback-Leibler divergence in the loss once `warm_up` is over. The squared
        error is that of a Gaussian of deviation 1; in units where it counts fully, a weight of
        0.02 means a deviation of 0.14.
    warm_up
        Share of the training over which the weight rises from 0.
    components
        How many principal components of the training windows the convolutions add to, by way of
        dense layers, see `Components`; fitted before the first step, then trained on. 0: none, the
        convolutions stand alone with a sigmoid at their end, as in the paper, and need many times
        the steps to come as close.
    hidden
        Features of those dense layers.
    shift
        Whether training rotates each spectrogram in time, for music, which has no beginning.
    learning_rate, total_steps
        Training, see `base.LitModule`.

    Raises
    ------
    ValueError
        If a number does not fit the others.

    Notes
    -----
    Kingma and Welling (2014), Auto-encoding variational Bayes; Higgins et al. (2017), beta-VAE, for
    the weight; Bowman et al. (2016), Generating sentences from a continuous space, for the warm-up.
    Couri and Oliveira: five blocks, the first of 512 channels.
    """

    supports_bf16 = True

    def __init__(
        self,
        latent: int = 64,
        channels: list[int] = [32, 64, 128, 128, 128],  # noqa: B006, goes to the checkpoint
        band_strides: list[int] = [2, 2, 2, 2, 2],  # noqa: B006
        time_strides: list[int] = [2, 2, 2, 2, 1],  # noqa: B006
        bins: int = 256,
        frames: int = 64,
        kl_weight: float = 0.02,
        warm_up: float = 0.2,
        components: int = 256,
        hidden: int = 1024,
        shift: bool = False,
        learning_rate: float = 2e-3,
        total_steps: int = 1,
    ) -> None:
        super().__init__(learning_rate, total_steps)
        _check(channels, band_strides, time_strides, bins, frames)
        if latent < 1 or not 0 <= kl_weight < math.inf or not 0 <= warm_up <= 1:
            raise ValueError(
                f"latent {latent}, kl_weight {kl_weight}, warm_up {warm_up}; give 1 or more, 0 or "
                "more and a share from 0 to 1"
            )
        self.save_hyperparameters()
        self.stride = prod(time_strides)
        strides = list(zip(band_strides, time_strides, strict=True))
        self.down = base.strided_convolutions(channels, strides, sizes=[3] * len(channels))
        self.up = _up(channels, strides)
        self.small = (channels[-1], bins // prod(band_strides), frames // self.stride)
        self._connect(latent)
        each, latent_frames = self.latent_shape
        if components and not (components >= each and hidden > 0):
            raise ValueError(
                f"components {components}, hidden {hidden}; give {each} or more (0 for none) and 1 "
                "or more"
            )
        self.components = None
        if components:
            block = frames // latent_frames
            self.components = Components(bins, block, each, rank=components, hidden=hidden)
            base.zeroed(self.to_latent)  # begin as the components alone
            base.zeroed(self.up[-1])

    def on_fit_start(self) -> None:
        """Fit the components to the training windows; a resumed training has them already."""
        if self.components and not self.components.fitted:
            size = self.hparams.bins * self.hparams.frames
            batches = self.trainer.datamodule.loader("train", at_most=max(1, FITTED // size))
            x = torch.cat([batch[0] for batch in batches])
            self.components.fit(x.to(self.device), max(self.hparams.kl_weight, 1e-6))

    def _rates(self) -> list[tuple[list[nn.Parameter], float]]:
        """Train the components, which begin at their best, at a hundredth of the rate."""
        if self.components is None:
            return super()._rates()
        slow = [*self.components.down.parameters(), *self.components.up.parameters()]
        ids = {id(parameter) for parameter in slow}
        fast = [parameter for parameter in self.parameters() if id(parameter) not in ids]
        return [(fast, 1.0), (slow, SLOW)]

    def _connect(self, latent: int) -> None:
        """Make the layers between the convolutions and the latent."""
        self.latent_shape = (latent, 1)
        self.to_latent = nn.Linear(prod(self.small), 2 * latent)
        self.from_latent = nn.Linear(latent, prod(self.small))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance (B, K, T') of the latents of `x` (B, 1, F, T).

        Raises
        ------
        ValueError
            If `x` has another size than the model.
        """
        size = (self.hparams.bins, self.hparams.frames)
        if x.shape[2:] != size:
            raise ValueError(f"spectrograms are {tuple(x.shape[2:])}; this model takes {size}")
        joined = self._inner(self.down(x)).float()  # B x 2K x T'
        if self.components is None:
            mean, log_variance = joined.chunk(2, dim=1)
        else:
            mean, log_variance = self.components.inward(x, joined)
        return mean, log_variance.clamp(SMALLEST, LARGEST)

    def _inner(self, h: Tensor) -> Tensor:
        """Return mean and log-variance, joined (B, 2K, 1), of feature maps `h`."""
        return self.to_latent(h.flatten(1))[:, :, None]  # B x 2K x 1

    def _outer(self, z: Tensor) -> Tensor:
        """Return feature maps of latents `z` (B, K, 1)."""
        return self.from_latent(z[:, :, 0]).unflatten(1, self.small)  # B x C x F' x T'

    def encode(self, x: Tensor) -> Tensor:
        """Return the mean (B, K, T') of the latents of `x` (B, 1, F, T)."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Return spectrograms (B, 1, F, T) in [0, 1] of latents `z` (B, K, T')."""
        x_hat = self.up(torch.relu(self._outer(z))).float()
        if self.components is None:
            return torch.sigmoid(x_hat)
        return self.components.outward(z, x_hat)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> VariationalOutput:
        """Encode and decode `x` (B, 1, F, T): the mean, or with a generator a random latent."""
        mean, log_variance = self.posterior(x)
        z = mean
        if generator is not None:
            drawn = torch.randn(mean.shape, generator=generator).to(mean)
            z = mean + drawn * (log_variance / 2).exp()
        return VariationalOutput(z, self.decode(z), mean, log_variance)

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Return spectrograms (n, 1, F, T) of standard normal latents."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn((n, *self.latent_shape), generator=generator)
        return self.decode(z.to(self.device))

    def measure(self, x: Tensor, x_hat: Tensor, with_stft: bool = True) -> dict[str, Tensor]:
        """Return squared error, and divergence in nats, (B,) of spectrograms (B, 1, F, T)."""
        mse = (x_hat - x).square().mean(dim=(1, 2, 3))
        return {"mse": mse, "kl": divergence(*self.posterior(x))}

    def _step(self, batch: tuple[Tensor, ...], stage: str, index: int) -> Tensor:
        """Log the terms of the loss, in nats per spectrogram, and return it."""
        x = batch[0]
        generator, weight = None, 1.0
        if stage == "train":
            x = augment.augment(x, seed=self.step_seed(index), shift=self.hparams.shift, masks=0)[1]
            generator = self.step_generator(index)
            rising = self.hparams.warm_up * self.total_steps
            weight = min(1.0, (self.global_step + 1) / max(1.0, rising))
        out = self(x, generator)
        mse = nn.functional.mse_loss(out.x_hat, x)
        reconstruction = mse * x[0].numel() / 2  # but for the constant of the Gaussian
        kl = divergence(out.mean, out.log_variance).mean()
        loss = reconstruction + weight * self.hparams.kl_weight * kl
        values = {"mse": mse, "reconstruction": reconstruction, "kl": kl, "loss": loss}
        self.log_means(stage, values, len(x))
        return loss


class RecurrentVAE(VAE):
    """The same with recurrent layers over time: K dimensions for each of T' latent frames.

    Parameters
    ----------
    latent
        Latent dimensions of a spectrogram, over all its latent frames, which divide it.
    recurrent
        Features of the recurrent layers, GRUs in both directions, for each direction.
    options
        As `VAE`.

    Notes
    -----
    Couri and Oliveira name recurrent networks as their first idea for music. Cho et al. (2014) for
    the GRU; Fabius and van Amersfoort (2015), Variational recurrent auto-encoders.
    """

    def __init__(self, latent: int = 64, recurrent: int = 128, **options: Any) -> None:
        self.recurrent = recurrent
        super().__init__(latent, **options)
        self.save_hyperparameters()

    def _connect(self, latent: int) -> None:
        """Make the recurrent layers between the convolutions and the latent."""
        channels, bins, frames = self.small
        if latent % frames:
            raise ValueError(f"latent is {latent}; give a multiple of the {frames} latent frames")
        each, both = latent // frames, 2 * self.recurrent
        self.latent_shape = (each, frames)
        self.before = nn.GRU(channels * bins, self.recurrent, batch_first=True, bidirectional=True)
        self.to_latent = nn.Linear(both, 2 * each)
        self.after = nn.GRU(each, self.recurrent, batch_first=True, bidirectional=True)
        self.from_latent = nn.Linear(both, channels * bins)

    def _inner(self, h: Tensor) -> Tensor:
        """Return mean and log-variance, joined (B, 2K, T'), of feature maps `h`."""
        frames = h.flatten(1, 2).transpose(1, 2)  # B x T' x CF'
        return self.to_latent(base.run_gru(self.before, frames)).transpose(1, 2)  # B x 2K x T'

    def _outer(self, z: Tensor) -> Tensor:
        """Return feature maps of latents `z` (B, K, T')."""
        frames = self.from_latent(base.run_gru(self.after, z.transpose(1, 2)))  # B x T' x CF'
        return frames.transpose(1, 2).unflatten(1, self.small[:2])  # B x C x F' x T'


class Components(nn.Module):
    """Principal components of blocks of frames, and dense layers between them and K dimensions.

    The first K components, scaled to variance 1, are the latents to begin with: the best linear
    map. One hidden layer on either side then learns to correct them, and to guess from them the
    components that were left out.

    Parameters
    ----------
    bins, block
        F, and the frames in a block.
    latent
        K, latent dimensions of a block.
    rank
        Components kept, K or more.
    hidden
        Features of the hidden layers.

    Notes
    -----
    Tipping and Bishop (1999), Probabilistic principal component analysis: a linear variational
    autoencoder has its best posterior in closed form (Lucas et al. 2019, Don't blame the ELBO).
    """

    def __init__(self, bins: int, block: int, latent: int, rank: int, hidden: int) -> None:
        super().__init__()
        self.bins, self.block, self.latent = bins, block, latent
        self.down = nn.Linear(bins * block, rank)
        self.up = nn.Linear(rank, bins * block)
        self.inner = nn.Sequential(
            nn.Linear(rank, hidden), nn.GELU(), nn.Linear(hidden, 2 * latent)
        )
        self.outer = nn.Sequential(nn.Linear(latent, hidden), nn.GELU(), nn.Linear(hidden, rank))
        base.zeroed(self.inner[2])
        base.zeroed(self.outer[2])
        self.log_variance = nn.Parameter(torch.zeros(latent))
        self.gates = nn.Parameter(torch.full((2,), 0.3))  # of what the networks add
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, x: Tensor, kl_weight: float) -> None:
        """Fit the principal components of spectrograms `x` (B, 1, F, T), scaled to variance 1."""
        blocks = self._blocks(x).flatten(0, 1)  # (B T') x F block
        mean = blocks.mean(0)
        rank = self.down.out_features
        searched = min(2 * rank, *blocks.shape)  # the search is exact for the first half only
        _, singular, axes = torch.pca_lowrank(blocks - mean, searched, center=False, niter=4)
        deviations = singular[:rank] / max(1, len(blocks) - 1) ** 0.5
        used = deviations > 1e-4
        axes, deviations = axes[:, :rank].T[used], deviations[used]
        for parameter in (self.down.weight, self.down.bias, self.up.weight):
            parameter.zero_()
        self.down.weight[: len(axes)] = axes / deviations[:, None]
        self.down.bias.copy_(-self.down.weight @ mean)
        self.up.weight[:, : len(axes)] = axes.T * deviations
        self.up.bias.copy_(mean)
        variance = kl_weight / (deviations.square() + kl_weight)
        self.log_variance[: len(axes)] = variance.log()[: self.latent]
        self.fitted.fill_(True)

    def inward(self, x: Tensor, added: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance (B, K, T') of `x` (B, 1, F, T), with `added` (B, 2K, T')."""
        with torch.autocast(x.device.type, enabled=False):
            scores = self.down(self._blocks(x.float()))  # B x T' x rank
            mean, log_variance = (self.inner(scores) + added.float().transpose(1, 2)).chunk(2, 2)
        mean = scores[..., : self.latent] + self.gates[0] * mean
        return mean.transpose(1, 2), (self.log_variance + log_variance).transpose(1, 2)

    def outward(self, z: Tensor, added: Tensor) -> Tensor:
        """Return spectrograms (B, 1, F, T) of latents `z` (B, K, T'), with `added` ones."""
        with torch.autocast(z.device.type, enabled=False):
            z = z.float().transpose(1, 2)  # B x T' x K
            guessed = self.outer(z)
            scores = nn.functional.pad(z, (0, guessed.shape[2] - self.latent)) + guessed
            blocks = self.up(scores).unflatten(2, (self.bins, self.block))
        x_hat = blocks.transpose(1, 2).flatten(2)[:, None]  # B x 1 x F x T
        return (x_hat + self.gates[1] * added.float()).clamp(0, 1)

    def _blocks(self, x: Tensor) -> Tensor:
        """Cut spectrograms `x` (B, 1, F, T) into blocks (B, T', F block)."""
        blocks = x[:, 0].unflatten(2, (-1, self.block)).transpose(1, 2)  # B x T' x F x block
        return blocks.flatten(2)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence of Gaussians from the standard normal one, in nats.

    Parameters
    ----------
    mean, log_variance
        (B, K, T').

    Returns
    -------
    Tensor
        (B,), at least 0; Kingma and Welling (2014), appendix B.
    """
    each = mean.square() + log_variance.exp() - 1 - log_variance
    return each.sum(dim=(1, 2)) / 2


def _up(channels: list[int], strides: list[tuple[int, int]]) -> nn.Module:
    """Build the transposed convolutions of the decoder, the mirror of the encoder's."""
    layers = []
    for (left, right), stride in reversed(
        list(zip(pairwise([1, *channels]), strides, strict=True))
    ):
        size = [step + 2 for step in stride]  # neighbours share two rows and columns
        layers += [nn.ConvTranspose2d(right, left, size, stride, 1, bias=left == 1)]
        layers += [nn.BatchNorm2d(left), nn.ReLU()] if left > 1 else []
    return nn.Sequential(*layers)


def _check(channels, band_strides, time_strides, bins, frames) -> None:
    """Validate that sizes fit each other."""
    base.check_strides(channels, band_strides, time_strides)
    if bins % prod(band_strides) or frames % prod(time_strides):
        raise ValueError(
            f"{bins} bins and {frames} frames; give multiples of the strides' products, "
            f"{prod(band_strides)} and {prod(time_strides)}"
        )
