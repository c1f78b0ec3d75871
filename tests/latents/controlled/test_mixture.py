"""Latents by regression on conditions."""

import numpy as np
import pytest

from musiclatent.latents.controlled import mixture

RNG = np.random.default_rng(0)


def _rows(n=2000):
    conditions = RNG.uniform(-1, 1, (n, 1))
    noise = RNG.standard_normal((n, 2)) * [0.1, 0.3]
    return conditions, conditions * [2.0, -1.0] + [5.0, 0.0] + noise


def test_one_component_is_linear_regression():
    model = mixture.fit_mixture(*_rows(), components=1)
    drawn = model.draw(np.array([0.5]), 4000, memory=0.0, spread=1.0, rng=RNG)
    assert drawn.mean(axis=0) == pytest.approx([6.0, -0.5], abs=0.03)
    assert drawn.std(axis=0) == pytest.approx([0.1, 0.3], abs=0.02)


def test_noise_follows_memory_and_spread():
    model = mixture.fit_mixture(*_rows(), components=1)
    still = model.draw(np.array([0.0]), 3, memory=0.5, spread=0.0, rng=RNG)
    assert np.ptp(still, axis=0) == pytest.approx([0, 0], abs=1e-6)
    kept = model.draw(np.array([0.0]), 4000, memory=0.9, spread=0.5, rng=RNG)[:, 1]
    assert np.corrcoef(kept[1:], kept[:-1])[0, 1] == pytest.approx(0.9, abs=0.03)


def test_components_are_chosen_by_the_condition():
    side = RNG.choice([-1.0, 1.0], 1000)
    z = np.where(side > 0, 10.0, np.tile([-3.0, 3.0], 500))[:, None] + 0.1 * RNG.random((1000, 1))
    model = mixture.fit_mixture(side[:, None], z, components=3)
    right = [model.draw(np.ones(1), 1, memory=0, spread=1, rng=RNG).item() for _ in range(20)]
    left = [model.draw(-np.ones(1), 1, memory=0, spread=1, rng=RNG).item() for _ in range(40)]
    assert np.abs(np.array(right) - 10).max() < 0.6
    assert {round(value / 3) for value in left} == {-1, 1}


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="at least 10"):
        mixture.fit_mixture(np.zeros((4, 1)), np.zeros((4, 2)), components=5)
    with pytest.raises(ValueError, match="NaN"):
        mixture.fit_mixture(np.full((4, 1), np.nan), np.zeros((4, 2)), components=1)
