import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dct

from musiclatent.evaluation.codecs import MDCT
from musiclatent.models.mdct import Lapped, crops

HOPS = [2, 4, 64, 96, 1024]


def _x(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_a_waveform_comes_back(hop, frames):
    lapped, x = Lapped(hop), _x(2, hop * frames)
    z = lapped(x)
    assert z.shape == (2, frames, hop)
    assert torch.allclose(lapped.inverse(z), x, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(half=st.integers(1, 40), frames=st.integers(1, 6), seed=st.integers(0, 99))
def test_any_angles_are_orthonormal(half, frames, seed):
    lapped, generator = Lapped(2 * half, learned=True), torch.Generator().manual_seed(seed)
    lapped.angle.data.copy_(6 * torch.rand(half, generator=generator))
    with torch.no_grad():
        both = lapped(torch.eye(2 * half * frames)).flatten(1)  # samples x coefficients
        assert torch.allclose(both @ both.T, torch.eye(len(both)), atol=1e-5)
        assert torch.allclose(lapped.inverse(both.unflatten(1, (frames, -1))), torch.eye(len(both)),
                              atol=1e-5)  # fmt: skip


def test_energy_is_kept():
    x = _x(3, 4096)
    assert torch.allclose(Lapped(256)(x).square().sum((1, 2)), x.square().sum(1), rtol=1e-5)


def test_one_frame_is_a_cosine_transform():
    x = _x(1, 64)
    expected = dct(x.numpy(), type=4, norm="ortho")
    assert np.allclose(Lapped(64)(x)[0].numpy(), expected, atol=1e-5)


def test_a_tone_lies_in_few_bins():
    n = torch.arange(32 * 256, dtype=torch.float64)
    z = Lapped(256)(torch.sin(2 * torch.pi * 0.1 * n).float()[None])[0, 1:-1].square()
    assert z.mean(0).argmax() == 51  # 0.1 of the rate is 51.2 bins
    assert z[:, 46:57].sum() > 0.9999 * z.sum()


def test_a_larger_beta_leaks_less_far_away():
    n = torch.arange(32 * 256, dtype=torch.float64)
    x = torch.sin(2 * torch.pi * 0.1 * n).float()[None]
    far = [Lapped(256, beta)(x)[0, 1:-1, 100:].square().sum().item() for beta in (0.5, 2.0, 4.0)]
    assert far[0] > far[1] > far[2]


def test_only_learned_angles_are_parameters_and_have_slopes():
    assert not list(Lapped(8).parameters()) and "angle" in Lapped(8).state_dict()
    lapped = Lapped(8, learned=True)
    lapped(_x(1, 32))[..., :4].square().sum().backward()
    assert lapped.angle.grad.abs().sum() > 0


@pytest.mark.parametrize("hop", [0, 3, -2])
def test_odd_hops_are_refused(hop):
    with pytest.raises(ValueError, match=f"hop is {hop}; give an even number"):
        Lapped(hop)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="beta is -1; give 0 or more"):
        Lapped(4, beta=-1)
    for n in (0, 9):
        with pytest.raises(ValueError, match=f"{n} samples are not whole frames of 4; pad them"):
            Lapped(4)(torch.zeros(1, n))


def test_crops_are_parts_at_places_that_the_generator_draws():
    x = torch.arange(300.0).reshape(3, 1, 100)
    parts = [crops(x, 10, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert parts[0].shape == (3, 1, 10) and torch.equal(parts[0], parts[1])
    assert not torch.equal(parts[0], parts[2])
    for one, whole in zip(parts[0], x, strict=True):
        first = int(one[0, 0] - whole[0, 0])
        assert torch.equal(one, whole[:, first : first + 10])
    assert crops(x, 100, torch.Generator()) is x and crops(x, 101, torch.Generator()) is x


def test_it_agrees_with_the_yardstick_which_is_written_apart():
    yardstick, frame = MDCT(k=640, samples=640, hop=64), Lapped(64)
    cosine, sine = map(torch.from_numpy, yardstick._angles())
    frame.angle = torch.atan2(sine, cosine)
    x = torch.randn(2, 640, generator=torch.Generator().manual_seed(0))
    z = torch.from_numpy(yardstick.encode(x.numpy()))  # all coefficients, in order
    torch.testing.assert_close(frame(x).flatten(1), z[:, 0], atol=1e-5, rtol=1e-4)
