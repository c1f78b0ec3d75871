"""System C: networks that classify genre from spectrograms, or from these and descriptors."""

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from musiclatent.models import augment, base


class GenreNetwork(base.LitModule):
    """Convolutions over a log-mel spectrogram, their statistics over time, and a dense layer.

    Mean and deviation over time are taken of each channel in each range of bands: where a sound
    lies tells its genre. With `recurrent` a recurrent layer reads the frames first. With
    `attributes` a second head reads descriptors of the same excerpt: the scores of both are added,
    and each must also be right alone, so that neither leaves the work to the other.

    Parameters
    ----------
    classes
        How many genres there are.
    channels
        Output channels of the convolutions; each halves bands and frames.
    recurrent
        Features per frame out of a GRU in both directions, even; 0 for none.
    attributes
        How many descriptors come with each spectrogram; 0 for none.
    hidden
        Features that the descriptors are reduced to.
    n_mels
        M, mel bands of the input, a multiple of ``2 ** len(channels)``.
    dropout
        Share of the features that training leaves out, in [0, 1).
    masks
        How many ranges of bands, and of frames, training hides.
    learning_rate, total_steps
        Training, see `base.LitModule`.

    Raises
    ------
    ValueError
        If a number does not fit the others.

    Notes
    -----
    Sousa Freitas names no layers, so all of them are our choice. Choi, Fazekas, Sandler and Cho
    (2017), Convolutional recurrent neural networks for music classification; Park et al. (2019),
    SpecAugment.
    """

    supports_bf16 = True

    def __init__(
        self,
        classes: int = 10,
        channels: list[int] = [16, 32, 64, 64],  # noqa: B006, plain lists go to the checkpoint
        recurrent: int = 0,
        attributes: int = 0,
        hidden: int = 128,
        n_mels: int = 128,
        dropout: float = 0.4,
        masks: int = 2,
        learning_rate: float = 3e-3,
        total_steps: int = 1,
    ) -> None:
        super().__init__(learning_rate, total_steps)
        base.check_classifier(classes, dropout)
        _check(channels, recurrent, n_mels)
        self.save_hyperparameters()
        self.features = _convolutions(channels)
        width = channels[-1] * (n_mels // 2 ** len(channels))
        self.recurrent = None
        if recurrent:
            self.recurrent = nn.GRU(width, recurrent // 2, batch_first=True, bidirectional=True)
            width = recurrent
        self.out = nn.Linear(2 * width, classes)
        self.numbers = None  # the head of the descriptors; checkpoints hold it by this name
        if attributes:  # standardised by what training sees, then two layers
            inward, outward = nn.Linear(attributes, hidden), nn.Linear(hidden, classes)
            self.numbers = nn.ModuleList([nn.BatchNorm1d(attributes), inward, outward])

    @property
    def grad_cam_layer(self) -> nn.Module:
        """Last normalised convolution, whose map is thinner than the spectrogram by 16."""
        return self.features[-2]

    def forward(
        self, x: Tensor, descriptors: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return a score for each genre (B, classes).

        Parameters
        ----------
        x
            Spectrograms (B, 1, M, T) in [0, 1].
        descriptors
            Theirs (B, D), for a network that takes them.
        generator
            Draws the features that are left out; None leaves out none.
        """
        return sum(self.heads(x, descriptors, generator))

    def heads(
        self, x: Tensor, descriptors: Tensor | None = None, generator: torch.Generator | None = None
    ) -> list[Tensor]:
        """Return the scores (B, classes) of each head; arguments as in `forward`."""
        drop = partial(base.drop_features, share=self.hparams.dropout, generator=generator)
        features = self.embed(x, descriptors, generator)
        layers = [self.out] if self.numbers is None else [self.out, self.numbers[2]]
        with torch.autocast(x.device.type, enabled=False):
            return [layer(drop(h)) for layer, h in zip(layers, features, strict=True)]

    def embed(
        self, x: Tensor, descriptors: Tensor | None = None, generator: torch.Generator | None = None
    ) -> list[Tensor]:
        """Return the features (B, D) that each head scores; arguments as in `forward`."""
        h = self.features(x).flatten(1, 2).float()  # B x (C M') x T'
        with torch.autocast(h.device.type, enabled=False):
            if self.recurrent is not None:
                h = self.recurrent(h.transpose(1, 2))[0].transpose(1, 2)
            features = [torch.cat([h.mean(2), h.std(2, correction=0)], dim=1)]
            if self.numbers is not None:
                standardise, inward, _ = self.numbers
                h = base.drop_features(standardise(descriptors), self.hparams.dropout, generator)
                features.append(torch.relu(inward(h)))
        return features

    def _step(self, batch: tuple[Tensor, ...], stage: str, index: int) -> Tensor:
        """Log cross entropy and accuracy, and return the former."""
        x, *descriptors, label = batch
        generator = None
        if stage == "train":
            generator = self.step_generator(index)
            x, _ = augment.augment(x, seed=self.step_seed(index), masks=self.hparams.masks)
        heads = self.heads(x, *descriptors, generator=generator)
        scores = sum(heads)
        judged = [scores, *heads] if len(heads) > 1 else [scores]
        losses = [nn.functional.cross_entropy(h, label, label_smoothing=0.1) for h in judged]
        loss = sum(losses) / len(losses)
        accuracy = (scores.argmax(1) == label).float().mean()
        self.log_means(stage, {"loss": loss, "accuracy": accuracy}, len(x))
        return loss


def _convolutions(channels: list[int]) -> nn.Sequential:
    """Build convolutions, the first of which skips every second place and the others pool."""
    layers = [nn.Conv2d(1, channels[0], 5, 2, 2, bias=False)]
    for left, right in pairwise(channels):
        layers += [nn.BatchNorm2d(left), nn.ReLU(), nn.Conv2d(left, right, 3, 1, 1, bias=False)]
        layers += [nn.MaxPool2d(2, ceil_mode=True)]  # first: then there is less to normalise
    return nn.Sequential(*layers, nn.BatchNorm2d(channels[-1]), nn.ReLU())


def _check(channels: list[int], recurrent: int, n_mels: int) -> None:
    """Validate that sizes fit each other."""
    if n_mels % 2 ** len(channels) or not channels:
        raise ValueError(
            f"{n_mels} bands cannot be halved {len(channels)} times; give a multiple of "
            f"{2 ** len(channels)} and one layer or more"
        )
    if recurrent % 2:
        raise ValueError(f"recurrent is {recurrent}; give an even number, half for each direction")
