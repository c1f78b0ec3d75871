import numpy as np
import pytest

from musiclatent.features.perturbed import spectrograms
from musiclatent.features.perturbed.spectrograms import perturb


@pytest.fixture
def still(monkeypatch):
    """Nothing changes but what a test turns on again."""
    for name in ("STRETCH", "MIXED", "COLOUR", "NOISE", "FLOOR"):
        monkeypatch.setattr(spectrograms, name, 0.0)
    monkeypatch.setattr(spectrograms, "SHIFT", 0)
    return monkeypatch


def _ramps(n=3, bands=16, frames=130) -> np.ndarray:
    """Each rises evenly in time, and faster in higher bands."""
    time = np.linspace(0, 1, frames, dtype=np.float32)
    return np.stack([np.outer(np.linspace(0.1, 1, bands), time)] * n).astype(np.float32)


def test_a_view_is_scaled_and_shorter_and_the_same_for_the_same_seed():
    x = np.random.default_rng(0).random((5, 16, 130), np.float32)
    view = perturb(x, seed=1)
    assert view.shape == (5, 16, 100) and view.dtype == np.float32
    assert (view.min((1, 2)) == 0).all() and (view.max((1, 2)) == 1).all()
    assert np.array_equal(view, perturb(x, seed=1))
    assert not np.array_equal(view, perturb(x, seed=2))


def test_without_changes_a_view_is_a_part_of_the_spectrogram(still):
    x = _ramps()
    view = perturb(x, seed=0)
    slope = np.diff(view[:, -1], axis=1)
    np.testing.assert_allclose(slope, slope[:, :1].repeat(99, 1), atol=1e-5)  # still even in time


def test_a_shift_moves_the_band_that_sounds(still):
    still.setattr(spectrograms, "SHIFT", 3)
    x = np.zeros((40, 16, 130), np.float32)
    x[:, 8] = 1
    bands = perturb(x, seed=0).mean(2).argmax(1)
    assert set(bands) == set(range(5, 12))


def test_mixing_adds_what_another_one_holds_by_its_share_of_the_power(still):
    still.setattr(spectrograms, "MIXED", 0.2)
    x = np.zeros((2, 16, 130), np.float32)
    x[0, 3], x[1, 12] = 1, 1
    view = perturb(x, seed=3)  # one permutation in two exchanges them
    assert view[0, 3].min() == 1 and 0 < view[0, 12].max() < 1
    share = 10 ** (8 * (view[0, 12, 0] - 1))  # of 80 dB, below the louder
    assert 0 < share < 0.2 / 0.8


def test_a_noise_floor_hides_what_is_quieter(still):
    still.setattr(spectrograms, "FLOOR", 0.45)
    x = _ramps(30)
    silent = (perturb(x, seed=0) == 0).mean((1, 2))
    assert 5 < (silent > 0.05).sum() < 25  # of about half of them


@pytest.mark.parametrize("shape", [(16, 130), (0, 16, 130)])
def test_what_is_no_batch_is_refused(shape):
    with pytest.raises(ValueError, match=r"give \(B, M, T\) that is not empty"):
        perturb(np.zeros(shape), seed=0)
