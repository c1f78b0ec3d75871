import numpy as np
import pytest
import torch

from musiclatent import audio, latents, listening, runs
from musiclatent.config import Experiment
from musiclatent.excerpts import Waveform
from musiclatent.listening import Listener
from musiclatent.runs import Run

SR = 8000


@pytest.fixture
def listener(monkeypatch):
    """A decoder that lays the frames of a latent end to end."""

    def decode(run, z, shape):
        return z.reshape(len(z), *shape).transpose(0, 2, 1).reshape(len(z), -1)

    monkeypatch.setattr(latents, "decode", decode)
    monkeypatch.setattr(listening, "own_way", lambda *_: None)
    return Listener(None, Waveform(SR, 0.5))


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


def test_a_straight_way_is_the_models_own_where_it_has_one(listener, monkeypatch):
    a, b = _latent(0.0), _latent(1.0)
    assert listener.interpolate(a, b, 3).mean(axis=(1, 2)).tolist() == [0, 0.5, 1]

    def own(run, z_a, z_b, positions):
        return np.stack([z_a + 7 * p for p in positions])

    monkeypatch.setattr(listening, "own_way", own)
    assert listener.interpolate(a, b, 3).mean(axis=(1, 2)).tolist() == [0, 3.5, 7]
    assert listener.interpolate(a, b, 3, "spherical").mean(axis=(1, 2)).tolist() == [0, 0.5, 1]
    with pytest.raises(ValueError, match="steps is 1"):
        listener.interpolate(a, b, 1)


def test_models_without_a_way_have_none(tmp_path):
    options = {"numbers": 27_500, "hops": [64, 1024], "iterations": 2, "refits": 0, "crop": 2}
    for kind, more in {"WaveformAutoencoder": {"maps": 4}, "SparseAutoencoder": options}.items():
        model = runs.MODELS[kind](**more)
        content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
        torch.save(content, tmp_path / f"{kind}.ckpt")
        run = Run(
            Experiment(name="e", study="e", key="e", model=kind, options=more, about=""),
            tmp_path / f"{kind}.ckpt",
            {},
            None,
            "",
        )
        z = model.encode(torch.randn(2, 1, 4096)).detach().numpy()
        way = listening.own_way(run, *z, [0.0, 0.5, 1.0])
        assert (way is None) == (kind == "WaveformAutoencoder")
    np.testing.assert_array_equal(way[[0, 2]], z)


def test_smoothness_is_one_for_equal_steps_and_large_for_a_jump():
    even = np.linspace(0, 1, 5)[:, None] * np.ones((1, 10))
    jump = np.array([0, 0, 0, 1, 1])[:, None] * np.ones((1, 10))
    assert listening.smoothness(even) == pytest.approx(1.0)
    assert listening.smoothness(jump) == pytest.approx(4.0)
    assert np.isnan(listening.smoothness(np.ones((3, 10))))
