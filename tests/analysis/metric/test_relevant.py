import numpy as np
import pytest

from musiclatent.analysis import neighbours
from musiclatent.analysis.metric import relevant


def _rows(n=60, of_each=4, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Recordings lie apart in four of twelve directions; inside one, the others vary more."""
    rng = np.random.default_rng(seed)
    centres = np.zeros((n, 12))
    centres[:, :4] = rng.normal(0, 1, (n, 4))
    z = centres.repeat(of_each, axis=0)
    z += rng.normal(0, 1, z.shape) * np.r_[np.full(4, 0.05), np.full(8, 3.0)]
    return z, np.arange(n).repeat(of_each)


def test_what_varies_inside_recordings_counts_no_more():
    z, recordings = _rows()
    learned = relevant.fit(z, recordings, dimensions=4, shrinkage=0.01)
    fresh, names = _rows(seed=1)
    before = neighbours.nearest(fresh, fresh, 2)[1][:, 1]
    after = neighbours.nearest(learned(fresh), learned(fresh), 2)[1][:, 1]
    assert np.mean(names[before] == names) < 0.3 < 0.5 < np.mean(names[after] == names)


def test_the_scatter_inside_recordings_is_whitened():
    z, recordings = _rows(400)
    learned = relevant.fit(z, recordings, dimensions=12, shrinkage=1e-6)
    moved = learned.standardise(z) @ learned.weights
    inside = moved - moved.reshape(400, 4, 12).mean(1).repeat(4, axis=0)
    np.testing.assert_allclose(inside.T @ inside / len(inside), np.eye(12), atol=1e-3)


def test_embeddings_have_length_1_and_no_more_directions_than_there_are():
    z, recordings = _rows()
    embedded = relevant.fit(z, recordings, dimensions=99)(z)
    assert embedded.shape == (240, 12)
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1)


def test_a_column_that_never_changes_does_no_harm():
    z, recordings = _rows()
    z[:, 5] = 7
    assert np.isfinite(relevant.fit(z, recordings)(z)).all()


@pytest.mark.parametrize(
    ("recordings", "options", "words"),
    [
        (np.arange(8), {}, "none of which has two"),
        (np.zeros(7), {}, "8 vectors of 7 recordings' names"),
        (np.zeros(8), {"shrinkage": 0.0}, "shrinkage 0.0, dimensions 128"),
        (np.zeros(8), {"dimensions": 0}, "dimensions 0; give 0 to 1, and one"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(recordings, options, words):
    with pytest.raises(ValueError, match=words):
        relevant.fit(np.random.default_rng(0).random((8, 3)), recordings, **options)
