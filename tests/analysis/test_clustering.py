import numpy as np
import pandas as pd
import pytest

from musiclatent.analysis import clustering


@pytest.fixture
def blobs(rng) -> tuple[np.ndarray, np.ndarray]:
    truth = np.repeat([0, 1, 2], [30, 20, 10])
    centres = np.zeros((3, 200))
    centres[[0, 1, 2], [0, 1, 2]] = 40
    return (centres[truth] + rng.standard_normal((60, 200))).astype(np.float32), truth


def test_separate_clusters_are_found_largest_first(blobs):
    z, truth = blobs
    labels = clustering.kmeans(z, 3, seed=0)
    assert (labels == truth).all()
    assert (clustering.kmeans(z, 3, seed=0) == labels).all()


def test_the_elbow_of_three_clusters_is_three(blobs):
    table = clustering.elbow(blobs[0], range(1, 9), seed=0)
    assert clustering.elbow_point(table) == 3
    assert (table["inertia"].diff().dropna() < 0).all()


@pytest.mark.parametrize(("rows", "width"), [(40, 300), (300, 5)])
def test_wide_and_narrow_latents_have_their_true_inertia(rng, rows, width):
    z = rng.standard_normal((rows, width)).astype(np.float32)
    inertia = clustering.elbow(z, [1, 2, 3])["inertia"]
    assert inertia[0] == pytest.approx(np.square(z - z.mean(axis=0)).sum(), rel=1e-4)
    labels = clustering.kmeans(z, 3)
    within = sum(np.square(z[labels == c] - z[labels == c].mean(axis=0)).sum() for c in range(3))
    assert inertia[2] == pytest.approx(within, rel=1e-4)


@pytest.mark.parametrize(
    ("inertia", "k"),
    [
        ([100, 40, 10, 8, 6, 5], 3),
        ([10, 8, 6, 4, 2, 0], 1),  # a straight line has no elbow
        ([5, 5, 5, 5, 5, 5], 1),
        ([1000, 100, 90, 80, 70, 60], 2),
    ],
)
def test_the_elbow_lies_farthest_below_the_chord(inertia, k):
    assert clustering.elbow_point(pd.DataFrame({"k": range(1, 7), "inertia": inertia})) == k


@pytest.mark.parametrize("k", [[1, 2], [1, 3, 2]])
def test_no_elbow_of_too_few_points_or_of_unsorted_ones(k):
    table = pd.DataFrame({"k": k, "inertia": range(len(k))})
    with pytest.raises(ValueError, match="three or more rising k"):
        clustering.elbow_point(table)


def test_silhouettes_of_clusters_far_apart_and_of_none(blobs, rng):
    z, truth = blobs
    figures = clustering.evaluate(z, truth)
    assert figures["silhouette"] > 0.6 and figures["clusters"] == 3
    assert figures["largest_share"] == 0.5
    assert abs(clustering.evaluate(z, rng.permutation(truth))["silhouette"]) < 0.1
    points = np.repeat(np.eye(2), 5, axis=0)
    assert clustering.evaluate(points, np.repeat([0, 1], 5))["silhouette"] == pytest.approx(1)


def test_a_sample_of_many_rows_keeps_small_clusters(rng):
    z = np.concatenate([rng.standard_normal((2500, 3)), [[50.0, 50, 50]]])
    labels = np.array([0] * 1250 + [1] * 1250 + [2])
    assert np.isfinite(clustering.evaluate(z, labels)["silhouette"])


def test_sizes_are_those_of_the_papers_table():
    labels = np.repeat(range(8), [1, 782, 1, 1, 1, 1, 2, 1])
    table = clustering.sizes(labels)
    assert table["windows"].tolist() == [782, 2, 1, 1, 1, 1, 1, 1]
    assert table["cluster"].tolist()[:2] == [1, 6] and table["share"].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("labels", "words"),
    [(np.zeros(5, int), "1 clusters of 5 rows"), (range(5), "fewer than rows"), ([0], "1 labels")],
)
def test_labels_that_cannot_be_judged_are_refused(labels, words):
    with pytest.raises(ValueError, match=words):
        clustering.evaluate(np.eye(5), labels)


