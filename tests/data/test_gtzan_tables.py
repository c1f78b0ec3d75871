"""The table of descriptors of a corpus, and how it agrees with the published one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from musiclatent.data import corpus, gtzan_tables, splits
from musiclatent.data.cache import descriptor_table
from musiclatent.data.gtzan_tables import WHY, agreement
from musiclatent.errors import CorpusError
from musiclatent.features.descriptors import CLASSIC


def table_of(n: int, seed: int = 0) -> pd.DataFrame:
    numbers = np.random.default_rng(seed).normal(size=(n, len(CLASSIC)))
    names = pd.Series([f"clip{i}" for i in range(n)], name="item_id")
    return pd.concat([names, pd.DataFrame(numbers, columns=list(CLASSIC))], axis=1)


def test_a_table_agrees_with_itself():
    table = table_of(30)
    comparison = agreement(table[::-1].assign(label="x")[:20], table)  # another order, fewer clips
    assert list(comparison) == ["column", "difference", "correlation", "agrees"]
    assert comparison["column"].tolist() == list(CLASSIC)
    assert (comparison["difference"] == 0).all() and comparison["agrees"].all()
    assert comparison["correlation"].to_numpy() == pytest.approx(1)


def test_one_of_both_is_enough_to_agree():
    table = table_of(30)
    close, shifted, strange, off = "rms_mean", "mfcc1_mean", "tempo", "harmony_mean"
    measured = table.assign(
        **{
            close: table[close] * 1.04,
            shifted: table[shifted] * 3 + 5,
            strange: table_of(30, seed=1)[strange],
            off: np.nan,
        }
    )
    comparison = agreement(measured, table).set_index("column")
    assert comparison["difference"][close] == pytest.approx(0.04)
    assert comparison["difference"][shifted] > 1 and comparison["correlation"][shifted] > 0.99
    assert comparison.index[~comparison["agrees"]].tolist() == [off, strange]


def test_columns_that_do_not_change():
    table = table_of(5).assign(rms_mean=0.0, rms_var=0.0, tempo=120.0)
    comparison = agreement(table.assign(rms_var=1.0), table).set_index("column")
    assert comparison["correlation"][["rms_mean", "rms_var", "tempo"]].isna().all()
    assert comparison["agrees"][["rms_mean", "tempo"]].all() and not comparison["agrees"]["rms_var"]


def test_one_clip_has_no_correlation():
    comparison = agreement(table_of(1), table_of(3))
    assert comparison["correlation"].isna().all() and comparison["agrees"].all()


def test_tables_that_cannot_be_compared():
    table = table_of(3)
    with pytest.raises(ValueError, match="no clip is in both tables; .* such as 'clip0'"):
        agreement(table.assign(item_id=["x", "y", "z"]), table)
    with pytest.raises(ValueError, match="names 'clip1' twice; keep one row per clip"):
        agreement(table, table.iloc[[0, 1, 1]])


def test_reasons_are_of_columns():
    assert set(WHY) < set(CLASSIC)
    assert set(CLASSIC) - set(WHY) == {"zero_crossing_rate_mean", "zero_crossing_rate_var"}


@pytest.mark.real
def test_gtzans_clips_agree_with_its_table(data_root, tmp_path):
    items = corpus.load("gtzan", root=data_root, work=tmp_path).items.iloc[::6]
    measured, quarantine = descriptor_table(items, tmp_path, n_jobs=1)
    assert len(measured) == len(items) == 8 and quarantine.empty
    rows = agreement(measured, gtzan_tables.read_descriptors(data_root))
    assert rows["agrees"].sum() >= 45
    assert set(rows["column"][~rows["agrees"]]) <= set(WHY)


COUNT = 40


def arrays(**changed):
    """Excerpts of two genres in pairs: one npz as the real one is laid out."""
    clip = np.array(["blues.00007", "jazz.00001", *[""] * (COUNT - 2)])
    whole = {
        "mel": np.random.default_rng(0).normal(size=(COUNT, 128, 130)).astype(np.float16),
        "label": np.repeat(["blues", "jazz"], COUNT // 2),
        "clip": clip,
        "group": np.arange(COUNT, dtype=np.int32) // 2,
        "repeated_pairs": np.array([[0, 1], [6, 7]]),
    }
    return {name: array for name, array in (whole | changed).items() if array is not None}


@pytest.fixture
def root(tmp_path):
    return write(tmp_path / "root")


def write(root, **changed):
    (root / "gtzan_excerpts").mkdir(parents=True, exist_ok=True)
    np.savez(root / "gtzan_excerpts/mel3s.npz", **arrays(**changed))
    return root


def test_the_index_has_a_row_for_each_spectrogram(root, tmp_path):
    items = gtzan_tables.index_excerpts(root, tmp_path)
    assert items["item_id"][[0, 1, 2, 39]].tolist() == [
        "blues.00007",
        "jazz.00001",
        "blues-0002",
        "jazz-0039",
    ]
    assert items["row"].tolist() == list(range(COUNT)) and set(items["seconds"]) == {3.02}
    assert items["group"][:4].tolist() == ["blues.00007", "blues.00007", *["blues-0002"] * 2]
    mel = gtzan_tables.read_spectrograms(root)
    assert mel.dtype == np.float32 and mel.flags["C_CONTIGUOUS"]
    assert (mel == arrays()["mel"]).all()


def test_the_fold_table_is_written_once_and_then_read(root, tmp_path, monkeypatch):
    first = gtzan_tables.index_excerpts(root, tmp_path)
    path = tmp_path / "gtzan_excerpts/folds.csv"
    assert [p.name for p in path.parent.iterdir()] == ["folds.csv"]
    table = pd.read_csv(path)
    swapped = table.assign(fold=4 - table["fold"])  # another table is kept, not made anew
    swapped.to_csv(path, index=False)
    monkeypatch.setattr(splits, "folds", None)
    assert (
        gtzan_tables.index_excerpts(root, tmp_path)["fold"].tolist() == (4 - first["fold"]).tolist()
    )


def test_no_half_written_fold_table_is_left(root, tmp_path, monkeypatch):
    def fill(path, content):
        path.write_text("row,item_id")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(OSError, match="No space left"):
        gtzan_tables.index_excerpts(root, tmp_path)
    assert not list((tmp_path / "gtzan_excerpts").iterdir())


def test_indexing_without_a_work_folder_writes_nothing(root):
    assert "fold" not in gtzan_tables.index_excerpts(root, None)
    assert [p.name for p in (root / "gtzan_excerpts").iterdir()] == ["mel3s.npz"]


@pytest.mark.parametrize("damage", ["group", "fold", "range", "text", "rows"])
def test_a_fold_table_of_other_excerpts_is_refused(root, tmp_path, damage):
    gtzan_tables.index_excerpts(root, tmp_path)
    path = tmp_path / "gtzan_excerpts/folds.csv"
    table = pd.read_csv(path)
    if damage == "group":
        table["group"] = table["item_id"]
    elif damage == "fold":
        table.loc[0, "fold"] = (table.loc[0, "fold"] + 1) % 5  # its group lies in two folds now
    elif damage == "range":
        table["fold"] += 1
    elif damage == "rows":
        table = table[1:]
    table.to_csv(path, index=False)
    if damage == "text":
        path.write_text("")
    with pytest.raises(CorpusError, match=r"folds.csv.* of other excerpts; delete it"):
        gtzan_tables.index_excerpts(root, tmp_path)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"mel": np.zeros((COUNT, 128, 129), np.float16)}, "shape of mel"),
        ({"mel": np.zeros((COUNT, 128, 130), int)}, "type of mel is int64"),
        ({"mel": np.full((COUNT, 128, 130), np.nan, np.float16)}, "not finite"),
        ({"mel": None}, "mel"),
        ({"clip": np.array([""] * 3)}, r"shape of clip is \(3,\), not \(40,\)"),
        ({"clip": np.array(["rock.00001"] * COUNT)}, "names a clip twice"),
        ({"label": np.array([{}] * COUNT)}, "allow_pickle=False"),
        ({"repeated_pairs": np.array([[0, 99]])}, "name no rows"),
        ({"repeated_pairs": np.array([[1, 2]])}, "1 of its repeated pairs lie in two groups"),
    ],
)
def test_broken_excerpts_are_one_sentence(tmp_path, changed, words):
    problems = gtzan_tables.problems(write(tmp_path, **changed))
    assert problems[0][0].name == "mel3s.npz"
    assert pd.Series([why for _, why in problems]).str.contains(words).any()


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "npy"])
def test_files_that_are_no_excerpts_are_one_sentence(root, damage):
    path = root / "gtzan_excerpts/mel3s.npz"
    content = {"cut": path.read_bytes()[:9_999], "text": b"not here", "empty": b""}
    if damage == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        path.write_bytes(content[damage])
    with pytest.raises(CorpusError, match=r"mel3s.npz.* cannot be read .*README.md says where"):
        gtzan_tables.read_spectrograms(root)


def test_problems_count_what_is_missing(root, tmp_path):
    assert [why[:30] for _, why in gtzan_tables.problems(root)] == [
        "it holds 40 of 1,000 excerpts;"
    ]
    missing = gtzan_tables.problems(tmp_path / "nowhere")
    assert "musiclatent data fetch gtzan_excerpts" in missing[0][1]


def test_clips_stand_where_their_excerpts_stand(root, tmp_path):
    items = pd.DataFrame({"item_id": ["rock.00000", "jazz.00001", "blues.00007", "blues-0002"]})
    table = gtzan_tables.index_excerpts(root, tmp_path).set_index("item_id")
    k = table["fold"]["blues.00007"]
    split = gtzan_tables.split_as_excerpts(items[:3], root, tmp_path, k)
    assert split.tolist() == ["", "test", "test"]  # the two share a group
    assert set(gtzan_tables.split_as_excerpts(items, root, tmp_path, (k + 1) % 5)[1:3]) <= {
        "train",
        "validation",
    }


def attributes(root, **changed):
    table = {"filename": ["rock.00000.wav", "pop.00001.wav"], "length": 661_794}
    table |= {f"a{i}": [0.5, i] for i in range(57)} | {"label": ["rock", "pop"]} | changed
    (root / "gtzan").mkdir(parents=True, exist_ok=True)
    table = {name: values for name, values in table.items() if values is not None}
    pd.DataFrame(table).to_csv(root / "gtzan/features_30_sec.csv", index=False)
    return root


def test_the_attributes_are_57_numbers_a_clip(tmp_path):
    table = gtzan_tables.read_descriptors(attributes(tmp_path))
    assert table["item_id"].tolist() == ["rock.00000", "pop.00001"]
    assert table.columns[1] == "label" and table.shape == (2, 59)
    assert set(table.dtypes.iloc[2:]) == {np.dtype(float)}


@pytest.mark.parametrize(
    "changed", [{"a3": None}, {"a3": [1, None]}, {"a3": "x"}, {"filename": None}]
)
def test_a_broken_table_of_attributes_is_one_sentence(tmp_path, changed):
    with pytest.raises(CorpusError, match=r"features_30_sec.csv.*; get a good copy"):
        gtzan_tables.read_descriptors(attributes(tmp_path, **changed))


def test_a_missing_table_of_descriptors_is_one_sentence(tmp_path):
    with pytest.raises(CorpusError, match="there is no table of descriptors"):
        gtzan_tables.read_descriptors(tmp_path)
