"""Grad-CAM: where a network looks that was taught to look at a patch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from musiclatent.config import Experiment, Training
from musiclatent.evaluation import genre_networks
from musiclatent.evaluation.genre_networks import Classifier
from musiclatent.evaluation.saliency import grad_cam, toward_clusters
from musiclatent.features import mel_descriptors
from musiclatent.features.mel import LogMel
from musiclatent.models import MODELS
from musiclatent.models.mel import MelAutoencoder
from musiclatent.models.vggish import VGGish

BANDS, FRAMES = 32, 80
OPTIONS = {"channels": [8, 16], "n_mels": BANDS, "hidden": 8, "dropout": 0.0, "masks": 0}
CNN = Experiment(
    name="genre-cnn",
    study="genre",
    key="cnn",
    model="GenreNetwork",
    options=OPTIONS,
    about="",
    training=Training(learning_rate=1e-2, batch_size=8, select="last"),
)
KINDS = {"cnn": {}, "recurrent": {"recurrent": 8}, "joint": {"recurrent": 8, "attributes": 1}}
PATCH, WIDE = 8, 16  # bands and frames


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
    items = genre_networks.pd.DataFrame({"label": labels, "split": "train"})
    numbers = mel_descriptors.extract(x)
    experiment = replace(CNN, options=OPTIONS | KINDS[kind])
    data = genre_networks.Excerpts(
        x=x,
        descriptors=numbers,
        bands=numbers,
        items=items,
        summary={},
        transform=LogMel(n_mels=BANDS),
    )
    return genre_networks.train_network(experiment, data, folder=folder / "run", epochs=epochs)


@pytest.fixture(scope="module", params=KINDS)
def network(request, tmp_path_factory) -> Classifier:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = _trained(tmp_path_factory.mktemp(request.param), request.param, 10)
    torch.set_num_threads(threads)
    return found


def _maps(network: Classifier, x: np.ndarray, label: str) -> np.ndarray:
    return grad_cam(network, x, descriptors=mel_descriptors.extract(x), label=label)


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


MEL = {"channels": [4, 8, 8], "n_mels": BANDS, "latent": 6}


def _autoencoder(kind: str) -> MelAutoencoder:
    """An autoencoder of random weights."""
    torch.manual_seed(0)
    return MODELS[kind](**MEL | ({"recurrent": 8} if kind == "CRNNAutoencoder" else {})).eval()


@pytest.fixture
def vggish():
    """VGGish of random convolutions and a small layer behind them, frozen as the real one."""
    torch.manual_seed(0)
    model = VGGish()
    model.features.to_empty(device="cpu")
    for p in model.features.parameters():
        torch.nn.init.normal_(p, std=0.05)
    model.embeddings = torch.nn.Linear(512 * 6 * 4, 5)
    return model.requires_grad_(False).eval()


@pytest.mark.parametrize("kind", ["MelAutoencoder", "CRNNAutoencoder"])
def test_parts_are_mapped_toward_the_middle_of_their_cluster(rng, kind):
    model = _autoencoder(kind)
    x = rng.random((4, BANDS, 130), np.float32)
    seconds, codes = np.array([0, 1, 2, 0]), np.array([0, 1, 1, 2])
    centres = rng.standard_normal((3, 6))
    cam = toward_clusters(model, x, seconds=seconds, centres=centres, codes=codes)
    assert cam.shape == x.shape and cam.dtype == np.float32
    assert cam.min() >= 0 and cam.max() == pytest.approx(1, abs=1e-5)
    tops = cam.max((1, 2))
    assert np.logical_or(np.isclose(tops, 1, atol=1e-5), tops == 0).all()
    one = toward_clusters(model, x[1:2], seconds=seconds[1:2], centres=centres, codes=codes[1:2])
    np.testing.assert_allclose(one, cam[1:2], atol=1e-3)
    other = toward_clusters(model, x, seconds=seconds, centres=centres, codes=(codes + 1) % 3)
    assert not np.allclose(other, cam)


def test_a_map_is_what_a_slow_reference_gives(rng):
    model = _autoencoder("MelAutoencoder")
    x = np.repeat(rng.random((1, BANDS, 120), np.float32), 3, axis=0)
    centre = torch.arange(6.0)
    cams = toward_clusters(
        model, x, seconds=np.arange(3), centres=centre.numpy()[None], codes=np.zeros(3, int)
    )
    last = max(i for i, part in enumerate(model.down) if isinstance(part, torch.nn.Conv2d))
    for second in range(3):
        maps = model.down[: last + 1](torch.from_numpy(x[:1, None])).detach().requires_grad_()
        z = model.to_latent(model.down[last + 1 :](maps))[0, :, 0]  # K x T'
        score = -(z[:, 10 * second : 10 * second + 10].mean(dim=1) - centre).square().sum()
        weights = torch.autograd.grad(score, maps)[0].mean(dim=(2, 3), keepdim=True)
        cam = torch.relu((weights * maps).sum(dim=1, keepdim=True))
        cam = torch.nn.functional.interpolate(cam, (BANDS, 120), mode="bilinear")[0, 0].detach()
        np.testing.assert_allclose(cams[second], cam / cam.max().clamp(1e-12), atol=1e-3)
    assert not np.allclose(cams[0], cams[2])


def test_vggish_is_mapped_without_weights_that_learn(vggish, rng):
    x = rng.standard_normal((3, 64, 96)).astype(np.float32)
    codes, zero = np.array([0, 1, 1]), np.zeros(3, int)
    cam = toward_clusters(vggish, x, seconds=zero, centres=rng.standard_normal((2, 5)), codes=codes)
    assert cam.shape == x.shape and cam.dtype == np.float32
    assert cam.min() >= 0 and cam.max() == pytest.approx(1, abs=1e-5)
    assert not any(p.requires_grad for p in vggish.parameters())


@pytest.mark.parametrize("codes", [[0, 2], [-1, 0]])
def test_no_cluster_but_those_with_a_middle(rng, codes):
    model = _autoencoder("MelAutoencoder")
    x = rng.random((2, BANDS, 120), np.float32)
    with pytest.raises(ValueError, match="are asked about; there are 2"):
        toward_clusters(
            model, x, seconds=np.zeros(2, int), centres=rng.random((2, 6)), codes=np.array(codes)
        )
