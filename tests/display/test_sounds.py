import base64
import re

import numpy as np
import pytest

from musiclatent.display import sounds, style

SR = 8000


def _tone(hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(SR) / SR)).astype(np.float32)


def test_a_player_holds_its_sound_and_escapes_its_title():
    text = sounds.player(_tone(), SR, "<script>alert(1)</script>")
    assert "<script>" not in text and "&lt;script&gt;" in text
    sound = base64.b64decode(re.search(r"base64,([^\"]+)\"", text)[1])
    assert len(sound) > 1000 and (sound[:1] == b"\xff" or sound[:3] == b"ID3")


@pytest.mark.parametrize("count", [1, 5, 7])
def test_a_gallery_has_two_axes_a_sound(count):
    figure = sounds.gallery([(f"a title ${i}_", _tone()) for i in range(count)], SR)
    assert len(figure.axes) == 2 * count


def test_short_and_silent_sounds_can_be_drawn(tmp_path):
    figure = sounds.gallery([("short", np.zeros(100, np.float32)), ("silent", np.zeros(SR))], SR)
    style.save_figure(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_the_spectrogram_shows_the_tone_where_it_is():
    figure = sounds.gallery([("tone", _tone(1000.0))], SR)
    image = figure.axes[1].images[0]
    peak_khz = image.get_array().mean(axis=1).argmax() / image.get_array().shape[0] * SR / 2000
    assert peak_khz == pytest.approx(1.0, abs=0.02)
    assert image.get_array().max() == pytest.approx(-6.0, abs=1.5)  # half of full scale
