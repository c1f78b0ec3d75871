"""Attributes of short spectrograms: known answers, and each row from its own spectrogram only."""

import numpy as np
import pandas as pd
import pytest

from musiclatent.data import gtzan_tables
from musiclatent.features import stft
from musiclatent.features.mel_descriptors import LEAST, columns, extract

M, T = 128, 130


def named(x: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(extract(x), columns=columns(x.shape[1]))


@pytest.fixture
def x(rng) -> np.ndarray:
    return rng.random((6, M, T)).astype(np.float32)


def test_names_and_numbers(x):
    found = extract(x)
    assert found.dtype == np.float32 and found.shape == (6, 536)
    assert len(set(columns(M))) == 536 and len(columns(32)) == 536 - 3 * 96
    assert columns(M)[0] == "band1_mean" and columns(M)[-1] == "quantile0.9"
    assert extract(x[:, :32, :LEAST]).shape == (6, 248)
    assert np.isfinite(found).all()


def test_a_row_depends_on_its_own_spectrogram_only(x, rng):
    found, order = extract(x), rng.permutation(len(x))
    np.testing.assert_allclose(extract(x[order]), found[order], rtol=1e-5, atol=1e-6)
    for i in range(len(x)):
        np.testing.assert_allclose(extract(x[i : i + 1])[0], found[i], rtol=1e-5, atol=1e-6)
    changed = extract(np.concatenate([x[:1], np.zeros_like(x[1:])]))
    np.testing.assert_allclose(changed[0], found[0], rtol=1e-5, atol=1e-6)


def test_neither_level_nor_scale_matters(rng):
    db = rng.normal(size=(3, M, T)).astype(np.float32)
    first, second = (stft.scale(table)[0] for table in (db, 9 * db - 40))
    np.testing.assert_allclose(extract(first), extract(second), rtol=1e-3, atol=1e-4)


def test_bands_and_quantiles(x):
    found = named(x)
    assert found["band5_mean"].to_numpy() == pytest.approx(x[:, 4].mean(1))
    assert found["band128_sd"].to_numpy() == pytest.approx(x[:, 127].std(1))
    steps = np.abs(x[:, 0, 1:] - x[:, 0, :-1]).mean(1)
    assert found["band1_step"].to_numpy() == pytest.approx(steps, rel=1e-4)
    assert found["mfcc1_mean"].to_numpy() == pytest.approx(x.mean((1, 2)) * M**0.5, rel=1e-4)
    ramp = np.linspace(0, 1, M * T, dtype=np.float32).reshape(1, M, T)
    assert named(ramp).filter(like="quantile").to_numpy()[0] == pytest.approx([0.1, 0.5, 0.9], 1e-3)


def test_a_constant_has_no_changes():
    for value in (0, 0.5, 1):
        row = named(np.full((1, M, T), value, np.float32)).iloc[0]
        still = row.filter(regex="_sd$|_step$|^contrast|^onset|^beat").to_numpy()
        assert still == pytest.approx(0, abs=1e-3)
        assert row.filter(regex="_rate").to_numpy() == pytest.approx(np.log(1e-6), abs=0.2)
        assert row.filter(regex="^band.*mean|^quantile").to_numpy() == pytest.approx(value)


def test_contrast_of_one_band():
    x = np.zeros((1, M, T), np.float32)
    x[:, 20] = 1  # in the second group of 16 bands, one of the three that make a peak
    found = named(x).filter(regex="contrast.*mean").to_numpy()[0]
    assert found == pytest.approx([0, 1 / 3, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(("cycles", "rate"), [(4, 1), (12, 2), (20, 3), (28, 4)])
def test_rates_of_changes(cycles, rate):
    wave = 0.5 + 0.4 * np.sin(2 * np.pi * cycles * np.arange(T) / T)
    x = np.broadcast_to(wave, (1, M, T)).astype(np.float32)
    found = named(x)[[f"mfcc1_rate{i}" for i in range(1, 5)]].to_numpy()[0]
    assert found.argmax() == rate - 1


def test_a_beat_stands_out_at_its_lag(rng):
    x = 0.05 * rng.random((2, M, T)).astype(np.float32)
    x[0, :, 5::20] += 0.9  # lag 20 is in the second of eight ranges of lags from 9 to 64
    regular, noise = named(x).to_dict("records")
    assert regular["beat_regularity"] > 0.7 > 0.4 > noise["beat_regularity"]
    lags = [regular[f"beat_lags{i}"] for i in range(1, 9)]
    assert np.argmax(lags) == 1
    assert regular["onset_mean"] > noise["onset_mean"]


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((M, T), r"shape \(128, 130\); give \(B, M, T\)"),
        ((0, M, T), "that is not empty"),
        ((1, 24, T), "24 bands and 130 frames; give at least 30 bands"),
        ((1, 100, T), "a multiple of 8"),
        ((1, M, LEAST - 1), "and 80 frames"),
    ],
)
def test_shapes_that_cannot_be_used(shape, words):
    with pytest.raises(ValueError, match=words):
        extract(np.zeros(shape, np.float32))


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan, np.inf])
def test_values_that_are_not_scaled(x, value):
    x[0, 0, 0] = value
    with pytest.raises(ValueError, match=r"not in \[0, 1\]; scale them with stft.scale"):
        extract(x)


def test_too_few_bands_have_no_names():
    with pytest.raises(ValueError, match="give at least 30 bands"):
        columns(16)


@pytest.mark.real
def test_attributes_follow_the_rows_of_gtzans_excerpts(data_root, rng):
    x = stft.scale(gtzan_tables.read_spectrograms(data_root)[::50])[0]
    found, order = extract(x), rng.permutation(len(x))
    assert found.shape == (20, 536) and np.isfinite(found).all()
    np.testing.assert_allclose(extract(x[order]), found[order], rtol=1e-5, atol=1e-6)
