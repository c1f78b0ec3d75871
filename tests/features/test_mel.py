"""Log-mel spectrograms against librosa, scaling, and the way back to sound."""

import dataclasses
import pickle
import time

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from musiclatent import audio
from musiclatent.audio import decoders
from musiclatent.features import mel, stft
from musiclatent.features import mel as features_mel
from musiclatent.features.mel import LogMel, log_mel, mel_to_audio
from musiclatent.features.stft import scale, unscale

SR = 22_050
pytestmark = pytest.mark.filterwarnings("ignore:n_fft=.* is too large")  # librosa, short sounds


def chord(seconds: float = 3.0, seed: int = 0) -> np.ndarray:
    """Return three decaying notes with harmonics and a little noise."""
    t = np.arange(round(seconds * SR)) / SR
    notes = [np.sin(2 * np.pi * f * k * t) / k for f in (220, 277.2, 329.6) for k in (1, 2, 3, 4)]
    y = np.sum(notes, axis=0) * np.exp(-2 * (t % 0.5)) * 0.1
    return (y + 0.01 * np.random.default_rng(seed).standard_normal(len(t))).astype(np.float32)


def librosas(y, sr=SR, top_db=80.0, **parameters) -> np.ndarray:
    power = librosa.feature.melspectrogram(y=y, sr=sr, **parameters)
    return librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=top_db)


def agreement_db(x: np.ndarray, other: np.ndarray) -> float:
    """Return the mean absolute difference over the upper 60 dB of `x`."""
    loud = x > x.max() - 60
    return float(np.abs(other - x)[loud].mean())


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1100, 70_000),
    sr=st.sampled_from([8000, 22_050, 44_100]),
    n_fft=st.sampled_from([1024, 2048]),
    hop_length=st.sampled_from([160, 512, 1024]),
    n_mels=st.sampled_from([20, 64]),
    top_db=st.sampled_from([40.0, 80.0, 200.0]),
)
def test_log_mel_is_librosas(n, sr, n_fft, hop_length, n_mels, top_db):
    y = np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)
    y *= np.linspace(0, 1, n, dtype=np.float32) ** 4  # quiet to loud
    parameters = {"n_fft": n_fft, "hop_length": hop_length, "n_mels": n_mels, "top_db": top_db}
    x = log_mel(y, sr, **parameters)
    assert x.dtype == np.float32
    assert x.shape == (n_mels, 1 + n // hop_length)
    assert np.abs(x - librosas(y, sr, **parameters)).max() < 1e-3


@pytest.mark.parametrize("n", [1, 511, 512, 2047])
def test_sound_shorter_than_a_frame(n):
    y = chord()[:n]
    assert np.abs(log_mel(y, SR) - librosas(y)).max() < 1e-3


def test_log_mel_does_not_depend_on_blocks(monkeypatch):
    whole = log_mel(chord(), SR)
    monkeypatch.setattr(features_mel, "_BLOCK", 7)
    assert np.allclose(log_mel(chord(), SR), whole, atol=1e-4)


def test_log_mel_leaves_its_samples_alone():
    y = chord()
    before = y.copy()
    assert np.array_equal(log_mel(y, SR), log_mel(y.astype(np.float64), SR))
    assert np.array_equal(y, before)


def test_a_frozen_figure():
    t = np.arange(SR) / SR
    x = log_mel(np.sin(2 * np.pi * 1000 * t), SR)
    assert x[:, 20].argmax() == 38  # the band around 1 kHz
    assert x.max() == pytest.approx(40.234, abs=0.001)
    assert x.min() == pytest.approx(x.max() - 80, abs=1e-4)


def test_silence_lies_at_the_floor_and_scales_to_zeros():
    x = log_mel(np.zeros(SR, np.float32), SR)
    assert x == pytest.approx(np.full((128, 44), -100), abs=1e-4)
    x01, low, high = scale(x)
    assert not x01.any()
    assert low == high == x[0, 0]
    assert np.array_equal(unscale(x01, low, high), x)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.zeros((2, 100)), r"shape \(2, 100\) .* give \(N,\), one channel"),
        (np.zeros(0), "1 or more"),
        (np.zeros(100, np.int16), r"int16; give .* floats in \[-1, 1\]"),
        (np.full(3000, np.nan), "NaN or infinity; repair"),
        (np.r_[np.zeros(3000), np.inf], "NaN or infinity; repair"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_samples_that_are_no_sound(y, words):
    with pytest.raises(ValueError, match=words):
        log_mel(y, SR)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"n_fft": 2047}, "n_fft is 2047; it must be even"),
        ({"n_fft": 0}, "n_fft is 0; it must be even and 2 or more"),
        ({"hop_length": 0}, "hop_length is 0 .* 1 to 2048"),
        ({"n_mels": 0}, "n_mels is 0"),
        ({"sr": 0}, "sr is 0"),
        ({"top_db": 0.0}, r"top_db is 0\.0; it must be above 0 dB"),
        ({"top_db": float("nan")}, "top_db is nan"),
    ],
)
def test_parameters_that_cannot_be_meant(parameters, words):
    with pytest.raises(ValueError, match=words):
        log_mel(chord(0.2), **({"sr": SR} | parameters))
    with pytest.raises(ValueError, match=words):
        LogMel(**parameters)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=4, max_side=5),
        elements=st.floats(-100, 60, width=32),
    )
)
def test_scale_and_back(x):
    x01, low, high = scale(x)
    assert x01.dtype == low.dtype == high.dtype == np.float32
    assert low.shape == high.shape == x.shape[:-2]
    assert x01.min() >= 0
    assert x01.max() <= 1
    assert np.abs(unscale(x01, low, high) - x).max() <= stft.FLAT_DB


