import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.svm import SVC

from musiclatent.analysis import importance
from musiclatent.data import corpus, gtzan_tables
from musiclatent.features import descriptors

COLUMNS = ("loud_mean", "loud_var", "tempo", "noise")


class _Loud:
    """Answers by the first column alone, whatever the others say."""

    def predict(self, x):
        return np.where(x[:, 0] > 0, "a", "b")


@pytest.fixture
def rows(rng):
    x = rng.normal(size=(90, 4))
    return x, np.where(x[:, 0] > 0, "a", np.where(x[:, 2] > 0, "b", "c"))


def test_columns_have_families():
    families = {descriptors.family(column) for column in descriptors.COLUMNS}
    assert families >= {"mfcc5", "chroma_stft", "tempo", "zero_crossing_rate", "beat_regularity"}
    assert descriptors.family("mfcc5_mean") == descriptors.family("mfcc5_delta_var") == "mfcc5"
    assert len({descriptors.family(column) for column in descriptors.CLASSIC}) == 29


def test_only_what_the_model_uses_costs_accuracy(rows):
    x, _ = rows
    labels = _Loud().predict(x)
    table = importance.permutation_importance(_Loud(), x, labels=labels, columns=COLUMNS)
    assert table["family"].tolist() == ["loud", "tempo", "noise"]
    assert table["drop"][0] == pytest.approx(0.5, abs=0.06) and table["sd"][0] > 0
    assert (table[["drop", "sd"]][1:] == 0).all(axis=None)


def test_permutations_are_frozen_and_leave_the_rows_alone(rows):
    x, labels = rows
    before = x.copy()
    first = importance.permutation_importance(
        _Loud(), x, labels=labels, columns=COLUMNS, repeats=3, seed=1
    )
    assert first.equals(
        importance.permutation_importance(
            _Loud(), x, labels=labels, columns=COLUMNS, repeats=3, seed=1
        )
    )
    other = importance.permutation_importance(
        _Loud(), x, labels=labels, columns=COLUMNS, repeats=3, seed=2
    )
    assert not first.equals(other) and (x == before).all()


def test_a_family_is_permuted_as_one(rng):
    x = np.repeat(rng.normal(size=(60, 1)), 2, axis=1)

    class Same:
        def predict(self, x):
            return np.where(x[:, 0] == x[:, 1], "same", "torn")

    labels = np.full(60, "same")
    together = importance.permutation_importance(
        Same(), x, labels=labels, columns=["loud_mean", "loud_var"]
    )
    assert together["drop"].tolist() == [0.0]
    apart = importance.permutation_importance(
        Same(), x, labels=labels, columns=["loud_mean", "tempo"]
    )
    assert (apart["drop"] > 0.9).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": np.array(["a"])}, "1 labels; give one label per row"),
        ({"columns": COLUMNS[:3]}, r"shape \(90, 4\); give a table \(B, 3\)"),
        ({"repeats": 0}, "repeats is 0"),
        ({"x": np.full((90, 4), np.nan)}, "NaN"),
    ],
)
def test_permutation_refuses(rows, change, words):
    x, labels = rows
    with pytest.raises(ValueError, match=words):
        importance.permutation_importance(
            **{"model": _Loud(), "x": x, "labels": labels, "columns": COLUMNS} | change
        )


@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
def test_contributions_add_up_to_the_probability(rows, kind):
    x, labels = rows
    forest = kind(20, random_state=0).fit(x, labels)
    values = importance.shap_values(forest, x[:7])
    assert values.shape == (7, 4, 3)
    moved = forest.predict_proba(x[:7]) - values.sum(axis=1)
    assert np.ptp(moved, axis=0) == pytest.approx(0, abs=1e-4)  # the same base for all rows
    assert moved.sum(axis=1) == pytest.approx(1)
    assert values.sum(axis=2) == pytest.approx(0, abs=1e-6)  # what one class gains others lose
    assert np.abs(values).mean(axis=(0, 2)).argsort()[-2:].tolist() == [2, 0]


def test_contributions_are_of_forests_and_of_whole_rows(rows):
    x, labels = rows
    with pytest.raises(ValueError, match="SVC is no forest"):
        importance.shap_values(SVC().fit(x, labels), x)
    forest = RandomForestClassifier(2, random_state=0).fit(x, labels)
    with pytest.raises(ValueError, match=r"\(B, 4\)"):
        importance.shap_values(forest, x[:, :3])
    with pytest.raises(ValueError, match="miss the probability by 0.1"):
        importance._adds_up(np.array([[0.4, 0.6]]), np.array([[0.5, 0.5]]))


