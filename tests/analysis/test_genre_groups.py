import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent.analysis import genre_groups
from musiclatent.data import corpus, gtzan_tables

GENRES = {"ambient": (0, 9), "choral": (0, 9), "techno": (9, 0), "house": (9, 0), "noise": (9, 9)}


@pytest.fixture
def blobs(rng) -> tuple[pd.DataFrame, np.ndarray]:
    """Genres of 20 rows around three centres, and two columns that say nothing."""
    labels = np.repeat(list(GENRES), 20)
    centres = np.array([(*GENRES[label], 0, 0) for label in labels])
    x = centres + 0.3 * rng.standard_normal(centres.shape)
    columns = ["loudness_mean", "tempo", "mfcc1_mean", "mfcc1_var"]
    return pd.DataFrame(x, columns=columns), labels


def _types(of_label: dict[str, str]) -> set[frozenset[str]]:
    return {frozenset(g for g in of_label if of_label[g] == name) for name in of_label.values()}


def test_genres_far_apart_are_grouped_and_their_rows_placed(blobs):
    table, labels = blobs
    types = genre_groups.fit(table, labels)
    assert _types(types.of_label) == {
        frozenset({"ambient", "choral"}),
        frozenset({"techno", "house"}),
        frozenset({"noise"}),
    }
    assert (types.place(table) == types.assign(labels)).all()
    assert set(types.shares.to_numpy().ravel()) == {0, 1}
    assert types.shares.columns[-1] == types.of_label["noise"]  # the smallest comes last
    z = types.scaler.transform(table.to_numpy())
    within = sum(((part - part.mean(0)) ** 2).sum() for part in (z[:40], z[40:80], z[80:]))
    assert types.inertia == pytest.approx(within)


def test_a_type_is_named_by_what_sets_it_apart(blobs):
    types = genre_groups.fit(*blobs)
    assert types.of_label["ambient"] == "low loudness_mean, high tempo"
    assert types.of_label["techno"] == "low tempo, high loudness_mean"
    rows = types.contrasts[types.contrasts["genres"] == "ambient, choral"]
    assert rows["attribute"].tolist()[:2] == ["loudness_mean", "tempo"] and len(rows) == 3
    assert rows["difference"].abs().is_monotonic_decreasing
    loudness = blobs[0]["loudness_mean"]
    expected = (loudness[:40].mean() - loudness[40:].mean()) / loudness.std(ddof=0)
    assert rows["difference"].iloc[0] == pytest.approx(expected)


def test_types_never_share_a_name(rng):
    labels = np.repeat(["a", "b", "c"], 10)
    table = pd.DataFrame({"rms_mean": np.repeat([0.0, 10, 20], 10) + rng.random(30) / 10})
    types = genre_groups.fit(table, labels)
    names = set(types.of_label.values())
    assert len(names) == 3 and names > {"low rms_mean", "high rms_mean"}
    assert (types.place(table) == types.assign(labels)).all()


def test_a_cluster_without_genre_gets_the_one_that_loses_least():
    labels = np.repeat(["a", "b"], 10)
    table = pd.DataFrame({"tempo": [0.0] * 6 + [9.0] * 4 + [0.0] * 7 + [9.0] * 3})
    types = genre_groups.fit(table, labels, n_types=2)
    assert types.of_label == {"a": "high tempo", "b": "low tempo"}
    assert types.shares.loc["a", "high tempo"] == pytest.approx(0.4)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.integers(0, 10_000))
def test_every_type_owns_a_genre(n_types, seed):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.standard_normal((60, 3)), columns=["x", "y", "z"])
    labels = rng.permutation(np.repeat(list("abcdef"), 10))
    types = genre_groups.fit(table, labels, n_types, seed)
    assert set(types.of_label.values()) == set(types.shares.columns)
    assert len(set(types.shares.columns)) == n_types and list(types.of_label) == list("abcdef")
    np.testing.assert_allclose(types.shares.sum(axis=1), 1)


def test_units_and_order_of_columns_do_not_matter(blobs):
    table, labels = blobs
    types = genre_groups.fit(table, labels)
    scaled = genre_groups.fit(table * [1, 1024, 4, 0.5], labels)
    assert scaled.of_label == types.of_label
    turned = table[table.columns[::-1]].assign(item_id="x")
    assert (types.place(turned) == types.place(table)).all()


