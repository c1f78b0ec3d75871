import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from sklearn.covariance import ledoit_wolf

from musiclatent.analysis import clustering, soft_clustering

SIZES = [30, 20, 10]
TRUTH = np.repeat([0, 1, 2], SIZES)


def blobs(width: int, apart: float = 10.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = apart * np.eye(3, width)
    return centres[TRUTH] + rng.standard_normal((60, width))


def test_near_1_it_is_k_means_and_memberships_are_hard():
    z = blobs(5)
    found = soft_clustering.fuzzy_c_means(z, 3, m=1.02)
    assert (found.labels == clustering.kmeans(z, 3)).all() and (found.labels == TRUTH).all()
    assert found.partition_coefficient > 0.999
    means = np.stack([z[found.labels == c].mean(axis=0) for c in range(3)])
    assert found.centres == pytest.approx(means, abs=0.01)


def test_with_m_of_2_in_128_dimensions_memberships_collapse():
    z = np.random.default_rng(0).standard_normal((100, 128))
    found = soft_clustering.fuzzy_c_means(z, 4, m=2.0)
    assert found.memberships == pytest.approx(np.full((100, 4), 0.25), abs=0.01)
    assert found.partition_coefficient == pytest.approx(0.25, abs=1e-3)
    assert found.normalised_coefficient == pytest.approx(0, abs=1e-3)
    m = soft_clustering.fuzzifier(z, 4)
    assert m <= 1.1
    assert soft_clustering.fuzzy_c_means(z, 4, m=m).partition_coefficient > 0.25 + 0.05


@pytest.mark.parametrize("m", [1.001, 1.5, 2.0, 5.0, 1000.0])
def test_rows_on_centres_and_any_m(m):
    z = np.repeat([[0.0, 0], [1, 0], [0, 3]], SIZES, axis=0)
    found = soft_clustering.fuzzy_c_means(z, 3, m=m)
    assert np.isfinite(found.memberships).all() and np.isfinite(found.centres).all()
    assert found.memberships.sum(axis=1) == pytest.approx(1)
    if m <= 2:
        assert found.memberships == pytest.approx(np.eye(3)[TRUTH], abs=1e-6)
        assert found.partition_coefficient == pytest.approx(1)


def test_rows_that_are_all_the_same_belong_equally():
    found = soft_clustering.fuzzy_c_means(np.ones((6, 4)), 3, m=1.5)
    assert found.memberships == pytest.approx(np.full((6, 3), 1 / 3))
    with pytest.raises(ValueError, match="6 rows do not form 3 clusters"):
        soft_clustering.fuzzifier(np.ones((6, 4)), 3)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.integers(1, 4), st.floats(1.05, 3))
def test_memberships_are_shares(seed, k, m):
    z = np.random.default_rng(seed).standard_normal((20, 3))
    found = soft_clustering.fuzzy_c_means(z, k, m=m, seed=seed)
    u = found.memberships
    assert u.sum(axis=1) == pytest.approx(1) and (u >= 0).all()
    assert 1 / k - 1e-9 <= found.partition_coefficient <= 1 + 1e-9
    assert (np.diff(u.sum(axis=0)) <= 1e-9).all()
    again = soft_clustering.fuzzy_c_means(1000 * z + 5, k, m=m, seed=seed)  # units do not matter
    assert again.memberships == pytest.approx(u, abs=1e-3)


def test_memberships_are_bezdeks():
    z = blobs(3, apart=4)
    found = soft_clustering.fuzzy_c_means(z, 3, m=1.7)
    distances = np.linalg.norm(z[:, None] - found.centres, axis=2)
    ratios = (distances[:, :, None] / distances[:, None]) ** (2 / 0.7)
    assert found.memberships == pytest.approx(1 / ratios.sum(axis=2), abs=1e-4)
    weights = found.memberships**1.7
    means = (weights.T @ z) / weights.sum(axis=0)[:, None]
    assert found.centres == pytest.approx(means, abs=1e-4)


def test_the_fuzzifier_is_the_largest_that_says_something():
    z = blobs(10, apart=4)
    m = soft_clustering.fuzzifier(z, 3)
    assert m in soft_clustering.FUZZIFIERS and 1.05 < m < 2
    assert soft_clustering.fuzzy_c_means(z, 3, m=m).normalised_coefficient >= 0.25
    assert soft_clustering.fuzzy_c_means(z, 3, m=m + 0.05).normalised_coefficient < 0.25
    assert soft_clustering.fuzzifier(blobs(5), 3) == 2.0


def test_frozen_figures():
    rng = np.random.default_rng(5)
    z = rng.standard_normal((80, 6)) + 3 * np.eye(6)[rng.integers(0, 6, 80)]
    assert soft_clustering.fuzzifier(z, 4) == 1.7
    assert soft_clustering.fuzzy_c_means(z, 4, m=1.3).partition_coefficient == pytest.approx(
        0.8232, abs=1e-3
    )


@pytest.mark.parametrize("width", [3, 100])
def test_a_mixture_finds_separate_clusters(width):
    u = soft_clustering.mixture(blobs(width, apart=20), 3)
    assert u.shape == (60, 3) and u.sum(axis=1) == pytest.approx(1)
    assert (u.argmax(axis=1) == TRUTH).all()


