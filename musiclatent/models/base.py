"""What the models share: distances between waveforms, and how an autoencoder is trained."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytorch_lightning as pl
import torch
from auraloss.freq import MultiResolutionSTFTLoss
from auraloss.time import SISDRLoss
from torch import Tensor, nn

SILENCE_PEAK = 1e-4  # -80 dB of full scale: below it a ratio to the signal says nothing


@dataclass(frozen=True)
class Output:
    """What an autoencoder returns: latent `z` (B, K, T) and `x_hat`, of the shape of its input."""

    z: Tensor
    x_hat: Tensor


@cache
def _mrstft() -> MultiResolutionSTFTLoss:
    """Build the distance once; its windows are not cheap."""
    return MultiResolutionSTFTLoss()


def audible(x: Tensor) -> Tensor:
    """Tell which windows are not silent.

    Parameters
    ----------
    x
        Waveforms (B, 1, N) in [-1, 1].

    Returns
    -------
    Tensor
        (B,) bool: the peak is above -80 dB of full scale.
    """
    return x.abs().amax(dim=(1, 2)) > SILENCE_PEAK


def sisdr(x: Tensor, x_hat: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio of each audible window.

    Parameters
    ----------
    x, x_hat
        Original and reconstructed waveforms (B, 1, N).

    Returns
    -------
    Tensor
        dB, one for each audible window: silence is left out, where the ratio means nothing.

    Notes
    -----
    Le Roux et al. (2019), SDR: half-baked or well done?
    """
    heard = audible(x)
    return -SISDRLoss(reduction="none")(x_hat[heard], x[heard])[:, 0]


def mrstft(x: Tensor, x_hat: Tensor) -> Tensor:
    """Multi-resolution STFT distance of each audible window.

    Parameters
    ----------
    x, x_hat
        Original and reconstructed waveforms (B, 1, N).

    Returns
    -------
    Tensor
        Distance at least 0, one for each audible window.

    Notes
    -----
    Yamamoto et al. (2020), Parallel WaveGAN, with auraloss's resolutions (FFT 512, 1,024, 2,048).
    """
    heard = audible(x)
    # One window at a time: auraloss divides by the norm of the whole batch.
    pairs = zip(x_hat[heard].split(1), x[heard].split(1), strict=True)
    return torch.stack([_mrstft()(a, b) for a, b in pairs]) if heard.any() else x.new_zeros(0)


class LitModule(pl.LightningModule):
    """One step for training, validation and test; Adam with a one-cycle rate.

    A child defines ``_step`` and calls ``save_hyperparameters`` in its own ``__init__``; one that
    encodes also ``encode``, ``decode`` and ``measure``. The attributes name what only some can do.

    Parameters
    ----------
    learning_rate
        Peak of the one-cycle schedule.
    total_steps
        Optimizer steps of the whole training, over which the rate rises and falls.
    """

    stride: int
    edge = 0  # samples at both ends of a waveform in which it is worse than inside
    supports_bf16 = False  # whether it may be trained in bfloat16
    code = "dense"  # or "sparse": a latent is values and their positions
    hops: list[int] | None = None  # of the transforms that the positions count through
    given = 0  # first rows of a latent from which, handed to `encode`, the others follow
    own_path = False  # whether `between` mixes two latents otherwise than on a straight line
    time_first = False  # whether it takes spectrograms (B, 1, T, M)

    def __init__(self, learning_rate: float, total_steps: int) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.total_steps = total_steps

    def forward(self, x: Tensor) -> Output:
        """Encode and decode inputs `x` (B, 1, ..., T); `x_hat` has the same T."""
        z = self.encode(x)
        return Output(z, self.decode(z)[..., : x.shape[-1]])

    def pad(self, x: Tensor) -> Tensor:
        """Zero-pad inputs (B, 1, ..., T) at the end to whole latent frames of `stride`."""
        return nn.functional.pad(x, (0, -x.shape[-1] % self.stride))

    def training_step(self, batch: tuple[Tensor, ...], index: int) -> Tensor:
        """Return the loss of a training batch."""
        return self._step(batch, "train", index)

    def validation_step(self, batch: tuple[Tensor, ...], index: int) -> None:
        """Log the metrics of a validation batch."""
        self._step(batch, "validation", index)

    def test_step(self, batch: tuple[Tensor, ...], index: int) -> None:
        """Log the metrics of a test batch."""
        self._step(batch, "test", index)

    def step_seed(self, index: int) -> list[int]:
        """Return a seed of this step alone, so that a resumed run goes on as it would have."""
        return [torch.initial_seed() % 2**31, self.current_epoch, index]

    def step_generator(self, index: int) -> torch.Generator:
        """Return a generator of this step alone, on the CPU."""
        state = np.random.default_rng([*self.step_seed(index), 2]).integers(2**63)
        return torch.Generator().manual_seed(int(state))

    def _rates(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return groups of parameters, and by what the rate of each is multiplied."""
        return [(list(self.parameters()), 1.0)]

    def configure_optimizers(self) -> dict:
        """Adam, its rate rising and falling once over the whole training."""
        rates = [self.learning_rate * factor for _, factor in self._rates()]
        groups = [{"params": parameters} for parameters, _ in self._rates()]
        optimizer = torch.optim.Adam(groups, lr=self.learning_rate)
        # One more than is taken: the schedule refuses the step after its last.
        steps = self.total_steps + 1
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Autoencoder(LitModule):
    """Training of a waveform autoencoder: MSE, as in the paper.

    Parameters
    ----------
    learning_rate, total_steps
        Training, see `Trained`.
    """

    def measure(self, x: Tensor, x_hat: Tensor, with_stft: bool = True) -> dict[str, Tensor]:
        """Measure reconstructions window by window.

        Parameters
        ----------
        x, x_hat
            Original and reconstructed waveforms (B, 1, N).
        with_stft
            Whether to take the STFT distance too, which costs more than all the rest.

        Returns
        -------
        dict
            ``mse`` (B,); ``sisdr`` in dB and ``mrstft`` of the audible windows only.
        """
        values = {"mse": (x_hat - x).square().mean(dim=(1, 2)), "sisdr": sisdr(x, x_hat)}
        return values | ({"mrstft": mrstft(x, x_hat)} if with_stft else {})

    def _step(self, batch: tuple[Tensor, ...], stage: str, index: int) -> Tensor:
        """Log the MSE and, of few windows, SI-SDR and STFT distance; return the MSE."""
        x = batch[0]
        x_hat = self(x).x_hat
        loss = nn.functional.mse_loss(x_hat, x)
        values = {}
        # They cost more than the step itself: curves follow a batch or two windows of it.
        if index == 0 or stage != "train":
            values["sisdr"] = sisdr(x, x_hat.detach())
        if index == 0:
            values["mrstft"] = mrstft(x[:2], x_hat[:2].detach())
        self.log(f"{stage}_mse", loss, on_step=False, on_epoch=True, batch_size=len(x))
        for name, value in values.items():
            if len(value):
                mean, n = value.mean(), len(value)
                self.log(f"{stage}_{name}", mean, on_step=False, on_epoch=True, batch_size=n)
        return loss
