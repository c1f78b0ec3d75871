"""What the models share: distances between waveforms, layers, and the steps of a training.

Shapes: B batch, N samples, K latent channels, T frames; T' latent frames.
"""

import inspect
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, pairwise

import numpy as np
import torch
from auraloss.freq import MultiResolutionSTFTLoss, STFTLoss
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
    distance = MultiResolutionSTFTLoss()
    for one in distance.stft_losses:
        one.stft = partial(_magnitudes, one)
    return distance


def _magnitudes(one: STFTLoss, x: Tensor) -> tuple[Tensor, None]:
    """Return what auraloss does without phases, which do not count and take 40 % of its time."""
    parts = (one.fft_size, one.hop_size, one.win_length, one.window)
    z = torch.stft(x, *parts, return_complex=True)
    return torch.sqrt(torch.clamp(z.real**2 + z.imag**2, min=one.eps)), None


def audible(x: Tensor) -> Tensor:
    """Return which windows are not silent.

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
    """Compute the scale-invariant signal-to-distortion ratio of each audible window.

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
    loud = audible(x)
    return -SISDRLoss(reduction="none")(x_hat[loud], x[loud])[:, 0]


def mrstft(x: Tensor, x_hat: Tensor) -> Tensor:
    """Compute the multi-resolution STFT distance of each audible window.

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
    loud = audible(x)
    # One window at a time: auraloss divides by the norm of the whole batch.
    pairs = zip(x_hat[loud].split(1), x[loud].split(1), strict=True)
    return torch.stack([_mrstft()(a, b) for a, b in pairs]) if loud.any() else x.new_zeros(0)


def strided_convolutions(
    channels: list[int],
    strides: list[tuple[int, int]],
    *,
    sizes: list[int],
    batch_norm: bool = True,
) -> nn.Sequential:
    """Build the convolutions of an encoder of spectrograms, each with normalisation and ReLU."""
    layers = []
    for (left, right), stride, size in zip(pairwise([1, *channels]), strides, sizes, strict=True):
        layers.append(nn.Conv2d(left, right, size, stride, size // 2, bias=not batch_norm))
        layers += [nn.BatchNorm2d(right), nn.ReLU()] if batch_norm else [nn.ReLU()]
    return nn.Sequential(*layers)


def zeroed(layer: nn.Module) -> nn.Module:
    """Return a layer that gives zero until it learns."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def run_gru(layer: nn.GRU, frames: Tensor) -> Tensor:
    """Run a recurrent layer over frames (B, T, C) in 32 bits: 16 are slower and less exact."""
    with torch.autocast(frames.device.type, enabled=False):
        return layer(frames.float())[0]


