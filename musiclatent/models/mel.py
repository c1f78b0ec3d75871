"""System B: autoencoders of log-mel spectrograms, whose latents follow labels where known."""

from itertools import pairwise
from math import prod
from typing import Any

import torch
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import TripletMarginMiner
from torch import Tensor, nn

from musiclatent.models import augment, base

MINERS = ("all", "semihard", "hard")


class MelAutoencoder(base.LitModule):
    """Convolutions down to K dimensions per latent frame, and transposed ones back up.

    Parameters
    ----------
    latent
        K, dimensions of a latent frame.
    channels
        Output channels of the convolutions.
    kernel_size
        Their kernel, odd; the first one takes 2 more.
    band_strides, time_strides
        Factors by which each convolution reduces bands and frames; a latent frame covers
        ``prod(time_strides)`` frames.
    n_mels
        M, mel bands of the input; ``prod(band_strides)`` divides it.
    batch_norm
        Whether batch normalisation follows each convolution of the encoder.
    mse_weight
        What the squared error counts in the loss; 0 leaves the triplet loss alone.
    triplet_weight
        Lambda: the loss is the squared error plus so many times the triplet loss; 0 leaves that
        out. The squared error of spectrograms in [0, 1] is about 0.01, the triplet loss about 0.1.
    margin
        Margin of the triplet loss between summaries of length 1.
    miner
        Triplets that count: ``all`` that violate the margin, or the ``semihard`` or ``hard`` ones.
    shift, masks, mixing
        Training augmentation, see `augment.augment`.
    learning_rate, total_steps
        Training, see `base.LitModule`.

    Raises
    ------
    ValueError
        If a number does not fit the others.

    Notes
    -----
    Kovar, Learning the hidden structure of music; Schroff, Kalenichenko and Philbin (2015),
    FaceNet, for the triplet loss on vectors of length 1 and its semi-hard triplets. A label of -1
    means unknown: such a spectrogram counts in the squared error only.
    """

    supports_bf16 = True

    def __init__(
        self,
        latent: int = 128,
        channels: list[int] = [32, 96, 128],  # noqa: B006, plain lists go to the checkpoint
        kernel_size: int = 3,
        band_strides: list[int] = [4, 4, 2],  # noqa: B006
        time_strides: list[int] = [2, 2, 1],  # noqa: B006
        n_mels: int = 128,
        batch_norm: bool = True,
        mse_weight: float = 1.0,
        triplet_weight: float = 0.0,
        margin: float = 0.2,
        miner: str = "all",
        shift: bool = True,
        masks: int = 2,
        mixing: float = 0.0,
        learning_rate: float = 4e-3,
        total_steps: int = 1,
    ) -> None:
        super().__init__(learning_rate, total_steps)
        _check(channels, kernel_size, band_strides, time_strides, n_mels, miner)
        if min(mse_weight, triplet_weight) < 0 or not mse_weight + triplet_weight:
            raise ValueError(
                f"the losses weigh {mse_weight} and {triplet_weight}; give 0 or more, not both 0"
            )
        if not 0 <= mixing <= 0.5 or masks < 0:
            raise ValueError(f"mixing {mixing}, masks {masks}; give 0 to 0.5, and none or some")
        self.save_hyperparameters()
        self.stride = prod(time_strides)
        strides = list(zip(band_strides, time_strides, strict=True))
        sizes = [kernel_size + 2] + [kernel_size] * (len(channels) - 1)
        self.down = base.strided_convolutions(channels, strides, sizes=sizes, batch_norm=batch_norm)
        whole = (n_mels // prod(band_strides), 1)  # all bands that are left, one frame
        self.to_latent = nn.Conv2d(channels[-1], latent, whole)
        self.from_latent = nn.ConvTranspose2d(latent, channels[-1], whole)
        self.up = _up(channels, strides)
        self.miner = TripletMarginMiner(margin, miner)
        self.triplet = TripletMarginLoss(margin)

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent (B, K, T') of spectrograms `x` (B, 1, M, T), T' = ceil(T / stride)."""
        return self.to_latent(self.down(self.pad(x))).squeeze(2).float()  # B x K x T'

    def decode(self, z: Tensor) -> Tensor:
        """Return spectrograms (B, 1, M, T' * stride) in [0, 1] of latents `z` (B, K, T')."""
        return torch.sigmoid(self.up(self.from_latent(z[:, :, None])).float())

    @property
    def grad_cam_layer(self) -> nn.Module:
        """Last convolution of the encoder."""
        return [part for part in self.down if isinstance(part, nn.Conv2d)][-1]

    def per_second(self, x: Tensor, seconds: int) -> Tensor:
        """Return the mean latent (B, seconds, K) of each second of spectrograms (B, 1, M, T)."""
        parts = self.encode(x).tensor_split(seconds, dim=2)
        return torch.stack([part.mean(dim=2) for part in parts], dim=1)

    def measure(self, x: Tensor, x_hat: Tensor, with_stft: bool = True) -> dict[str, Tensor]:
        """Return the squared error (B,) of each spectrogram (B, 1, M, T)."""
        return {"mse": (x_hat - x).square().mean(dim=(1, 2, 3))}

    def _step(self, batch: tuple[Tensor, ...], stage: str, index: int) -> Tensor:
        """Log both losses and return their sum."""
        target, _, label = batch
        x = target
        if stage == "train":
            options = {name: self.hparams[name] for name in ("shift", "masks", "mixing")}
            x, target = augment.augment(target, seed=self.step_seed(index), **options)
        out = self(x)
        mse = nn.functional.mse_loss(out.x_hat, target)
        loss, values = self.hparams.mse_weight * mse, {"mse": mse}
        if self.hparams.triplet_weight:
            values["triplet"] = self.triplet_loss(out.z, label)
            loss = loss + self.hparams.triplet_weight * values["triplet"]
        self.log_means(stage, values, len(x))
        return loss

    def triplet_loss(self, z: Tensor, label: Tensor) -> Tensor:
        """Return the mean of max(d(a, p) - d(a, n) + margin, 0) over the triplets that count.

        Parameters
        ----------
        z
            Latents (B, K, T').
        label
            (B,) whole numbers, -1 where unknown.
        """
        labelled = label >= 0
        if len(label[labelled].unique()) < 2:  # no triplet without a second class
            return z.sum() * 0.0
        summary, label = summarise(z[labelled]), label[labelled]
        return self.triplet(summary, label, self.miner(summary, label))


class CRNNAutoencoder(MelAutoencoder):
    """The same with a recurrent layer over time between the convolutions and the latent.

    Parameters
    ----------
    recurrent
        Features per frame that go into the recurrent layer, a GRU in both directions.
    latent
        K, even: dimensions per frame that come out of it, half of them from each direction.
    options
        As `MelAutoencoder`.

    Notes
    -----
    Choi, Fazekas, Sandler and Cho (2017), Convolutional recurrent neural networks for music
    classification; Cho et al. (2014) for the GRU.
    """

    def __init__(self, latent: int = 128, recurrent: int = 128, **options: Any) -> None:
        if latent % 2:
            raise ValueError(f"latent is {latent}; give an even number, half for each direction")
        super().__init__(latent, **options)
        self.save_hyperparameters()
        wide = self.to_latent
        self.to_latent = nn.Conv2d(wide.in_channels, recurrent, wide.kernel_size)
        self.recurrent = nn.GRU(recurrent, latent // 2, batch_first=True, bidirectional=True)

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent (B, K, T') of spectrograms `x` (B, 1, M, T), T' = ceil(T / stride)."""
        frames = torch.relu(super().encode(x)).transpose(1, 2)  # B x T' x recurrent
        return base.run_gru(self.recurrent, frames).transpose(1, 2)  # B x K x T'


def summarise(z: Tensor) -> Tensor:
    """Return mean, deviation and mean step over time (B, 3K) of latents (B, K, T')."""
    steps = torch.diff(z, dim=2).abs().sum(dim=2) / max(1, z.shape[2] - 1)
    return torch.cat([z.mean(dim=2), z.std(dim=2, correction=0), steps], dim=1)


def _up(channels: list[int], strides: list[tuple[int, int]]) -> nn.Module:
    """Build the transposed convolutions of the decoder, the mirror of the encoder's."""
    layers = []
    for (left, right), stride in reversed(
        list(zip(pairwise([1, *channels]), strides, strict=True))
    ):
        # Neighbours share two rows and columns; at full size that would cost more than the rest.
        share = 2 if left > 1 else 0
        size = [step + share for step in stride]
        layers += [nn.ReLU(), nn.ConvTranspose2d(right, left, size, stride, share // 2)]
    return nn.Sequential(*layers)


def _check(channels, kernel_size, band_strides, time_strides, n_mels, miner) -> None:
    """Validate that sizes fit each other."""
    base.check_strides(channels, band_strides, time_strides)
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size is {kernel_size}; give an odd number")
    if n_mels % prod(band_strides):
        raise ValueError(
            f"band_strides multiply to {prod(band_strides)}, which does not divide n_mels {n_mels}"
        )
    if miner not in MINERS:
        raise ValueError(f"miner is {miner!r}; choose one of: {', '.join(MINERS)}")
