import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp

from musiclatent.analysis import statistics

SHARES = st.lists(st.booleans(), min_size=2, max_size=30)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_mean_lies_within_its_interval(rng):
    values = rng.random(200) < 0.7
    found = statistics.mean(values)
    assert found.low < found.estimate < found.high
    assert found.estimate == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(statistics.wilson(values.mean(), 200), abs=0.02)


def test_windows_of_one_recording_are_one_unit(rng):
    by_recording = rng.random(20) < 0.5
    windows, units = np.repeat(by_recording, 10), np.repeat(np.arange(20), 10)
    alone, clustered = statistics.mean(windows), statistics.mean(windows, units)
    assert clustered.units == 20 and alone.units == 200
    assert clustered.high - clustered.low > 2.5 * (alone.high - alone.low)
    same = statistics.mean(by_recording)
    assert (clustered.low, clustered.high) == pytest.approx((same.low, same.high), abs=0.02)


def test_units_weigh_by_their_rows():
    assert statistics.mean([1, 1, 1, 0], list("aaab")).estimate == 0.75


def test_a_ratio_is_the_geometric_mean_over_units():
    # unit a: 2 of 2 on the mean, unit b: 8 of 1
    found = statistics.ratio([1, 3, 8], [2, 2, 1], list("aab"))
    assert found.estimate == pytest.approx(np.sqrt(8)) and found.units == 2
    assert statistics.ratio([1, 3, 8], [1, 3, 8], list("aab")).estimate == 1
    with pytest.raises(ValueError, match="one number and one unit"):
        statistics.ratio([1.0, 2.0], [1.0], ["a", "b"])


def test_a_paired_interval_sees_what_two_means_hide(rng):
    hard = rng.random(300)  # of both methods alike
    found = statistics.paired(hard + 0.02 + 0.01 * rng.standard_normal(300), hard)
    assert found.leaves_zero_out and found.estimate == pytest.approx(0.02, abs=0.005)
    assert found.p < 0.001


def test_equal_methods_differ_by_nothing(rng):
    found = statistics.paired(*[rng.random(50)] * 2)
    assert found.estimate == found.low == found.high == 0 and found.p == 1
    assert not found.leaves_zero_out


def test_few_units_are_permuted_exactly():
    assert statistics.paired(np.ones(7), np.zeros(7)).p == pytest.approx(2 / 2**7)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    covered = []
    for seed in range(60):
        values = np.random.default_rng(seed).standard_normal(40)
        found = statistics.mean(values)
        covered.append(found.low <= 0 <= found.high)
    assert 0.85 <= np.mean(covered) <= 1.0


@given(SHARES, st.integers(0, 5))
def test_bounds_are_in_order_and_repeat(values, seed):
    one, again = (statistics.mean(values, seed=seed) for _ in range(2))
    assert one == again and 0 <= one.low <= one.estimate <= one.high <= 1


def test_mcnemar_counts_where_one_alone_is_right():
    right = np.array([True] * 9 + [False] + [True] * 50)
    other = np.array([False] * 9 + [True] + [True] * 50)
    assert statistics.mcnemar(right, other) == pytest.approx(binomtest(9, 10).pvalue)
    assert statistics.mcnemar(right, right) == 1


def test_the_interval_over_seeds_is_students():
    values = [0.71, 0.74, 0.76]
    known = ttest_1samp(values, 0).confidence_interval()
    found = statistics.over_seeds(values)
    assert (found.low, found.high) == pytest.approx((known.low, known.high)) and found.units == 3


def test_one_unit_says_nothing_of_the_spread():
    for found in (
        statistics.mean([0.2, 0.4], ["a", "a"]),
        statistics.paired([1.0], [0.0]),
        statistics.over_seeds([0.5]),
    ):
        assert np.isnan([found.low, found.high, found.p]).all() and not found.leaves_zero_out


def test_metrics_bear_the_key():
    found = statistics.paired([1, 1, 0], [0, 1, 0])
    assert list(found.named("gain")) == ["gain", "gain_low", "gain_high", "gain_p"]
    assert list(statistics.mean([1, 0]).named("x")) == ["x", "x_low", "x_high"]


@pytest.mark.parametrize(
    ("values", "units", "words"),
    [
        ([], None, "give one number and one unit per row"),
        ([1.0, 2.0], ["a"], "give one number and one unit per row"),
        ([[1.0], [2.0]], None, "give one number and one unit per row"),
        ([1.0, np.nan], None, "NaN or infinity"),
    ],
)
def test_what_is_no_column_of_numbers_is_refused(values, units, words):
    with pytest.raises(ValueError, match=words):
        statistics.mean(values, units)


def test_methods_must_judge_the_same_rows():
    with pytest.raises(ValueError, match="judged 2 rows and the other 1"):
        statistics.paired([1, 0], [1])
    with pytest.raises(ValueError, match="cannot be paired"):
        statistics.mcnemar([True], [True, False])


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    [(0.5, 10, 0.2366, 0.7634), (1.0, 10, 0.7225, 1.0), (0.0, 10, 0.0, 0.2775)],
)
def test_intervals_are_wilsons(share, n, low, high):
    assert statistics.wilson(share, n) == pytest.approx((low, high), abs=1e-4)
    known = binomtest(round(share * n), n).proportion_ci(method="wilson")
    assert statistics.wilson(share, n) == pytest.approx((known.low, known.high))


@given(st.floats(0, 1), st.integers(1, 10_000))
def test_an_interval_holds_its_share(share, n):
    low, high = statistics.wilson(share, n)
    assert 0 <= low <= share + 1e-12 and share - 1e-12 <= high <= 1 and low < high


@pytest.mark.parametrize(("share", "n"), [(1.2, 5), (float("nan"), 5), (0.5, 0)])
def test_no_interval_of_what_is_no_share(share, n):
    with pytest.raises(ValueError, match="is no share"):
        statistics.wilson(share, n)
