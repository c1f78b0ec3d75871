import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from musiclatent.analysis import neighbours


def test_a_row_of_the_corpus_finds_itself_first(rng):
    z = rng.standard_normal((50, 300)).astype(np.float32) * 100
    distances, indices = neighbours.nearest(z, z, 3)
    assert (indices[:, 0] == np.arange(50)).all() and (distances[:, 0] == 0).all()
    assert (np.diff(distances, axis=1) >= 0).all() and distances.shape == (50, 3)


def test_distances_are_euclidean():
    corpus = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    distances, indices = neighbours.nearest(np.array([[0.0, 0.0]]), corpus, 5)
    assert indices.tolist() == [[0, 2, 1]] and distances.tolist() == [[0.0, 1.0, 5.0]]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 12))
def test_no_row_lies_nearer_than_the_nearest(seed, k):
    rng = np.random.default_rng(seed)
    query, corpus = rng.standard_normal((4, 5)), rng.standard_normal((9, 5))
    distances, indices = neighbours.nearest(query, corpus, k)
    every = np.linalg.norm(query[:, None] - corpus, axis=2)
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :k], atol=1e-12)
    np.testing.assert_allclose(np.take_along_axis(every, indices, 1), distances)


@pytest.mark.parametrize(
    ("query", "corpus", "k", "words"),
    [
        (np.zeros((1, 2)), np.zeros((3, 2)), 0, "k is 0; ask for at least one"),
        (
            np.zeros((1, 2)),
            np.zeros((3, 4)),
            1,
            "2 dimensions per row and the corpus 4; encode both",
        ),
        (np.zeros((1, 2)), np.zeros((0, 2)), 1, "not empty"),
        (np.zeros(2), np.zeros((3, 2)), 1, r"shape \(2,\)"),
        (np.full((1, 2), np.nan), np.zeros((3, 2)), 1, "NaN or infinity"),
    ],
)
def test_what_cannot_be_compared_is_refused(query, corpus, k, words):
    with pytest.raises(ValueError, match=words):
        neighbours.nearest(query, corpus, k)


def test_neighbours_of_other_groups():
    z = np.array([[0.0], [1.0], [3.0], [3.5], [7.0]])
    near = neighbours.nearest_others(z, ["a", "a", "b", "c", "c"], 2)
    assert near.tolist() == [[2, 3], [2, 3], [3, 1], [2, 1], [2, 1]]
    few = neighbours.nearest_others(z, [0, 0, 0, 0, 1], 9)
    assert few.tolist() == [[4, -1, -1, -1]] * 4 + [[3, 2, 1, 0]]
    assert neighbours.nearest_others(z, [0] * 5, 3).tolist() == [[-1] * 3] * 5
    assert neighbours.nearest_others(z[:1], ["a"], 3).shape == (1, 0)
    with pytest.raises(ValueError, match="5 vectors and 2 groups; give one group per row"):
        neighbours.nearest_others(z, [0, 1], 1)


def test_percentiles_of_points_on_a_line():
    train = np.array([[0.0], [1.0], [3.0], [6.0]])  # nearest others at 1, 1, 2 and 3
    query = np.array([[0.5], [-1.5], [8.5], [60.0]])  # at 0.5, 1.5, 2.5 and 54
    assert neighbours.percentile(query, train).tolist() == [0.0, 50.0, 75.0, 100.0]


def test_repeated_training_vectors_are_their_own_neighbours_at_0():
    train = np.array([[0.0], [0.0], [5.0], [5.0]])
    assert neighbours.percentile(np.array([[0.0], [1.0]]), train).tolist() == [0.0, 100.0]


def test_training_like_vectors_lie_inside_and_strange_ones_outside(rng):
    train = rng.standard_normal((400, 3))
    inside = neighbours.percentile(rng.standard_normal((200, 3)), train)
    assert 35 < inside.mean() < 65
    assert (neighbours.percentile(rng.standard_normal((20, 3)) + 30, train) == 100).all()
    with pytest.raises(ValueError, match="give two or more"):
        neighbours.percentile(train, train[:1])


@pytest.mark.parametrize(
    ("percentile", "words"),
    [(100, "far outside what the model knows: 100 %"), (96.2, "at the edge"), (40, "like the")],
)
def test_a_sentence_says_where_it_lies(percentile, words):
    assert neighbours.describe_percentile(percentile).startswith(words)


@pytest.mark.parametrize("percentile", [-1, 101, float("nan")])
def test_no_sentence_for_what_is_no_percentile(percentile):
    with pytest.raises(ValueError, match="between 0 and 100"):
        neighbours.describe_percentile(percentile)


