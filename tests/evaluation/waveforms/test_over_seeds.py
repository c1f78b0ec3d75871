"""Models of several seeds are compared by recording."""

import numpy as np
import pytest
from helpers.models import untrained, waveform_experiment

from musiclatent.evaluation.waveforms import over_seeds

SIZES = {"maps": 8, "kernel_size": 64, "stride": 32}


@pytest.fixture
def runs(tmp_path):
    """Three untrained models of one shape, with weights of their own."""
    row = waveform_experiment("WaveformAutoencoder", SIZES)
    return [untrained(tmp_path, row, seed=seed) for seed in range(3)]


def test_the_same_models_have_a_ratio_of_one(runs, rng):
    x, units = (0.1 * rng.normal(size=(4, 4000))).astype(np.float32), np.array(list("aabb"))
    found = over_seeds.error_ratio(runs, runs, x, units)
    assert found.estimate == found.low == found.high == 1 and found.units == 2


def test_errors_are_means_over_seeds_then_over_a_recording(runs, rng):
    x, units = (0.1 * rng.normal(size=(3, 4000))).astype(np.float32), np.array(["a", "a", "b"])
    errors = np.array([over_seeds._errors(run, x) for run in runs])
    one, other = errors[:2].mean(axis=0), errors[2]
    logs = [np.log(one[rows].mean() / other[rows].mean()) for rows in ([0, 1], [2])]
    found = over_seeds.error_ratio(runs[:2], runs[2:], x, units)
    assert found.estimate == pytest.approx(np.exp(np.mean(logs)))