def test_scale_reaches_both_ends_of_each_spectrogram(rng):
    x = rng.normal(0, 20, (2, 3, 8, 9)) * [[[[1]], [[2]], [[3]]]]
    x01, _, _ = scale(x)
    assert (x01.min((-2, -1)) == 0).all()
    assert (x01.max((-2, -1)) == 1).all()
    with pytest.raises(ValueError, match="NaN or infinity"):
        scale(np.array([[0.0, np.nan]]))


def test_the_way_back_to_sound():
    x = log_mel(chord(), SR)
    start = time.process_time()
    y = mel_to_audio(x, SR)
    assert time.process_time() - start < 2  # 0.25 s, and loading librosa
    assert y.dtype == np.float32
    assert y.shape == ((x.shape[1] - 1) * 512,)
    assert np.abs(y).max() <= 1
    assert agreement_db(x, log_mel(y, SR)) < 1.5
    assert np.array_equal(y, mel_to_audio(x, SR))
    assert not np.array_equal(y, mel_to_audio(x, SR, seed=1))


def test_more_iterations_come_closer():
    x = log_mel(chord(1.0), SR)
    errors = [agreement_db(x, log_mel(mel_to_audio(x, SR, n_iter=n), SR)) for n in (2, 16, 64)]
    assert errors[0] > errors[1] > errors[2]


def test_the_inverse_mel_has_the_same_mel():
    x = log_mel(chord(1.0), SR)
    filters = mel.mel_filters(SR, 2048, 128)
    S = mel._inverse_mel(librosa.db_to_power(x), filters)
    assert S.shape == (1025, x.shape[1])
    assert S.min() >= 0
    back = librosa.power_to_db(filters @ S**2, amin=1e-10, top_db=80)
    assert agreement_db(x, back) < 0.2


def test_loud_spectrograms_are_scaled_down_and_quiet_ones_are_not():
    x = log_mel(chord(1.0), SR)
    loud, quiet = mel_to_audio(x + 40, SR), mel_to_audio(x - 20, SR)
    assert np.abs(loud).max() == 1
    assert np.abs(quiet).max() == pytest.approx(np.abs(mel_to_audio(x, SR)).max() / 10, rel=0.05)


def test_silence_stays_silent():
    y = mel_to_audio(np.full((128, 10), -100.0), SR)
    assert np.abs(y).max() < 1e-4
    # Bands without a bin of their own: nothing to divide by.
    with pytest.warns(UserWarning, match="Empty filters"):
        assert np.isfinite(mel_to_audio(np.zeros((128, 10)), SR, n_fft=256, hop_length=64)).all()


@pytest.mark.parametrize(
    ("x_db", "words"),
    [
        (np.zeros((128, 1)), r"shape \(128, 1\); give \(F, T\) of 2 frames or more"),
        (np.zeros(128), "2 frames or more"),
        (np.full((128, 4), np.nan), "not finite"),
        (np.full((128, 4), 1e4), "reaches 10000 .* decibels up to 100, not power"),
    ],
)
def test_spectrograms_that_no_sound_has(x_db, words):
    with pytest.raises(ValueError, match=words):
        mel_to_audio(x_db, SR)


