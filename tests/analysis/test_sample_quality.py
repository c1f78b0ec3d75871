import numpy as np
import pytest
from scipy.linalg import sqrtm

from musiclatent.analysis import sample_quality


def test_the_same_set_in_any_order_has_no_distance(rng):
    x = rng.normal(size=(50, 6))
    assert sample_quality.frechet_distance(x, rng.permutation(x)) == pytest.approx(0, abs=1e-9)


def test_a_shift_counts_by_its_square_and_a_scale_by_the_spread():
    x = np.array([[-1.0], [1.0]])  # variance 2
    assert sample_quality.frechet_distance(x, x + 3) == pytest.approx(9)
    assert sample_quality.frechet_distance(x, 2 * x) == pytest.approx(2)  # (2 - 1) ** 2 of 2


def test_it_is_the_formula_with_roots_of_matrices(rng):
    x, y = rng.normal(size=(80, 4)), rng.normal(size=(90, 4)) @ rng.normal(size=(4, 4)) + 1
    a, b = np.cov(x.T), np.cov(y.T)
    root = np.trace(sqrtm(a @ b).real)
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a + b) - 2 * root
    assert sample_quality.frechet_distance(x, y) == pytest.approx(expected)
    assert sample_quality.frechet_distance(y, x) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.zeros(3), np.zeros((2, 3)), "have shape"),
        (np.zeros((2, 3)), np.zeros((2, 4)), "dimensions per row"),
        (np.zeros((1, 3)), np.zeros((2, 3)), "sets of 1 and 2 rows"),
        (np.full((2, 3), np.nan), np.zeros((2, 3)), "NaN"),
    ],
)
def test_what_is_no_pair_of_sets_is_refused(x, y, words):
    with pytest.raises(ValueError, match=words):
        sample_quality.frechet_distance(x, y)
