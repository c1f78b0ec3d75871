"""Pitch classes over time: the right ones, whatever the level, octave or instrument."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musiclatent import audio
from musiclatent.data import cache
from musiclatent.features import tonal
from musiclatent.features.tonal import HOP, POOL, Harmony, Key, cqt_chroma, key_distance

SR = 22_050
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def tones(*midi: int, seconds: float = 3.0, sr: int = SR) -> np.ndarray:
    t = np.arange(round(seconds * sr)) / sr
    return sum(0.2 * np.sin(2 * np.pi * 440 * 2 ** ((m - 69) / 12) * t) for m in midi)


def loudest(y: np.ndarray, n: int, sr: int = SR) -> set[str]:
    return {NAMES[i] for i in cqt_chroma(y, sr).mean(axis=1).argsort()[-n:]}


def test_a_tone_is_its_own_pitch_class_in_every_octave():
    for midi in (33, 69, 93):
        assert loudest(tones(midi), 1) == {"A"}


def test_the_tones_of_a_chord_stand_above_their_neighbours():
    for midi, chord in (((48, 64, 79), {"C", "E", "G"}), ((45, 60, 76), {"A", "C", "E"})):
        x = cqt_chroma(tones(*midi), SR).mean(axis=1)
        peaks = (x > np.roll(x, 1)) & (x > np.roll(x, -1))
        assert {NAMES[i] for i in np.flatnonzero(peaks)} == chord


def test_a_higher_octave_or_level_changes_little_and_a_transposition_rolls():
    x = cqt_chroma(tones(60, 64, 67), SR)
    np.testing.assert_allclose(cqt_chroma(0.01 * tones(60, 64, 67), SR), x, atol=1e-3)
    higher = cqt_chroma(tones(62, 66, 69), SR)
    assert np.corrcoef(np.roll(x, 2, axis=0).ravel(), higher.ravel())[0, 1] > 0.98
    assert np.corrcoef(x.ravel(), higher.ravel())[0, 1] < 0.3


def test_chords_are_heard_when_they_sound():
    y = np.concatenate([tones(60, 64, 67), tones(62, 65, 69)])
    x = cqt_chroma(y, SR)
    middle = x.shape[1] // 2
    assert {NAMES[i] for i in x[:, : middle - 1].mean(axis=1).argsort()[-3:]} == {"C", "E", "G"}
    assert {NAMES[i] for i in x[:, middle + 1 :].mean(axis=1).argsort()[-3:]} == {"D", "F", "A"}


def test_frames_have_mean_0_and_silence_has_no_harmony(rng):
    x = cqt_chroma(rng.uniform(-0.5, 0.5, 2 * SR), SR)
    assert x.dtype == np.float32 and np.ptp(x) > 0
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    assert (cqt_chroma(np.zeros(SR), SR) == 0).all()


@pytest.mark.parametrize(("sr", "window_s"), [(SR, 15.0), (SR, 1.0), (16_000, 2.7), (8_401, 3.0)])
def test_sections_have_the_shape_that_the_transform_says(sr, window_s):
    transform = Harmony(sr, window_s)
    x = transform(tones(57, seconds=window_s, sr=sr).astype(np.float32))
    assert x.shape == transform.shape
    seconds = POOL * HOP / sr
    assert x.shape[1] == int(window_s / seconds)
    assert x.mean(axis=1).argmax() == 9


def test_frozen_figures():
    x = cqt_chroma(tones(60, 64, 67), SR)
    assert x.shape == (12, 8)
    np.testing.assert_allclose(x[[0, 1, 4, 7], 4], [1.236, 0.537, 1.068, 1.004], atol=2e-2)


@pytest.mark.parametrize(
    ("n", "sr", "words"),
    [(SR - 1, SR, r"shape \(22049,\) .* 22050 or more"), (8_400, 8_400, "more than 8,400 Hz")],
)
def test_what_is_too_short_or_too_low_is_refused(n, sr, words):
    with pytest.raises(ValueError, match=words):
        cqt_chroma(np.zeros(n), sr)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(value):
    y = np.zeros(SR)
    y[7] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        cqt_chroma(y, SR)


def test_the_cache_keeps_it(tmp_path):
    path = audio.write(tmp_path / "a.wav", tones(57, seconds=2.0), SR)
    row = {"item_id": "a", "path": str(path), "label": "", "group": "a", "split": "train"}
    items = cache.pd.DataFrame([row | {"seconds": 2.0}])
    found = cache.build(items, Harmony(window_s=1.0), folder=tmp_path / "cache")
    assert found.x.shape == (2, 12, 2) and found.quarantine.empty
    assert (np.asarray(found.x).mean(axis=2).argmax(axis=1) == 9).all()


KEYS = [Key(tonic, mode) for tonic in range(12) for mode in tonal.MODES]
any_key = st.sampled_from(KEYS)


def frames(midi: list[int], cents: float = 0.0, seconds: float = 4.0) -> np.ndarray:
    """Frames of tones with five overtones each."""
    t = np.arange(round(seconds * SR)) / SR
    hz = 440 * 2 ** ((np.array(midi) - 69 + cents / 100) / 12)
    y = sum(0.6**k * np.sin(2 * np.pi * k * f * t) for f in hz for k in range(1, 6))
    view = np.lib.stride_tricks.sliding_window_view(0.05 * y.astype(np.float32), tonal.N_FFT)
    return view[::2048]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_a_profile_is_its_own_key(key):
    found = tonal.estimate_key(np.roll(tonal.PROFILES[key.mode], key.tonic))
    assert (found.tonic, found.mode) == (key.tonic, key.mode)
    assert found.strength == pytest.approx(1)


def test_names_are_those_on_the_wheel():
    known = {"C major": "8B", "A minor": "8A", "A# minor": "3A", "F# major": "2B", "E major": "12B"}
    known |= {"G# minor": "1A", "D minor": "7A", "F major": "7B", "D# minor": "2A", "B major": "1B"}
    assert {key.name: key.camelot for key in KEYS if key.name in known} == known
    assert len({key.camelot for key in KEYS}) == 24


def test_distances_are_frozen():
    c, a_minor = Key(0, "major"), Key(9, "minor")
    assert [key_distance(c, Key(t, "major")) for t in range(12)] == [
        0,
        5,
        2,
        3,
        4,
        1,
        6,
        1,
        4,
        3,
        2,
        5,
    ]
    assert key_distance(c, a_minor) == 0
    assert key_distance(c, Key(0, "minor")) == 4
    assert key_distance(c, Key(4, "minor")) == 2
    assert max(key_distance(c, key) for key in KEYS) == 7


@given(any_key, any_key, st.integers(0, 11))
def test_distance_is_symmetric_and_does_not_change_in_another_key(a, b, up):
    moved = [Key((key.tonic + up) % 12, key.mode) for key in (a, b)]
    assert key_distance(a, b) == key_distance(b, a) == key_distance(*moved)
    assert key_distance(a, a) == 0


@pytest.mark.parametrize("cents", [-30, 0, 35])
def test_a_cadence_has_its_key_in_any_tuning(cents):
    chords = ([57, 60, 64], [62, 65, 69], [64, 68, 71], [57, 60, 64, 69])  # A minor
    classes = np.concatenate([tonal.peak_chroma(frames(c, cents), SR) for c in chords])
    chroma = tonal.tuned(classes)
    assert chroma.shape == (12, len(classes)) and tonal.estimate_key(chroma).name == "A minor"


def test_a_tone_is_in_its_pitch_class():
    chroma = tonal.tuned(tonal.peak_chroma(frames([69]), SR)).sum(axis=1)
    assert np.argmax(chroma) == 9 and chroma[9] > 0.4 * chroma.sum()


def test_silence_has_no_key():
    quiet = tonal.tuned(tonal.peak_chroma(np.zeros((3, tonal.N_FFT), np.float32), SR))
    assert not quiet.any()
    assert tonal.estimate_key(quiet) == Key(0, "major", 0.0) == tonal.estimate_key(np.ones(12))


@pytest.mark.parametrize(
    ("chroma", "words"),
    [(np.ones(11), "shape"), (np.full(12, -1.0), "negative"), (np.full(12, np.nan), "not finite")],
)
def test_malformed_chroma_is_refused(chroma, words):
    with pytest.raises(ValueError, match=words):
        tonal.estimate_key(chroma)
