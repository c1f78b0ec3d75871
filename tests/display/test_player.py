from types import SimpleNamespace

import numpy as np
import pytest

from musiclatent import audio
from musiclatent.audio.windows import Waveform
from musiclatent.display import player
from musiclatent.display.player import Listener

SR = 8000


@pytest.fixture
def listener(monkeypatch):
    """A decoder that lays the frames of a latent end to end."""

    def decode(model, z, shape):
        return z.reshape(len(z), *shape).transpose(0, 2, 1).reshape(len(z), -1)

    monkeypatch.setattr(player, "decode", decode)
    monkeypatch.setattr(player, "interpolate", lambda *_: None)
    return Listener(SimpleNamespace(load=lambda: None), Waveform(SR, 0.5))


def _latent(level: float) -> np.ndarray:
    return np.full((4, 1000), level, np.float32)


def test_present_writes_sounds_and_a_picture(listener, tmp_path):
    shown = listener.present({"a loud one": _latent(0.5), "b": _latent(0.1)}, tmp_path, "05_x")
    y, sr = audio.read(tmp_path / "audio" / "05_x_a_loud_one.wav")
    assert sr == SR and len(y) == 4000 and y.mean() == pytest.approx(0.5, abs=1e-3)
    assert (tmp_path / "figures" / "05_x.png").stat().st_size > 1000
    assert shown.data.count("<audio") == 2 and "a loud one" in shown.data


def test_sliders_play_what_they_say(listener, monkeypatch):
    played = []
    monkeypatch.setattr(Listener, "play", lambda self, z, title: played.append((z.mean(), title)))
    listener.between(0.25, _latent(0.0), _latent(1.0), "linear")
    listener.edited(
        2, -1.5, np.tile(np.array([0.0, 1.0], np.float32), (4, 500)), np.ones((4, 1), np.float32)
    )
    assert played[0] == (0.25, "linear, 0.25 of the way from A to B")
    assert played[1][1] == "component 2, -1.5 standard deviations" and played[1][0] < 0.5


def test_what_was_heard_is_not_decoded_again_and_the_oldest_is_forgotten(listener, monkeypatch):
    decoded, decode = [], player.decode
    monkeypatch.setattr(player, "decode", lambda m, z, s: decoded.append(len(z)) or decode(m, z, s))
    z = np.stack([_latent(level / 100) for level in range(player.KEPT + 2)])
    first = listener.decode(z[:3])
    np.testing.assert_array_equal(listener.decode(z[[2, 0, 3]])[:2], first[[2, 0]])
    assert decoded == [3, 1]
    listener.decode(z[4:])
    listener.decode(z[:1])
    assert decoded == [3, 1, player.KEPT - 2, 1] and len(listener.heard) == player.KEPT
