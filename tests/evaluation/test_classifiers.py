"""Temperatures and calibration errors of probabilities whose truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone

from musiclatent.evaluation.classifiers import (
    MODELS,
    SEEDED,
    Logs,
    Whiten,
    apply_temperature,
    brier_scores,
    calibration_gaps,
    compare_calibration,
    fit_temperature,
    log_losses,
    make_classifier,
    reliability_curve,
)


@pytest.fixture
def honest(rng) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (B, 4) that are true, and classes drawn from them."""
    p = rng.dirichlet(np.full(4, 0.7), size=6000)
    return p, (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1).clip(max=3)


ROWS = arrays(float, (5, 3), elements=st.floats(0.01, 1)).map(lambda x: x / x.sum(1, keepdims=True))


@settings(max_examples=50, deadline=None)
@given(ROWS, st.floats(0.2, 5))
def test_tempering_keeps_order_and_sum_and_can_be_undone(p, t):
    warmed = apply_temperature(p, t)
    np.testing.assert_allclose(warmed.sum(axis=1), 1)
    best = p.argmax(axis=1)[:, None]
    np.testing.assert_allclose(np.take_along_axis(warmed, best, 1)[:, 0], warmed.max(axis=1))
    np.testing.assert_allclose(apply_temperature(warmed, 1 / t), p, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(apply_temperature(p, 1), p)


def test_hot_is_unsure_and_cold_is_sure():
    p = np.array([[0.7, 0.3, 0.0]])
    assert apply_temperature(p, 1e6)[0] == pytest.approx(1 / 3, abs=1e-4)
    assert apply_temperature(p, 0.01)[0] == pytest.approx([1, 0, 0], abs=1e-9)
    assert apply_temperature(p, 2)[0, 0] == pytest.approx(
        0.7**0.5 / (0.7**0.5 + 0.3**0.5), abs=1e-5
    )


@pytest.mark.parametrize("value", [0, -1, np.nan])
def test_temperatures_that_cannot_be(value):
    with pytest.raises(ValueError, match="cannot be; give one above 0"):
        apply_temperature(np.array([[0.5, 0.5]]), value)


@pytest.mark.parametrize("off", [0.4, 1, 2.5])
def test_the_temperature_is_found_that_undoes_one(honest, off):
    p, codes = honest
    assert fit_temperature(apply_temperature(p, off), codes) == pytest.approx(1 / off, rel=0.06)


def test_one_sided_rows_stay_within_bounds():
    p = np.array([[0.9, 0.1]] * 10)
    assert 0.05 <= fit_temperature(p, np.zeros(10, int)) < 0.1  # always right
    assert fit_temperature(p, np.ones(10, int)) == pytest.approx(20, rel=0.01)  # always wrong


def test_a_class_without_a_column_is_no_help_to_a_temperature(honest):
    p, codes = honest[0][:500], honest[1][:500]
    unknown = np.r_[codes, np.full(100, -1)]
    both = np.r_[p, np.tile([0.0, 0, 0, 1], (100, 1))]
    assert fit_temperature(both, unknown) == fit_temperature(p, codes)
    found = reliability_curve(both, unknown)
    assert found["n"].iloc[-1] >= 100 and found["n"].sum() == 600
    assert calibration_gaps(both[500:], unknown[500:]).tolist() == [1] * 100  # they are wrong
    assert brier_scores(both[500:], unknown[500:]).tolist() == [2] * 100
    assert (log_losses(both[500:], unknown[500:]) > 20).all()
    with pytest.raises(ValueError, match="no row is of a class with a column"):
        fit_temperature(p, np.full(500, -1))


def test_a_curve_known_by_hand():
    sure = np.array([[0.8, 0.2]] * 10 + [[1.0, 0.0]] * 5 + [[0.45, 0.55]] * 2)
    codes = np.array([0] * 8 + [1] * 2 + [0] * 5 + [0] * 2)
    found = reliability_curve(sure, codes)
    assert list(found) == ["confidence", "accuracy", "n"]
    assert found["n"].tolist() == [2, 10, 5]  # equal ones stay together
    assert found["confidence"].tolist() == pytest.approx([0.55, 0.8, 1])
    assert found["accuracy"].tolist() == pytest.approx([0, 0.8, 1])
    assert calibration_gaps(sure, codes).mean() == pytest.approx(0.55 * 2 / 17)
    assert len(reliability_curve(sure, codes, bins=1)) == 1


def test_ranges_hold_as_many_rows_each(honest):
    found = reliability_curve(*honest)
    assert found["n"].tolist() == [600] * 10 and found["confidence"].is_monotonic_increasing
    assert reliability_curve(honest[0][:25], honest[1][:25], bins=5)["n"].tolist() == [5] * 5


def test_gaps_have_the_sign_of_their_range():
    """Two ranges of two rows: 0.6 and 0.7 both right, 0.8 and 0.9 both wrong."""
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3]])
    gaps = calibration_gaps(p, np.array([1, 0, 1, 0]), bins=2)
    np.testing.assert_allclose(gaps, [0.9, 0.4, 0.8, 0.3])
    half = calibration_gaps(p[[1, 1]], np.array([0, 1]), bins=1)  # 0.6 sure, half right
    np.testing.assert_allclose(half, [-0.4, 0.6])


