import base64
import re

import numpy as np
import pandas as pd
import pytest

from musiclatent import audio
from musiclatent.display import sounds, style
from musiclatent.errors import AudioError

SR = 8000


def _tone(hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(SR) / SR)).astype(np.float32)


def test_a_player_holds_its_sound_and_escapes_its_title():
    text = sounds.player(_tone(), SR, "<script>alert(1)</script>")
    assert "<script>" not in text and "&lt;script&gt;" in text
    sound = base64.b64decode(re.search(r"base64,([^\"]+)\"", text)[1])
    assert len(sound) > 1000 and (sound[:1] == b"\xff" or sound[:3] == b"ID3")


def test_segments_play_from_where_they_begin_and_a_missing_file_is_said(tmp_path):
    y = np.concatenate([_tone(300.0), _tone(900.0)])
    path = str(audio.write(tmp_path / "a.wav", y, SR))
    rows = pd.DataFrame({"item_id": ["<b>", "gone"], "path": [path, str(tmp_path / "gone.wav")]})
    text = sounds.segment_players(rows.assign(start_s=1.0, end_s=2.0), SR, most_s=0.5)
    assert "<b>" not in text and "&lt;b&gt;, from 1 s" in text
    assert "<p>gone, from 1 s: no sound here</p>" in text
    (sound,) = re.findall(r"base64,([^\"]+)\"", text)
    (tmp_path / "heard.mp3").write_bytes(base64.b64decode(sound))
    heard, sr = audio.read(tmp_path / "heard.mp3")
    assert len(heard) / sr == pytest.approx(0.5, abs=0.1)
    assert np.abs(np.fft.rfft(heard, sr)).argmax() == pytest.approx(900, abs=10)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match="a.wav"):
        sounds.segment_players(rows[:1].assign(start_s=0.0, end_s=1.0), SR)


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