def test_what_cannot_be_clustered_is_refused():
    with pytest.raises(ValueError, match="5 rows cannot form 6 clusters; choose k from 1 to 5"):
        clustering.kmeans(np.eye(5), 6)
    with pytest.raises(ValueError, match="cannot form 0"):
        clustering.kmeans(np.eye(5), 0)
    with pytest.raises(ValueError, match="NaN or infinity"):
        clustering.elbow(np.full((5, 2), np.nan))


def test_frozen_figures():
    rng = np.random.default_rng(5)
    z = rng.standard_normal((80, 6)) + 3 * np.eye(6)[rng.integers(0, 6, 80)]
    figures = clustering.evaluate(z, clustering.kmeans(z, 4))
    assert figures["silhouette"] == pytest.approx(0.2536, abs=1e-3)
    assert clustering.elbow(z, [4])["inertia"][0] == pytest.approx(587.30, abs=0.1)


def test_clusters_that_are_the_labels_score_1_and_chance_about_0(rng):
    labels = np.repeat(["a", "b", ""], [30, 30, 10])
    clusters = np.repeat([7, 2, 9], [30, 30, 10])
    assert clustering.label_scores(labels, clusters) == {"v_measure": 1, "adjusted_rand": 1}
    chance = clustering.label_scores(labels, rng.permutation(clusters))
    assert abs(chance["adjusted_rand"]) < 0.1 and chance["v_measure"] < 0.1
    halves = clustering.label_scores(["a", "a", "b", "b"], [0, 0, 0, 1])
    assert halves["v_measure"] == pytest.approx(0.3437, abs=1e-3) and not halves["adjusted_rand"]


def test_labels_and_clusters_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match="3 rows in clusters but 2 labels"):
        clustering.label_scores(["a", "b"], [0, 1, 1])
    with pytest.raises(ValueError, match="none of the 2 rows in clusters has a label"):
        clustering.label_scores(["", ""], [0, 1])


def test_the_same_sets_under_other_numbers_agree_fully(rng):
    first = rng.integers(0, 4, 60)
    second = np.array([7, 2, 9, 0])[first]
    full = {"adjusted_rand": 1.0, "normalised_mutual_information": 1.0}
    assert clustering.agreement(first, second) == pytest.approx(full)
    chance = clustering.agreement(first, rng.permutation(first))
    assert abs(chance["adjusted_rand"]) < 0.1 and chance["normalised_mutual_information"] < 0.2
    assert clustering.agreement(second, first) == pytest.approx(clustering.agreement(first, second))
    frozen = clustering.agreement([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2])
    assert frozen["adjusted_rand"] == pytest.approx(0.2424, abs=1e-4)
    assert frozen["normalised_mutual_information"] == pytest.approx(0.5158, abs=1e-4)


def test_rows_that_either_leaves_out_do_not_count():
    first, second = [0, 0, 1, 1, -1, 2], [5, 5, 3, 3, 3, -1]
    assert clustering.agreement(first, second)["adjusted_rand"] == 1
    table = clustering.contingency(first, second)
    assert table.index.tolist() == [0, 1] and table.columns.tolist() == [3, 5]
    assert table.to_numpy().tolist() == [[0, 2], [2, 0]]
    assert (table.index.name, table.columns.name) == ("first", "second")


def test_every_row_is_counted_once(rng):
    first, second = rng.integers(0, 3, 50), rng.integers(0, 5, 50)
    table = clustering.contingency(first, second)
    assert table.to_numpy().sum() == 50
    assert table.sum(axis=1).tolist() == np.bincount(first).tolist()
    assert (clustering.contingency(second, first).T.to_numpy() == table.to_numpy()).all()


@pytest.mark.parametrize("function", [clustering.agreement, clustering.contingency])
def test_clusterings_that_cannot_be_compared_are_refused(function):
    with pytest.raises(ValueError, match="one clustering has 3 rows, the other 2"):
        function([0, 1, 1], [0, 1])
    with pytest.raises(ValueError, match="no row is in clusters of both; cluster the same rows"):
        function([0, -1], [-1, 0])