def test_logmel_is_a_transform():
    transform = LogMel()
    x = transform(chord())
    assert (transform.kind, transform.version, transform.shape) == ("logmel", 1, (128, 130))
    assert np.array_equal(x, log_mel(chord(), SR))
    both = transform.model_input(np.stack([x, x - 10]))
    np.testing.assert_allclose(both[1], scale(x - 10)[0], atol=1e-6)  # a batch of two and of one
    with pytest.raises(ValueError, match=r"shape \(66149,\); this transform takes \(66150,\)"):
        transform(chord()[1:])


def test_logmel_is_plain_values():
    assert dataclasses.asdict(LogMel()) == {
        "sr": 22_050,
        "window_s": 3.0,
        "n_fft": 2048,
        "hop_length": 512,
        "n_mels": 128,
        "top_db": 80.0,
    }
    assert pickle.loads(pickle.dumps(LogMel())) == LogMel()  # noqa: S301 - as workers get it
    assert LogMel(window_s=30.0).shape == (128, 1292)
    assert LogMel(sr=8000, window_s=0.5, n_fft=512, hop_length=128, n_mels=40).shape == (40, 32)


def test_logmel_can_be_heard():
    transform = LogMel(window_s=1.0)
    x = np.stack([transform(chord(1.0)), transform(0.5 * chord(1.0))])
    x01, low, high = scale(x)
    y = transform.to_audio(x01, low, high)
    assert y.shape == (2, 43 * 512)
    assert np.array_equal(y[1], mel_to_audio(unscale(x01[1], low[1], high[1]), SR))
    typical = transform.to_audio(x01[:1])
    low, high = stft.TYPICAL_DB
    assert np.array_equal(typical, transform.to_audio(x01[:1], low, high))
    assert agreement_db(x[1], log_mel(y[1], SR)) < 1.5
    with pytest.raises(ValueError, match=r"shape \(128, 44\); give \(B, 128, T\)"):
        transform.to_audio(x01[0])


@pytest.mark.real
def test_the_published_excerpts_are_this_transform(data_root):
    """Rows of mel3s are affine in our decibels; only where silence is cut off can differ."""
    with np.load(data_root / "gtzan_excerpts" / "mel3s.npz", allow_pickle=False) as file:
        mel, clips = file["mel"].astype(np.float32), file["clip"]
    clips = {clip: row for row, clip in enumerate(clips) if clip}
    as_whole, as_excerpt, same_floor, correlations = [], [], [], []
    for path in sorted((data_root / "gtzan" / "genres").glob("*/*")):
        if path.stem not in clips or path.suffix not in decoders.SUFFIXES:
            continue
        row = scale(mel[clips[path.stem]])[0]
        y, _ = audio.read(path, SR)
        whole, excerpt = log_mel(y, SR), LogMel()(y[:66_150])
        as_whole.append(np.median(np.abs(scale(whole[:, :130])[0] - row)))
        as_excerpt.append(np.median(np.abs(scale(excerpt)[0] - row)))
        floored = scale(np.maximum(excerpt[:, :128], whole.min()))[0]
        same_floor.append(np.abs(floored - scale(row[:, :128])[0]).max())
        correlations.append(np.corrcoef(scale(excerpt)[0].ravel(), row.ravel())[0, 1])
    assert len(as_whole) >= 44
    assert np.median(as_whole) < 1e-4  # what float16 leaves
    assert np.median(same_floor) < 1e-3
    assert np.median(as_excerpt) < 0.01
    assert np.min(correlations) > 0.99


@pytest.mark.real
def test_real_music_comes_back(data_root):
    errors = []
    for genre in ("blues", "classical", "metal"):
        path = sorted((data_root / "gtzan" / "genres" / genre).glob("*.wav"))[0]
        x = log_mel(audio.read(path, SR, duration_s=3.0)[0], SR)
        x -= x.max() - 10  # quiet enough not to be scaled down
        errors.append(agreement_db(x, log_mel(mel_to_audio(x, SR), SR)))
    assert max(errors) < 1


def test_samples_whose_power_overflows_are_refused():
    with pytest.raises(ValueError, match=r"too loud to measure; scale them to \[-1, 1\]"):
        log_mel(np.full(8000, 1e25, np.float32), 8000)
