import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent.edm import section_views
from musiclatent.features import descriptors


def table(rng, n: int = 30) -> pd.DataFrame:
    numbers = rng.normal(5, 3, (n, len(section_views.SEVENTEEN)))
    return pd.DataFrame(numbers, columns=list(section_views.SEVENTEEN)).assign(item_id="a")


def test_the_papers_seventeen_are_attributes_of_ours():
    assert len(set(section_views.SEVENTEEN)) == 17 and set(section_views.SEVENTEEN) <= set(
        descriptors.COLUMNS
    )


def test_the_classical_view_is_standardised(rng):
    sections = table(rng)
    view = section_views.classical_view(sections)
    assert view.z.shape == (30, 17) and view.z.dtype == np.float32
    assert view.columns == section_views.SEVENTEEN and view.rows.tolist() == list(range(30))
    np.testing.assert_allclose(view.z.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(view.z.std(axis=0), 1, atol=1e-5)
    assert len(view.correlated) == 0
    np.testing.assert_allclose(view.centres["mean"], sections[list(section_views.SEVENTEEN)].mean())
    np.testing.assert_allclose(
        view.centres["median"], sections[list(section_views.SEVENTEEN)].median()
    )


def test_duplicates_are_left_out_and_the_first_is_kept(rng):
    sections = table(rng)
    sections = pd.concat([sections, sections.iloc[[3, 5]], sections.iloc[[0]].assign(rms_mean=0.0)])
    view = section_views.classical_view(sections)
    assert view.rows.tolist() == [*range(30), 32] and len(view.z) == 31


@given(st.floats(1e-3, 1e3), st.floats(-10, 10))
@settings(max_examples=20, deadline=None)
def test_no_unit_counts(gain, offset):
    sections = table(np.random.default_rng(0))
    other = sections.assign(rms_mean=gain * sections["rms_mean"] + offset)
    np.testing.assert_allclose(
        section_views.classical_view(other).z,
        section_views.classical_view(sections).z,
        rtol=1e-3,
        atol=1e-3,
    )


def test_columns_that_are_nearly_the_same_are_named_the_strongest_first(rng):
    sections = table(rng)
    sections["mfcc2_mean"] = -2 * sections["mfcc1_mean"] + 1
    sections["mfcc4_mean"] = sections["mfcc3_mean"] + rng.normal(0, 0.5, 30)
    sections["mfcc5_mean"] = 7.0  # no correlation with anything
    view = section_views.classical_view(sections)
    assert view.correlated[["first", "second"]].to_numpy().tolist() == [
        ["mfcc1_mean", "mfcc2_mean"],
        ["mfcc3_mean", "mfcc4_mean"],
    ]
    assert view.correlated["correlation"][0] == pytest.approx(-1)
    assert view.correlated["correlation"][1] > section_views.CORRELATION
    assert (view.z[:, section_views.SEVENTEEN.index("mfcc5_mean")] == 0).all()


def test_a_few_loud_sections_set_mean_and_median_apart(rng):
    sections = table(rng)
    sections.loc[:2, "rms_mean"] = 1000.0
    apart = section_views.classical_view(sections).centres["apart"].abs()
    assert apart.idxmax() == "rms_mean"
    assert apart["rms_mean"] == pytest.approx(0.333, abs=0.01)  # 3 of 30: 0.1 / 0.3


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s: s.drop(columns=["rms_mean", "mfcc3_mean"]), "lack rms_mean, mfcc3_mean; comp"),
        (lambda s: s.assign(rms_mean=np.nan), "NaN or infinity; leave those sections out"),
        (lambda s: s.assign(mfcc7_mean=-np.inf), "NaN or infinity"),
        (lambda s: s.iloc[[0, 1, 1, 0]], "2 sections differ; give three or more"),
        (lambda s: s.iloc[:0], "0 sections differ"),
    ],
)
def test_sections_without_a_view_are_refused(rng, spoil, words):
    with pytest.raises(ValueError, match=words):
        section_views.classical_view(spoil(table(rng)))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_of_equal_rows_the_first_is_distinct(codes):
    z = np.random.default_rng(0).standard_normal((5, 3))[codes]
    keep = section_views.mark_distinct(z)
    assert keep.dtype == bool
    assert keep.tolist() == [code not in codes[:i] for i, code in enumerate(codes)]


def test_rows_are_distinct_from_one_level_of_256_on():
    z = np.array([[0.0, 5], [256, 5], [100, 5], [100.3, 5], [101, 5], [100, 5]])
    assert section_views.mark_distinct(z).tolist() == [True, True, True, False, True, False]


def spans(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["item_id", "start_s", "end_s"])


def test_a_part_belongs_where_its_middle_is():
    sections = spans(("b", 0, 15), ("a", 15, 30), ("a", 0, 15)).set_axis([7, 7, 9])
    items = spans(
        ("a", 0, 1), ("a", 14.4, 15.4), ("a", 14.6, 15.6), ("a", 14.5, 15.5), ("a", 30, 31),
        ("b", 14, 15), ("c", 0, 1),
    ).set_axis([1, 1, 1, 2, 2, 3, 3])  # fmt: skip
    assert section_views.assign_to_sections(items, sections).tolist() == [2, 2, 1, 1, -1, 0, -1]


