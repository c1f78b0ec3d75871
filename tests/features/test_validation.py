import numpy as np
import pytest

from musiclatent.features import validation


def test_what_is_right_comes_back_as_float32():
    y, x_db = np.linspace(-1, 1, 9), np.full((3, 2), -20.0)
    assert validation.samples(y, 9).dtype == validation.decibels(x_db, 60).dtype == np.float32
    np.testing.assert_allclose(validation.samples(y), y, atol=1e-7)  # float32 rounds
    validation.frames(512, 256, 512)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.zeros((2, 9)), r"shape \(2, 9\)"),
        (np.zeros(9, int), "are int64; give"),
        (np.zeros(4), "5 or more"),
        (np.array([0, 0, np.nan, 0, 0]), "NaN or infinity; repair them first"),
    ],
)
def test_what_are_no_samples_is_refused(y, words):
    with pytest.raises(ValueError, match=words):
        validation.samples(y, 5)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((7, 2, 8), "n_fft is 7; it must be even"),
        ((8, 0, 8), "hop_length is 0 for n_fft 8; take 1 to 8"),
        ((8, 9, 8), "hop_length is 9"),
        ((8, 4, 8, 0.0), "top_db is 0.0"),
    ],
)
def test_frames_that_cannot_be_are_refused(sizes, words):
    with pytest.raises(ValueError, match=words):
        validation.frames(*sizes)


@pytest.mark.parametrize(
    ("x_db", "words"),
    [
        (np.zeros((3, 1)), "2 frames or more"),
        (np.full((3, 2), 61.0), "reaches 61 .*decibels up to 60"),
        (np.full((3, 2), np.nan), "not finite"),
    ],
)
def test_what_are_no_decibels_is_refused(x_db, words):
    with pytest.raises(ValueError, match=words):
        validation.decibels(x_db, 60.0)