def drop_features(h: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Leave out a share of the features (B, D) and scale up the others; all stay without generator.

    Not `nn.Dropout`, which draws from the global generator: a resumed run would draw otherwise.
    """
    if generator is None:
        return h
    kept = torch.rand(h.shape, generator=generator) >= share
    return h * kept.to(h) / (1 - share)


def check_strides(channels: list[int], bands: list[int], frames: list[int]) -> None:
    """Validate that each convolution has one stride for bands and one for frames."""
    if not len(channels) == len(bands) == len(frames):
        raise ValueError(
            f"{len(channels)} channels, {len(bands)} band_strides and {len(frames)} time_strides; "
            "give one of each for a convolution"
        )


def check_classifier(classes: int, dropout: float) -> None:
    """Validate the options that classifiers share."""
    if classes < 2 or not 0 <= dropout < 1:
        raise ValueError(f"{classes} classes, dropout {dropout}; give two classes, 0 to below 1")


class Options(dict):
    """What a model was made with, by name or as attributes."""

    def __getattr__(self, name: str) -> object:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the model has no option {name}") from None


class LitModule(nn.Module):
    """One step for training, validation and test; Adam with a one-cycle rate.

    A child defines ``_step``, which returns a loss, and calls ``save_hyperparameters`` in its own
    ``__init__``; one that encodes also ``encode``, ``decode`` and ``measure``. The attributes name
    what only some can do. Steps and hooks are Lightning's, which trains it by `lightning.Trained`.

    Parameters
    ----------
    learning_rate
        Peak of the one-cycle schedule.
    total_steps
        Optimizer steps of the whole training, over which the rate rises and falls.
    """

    stride: int
    version = 1  # raised by hand when the same options and weights mean something else
    edge = 0  # samples at both ends of a waveform in which it is worse than inside
    supports_bf16 = False  # whether it may be trained in bfloat16
    code = "dense"  # or "sparse": a latent is values and their positions
    hops: list[int] | None = None  # of the transforms that the positions count through
    given = 0  # first rows of a latent from which, handed to `encode`, the others follow
    noise = False  # whether `decode` adds noise, which it leaves out when told
    own_path = False  # whether `between` mixes two latents otherwise than on a straight line
    time_first = False  # whether it takes spectrograms (B, 1, T, M)
    losses: tuple[str, ...] = ()  # distances of `measure` that its training makes small
    automatic_optimization = True  # whether gradients train it
    trainer = None  # Lightning's, while it trains

    def __init__(self, learning_rate: float, total_steps: int) -> None:
        super().__init__()
        self.hparams = Options()
        self.learning_rate = learning_rate
        self.total_steps = total_steps

    def save_hyperparameters(self) -> None:
        """Keep the arguments of the ``__init__`` that calls this, beside those of its parents."""
        names, _, rest, values = inspect.getargvalues(inspect.currentframe().f_back)
        options = {name: values[name] for name in names if name != "self"}
        self.hparams = Options(self.hparams | options | (values[rest] if rest else {}))

    @property
    def device(self) -> torch.device:
        """Where its numbers are."""
        return next(chain(self.parameters(), self.buffers())).device

    @property
    def current_epoch(self) -> int:
        """The epoch of the training, 0 outside of one."""
        return self.trainer.current_epoch if self.trainer else 0

    @property
    def global_step(self) -> int:
        """Optimizer steps taken so far, 0 outside of a training."""
        return self.trainer.global_step if self.trainer else 0

    def log(self, name: str, value: Tensor | float, **options: object) -> None:
        """Tell Lightning a figure of a step; outside of a training nobody."""
        if self.trainer:
            self.trainer.lightning_module.log(name, value, **options)

    def on_fit_start(self) -> None:
        """Prepare for a training."""

    def on_train_epoch_start(self) -> None:
        """Prepare for an epoch."""

    def on_validation_epoch_start(self) -> None:
        """Prepare for being judged."""

    def clip_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Change gradients before they are used."""

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

    def log_means(self, stage: str, means: dict[str, Tensor], n: int) -> None:
        """Log means over `n` windows of a batch, to be averaged over the epoch."""
        for name, value in means.items():
            self.log(f"{stage}_{name}", value, on_step=False, on_epoch=True, batch_size=n)

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
        """Configure Adam, its rate rising and falling once over the whole training."""
        groups = [{"params": parameters} for parameters, _ in self._rates()]
        rates = [self.learning_rate * factor for _, factor in self._rates()]
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
        Training, see `LitModule`.
    """

    losses = ("mse",)

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
        """Log the MSE and, for few windows, SI-SDR and STFT distance; return the MSE."""
        x = batch[0]
        x_hat = self(x).x_hat
        loss = nn.functional.mse_loss(x_hat, x)
        self.log_means(stage, {"mse": loss}, len(x))
        distances = {}
        # They cost more than the step itself: curves follow a batch or two windows of it.
        if index == 0 or stage != "train":
            distances["sisdr"] = sisdr(x, x_hat.detach())
        if index == 0:
            distances["mrstft"] = mrstft(x[:2], x_hat[:2].detach())
        for name, values in distances.items():
            if len(values):
                self.log_means(stage, {name: values.mean()}, len(values))
        return loss
