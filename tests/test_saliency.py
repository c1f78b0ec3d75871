"""Grad-CAM: where a network looks that was taught to look at a patch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from musiclatent import networks
from musiclatent.config import Experiment, Training
from musiclatent.networks import Classifier
from musiclatent.saliency import grad_cam

BANDS, FRAMES = 32, 80
OPTIONS = {"channels": [8, 16], "n_mels": BANDS, "hidden": 8, "dropout": 0.0, "masks": 0}
CNN = Experiment(
    "genre-cnn", "cnn", "GenreNetwork", OPTIONS, "", Training(1e-2, batch_size=8, select="last")
)
KINDS = {"cnn": {}, "recurrent": {"recurrent": 8}, "joint": {"recurrent": 8, "attributes": 1}}
PATCH, WIDE = 8, 16  # bands and frames


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _patches(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Faint noise with a bright patch at low or high bands, anywhere in time; and where it is."""
    rng = np.random.default_rng(seed)
    x = 0.1 * rng.random((n, BANDS, FRAMES), np.float32)
    labels = np.array(["high", "low"])[np.arange(n) % 2]
    bands = np.where(labels == "low", rng.integers(1, 5, n), rng.integers(19, 23, n))
    frames = rng.integers(0, FRAMES - WIDE, n)
    for one, band, frame in zip(x, bands, frames, strict=True):
        one[band : band + PATCH, frame : frame + WIDE] += 0.8
    return x, labels, bands, frames


def _trained(folder, kind: str, epochs: int) -> Classifier:
    x, labels, *_ = _patches(48, 0)
    items = networks.pd.DataFrame({"label": labels, "split": "train"})
    numbers = networks.mel_attributes.extract(x)
    experiment = replace(CNN, options=OPTIONS | KINDS[kind])
    data = networks.Excerpts(x, numbers, numbers, items, {})
    return networks.train(experiment, data, folder / "run", epochs=epochs)


@pytest.fixture(scope="module", params=KINDS)
def network(request, tmp_path_factory) -> Classifier:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = _trained(tmp_path_factory.mktemp(request.param), request.param, 10)
    torch.set_num_threads(threads)
    return found


def _maps(network: Classifier, x: np.ndarray, label: str) -> np.ndarray:
    return grad_cam(network, x, networks.mel_attributes.extract(x), label)


def test_maps_have_the_shape_of_the_spectrogram_and_lie_in_0_to_1(network):
    x = _patches(4, 1)[0][:, :, :79]  # not a multiple of what the convolutions halve
    x = np.concatenate([x, x[:, :, :20]], axis=2)
    for label in network.classes:
        cam = _maps(network, x, label)
        assert cam.shape == x.shape and cam.dtype == np.float32
        assert cam.min() >= 0 and cam.max() <= 1 + 1e-6
        tops = cam.max((1, 2))
        assert np.logical_or(np.isclose(tops, 1, atol=1e-5), tops == 0).all()


def test_many_are_mapped_as_each_by_itself(network):
    x, *_ = _patches(4, 1)
    np.testing.assert_allclose(
        _maps(network, x[1:2], "low"), _maps(network, x, "low")[1:2], 0, 1e-3
    )


def test_no_label_but_the_networks_own(network):
    x, *_ = _patches(1, 1)
    with pytest.raises(ValueError, match="not know the label 'polka'; choose one of: high, low"):
        _maps(network, x, "polka")


def test_the_map_is_strongest_near_the_patch(tmp_path):
    network = _trained(tmp_path, "cnn", 12)
    x, labels, bands, frames = _patches(20, 2)
    said = np.array(network.classes)[network.probabilities(x).argmax(1)]
    assert (said == labels).all()
    near = []
    for label in network.classes:
        mine = labels == label
        cams = _maps(network, x[mine], label)
        for cam, band, frame in zip(cams, bands[mine], frames[mine], strict=True):
            top, place = np.unravel_index(cam.argmax(), cam.shape)
            near.append(
                band - 4 <= top < band + PATCH + 4 and frame - 8 <= place < frame + WIDE + 8
            )
    assert np.mean(near) >= 0.9, near
