import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from musiclatent import audio
from musiclatent.apps.reporting import media
from musiclatent.display import style

SHEET = """FILE "mix.flac" WAVE
  TRACK 01 AUDIO
    TITLE "a"
    INDEX 01 00:00:00
  TRACK 02 AUDIO
    TITLE "b"
    REM COMMENT "plain crossfade: tempi"
    INDEX 01 00:05:00
  TRACK 03 AUDIO
    TITLE "c"
    INDEX 01 00:20:00
"""


def _content(address, kind):
    head, _, letters = address.partition(",")
    assert head == f"data:{kind};base64"
    return io.BytesIO(base64.b64decode(letters))


def test_a_picture_is_small_and_keeps_its_scale_and_caption(tmp_path):
    figure, axis = style.subplots(figsize=(20, 6))
    axis.imshow(np.random.default_rng(0).random((50, 300)), aspect="auto")
    style.save_figure(style.caption(figure, "It is noise."), tmp_path / "02_pca_plane.png")
    plt.close(figure)
    shown = media.picture(tmp_path / "02_pca_plane.png")
    assert (shown["title"], shown["caption"]) == ("pca plane", "It is noise.")
    assert (shown["width"], shown["height"]) == (1100, 440)
    with Image.open(_content(shown["address"], "image/webp")) as image:
        assert image.size == (1100, 440)
    Image.new("RGBA", (300, 200)).save(tmp_path / "plain.png")
    plain = media.picture(tmp_path / "plain.png")
    assert (plain["caption"], plain["width"]) == ("plain", 300)  # none is made larger


def test_a_sound_is_an_mp3_with_a_title(tmp_path):
    path = audio.write(tmp_path / "02_window_1_a.wav", 0.1 * np.ones(22_050), 22_050)
    shown = media.sound(path)
    assert shown["title"] == "window 1 a" and media.sound(path, "x")["title"] == "x"
    assert len(_content(shown["address"], "audio/mpeg").getvalue()) > 1000


def test_the_transition_of_a_mix_is_the_first_one_on_the_beat(tmp_path, monkeypatch):
    assert media.transition(tmp_path) == []
    (tmp_path / "mix.cue").write_text(SHEET)
    assert media.transition(tmp_path) == []
    audio.write(tmp_path / "mix.flac", np.zeros(8000 * 40), 8000)
    parts = []
    monkeypatch.setattr(media, "sound", lambda *_, **part: parts.append(part) or {})
    assert media.transition(tmp_path) == [{}]
    assert parts == [{"start_s": pytest.approx(20 - media.EXCERPT_S / 4), "duration_s": 12.0}]
