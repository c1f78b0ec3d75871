import numpy as np
import pandas as pd
import pytest

from musiclatent.analysis import projection


def test_components_of_a_known_ellipse(rng):
    turn = np.linalg.qr(rng.standard_normal((200, 200)))[0]
    z = (rng.standard_normal((120, 2)) * [5.0, 2.0]) @ turn[:2]
    flat = projection.pca(z, 2)
    assert flat.name == "PCA" and flat.points.shape == (120, 2)
    assert flat.explained.sum() == pytest.approx(1) and flat.explained[0] > flat.explained[1]
    gaps = np.linalg.norm(z[:20, None] - z[:20], axis=2)
    np.testing.assert_allclose(
        np.linalg.norm(flat.points[:20, None] - flat.points[:20], axis=2), gaps, atol=1e-6
    )
    np.testing.assert_array_equal(projection.pca(z, 2).points, flat.points)


def test_components_are_fitted_on_the_chosen_rows_only(rng):
    z = rng.standard_normal((60, 4)) * [9, 1, 1, 1]
    fit_on = np.arange(60) < 40
    flat = projection.pca(z, 2, fit_on)
    z[~fit_on] *= 100
    again = projection.pca(z, 2, fit_on)
    np.testing.assert_allclose(again.points[fit_on], flat.points[fit_on], atol=1e-9)
    np.testing.assert_allclose(again.explained, flat.explained)
    assert np.abs(again.points[~fit_on]).max() > 20 * np.abs(flat.points[~fit_on]).max()


@pytest.mark.parametrize(
    ("z", "fit_on", "words"),
    [
        (np.eye(4), np.ones(3, bool), "for each of the 4 rows"),
        (np.eye(4), np.arange(4), "for each of the 4 rows"),
        (np.eye(4), np.array([True, False, False, False]), "1 rows of 4 dimensions are too few"),
        (np.full((4, 3), np.nan), None, "NaN or infinity"),
    ],
)
def test_what_cannot_be_projected_is_refused(z, fit_on, words):
    with pytest.raises(ValueError, match=words):
        projection.pca(z, 2, fit_on)


