import numpy as np
import pytest

from musiclatent.features.perturbed import sound
from musiclatent.features.perturbed.sound import perturb

SR = 8000


@pytest.fixture
def still(monkeypatch):
    """Nothing changes but what a test turns on again."""
    for name in ("GAIN_DB", "PITCH", "STRETCH"):
        monkeypatch.setattr(sound, name, 0.0)
    monkeypatch.setattr(sound, "NOISE_DB", (120.0, 120.0))
    return monkeypatch


def _tone(hz=440.0, seconds=2.0) -> np.ndarray:
    return 0.2 * np.sin(2 * np.pi * hz * np.arange(int(seconds * SR)) / SR)


def _pitch(y: np.ndarray) -> float:
    """The loudest frequency in Hz."""
    return np.abs(np.fft.rfft(y)).argmax() * SR / len(y)


def test_the_same_seed_perturbs_the_same_way():
    y = _tone()
    one = perturb(y, SR, seed=[0, 1])
    assert one.dtype == np.float32 and np.abs(one).max() <= 1
    assert np.array_equal(one, perturb(y, SR, seed=[0, 1]))
    assert not np.array_equal(one, perturb(y, SR, seed=[0, 2]))


def test_nothing_is_left_as_it_was_where_nothing_changes(still):
    y = _tone()
    np.testing.assert_allclose(perturb(y, SR, seed=0)[1000:-1000], y[1000:-1000], atol=0.01)


def test_resampling_moves_pitch_and_length_together(still):
    still.setattr(sound, "PITCH", 0.06)
    for seed in range(4):
        y = perturb(_tone(), SR, seed=seed)
        assert _pitch(y) == pytest.approx(440 * 2 * SR / len(y), rel=0.01)
        assert 0.94 < 2 * SR / len(y) < 1.07


def test_stretching_moves_length_alone(still):
    still.setattr(sound, "STRETCH", 0.1)
    lengths = []
    for seed in range(3):
        y = perturb(_tone(), SR, seed=seed)
        assert _pitch(y) == pytest.approx(440, rel=0.01)
        lengths.append(len(y))
    assert len(set(lengths)) == 3


def test_gain_and_noise_stay_in_their_range(still):
    still.setattr(sound, "GAIN_DB", 6.0)
    peaks = [np.abs(perturb(_tone(), SR, seed=seed)).max() for seed in range(8)]
    assert 0.09 < min(peaks) < 0.2 < max(peaks) < 0.42
    still.setattr(sound, "GAIN_DB", 0.0)
    still.setattr(sound, "NOISE_DB", (20.0, 20.0))
    noise = perturb(_tone(), SR, seed=0)[1000:-1000] - _tone()[1000:-1000]
    assert noise.std() == pytest.approx(0.2 / 2**0.5 / 10, rel=0.2)


@pytest.mark.parametrize("shape", [(0,), (2, 100)])
def test_what_is_no_sound_is_refused(shape):
    with pytest.raises(ValueError, match=r"give one channel \(N,\) that is not empty"):
        perturb(np.zeros(shape), SR, seed=0)
