from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from musiclatent.analysis import pooling
from musiclatent.evaluation import leakage

LEAK = ["protocol", "accuracy", "sd", "low", "high", "n_test", "seeds"]


@pytest.fixture
def genres(rng) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(["blues", "jazz"], 30)
    x = rng.standard_normal((60, 32, 80))
    x[labels == "jazz", 2:8] *= 6  # some bands of the two genres move differently
    return x, labels


def _items(labels: np.ndarray) -> pd.DataFrame:
    n = len(labels)
    items = pd.DataFrame({"item_id": [f"clip{i}" for i in range(n)], "start_s": 0.0})
    return items.assign(group=items["item_id"], label=labels, fold=np.arange(n) % 3)


@pytest.fixture
def clips(rng) -> tuple[pd.DataFrame, pd.Series, pd.Series, pd.DataFrame]:
    labels = np.repeat(["blues", "jazz"], 40)
    table = pd.DataFrame(rng.standard_normal((80, 5)), columns=list("vwxyz"))
    table.insert(0, "item_id", [f"{label}.{i:05d}" for i, label in enumerate(labels)])
    table.insert(1, "label", labels)
    part = np.tile(["train", "train", "validation", "test"], 20)
    random = pd.Series(part, index=table["item_id"])
    ids = table["item_id"].to_numpy()
    pairs = pd.DataFrame({"clip_a": ids[0:8:2], "clip_b": ids[1:8:2]})
    return table, random[4:76], random, pairs + ".wav"


def test_band_stats_of_halves_and_of_a_constant():
    x = np.array([[[0, 2], [7, 7]]], np.float16)
    assert pooling.mean_and_deviation(x).tolist() == [[1.0, 7.0, 1.0, 0.0]]


def test_baselines_on_separable_genres(genres):
    x, labels = genres
    table, answers = leakage.baselines(x, _items(labels), chosen=[0, 2])
    features = ("band_stats", "pooled_input", "descriptors", "pca")
    methods = {f"{m}_{feature}" for m in ("knn", "knn_lda", "svm") for feature in features}
    assert set(table["method"]) == set(answers["method"]) == methods
    near = table["method"].str.startswith("knn")
    assert table.loc[near, leakage.METRICS].notna().all(axis=None)
    assert len(table) == 24 and set(table["fold"]) == {0, 2} and (table["n"] == 20).all()
    for method in ("svm_band_stats", "svm_descriptors", "svm_pooled_input"):
        assert (table.loc[table["method"] == method, "accuracy"] >= 0.85).all(), method
    right = answers.groupby(["method", "fold"])["right"].mean()
    assert right.equals(
        table.set_index(["method", "fold"])["accuracy"].sort_index().rename("right")
    )
    assert answers.groupby("method")["item_id"].apply(set).map(len).eq(40).all()


def test_discriminants_know_the_training_rows_alone_and_keep_recordings_whole(rng):
    labels = np.repeat(["a", "b", "c"], 20)
    z = rng.standard_normal((60, 30))
    z[:, 0] += 6 * (labels == "b") - 6 * (labels == "c")
    groups = np.arange(60) // 2
    train, test = leakage.discriminants(z, labels, groups=groups, z=z[:7])
    assert train.shape == (60, 2) and test.shape == (7, 2)
    np.testing.assert_allclose(test, train[:7])
    apart = np.abs(train[labels == "b"].mean(0) - train[labels == "c"].mean(0)).max()
    assert apart > 5 * train[labels == "a"].std(0).min()
    lone = leakage.discriminants(z, labels, groups=labels, z=z)[0]  # nothing to search the share on
    assert lone.shape == (60, 2)


def test_groups_far_apart_are_judged_perfect():
    z, labels = np.repeat(np.eye(3) * 9, 30, axis=0), np.repeat(["a", "b", "c"], 30)
    z = z + 1e-3 * np.random.default_rng(0).standard_normal(z.shape)
    found = leakage.score_vectors(z[::2], labels[::2], z_test=z[1::2], labels_test=labels[1::2])
    assert found["accuracy"] == found["recall_at_1"] == found["v_measure"] == 1
    assert found["mean_average_precision"] == pytest.approx(1) and found["silhouette"] > 0.99


def test_components_are_fitted_on_training_rows_only(rng):
    flat, rows = rng.standard_normal((30, 50)), np.arange(30)
    z_train, z_test = leakage._pca(flat, rows[:20], rows[20:])
    assert z_train.shape == (20, 20) and z_test.shape == (10, 20)
    flat[20:] *= 1e3
    np.testing.assert_array_equal(leakage._pca(flat, rows[:20], rows[20:])[0], z_train)


def test_folds_that_cannot_be_judged_are_refused(genres):
    x, labels = genres
    with pytest.raises(ValueError, match="fold 7 holds 0 of 60 rows; choose another"):
        leakage.baselines(x, _items(labels), chosen=[7])
    with pytest.raises(ValueError, match="60 rows, 59 labels and 59 folds or groups"):
        leakage.baselines(x, _items(labels)[:59], chosen=[0])


