"""New latents: drawn, disturbed, edited, and between two sounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent.latents import generation

KINDS = ["normal", "gaussian", "mixture"]
QUICK = settings(max_examples=25, deadline=None)


def corpus(b: int = 40, k: int = 3, t: int = 50) -> np.ndarray:
    """Latents with a mean, correlated components and slow frames."""
    rng = np.random.default_rng(1)
    white = rng.standard_normal((b, k, t))
    for i in range(1, t):
        white[..., i] = 0.8 * white[..., i - 1] + 0.6 * white[..., i]
    mix = np.array([[2, 0, 0], [1, 0.5, 0], [0, 0, 0.1]])[:k, :k]
    return (np.array([5, -1, 0])[:k, None] + mix @ white).astype(np.float32)


def pair(k: int = 4, t: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal((2, k, t)).astype(np.float32))


# ---------------------------------------------------------------------------- at random


@pytest.mark.parametrize("kind", KINDS)
def test_draws_have_shape_and_follow_their_seed(kind):
    z = corpus()
    drawn = generation.random(z, 5, kind=kind, seed=3)
    assert drawn.shape == (5, 3, 50) and drawn.dtype == np.float32 and np.isfinite(drawn).all()
    assert np.array_equal(drawn, generation.random(z, 5, kind=kind, seed=3))
    assert not np.array_equal(drawn, generation.random(z, 5, kind=kind, seed=4))


@pytest.mark.parametrize("kind", ["gaussian", "mixture"])
def test_fitted_draws_have_the_corpus_mean_and_covariance(kind):
    z = corpus()
    drawn = generation.random(z, 400, kind=kind)
    rows, want = (a.transpose(0, 2, 1).reshape(-1, 3) for a in (drawn, z))
    spread = want.std(axis=0)
    assert (np.abs(rows.mean(axis=0) - want.mean(axis=0)) < 0.1 * spread).all()
    scale = np.outer(spread, spread)
    np.testing.assert_allclose(np.cov(rows.T) / scale, np.cov(want.T) / scale, atol=0.1)


def test_gaussian_draws_keep_the_memory_of_the_frames():
    z = corpus()
    for kind, want in (("gaussian", 0.8), ("mixture", 0.0)):
        x = generation.random(z, 200, kind=kind)[:, 0]
        assert np.corrcoef(x[:, 1:].ravel(), x[:, :-1].ravel())[0, 1] == pytest.approx(
            want, abs=0.05
        )


def test_a_mixture_finds_what_one_gaussian_cannot():
    z = np.full((4, 2, 60), -3, np.float32)
    z[:, :, 30:] = 3
    z += np.random.default_rng(0).normal(0, 0.1, z.shape).astype(np.float32)
    assert np.abs(generation.random(z, 20, kind="mixture")).min() > 2
    assert np.abs(generation.random(z, 20, kind="gaussian")).min() < 1


@pytest.mark.parametrize("kind", KINDS)
def test_silent_and_tiny_corpora_are_no_trouble(kind):
    for z in (np.zeros((3, 2, 4), np.float32), np.ones((2, 1, 1), np.float32), corpus(2, 2, 1)):
        assert np.isfinite(generation.random(z, 2, kind=kind)).all()


# ---------------------------------------------------------------------------- noise and edits


def test_no_noise_is_identity_and_more_is_more():
    z = corpus()
    assert np.array_equal(generation.noise(z, 0), z)
    distances = [np.linalg.norm(generation.noise(z, amount) - z) for amount in (0.1, 0.5, 2)]
    assert distances == sorted(distances)
    assert np.array_equal(generation.noise(z, 0.5, seed=1), generation.noise(z, 0.5, seed=1))
    assert not np.array_equal(generation.noise(z, 0.5, seed=1), generation.noise(z, 0.5, seed=2))


@pytest.mark.parametrize("one", [False, True])
def test_noise_is_as_large_as_each_component(one):
    z = corpus(t=2000)[:2]
    z = z[0] if one else z
    axes = 1 if one else (0, 2)
    ratio = (generation.noise(z, 0.5) - z).std(axis=axes) / z.std(axis=axes)
    np.testing.assert_allclose(ratio, 0.5, rtol=0.1)


def test_edits_touch_the_chosen_component_only():
    z = corpus()
    shifted, scaled = (
        generation.edit(z, 1, amount=2.0),
        generation.edit(z, [0, 2], amount=0.0, kind="scale"),
    )
    np.testing.assert_allclose(shifted[:, 1], z[:, 1] + 2 * z[:, 1].std(), rtol=1e-4, atol=1e-4)
    assert np.array_equal(shifted[:, [0, 2]], z[:, [0, 2]])
    assert not scaled[:, [0, 2]].any() and np.array_equal(scaled[:, 1], z[:, 1])
    assert np.array_equal(generation.edit(z, 0, amount=0.0), z) and np.array_equal(
        generation.edit(z, 0, amount=1.0, kind="scale"), z
    )
    assert generation.edit(z[0], 2, amount=-1).shape == (3, 50)


def test_a_latent_of_one_frame_takes_its_size_from_the_corpus():
    z = corpus()[:, :, :1]
    size = generation.spread(z)
    np.testing.assert_allclose(size[:, 0], z.std(axis=(0, 2)), rtol=1e-5)
    one = z[0]
    assert np.array_equal(generation.edit(one, 1, amount=2.0), one)  # by itself it has no size
    moved = generation.edit(one, 1, amount=2.0, size=size)
    np.testing.assert_allclose(moved - one, [[0], [2 * size[1, 0]], [0]], atol=1e-5)
    many = np.stack([generation.noise(one, 0.5, seed=i, size=size) - one for i in range(400)])
    np.testing.assert_allclose(many.std(0), 0.5 * size, rtol=0.2)


# ---------------------------------------------------------------------------- between two sounds


@QUICK
@given(
    k=st.integers(1, 5), t=st.integers(1, 9), steps=st.integers(2, 6), seed=st.integers(0, 99),
    kind=st.sampled_from(["linear", "spherical"]),
)  # fmt: skip
def test_ends_are_exact_and_the_way_is_finite(k, t, steps, seed, kind):
    a, b = pair(k, t, seed)
    way = generation.interpolate(a, b, steps, kind)
    assert way.shape == (steps, k, t) and way.dtype == np.float32 and np.isfinite(way).all()
    assert np.array_equal(way[0], a) and np.array_equal(way[-1], b)
    back = generation.interpolate(b, a, steps, kind)[::-1]
    np.testing.assert_allclose(way, back, atol=1e-5)
    np.testing.assert_allclose(generation.interpolate(a, a, steps, kind), [a] * steps, atol=1e-6)


def test_linear_is_the_straight_line_and_spherical_keeps_norms():
    a, b = pair()
    np.testing.assert_allclose(
        generation.blend(a, b, position=0.25), 0.75 * a + 0.25 * b, rtol=1e-6, atol=1e-6
    )
    a, b = (z / np.linalg.norm(z, axis=0) * 3 for z in (a, b))
    way = generation.interpolate(a, b, 9, "spherical")
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), 3, rtol=1e-5)
    assert np.linalg.norm(generation.blend(a, b, position=0.5), axis=0).max() < 3
    step = np.einsum("nkt,nkt->nt", way[1:], way[:-1])
    np.testing.assert_allclose(step, step[:1].repeat(8, axis=0), rtol=1e-4)  # equal angles


def test_spherical_goes_straight_where_there_is_no_arc():
    a, _ = pair()
    for b in (-a, 2 * a, np.zeros_like(a)):
        np.testing.assert_allclose(
            generation.blend(a, b, position=0.5, kind="spherical"), (a + b) / 2, atol=1e-5
        )


@pytest.mark.parametrize("kind", ["linear", "spherical"])
@pytest.mark.parametrize("windows", [0, 3])
def test_a_crossover_begins_as_a_and_ends_as_b(kind, windows):
    a, b = (corpus()[i : i + windows] if windows else corpus()[i] for i in (0, 20))
    z = generation.crossover(a, b, kind)
    assert z.shape == a.shape
    first, last = (lambda x: x[..., 0].reshape(-1, 3)[0]), (lambda x: x[..., -1].reshape(-1, 3)[-1])
    assert np.array_equal(first(z), first(a)) and np.array_equal(last(z), last(b))
    to_a, to_b = (np.abs(z - x).mean(axis=-2).ravel() for x in (a, b))
    fifth = len(to_a) // 5
    assert to_a[:fifth].mean() < to_b[:fifth].mean() and to_b[-fifth:].mean() < to_a[-fifth:].mean()


# ---------------------------------------------------------------------------- at the door


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda z: generation.random(z[0], 1), r"float32 \(3, 50\); give floats \(B, K, T\)"),
        (lambda z: generation.random(z, 0), "draw at least 1"),
        (lambda z: generation.random(z, 1, kind="flow"), "choose one of: normal, gaussian"),
        (lambda z: generation.random(z[:1, :, :1], 1, kind="mixture"), "single frame"),
        (lambda z: generation.noise(z[0, 0], 1), r"give floats \(K, T\) or \(B, K, T\)"),
        (lambda z: generation.noise(z[:0], 1), "not empty"),
        (lambda z: generation.noise(z.astype(int), 1), "latents are int64"),
        (lambda z: generation.noise(z / 0, 1), "NaN or infinity"),
        (lambda z: generation.noise(z, -1), "0 or more"),
        (lambda z: generation.noise(z, np.nan), "0 or more"),
        (lambda z: generation.edit(z, 3, amount=1), "choose from 0 to 2"),
        (lambda z: generation.edit(z, -1, amount=1), "choose from 0 to 2"),
        (lambda z: generation.edit(z, 0.5, amount=1), "choose from 0 to 2"),
        (lambda z: generation.edit(z, 0, amount=np.inf), "finite"),
        (lambda z: generation.edit(z, 0, amount=1, kind="turn"), "choose one of: shift, scale"),
        (lambda z: generation.blend(z, z[:1], position=0.5), "same length"),
        (lambda z: generation.blend(z, z, position=1.5), "from 0, which is A, to 1"),
        (lambda z: generation.blend(z, z, position=0.5, kind="cubic"), "choose one of: linear"),
        (lambda z: generation.interpolate(z, z, 1), "take at least 2"),
        (lambda z: generation.crossover(z[0], z), "same length"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_has_no_meaning_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call(corpus())
