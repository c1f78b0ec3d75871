import numpy as np
import pandas as pd
import pytest

from musiclatent import audio
from musiclatent.config import SR
from musiclatent.evaluation.ablations import augmentation
from musiclatent.evaluation.ablations.augmentation import Slices
from musiclatent.features import descriptors


def _slices(n=12, of_each=3, copies=1) -> Slices:
    """Clips of two labels, told apart by their only column; copies lie where the other label is."""
    rows = []
    for i in range(n):
        for copy in range(1 + copies):
            x = (i % 2) * 10.0 + copy * (10 if i % 2 == 0 else -10)
            rows += [(f"clip{i}", "ab"[i % 2], f"clip{i}", copy, x)] * of_each
    table = pd.DataFrame(rows, columns=["item_id", "label", "group", "copy", "x"])
    noise = np.random.default_rng(0).normal(0, 0.1, (len(table), 1))
    return Slices(
        x=table[["x"]].to_numpy() + noise,
        items=table[["item_id", "label", "group"]],
        copy=table["copy"].to_numpy(),
    )


def test_clips_are_named_by_their_own_sound_and_copies_are_learned_from_only():
    found = augmentation.compare(_slices())
    assert len(found) == 12 and found["item_id"].is_unique
    assert found["plain"].all()
    assert not found["augmented"].all()  # such copies confuse whoever learns from them


def test_slices_are_measured_of_each_clip_and_each_copy(tmp_path):
    time = np.arange(7 * SR) / SR
    for name, hz in {"low": 200, "high": 2000}.items():
        audio.write(tmp_path / f"{name}.wav", 0.3 * np.sin(2 * np.pi * hz * time), SR)
    items = pd.DataFrame({"item_id": ["low", "high"], "label": ["a", "b"]})
    items["path"] = [str(tmp_path / f"{name}.wav") for name in items["item_id"]]
    found = augmentation.measure(items.assign(group=items["item_id"]))
    assert (found.copy == 0).sum() == 4 and (found.copy == 1).sum() in (4, 3, 2)
    assert found.x.shape[1] == len(descriptors.COLUMNS) and np.isfinite(found.x).all()
    table, recordings = found.plain()
    assert table["spectral_centroid_mean"].is_monotonic_increasing  # of the sound itself
    assert recordings.tolist() == ["low", "low", "high", "high"]


def test_a_gain_is_paired_over_recordings():
    rows = pd.DataFrame({"group": [f"clip{i}" for i in range(60)]})
    right = rows.assign(plain=rows.index < 20, augmented=rows.index < 50)
    found = augmentation.summarise(right)
    assert found["clips_plain"] == pytest.approx(1 / 3)
    assert found["clips_augmented"] == pytest.approx(5 / 6)
    assert found["augmentation_gain"] == pytest.approx(0.5)
    assert found["augmentation_gain_low"] > 0.3


def test_what_cannot_be_compared_is_refused():
    alone = _slices(1)
    with pytest.raises(ValueError, match="all clips are of one group"):
        augmentation.compare(alone)
