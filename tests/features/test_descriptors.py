"""Attributes against librosa's own calls, of signals with known answers, and through the cache."""

import dataclasses

import librosa
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import audio
from musiclatent.data import cache
from musiclatent.features import descriptors
from musiclatent.features.descriptors import (
    CLASSIC,
    COLUMNS,
    FURTHER,
    HOP,
    LEAST,
    Descriptors,
    extract,
    frames,
)

SR = 22_050
RATES = [13_000, 16_000, 16_004, 22_050, 44_100]  # librosa's limit for pitches lies in between


def music(seconds: float = 4.0, sr: int = SR, seed: int = 0) -> np.ndarray:
    """Return decaying chords a little out of tune, with clicks and noise."""
    t = np.arange(round(seconds * sr)) / sr
    notes = [np.sin(2 * np.pi * f * k * t) / k for f in (222, 279.7, 332.6) for k in (1, 2, 3, 4)]
    y = 0.1 * np.sum(notes, axis=0) * np.exp(-3 * (t % 0.5))
    y[:: sr // 2] += 0.5
    return (y + 0.01 * np.random.default_rng(seed).standard_normal(len(t))).astype(np.float32)


def sine(hz: float = 440.0, seconds: float = 5.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * SR)) / SR)).astype(np.float32)


def clicks(bpm: float, seconds: float = 15.0) -> np.ndarray:
    times = np.arange(0.25, seconds - 0.25, 60 / bpm)
    return 0.5 * librosa.clicks(times=times, sr=SR, length=round(seconds * SR)).astype(np.float32)


def noise(n: int, level: float = 0.1) -> np.ndarray:
    return level * np.random.default_rng(n).standard_normal(n, np.float32)


def summaries(name: str, row: np.ndarray) -> dict[str, float]:
    return {f"{name}_mean": float(np.mean(row)), f"{name}_var": float(np.var(row))}


def librosas(y: np.ndarray, sr: int) -> dict[str, float]:
    """Call librosa for each attribute from the samples, as a reader would."""
    onsets = librosa.onset.onset_strength(y=y, sr=sr, aggregate=np.median)
    found = {"tempo": float(librosa.feature.tempo(onset_envelope=onsets, sr=sr)[0])}
    found |= summaries("chroma_stft", librosa.feature.chroma_stft(y=y, sr=sr))
    found |= summaries("rms", librosa.feature.rms(y=y))
    found |= summaries("spectral_centroid", librosa.feature.spectral_centroid(y=y, sr=sr))
    found |= summaries("spectral_bandwidth", librosa.feature.spectral_bandwidth(y=y, sr=sr))
    found |= summaries("rolloff", librosa.feature.spectral_rolloff(y=y, sr=sr))
    found |= summaries("zero_crossing_rate", librosa.feature.zero_crossing_rate(y))
    for i, row in enumerate(librosa.feature.mfcc(y=y, sr=sr, n_mfcc=20), start=1):
        found |= summaries(f"mfcc{i}", row)
    return found


def test_the_names():
    assert len(CLASSIC) == 57 and len(set(COLUMNS)) == len(COLUMNS) == 98
    assert (*CLASSIC, *FURTHER) == COLUMNS
    assert list(extract(music(), SR).index) == list(COLUMNS)


@pytest.mark.real
def test_the_names_are_those_of_gtzans_table(data_root):
    header = (data_root / "gtzan/features_30_sec.csv").read_text().split("\n", 1)[0].strip()
    assert header.split(",")[2:-1] == list(CLASSIC)


