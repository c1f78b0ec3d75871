"""Frames, hops and durations by what a recogniser understands."""

import numpy as np
import pandas as pd
import pytest

from musiclatent import audio
from musiclatent.evaluation.preprocessing import frames
from musiclatent.features import stft
from musiclatent.features.stft import LogSTFT, SpectrogramBatch


class Pitch:
    """Recognises a tone as low or high, silence as low."""

    def predict_sounds(self, sounds, sr, *, folder):
        strongest = np.abs(np.fft.rfft(sounds, axis=1)).argmax(axis=1) * sr / sounds.shape[1]
        heard = np.abs(sounds).max(axis=1) > 0.01
        return np.where(heard & (strongest > 1000), "high", "low")


@pytest.fixture
def recordings(tmp_path):
    """A low tone, a high one, and a high one that comes after 0.5 s."""
    t = np.arange(round(0.74 * 22_050)) / 22_050
    sounds = [0.3 * np.sin(2 * np.pi * hz * t) for hz in (300, 2000, 2000)]
    sounds[2] *= t > 0.5
    paths = [str(tmp_path / f"{i}.wav") for i in range(3)]
    for path, y in zip(paths, sounds, strict=True):
        audio.write(path, y.astype(np.float32), 22_050)
    transform = LogSTFT(first_only=True)
    x = stft.scale(np.stack([transform(y[: transform.length].astype(np.float32)) for y in sounds]))
    items = pd.DataFrame({"path": paths, "label": ["low", "high", "high"]})
    return SpectrogramBatch(*x, items, transform)


def test_what_is_cut_off_is_not_understood(recordings, tmp_path):
    settings = ((512, 256, 0.74), (256, 128, 0.74), (512, 256, 0.4))
    table, metrics = frames.understood(recordings, Pitch(), folder=tmp_path, settings=settings)
    assert table["understood"].tolist() == pytest.approx([1, 1, 2 / 3])
    assert table["cells"].tolist() == [256 * 64, 128 * 128, 256 * 35]
    assert metrics["understood_256_128_740ms"] == 1
    assert {"understood_low", "understood_high"} <= set(table)
    options = {"folder": tmp_path, "settings": settings, "few": True}
    few, _ = frames.understood(recordings, Pitch(), **options)
    pd.testing.assert_frame_equal(few, table.iloc[::2].reset_index(drop=True))