def test_a_column_that_never_changes_is_no_trouble(blobs):
    table, labels = blobs
    types = genre_groups.fit(table.assign(silence=0.1), labels)
    assert types.of_label == genre_groups.fit(table, labels).of_label


def test_clear_types_are_the_same_with_every_seed(blobs):
    table, labels = blobs
    stable = genre_groups.stability(table[["tempo", "loudness_mean"]], labels, seeds=range(4))
    shares = {"adjusted_rand": 1, "same_map": 1, "same_map_resampled": 1}
    assert stable == shares | {"moving": "", "moving_resampled": ""}


def test_a_genre_on_the_border_moves_when_its_rows_are_drawn_again(rng):
    centres = {"a": 0.0, "b": 10.0, "border": 5.0}
    rows = {name: rng.normal(at, 1.0, 60) for name, at in centres.items()}
    table = pd.DataFrame({"tempo": np.concatenate(list(rows.values()))})
    found = genre_groups.stability(table, np.repeat(list(rows), 60), n_types=2, seeds=range(12))
    assert found["same_map_resampled"] < 1
    assert "border" in found["moving_resampled"]


def test_noise_is_grouped_differently_with_every_seed(rng):
    table = pd.DataFrame(rng.standard_normal((100, 20))).add_prefix("x")
    shaky = genre_groups.stability(table, np.repeat(list("abcde"), 20), seeds=range(5))
    assert shaky["adjusted_rand"] < 0.7 and shaky["same_map"] < 1 and shaky["moving"]


def test_genres_that_move_are_told_from_those_that_stay():
    assert genre_groups._moved((0, 0, 1, 2), (0, 1, 1, 2)).tolist() == [False, True, False, False]
    assert not genre_groups._moved((0, 0, 1, 2), (0, 0, 1, 2)).any()


def test_the_same_seed_gives_the_same_types(blobs):
    one, two = genre_groups.fit(*blobs, seed=7), genre_groups.fit(*blobs, seed=7)
    assert one.centres.equals(two.centres) and one.contrasts.equals(two.contrasts)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_types": 1}, "5 genres cannot form 1 types; choose two or more"),
        ({"n_types": 6}, "5 genres cannot form 6 types"),
        ({"labels": ["a"]}, "there are 100 rows but 1 labels"),
        ({"labels": [""] * 3 + ["a"] * 97}, "3 rows have no label; leave those rows out"),
        ({"labels": [None] + ["a"] * 99}, "1 rows have no label"),
        ({"table": pd.DataFrame({"tempo": [np.nan] * 100})}, "'tempo' holds NaN or infinity"),
        ({"table": pd.DataFrame({"item_id": ["x"] * 100})}, "'item_id' holds no numbers"),
        ({"table": pd.DataFrame(index=range(100))}, "100 rows and 0 columns"),
    ],
)
def test_what_cannot_be_grouped_is_refused(blobs, change, words):
    with pytest.raises(ValueError, match=words):
        genre_groups.fit(**{"table": blobs[0], "labels": blobs[1], **change})


def test_what_cannot_be_placed_or_compared_is_refused(blobs):
    table, labels = blobs
    types = genre_groups.fit(table, labels)
    with pytest.raises(ValueError, match="no column tempo; the types were made with it"):
        types.place(table.drop(columns="tempo"))
    with pytest.raises(ValueError, match="'tempo' holds NaN"):
        types.place(table.assign(tempo=np.nan))
    with pytest.raises(ValueError, match="no genre named 'polka'; choose one of: ambi"):
        types.assign(["noise", "polka"])
    with pytest.raises(ValueError, match="1 seed has nothing to agree with; give two or more"):
        genre_groups.stability(table, labels, seeds=[0])


@pytest.mark.real
def test_the_types_of_gtzan_are_those_found_before(data_root):
    table = gtzan_tables.read_descriptors(data_root)
    train = table[table["item_id"].map(corpus.descriptor_splits(data_root)) == "train"]
    x = train.drop(columns=["item_id", "label"])
    types = genre_groups.fit(x, train["label"])
    assert frozenset({"metal", "rock"}) in _types(types.of_label)
    assert frozenset({"disco", "hiphop", "pop"}) in _types(types.of_label)
    assert types.shares.loc["reggae"].max() == pytest.approx(0.51, abs=0.02)  # on the border
    assert types.inertia == pytest.approx(18_164, abs=2)
    assert genre_groups.stability(x, train["label"], seeds=range(3))["adjusted_rand"] > 0.97
