"""Samples that are stored, that are means, that are fresh: each comes out as what it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from musiclatent.analysis import projection
from musiclatent.analysis.sample_quality import copy_test, evaluate, fidelity, frechet_distance
from musiclatent.data.datamodules import DigitsDataModule

CLASSES, WIDTH = 10, 6


@pytest.fixture
def sets(rng) -> dict[str, np.ndarray]:
    """Return three draws of ten clusters, and what a generator could make of the first."""
    centres = rng.normal(0, 5, (CLASSES, WIDTH))
    draw = {
        name: centres[np.arange(n) % CLASSES] + rng.normal(0, 1, (n, WIDTH))
        for name, n in (("training", 1000), ("held_out", 200), ("fresh", 200))
    }
    means = np.stack([draw["training"][i::CLASSES].mean(axis=0) for i in range(CLASSES)])
    draw["stored"] = draw["training"][:200] + 1e-3 * rng.normal(0, 1, (200, WIDTH))
    draw["means"] = np.repeat(means, 20, axis=0)
    draw["off"] = draw["fresh"] + rng.normal(0, 6, (200, WIDTH))
    return draw


def _judged(sets: dict[str, np.ndarray], name: str) -> dict[str, float]:
    return evaluate(sets[name], sets["held_out"], training=sets["training"])


def test_stored_recordings_are_copies(sets):
    stored, fresh = _judged(sets, "stored"), _judged(sets, "fresh")
    assert stored["copy_test_z"] < -15
    assert stored["near_share"] == 1 > 5 * fresh["near_share"]
    assert stored["precision"] == 1  # which precision does not see
    assert stored["coverage"] > 0.9 * fresh["coverage"]


def test_fresh_recordings_are_real_ones(sets):
    fresh, held_out = _judged(sets, "fresh"), _judged(sets, "held_out")
    assert abs(fresh["copy_test_z"]) < 2 and held_out["copy_test_z"] == 0
    for name in ("precision", "recall", "density", "coverage"):
        assert fresh[name] == pytest.approx(held_out[name], rel=0.15)
    assert 0.01 < fresh["near_share"] < 0.12  # one in twenty, and no copies


def test_class_means_are_dense_and_cover_nothing(sets):
    means, fresh = _judged(sets, "means"), _judged(sets, "fresh")
    assert means["precision"] == 1 and means["density"] > 2 * fresh["density"]
    assert means["coverage"] < 0.3 * fresh["coverage"] and means["recall"] < 0.01


def test_what_lies_off_the_data_is_neither_a_copy_nor_plausible(sets):
    off, fresh = _judged(sets, "off"), _judged(sets, "fresh")
    assert off["copy_test_z"] > 10 and off["near_share"] == 0
    assert off["precision"] < 0.5 * fresh["precision"] and off["density"] < 0.5 * fresh["density"]


def test_the_copy_test_by_hand():
    training = np.zeros((1, 1))
    samples, held_out = np.array([[1.0], [2.0]]), np.array([[3.0], [-4.0]])
    # Ranks 1 + 2 of four: 5 expected, with a variance of 2 x 2 x 5 / 12.
    assert copy_test(samples, held_out, training) == pytest.approx((3 - 5) / np.sqrt(20 / 12))
    assert copy_test(held_out, samples, training) == pytest.approx((7 - 5) / np.sqrt(20 / 12))
    assert copy_test(-samples, samples, training) == 0  # all equal


def test_fidelity_by_hand():
    recordings, samples = np.array([[0.0], [1.0], [3.0], [10.0]]), np.array([[0.5], [5.0], [40.0]])
    found = fidelity(samples, recordings, k=1)
    # Recordings' balls reach 1, 1, 2 and 7; samples' balls 4.5, 4.5 and 35.
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["density"] == pytest.approx((2 + 2) / 3)
    assert found["coverage"] == 1
    assert found["recall"] == 1
    assert found["near_share"] == pytest.approx(1 / 3)  # 0.5 alone is nearer than 1
    assert fidelity(samples + 100, recordings, k=1) == dict.fromkeys(found, 0.0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), factor=st.floats(0.01, 100), shift=st.floats(-50, 50))
def test_scale_and_place_do_not_matter(seed, factor, shift):
    rng = np.random.default_rng(seed)
    x = {name: rng.normal(0, 1, (20, 3)) for name in ("samples", "held_out", "training")}
    moved = {name: factor * rows + shift for name, rows in x.items()}
    assert evaluate(**moved) == pytest.approx(evaluate(**x))


@pytest.mark.parametrize("name", ["samples", "held_out", "training"])
@pytest.mark.parametrize(
    ("rows", "words"), [(np.ones((0, 3)), "not empty"), (np.full((9, 3), np.nan), "NaN")]
)
def test_tables_that_cannot_be_judged(name, rows, words):
    x = dict.fromkeys(("samples", "held_out", "training"), np.eye(9, 3)) | {name: rows}
    with pytest.raises(ValueError, match=words):
        copy_test(**x)


def test_other_features_and_too_few_rows():
    with pytest.raises(ValueError, match=r"samples have shape \(9, 2\); give a table \(B, 3\)"):
        copy_test(np.eye(9, 2), np.eye(9, 3), training=np.eye(9, 3))
    with pytest.raises(ValueError, match=r"there are \(5, 9\) samples and recordings; 6 are"):
        fidelity(np.eye(5, 3), np.eye(9, 3))


def test_the_same_set_in_any_order_has_no_distance(rng):
    x = rng.normal(size=(50, 6))
    assert frechet_distance(x, rng.permutation(x)) == pytest.approx(0, abs=1e-9)


def test_a_shift_counts_by_its_square_and_a_scale_by_the_spread():
    x = np.array([[-1.0], [1.0]])  # variance 2
    assert frechet_distance(x, x + 3) == pytest.approx(9)
    assert frechet_distance(x, 2 * x) == pytest.approx(2)  # (2 - 1) ** 2 of 2


def test_it_is_the_formula_with_roots_of_matrices(rng):
    x, y = rng.normal(size=(80, 4)), rng.normal(size=(90, 4)) @ rng.normal(size=(4, 4)) + 1
    a, b = np.cov(x.T), np.cov(y.T)
    root = np.trace(sqrtm(a @ b).real)
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a + b) - 2 * root
    assert frechet_distance(x, y) == pytest.approx(expected)
    assert frechet_distance(y, x) == pytest.approx(expected)


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
        frechet_distance(x, y)


@pytest.mark.real
def test_spoken_digits_come_out_as_what_they_are(data_root, tmp_path):
    data = DigitsDataModule(folder=tmp_path, root=data_root)
    spectra = data.spectrograms("train")
    rows = [data.spectrograms(part).x for part in ("train", "validation", "test")]
    rows = [x.reshape(len(x), -1) for x in rows]
    pca = projection.components(rows[0], 64, whiten=True)
    training, fresh, held_out = map(pca.transform, rows)
    classes = spectra.items["label"] + spectra.items["speaker"]
    means = np.stack([training[classes == name].mean(axis=0) for name in sorted(set(classes))])
    stored, means = training[:: len(training) // len(held_out)], np.repeat(means, 5, axis=0)
    sets = {"training": training, "held_out": held_out, "stored": stored, "fresh": fresh}
    stored, fresh, means = (
        _judged(sets | {"means": means}, name) for name in ("stored", "fresh", "means")
    )
    assert stored["copy_test_z"] < -15 and abs(fresh["copy_test_z"]) < 3
    assert means["recall"] < 0.3 * fresh["recall"] and means["density"] > 3 * fresh["density"]
    assert means["near_share"] == 0 < fresh["near_share"]  # by which they would count as new
