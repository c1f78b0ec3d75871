"""The recogniser: a classifier of log-mel spectrograms, independent of every autoencoder."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from musiclatent.models import augment, base

SLIDE = 0.1  # part of the frames by which training moves a spectrogram at most
BANDS = 2  # bands up or down, as of another voice
NOISE = 0.05  # largest deviation of the noise that training adds


class Judge(base.LitModule):
    """Four convolutions, the mean and the maximum of their features, and a dense layer.

    Parameters
    ----------
    classes
        How many classes there are.
    channels
        Output channels of the convolutions, 3 x 3, each halving bands and frames.
    dropout
        Share of the features that training leaves out, in [0, 1).
    learning_rate, total_steps
        Training, see `base.LitModule`.

    Notes
    -----
    Training slides each spectrogram in time and over the bands, hides a range of both, and adds
    noise: Park et al. (2019), SpecAugment.
    """

    def __init__(
        self,
        classes: int = 10,
        channels: list[int] = [24, 48, 96, 96],  # noqa: B006, plain lists go to the checkpoint
        dropout: float = 0.3,
        learning_rate: float = 4e-3,
        total_steps: int = 1,
    ) -> None:
        super().__init__(learning_rate, total_steps)
        base.check_classifier(classes, dropout)
        self.save_hyperparameters()
        layers = []
        for left, right in pairwise([1, *channels]):
            layers += [nn.Conv2d(left, right, 3, padding=1, bias=False), nn.BatchNorm2d(right)]
            layers += [nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        self.features = nn.Sequential(*layers)
        self.out = nn.Linear(2 * channels[-1], classes)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a score for each class (B, classes) of spectrograms `x` (B, 1, M, T) in [0, 1].

        With a generator, it draws the features that are left out.
        """
        h = base.drop_features(self.pooled(x), self.hparams.dropout, generator)
        return self.out(h)

    def pooled(self, x: Tensor) -> Tensor:
        """Return what the classes are read from (B, 2C): mean and maximum of each feature."""
        h = self.features(x)
        return torch.cat([h.mean((2, 3)), h.amax((2, 3))], dim=1)  # B x 2C

    def _step(self, batch: tuple[Tensor, ...], stage: str, index: int) -> Tensor:
        """Log cross entropy and accuracy, and return the former."""
        x, label = batch
        generator = None
        if stage == "train":
            generator = self.step_generator(index)
            x = _disturbed(x, self.step_seed(index))
        scores = self(x, generator)
        loss = nn.functional.cross_entropy(scores, label, label_smoothing=0.05)
        accuracy = (scores.argmax(1) == label).float().mean()
        self.log_means(stage, {"loss": loss, "accuracy": accuracy}, len(x))
        return loss


def _disturbed(x: Tensor, seed: list[int]) -> Tensor:
    """Slide, hide and add noise, the same from the same seed."""
    rng = np.random.default_rng([*seed, 1])
    bands, frames = x.shape[2:]
    most = max(1, int(SLIDE * frames))
    padded = nn.functional.pad(x, (most, most, BANDS, BANDS))
    places = rng.integers((0, 0), (2 * BANDS + 1, 2 * most + 1), (len(x), 2)).tolist()
    pairs = zip(padded, places, strict=True)
    x = torch.stack([one[:, up : up + bands, on : on + frames] for one, (up, on) in pairs])
    x = augment.augment(x, seed=seed, shift=False, masks=1)[0]
    noise = rng.standard_normal(x.shape, np.float32) * rng.uniform(0, NOISE, (len(x), 1, 1, 1))
    return x + torch.from_numpy(noise).to(x)
