"""Encoders of spectrograms: who takes them, that genre is found where it is, and what is kept."""

import numpy as np
import pandas as pd
import pytest

from musiclatent.data import gtzan_tables
from musiclatent.evaluation.comparison import spectrograms
from musiclatent.features.mel import LogMel
from musiclatent.latents.encoders.statistics import Statistics
from musiclatent.latents.encoders.trained import TrainedEncoder
from musiclatent.models.mel import MelAutoencoder

N = 60


@pytest.fixture
def excerpts(monkeypatch, rng):
    """Sixty excerpts of three genres that differ in their bands."""
    labels = np.repeat(["blues", "jazz", "metal"], N // 3)
    x = rng.normal(size=(N, 128, 130)).astype(np.float32)
    for k, label in enumerate(np.unique(labels)):
        x[labels == label, 40 * k : 40 * k + 40] += 2
    items = pd.DataFrame({"label": labels, "group": np.arange(N).astype(str)})
    items = items.assign(fold=np.arange(N) % 5)
    monkeypatch.setattr(gtzan_tables, "index_excerpts", lambda root, work: items)
    monkeypatch.setattr(gtzan_tables, "read_spectrograms", lambda root: x)
    return x


def test_genre_that_is_in_the_bands_is_answered_on_the_test_fold_alone(excerpts, tmp_path):
    find = {
        "log-mel": lambda: Statistics("log-mel"),
        "descriptors": lambda: Statistics("descriptors"),
    }
    near, probe = spectrograms.judge(find, tmp_path, tmp_path)
    assert [near.key, probe.key] == ["excerpt_neighbours", "excerpt_probe"]
    assert list(probe.values) == ["log-mel"] and len(probe.values) == N // 5
    assert probe.mean("log-mel").estimate == 1


def test_a_second_time_nothing_is_encoded(excerpts, tmp_path, monkeypatch):
    find = {"mfcc": lambda: Statistics("mfcc")}
    first = spectrograms.judge(find, tmp_path, tmp_path)[1].values
    monkeypatch.setattr(spectrograms, "encode_spectrograms", lambda *_: pytest.fail("again"))
    assert spectrograms.judge(find, tmp_path, tmp_path)[1].values.equals(first)


def test_statistics_of_bands_and_models_of_that_shape_take_them(excerpts):
    taken = {name: spectrograms.takes_spectrograms(Statistics(name)) for name in
             ("mfcc", "log-mel+mel-descriptors", "rates", "mfcc+descriptors")}  # fmt: skip
    assert taken == {"mfcc": True, "log-mel+mel-descriptors": True, "rates": False,
                     "mfcc+descriptors": False}  # fmt: skip
    model = MelAutoencoder().eval()
    about = {"name": "mel", "revision": "1"}
    ours = TrainedEncoder(model=model, transform=LogMel(window_s=3.0), **about)
    assert spectrograms.takes_spectrograms(ours)
    z = spectrograms.encode_spectrograms(ours, excerpts[:3])
    assert z.shape == (3, ours.dimensions) and np.isfinite(z).all()
    # min-max scaling forgets the level and the scale of a spectrogram
    np.testing.assert_allclose(
        spectrograms.encode_spectrograms(ours, 3 * excerpts[:3] - 1), z, atol=1e-4
    )
    other = TrainedEncoder(model=model, transform=LogMel(window_s=5.0), **about)
    assert not spectrograms.takes_spectrograms(other)


def test_missing_excerpts_are_one_sentence(tmp_path):
    assert "mel3s.npz" in spectrograms.those_there(tmp_path)


@pytest.mark.real
def test_the_real_excerpts_are_told_apart_above_chance(data_root, tmp_path):
    find = {"mfcc": lambda: Statistics("mfcc")}
    near, probe = spectrograms.judge(find, data_root, tmp_path)
    assert len(probe.values) == pytest.approx(200, abs=10)
    assert 0.3 < near.mean("mfcc").estimate < 0.6 and 0.35 < probe.mean("mfcc").estimate < 0.7
