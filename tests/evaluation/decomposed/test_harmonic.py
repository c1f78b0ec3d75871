"""Tones and beats encoded apart."""

import numpy as np
import pandas as pd
import pytest

from musiclatent.evaluation.decomposed import harmonic
from musiclatent.features import stft
from musiclatent.features.stft import LogSTFT, SpectrogramBatch

TRANSFORM = LogSTFT(sr=8000, window_s=1.0, n_fft=256, hop_length=64)


def _batch(seed, n=12):
    rng = np.random.default_rng(seed)
    t = np.arange(8000) / 8000
    sounds = []
    for _ in range(n):
        y = 0.2 * np.sin(2 * np.pi * rng.uniform(300, 2000) * t)
        y[rng.integers(500, 7500, 3)] += 0.8
        sounds.append(TRANSFORM(y.astype(np.float32)))
    return SpectrogramBatch(*stft.scale(np.stack(sounds)), pd.DataFrame(), TRANSFORM)


def test_tones_and_clicks_part():
    tones, clicks = harmonic._parts(_batch(0))
    assert tones.mean(axis=2).max(axis=1) == pytest.approx(np.ones(12), abs=0.15)
    assert clicks.mean(axis=1).max(axis=1).min() > 0.6 > clicks.mean(axis=2).max()


def test_with_as_many_dimensions_as_sounds_the_parts_add_up_to_the_whole():
    batch = _batch(1)
    x_hat = harmonic.reconstruct_by_parts(batch, batch, n=24)
    assert x_hat.shape == batch.x.shape and x_hat.dtype == np.float32
    assert np.abs(x_hat - batch.x).mean() < 0.02


def test_fewer_dimensions_are_farther():
    train, test = _batch(2, 30), _batch(3)
    near, far = (harmonic.reconstruct_by_parts(train, test, n=n) for n in (40, 2))
    assert np.square(near - test.x).mean() < np.square(far - test.x).mean()
