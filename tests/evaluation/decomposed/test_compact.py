"""Codes of music in one table."""

import numpy as np

from musiclatent.config import SR
from musiclatent.errors import CheckpointError
from musiclatent.evaluation.decomposed import compact
from musiclatent.latents.encoders.packages import onnx


def _music(n=2, seconds=3):
    t = np.arange(seconds * SR) / SR
    rng = np.random.default_rng(0)
    y = [np.sin(2 * np.pi * 220 * 2 ** (i / 12) * t) * np.exp(-8 * (t % 0.5)) for i in range(n)]
    return (0.3 * np.stack(y) + 0.01 * rng.standard_normal((n, len(t)))).astype(np.float32)


def test_the_same_sound_keeps_everything():
    y = np.concatenate([_music(), np.zeros((1, 3 * SR), np.float32)])
    table = compact.compact_table(y, {"same": y, "noise": y[::-1]}, numbers={"same": 30})
    assert table.loc["same", "numbers_s"] == 10 and np.isnan(table.loc["noise", "numbers_s"])
    assert table.loc["same", ["key_agreement", "tempo_agreement"]].eq(1).all()
    assert table.loc["same", "mel_distance"] == 0 < table.loc["noise", "mel_distance"]


def test_without_the_network_it_says_so(monkeypatch):
    def missing():
        raise CheckpointError("basic-pitch is missing; run: musiclatent models fetch basic-pitch")

    monkeypatch.setattr(onnx, "load_notes", missing)
    sounds, numbers, skipped = compact.add_notes(_music(), {"pca": _music()})
    assert list(sounds) == ["pca"] and np.isnan(numbers)
    assert skipped.startswith("notes are left out: basic-pitch is missing")


def test_notes_of_a_network(monkeypatch):
    class Silent:
        def frames(self, y, layer):
            return np.zeros((10, 88))

    monkeypatch.setattr(onnx, "load_notes", Silent)
    sounds, numbers, skipped = compact.add_notes(_music(), {})
    assert numbers == 1 and not skipped and not sounds["notes"].any()
