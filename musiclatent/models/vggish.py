"""VGGish: the network of AudioSet, what it takes in, and the eight bits it is published in.

There is no way to get it untrained: it is made without weights, and refuses to run until some are
loaded (see `musiclatent.latents.pretrained`).
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

SR = 16_000  # Hz
WINDOW, HOP, N_FFT = 400, 160, 512  # samples: 25 ms, 10 ms, and the next power of two
N_MELS, LOW_HZ, HIGH_HZ = 64, 125.0, 7500.0
OFFSET = 0.01  # keeps the logarithm of silence finite
FRAMES = 96  # of a patch
PATCH_HOP = FRAMES * HOP  # samples from one patch to the next: 0.96 s
PATCH = PATCH_HOP - HOP + WINDOW  # samples that a patch is computed from
SIZE = 128  # dimensions of an embedding
_CHANNELS = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0)  # 0 halves bands and frames
_QUANTIZED = 2.0  # embeddings are clipped to this, up and down


class VGGish(nn.Module):
    """Six convolutions and three dense layers, from a log-mel patch to 128 dimensions.

    Its state dict has the keys of torchvggish. As there, a ReLU comes last, so that no value is
    negative; the TensorFlow release of 2023 leaves it out.

    Notes
    -----
    Hershey et al. (2017), CNN architectures for large-scale audio classification.
    """

    time_first = True

    def __init__(self):
        super().__init__()
        with torch.device("meta"):  # shapes alone: weights are loaded, never drawn
            self.features = _convolutions()
            self.embeddings = nn.Sequential(
                *(nn.Linear(512 * 6 * 4, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU()),
                *(nn.Linear(4096, SIZE), nn.ReLU()),
            )

    @property
    def grad_cam_layer(self) -> nn.Module:
        """Last convolution."""
        return self.features[-3]  # a ReLU and a pooling follow

    def per_second(self, x: Tensor, seconds: int = 1) -> Tensor:
        """Return the embedding (B, 1, 128) of patches (B, 1, 96, 64): each is its only second."""
        return self(x)[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """Return embeddings (B, 128), 0 or more.

        Parameters
        ----------
        x
            Patches (B, 1, 96, 64) of `log_mel`: frames, then bands.

        Raises
        ------
        RuntimeError
            If no weights were loaded.
        ValueError
            If the patches have another shape.
        """
        if any(p.is_meta for p in self.parameters()):
            raise RuntimeError(
                "this VGGish has no weights and would answer at random; take it from "
                "pretrained.vggish, after: musiclatent data fetch vggish"
            )
        if x.shape[1:] != (1, FRAMES, N_MELS):
            raise ValueError(f"patches are {tuple(x.shape)}; give (B, 1, {FRAMES}, {N_MELS})")
        h = self.features(x).permute(0, 2, 3, 1)  # B x 6 x 4 x 512, the order of TensorFlow
        return self.embeddings(h.flatten(1))


def log_mel(y: np.ndarray) -> np.ndarray:
    """Compute log-mel patches, what VGGish takes in.

    Parameters
    ----------
    y
        Samples ``(N,)`` at 16 kHz, floats in [-1, 1].

    Returns
    -------
    ndarray
        Natural logarithms ``(P, 96, 64)`` float32: patches of 96 frames and 64 bands, each 0.96 s
        after the one before. What is left over at the end is dropped; P is 0 below 0.975 s.

    Raises
    ------
    ValueError
        If the samples have more than one axis or are no floats.

    Notes
    -----
    Magnitudes under a periodic Hann window, triangles on the HTK mel scale, ``log(mel + 0.01)``;
    the recipe of tensorflow/models, research/audioset/vggish.
    """
    if y.ndim != 1 or y.dtype.kind != "f":
        raise ValueError(f"samples are {y.dtype} {y.shape}; give floats (N,)")
    if len(y) < PATCH:
        return np.empty((0, FRAMES, N_MELS), np.float32)
    parts = np.lib.stride_tricks.sliding_window_view(y, PATCH)[::PATCH_HOP]
    frames = np.lib.stride_tricks.sliding_window_view(parts, WINDOW, axis=1)[:, ::HOP]
    # float64: beside a loud sine float32 is off by more than the offset allows
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    magnitudes = np.abs(np.fft.rfft(frames * window, N_FFT))  # P x 96 x F
    return np.log(magnitudes @ _filters() + OFFSET).astype(np.float32)


def postprocess(z: np.ndarray, eigen_vectors: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Whiten embeddings and round them down to eight bits, as AudioSet publishes them.

    Parameters
    ----------
    z
        Embeddings ``(B, 128)``.
    eigen_vectors
        ``(128, 128)``, one row per component.
    means
        ``(128,)`` or ``(128, 1)``, taken off first.

    Returns
    -------
    ndarray
        ``(B, 128)`` uint8: -2 and below is 0, 2 and above 255.

    Raises
    ------
    ValueError
        If the embeddings have another shape.

    Notes
    -----
    tensorflow/models, research/audioset/vggish/vggish_postprocess.py. torchvggish rounds to the
    nearest instead, which is 1 more for half of the values.
    """
    if z.ndim != 2 or z.shape[1] != SIZE:
        raise ValueError(f"embeddings are {z.shape}; give (B, {SIZE})")
    white = (z - np.ravel(means)) @ np.asarray(eigen_vectors).T
    clipped = np.clip(white, -_QUANTIZED, _QUANTIZED)
    return ((clipped + _QUANTIZED) * (255 / (2 * _QUANTIZED))).astype(np.uint8)


def _convolutions() -> nn.Sequential:
    """Build convolutions of 3 x 3; no ReLU in place, which would spoil Grad-CAM's gradients."""
    layers, left = [], 1
    for right in _CHANNELS:
        if right:
            layers += [nn.Conv2d(left, right, 3, padding=1), nn.ReLU()]
            left = right
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


@lru_cache(maxsize=1)
def _filters() -> np.ndarray:
    """Return mel filters (F, M): triangles that are straight over mel, not over hertz."""
    hz = np.append(np.fft.rfftfreq(N_FFT, 1 / SR), [LOW_HZ, HIGH_HZ])
    *mel, low, high = 1127 * np.log1p(hz / 700)
    edges = np.linspace(low, high, N_MELS + 2)
    # bin 0, which the recipe sets to zero, lies below the lowest triangle
    return np.stack([np.interp(mel, edges[m : m + 3], [0, 1, 0]) for m in range(N_MELS)], axis=1)
