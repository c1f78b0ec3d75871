"""The table of attributes of a corpus, and how it agrees with a known one."""

import numpy as np
import pandas as pd
import pytest

from musiclatent import attributes, audio, corpora, tables
from musiclatent.attributes import CLASSIC, COLUMNS
from musiclatent.sections import WHY, agreement, attribute_table

SR = 22_050


@pytest.fixture
def items(tmp_path):
    """Three files: two sections, one of them silent; one short; one that is no sound."""
    rng = np.random.default_rng(0)
    sounds = {"a": rng.normal(size=2 * SR) * 0.1, "b": rng.normal(size=SR // 2) * 0.1}
    sounds["a"][SR:] = 0
    for name, y in sounds.items():
        audio.write(tmp_path / f"{name}.wav", y.astype(np.float32), SR)
    (tmp_path / "c.wav").write_bytes(b"no sound")
    rows = pd.DataFrame({"item_id": ["a", "b", "c"], "seconds": [2.0, 0.5, 1.0]})
    return rows.assign(
        path=[str(tmp_path / f"{name}.wav") for name in rows["item_id"]],
        label=["x", "y", "y"],
        group=rows["item_id"],
        split=["train", "test", "train"],
    )


def test_a_row_a_section(items, tmp_path):
    table, quarantine = attribute_table(items, tmp_path / "work", window_s=1.0, n_jobs=1)
    index = ["item_id", "path", "label", "group", "split", "start_s", "end_s", "silent"]
    assert list(table) == [*index, *COLUMNS]
    assert table["item_id"].tolist() == ["a", "a", "b"]
    assert table["split"].tolist() == ["train", "train", "test"]
    assert table["start_s"].tolist() == [0, 1, 0] and table["end_s"].tolist() == [1, 2, 0.5]
    assert table["silent"].tolist() == [False, True, False]
    assert (table[list(COLUMNS)].dtypes == np.float64).all()
    assert np.isfinite(table[list(COLUMNS)]).all(axis=None)
    y, _ = audio.read(items["path"][1], SR)
    expected = attributes.extract(y, SR)
    assert table.loc[2, list(COLUMNS)].tolist() == pytest.approx(expected.tolist(), rel=1e-6)
    assert quarantine["path"].tolist() == [items["path"][2]]


def test_it_is_computed_once(items, tmp_path, monkeypatch):
    first, _ = attribute_table(items[:2], tmp_path / "work", window_s=1.0, n_jobs=1)
    assert (tmp_path / "work/attributes-1s-22050hz/x.npy").is_file()
    monkeypatch.setattr(attributes, "extract", None)
    again, _ = attribute_table(items[:2], tmp_path / "work", window_s=1.0, n_jobs=1)
    pd.testing.assert_frame_equal(again, first)


def test_a_section_too_short_for_attributes(items, tmp_path):
    with pytest.raises(ValueError, match="4096 samples or more"):
        attribute_table(items, tmp_path, window_s=0.1, n_jobs=1)


def table_of(n: int, seed: int = 0) -> pd.DataFrame:
    numbers = np.random.default_rng(seed).normal(size=(n, len(CLASSIC)))
    names = pd.Series([f"clip{i}" for i in range(n)], name="item_id")
    return pd.concat([names, pd.DataFrame(numbers, columns=list(CLASSIC))], axis=1)


def test_a_table_agrees_with_itself():
    table = table_of(30)
    found = agreement(table[::-1].assign(label="x")[:20], table)  # another order, and fewer clips
    assert list(found) == ["column", "difference", "correlation", "agrees"]
    assert found["column"].tolist() == list(CLASSIC)
    assert (found["difference"] == 0).all() and found["agrees"].all()
    assert found["correlation"].to_numpy() == pytest.approx(1)


def test_one_of_both_is_enough_to_agree():
    table = table_of(30)
    close, shifted, strange, off = "rms_mean", "mfcc1_mean", "tempo", "harmony_mean"
    found = table.assign(
        **{
            close: table[close] * 1.04,
            shifted: table[shifted] * 3 + 5,
            strange: table_of(30, seed=1)[strange],
            off: np.nan,
        }
    )
    found = agreement(found, table).set_index("column")
    assert found["difference"][close] == pytest.approx(0.04)
    assert found["difference"][shifted] > 1 and found["correlation"][shifted] > 0.99
    assert found.index[~found["agrees"]].tolist() == [off, strange]


def test_columns_that_do_not_change():
    table = table_of(5).assign(rms_mean=0.0, rms_var=0.0, tempo=120.0)
    found = agreement(table.assign(rms_var=1.0), table).set_index("column")
    assert found["correlation"][["rms_mean", "rms_var", "tempo"]].isna().all()
    assert found["agrees"][["rms_mean", "tempo"]].all() and not found["agrees"]["rms_var"]


def test_one_clip_has_no_correlation():
    found = agreement(table_of(1), table_of(3))
    assert found["correlation"].isna().all() and found["agrees"].all()


def test_tables_that_cannot_be_compared():
    table = table_of(3)
    with pytest.raises(ValueError, match="no clip is in both tables; .* such as 'clip0'"):
        agreement(table.assign(item_id=["x", "y", "z"]), table)
    with pytest.raises(ValueError, match="names 'clip1' twice; keep one row a clip"):
        agreement(table, table.iloc[[0, 1, 1]])


def test_reasons_are_of_columns():
    assert set(WHY) < set(CLASSIC)
    assert set(CLASSIC) - set(WHY) == {"zero_crossing_rate_mean", "zero_crossing_rate_var"}


@pytest.mark.real
def test_gtzans_clips_agree_with_its_table(data_root, tmp_path):
    items = corpora.load("gtzan", root=data_root, work=tmp_path).items.iloc[::6]
    found, quarantine = attribute_table(items, tmp_path, n_jobs=1)
    assert len(found) == len(items) == 8 and quarantine.empty
    rows = agreement(found, tables.attributes(data_root))
    assert rows["agrees"].sum() >= 45
    assert set(rows["column"][~rows["agrees"]]) <= set(WHY)
