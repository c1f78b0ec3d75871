"""Pieces drawn from controls, fitted to bars of tones."""

from dataclasses import replace

import numpy as np
import pytest

from musiclatent.config import SR
from musiclatent.latents.controlled import bars, sampler
from musiclatent.latents.controlled.sampler import Controls

ASKED = Controls(tempo=120.0, tonic=0, mode="minor", brightness=0.5, style="a")


@pytest.fixture(scope="module")
def drawing():
    """A sampler of bars that are brighter with the control, and noisy."""
    rng = np.random.default_rng(0)
    controls, spectra = [], []
    for i in range(40):
        one = replace(ASKED, brightness=rng.random(), style="ab"[i % 2], mode="major")
        tilt = np.linspace(0, 40 * (one.brightness - 1), bars.BANDS)
        spectra.append(tilt + rng.normal(0, 1, (bars.FRAMES, bars.BANDS)))
        controls.append(one)
    return sampler.fit(np.array(spectra, np.float32), controls)[0]


def test_a_piece_has_its_bars_and_its_level(drawing):
    y = drawing.draw(ASKED, 3.0)
    assert len(y) == pytest.approx(2 * ASKED.bar_s * SR, abs=bars.HOP)
    assert 10 * np.log10(np.mean(np.square(y))) == pytest.approx(bars.LEVEL_DB, abs=0.1)
    assert np.array_equal(y, drawing.draw(ASKED, 3.0))


def test_brightness_is_learned(drawing):
    power = [
        np.square(np.abs(np.fft.rfft(drawing.draw(replace(ASKED, brightness=b), 2.0))))
        for b in (0.1, 0.9)
    ]
    dark, bright = (part[len(part) // 4 :].sum() / part.sum() for part in power)
    assert bright > 2 * dark


def test_controls_become_numbers():
    rows = sampler.conditions([ASKED, replace(ASKED, tempo=60.0, mode="major")], ("a", "b"))
    assert rows == pytest.approx(
        np.array([[0.5, 1, np.log2(120), 1, 0], [0.5, 0, np.log2(60), 1, 0]])
    )


def test_an_unknown_style_is_refused(drawing):
    with pytest.raises(ValueError, match="style is 'polka'; take one of a, b"):
        drawing.draw(replace(ASKED, style="polka"), 2.0)
