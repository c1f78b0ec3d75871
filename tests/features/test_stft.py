"""What a model makes of held-out spectrograms: which are taken, how they are measured and heard."""

import dataclasses
import pickle

import librosa
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import audio
from musiclatent.data import cache
from musiclatent.evaluation import reconstruction
from musiclatent.features import stft
from musiclatent.features.phase import spectral_convergence
from musiclatent.features.stft import (
    LogSTFT,
    SpectrogramBatch,
    log_spectral_distance,
    log_stft,
    scale,
    stft_to_audio,
)

SR = 8000
WAY = LogSTFT(sr=SR, window_s=0.0625, n_fft=32, hop_length=16)  # 500 samples: 16 x 32


def _originals(x: np.ndarray, low=-60.0, high=20.0) -> SpectrogramBatch:
    n = len(x)
    return SpectrogramBatch(x, np.full(n, low), np.full(n, high), pd.DataFrame(index=range(n)), WAY)


def test_errors_by_hand():
    x = np.zeros((2, 4, 5), np.float32)
    x_hat = x.copy()
    x_hat[:, :1] = 0.5  # inside: 10 of 40 cells
    x_hat[:, 3:] = 0.25  # outside: 10 of 30
    inside = np.zeros(x.shape, bool)
    inside[:, :1] = True
    found = reconstruction.spectrogram_errors(_originals(x), x_hat, inside)
    each_db = np.sqrt(80**2 * (0.25 + 0.0625) / 4)
    assert found == pytest.approx(
        {
            "mse": (10 * 0.25 + 10 * 0.0625) / 40,
            "log_spectral_distance": each_db,
            "log_spectral_distance_inside": 40.0,
            "mse_inside": 0.25,
            "mse_outside": 10 * 0.0625 / 30,
            "inside_share": 0.25,
            "outside_share_of_error": 0.0625 / (0.25 + 0.0625),
        }
    )


def test_all_inside_leaves_nothing_outside():
    x = np.zeros((1, 4, 5), np.float32)
    found = reconstruction.spectrogram_errors(_originals(x), x + 0.5, np.ones(x.shape, bool))
    assert found["mse_inside"] == found["mse"] == 0.25 and found["inside_share"] == 1
    assert found["outside_share_of_error"] == 0


MUSIC_SR = 22_050
DIGIT, JAZZ = LogSTFT(), LogSTFT(sr=MUSIC_SR, window_s=5.94, n_fft=1024, hop_length=512)
pytestmark = pytest.mark.filterwarnings("ignore:n_fft=.* is too large")  # librosa, short sounds


def vowel(seconds: float = 0.74) -> np.ndarray:
    """Return harmonics of a falling pitch under two formants."""
    t = np.arange(round(seconds * MUSIC_SR)) / MUSIC_SR
    cycles = np.cumsum(140 - 30 * t / seconds) / MUSIC_SR
    hz = 125 * np.arange(1, 30)
    level = 1 / (1 + ((hz - 700) / 150) ** 2) + 0.5 / (1 + ((hz - 1200) / 200) ** 2)
    y = sum(a * np.sin(2 * np.pi * k * cycles) for k, a in enumerate(level, 1))
    return (0.4 * y / np.abs(y).max() * np.hanning(len(t))).astype(np.float32)


