"""Musicnn and its VGG: taggers of music, rebuilt from ``models.py`` of the package musicnn 0.1.0.

Pons and Serra (2019), musicnn: pre-trained convolutional neural networks for music audio tagging.
A network is described by the names of TensorFlow's variables, so that a checkpoint says by itself
what it lacks.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

N_MELS, FRAMES, TAGS = 96, 187, 50
_EPS = 1e-3  # of TensorFlow's batch normalisation
FRONT = (  # filters, frames, bands: two of timbre (0.4 and 0.7 of the bands), three of time
    *((204, 7, 38), (204, 7, 67)),
    *((51, 128, 1), (51, 64, 1), (51, 32, 1)),
)
MIDDLE, PENULTIMATE = 64, 200
WIDTH = sum(filters for filters, *_ in FRONT)
POOLED = WIDTH + 3 * MIDDLE
_POOLS = (((4, 1), 2), ((2, 2), 2), ((2, 2), 2), ((2, 2), 2), ((4, 4), 4))  # sizes and steps


class _Checkpoint:
    """Make layers of the variables of a checkpoint, in the order in which TensorFlow counted.

    Each method raises a ValueError if a variable is missing or has another shape.
    """

    def __init__(self, variables: Mapping[str, np.ndarray]):
        self._variables = variables
        self._count = {"conv2d": 0, "batch_normalization": 0, "dense": 0}

    def _next(self, kind: str) -> str:
        """Return the next name of a kind: conv2d, conv2d_1, ..."""
        number = self._count[kind]
        self._count[kind] += 1
        return f"{kind}_{number}" if number else kind

    def convolution(
        self, shape: tuple[int, int, int, int], name: str = "", *, padding: int = 0
    ) -> nn.Conv2d:
        """Return a convolution of TensorFlow's shape: frames, bands, channels in and out."""
        weight, bias = self._weights(name or self._next("conv2d"), shape)
        layer = nn.Conv2d(shape[2], shape[3], shape[:2], padding=padding)
        return _filled(layer, weight=weight.transpose(3, 2, 0, 1), bias=bias)

    def dense(self, shape: tuple[int, int]) -> nn.Linear:
        """Return a dense layer of so many inputs and outputs."""
        weight, bias = self._weights(self._next("dense"), shape)
        return _filled(nn.Linear(*shape), weight=weight.T, bias=bias)

    def normalisation(self, width: int, kind: type[nn.Module] = nn.BatchNorm2d) -> nn.Module:
        """Return a batch normalisation with its running statistics."""
        name = self._next("batch_normalization")
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        weight, bias, mean, var = (self._take(f"{name}/{part}", (width,)) for part in parts)
        layer = kind(width, eps=_EPS)
        return _filled(layer, weight=weight, bias=bias, running_mean=mean, running_var=var)

    def _weights(self, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return kernel and bias of a layer."""
        return self._take(f"{name}/kernel", shape), self._take(f"{name}/bias", shape[-1:])

    def _take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return a variable of this shape."""
        if name not in self._variables:
            raise ValueError(f"lacks the variable {name!r}")
        if (there := self._variables[name].shape) != shape:
            raise ValueError(f"holds {name!r} of shape {there}, not {shape}")
        return self._variables[name]


def _filled(layer: nn.Module, **arrays: np.ndarray) -> nn.Module:
    """Return a layer with these arrays as its parameters and statistics, frozen."""
    state = {name: torch.from_numpy(np.array(a)) for name, a in arrays.items()}
    layer.load_state_dict(layer.state_dict() | state)
    return layer.requires_grad_(False)


class Musicnn(nn.Module):
    """Filters as wide as timbres and as long as rhythms, then three convolutions over time.

    Parameters
    ----------
    variables
        Name -> array of a checkpoint of ``MTT_musicnn`` or ``MSD_musicnn``.

    Raises
    ------
    ValueError
        If a variable is missing or has another shape.
    """

    def __init__(self, variables: Mapping[str, np.ndarray]):
        super().__init__()
        read = _Checkpoint(variables)
        self.input = read.normalisation(1)
        front = [
            [read.convolution((frames, bands, 1, filters)), read.normalisation(filters)]
            for filters, frames, bands in FRONT
        ]
        middle = [
            [read.convolution((7, width, 1, MIDDLE)), read.normalisation(MIDDLE)]
            for width in (WIDTH, MIDDLE, MIDDLE)
        ]
        self.front = nn.ModuleList(map(nn.ModuleList, front))
        self.middle = nn.ModuleList(map(nn.ModuleList, middle))
        self.pooled = read.normalisation(2 * POOLED, nn.BatchNorm1d)
        self.dense = read.dense((2 * POOLED, PENULTIMATE))
        self.penultimate = read.normalisation(PENULTIMATE, nn.BatchNorm1d)
        self.tags = read.dense((PENULTIMATE, TAGS))
        self.eval()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return what each layer answers.

        Parameters
        ----------
        x
            ``log10(1 + 10000 mel)`` (B, T, 96), T frames of a window.

        Returns
        -------
        dict
            timbral, temporal, cnn1, cnn2, cnn3 (B, T, K); mean_pool, max_pool (B, K); penultimate
            (B, 200); tags (B, 50), which are probabilities.
        """
        h = self.input(x[:, None])  # B x 1 x T x M
        front = [_block(h, *layers) for layers in self.front]
        parts = [torch.cat(front, dim=2)]
        for layers in self.middle:
            h = _across(parts[-1], *layers)
            parts.append(h if len(parts) == 1 else h + parts[-1])
        every = torch.cat(parts, dim=2)
        return {
            "timbral": torch.cat(front[:2], dim=2),
            "temporal": torch.cat(front[2:], dim=2),
            **dict(zip(("cnn1", "cnn2", "cnn3"), parts[1:], strict=True)),
            **self._back(every),
        }

    def _back(self, every: Tensor) -> dict[str, Tensor]:
        """Return what follows the pooling over time of (B, T, K)."""
        top, mean = every.amax(dim=1), every.mean(dim=1)
        h = self.pooled(torch.stack([top, mean], dim=2).flatten(1))  # B x 2K, in turns
        h = self.penultimate(torch.relu(self.dense(h)))
        tags = torch.sigmoid(self.tags(h))
        return {"mean_pool": mean, "max_pool": top, "penultimate": h, "tags": tags}


def _block(h: Tensor, convolution: nn.Conv2d, normalisation: nn.Module) -> Tensor:
    """Return the strongest answer over the bands (B, T, K) of filters on (B, 1, T, M)."""
    length = convolution.kernel_size[0]
    before = (length - 1) // 2  # TensorFlow pads one more behind where the length is even
    h = functional.pad(h, (0, 0, before, length - 1 - before))
    return normalisation(torch.relu(convolution(h))).amax(dim=3).transpose(1, 2)


def _across(h: Tensor, convolution: nn.Conv2d, normalisation: nn.Module) -> Tensor:
    """Return filters over all channels of seven frames: (B, T, K) to (B, T, 64)."""
    h = functional.pad(h[:, None], (0, 0, 3, 3))
    return normalisation(torch.relu(convolution(h)))[..., 0].transpose(1, 2)


class MusicVGG(nn.Module):
    """Five small convolutions on the spectrogram of three seconds.

    Parameters
    ----------
    variables
        Name -> array of a checkpoint of ``MTT_vgg`` or ``MSD_vgg``.

    Raises
    ------
    ValueError
        If a variable is missing or has another shape.
    """

    def __init__(self, variables: Mapping[str, np.ndarray]):
        super().__init__()
        read = _Checkpoint(variables)
        self.input = read.normalisation(1)
        self.blocks = nn.ModuleList()
        for number, (size, step) in enumerate(_POOLS, 1):
            shape = (3, 3, 128 if number > 1 else 1, 128)
            convolution = read.convolution(shape, f"{number}CNN", padding=1)
            layers = [convolution, nn.ReLU(), read.normalisation(128), nn.MaxPool2d(size, step)]
            self.blocks.append(nn.Sequential(*layers))
        self.tags = read.dense((256, TAGS))
        self.eval()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return what each layer answers.

        Parameters
        ----------
        x
            ``log10(1 + 10000 mel)`` (B, 187, 96).

        Returns
        -------
        dict
            pool1 to pool4, averaged over time and bands (B, 128); pool5 (B, 256), with its two
            places in time; tags (B, 50), which are probabilities.
        """
        h, answers = self.input(x[:, None]), {}  # B x 1 x T x M
        for number, block in enumerate(self.blocks, 1):
            h = block(h)
            answers[f"pool{number}"] = h.mean(dim=(2, 3))
        answers["pool5"] = h.permute(0, 2, 3, 1).flatten(1)  # the order of TensorFlow
        return answers | {"tags": torch.sigmoid(self.tags(answers["pool5"]))}
