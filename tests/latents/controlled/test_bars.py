"""Bars free of tempo, key and level, and back."""

import numpy as np
import pytest

from musiclatent.config import SR
from musiclatent.latents.controlled import bars

STARTS_S = np.arange(4) * 2.0


def _tone(hz, seconds=6.0, gain=0.1):
    """A tone that is struck once a second."""
    t = np.arange(round(seconds * SR)) / SR
    return (gain * np.sin(2 * np.pi * hz * t) * np.exp(-4 * (t % 1.0))).astype(np.float32)


def test_the_same_bar_in_another_key_tempo_and_level_is_the_same():
    one = bars.spectra(_tone(440.0), STARTS_S, tonic=9)
    higher = bars.spectra(_tone(440.0 * 2 ** (2 / 12), gain=0.4), STARTS_S, tonic=11)
    assert one.shape == (3, bars.FRAMES, bars.BANDS) and one.dtype == np.float32
    loudest = np.unravel_index(one[1].argmax(), one[1].shape)
    assert loudest[1] == pytest.approx(np.argmax(higher[1].max(axis=0)), abs=1)
    assert np.corrcoef(one.ravel(), higher.ravel())[0, 1] > 0.9


def test_sound_has_the_tempo_key_and_level_that_are_asked_for():
    spectra = bars.spectra(_tone(523.25), STARTS_S, tonic=0)
    setting = bars.Setting(tonic=4, bar_s=1.5, level_db=-26.0)
    y = bars.sound(spectra, setting)
    assert len(y) == pytest.approx(3 * 1.5 * SR, abs=bars.HOP)
    assert 10 * np.log10(np.mean(np.square(y))) == pytest.approx(-26.0, abs=0.1)
    strongest = np.argmax(np.abs(np.fft.rfft(y))) * SR / len(y)
    assert 12 * np.log2(strongest / 523.25) == pytest.approx(4, abs=0.3)


def test_wide_bands_go_back_to_bins():
    plain = np.tile(np.linspace(0, -30, bars.N_FFT // 2 + 1, dtype=np.float32), (5, 1))
    back = bars._plain(bars._banded(plain))
    assert back.shape == plain.shape and np.abs(back - plain).max() < 1.0


def test_a_tonic_goes_the_shorter_way():
    assert [bars._shift(tonic) for tonic in (0, 5, 6, 11)] == [0, 5, -6, -1]


def test_silence_and_no_bar_are_refused():
    with pytest.raises(ValueError, match="silent"):
        bars.spectra(np.zeros(SR * 6, np.float32), STARTS_S, tonic=0)
    with pytest.raises(ValueError, match="no whole bar"):
        bars.spectra(_tone(440.0), STARTS_S[:1], tonic=0)
