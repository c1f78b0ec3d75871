import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent.analysis import feature_selection
from musiclatent.data import corpus, gtzan_tables


@pytest.fixture
def labelled(rng) -> tuple[pd.DataFrame, np.ndarray]:
    """One column that tells the labels, a noisier copy, one of noise, and one that stands still."""
    labels = np.repeat(["a", "b", "c"], 50)
    means = np.repeat([0.0, 3, 6], 50)
    clear = means + rng.standard_normal(150)
    columns = {
        "noise": rng.standard_normal(150),
        "blurred": clear + 0.8 * rng.standard_normal(150),
        "clear": clear,
        "still": np.full(150, 0.1),
    }
    return pd.DataFrame(columns), labels


def test_copies_noise_and_constants_go(labelled):
    cleaned = feature_selection.select_features(*labelled)
    assert cleaned.kept == ("clear",)
    report = cleaned.report.set_index("column")
    assert report["reason"].to_dict() == {
        "noise": "hardly separates",
        "blurred": "as clear, which separates better",
        "clear": "",
        "still": "never changes",
    }
    assert report.loc[["blurred", "clear", "still"], "twin"].tolist() == ["clear", "blurred", ""]
    expected = np.corrcoef(labelled[0]["clear"], labelled[0]["blurred"])[0, 1]
    assert report.loc["clear", "correlation"] == pytest.approx(expected)
    assert (report["kept"] == (report["reason"] == "")).all()


def test_columns_that_are_the_label_separate_wholly_and_others_not():
    labels = np.repeat(["a", "b"], 4)
    table = pd.DataFrame({"all": np.repeat([1.0, 5], 4), "none": [1.0, 2, 3, 4] * 2})
    report = feature_selection.select_features(table, labels).report
    assert report["separation"].tolist() == [1, 0]
    assert report["kept"].tolist() == [True, False]


def test_separation_is_the_share_between_labels():
    table, labels = pd.DataFrame({"x": [0.0, 2, 4, 6]}), ["a", "a", "b", "b"]
    report = feature_selection.select_features(table, labels, separation=0.0).report
    assert report["separation"].iloc[0] == pytest.approx(16 / 20)


def test_outliers_are_counted_in_the_box_of_their_own_label():
    usual = [1.0, 2, 3, 4, 5]
    table = pd.DataFrame({"x": [*usual, 9.0, *(100 + np.array([*usual, 8.0])), 1.0]})
    labels = ["a"] * 6 + ["b"] * 7  # 9 lies beyond 1.5 boxes among a, 1 among b
    assert feature_selection.select_features(table, labels).report["outliers"].iloc[0] == 2


def test_of_equal_columns_the_one_with_fewer_outliers_stays():
    labels = np.repeat(["a", "b"], 12)
    far = np.array([0.0] * 10 + [-(6**0.5), 6**0.5])  # mean 0 and variance 1, as of the other
    near = np.repeat([-1.0, 1], 6)
    table = pd.DataFrame({name: [*x, *(x + 50)] for name, x in {"far": far, "near": near}.items()})
    cleaned = feature_selection.select_features(table, labels)
    assert cleaned.report["outliers"].tolist() == [4, 0] and cleaned.kept == ("near",)
    assert cleaned.report["reason"].iloc[0] == "as near, which has no more outliers"


def test_of_two_that_are_the_same_one_stays(labelled):
    table = labelled[0][["clear"]].assign(copy=lambda t: -2 * t["clear"])
    cleaned = feature_selection.select_features(table, labelled[1])
    assert cleaned.kept == ("clear",)
    assert cleaned.report["reason"].iloc[1] == "as clear, which has no more outliers"


def test_labels_without_meaning_separate_hardly_ever(rng):
    labels = np.repeat(list("abcdefghij"), 20)
    normal = pd.DataFrame(rng.standard_normal((200, 300))).add_prefix("x")
    skewed = np.exp(1.5 * normal.iloc[:, :150]).add_prefix("e")  # as variances of attributes are
    for table in (normal, skewed):
        reasons = feature_selection.select_features(table, labels).report["reason"]
        assert (reasons == "hardly separates").mean() > 0.97


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 0.95))
def test_no_two_that_stay_correlate_strongly(seed, correlation):
    rng = np.random.default_rng(seed)
    labels = np.repeat(list("abc"), 20)
    x = (
        rng.standard_normal((60, 4)) @ rng.standard_normal((4, 9))
        + np.repeat([0, 1, 2], 20)[:, None]
    )
    table = pd.DataFrame(x).add_prefix("x")
    cleaned = feature_selection.select_features(
        table, labels, correlation=correlation, separation=0.0
    )
    related = table.corr().abs()
    kept = list(cleaned.kept)
    assert kept and np.triu(related.loc[kept, kept].to_numpy(), 1).max() < correlation
    gone = cleaned.report[~cleaned.report["kept"]]
    for column, reason in zip(gone["column"], gone["reason"], strict=True):
        twin = reason.split()[1].rstrip(",")
        assert twin in kept and related.loc[column, twin] >= correlation - 1e-9


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_units_and_order_of_rows_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(["a", "b"], 15)
    table = pd.DataFrame(rng.standard_normal((30, 5)).cumsum(axis=1)).add_prefix("x")
    cleaned = feature_selection.select_features(table, labels, correlation=0.7)
    rows = rng.permutation(30)
    other = feature_selection.select_features(
        5 - 1000 * table.iloc[rows], labels[rows], correlation=0.7
    )
    assert other.kept == cleaned.kept
    assert other.report["separation"].to_numpy() == pytest.approx(cleaned.report["separation"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"correlation": 1.5}, "a threshold of 1.5 cannot be; it lies between 0 and 1"),
        ({"separation": -0.1}, "a threshold of -0.1 cannot be"),
        ({"labels": ["a"] * 150}, "150 rows of 1 labels do not show what separates"),
        ({"labels": range(1, 151)}, "150 rows of 150 labels"),
        ({"labels": ["a"]}, "there are 150 rows but 1 labels"),
        ({"labels": [""] + ["a"] * 149}, "1 rows have no label"),
        ({"table": pd.DataFrame({"item_id": ["x"] * 150})}, "'item_id' holds no numbers"),
        ({"table": pd.DataFrame({"tempo": [np.inf] * 150})}, "'tempo' holds NaN or infinity"),
    ],
)
def test_what_cannot_be_cleaned_is_refused(labelled, change, words):
    with pytest.raises(ValueError, match=words):
        feature_selection.select_features(**{"table": labelled[0], "labels": labelled[1], **change})


