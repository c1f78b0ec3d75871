"""Where in a spectrogram a network looks: Grad-CAM, handed over as arrays."""

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor, nn

from musiclatent.evaluation.genre_networks import Classifier
from musiclatent.models.mel import MelAutoencoder
from musiclatent.models.vggish import VGGish
from musiclatent.training import supervised
from musiclatent.training.checkpoints import load_checkpoint


def grad_cam(network: Classifier, x: np.ndarray, numbers: np.ndarray, label: str) -> np.ndarray:
    """Map what in spectrograms speaks for a label.

    Parameters
    ----------
    network
        A trained network with convolutions.
    x
        Spectrograms (B, M, T) in [0, 1].
    numbers
        Their attributes (B, D); not looked at by a network without them.
    label
        The label that is asked about, one of the network's classes.

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
    Selvaraju et al. (2017), Grad-CAM; on the last normalised convolution, whose map is thinner than
    the spectrogram by 16 in bands and frames.
    """
    if label not in network.classes:
        known = ", ".join(network.classes)
        raise ValueError(f"the network does not know the label {label!r}; choose one of: {known}")
    model = load_checkpoint(network.checkpoint, network.experiment)
    inputs = supervised.tensors([x, numbers])
    image, others = inputs[0], inputs[1:] if model.numbers is not None else []
    code = network.classes.index(label)
    return _map(model, model.grad_cam_layer, image, code, *others)


def toward_clusters(
    network: MelAutoencoder | VGGish,
    x: np.ndarray,
    seconds: np.ndarray,
    centres: np.ndarray,
    codes: np.ndarray,
    *,
    window_s: float = 3.0,
) -> np.ndarray:
    """Map what in spectrograms brings a part near the middle of its cluster.

    Parameters
    ----------
    network
        What embedded the parts, see `second_embeddings.load_network`.
    x
        What the network takes (B, M, T), see `second_embeddings.read_inputs`.
    seconds
        Which second of the window the part is (B,), int from 0; 0 for VGGish.
    centres
        Middles of the clusters (K, D), in numbers of the embedding.
    codes
        Cluster of each part (B,).
    window_s
        Length of a spectrogram in seconds, of which each is a part.

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
    its middle, on the last convolution.
    """
    codes = np.asarray(codes)
    if codes.min() < 0 or codes.max() >= len(centres):
        raise ValueError(f"clusters {np.unique(codes)} are asked about; there are {len(centres)}")
    middles = torch.from_numpy(np.array(centres, np.float32))
    second = torch.tensor(np.array(seconds, np.int64))
    image = torch.from_numpy(np.array(x, np.float32))[:, None]  # B x 1 x M x T
    image = image.transpose(2, 3) if network.time_first else image

    def score(image: Tensor, second: Tensor) -> Tensor:
        parts = network.per_second(image, round(window_s))  # B x seconds x K
        return -torch.cdist(parts[torch.arange(len(parts)), second], middles).square()

    target = torch.from_numpy(codes.astype(np.int64))
    cam = _map(score, network.grad_cam_layer, image, target, second)
    return cam.transpose(0, 2, 1) if network.time_first else cam


def _map(forward, layer: nn.Module, image: Tensor, target: int | Tensor, *others) -> np.ndarray:
    """Grad-CAM of a layer, as wide as the image (B, F, T), each by its own highest value."""
    found = LayerGradCam(forward, layer).attribute(
        image, target=target, additional_forward_args=others or None, relu_attributions=True
    )
    wide = LayerAttribution.interpolate(found, image.shape[2:], "bilinear")
    cam = wide.detach()[:, 0].numpy().astype(np.float32)
    return cam / np.maximum(cam.max(axis=(1, 2), keepdims=True), 1e-12)
