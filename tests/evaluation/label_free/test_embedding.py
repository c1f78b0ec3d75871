"""Embeddings that see no label, on a tiny copy of the ready spectrograms."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from musiclatent import audio
from musiclatent.config import SR, Workspace
from musiclatent.data import corpus
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import leakage
from musiclatent.evaluation.label_free import embedding
from musiclatent.evaluation.label_free.embedding import Material
from musiclatent.studies import STUDIES

GENRES = np.array(["blues", "disco", "jazz"])


def _material(n=60, of_each=2, spread=4.0, seed=0) -> Material:
    """Genres lie apart in some columns; others vary more, inside recordings as between them."""
    rng = np.random.default_rng(seed)
    code = np.arange(n) // of_each % 3
    still = np.concatenate([3 * np.eye(3)[code], rng.normal(0, 0.2, (n, 3))], axis=1)
    moving = rng.normal(0, spread, (3, n, 6))
    views = np.concatenate([np.tile(still, (3, 1, 1)), moving], axis=2)
    items = pd.DataFrame({"item_id": [f"clip{i}" for i in range(n)], "label": GENRES[code]})
    items["group"] = np.arange(n) // of_each
    items = items.assign(start_s=0.0, fold=items["group"] // 3 % 5)
    outside = rng.normal(0, 1, (20, 12))
    return Material(
        z=views[0],
        views=views[1:],
        items=items,
        outside=outside,
        recordings=np.repeat([f"edm {i}" for i in range(5)], 4),
        pooled=6,
    )


def test_pairs_hold_no_row_of_the_fold_and_name_each_recording():
    material = _material()
    rows, names = material.pairs(2)
    train = material.items["fold"].ne(2).to_numpy()
    assert len(rows) == len(names) == 3 * train.sum() + 20
    assert set(names) == {f"own {g}" for g in material.items.loc[train, "group"]} | {
        f"edm {i}" for i in range(5)
    }
    other = material.z[~train]
    assert not (rows[:, None] == other[None]).all(axis=2).any()
    assert (np.unique(names, return_counts=True)[1] >= 4).all()  # pairs of each


def test_labels_change_no_embedding():
    material = _material()
    blind = replace(material, items=material.items.assign(label="x"))
    for way in embedding.WAYS.values():
        assert np.array_equal(way(*material.pairs(0))(material.z), way(*blind.pairs(0))(blind.z))


def test_the_best_way_is_found_on_some_folds_and_judged_on_others():
    material = _material()
    tried, judged = embedding.best(material, chosen_on=[3, 4], folds=[0, 1])
    assert set(tried.index) == set(embedding.WAYS) and tried.max() > 0.9
    assert set(judged["fold"]) == {0, 1} and set(judged["method"]) == {"knn_label_free"}
    assert judged["way"].nunique() == 1 and tried[judged["way"].iloc[0]] == tried.max()
    assert judged["right"].mean() > 0.9
    assert (
        judged["item_id"].tolist()
        == material.items.query("fold in [0, 1]")
        .sort_values("fold", kind="stable")["item_id"]
        .tolist()
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Ready spectrograms of three labels, and a soundtrack of which nobody knows the genre."""
    root, rng = tmp_path_factory.mktemp("datasets"), np.random.default_rng(0)
    (root / "gtzan_excerpts").mkdir()
    label = np.repeat(GENRES, 10)
    mel = rng.normal(-60, 2, (30, 128, 130))
    for i, name in enumerate(GENRES):
        mel[label == name, 40 * i : 40 * (i + 1)] += 60
    np.savez(
        root / "gtzan_excerpts" / "mel3s.npz",
        mel=mel.astype(np.float16),
        label=label,
        clip=np.full(30, ""),
        group=np.arange(30),
        repeated_pairs=np.zeros((0, 2), int),
    )
    (root / "game_music").mkdir()
    for name in ("a", "b"):
        audio.write(root / "game_music" / f"{name}.wav", 0.1 * rng.standard_normal(7 * SR), SR)
    return root


def test_all_sound_at_hand_is_measured(root, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICLATENT_DATA", str(root))
    monkeypatch.setattr(embedding, "VIEWS", 1)
    assert "game_music" not in corpus.NAMES  # a folder
    space = Workspace(profile="real", study="mel", results=str(tmp_path))
    found = embedding.gather(STUDIES["mel"], space)
    assert found.z.shape == (30, 920) and found.views.shape == (1, 30, 920)
    assert len(found.outside) == len(found.recordings) >= 4
    assert len(set(found.recordings)) == 2 and found.recordings[0].startswith("game_music ")
    assert sorted(found.items["fold"].unique()) == [0, 1, 2, 3, 4]
    data = CorpusDataModule.of_study(STUDIES["mel"], space, split="outer-0")
    data.setup()
    items = data.cached.items.merge(data.index().items[["item_id", "fold"]], on="item_id")
    x = np.array(data.cached.x)
    scaled = embedding.describe(data.transform.model_input(x))[:, : found.pooled]
    assert np.array_equal(scaled, found.z[:, : found.pooled])
    assert found.pooled == 384 and items["fold"].tolist() == found.items["fold"].tolist()
    plain = embedding.without_learning(found, [0])
    baseline = leakage.baselines(x, items, chosen=[0])[1].query("method == 'knn_pooled_input'")
    assert plain["right"].tolist() == baseline["right"].tolist()
    judged = embedding.judge(found, [0], ["relevant"])
    assert judged["right"].all() and len(judged) == 6  # each genre is loud in its own bands
