import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import neighbours


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
        (np.zeros((1, 2)), np.zeros((3, 4)), 1, "2 numbers a row and the corpus 4; encode both"),
        (np.zeros((1, 2)), np.zeros((0, 2)), 1, "not empty"),
        (np.zeros(2), np.zeros((3, 2)), 1, r"shape \(2,\)"),
        (np.full((1, 2), np.nan), np.zeros((3, 2)), 1, "NaN or infinity"),
    ],
)
def test_what_cannot_be_compared_is_refused(query, corpus, k, words):
    with pytest.raises(ValueError, match=words):
        neighbours.nearest(query, corpus, k)


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
    assert neighbours.sentence(percentile).startswith(words)


@pytest.mark.parametrize("percentile", [-1, 101, float("nan")])
def test_no_sentence_for_what_is_no_percentile(percentile):
    with pytest.raises(ValueError, match="between 0 and 100"):
        neighbours.sentence(percentile)
