"""VGGish: its shapes, its order, its front end against the recipe, its eight bits."""

import math

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from helpers.vggish import reference_log_mel
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import conv2d, max_pool2d, relu

from musiclatent.models.vggish import PATCH, PATCH_HOP, SR, VGGish, log_mel, postprocess

SILENCE = math.log(0.01)
CONVOLUTIONS = {0: (64, 1), 3: (128, 64), 6: (256, 128), 8: (256, 256), 11: (512, 256)}
CONVOLUTIONS |= {13: (512, 512)}
DENSE = {0: (4096, 12288), 2: (4096, 4096), 4: (128, 4096)}


@pytest.fixture(scope="module")
def state():
    """Weights of full shape: the convolutions drawn, the dense layers one row repeated."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for layer, shape in CONVOLUTIONS.items():
        weight = torch.randn(*shape, 3, 3, generator=generator) / math.sqrt(4.5 * shape[1])
        found[f"features.{layer}.weight"] = weight
        found[f"features.{layer}.bias"] = torch.zeros(shape[0])
    for layer, (rows, columns) in DENSE.items():
        row = torch.randn(columns, generator=generator).abs() / columns
        found[f"embeddings.{layer}.weight"] = row.expand(rows, columns)
        found[f"embeddings.{layer}.bias"] = torch.linspace(-2, 1, rows)
    return found


@pytest.fixture(scope="module")
def loaded(state):
    model = VGGish()
    model.load_state_dict(state, assign=True)
    return model.requires_grad_(False)


def sine(hz: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * SR)) / SR).astype(np.float32)


def noise(rng, seconds: float) -> np.ndarray:
    return (0.3 * rng.standard_normal(round(seconds * SR))).astype(np.float32)


def test_the_parameters_are_those_published_and_take_no_memory(state):
    model = VGGish()
    assert sum(p.numel() for p in model.parameters()) == 72_141_184
    assert all(p.is_meta for p in model.parameters())
    shapes = {name: tuple(p.shape) for name, p in model.state_dict().items()}
    assert shapes == {name: tuple(p.shape) for name, p in state.items()}
    assert list(shapes)[:2] == ["features.0.weight", "features.0.bias"]


def test_there_is_no_untrained_network(state):
    model = VGGish()
    with pytest.raises(RuntimeError, match="no weights .* musiclatent data fetch vggish"):
        model(torch.zeros(1, 1, 96, 64))
    with pytest.warns(UserWarning, match="meta"):  # copied into nothing, so still without
        model.load_state_dict(state)
    with pytest.raises(RuntimeError, match="no weights"):
        model(torch.zeros(1, 1, 96, 64))
    some = {"features.0.bias": torch.zeros(64)}  # not enough
    model.load_state_dict(some, assign=True, strict=False)
    with pytest.raises(RuntimeError, match="no weights"):
        model(torch.zeros(1, 1, 96, 64))


def test_the_network_is_the_published_one_layer_by_layer(loaded, state, rng):
    x = torch.from_numpy(rng.standard_normal((2, 1, 96, 64), np.float32))
    h = x
    for layer in CONVOLUTIONS:
        weight, bias = state[f"features.{layer}.weight"], state[f"features.{layer}.bias"]
        h = relu(conv2d(h, weight, bias, padding=1))
        if layer not in (6, 11):  # the first of two in a row
            h = max_pool2d(h, 2)
    assert h.shape == (2, 512, 6, 4)
    flat = np.stack([h[:, :, t, m].numpy() for t in range(6) for m in range(4)], axis=1)
    z = flat.reshape(2, -1)  # channels last, as TensorFlow lays them
    for layer in DENSE:
        row, bias = state[f"embeddings.{layer}.weight"][0], state[f"embeddings.{layer}.bias"]
        z = np.maximum((z @ row.numpy())[:, None] + bias.numpy(), 0)
    ours = loaded(x).numpy()
    assert ours.shape == (2, 128) and 0 < (ours > 0).mean() < 1
    np.testing.assert_allclose(ours, z, rtol=1e-4, atol=1e-6)


def test_patches_of_another_shape_are_refused(loaded):
    with pytest.raises(ValueError, match=r"\(1, 1, 64, 96\); give \(B, 1, 96, 64\)"):
        loaded(torch.zeros(1, 1, 64, 96))


def test_grad_cam_can_look_inside(loaded, rng):
    assert not any(part.inplace for part in loaded.modules() if isinstance(part, nn.ReLU))
    x = torch.from_numpy(rng.standard_normal((1, 1, 96, 64), np.float32))
    found = LayerGradCam(loaded, loaded.features[13]).attribute(x, target=127)
    assert found.shape == (1, 1, 12, 8) and found.abs().max() > 0


def test_the_front_end_is_the_recipe(rng):
    loud = sine(1000, 2.5) + 1e-3 * noise(rng, 2.5)
    for y in (noise(rng, 2.5), loud, np.zeros(PATCH, np.float32), sine(200, 2.5)):
        ours, reference = log_mel(y), reference_log_mel(y.astype(np.float64))
        assert ours.dtype == np.float32 and ours.shape == reference.shape
        assert np.abs(ours - reference).max() < 1e-4


def test_one_frame_is_what_plain_sums_give(rng):
    y = noise(rng, PATCH / SR)
    at = 95 * 160  # the last frame ends with the last sample
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)]
    frame = [float(y[at + n]) * hann[n] for n in range(400)]
    magnitudes = []
    for k in range(257):
        turn = -2 * math.pi * k / 512
        real = sum(v * math.cos(turn * n) for n, v in enumerate(frame))
        magnitudes.append(
            math.hypot(real, sum(v * math.sin(turn * n) for n, v in enumerate(frame)))
        )
    lowest, highest = (1127 * math.log(1 + hz / 700) for hz in (125, 7500))
    edges = [lowest + i * (highest - lowest) / 65 for i in range(66)]
    bands = [0.0] * 64
    for k in range(1, 257):
        mel = 1127 * math.log(1 + 31.25 * k / 700)
        for band in range(64):
            low, centre, high = edges[band : band + 3]
            rising, falling = (mel - low) / (centre - low), (high - mel) / (high - centre)
            bands[band] += max(0.0, min(rising, falling)) * magnitudes[k]
    wanted = np.log(np.array(bands) + 0.01)
    assert np.abs(log_mel(y)[0, 95] - wanted).max() < 1e-5
    assert np.abs(reference_log_mel(y.astype(np.float64))[0, 95] - wanted).max() < 1e-9


@pytest.mark.parametrize("front_end", [log_mel, reference_log_mel])
def test_known_sounds(front_end):
    np.testing.assert_allclose(front_end(np.zeros(SR, np.float32)), SILENCE, rtol=1e-6)
    x = front_end(sine(1000))  # on bin 32, 814.8 mel above the lowest: bands lie 39.82 apart
    assert set(x.argmax(2).ravel()) == {19}  # at 814.8 / 39.82 - 1 = 19.46
    k = np.arange(24, 41)
    offset = (k - 32) * 400 / 512  # bins of a transform as long as the window
    lobe = np.abs(100 * np.sinc(offset) / (1 - offset**2))  # of a Hann window, 100 in the middle
    place = (1127 * np.log((1 + 31.25 * k / 700) / (1 + 125 / 700))) / 39.81788 - 1
    for band in (18, 19, 20, 21):
        mel = np.maximum(0, 1 - np.abs(place - band)) @ lobe
        assert x[0, 0, band] == pytest.approx(math.log(mel + 0.01), abs=1e-3)


def test_doubling_a_sound_adds_log_two_where_it_is_loud(rng):
    y = noise(rng, 1)
    change = log_mel(2 * y) - log_mel(y)
    assert change.max() <= math.log(2) + 1e-5 and np.median(change) > math.log(2) - 0.02


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 4 * PATCH_HOP))
def test_patches_lie_side_by_side(n):
    y = np.linspace(-1, 1, n, dtype=np.float32) * np.cos(np.arange(n, dtype=np.float32))
    x = log_mel(y)
    frames = max(0, 1 + (n - 400) // 160)
    assert x.shape == (frames // 96, 96, 64)
    for i, patch in enumerate(x):
        alone = log_mel(y[i * PATCH_HOP : i * PATCH_HOP + PATCH])
        # A product of fewer rows may round otherwise; logarithms from -4.6 to 5 as float32.
        np.testing.assert_allclose(alone, patch[None], atol=1e-5)


@pytest.mark.parametrize("y", [np.zeros((2, SR), np.float32), np.zeros(SR, np.int16)])
def test_what_is_no_mono_sound_is_refused(y):
    with pytest.raises(ValueError, match=r"samples are .*; give floats \(N,\)"):
        log_mel(y)


def test_eight_bits_by_hand():
    eigen_vectors = np.eye(128)[::-1]  # the first component is the last number
    z = np.zeros((1, 128))
    z[0, [127, 126, 125, 124, 123, 122]] = [-5, -2, 2, 9, 0.5, 0.999]
    found = postprocess(z + 0.25, eigen_vectors, np.full(128, 0.25))
    assert found.dtype == np.uint8 and found.shape == (1, 128)
    # 2.5 / 4 * 255 = 159.4 and 2.999 / 4 * 255 = 191.2; 0 lies at 127.5: cut off, not rounded
    assert found[0, :7].tolist() == [0, 0, 255, 255, 159, 191, 127]
    column = postprocess(z + 0.25, eigen_vectors, np.full((128, 1), 0.25))
    np.testing.assert_array_equal(found, column)


def test_components_are_rows(rng):
    eigen_vectors, z = rng.standard_normal((128, 128)), 0.05 * rng.standard_normal((3, 128))
    found = postprocess(z, eigen_vectors, np.zeros(128))
    for row, numbers in zip(found, z, strict=True):
        wanted = [63.75 * (min(2, max(-2, float(v @ numbers))) + 2) for v in eigen_vectors]
        np.testing.assert_array_equal(row, np.floor(wanted))


def test_embeddings_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"embeddings are \(2, 64\); give \(B, 128\)"):
        postprocess(np.zeros((2, 64)), np.eye(128), np.zeros(128))