def test_a_mixture_follows_stretched_clusters_where_k_means_does_not():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((200, 2)) * (4, 0.5)
    z[100:, 1] += 5
    sides = np.repeat([0, 1], 100)
    found = soft_clustering.mixture(z, 2).argmax(axis=1)
    assert max((found == sides).mean(), (found != sides).mean()) > 0.99
    assert abs((clustering.kmeans(z, 2) == sides).mean() - 0.5) < 0.2


def test_density_leaves_out_what_is_alone():
    z = np.concatenate([blobs(4), [[60.0] * 4, [-70.0] * 4]])
    labels = soft_clustering.hdbscan(z, 6)
    assert (labels == [*TRUTH, -1, -1]).all()
    assert (soft_clustering.hdbscan(np.random.default_rng(0).uniform(size=(40, 6)), 30) == -1).all()


def test_distances_are_those_of_the_metric(rng):
    z = rng.standard_normal((30, 6)) @ rng.standard_normal((6, 6)) + 2
    assert (soft_clustering.in_metric(z, "euclidean") == z).all()
    cosine = pdist(soft_clustering.in_metric(z, "cosine"))
    assert cosine**2 / 2 == pytest.approx(pdist(z, "cosine"))
    inverse = np.linalg.inv(ledoit_wolf(z)[0])
    mahalanobis = pdist(soft_clustering.in_metric(z, "mahalanobis"))
    assert mahalanobis == pytest.approx(pdist(z, "mahalanobis", VI=inverse))


def test_wide_rows_are_whitened_as_narrow_ones(rng):
    z = rng.standard_normal((12, 300)) * np.linspace(1, 5, 300)
    found = soft_clustering.in_metric(z, "mahalanobis")
    inverse = np.linalg.inv(ledoit_wolf(z)[0])
    assert found.shape == (12, 12)
    assert pdist(found) == pytest.approx(pdist(z, "mahalanobis", VI=inverse))


def test_metrics_of_rows_without_length_or_change():
    z = np.zeros((3, 4))
    for metric in soft_clustering.METRICS:
        assert (soft_clustering.in_metric(z, metric) == 0).all()
    column = np.array([[0.0], [1.0], [3.0]])
    apart = squareform(pdist(soft_clustering.in_metric(column, "mahalanobis")))
    assert apart[0, 2] == pytest.approx(3 * apart[0, 1])


def test_views_are_compared_in_each_metric(rng):
    views = {"good": blobs(5), "noise": rng.standard_normal((60, 5))}
    table = soft_clustering.compare_metrics(views, 3)
    assert list(table) == ["view", "metric", "silhouette", "largest_share", "sizes"]
    assert table["metric"].tolist() == ["euclidean", "cosine", "mahalanobis"] * 2
    assert table["sizes"][0] == SIZES and all(sum(sizes) == 60 for sizes in table["sizes"])
    silhouette = table.pivot(index="view", columns="metric", values="silhouette")
    assert (silhouette.loc["good"] > silhouette.loc["noise"]).all()


def test_each_section_says_how_much_it_belongs():
    sections = pd.DataFrame({"item_id": ["a", "a", "b"], "start_s": [0, 15, 0]}, index=[4, 4, 9])
    table = soft_clustering.membership_table(sections, np.array([[1, 0], [0.5, 0.5], [0.9, 0.1]]))
    columns = ["item_id", "start_s", "cluster0", "cluster1", "certain", "entropy"]
    assert list(table) == columns and table["cluster1"].tolist() == [0, 0.5, 0.1]
    assert table["certain"].tolist() == [1, 0.5, 0.9]
    assert table["entropy"].tolist() == pytest.approx([0, 1, 0.469], abs=1e-3)
    assert (soft_clustering.membership_table(sections, np.ones((3, 1)))["entropy"] == 0).all()
    with pytest.raises(ValueError, match=r"3 sections but memberships \(2, 2\)"):
        soft_clustering.membership_table(sections, np.eye(2))
    with pytest.raises(ValueError, match="do not add up to 1"):
        soft_clustering.membership_table(sections, np.ones((3, 2)))


def test_what_cannot_be_clustered_is_refused():
    z = np.eye(5)
    with pytest.raises(ValueError, match="fuzzifier is 1; choose one above 1"):
        soft_clustering.fuzzy_c_means(z, 2, m=1)
    with pytest.raises(ValueError, match="5 rows cannot form 6 clusters; choose k from 1 to 5"):
        soft_clustering.fuzzy_c_means(z, 6, m=1.2)
    with pytest.raises(ValueError, match="two clusters or more"):
        soft_clustering.fuzzifier(z, 1)
    with pytest.raises(ValueError, match="NaN or infinity"):
        soft_clustering.mixture(np.full((5, 2), np.nan), 2)
    with pytest.raises(ValueError, match="one row has no covariance"):
        soft_clustering.mixture(np.ones((1, 2)), 1)
    with pytest.raises(ValueError, match="min_size is 1; choose from 2 to the number of rows, 5"):
        soft_clustering.hdbscan(z, 1)
    with pytest.raises(ValueError, match="no metric named 'city'; choose one of: euclidean"):
        soft_clustering.in_metric(z, "city")
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        soft_clustering.in_metric(np.ones(5), "cosine")