def test_measures_of_the_extremes():
    sure, right, wrong = np.eye(3), np.arange(3), np.array([1, 2, 0])
    for measure in (calibration_gaps, log_losses, brier_scores):
        assert measure(sure, right).tolist() == [0, 0, 0]
    assert calibration_gaps(sure, wrong).mean() == 1
    assert brier_scores(sure, wrong).tolist() == [2, 2, 2]
    assert log_losses(sure, wrong) == pytest.approx(12 * np.log(10))


def test_measures_known_by_hand():
    p, codes = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]), np.array([1, 1])
    assert log_losses(p, codes) == pytest.approx(-np.log([0.3, 0.8]))
    assert brier_scores(p, codes) == pytest.approx([0.25 + 0.49 + 0.04, 0.01 + 0.04 + 0.01])


def test_true_probabilities_have_a_small_error(honest):
    p, codes = honest
    assert calibration_gaps(p, codes).mean() < 0.02
    assert calibration_gaps(apply_temperature(p, 0.4), codes).mean() > 0.1
    for measure in (log_losses, brier_scores):  # least for the true ones
        for t in (0.4, 2.5):
            assert measure(apply_temperature(p, t), codes).mean() > measure(p, codes).mean()
    rows = reliability_curve(p, codes)
    assert (rows["confidence"] - rows["accuracy"]).abs().max() < 0.1


def test_a_temperature_of_other_rows_helps(honest):
    p, codes = apply_temperature(honest[0], 0.4), honest[1]
    heat = fit_temperature(p[::2], codes[::2])
    curves, errors = compare_calibration(p[1::6], codes[1::6], heat)
    assert list(curves) == ["as it is", f"temperature {heat:.2f}"]
    assert all(table["n"].sum() == 1000 for table in curves.values())
    ends = ("{}_raw", "{}", "{}_gain", "{}_gain_low", "{}_gain_high", "{}_gain_p")
    names = ("calibration_error", "log_loss", "brier")
    assert list(errors) == [end.format(name) for name in names for end in ends]
    assert errors["calibration_error"] < 0.05 < 0.1 < errors["calibration_error_raw"]
    for name in names:
        gain = errors[f"{name}_raw"] - errors[name]
        assert errors[f"{name}_gain"] == pytest.approx(gain) and errors[f"{name}_gain_low"] > 0