def test_standardising_looks_at_training_rows_only(rng):
    train, test = rng.standard_normal((30, 4)) * 7 + 3, rng.standard_normal((5, 4))
    train[:, 3] = 2.0
    one, other = neighbours.standardise(train, test)
    np.testing.assert_allclose(one.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(one.std(axis=0), [1, 1, 1, 0])
    np.testing.assert_allclose(neighbours.standardise(train, test[:1])[1], other[:1], rtol=1e-12)
    with pytest.raises(ValueError, match="encode both with the same experiment"):
        neighbours.standardise(train, test[:, :2])


def test_separate_labels_are_told_perfectly(rng):
    labels = np.repeat(["blues", "jazz"], 20)
    z = rng.standard_normal((40, 3)) + 50 * (labels == "jazz")[:, None]
    figures = neighbours.knn(z[::2], labels[::2], z_test=z[1::2], labels_test=labels[1::2])
    assert figures["accuracy"] == figures["recall_at_1"] == figures["high"] == 1
    assert figures["mean_average_precision"] == 1 and figures["n"] == 20
    assert 0.8 < figures["low"] < 0.9


def test_votes_and_ranks_of_points_on_a_line():
    train, labels = np.array([[0.0], [1.0], [2.0], [9.0]]), ["a", "b", "b", "a"]
    assert neighbours.predictions(train, labels, [[0.1], [9.0]], k=3).tolist() == ["b", "b"]
    assert neighbours.predictions(train, labels, [[0.1], [9.0]], k=1).tolist() == ["a", "a"]
    figures = neighbours.knn(train, labels, z_test=[[0.1]], labels_test=["a"], k=3)
    assert figures["accuracy"] == 0 and figures["recall_at_1"] == 1
    assert figures["mean_average_precision"] == pytest.approx((1 + 2 / 4) / 2)


def test_few_and_unlabelled_rows():
    train, labels = np.array([[0.0], [1.0], [5.0]]), np.array(["a", "", "b"])
    assert neighbours.predictions(train, labels, [[0.9]], k=10).tolist() == ["a"]  # a tie
    assert neighbours.predictions(train, labels, [[0.9]], k=1).tolist() == ["a"]
    figures = neighbours.knn(
        train, labels, z_test=[[4.0], [0.0], [3.0]], labels_test=["b", "", "c"], k=1
    )
    assert figures["n"] == 2 and figures["accuracy"] == 0.5
    assert figures["mean_average_precision"] == 0.5  # no training row is a c
    with pytest.raises(ValueError, match="none of the 3 training rows has a label"):
        neighbours.knn(train, ["", "", ""], z_test=train, labels_test=labels)
    with pytest.raises(ValueError, match="none of the 3 test rows has a label"):
        neighbours.knn(train, labels, z_test=train, labels_test=["", "", ""])
    with pytest.raises(ValueError, match="3 training rows but 2 labels"):
        neighbours.knn(train, labels[:2], z_test=train, labels_test=labels)
    with pytest.raises(ValueError, match="k is 0"):
        neighbours.knn(train, labels, z_test=train, labels_test=labels, k=0)


def test_average_precision_is_that_of_sklearn(rng):
    labels = rng.choice(["a", "b", "c"], 60)
    z = rng.standard_normal((60, 4)) + (labels == "a")[:, None]
    figures = neighbours.knn(z[:40], labels[:40], z_test=z[40:], labels_test=labels[40:])
    distances = np.linalg.norm(z[40:, None] - z[:40], axis=2)
    rows = zip(labels[40:], distances, strict=True)
    expected = [average_precision_score(labels[:40] == name, -d) for name, d in rows]
    assert figures["mean_average_precision"] == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("asked", [30, 9])
def test_candidates_of_an_index_are_measured_and_ordered(rng, monkeypatch, asked):
    z, query = rng.normal(size=(40, 3)), rng.normal(size=(asked, 3))
    distances, rows = neighbours.nearest(query, z, 5)
    monkeypatch.setattr(neighbours, "EXACT", 10)
    monkeypatch.setattr(neighbours, "_from_index", lambda *_: rows[:, ::-1])
    found = neighbours.nearest(query, z, 5)  # what it finds is counted by benchmarks/scale.py
    np.testing.assert_array_equal(found[1], rows)
    np.testing.assert_allclose(found[0], distances)


def test_rows_that_are_scaled_in_place_are_those_of_a_copy(rng):
    z = rng.normal(3, 2, size=(2_500, 4)).astype(np.float32)
    z[:, 2] = 7  # constant: only centred
    (wanted,) = neighbours.standardise(z.astype(float))
    neighbours.standardise_in_place(z, block=1_000)
    np.testing.assert_allclose(z, wanted, atol=1e-5)
    with pytest.raises(ValueError, match="finite|NaN|missing"):
        neighbours.standardise_in_place(np.full((2, 2), np.nan))