def test_pairs_straddle_or_never_do_and_nothing_else_changes():
    labels = np.repeat(["blues", "jazz"], 40)
    groups = np.arange(80)
    groups[[1, 3, 5, 7]] = [0, 2, 4, 6]
    groups[[11, 12]] = 10  # one of three
    for seed in range(5):
        apart = np.isin(np.arange(80), leakage._with_pairs(labels, groups, 0.25, seed, False)[1])
        whole = np.isin(np.arange(80), leakage._with_pairs(labels, groups, 0.25, seed, True)[1])
        shares = pd.Series(apart).groupby(groups).mean()
        assert shares[[0, 2, 4, 6]].eq(0.5).all() and 0 < shares[10] < 1
        assert set(pd.Series(whole).groupby(groups).mean()) == {0.0, 1.0}
        single = np.bincount(groups, minlength=80)[groups] == 1
        assert (apart[single] == whole[single]).all()
        assert apart[single].sum() == round(0.25 * single.sum())


def test_copies_leak_where_labels_cannot_be_told(rng):
    source = np.where(np.arange(120) < 100, np.arange(120) // 2, np.arange(120))  # 50 pairs
    labels = np.array(["blues", "jazz"])[source % 2]
    z = rng.standard_normal((120, 6))[source]
    names = np.array([f"clip.{i:05d}" for i in range(120)])
    table = pd.DataFrame(z).add_prefix("a").assign(item_id=names, label=labels)
    split = pd.Series(np.where(np.arange(120) % 4, "train", "test"), index=names)
    pairs = pd.DataFrame({"clip_a": names[0:100:2], "clip_b": names[1:100:2]})
    leak = leakage.descriptor_leakage(table, split, split, pairs, seeds=8)
    accuracy = leak.set_index("protocol")["accuracy"]
    assert accuracy["pairs_split"] > accuracy["pairs_together"] + 0.1
    leak = leakage.spectrogram_leakage(z, labels, groups=source, seeds=8)
    assert list(leak.columns) == LEAK and (leak["seeds"] == 8).all()
    assert list(leak["protocol"]) == ["random", "by_group", "pairs_split", "pairs_together"]


def test_a_leak_report_has_a_row_for_each_protocol(clips):
    table = leakage.descriptor_leakage(*clips, seeds=3)
    assert list(table.columns) == LEAK
    rows = table.set_index("protocol")
    assert list(rows.index) == [
        "random", "random_1000", "random_930", "filtered", "pairs_split", "pairs_together"
    ]  # fmt: skip
    assert rows["n_test"].tolist()[:4] == [20, 20, 18, 18]
    assert rows["seeds"].tolist() == [1, 3, 3, 1, 3, 3]
    assert rows["sd"].isna().tolist() == [True, False, False, True, False, False]
    pd.testing.assert_frame_equal(leakage.descriptor_leakage(*clips, seeds=3), table)
    assert len(leakage.descriptor_leakage(*clips[:3], seeds=1)) == 4


def test_tables_that_do_not_fit_are_refused(clips):
    table, filtered, random, pairs = clips
    with pytest.raises(ValueError, match="names no clip of the table"):
        leakage.descriptor_leakage(table, filtered.add_suffix(".wav"), random)
    with pytest.raises(ValueError, match="pair techno.wav, .* is not in the table"):
        strange = pairs.assign(clip_a="techno.wav")
        leakage.descriptor_leakage(table, filtered, random, strange)
    table.loc[0, "label"] = "ska"
    with pytest.raises(ValueError, match="label 'ska' has 1 clips to divide"):
        leakage.descriptor_leakage(table, filtered, random, seeds=1)
    with pytest.raises(ValueError, match="5 rows, 4 labels and 5 folds or groups"):
        leakage.spectrogram_leakage(np.eye(5), list("abcd"), groups=range(5))


@pytest.mark.real
def test_leak_of_the_excerpts(data_root):
    with np.load(data_root / "gtzan_excerpts" / "mel3s.npz", allow_pickle=False) as data:
        mel, labels, groups = data["mel"], data["label"], data["group"]
    leak = leakage.spectrogram_leakage(
        pooling.mean_and_deviation(mel), labels, groups=groups, seeds=5
    )
    leak = leak.set_index("protocol")["accuracy"]
    assert leak["random"] > leak["by_group"] and leak["pairs_split"] > leak["pairs_together"]


@pytest.mark.real
def test_leak_of_the_attributes(data_root):
    table = pd.read_csv(data_root / "gtzan" / "features_30_sec.csv").drop(columns="length")
    table.insert(0, "item_id", table.pop("filename").str.removesuffix(".wav"))
    lists = {kind: _lists(data_root / "gtzan" / "splits", kind) for kind in FILES}
    pairs = pd.read_csv(data_root / "gtzan" / "repetitions.csv")
    leak = leakage.descriptor_leakage(table, lists["filtered"], lists["stratified"], pairs)
    leak = leak.set_index("protocol")
    assert leak["accuracy"]["random"] == pytest.approx(0.764, abs=0.002)
    assert leak["accuracy"]["random_930"] == pytest.approx(0.722, abs=0.005)
    assert leak["accuracy"]["filtered"] == pytest.approx(0.479, abs=0.002)
    assert leak["accuracy"]["pairs_split"] > leak["accuracy"]["pairs_together"]
    assert leak["n_test"].tolist() == [250, 250, 290, 290, 262, 262]


FILES = ("filtered", "stratified")


def _lists(folder: Path, kind: str) -> pd.Series:
    names = {"train": "train", "valid": "validation", "test": "test"}
    lines = {part: (folder / f"{part}_{kind}.txt").read_text().split() for part in names}
    return pd.Series({Path(line).stem: names[part] for part in names for line in lines[part]})
