"""Compute where in a spectrogram a network finds its reasons: Grad-CAM, as arrays."""

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor, nn

from musiclatent.evaluation.genre_networks import Classifier
from musiclatent.models.mel import MelAutoencoder
from musiclatent.models.vggish import VGGish
from musiclatent.training import run_folder, supervised


def grad_cam(
    network: Classifier, x: np.ndarray, *, descriptors: np.ndarray, label: str
) -> np.ndarray:
    """Compute what in spectrograms speaks for a label.

    Parameters
    ----------
    network
        A trained network with convolutions.
    x
        Spectrograms (B, M, T) in [0, 1].
    descriptors
        Their descriptors (B, D); ignored by a network that takes none.
    label
        One of the network's classes.

    Returns
    -------
    ndarray
        (B, M, T) in [0, 1], each by its own highest value; zeros where nothing speaks for it.

    Raises
    ------
    ValueError
        If the network does not know the label.

    Notes
    -----
    Selvaraju et al. (2017), Grad-CAM; on the last normalised convolution, which is coarser than
    the spectrogram by 16 in bands and frames.
    """
    if label not in network.classes:
        names = ", ".join(network.classes)
        raise ValueError(f"the network does not know the label {label!r}; choose one of: {names}")
    model = run_folder.load_model(network.folder)
    inputs = [x] if model.numbers is None else [x, descriptors]
    code = network.classes.index(label)
    return _saliency(model, model.grad_cam_layer, code, *supervised.tensors(inputs))


def toward_clusters(
    network: MelAutoencoder | VGGish,
    x: np.ndarray,
    *,
    seconds: np.ndarray,
    centres: np.ndarray,
    codes: np.ndarray,
    window_s: float = 3.0,
) -> np.ndarray:
    """Compute what in spectrograms brings a second near the centre of its cluster.

    Parameters
    ----------
    network
        What embedded the seconds, see `second_embeddings.load_network`.
    x
        What the network takes (B, M, T), see `second_embeddings.read_inputs`.
    seconds
        Which second of its window each is (B,), int from 0; 0 for VGGish.
    centres
        Centres of the clusters (K, D), in dimensions of the embedding.
    codes
        Cluster of each second (B,).
    window_s
        Length of a spectrogram in seconds.

    Returns
    -------
    ndarray
        (B, M, T) in [0, 1], each by its own highest value.

    Raises
    ------
    ValueError
        If there is no such cluster.

    Notes
    -----
    Selvaraju et al. (2017), Grad-CAM; the score of a cluster is the negative squared distance to
    its centre, on the last convolution.
    """
    codes = np.asarray(codes)
    if codes.min() < 0 or codes.max() >= len(centres):
        raise ValueError(f"clusters {np.unique(codes)} are asked about; there are {len(centres)}")
    centres = torch.from_numpy(np.array(centres, np.float32))
    second = torch.tensor(np.array(seconds, np.int64))
    image = torch.from_numpy(np.array(x, np.float32))[:, None]  # B x 1 x M x T
    image = image.transpose(2, 3) if network.time_first else image

    def score(image: Tensor, second: Tensor) -> Tensor:
        parts = network.per_second(image, round(window_s))  # B x seconds x K
        return -torch.cdist(parts[torch.arange(len(parts)), second], centres).square()

    target = torch.from_numpy(codes.astype(np.int64))
    cam = _saliency(score, network.grad_cam_layer, target, image, second)
    return cam.transpose(0, 2, 1) if network.time_first else cam


def _saliency(
    forward, layer: nn.Module, target: int | Tensor, image: Tensor, *others: Tensor
) -> np.ndarray:
    """Return Grad-CAM of a layer, as wide as the image (B, F, T), by its own highest value each."""
    coarse = LayerGradCam(forward, layer).attribute(
        image, target=target, additional_forward_args=others or None, relu_attributions=True
    )
    wide = LayerAttribution.interpolate(coarse, image.shape[2:], "bilinear")
    cam = wide.detach()[:, 0].numpy().astype(np.float32)
    return cam / np.maximum(cam.max(axis=(1, 2), keepdims=True), 1e-12)
