"""Indices beside Opus, on noise and tones."""

import shutil

import numpy as np
import pytest

from musiclatent.config import SR
from musiclatent.evaluation.discrete import rates


class Blocks:
    """Eight samples of sixteen as a latent, the others lost."""

    losses, given = (), 0

    def encode(self, x):
        return x.reshape(len(x), -1, 16)[:, :, ::2].transpose(0, 2, 1).astype(np.float32)

    def decode(self, z):
        return np.repeat(z.transpose(0, 2, 1), 2, axis=2).reshape(len(z), -1)


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="Opus is encoded by ffmpeg")
def test_models_and_opus_stand_in_one_table():
    t = np.arange(16_000) / SR
    hz = np.array([200.0, 300, 450, 700, 1000, 1500])
    x = (0.3 * np.sin(2 * np.pi * hz[:, None] * t)).astype(np.float32)
    table, metrics = rates.beside_opus(
        {"a1": Blocks()}, x[:2], np.array(["a", "b"]), training=x[2:], sr=SR, rates=(24,)
    )
    assert list(table.index) == ["rvq_a1_24", "opus_24"]
    assert table.loc["rvq_a1_24", "bits_s"] == pytest.approx(24_000, rel=0.15)
    assert metrics["rvq_a1_24_mse"] < 0.5 * np.square(x).mean()
    assert not [name for name in metrics if name.endswith("better")]