def test_umap_keeps_neighbours_and_places_the_rest(rng):
    truth = np.repeat([0, 1], 20)
    z = rng.standard_normal((40, 60)) + 20 * truth[:, None]
    fit_on = np.arange(40) % 5 > 0
    flat = projection.umap(z, 0, fit_on)
    assert flat.name == "UMAP" and flat.explained is None and flat.points.shape == (40, 2)
    centres = np.array([np.median(flat.points[fit_on & (truth == c)], axis=0) for c in (0, 1)])
    nearer = np.linalg.norm(flat.points[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearer == truth).all()
    np.testing.assert_array_equal(projection.umap(z, 0, fit_on).points, flat.points)


@pytest.fixture
def table(rng) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    names = [f"song{i // 2}" for i in range(40)]
    items = pd.DataFrame({"item_id": names, "start_s": [0.0, 5.0] * 20})
    factors = pd.DataFrame({
        "tempo": 120 + rng.uniform(-20, 20, 40), "level_db": -20 + rng.uniform(-2, 2, 40),
        "key": "C", "bpm_guess": np.nan,
    })  # fmt: skip
    points = rng.standard_normal((40, 2))
    points[7], points[10] = [30.0, 0.0], [0.0, -12.0]
    factors.loc[7, ["tempo", "level_db"]] = [300.0, -35.0]
    return points, items, factors


def test_the_outlier_is_named_with_its_reasons(table):
    found = projection.outliers(*table, n=3)
    assert list(found.columns) == ["item_id", "start_s", "distance", "why"]
    assert found["item_id"].tolist()[:2] == ["song3", "song5"] and found["start_s"][0] == 5.0
    assert found["distance"].is_monotonic_decreasing and len(found) == 3
    why = found["why"][0]
    assert "tempo 300 is far above the median" in why
    assert "level_db -35 is far below the median" in why
    assert " far " not in found["why"][1]  # it lies apart, but not for these


def test_a_recording_is_named_once_and_may_have_no_factors(table):
    points, items, factors = table
    points[6] = [25.0, 0.0]
    found = projection.outliers(points, items, factors[["key"]], n=40)
    assert found["item_id"].is_unique and len(found) == 20
    assert set(found["why"]) == {"nothing is known of it"}


def test_tables_of_other_lengths_are_refused(table):
    points, items, factors = table
    with pytest.raises(ValueError, match="40 points, 39 items and 40 rows of factors"):
        projection.outliers(points, items[1:], factors)


def test_a_faithful_plane_is_trusted_and_a_shuffled_one_is_not(rng):
    z = np.pad(rng.standard_normal((100, 2)), ((0, 0), (0, 8)))
    assert projection.trustworthiness(z, z[:, :2]) == 1
    assert projection.trustworthiness(z, rng.permutation(z[:, :2])) < 0.6
    assert projection.trustworthiness(z[:7], z[:7, :2]) == 1  # fewer neighbours than 15
    assert projection.trustworthiness(np.tile(z, (25, 1)), rng.random((2500, 2))) < 0.6
    with pytest.raises(ValueError, match="100 latents and 99 points; give four or more"):
        projection.trustworthiness(z, z[1:, :2])


def test_the_distance_of_two_labels_on_a_line():
    points = np.array([[-1.0, 0], [1, 0], [1, 0], [4, 0], [99, 0]])
    labels = np.array(["classical", "classical", "jazz", "metal", ""])
    assert projection.label_distance(points, labels) == pytest.approx(1 / 3)  # of 1, 3 and 4
    assert projection.label_distance(points, labels, a="classical", b="metal") == pytest.approx(
        4 / 3
    )
    assert np.isnan(projection.label_distance(points, labels, a="classical", b="rock"))
    assert np.isnan(projection.label_distance(points * 0, labels))
    with pytest.raises(ValueError, match="5 points but 4 labels"):
        projection.label_distance(points, labels[1:])


def test_further_latents_are_placed_as_if_they_had_been_there(rng):
    z = rng.standard_normal((60, 8)).astype(np.float32)
    fitted = np.arange(60) < 40
    plane = projection.pca(z, fit_on=fitted)
    np.testing.assert_allclose(plane.place(z[40:]), plane.points[40:], atol=1e-5)
    assert plane.place(z[:1]).shape == (1, 2)


def test_tsne_keeps_neighbours_and_places_the_rest(rng):
    truth = np.repeat([0, 1], 20)
    z = (rng.standard_normal((40, 60)) + 20 * truth[:, None]).astype(np.float32)
    fit_on = np.arange(40) % 5 > 0
    flat = projection.tsne(z, 0, fit_on)
    assert flat.name == "t-SNE" and flat.explained is None and flat.points.shape == (40, 2)
    centres = np.array([np.median(flat.points[fit_on & (truth == c)], axis=0) for c in (0, 1)])
    nearer = np.linalg.norm(flat.points[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearer == truth).all()
    np.testing.assert_array_equal(projection.tsne(z, 0, fit_on).points, flat.points)
    np.testing.assert_allclose(flat.place(z[~fit_on]), flat.points[~fit_on], atol=1e-4)
    np.testing.assert_allclose(flat.place(z[:1]), flat.place(z[:3])[:1], atol=1e-3)


def test_tsne_of_a_plane_is_trusted_and_needs_four_rows(rng):
    z = np.pad(rng.standard_normal((60, 2)), ((0, 0), (0, 4)))
    assert projection.trustworthiness(z, projection.tsne(z).points) > 0.9
    few = projection.tsne(z[:5], fit_on=np.arange(5) < 4)
    assert few.points.shape == (5, 2) and np.isfinite(few.points).all()
    with pytest.raises(ValueError, match="3 rows of 6 dimensions are too few"):
        projection.tsne(z[:3])
    with pytest.raises(ValueError, match="NaN or infinity"):
        projection.tsne(np.full((6, 3), np.nan))
    with pytest.raises(ValueError, match="for each of the 60 rows"):
        projection.tsne(z, fit_on=np.ones(3, bool))
