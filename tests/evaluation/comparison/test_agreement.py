"""CKA and shared neighbours where the answer is known: rotations, noise, chance."""

import numpy as np
import pytest

from musiclatent.evaluation.comparison import agreement
from musiclatent.evaluation.comparison.vectors import Vectors


def test_a_rotation_and_scaling_is_the_same_and_noise_is_not(rng):
    x = rng.normal(size=(60, 8))
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    assert agreement.linear_cka(x, 3 * x @ turn + 5) == pytest.approx(1)
    assert agreement.shared_neighbours(x, 3 * x @ turn + 5) == 1
    other = rng.normal(size=(60, 500))  # wide and few: the biased form would say 0.9
    assert agreement.linear_cka(x, other) < 0.15
    assert agreement.shared_neighbours(x, other) == pytest.approx(10 / 59, abs=0.06)


def test_half_of_what_is_there_agrees_in_part(rng):
    x = rng.normal(size=(200, 6))
    assert 0.4 < agreement.linear_cka(x, x[:, :3]) < 0.9


def test_matrices_are_symmetric_with_ones_and_leave_out_what_one_lacks(rng):
    z = rng.normal(size=(20, 4)).astype(np.float32)
    holed = z.copy()
    holed[3] = np.nan
    measured = {"a": Vectors(z=z, widths=(4,)), "b": Vectors(z=holed, widths=(4,))}
    cka, shared = agreement.matrices(measured)
    assert cka.loc["a", "b"] == cka.loc["b", "a"] == pytest.approx(1)
    assert shared.to_numpy().tolist() == [[1, 1], [1, 1]]


def test_what_cannot_be_compared_is_refused(rng):
    with pytest.raises(ValueError, match="3 and 3 rows; give the same four rows or more"):
        agreement.linear_cka(np.eye(3), np.eye(3))
    with pytest.raises(ValueError, match="5 and 4 rows cannot be compared"):
        agreement.shared_neighbours(np.eye(5), np.eye(4))
    assert np.isnan(agreement.linear_cka(np.ones((5, 2)), rng.normal(size=(5, 2))))