def chirp(seconds: float = 0.74) -> np.ndarray:
    t = np.arange(round(seconds * MUSIC_SR)) / MUSIC_SR
    return (0.4 * np.sin(2 * np.pi * (300 + 1500 * t / seconds) * t)).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 20_000),
    half=st.sampled_from([16, 128, 256, 512]),
    parts=st.sampled_from([1, 2, 3]),
    top_db=st.sampled_from([40.0, 80.0]),
)
def test_log_stft_is_librosas(n, half, parts, top_db):
    y = np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)
    y *= np.linspace(0, 1, n, dtype=np.float32) ** 4  # quiet to loud
    n_fft, hop_length = 2 * half, half // parts
    x = log_stft(y, n_fft, hop_length=hop_length, top_db=top_db)
    spectra = librosa.stft(y, n_fft=n_fft, hop_length=hop_length)[:-1]
    wanted = librosa.amplitude_to_db(np.abs(spectra), ref=1.0, top_db=top_db)
    assert x.dtype == np.float32 and x.shape == (half, 1 + n // hop_length)
    np.testing.assert_allclose(x, wanted, atol=1e-4)
    assert x.max() - x.min() <= top_db + 1e-4


def test_shapes_of_both_studies():
    assert (DIGIT.shape, DIGIT.length) == ((256, 64), 16_317)
    assert (JAZZ.shape, JAZZ.length) == ((512, 256), 130_977)
    assert DIGIT(vowel()).shape == (256, 64)
    assert JAZZ(chirp(5.94)).shape == (512, 256)


def test_a_frozen_figure():
    t = np.arange(DIGIT.length) / MUSIC_SR
    x = DIGIT(np.sin(2 * np.pi * 20 * MUSIC_SR / 512 * t))
    assert x[:, 30].argmax() == 20
    assert x[20, 30] == pytest.approx(20 * np.log10(128), abs=1e-3)  # a quarter of n_fft
    assert x.min() == pytest.approx(x.max() - 80, abs=1e-4)


def test_silence_lies_at_the_floor_and_stays_silent():
    x = DIGIT(np.zeros(DIGIT.length, np.float32))
    assert x == pytest.approx(np.full((256, 64), -100), abs=1e-4)
    assert not DIGIT.model_input(x).any()
    y = DIGIT.to_audio(DIGIT.model_input(x)[None], *DIGIT.value_range(x[None]))
    assert y.shape == (1, DIGIT.length) and np.abs(y).max() < 1e-4


@pytest.mark.parametrize(
    ("transform", "y", "most"),
    [(DIGIT, vowel(), 0.15), (DIGIT, chirp(), 0.05), (JAZZ, chirp(5.94), 0.05)],
    ids=["vowel", "chirp", "long chirp"],
)
def test_the_way_back_to_sound(transform, y, most):
    x = transform(y)[None]
    back = transform.to_audio(transform.model_input(x), *transform.value_range(x))
    assert back.dtype == np.float32 and back.shape == (1, transform.length)
    assert np.abs(back).max() <= 1
    kind = {"n_fft": transform.n_fft, "hop_length": transform.hop_length}
    S = np.abs(librosa.stft(y, **kind))
    assert spectral_convergence(S, back[0], **kind) < most
    again = transform.to_audio(transform.model_input(x), *transform.value_range(x))
    assert np.array_equal(again, back)


def test_each_sound_comes_back_with_its_own_range():
    x = np.stack([DIGIT(vowel()), DIGIT(vowel() / 4)])
    x01, (low, high) = DIGIT.model_input(x), DIGIT.value_range(x)
    np.testing.assert_allclose(x01[0], x01[1], atol=1e-4)  # gain is in the pair alone
    np.testing.assert_allclose(high[0] - high[1], 20 * np.log10(4), atol=1e-3)
    loud, quiet = DIGIT.to_audio(x01, low, high)
    assert np.abs(loud).max() == pytest.approx(4 * np.abs(quiet).max(), rel=0.05)
    typical = DIGIT.to_audio(x01[:1])
    assert np.array_equal(typical, DIGIT.to_audio(x01[:1], *stft.TYPICAL_DB))
    assert DIGIT.to_audio(x01[:1, :, :30], low[:1], high[:1]).shape == (1, 29 * 256)


def test_loud_spectrograms_are_scaled_down():
    assert np.abs(stft_to_audio(DIGIT(vowel()) + 40)).max() == 1


def test_magnitudes_undo_the_decibels(rng):
    S = rng.uniform(0.01, 10, (5, 4))
    found = stft.magnitudes(20 * np.log10(S))
    np.testing.assert_allclose(found[:-1], S, rtol=1e-5)
    assert not found[-1].any()  # the bin that was left out


def test_inside_by_hand():
    # 8 bins of 100 Hz from 0, 7 frames of 0.005 s, each reaching 0.005 s to the left.
    transform = LogSTFT(sr=1600, window_s=0.03, n_fft=16, hop_length=8)
    assert transform.shape == (8, 7)
    found = transform.inside(np.array([0.01, 0.012, 9.0]), 250)
    frames = [[1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0], [1] * 7]  # from -5, 0, 5, 10 ... ms
    bands = np.array([1, 1, 1, 0, 0, 0, 0, 0])  # 0, 100, 200 Hz
    assert found.dtype == bool
    assert np.array_equal(found, bands[:, None] * np.array(frames)[:, None] == 1)


def test_above_the_band_of_the_recordings_lie_163_bins():
    inside = DIGIT.inside(np.array([0.74]), 4000)[0]
    assert (~inside.any(1)).sum() == 163 and inside.any(0).all()


@settings(max_examples=20, deadline=None)
@given(ms=st.integers(20, 740))
def test_outside_is_the_floor_of_the_padding(ms):
    n = round(ms / 1000 * MUSIC_SR)
    y = np.pad(0.1 + 0.01 * np.random.default_rng(ms).standard_normal(n), (0, DIGIT.length - n))
    x = DIGIT(y)
    outside = ~DIGIT.inside(np.array([n / MUSIC_SR]), MUSIC_SR)[0]
    assert (x[outside] == x.min()).all() and outside.any() == (n <= 62 * 256)


def test_log_spectral_distance_by_hand(rng):
    x = rng.normal(0, 20, (3, 8, 5))
    assert not log_spectral_distance(x, x).any()
    np.testing.assert_allclose(log_spectral_distance(x, x - 6), [6, 6, 6])
    other = x.copy()
    other[0, 0, 0] += 8  # one of eight bins in one of five frames
    wanted = [np.sqrt(64 / 8) / 5, 0, 0]
    np.testing.assert_allclose(log_spectral_distance(x, other), wanted, atol=1e-12)
    with pytest.raises(ValueError, match=r"are \(3, 8, 5\) and \(8, 5\); give equal shapes"):
        log_spectral_distance(x, x[0])


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.zeros(0), r"shape \(0,\)"),
        (np.zeros((2, 800)), r"shape \(2, 800\) .*give \(N,\), one channel"),
        (np.array([0.0, np.nan]), "NaN or infinity"),
    ],
)
def test_samples_that_are_no_sound(y, words):
    with pytest.raises(ValueError, match=words):
        log_stft(y)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"n_fft": 511}, "n_fft is 511; it must be even"),
        ({"n_fft": 0}, "n_fft is 0"),
        ({"hop_length": 0}, "hop_length is 0 .* 1 to 256"),
        ({"hop_length": 257}, "hop_length is 257 .* 1 to 256"),
        ({"top_db": 0.0}, "top_db is 0.0; it must be above 0 dB"),
        ({"top_db": float("nan")}, "top_db is nan"),
    ],
)
def test_parameters_that_cannot_be_meant(parameters, words):
    with pytest.raises(ValueError, match=words):
        LogSTFT(**parameters)
    with pytest.raises(ValueError, match=words):
        log_stft(np.zeros(800), **parameters)


