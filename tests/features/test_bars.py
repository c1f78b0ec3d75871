"""Bars of three, four and six, from ideal onsets."""

import numpy as np
import pytest

from musiclatent.features import bars
from musiclatent.features.beat_grid import RATE


def accents(bar: int, beats: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Onsets (T, 3) of beats half a second apart, the first of each bar low; and their eighths."""
    eighths = np.arange(0.25, 0.25 + beats / 2, 0.25)
    onsets = np.zeros((round((beats / 2 + 1) * RATE), 3))
    for beat in range(beats):
        at = round((eighths[2 * beat] - bars.LATE_S) * RATE + 0.5)
        onsets[at, 1] = 1
        onsets[at, 0] = 2.0 if (beat - first) % bar == 0 else 0.5
    return onsets, eighths


def chroma(seconds: float) -> np.ndarray:
    """Pitch classes that never change."""
    return np.ones((12, round(seconds * RATE / 16)))


@pytest.mark.parametrize("bar", [3, 4])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_bars_are_counted_and_begin_where_the_bass_drum_is(bar, first):
    onsets, eighths = accents(bar, 96, first)
    assert bars.beats_of_bar(onsets, chroma(49), eighths) == bar
    evidence = bars.evidence(onsets, chroma(49), eighths, bar)
    assert len(evidence) == 2 * bar and evidence.argmax() == 2 * first


def test_a_waltz_counted_twice_as_fast_has_bars_of_six():
    onsets, eighths = accents(6, 96)
    onsets[:, :2] *= 1 + (np.arange(len(onsets)) // round(RATE) % 3 == 0)[:, None]
    assert bars.beats_of_bar(onsets, chroma(49), eighths) == 6


def test_without_a_pattern_or_with_six_bars_only_it_is_four():
    onsets, eighths = accents(1, 96)
    assert bars.beats_of_bar(onsets, chroma(49), eighths) == 4
    onsets, eighths = accents(3, 20)
    assert bars.beats_of_bar(onsets, chroma(11), eighths) == 4
