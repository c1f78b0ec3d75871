import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent.models.waveform import (
    LinearBlocks,
    PaddedAutoencoder,
    PoolingAutoencoder,
    WaveformAutoencoder,
)

WINDOW = 110_250  # five seconds


def _small(**options) -> WaveformAutoencoder:
    return WaveformAutoencoder(**{"maps": 4, "kernel_size": 64, "stride": 32} | options)


@pytest.mark.parametrize("maps", [32, 64, 128])
def test_the_papers_latent_is_maps_by_216_frames(maps):
    model = WaveformAutoencoder(maps=maps).eval()
    out = model(torch.zeros(2, 1, WINDOW))
    assert out.z.shape == (2, maps, 216) and out.x_hat.shape == (2, 1, WINDOW)


def test_expected_parameters_of_the_chosen_model():
    count = sum(p.numel() for p in WaveformAutoencoder(maps=64, kernel_size=1024).parameters())
    assert count == 2 * 64 * 1024 + 64 + 1


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 700), extra=st.sampled_from(["none", "conv", "dense"]))
def test_any_length_comes_back_with_its_length(n, extra):
    out = _small(extra=extra)(torch.ones(1, 1, n))
    assert out.z.shape == (1, 4, -(-n // 32)) and out.x_hat.shape == (1, 1, n)
    assert out.x_hat.abs().max() <= 1


@pytest.mark.parametrize("n", [1, 63, 64, 1000])
def test_pooling_autoencoder_takes_any_length(n):
    model = PoolingAutoencoder(maps=5, channels=[2, 3], pool=4, hidden=8)
    out = model(torch.ones(2, 1, n))
    assert out.z.shape == (2, 5, -(-n // 16)) and out.x_hat.shape == (2, 1, n)


def test_pooling_autoencoder_has_the_papers_layers():
    model = PoolingAutoencoder()
    names = [type(layer).__name__ for layer in model.down]
    assert names == ["Conv1d", "ELU", "MaxPool1d"] * 3
    dense = [layer for part in (model.dense_in, model.dense_out) for layer in part]
    assert [type(layer).__name__ for layer in dense] == ["Conv1d", "ShiftedReLU", "Conv1d"] * 2


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="extra is 'deep'; choose one of: none, conv, dense"):
        _small(extra="deep")
    with pytest.raises(ValueError, match="kernel_size 33 must be stride 32 plus an even number"):
        _small(kernel_size=33)


def _padded(padding: str, **options) -> PaddedAutoencoder:
    """A1 without zeros at its ends, with the weights of `_small`."""
    sizes = {"maps": 4, "kernel_size": 64, "stride": 32} | options
    model = PaddedAutoencoder(padding, **sizes)
    model.load_state_dict(_small(**options).state_dict())
    return model


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 700), padding=st.sampled_from(["reflect", "none"]))
def test_other_ends_bring_any_length_back(n, padding):
    out = _padded(padding)(torch.ones(1, 1, n))
    frames = -(-n // 32) if padding == "reflect" else 1 + max(0, -(-(n - 64) // 32))
    assert out.z.shape == (1, 4, frames) and out.x_hat.shape == (1, 1, n)


def test_other_ends_differ_at_the_ends_alone():
    x = torch.randn(1, 1, 320, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    zeros = _small()
    reflect, none = _padded("reflect"), _padded("none")
    for model in (reflect, none):
        model.load_state_dict(zeros.state_dict())
    z, z_mirrored = zeros.encode(x), reflect.encode(x)
    assert torch.allclose(z[..., 1:-1], z_mirrored[..., 1:-1], atol=1e-6)
    mirrored = torch.cat([x[..., 1:17].flip(-1), x[..., :48]], dim=-1)
    first = torch.nn.functional.conv1d(mirrored, *reflect.analysis.parameters())
    assert torch.allclose(z_mirrored[..., :1], first, atol=1e-6)
    frames = torch.nn.functional.conv1d(x, *none.analysis.parameters(), stride=32)
    assert torch.allclose(none.encode(x), frames, atol=1e-6)  # frames begin with the window


def test_other_ends_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="padding is 'wrap'; choose one of: reflect, none"):
        PaddedAutoencoder("wrap")
    words = "kernel_size 1536 would mirror more than a frame; .* three times the stride, 1536"
    with pytest.raises(ValueError, match=words):
        PaddedAutoencoder("reflect", kernel_size=1536)


def test_hyper_parameters_are_plain():
    for model in (_small(), PoolingAutoencoder(), LinearBlocks(), PaddedAutoencoder()):
        for value in model.hparams.values():
            assert isinstance(value, str | int | float | bool | list)


def _fit(model: LinearBlocks, x: torch.Tensor) -> LinearBlocks:
    model.training_step((x, None), 0)
    model.on_validation_epoch_start()
    return model


def test_linear_blocks_are_the_principal_components():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(3, 16, generator=generator)
    x = (torch.randn(4, 50, 3, generator=generator) @ mixing).reshape(4, 1, -1)
    exact = _fit(LinearBlocks(maps=3, stride=16), x)
    assert torch.allclose(exact(x).x_hat, x, atol=1e-4)  # three numbers hold a rank of three
    two = _fit(LinearBlocks(maps=2, stride=16), x)
    singular = np.linalg.svd(x.reshape(-1, 16).numpy(), compute_uv=False)
    error = (two(x).x_hat - x).square().sum().item()
    assert error == pytest.approx(singular[2] ** 2, rel=1e-3)  # Eckart and Young


def test_linear_blocks_keep_length_and_order_of_frames():
    model = LinearBlocks(maps=16, stride=16)
    x = torch.arange(40.0).reshape(1, 1, 40) / 40
    out = model(x)
    assert out.z.shape == (1, 16, 3) and torch.allclose(out.x_hat, x)


def test_lapped_blocks_are_the_principal_components_of_lapped_coefficients():
    x = 0.1 * torch.randn(3, 1, 320, generator=torch.Generator().manual_seed(0)).cumsum(-1)
    whole = _fit(LinearBlocks(maps=16, stride=16, lapped=True), x)
    assert torch.allclose(whole(x).x_hat, x, atol=1e-4)  # orthonormal: nothing is lost
    some = _fit(LinearBlocks(maps=5, stride=16, lapped=True), x)
    z = some.encode(x)
    left = x.square().sum() - z.square().sum()
    assert (some(x).x_hat - x).square().sum().item() == pytest.approx(left.item(), rel=1e-3)
    assert some.edge == 16 and LinearBlocks(maps=5, stride=16).edge == 0
    assert "covariance" not in some.state_dict()
