"""Temperatures and calibration errors of probabilities whose truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from musiclatent.calibration import calibration_error, compare, curve, temper, temperature


@pytest.fixture
def honest(rng) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (B, 4) that are true, and classes drawn from them."""
    p = rng.dirichlet(np.full(4, 0.7), size=6000)
    return p, (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1).clip(max=3)


ROWS = arrays(float, (5, 3), elements=st.floats(0.01, 1)).map(lambda x: x / x.sum(1, keepdims=True))


@settings(max_examples=50, deadline=None)
@given(ROWS, st.floats(0.2, 5))
def test_tempering_keeps_order_and_sum_and_can_be_undone(p, t):
    warmed = temper(p, t)
    np.testing.assert_allclose(warmed.sum(axis=1), 1)
    best = p.argmax(axis=1)[:, None]
    np.testing.assert_allclose(np.take_along_axis(warmed, best, 1)[:, 0], warmed.max(axis=1))
    np.testing.assert_allclose(temper(warmed, 1 / t), p, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(temper(p, 1), p)


def test_hot_is_unsure_and_cold_is_sure():
    p = np.array([[0.7, 0.3, 0.0]])
    assert temper(p, 1e6)[0] == pytest.approx(1 / 3, abs=1e-4)
    assert temper(p, 0.01)[0] == pytest.approx([1, 0, 0], abs=1e-9)
    assert temper(p, 2)[0, 0] == pytest.approx(0.7**0.5 / (0.7**0.5 + 0.3**0.5), abs=1e-5)


@pytest.mark.parametrize("value", [0, -1, np.nan])
def test_temperatures_that_cannot_be(value):
    with pytest.raises(ValueError, match="cannot be; give one above 0"):
        temper(np.array([[0.5, 0.5]]), value)


@pytest.mark.parametrize("off", [0.4, 1, 2.5])
def test_the_temperature_is_found_that_undoes_one(honest, off):
    p, codes = honest
    assert temperature(temper(p, off), codes) == pytest.approx(1 / off, rel=0.06)


def test_one_sided_rows_stay_within_bounds():
    p = np.array([[0.9, 0.1]] * 10)
    assert 0.05 <= temperature(p, np.zeros(10, int)) < 0.1  # always right
    assert temperature(p, np.ones(10, int)) == pytest.approx(20, rel=0.01)  # always wrong


def test_a_class_without_a_column_is_no_help_to_a_temperature(honest):
    p, codes = honest[0][:500], honest[1][:500]
    unknown = np.r_[codes, np.full(100, -1)]
    both = np.r_[p, np.tile([0.0, 0, 0, 1], (100, 1))]
    assert temperature(both, unknown) == temperature(p, codes)
    found = curve(both, unknown)
    assert found["n"].iloc[-1] >= 100 and found["n"].sum() == 600
    assert calibration_error(both[500:], unknown[500:]) == 1  # they count as wrong
    with pytest.raises(ValueError, match="no row is of a class with a column"):
        temperature(p, np.full(500, -1))


def test_a_curve_known_by_hand():
    sure = np.array([[0.8, 0.2]] * 10 + [[1.0, 0.0]] * 5 + [[0.45, 0.55]] * 2)
    codes = np.array([0] * 8 + [1] * 2 + [0] * 5 + [0] * 2)
    found = curve(sure, codes)
    assert list(found) == ["confidence", "accuracy", "n"]
    assert found["n"].tolist() == [2, 10, 5]
    assert found["confidence"].tolist() == pytest.approx([0.55, 0.8, 1])
    assert found["accuracy"].tolist() == pytest.approx([0, 0.8, 1])
    assert calibration_error(sure, codes) == pytest.approx(0.55 * 2 / 17)
    assert len(curve(sure, codes, bins=1)) == 1


def test_calibration_errors_of_the_extremes():
    sure = np.eye(3)
    assert calibration_error(sure, np.arange(3)) == 0
    assert calibration_error(sure, np.array([1, 2, 0])) == 1


def test_true_probabilities_have_a_small_error(honest):
    p, codes = honest
    assert calibration_error(p, codes) < 0.02
    assert calibration_error(temper(p, 0.4), codes) > 0.1
    rows = curve(p, codes)
    assert (rows["confidence"] - rows["accuracy"]).abs().max() < 0.1


def test_a_temperature_of_other_rows_helps(honest):
    p, codes = temper(honest[0], 0.4), honest[1]
    heat = temperature(p[::2], codes[::2])
    curves, errors = compare(p[1::2], codes[1::2], heat)
    assert list(curves) == ["as it is", f"temperature {heat:.2f}"]
    assert list(errors) == ["calibration_error_raw", "calibration_error"]
    assert errors["calibration_error"] < 0.03 < 0.1 < errors["calibration_error_raw"]
    assert all(table["n"].sum() == 3000 for table in curves.values())


@pytest.mark.parametrize("call", [temperature, curve, calibration_error])
@pytest.mark.parametrize(
    ("p", "codes", "words"),
    [
        (np.zeros((0, 2)), [], "shape .*; one a row"),
        (np.array([0.5, 0.5]), [0, 1], "shape"),
        (np.eye(2), [0], r"classes \(1,\); one a row"),
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
