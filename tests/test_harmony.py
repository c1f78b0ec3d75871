"""Pitch classes over time: the right ones, whatever the level, octave or instrument."""

import numpy as np
import pytest

from musiclatent import audio, cache
from musiclatent.harmony import HOP, POOL, Harmony, pitch_classes

SR = 22_050
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def tones(*midi: int, seconds: float = 3.0, sr: int = SR) -> np.ndarray:
    t = np.arange(round(seconds * sr)) / sr
    return sum(0.2 * np.sin(2 * np.pi * 440 * 2 ** ((m - 69) / 12) * t) for m in midi)


def loudest(y: np.ndarray, n: int, sr: int = SR) -> set[str]:
    return {NAMES[i] for i in pitch_classes(y, sr).mean(axis=1).argsort()[-n:]}


def test_a_tone_is_its_own_pitch_class_in_every_octave():
    for midi in (33, 69, 93):
        assert loudest(tones(midi), 1) == {"A"}


def test_the_tones_of_a_chord_stand_above_their_neighbours():
    for midi, chord in (((48, 64, 79), {"C", "E", "G"}), ((45, 60, 76), {"A", "C", "E"})):
        x = pitch_classes(tones(*midi), SR).mean(axis=1)
        peaks = (x > np.roll(x, 1)) & (x > np.roll(x, -1))
        assert {NAMES[i] for i in np.flatnonzero(peaks)} == chord


def test_a_higher_octave_or_level_changes_little_and_a_transposition_rolls():
    x = pitch_classes(tones(60, 64, 67), SR)
    np.testing.assert_allclose(pitch_classes(0.01 * tones(60, 64, 67), SR), x, atol=1e-3)
    higher = pitch_classes(tones(62, 66, 69), SR)
    assert np.corrcoef(np.roll(x, 2, axis=0).ravel(), higher.ravel())[0, 1] > 0.98
    assert np.corrcoef(x.ravel(), higher.ravel())[0, 1] < 0.3


def test_chords_are_heard_when_they_sound():
    y = np.concatenate([tones(60, 64, 67), tones(62, 65, 69)])
    x = pitch_classes(y, SR)
    middle = x.shape[1] // 2
    assert {NAMES[i] for i in x[:, : middle - 1].mean(axis=1).argsort()[-3:]} == {"C", "E", "G"}
    assert {NAMES[i] for i in x[:, middle + 1 :].mean(axis=1).argsort()[-3:]} == {"D", "F", "A"}


def test_frames_have_mean_0_and_silence_has_no_harmony(rng):
    x = pitch_classes(rng.uniform(-0.5, 0.5, 2 * SR), SR)
    assert x.dtype == np.float32 and np.ptp(x) > 0
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    assert (pitch_classes(np.zeros(SR), SR) == 0).all()


@pytest.mark.parametrize(("sr", "window_s"), [(SR, 15.0), (SR, 1.0), (16_000, 2.7), (8_401, 3.0)])
def test_sections_have_the_shape_that_the_transform_says(sr, window_s):
    transform = Harmony(sr, window_s)
    x = transform(tones(57, seconds=window_s, sr=sr).astype(np.float32))
    assert x.shape == transform.shape
    seconds = POOL * HOP / sr
    assert x.shape[1] == int(window_s / seconds)
    assert x.mean(axis=1).argmax() == 9


def test_frozen_figures():
    x = pitch_classes(tones(60, 64, 67), SR)
    assert x.shape == (12, 8)
    np.testing.assert_allclose(x[[0, 1, 4, 7], 4], [1.236, 0.537, 1.068, 1.004], atol=2e-2)


@pytest.mark.parametrize(
    ("n", "sr", "words"),
    [(SR - 1, SR, "22049 samples at 22050 Hz: harmony needs a second"), (8_400, 8_400, "above 8,")],
)
def test_what_is_too_short_or_too_low_is_refused(n, sr, words):
    with pytest.raises(ValueError, match=words):
        pitch_classes(np.zeros(n), sr)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(value):
    y = np.zeros(SR)
    y[7] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        pitch_classes(y, SR)


def test_the_cache_keeps_it(tmp_path):
    path = audio.write(tmp_path / "a.wav", tones(57, seconds=2.0), SR)
    row = {"item_id": "a", "path": str(path), "label": "", "group": "a", "split": "train"}
    items = cache.pd.DataFrame([row | {"seconds": 2.0}])
    found = cache.build(items, Harmony(window_s=1.0), tmp_path / "cache")
    assert found.x.shape == (2, 12, 2) and found.quarantine.empty
    assert (np.asarray(found.x).mean(axis=2).argmax(axis=1) == 9).all()
