"""Energy of sparse codes by band and frame."""

import numpy as np
import pytest

from musiclatent import atoms, neighbours

SR = 8000


def test_energy_of_a_sparse_code_lies_where_its_atoms_lie():
    hops, n = [64, 4096], 8192
    z = np.array([[[2.0, 3.0], [10 * 64 + 32, n + 4096 + 1024]]])  # frame 10; second long frame
    found = atoms.energy(z, hops, n, SR)
    assert found.shape == (1, atoms.BANDS, 8)
    assert found.sum() == pytest.approx(4 + 9)
    assert found[0].sum(axis=0).tolist() == pytest.approx([4, 0, 0, 0, 9 / 4, 9 / 4, 9 / 4, 9 / 4])
    low, high = (np.flatnonzero(found[0, :, t])[0] for t in (4, 0))
    assert low < high < atoms.BANDS  # 1,000 Hz and 2,031 Hz


def test_dense_latents_stay_and_sparse_ones_become_maps(rng):
    z = rng.normal(size=(3, 24)).astype(np.float32)
    np.testing.assert_array_equal(atoms.maps(z, {"latent_shape": [4, 6]}), z.reshape(3, 4, 6))
    z[:, 12:] = np.arange(12) * 700
    about = {"latent_shape": [2, 12], "hops": [64, 1024], "sr": SR, "window_s": 0.512}
    found = atoms.maps(z, about)
    assert found.shape == (3, atoms.BANDS, 4) and (found >= 0).all()
    power = np.square(z[:, :12]).sum(axis=1)
    np.testing.assert_allclose(np.square(found).sum(axis=(1, 2)), power, rtol=1e-5)
    rows = neighbours.compared(z, about | {"input": "waveform"})
    np.testing.assert_array_equal(rows, found.reshape(3, -1))