@pytest.mark.real
def test_three_columns_of_gtzan_go(data_root):
    table = gtzan_tables.read_descriptors(data_root)
    train = table[table["item_id"].map(corpus.descriptor_splits(data_root)) == "train"]
    cleaned = feature_selection.select_features(
        train.drop(columns=["item_id", "label"]), train["label"]
    )
    report = cleaned.report.set_index("column")
    assert len(cleaned.kept) == 54
    assert report.loc[~report["kept"], "reason"].to_dict() == {
        "rolloff_mean": "as spectral_bandwidth_mean, which separates better",
        "tempo": "hardly separates",
        "mfcc2_mean": "as spectral_centroid_mean, which separates better",
    }
    assert report.loc["chroma_stft_mean", "separation"] == pytest.approx(0.592, abs=1e-3)
    assert report.loc["harmony_mean", "outliers"] == 48


@pytest.fixture
def slices(rng) -> tuple[pd.DataFrame, np.ndarray]:
    """Slices of 40 songs: columns of the song, of the slice, half of both, and a constant."""
    songs = np.repeat([f"song{i}" for i in range(40)], 10)
    of_song = np.repeat(rng.standard_normal(40), 10)
    columns = {
        "slice": rng.standard_normal(400),
        "both": of_song + rng.standard_normal(400),
        "song": of_song,
        "still": np.full(400, 3.0),
    }
    return pd.DataFrame(columns), songs


def test_what_stays_within_a_song_tells_most_of_it(slices):
    found = feature_selection.song_shares(*slices)
    assert found.index[:2].tolist() == ["song", "both"]
    assert found.loc["song", "share"] == pytest.approx(1) and found.loc["song", "within"] == 0
    assert found.loc["both", "share"] == pytest.approx(0.5, abs=0.15)
    assert abs(found.loc["slice", "share"]) < 0.1 and found.loc["still", "share"] == 0
    assert found.loc["both", ["within", "between"]].tolist() == pytest.approx([1, 1], abs=0.3)


def test_the_share_of_a_song_by_hand():
    """Two songs of two slices: mean squares 4 between and 1 within, so (4 - 1) / (4 + 1)."""
    table = pd.DataFrame({"x": [1 - 0.5**0.5, 1 + 0.5**0.5, 3 - 0.5**0.5, 3 + 0.5**0.5]})
    found = feature_selection.song_shares(table, ["a", "a", "b", "b"]).loc["x"]
    assert found["within"] == pytest.approx(1) and found["share"] == pytest.approx((4 - 1) / 5)
    assert found["between"] == pytest.approx(((4 - 1) / 2) ** 0.5)


def test_a_gain_and_an_offset_leave_the_share_as_it_is(slices):
    table, songs = slices
    first = feature_selection.song_shares(table, songs)["share"]
    moved = feature_selection.song_shares(1000 * table - 7, songs)["share"]
    pd.testing.assert_series_equal(first, moved)


@pytest.mark.parametrize("songs", [["a"] * 4, list("abcd")])
def test_songs_that_show_nothing_are_refused(songs):
    with pytest.raises(ValueError, match="4 slices of . songs do not show what stays"):
        feature_selection.song_shares(pd.DataFrame({"x": range(4)}), songs)


def test_columns_that_change_within_a_song_go_where_it_is_known(labelled):
    steady = {"clear": 0.4, "noise": 0.9}
    cleaned = feature_selection.select_features(*labelled, steady=steady)
    reasons = cleaned.report.set_index("column")["reason"]
    assert reasons["clear"] == "changes within a song" and cleaned.kept == ()
    steady["clear"] = 0.6
    assert feature_selection.select_features(*labelled, steady=steady).kept == ("clear",)
