import numpy as np
import pytest

from musiclatent.analysis import neighbours
from musiclatent.training import contrast


def _rows(n=40, of_each=4, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Recordings lie apart in four of ten directions; inside one, the others vary more."""
    rng = np.random.default_rng(seed)
    z = np.zeros((n, 10))
    z[:, :4] = rng.normal(0, 1, (n, 4))
    z = z.repeat(of_each, axis=0)
    return z + rng.normal(0, 1, z.shape) * np.r_[np.full(4, 0.05), np.full(6, 3.0)], np.arange(
        n
    ).repeat(of_each)


@pytest.mark.parametrize("loss", contrast.LOSSES)
def test_parts_of_a_recording_come_together(loss, monkeypatch):
    monkeypatch.setitem(contrast.PAIRS, loss, 40)
    monkeypatch.setattr(contrast, "RATE", 1e-2)
    learned = contrast.fit(*_rows(), loss=loss, dimensions=4, epochs=60)
    fresh, names = _rows(seed=1)

    def found(z):
        return np.mean(names[neighbours.nearest(z, z, 2)[1][:, 1]] == names)

    assert found(learned(fresh)) > 0.1 + found(fresh)
    np.testing.assert_allclose(np.linalg.norm(learned(fresh), axis=1), 1)


def test_the_same_seed_learns_the_same():
    z, recordings = _rows(20)
    one, two, other = (
        contrast.fit(z, recordings, loss="contrast", dimensions=3, epochs=2, seed=seed)(z)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_a_mate_is_another_row_of_the_recording():
    codes = np.array([0, 1, 0, 2, 1, 0, 3, 3])
    for seed in range(5):
        mates = contrast._mates(codes, np.random.default_rng(seed))
        assert (codes[mates] == codes).all()
        assert (np.flatnonzero(mates == np.arange(8)) == [3]).all()  # alone: itself


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="no loss named 'margin'"):
        contrast.fit(*_rows(3), loss="margin")