def test_bounds_of_a_gain_are_of_units(honest):
    p, codes = apply_temperature(honest[0][:200], 0.4), honest[1][:200]
    rows = compare_calibration(p, codes, 2.5)[1]
    units = compare_calibration(p, codes, 2.5, units=np.arange(200) // 50)[1]
    assert units["brier_gain"] == pytest.approx(rows["brier_gain"])
    assert units["brier_gain_low"] != rows["brier_gain_low"]
    same = compare_calibration(p, codes, 1.0)[1]
    assert [same[f"{name}_gain"] for name in ("log_loss", "brier")] == pytest.approx([0, 0])


@pytest.mark.parametrize(
    "call",
    [fit_temperature, reliability_curve, calibration_gaps, log_losses, brier_scores],
)
@pytest.mark.parametrize(
    ("p", "codes", "words"),
    [
        (np.zeros((0, 2)), [], "shape .*; one per row"),
        (np.array([0.5, 0.5]), [0, 1], "shape"),
        (np.eye(2), [0], r"classes \(1,\); one per row"),
        (np.array([[0.5, 0.6]]), [0], "no probabilities"),
        (np.array([[-0.5, 1.5]]), [0], "must not be negative and have sum 1"),
        (np.array([[np.nan, 1.0]]), [0], "no probabilities"),
        (np.eye(2), [0, 2], "classes go from 0 to 2, columns from 0 to 1; give column numbers"),
        (np.eye(2), [0, -2], "or -1 where there is none"),
    ],
)
def test_rows_that_are_no_probabilities(call, p, codes, words):
    with pytest.raises(ValueError, match=words):
        call(p, np.array(codes))


FAST = [name for name in MODELS if name != "mlp"]


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    for name in ("forest", "vote"):
        model = clone(MODELS[name])
        trees = [key for key in model.get_params() if key.endswith("n_estimators")]
        monkeypatch.setitem(MODELS, name, model.set_params(**dict.fromkeys(trees, 25)))


def blobs(n: int = 45, seed: int = 0, apart: float = 4) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, 6), most of them above zero, of three labels that stand `apart`."""
    rng = np.random.default_rng(seed)
    labels = np.array(["rock", "blues", "jazz"])[np.arange(n) % 3]
    x = rng.normal(size=(n, 6))
    for i, label in enumerate(("blues", "jazz", "rock")):
        x[labels == label, i] += apart
    return np.concatenate([np.exp(0.3 * x[:, :5]), x[:, 5:]], axis=1), labels


def test_logs_of_columns_above_zero():
    x = np.array([[1.0, 0.0, -2.0], [np.e, 1.0, 3.0]])
    np.testing.assert_allclose(Logs().fit_transform(x), [[0, 0, -2], [1, 1, 3]])


def test_logs_are_chosen_by_training_rows_alone():
    logs = Logs().fit(np.array([[1.0, -1.0], [4.0, 5.0]]))
    new = np.array([[-3.0, 8.0], [0.0, 8.0], [0.5, 8.0], [np.e, -9.0]])
    np.testing.assert_allclose(logs.transform(new), [[0, 8], [0, 8], [0, 8], [1, -9]])
    np.testing.assert_array_equal(logs.least_, [1, np.nan])
    np.testing.assert_allclose(logs.transform(new)[:1], logs.transform(new[:1]))


def test_logs_leave_the_table_as_it_is():
    x = np.array([[1.0], [2.0]])
    Logs().fit_transform(x)
    np.testing.assert_array_equal(x, [[1], [2]])


def test_labels_spread_alike_after_whitening(rng):
    labels = np.repeat(["a", "b", "c"], 200)
    x = rng.normal(size=(600, 4)) @ rng.normal(size=(4, 4)) * 50
    x += np.repeat(rng.normal(size=(3, 4)) * 1000, 200, axis=0)
    turned = Whiten(shrinkage=1e-9).fit(x, labels).transform(x)
    inner = np.concatenate([turned[labels == c] - turned[labels == c].mean(0) for c in "abc"])
    np.testing.assert_allclose(inner.T @ inner / 600, np.eye(4), atol=1e-4)
    np.testing.assert_allclose(turned.mean(axis=0), 0, atol=1e-8)


def test_full_shrinkage_only_scales(rng):
    x, labels = rng.normal(size=(40, 3)) * [1, 5, 9], np.repeat(["a", "b"], 20)
    found = Whiten(shrinkage=1.0).fit(x, labels)
    np.testing.assert_allclose(found.rotation_, np.eye(3) * found.rotation_.max(), atol=1e-12)


def test_whitening_without_scatter(rng):
    x = rng.normal(size=(3, 5))
    found = Whiten().fit(x, np.array(["a", "b", "c"])).transform(x)  # one row a label
    assert np.isfinite(found).all()
    constant = np.ones((6, 2))
    assert (Whiten().fit(constant, np.repeat(["a", "b"], 3)).transform(constant) == 0).all()


def test_whitening_can_be_cloned():
    assert clone(Whiten(0.3)).shrinkage == 0.3


@pytest.mark.parametrize("name", MODELS)
def test_what_stands_apart_is_told_apart(name):
    x, labels = blobs(150, apart=12)  # leaves of boosting hold 20 rows
    new, truth = blobs(30, seed=1, apart=12)
    model = make_classifier(name).fit(x, labels)
    assert model.classes_.tolist() == ["blues", "jazz", "rock"]
    said = model.predict_proba(new)
    assert said.shape == (30, 3) and (said >= 0).all()
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert (model.classes_[said.argmax(axis=1)] == truth).mean() >= 0.95
    np.testing.assert_array_equal(model.predict(new), model.classes_[said.argmax(axis=1)])


@pytest.mark.parametrize("name", ["svm", "lda", "gp", "logistic"])
def test_two_labels(name):
    x, labels = blobs()
    kept = labels != "jazz"
    model = make_classifier(name).fit(x[kept], labels[kept])
    said = model.predict_proba(x[kept])
    assert said.shape == (30, 2)
    np.testing.assert_allclose(said.sum(axis=1), 1)
    np.testing.assert_array_equal(model.classes_[said.argmax(axis=1)], model.predict(x[kept]))


@pytest.mark.parametrize("name", FAST)
def test_a_row_is_judged_alone(name):
    """The other rows that are asked about neither shift scales nor ranks."""
    x, labels = blobs(apart=2)
    new, _ = blobs(12, seed=1, apart=2)
    model = make_classifier(name).fit(x, labels)
    said = model.predict_proba(new)
    np.testing.assert_allclose(model.predict_proba(new[:1]), said[:1], rtol=1e-6)
    strange = np.concatenate([new[:1], 1e3 * new[1:] - 50])
    np.testing.assert_allclose(model.predict_proba(strange)[:1], said[:1], rtol=1e-6)


def test_seeded_ones_depend_on_the_seed_and_on_nothing_else():
    x, labels = blobs(apart=1)
    new, _ = blobs(30, seed=1, apart=1)
    for name in FAST:
        first, same, other = (
            make_classifier(name, seed).fit(x, labels).predict_proba(new) for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(first, same, err_msg=name)
        if name == "boosting":  # on few rows it draws nothing
            continue
        assert (first != other).any() == (name in SEEDED), name


def test_it_is_made_anew():
    assert make_classifier("lda") is not make_classifier("lda")
    assert not hasattr(make_classifier("lda"), "classes_")


def test_no_such_classifier():
    with pytest.raises(ValueError, match="no classifier named 'tree'; choose one of: logistic"):
        make_classifier("tree")