def test_the_reasons_of_an_answer():
    values = np.array([[0.1, -0.2, 0.1], [-0.3, 0.3, 0.0], [0.2, -0.3, 0.1], [0.0, 0.0, 0.0]])
    table = importance.strongest_reasons(
        values, COLUMNS, x=np.arange(4.0), classes=["a", "b", "c"], label="a", strongest=3
    )
    assert table["attribute"].tolist() == ["loud_var", "tempo", "loud_mean"]
    assert table["value"].tolist() == [1.0, 2.0, 0.0]
    assert table["toward"].tolist() == [-0.3, 0.2, 0.1]
    assert set(table["label"]) == {"a"} and set(table["rival"]) == {"c"}
    assert table["toward_rival"].tolist() == [0.0, 0.1, 0.1]


@given(st.integers(2, 5), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_reasons_fall_and_never_name_the_label_as_rival(classes, width, seed):
    values = np.random.default_rng(seed).normal(size=(width, classes))
    names = [f"class {i}" for i in range(classes)]
    table = importance.strongest_reasons(
        values, [str(i) for i in range(width)], x=values[:, 0], classes=names, label=names[-1]
    )
    assert len(table) == min(width, importance.STRONGEST)
    assert table["toward"].abs().is_monotonic_decreasing
    assert not (table["rival"] == names[-1]).any() and table["rival"].nunique() == 1


@pytest.mark.parametrize(
    ("label", "width", "words"), [("x", 4, "'x' is none"), ("a", 3, "one row's")]
)
def test_reasons_refuse(label, width, words):
    with pytest.raises(ValueError, match=words):
        importance.strongest_reasons(
            np.zeros((4, 2)), COLUMNS, x=np.zeros(width), classes=["a", "b"], label=label
        )


@pytest.mark.real
def test_a_forest_of_genres_is_explained(data_root):
    table = gtzan_tables.read_descriptors(data_root)
    split = table["item_id"].map(corpus.descriptor_splits(data_root, "filtered"))
    train, held = table[split == "train"], table[split == "validation"]
    forest = RandomForestClassifier(60, random_state=0)
    forest.fit(train[[*descriptors.CLASSIC]].to_numpy(), train["label"])
    x = held[[*descriptors.CLASSIC]].to_numpy()
    found = importance.permutation_importance(
        forest, x, labels=held["label"], columns=descriptors.CLASSIC, repeats=3
    )
    assert len(found) == 29 and 0 < found["drop"][0] < 0.2
    values = importance.shap_values(forest, x[:5])
    reasons = importance.strongest_reasons(
        values[0], descriptors.CLASSIC, x=x[0], classes=forest.classes_, label="blues"
    )
    assert reasons["attribute"].is_unique and len(reasons) == importance.STRONGEST
    answers = forest.predict_proba(x[:5]).argmax(axis=1)
    assert (values.sum(axis=1)[range(5), answers] > 0).all()  # an answer is above the mean


def test_the_columns_that_set_clusters_apart_are_found(rng):
    labels = np.repeat([0, 1, 2], 30)
    x = rng.normal(size=(90, 4))
    x[:, 0] += 8 * (labels == 1)
    x[:, 2] += 8 * (labels == 2)
    table, right = importance.cluster_importance(x, labels, columns=COLUMNS)
    assert right > 0.95
    assert set(table["column"][:2]) == {"loud_mean", "tempo"}
    assert table["importance"].is_monotonic_decreasing
    assert table["importance"].sum() == pytest.approx(1)
    rows = table.set_index("column")
    assert list(rows.columns) == ["importance", "cluster 0", "cluster 1", "cluster 2"]
    assert rows["cluster 1"].idxmax() == "loud_mean" and rows["cluster 2"].idxmax() == "tempo"
    assert (rows.loc[["loud_mean", "tempo"], "cluster 0"] > 0.1).all()
    # all columns together lift a cluster from its share to nearly certain
    np.testing.assert_allclose(rows.filter(like="cluster").sum(), 2 / 3, atol=0.05)
    assert importance.cluster_importance(x, labels, columns=COLUMNS)[0].equals(table)


def test_clusters_of_noise_are_told_by_chance_alone(rng):
    x, labels = rng.normal(size=(120, 4)), np.arange(120) % 3
    table, right = importance.cluster_importance(x, labels, columns=COLUMNS)
    assert right < 0.5 and table["importance"].max() < 0.35


@pytest.mark.parametrize(
    ("rows", "labels", "columns"),
    [
        (6, np.zeros(6, int), COLUMNS),
        (6, np.arange(5), COLUMNS),
        (6, np.arange(6) % 2, COLUMNS[:3]),
    ],
)
def test_clusters_that_cannot_be_told_apart_are_refused(rows, labels, columns):
    with pytest.raises(ValueError, match="give one label per row, one name per column, and two"):
        importance.cluster_importance(np.zeros((rows, 4)), labels, columns=columns)