@pytest.mark.parametrize(
    ("x_db", "words"),
    [
        (np.zeros((256, 1)), r"shape \(256, 1\); give \(F, T\) of 2 frames or more"),
        (np.zeros(256), "2 frames or more"),
        (np.full((256, 4), np.nan), "not finite"),
        (np.full((256, 4), 1e4), "reaches 10000 .* decibels up to 120, not power or magnitudes"),
    ],
)
def test_spectrograms_that_no_sound_has(x_db, words):
    with pytest.raises(ValueError, match=words):
        stft_to_audio(x_db)


@pytest.mark.parametrize("shape", [(256, 64), (1, 255, 64), (1, 1, 256, 64)])
def test_another_number_of_axes_or_bins_is_no_spectrogram_of_this_transform(shape):
    with pytest.raises(ValueError, match=r"give \(B, 256, T\)"):
        DIGIT.to_audio(np.zeros(shape, np.float32))


def test_windows_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"shape \(16316,\); this transform takes \(16317,\)"):
        DIGIT(vowel()[1:])
    with pytest.raises(ValueError, match="NaN or infinity"):
        DIGIT.model_input(np.full((1, 256, 64), np.nan))


def test_logstft_is_plain_values():
    plain = {"sr": MUSIC_SR, "window_s": 0.74, "n_fft": 512, "hop_length": 256, "top_db": 80.0}
    assert dataclasses.asdict(DIGIT) == plain | {"first_only": False}
    assert pickle.loads(pickle.dumps(JAZZ)) == JAZZ  # noqa: S301 - as workers get it


def test_scaling_takes_each_window_by_itself(rng):
    x = rng.normal(0, 20, (3, 4, 8, 5)).astype(np.float32)
    np.testing.assert_allclose(DIGIT.model_input(x)[1, 2], scale(x[1, 2])[0], atol=1e-6)
    low, high = DIGIT.value_range(x)
    assert low.shape == high.shape == (3, 4) and np.array_equal(high, x.max((2, 3)))


@pytest.mark.parametrize(("first_only", "rows"), [(True, [1, 1]), (False, [3, 2])])
def test_what_is_longer_than_a_window_is_cut_or_gives_several(tmp_path, first_only, rows):
    transform = LogSTFT(sr=8000, window_s=0.25, n_fft=64, hop_length=32, first_only=first_only)
    sounds = [0.1 * np.random.default_rng(n).standard_normal(n) for n in (6000, 3500)]
    items = []
    for i, y in enumerate(sounds):
        path = audio.write(tmp_path / f"{i}.wav", y, 8000)
        common = {"label": "", "group": str(i), "split": "train", "seconds": len(y) / 8000}
        items.append({"item_id": str(i), "path": str(path)} | common)
    found = cache.build(pd.DataFrame(items), transform, folder=tmp_path / "cache")
    assert found.x.shape == (sum(rows), 32, 63)
    assert found.items["item_id"].value_counts().sort_index().tolist() == rows
    first = found.items.drop_duplicates("item_id")
    assert (first["start_s"] == 0).all() and (first["end_s"] == 0.25).all()
    for row, path in first[["row", "path"]].itertuples(index=False):
        y, _ = audio.read(path, duration_s=0.25)
        np.testing.assert_allclose(found.x[row], transform(y), atol=1e-4)