@pytest.mark.parametrize("sr", RATES)
def test_spectral_is_what_librosa_gives(sr):
    y = music(sr=sr)
    found, expected = descriptors.spectral(frames(y, sr)), librosas(y, sr)
    assert found.keys() == expected.keys() and len(found) == 53
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("sr", RATES)
@pytest.mark.parametrize("cents", [-40, 0, 25])
def test_the_tuning_is_librosas(sr, cents):
    tuned, other = (librosa.tone(hz, sr=sr, length=sr) for hz in (3520 * 2 ** (cents / 1200), 2000))
    tuned[sr // 5 :], other[: sr // 5] = 0, 0
    loudest = 2 * librosa.tone(6000, sr=sr, length=sr)  # no pitch, and beside it `other` is none
    shared = frames(tuned + 0.6 * other + loudest, sr)
    expected = librosa.estimate_tuning(S=shared.power, sr=sr, bins_per_octave=12)
    assert descriptors._tuning(shared) == expected


@pytest.mark.parametrize("n", [LEAST, 15 * HOP + 7, 66_150])  # fewer frames than the filter, more
def test_separated_is_librosas_separation(n):
    y = music()[:n]
    harmony, perceptr = librosa.effects.hpss(y)
    expected = summaries("harmony", harmony) | summaries("perceptr", perceptr)
    assert descriptors.separated(frames(y, SR)) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_further_is_librosas_where_librosa_has_it():
    y = music()
    deltas = librosa.feature.delta(librosa.feature.mfcc(y=y, sr=SR, n_mfcc=20))
    expected = {f"mfcc{i}_delta_var": float(row.var()) for i, row in enumerate(deltas, start=1)}
    for i, row in enumerate(librosa.feature.spectral_contrast(y=y, sr=SR), start=1):
        expected |= summaries(f"contrast{i}", row)
    onsets = librosa.onset.onset_strength(y=y, sr=SR, aggregate=np.median)
    expected |= summaries("onset_strength", onsets)
    found = descriptors.further(frames(y, SR))
    assert set(found) == set(FURTHER)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_flux_is_what_moves_from_bin_to_bin():
    shared = frames(music(), SR)
    S = np.zeros_like(shared.S)
    S[100, :80], S[100, 80:], S[500, 80:] = 3.0, 3.5, 3.5  # half of it moves, once
    found = descriptors.further(dataclasses.replace(shared, S=S))
    assert found["flux_mean"] == pytest.approx(0.5 / (S.shape[1] - 1))


def test_a_sine():
    found = extract(sine(440), SR)
    assert found["spectral_centroid_mean"] == pytest.approx(440, rel=0.02)
    assert found["zero_crossing_rate_mean"] == pytest.approx(2 * 440 / SR, rel=0.02)
    assert found["rms_mean"] == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    assert found["harmony_var"] > 100 * found["perceptr_var"]
    assert found["amplitude_envelope_mean"] == pytest.approx(0.5, rel=0.01)
    assert found["amplitude_envelope_var"] < 1e-5


@pytest.mark.parametrize("bpm", [90, 120, 150])
def test_a_regular_beat(bpm):
    found = extract(clicks(bpm), SR)
    assert found["tempo"] == pytest.approx(bpm, rel=0.03)  # librosa's grid of tempi
    assert found["beat_regularity"] > 0.8
    assert found["perceptr_var"] > found["harmony_var"]


def test_noise_has_no_beat():
    found = extract(noise(15 * SR), SR)
    assert found["beat_regularity"] < 0.3
    assert found["flux_mean"] > 5 * extract(sine(), SR)["flux_mean"]


def test_louder_sound_changes_only_what_tells_level():
    y = music()
    quiet, loud = extract(y / 2, SR), extract(y, SR)
    assert loud["rms_mean"] == pytest.approx(2 * quiet["rms_mean"])
    assert loud["amplitude_envelope_mean"] == pytest.approx(2 * quiet["amplitude_envelope_mean"])
    assert loud["mfcc1_mean"] > quiet["mfcc1_mean"]
    same = ["spectral_centroid_mean", "flux_mean", "tempo", "mfcc2_mean", "contrast3_mean"]
    assert loud[same].to_numpy() == pytest.approx(quiet[same].to_numpy(), rel=1e-3)


@pytest.mark.filterwarnings("error")
def test_silence_gives_finite_numbers():
    found = extract(np.zeros(SR, np.float32), SR)
    assert np.isfinite(found).all()
    assert found["beat_regularity"] == found["flux_mean"] == found["rms_mean"] == 0


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(LEAST, 30_000),
    sr=st.sampled_from(RATES),
    level=st.sampled_from([0.0, 1e-6, 0.1, 1.0]),
    steps=st.booleans(),
)
def test_any_section_long_enough_has_attributes(n, sr, level, steps):
    y = np.sign(noise(n)) * level if steps else noise(n, level)
    found = extract(y.astype(np.float32), sr)
    assert np.isfinite(found).all()
    assert 0 <= found["beat_regularity"] <= 1.0001
    assert (found[[name for name in COLUMNS if name.endswith("_var")]] >= 0).all()


def test_double_precision_is_taken():
    y = music()
    assert extract(y.astype(np.float64), SR).equals(extract(y, SR))


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.zeros(LEAST - 1, np.float32), r"shape \(4095,\) and are float32; .* 4096 or more"),
        (np.zeros((2, 9000), np.float32), r"shape \(2, 9000\) .* one channel of floats"),
        (np.zeros(9000, np.int16), "int16; give .* one channel of floats"),
        (np.full(9000, np.nan, np.float32), "NaN or infinity; repair"),
        (np.r_[np.zeros(9000), np.inf], "NaN or infinity; repair"),
    ],
)
def test_samples_that_are_no_section(y, words):
    with pytest.raises(ValueError, match=words):
        extract(y, SR)


def test_a_sampling_rate_that_leaves_no_room():
    with pytest.raises(ValueError, match="sr is 8000; resample to more than 12,800 Hz"):
        extract(music(), 8000)


def test_a_frozen_figure():
    found = extract(music(), SR)
    frozen = {
        "chroma_stft_mean": 0.345225,
        "spectral_centroid_mean": 2876.81,
        "harmony_var": 0.00647836,
        "tempo": 117.453835,
        "mfcc2_mean": 68.5398,
        "contrast4_mean": 22.5169,
        "flux_mean": 0.0105997,
        "beat_regularity": 0.687365,
    }
    assert found[list(frozen)].to_dict() == pytest.approx(frozen, rel=1e-3)


