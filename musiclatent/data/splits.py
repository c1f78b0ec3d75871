"""Divide the items of a corpus into train, validation and test.

A group is what may never straddle a split: versions of a tune, duplicates, clips of one source.
Every function takes an index table and returns one value per item, empty for items left out.
"""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

SPLITS = ("train", "validation", "test")
FOLDS = 8  # one is the test part, one the validation part


def by_group(items: pd.DataFrame, seed: int = 0) -> pd.Series:
    """Split by group, with about the same share of each label in every part.

    Parameters
    ----------
    items
        Columns item_id, label, group; the order of the rows does not matter.
    seed
        Seed of the random numbers; the same seed and items give the same split.

    Returns
    -------
    Series
        ``train``, ``validation`` or ``test`` for each item, about 6, 1 and 1 eighths; all of it
        ``train`` where there are fewer than three groups.
    """
    n_groups = items["group"].nunique()
    if n_groups < len(SPLITS):
        warnings.warn(
            f"{len(items)} items in {n_groups} group(s) cannot be split without a group in two "
            "parts: all of them are for training; add other recordings to test on",
            stacklevel=2,
        )
        return pd.Series("train", index=items.index)
    ordered = items.sort_values("item_id")
    fold = folds(ordered, min(FOLDS, n_groups), seed).to_numpy()
    sizes = np.bincount(fold)
    small = [k for k in np.flatnonzero(sizes) if k != sizes.argmax()]  # the largest: to train on
    names = np.full(len(sizes), "train", dtype=object)
    names[small[:2]] = "test", "validation"
    return pd.Series(names[fold], index=ordered.index).reindex(items.index)


def folds(items: pd.DataFrame, count: int, seed: int = 0) -> pd.Series:
    """Divide items into folds of about equal size and labels; a group lies in one fold.

    Parameters
    ----------
    items
        Columns item_id, label, group; the order of the rows does not matter. Labels too rare for
        any fold are treated as one.
    count
        Number of folds, at most that of the groups.
    seed
        Seed of the random numbers.

    Returns
    -------
    Series
        Fold of each item, from 0.

    Raises
    ------
    ValueError
        If there are fewer groups than folds.
    """
    # Here, for it takes 0.6 s, and processes of a pool split nothing.
    from sklearn.model_selection import StratifiedGroupKFold

    groups = items["group"].nunique()
    if groups < count:
        raise ValueError(f"{groups} group(s) cannot be divided into {count} folds; add recordings")
    ordered = items.sort_values("item_id")
    label = ordered["label"]
    if label.value_counts().max() < count:
        label = np.zeros(len(ordered), int)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    fold = np.zeros(len(ordered), int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a label rarer than the folds
        for k, (_, rows) in enumerate(splitter.split(ordered, label, ordered["group"])):
            fold[rows] = k
    return pd.Series(fold, ordered.index).reindex(items.index)


def by_fold(items: pd.DataFrame, k: int, *, inner: bool = True) -> pd.Series:
    """Split by a fold table: one fold is the test part.

    Parameters
    ----------
    items
        Columns item_id, label, group, and fold from 0.
    k
        Fold for the test.
    inner
        Whether an eighth of the other folds, by group, is the validation part; else all of them
        are for training.

    Raises
    ------
    ValueError
        If there is no fold `k`.
    """
    test = items["fold"] == k
    if not test.any():
        last = items["fold"].max()
        raise ValueError(f"there is no fold {k}; choose one of 0 to {last}")
    split = pd.Series("train", items.index).mask(test, "test")
    if inner:
        parts = folds(items[~test], FOLDS)
        split[parts.index[parts == 0]] = "validation"
    return split


def at_random(items: pd.DataFrame, seed: int = 0) -> pd.Series:
    """Split at random with equal labels and no regard to groups, which straddle it.

    Figures on such a split are too good: they are for comparison with papers that split so.

    Parameters
    ----------
    items
        Columns item_id, label.
    seed
        Seed of the random numbers; a fifth of the items is the test part, the rest for training.
    """
    alone = items.assign(group=items["item_id"])
    return by_fold(alone.assign(fold=folds(alone, 5, seed)), 0, inner=False)


def straddling(group: pd.Series, part: pd.Series) -> list:
    """List the groups that lie in more than one part, of B groups and B parts."""
    parts = part.groupby(group).nunique()
    return parts[parts > 1].index.tolist()


def by_lists(items: pd.DataFrame, lists: dict[str, Path]) -> pd.Series:
    """Split by published lists of files; items in no list are left out.

    Parameters
    ----------
    items
        Column item_id: the stem of the file.
    lists
        Text file for each split, with one path per line, matched by stem.
    """
    split = {}
    for name, path in lists.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        split |= {Path(line.strip()).stem: name for line in lines}
    return pd.Series([split.get(item, "") for item in items["item_id"]], items.index)
