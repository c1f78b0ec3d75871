"""Keys: profiles, the circle of fifths, chroma of synthesised chords."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musiclatent import keys
from musiclatent.keys import Key, key_distance

SR = 22_050
KEYS = [Key(tonic, mode) for tonic in range(12) for mode in keys.MODES]
any_key = st.sampled_from(KEYS)


def frames(midi: list[int], cents: float = 0.0, seconds: float = 4.0) -> np.ndarray:
    """Frames of tones with five overtones each."""
    t = np.arange(round(seconds * SR)) / SR
    hz = 440 * 2 ** ((np.array(midi) - 69 + cents / 100) / 12)
    y = sum(0.6**k * np.sin(2 * np.pi * k * f * t) for f in hz for k in range(1, 6))
    view = np.lib.stride_tricks.sliding_window_view(0.05 * y.astype(np.float32), keys.N_FFT)
    return view[::2048]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_a_profile_is_its_own_key(key):
    found = keys.key(np.roll(keys.PROFILES[key.mode], key.tonic))
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
    classes = np.concatenate([keys.pitch_classes(frames(c, cents), SR) for c in chords])
    chroma = keys.tuned(classes)
    assert chroma.shape == (12, len(classes)) and keys.key(chroma).name == "A minor"


def test_a_tone_is_in_its_pitch_class():
    chroma = keys.tuned(keys.pitch_classes(frames([69]), SR)).sum(axis=1)
    assert np.argmax(chroma) == 9 and chroma[9] > 0.4 * chroma.sum()


def test_silence_has_no_key():
    quiet = keys.tuned(keys.pitch_classes(np.zeros((3, keys.N_FFT), np.float32), SR))
    assert not quiet.any()
    assert keys.key(quiet) == Key(0, "major", 0.0) == keys.key(np.ones(12))


@pytest.mark.parametrize(
    ("chroma", "words"),
    [(np.ones(11), "shape"), (np.full(12, -1.0), "negative"), (np.full(12, np.nan), "not finite")],
)
def test_malformed_chroma_is_refused(chroma, words):
    with pytest.raises(ValueError, match=words):
        keys.key(chroma)
