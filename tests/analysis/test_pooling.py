"""Energy of sparse codes by band and frame."""

import numpy as np
import pytest

from musiclatent.analysis import pooling

SR = 8000


def test_energy_of_a_sparse_code_lies_where_its_atoms_lie():
    hops, n = [64, 4096], 8192
    z = np.array([[[2.0, 3.0], [10 * 64 + 32, n + 4096 + 1024]]])  # frame 10; second long frame
    found = pooling.atom_energy(z, hops, samples=n, sr=SR)
    assert found.shape == (1, pooling.BANDS, 8)
    assert found.sum() == pytest.approx(4 + 9)
    assert found[0].sum(axis=0).tolist() == pytest.approx([4, 0, 0, 0, 9 / 4, 9 / 4, 9 / 4, 9 / 4])
    low, high = (np.flatnonzero(found[0, :, t])[0] for t in (4, 0))
    assert low < high < pooling.BANDS  # 1,000 Hz and 2,031 Hz


def test_dense_latents_stay_and_sparse_ones_become_maps(rng):
    z = rng.normal(size=(3, 24)).astype(np.float32)
    np.testing.assert_array_equal(
        pooling.as_channels(z, {"latent_shape": [4, 6]}), z.reshape(3, 4, 6)
    )
    z[:, 12:] = np.arange(12) * 700
    about = {"latent_shape": [2, 12], "hops": [64, 1024], "sr": SR, "window_s": 0.512}
    found = pooling.as_channels(z, about)
    assert found.shape == (3, pooling.BANDS, 4) and (found >= 0).all()
    power = np.square(z[:, :12]).sum(axis=1)
    np.testing.assert_allclose(np.square(found).sum(axis=(1, 2)), power, rtol=1e-5)
    rows = pooling.comparison_vectors(z, about | {"input": "waveform"})
    np.testing.assert_array_equal(rows, found.reshape(3, -1))


def test_summaries_are_mean_and_deviation_over_time():
    z = np.array([[[1.0, 3.0], [5.0, 5.0]]], np.float16)
    assert pooling.mean_and_deviation(z).tolist() == [[2.0, 5.0, 1.0, 0.0]]
    assert pooling.mean_and_deviation(z).dtype == np.float32
    with pytest.raises(ValueError, match=r"shape \(2, 3\); give \(B, K, T\)"):
        pooling.mean_and_deviation(np.zeros((2, 3)))


def test_each_kind_of_latent_has_what_it_is_compared_by(rng):
    z = rng.standard_normal((4, 3, 2)).astype(np.float32)
    assert np.array_equal(pooling.WINDOW_POOLING["logmel"](z), pooling.embedding(z))
    for kind in ("waveform", "logstft"):
        assert np.array_equal(pooling.WINDOW_POOLING[kind](z), z.reshape(4, 6))


def test_a_vector_forgets_gain_length_and_sign_but_not_the_balance_of_maps(rng):
    z = rng.standard_normal((4, 6, 33)) * np.arange(1, 7)[:, None]
    want = pooling.mean_levels([z])
    assert want.shape == (6,) and want.sum() == pytest.approx(0, abs=1e-9)
    for same in ([0.1 * z], [-z], [z, z], [z[:1], z[1:]]):
        np.testing.assert_allclose(pooling.mean_levels(same), want, atol=1e-4)
    louder = z * np.array([1, 1, 1, 1, 1, 2])[:, None]  # one map by 6 dB, centred over six
    distance = np.linalg.norm(pooling.mean_levels([louder]) - want)
    assert distance == pytest.approx(6.02 * np.sqrt(5) / 6, rel=1e-2)
    half_silent = pooling.mean_levels([np.concatenate([z, 1e-6 * z])])
    np.testing.assert_allclose(half_silent, want, atol=1e-3)
    assert np.isfinite(pooling.mean_levels([np.zeros((1, 6, 1))])).all()


def test_the_direction_of_a_recording_is_the_mean_embedding_of_its_windows(rng):
    z = rng.standard_normal((5, 3, 7)).astype(np.float32)
    whole = pooling.recording_vector([z], "logmel")
    np.testing.assert_allclose(whole, pooling.recording_vector([z[:2], z[2:]], "logmel"), atol=1e-6)
    np.testing.assert_allclose(
        whole, pooling.recording_vector([4 * z], "logmel"), atol=1e-6
    )  # no gain
    assert whole.shape == (9,) and np.linalg.norm(whole) <= 1 + 1e-6


def test_the_middle_of_a_recording_is_the_mean_latent_of_its_windows(rng):
    z = rng.standard_normal((5, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(
        pooling.recording_vector([z[:2], z[2:]], "logstft"), z.reshape(5, 8).mean(0), atol=1e-6
    )


def test_a_map_of_a_waveform_model_knows_neither_gain_nor_phase(rng):
    z, about = rng.normal(size=(2, 4 * 16)), {"latent_shape": [4, 16], "input": "waveform"}
    rows = pooling.map_vectors(z, about)
    assert rows.shape == (2, 4)
    np.testing.assert_allclose(pooling.map_vectors(-3 * z, about), rows, atol=1e-6)
    z[:, :16] *= 10  # the first channel, by 20 dB
    moved = (pooling.map_vectors(z, about) - rows) * 2  # dB / sqrt(4)
    np.testing.assert_allclose(moved, [[15, -5, -5, -5]] * 2, atol=0.5)
    other = about | {"input": "logstft"}
    np.testing.assert_array_equal(
        pooling.map_vectors(z, other), pooling.comparison_vectors(z, other)
    )


@pytest.mark.parametrize("kind", ["waveform", "logmel"])
def test_many_windows_are_pooled_some_at_a_time(rng, monkeypatch, kind):
    z, about = rng.normal(size=(7, 4 * 16)), {"latent_shape": [4, 16], "input": kind}
    whole = pooling.map_vectors(z, about), pooling.comparison_vectors(z, about)
    monkeypatch.setattr(pooling, "BLOCK", 3)
    parts = pooling.map_vectors(z, about), pooling.comparison_vectors(z, about)
    np.testing.assert_allclose(parts[0], whole[0], atol=1e-9)
    np.testing.assert_allclose(parts[1], whole[1], atol=1e-9)