def corpus(tmp_path, **sounds: np.ndarray | bytes) -> pd.DataFrame:
    """Write files and index them; bytes are no sound."""
    rows = []
    for name, y in sounds.items():
        path = tmp_path / f"{name}.wav"
        seconds = 0.0
        if isinstance(y, bytes):
            path.write_bytes(y)
        else:
            audio.write(path, y, SR)
            seconds = len(y) / SR
        row = {"item_id": name, "path": str(path), "label": "x", "group": name, "split": "train"}
        rows.append(row | {"seconds": seconds})
    return pd.DataFrame(rows)


def test_the_cache_keeps_attributes_of_windows(tmp_path):
    items = corpus(tmp_path, a=music(5), b=music(2.9, seed=1), c=b"RIFF, and then nothing")
    cached = cache.build(items, Descriptors(SR, 2.0), folder=tmp_path / "cache")
    assert cached.quarantine["path"].tolist() == [str(tmp_path / "c.wav")]
    assert cached.items["item_id"].tolist() == ["a", "a", "a", "b"]  # 0.9 s of b is dropped
    assert cached.x.shape == (4, len(COLUMNS)) and cached.x.dtype == np.float32
    first, _ = audio.read(items["path"][0], SR, duration_s=2.0)
    assert cached.x[0] == pytest.approx(extract(first, SR).to_numpy(), rel=1e-6)
    last, _ = audio.read(items["path"][0], SR, start_s=4.0)
    assert len(last) == SR and cached.items["end_s"][2] == 5.0
    assert cached.x[2] == pytest.approx(extract(last, SR).to_numpy(), rel=1e-3)


def test_a_window_with_hardly_any_sound():
    y = np.zeros(2 * SR, np.float32)
    assert np.isfinite(Descriptors(SR, 2.0)(y)).all()
    y[:100] = noise(100)
    found = Descriptors(SR, 2.0)(y)
    assert found == pytest.approx(extract(y, SR).to_numpy(), rel=1e-6)


LOW_SR = 8000


def test_statistics_of_known_sounds():
    t = np.arange(8 * LOW_SR) / LOW_SR
    sine = 0.5 * np.sin(2 * np.pi * 1000 * t)
    clicks = np.zeros(8 * LOW_SR)
    clicks[:: LOW_SR // 2] = 0.9  # two a second
    sounds = [
        sine,
        np.convolve(clicks, np.exp(-np.arange(400) / 40))[: 8 * LOW_SR],
        np.zeros(8 * LOW_SR),
    ]
    table = descriptors.window_statistics(sounds, LOW_SR)
    assert table["centroid_hz"][0] == pytest.approx(1000, abs=15)
    assert table["level_db"][0] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert table["tempo"][1] == pytest.approx(120, rel=0.05)
    assert table[["tempo", "centroid_hz"]].iloc[2].isna().all() and table["level_db"][2] < -100


def test_statistics_of_spectrograms_are_shares_of_their_range():
    x = np.full((64, 30), -80.0, np.float32)
    x[32:40] = 0.0
    low, high = x.copy(), np.roll(x, 20, axis=0)
    table = descriptors.window_statistics([low, high, np.zeros((64, 30), np.float32)], LOW_SR)
    assert table["centroid"][0] == pytest.approx(35.5 / 63, abs=1e-3)
    assert table["centroid"][1] == pytest.approx(55.5 / 63, abs=1e-3)
    assert (table["flux"] == 0).all() and table["level"][0] == pytest.approx(1 / 8)
    assert table["level"][2] == 0  # flat: silence


# Silences inside a second


def _beeps(sr: int) -> np.ndarray:
    """Two seconds of a tone: in the first, two silences of 100 and 3 ms; the second fades 60 dB."""
    y = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(2 * sr) / sr)
    for start_s, ms in ((0.2, 100), (0.6, 3)):
        y[round(start_s * sr) : round(start_s * sr) + round(ms * sr / 1000)] = 0
    y[sr + sr // 2 :] *= 1e-3
    return y.astype(np.float32)


@pytest.mark.parametrize("sr", [44_100, 22_050])
def test_gaps_are_counted_by_the_second_and_short_ones_only_in_the_share(sr):
    take = descriptors.Gaps(sr=sr, window_s=2.0)
    gaps, share = take(_beeps(sr))
    assert take.shape == (2, 2) and gaps.tolist() == [1, 1]
    np.testing.assert_allclose(share, [0.103, 0.5], atol=0.003)


def test_gaps_of_silence_and_of_a_short_end():
    take = descriptors.Gaps(sr=1000, window_s=2.0)
    assert take(np.zeros(2000, np.float32)).tolist() == [[1, 1], [1, 1]]
    assert take(np.ones(1500, np.float32)).tolist() == [
        [0, 1],
        [0, 0.5],
    ]  # what is missing is silent
    np.testing.assert_array_equal(take(0.01 * _beeps(1000)), take(_beeps(1000)))  # relative
