"""Eight bits and what they cost: exact cases, round trips, bounds by zlib."""

import zlib

import numpy as np
import pytest

from musiclatent import coding


def test_what_lies_on_the_steps_comes_back_exactly_and_the_rest_within_half_a_step(rng):
    z = np.stack([np.arange(256.0), np.arange(256.0) / 16 - 4])[None]
    exact = coding.fit(z, "dense")
    np.testing.assert_allclose(exact.rounded(z), z, atol=1e-5)
    z = rng.normal(size=(5, 3, 400)) * [[1.0], [10.0], [0.1]]
    quantiser = coding.fit(z, "dense")
    assert (np.abs(quantiser.rounded(z) - z) <= 0.501 * quantiser.step).all()
    outside = quantiser.rounded(z + 1e3)
    np.testing.assert_allclose(outside.max(axis=(0, 2)), z.max(axis=(0, 2)), rtol=1e-5)


def test_what_comes_evenly_costs_eight_bits_and_what_never_changes_nearly_none(rng):
    even = np.tile(np.arange(256.0), 400).reshape(4, 1, -1)
    assert coding.fit(even, "dense").bits(even) / even[0].size == pytest.approx(8.0)
    still = np.ones((4, 2, 100_000))
    assert (coding.fit(still, "dense").bits(still) / still[0].size < 0.01).all()


def test_bits_are_near_the_entropy_and_below_what_zlib_needs(rng):
    z = rng.normal(size=(20, 1, 20_000))
    quantiser = coding.fit(z[:10], "dense")
    bits = quantiser.bits(z[10:]) / 20_000
    symbols = np.rint((z[10:] - quantiser.low) / quantiser.step).clip(0, 255).astype(np.uint8)
    counts = np.bincount(symbols.ravel(), minlength=256) / symbols.size
    entropy = -(counts[counts > 0] * np.log2(counts[counts > 0])).sum()
    assert entropy - 0.01 < bits.mean() < entropy + 0.02
    assert bits.mean() < 8 * len(zlib.compress(symbols.tobytes(), 9)) / symbols.size


def sparse(rng, size: int, k: int, places: int) -> np.ndarray:
    where = [np.sort(rng.choice(places, k, replace=False)) for _ in range(size)]
    return np.stack([rng.normal(size=(size, k)), where], axis=1).astype(np.float32)


def test_positions_are_kept_and_cost_what_choosing_them_costs(rng):
    k, places = 4000, 100_000
    z = sparse(rng, 20, k, places)
    quantiser = coding.fit(z, "sparse")
    np.testing.assert_array_equal(quantiser.rounded(z)[:, 1], z[:, 1])
    assert (np.abs(quantiser.rounded(z) - z)[:, 0] <= 0.501 * quantiser.step).all()
    p = k / places  # the least that any coder needs for positions without order
    least = places * -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    values = quantiser.costs[0][coding._symbols(quantiser, z)].sum(axis=(1, 2))
    positions = quantiser.bits(z) - values
    assert (positions > 0.98 * least).all() and (positions < 1.03 * least).all()


def test_far_gaps_are_sent_too():
    z = np.array([[[1.0, -1.0, 0.5], [0.0, 300.0, 9_000_000.0]]])
    assert np.isfinite(coding.fit(z, "sparse").bits(z)).all()
    symbols, plain = coding._gaps(z)
    assert symbols.tolist() == [[1, 256 + 8, 256 + 23]] and plain.tolist() == [[0, 8, 23]]


@pytest.mark.parametrize(
    ("z", "form", "words"),
    [
        (np.zeros((2, 3)), "dense", "cannot have the shape"),
        (np.zeros((2, 3, 4)), "sparse", "cannot have the shape"),
        (np.full((1, 2, 3), np.nan), "dense", "NaN"),
        (np.zeros((1, 2, 3)), "odd", "no form of a code named 'odd'"),
        (np.zeros((1, 2, 3)), "sparse", "must rise"),
    ],
)
def test_what_is_no_code_is_refused(z, form, words):
    with pytest.raises(ValueError, match=words):
        coding.fit(z, form)