@given(st.integers(0, 999), st.integers(0, 30))
@settings(max_examples=20, deadline=None)
def test_owners_hold_the_middle_and_others_have_none(seed, n):
    rng = np.random.default_rng(seed)
    starts = [(name, s, s + 15) for name in "ab" for s in range(0, 90, 15) if rng.random() < 0.7]
    sections = spans(*[starts[i] for i in rng.permutation(len(starts))])
    items = spans(*[(rng.choice(list("abc")), s, s + 1) for s in rng.uniform(0, 95, n)])
    owner = section_views.assign_to_sections(items, sections)
    for part, row in zip(items.itertuples(), owner, strict=True):
        middle = (part.start_s + part.end_s) / 2
        holds = (sections["item_id"] == part.item_id) & (sections["start_s"] <= middle)
        holds &= middle < sections["end_s"]
        assert np.flatnonzero(holds).tolist() == ([row] if row >= 0 else [])


def test_most_parts_decide_and_of_equals_the_first():
    labels = np.array([2, 2, 0, 1, 0, 1, 3, 3])
    owner = np.array([0, 0, 0, 1, 1, 1, -1, -1])
    assert section_views.majority_vote(labels, owner, 3).tolist() == [2, 1, -1]
    assert section_views.majority_vote([1, 0], [0, 0], 1).tolist() == [0]
    assert section_views.majority_vote([], [], 2).tolist() == [-1, -1]


@given(st.integers(0, 999), st.integers(1, 50), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_the_mode_is_that_of_pandas(seed, parts, n):
    rng = np.random.default_rng(seed)
    labels, owner = rng.integers(0, 4, parts), rng.integers(-1, n, parts)
    known = pd.Series(labels[owner >= 0]).groupby(owner[owner >= 0]).agg(lambda s: s.mode()[0])
    expected = known.reindex(range(n), fill_value=-1)
    assert section_views.majority_vote(labels, owner, n).tolist() == expected.tolist()


def test_parts_in_no_cluster_have_no_say():
    labels, owner = np.array([-1, -1, 0, -1, 2]), np.array([0, 0, 0, 1, 2])
    assert section_views.majority_vote(labels, owner, 3).tolist() == [0, -1, 2]


def test_the_numbers_that_differ_most_between_clusters_stand_first():
    z = np.array([[1, 0, 5.0], [3, 0, 5], [2, 8, 7], [99, 99, 99]])
    table = section_views.cluster_means(z, [0, 0, 1, -1])
    assert table.index.tolist() == [0, 1] and table.index.name == "cluster"
    assert table.columns.tolist() == [1, 2, 0]
    assert table.to_numpy().tolist() == [[0, 5, 2], [8, 7, 2]]


# Sections in clusters, of all and of a choice


def clouds(rng, sizes, *, apart=40.0, track=5) -> pd.DataFrame:
    """Sections in clusters that lie apart in one direction, tracks of a few sections."""
    rows = [table(rng, n) for n in sizes]
    for i, part in enumerate(rows):
        part[list(section_views.SEVENTEEN)] += apart * i
    sections = pd.concat(rows, ignore_index=True)
    return sections.assign(item_id=[f"track {i // track}" for i in range(len(sections))])


def test_clusters_that_lie_apart_are_found_with_their_figures(rng):
    grouped = section_views.group_sections(clouds(rng, (20, 15, 10)), 3)
    assert np.bincount(grouped.labels).tolist() == [20, 15, 10]
    figures = grouped.figures()
    assert figures["clustered"] == 45 and figures["bend_classical"] == 3
    middle = figures["silhouette_classical"]
    assert 0.5 < figures["silhouette_classical_low"] < middle < 1
    assert middle < figures["silhouette_classical_high"] < 1
    assert middle == pytest.approx(grouped.silhouettes.mean())
    assert figures["pca_classical_1"] > 0.9 and figures["pca_centres_1"] > 0.99
    assert figures["pca_classical_2"] < 0.1
    own = [grouped.view.z[grouped.labels == k] for k in range(3)]
    within = sum(np.square(z - z.mean(axis=0)).sum() for z in own)
    assert figures["rmse_classical"] == pytest.approx(np.sqrt(within / 45), rel=1e-5)


def test_few_sections_bear_few_clusters(rng):
    assert section_views.group_sections(clouds(rng, (5,)), 8).labels.max() == 1


@pytest.fixture
def few_draws(monkeypatch):
    monkeypatch.setattr(section_views, "DRAWS", 3)


def compared(sections, chosen):
    whole, alone = (section_views.group_sections(rows, 3) for rows in (sections, sections[chosen]))
    return section_views.compare_choice(sections, 3, whole=whole, alone=alone)


def test_a_choice_that_changes_nothing_agrees_wholly(rng, few_draws):
    sections = clouds(rng, (20, 16, 12))
    found = compared(sections, np.arange(len(sections)) % 2 == 0)
    assert found["adjusted_rand"] == found["adjusted_rand_random"] == 1
    assert found["silhouette_gain_low"] <= found["silhouette_gain"] <= found["silhouette_gain_high"]
    assert abs(found["silhouette_gain"]) < 0.05


def test_a_choice_inside_one_cluster_is_cut_otherwise(rng, few_draws):
    found = compared(clouds(rng, (40, 30, 20)), np.arange(90) < 40)
    assert found["adjusted_rand"] == 0 and found["adjusted_rand_random"] == 1
    assert found["silhouette_gain_high"] < 0  # what is one cloud is torn into three
