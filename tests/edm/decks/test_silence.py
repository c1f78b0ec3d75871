"""What is left out of a track, and where its moments lie without it."""

import numpy as np
import pytest

from musiclatent import audio
from musiclatent.edm.decks import silence
from musiclatent.edm.decks.silence import Cuts

SR = 8000


def _write(path, *parts):
    """Write tones (positive seconds) and rests (negative)."""
    y = [0.5 * (s > 0) * np.sin(np.arange(round(abs(s) * SR)) / 3) for s in parts]
    return audio.write(path, np.concatenate(y), SR)


def test_a_rest_inside_and_silence_at_both_ends_are_left_out(tmp_path):
    cuts = silence.find_cuts(_write(tmp_path / "a.wav", -3, 5, -4, 5, -2))
    assert cuts.seconds == 19
    np.testing.assert_allclose(cuts.spans, [(0, 3), (8.25, 11.75), (17.25, 19.01)], atol=0.02)
    assert cuts.played(19.0) == pytest.approx(5 + 0.5 + 5 + 0.25, abs=0.05)
    np.testing.assert_allclose(cuts.joints_s(), [5.25], atol=0.02)


@pytest.mark.parametrize("parts", [(5,), (-0.4, 5, -0.9, 5, -0.4), (-3,)])
def test_short_rests_stay_and_so_does_what_is_all_silent(tmp_path, parts):
    assert silence.find_cuts(_write(tmp_path / "a.wav", *parts)).spans == ()


def test_an_offset_is_no_sound(tmp_path):
    y = np.concatenate([0.5 * np.sin(np.arange(4 * SR) / 3), np.zeros(4 * SR)]) + 0.1
    spans = silence.find_cuts(audio.write(tmp_path / "a.wav", y, SR)).spans
    np.testing.assert_allclose(spans, [(4.25, 8.01)], atol=0.02)


def test_times_go_there_and_back():
    cuts = Cuts(30.0, ((0.0, 2.0), (10.0, 15.0), (20.0, 21.0), (28.0, 30.0)))
    np.testing.assert_allclose(cuts.played([0, 2, 5, 12, 16, 30]), [0, 0, 3, 8, 9, 20])
    np.testing.assert_allclose(cuts.source([0, 3, 8, 9, 12.9, 13]), [2, 5, 15, 16, 19.9, 21])
    assert Cuts(5.0).played(3.0) == Cuts(5.0).source(3.0) == 3.0


@pytest.mark.parametrize("size", [1, 7, 100])
def test_blocks_of_any_size_lose_the_same_samples(size):
    y = np.arange(200.0).reshape(2, 100)
    blocks = (y[:, i : i + size] for i in range(30, 100, size))
    kept = np.concatenate(list(silence.without(blocks, [(0, 40), (50, 60), (99, 120)], 30)), axis=1)
    np.testing.assert_array_equal(kept[0], [*range(40, 50), *range(60, 99)])
