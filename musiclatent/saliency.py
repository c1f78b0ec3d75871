"""Where in a spectrogram a network looks: Grad-CAM, handed over as arrays."""

import numpy as np
from captum.attr import LayerAttribution, LayerGradCam
from torch import nn

from musiclatent import runs, supervised
from musiclatent.networks import Classifier


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
    model = runs.load(network.checkpoint, network.experiment)
    layer = [part for part in model.features if isinstance(part, nn.BatchNorm2d)][-1]
    inputs = supervised.tensors([x, numbers])
    image, others = inputs[0], inputs[1:] if model.numbers is not None else []
    code = network.classes.index(label)
    found = LayerGradCam(model, layer).attribute(
        image, target=code, additional_forward_args=tuple(others) or None, relu_attributions=True
    )
    wide = LayerAttribution.interpolate(found, image.shape[2:], "bilinear")
    cam = wide.detach()[:, 0].numpy().astype(np.float32)
    return cam / np.maximum(cam.max(axis=(1, 2), keepdims=True), 1e-12)
