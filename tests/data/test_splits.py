import warnings

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent.data import splits


def table(rows):
    items = pd.DataFrame(rows, columns=["label", "group"])
    return items.assign(item_id=[f"item {i:03d}" for i in range(len(items))])


ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), min_size=1, max_size=80)


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, seed=st.integers(0, 5))
def test_no_group_straddles_and_every_part_has_items(rows, seed):
    items = table(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        split = splits.by_group(items, seed)
    assert split.groupby(items["group"]).nunique().max() == 1
    enough = items["group"].nunique() >= 3
    assert set(split) == (set(splits.SPLITS) if enough else {"train"})
    sizes = items["group"].groupby(split).size()
    largest = items["group"].value_counts().max()
    assert not enough or sizes.get("test") <= max(largest, sizes["train"])


@settings(deadline=None, max_examples=20)
@given(rows=ROWS, seed=st.integers(0, 5), shuffle=st.integers(0, 9))
def test_the_order_of_the_rows_does_not_matter(rows, seed, shuffle):
    items = table(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixed = splits.by_group(items.sample(frac=1, random_state=shuffle), seed)
        assert mixed.sort_index().tolist() == splits.by_group(items, seed).tolist()


def test_parts_are_eighths_with_every_label():
    items = table([("ab"[i % 2], i // 2) for i in range(320)])
    split = splits.by_group(items, seed=1)
    assert split.value_counts().to_dict() == {"train": 240, "validation": 40, "test": 40}
    assert pd.crosstab(split, items["label"]).loc["test"].tolist() == [20, 20]
    assert split.tolist() == splits.by_group(items, seed=1).tolist()
    assert split.tolist() != splits.by_group(items, seed=2).tolist()


def test_a_giant_group_is_for_training():
    items = table([("", 0)] * 50 + [("", i) for i in range(1, 9)])
    assert (splits.by_group(items)[:50] == "train").all()


@pytest.mark.parametrize("groups", [1, 2])
def test_too_few_groups_are_all_for_training(groups):
    with pytest.warns(UserWarning, match=r"cannot be split .* add other recordings"):
        split = splits.by_group(table([("a", i % groups) for i in range(6)]))
    assert set(split) == {"train"}


def test_labels_of_one_item_each_are_split_all_the_same():
    split = splits.by_group(table([(f"label {i}", i) for i in range(9)]))
    assert set(split) == set(splits.SPLITS)


def test_lists_match_by_stem_and_leave_others_out(tmp_path):
    (tmp_path / "a.txt").write_text("blues/blues.00000.wav\n\nrock/rock.00001.wav\n")
    (tmp_path / "b.txt").write_text("jazz/jazz.00054.wav\r\n")
    items = pd.DataFrame({"item_id": ["rock.00001", "jazz.00054", "pop.00000"]})
    split = splits.by_lists(items, {"train": tmp_path / "a.txt", "test": tmp_path / "b.txt"})
    assert split.tolist() == ["train", "test", ""]


@settings(deadline=None, max_examples=25)
@given(rows=ROWS, seed=st.integers(0, 5))
def test_no_group_straddles_folds_and_each_is_the_test_part_once(rows, seed):
    items = table(rows + [("a", 100 + i) for i in range(12)])
    items["fold"] = splits.folds(items, 3, seed)
    tested = []
    for k in range(3):
        split = splits.by_fold(items, k)
        assert splits.straddling(items["group"], split) == []
        assert (split == "test").equals(splits.by_fold(items, k, inner=False) == "test")
        tested += split.index[split == "test"].tolist()
    assert sorted(tested) == items.index.tolist()


def test_folds_hold_equal_shares_of_each_label_and_an_inner_eighth():
    items = table([("ab"[i % 2], i) for i in range(400)])
    items["fold"] = splits.folds(items, 5)
    assert (pd.crosstab(items["fold"], items["label"]) == 40).all(axis=None)
    inner, outer = (splits.by_fold(items, 2, inner=inner) for inner in (True, False))
    assert inner.value_counts().to_dict() == {"train": 280, "test": 80, "validation": 40}
    assert outer.value_counts().to_dict() == {"train": 320, "test": 80}
    assert splits.folds(items.sample(frac=1, random_state=0), 5).sort_index().equals(items["fold"])


def test_folds_that_cannot_be_are_one_sentence():
    items = table([("a", i % 4) for i in range(9)])
    with pytest.raises(ValueError, match=r"4 group.s. cannot be divided into 5 folds; add record"):
        splits.folds(items, 5)
    with pytest.raises(ValueError, match="there is no fold 7; choose one of 0 to 2"):
        splits.by_fold(items.assign(fold=[0, 1, 2] * 3), 7)


def test_a_random_split_is_stratified_and_straddles():
    items = table([("ab"[i // 200], i // 2) for i in range(400)])
    split = splits.at_random(items, 3)
    assert split.tolist() == splits.at_random(items, 3).tolist()
    assert split.tolist() != splits.at_random(items, 4).tolist()
    assert (pd.crosstab(split, items["label"]).loc["test"] == 40).all()
    assert set(split) == {"train", "test"}
    assert len(splits.straddling(items["group"], split)) > 50  # of 200 pairs


def test_straddling_groups_are_listed():
    group = pd.Series(list("aabbc"))
    assert splits.straddling(group, pd.Series(list("xyxxy"))) == ["a"]
    assert splits.straddling(group, group) == []
