"""The Free Spoken Digit Dataset: what its names say, its official split and one by speaker."""

from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.data import folders

SPEAKERS = ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"]
EXPECTED = tuple(f"{d}_{s}_{i}" for d in range(10) for s in SPEAKERS for i in range(50))
_DIGIT = r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<index>\d+)"


def index(root: Path, work: Path | None) -> pd.DataFrame:
    """Index the spoken digits by what their names say."""
    items = folders.index(root / "fsdd" / "recordings", "fsdd")
    items["item_id"] = items["group"] = items["item_id"].str.replace(r"\.\w+$", "", regex=True)
    named = items["item_id"].str.extract(f"^{_DIGIT}$")
    items["label"] = named["digit"].fillna("")
    items["speaker"] = named["speaker"].fillna("")
    for column in ("digit", "index"):
        items[column] = pd.to_numeric(named[column]).fillna(-1).astype(int)
    reason = "its name is not digit_speaker_index.wav; rename it or take it away"
    items["reason"] = items["reason"].mask(named["digit"].isna(), reason)
    return items


TEST_SPEAKERS = {"theo": "test", "yweweler": "test", "nicolas": "validation"}  # the rest: train
TEST_INDEX = (5, 10)  # below 5: test, as published; 5 to 9: our validation part; the rest: train


def by_index(items: pd.DataFrame) -> pd.Series:
    """Split FSDD as published: recordings 0 to 4 of a digit and speaker are for the test."""
    part = np.searchsorted(TEST_INDEX, items["index"], side="right")
    return pd.Series(np.array(["test", "validation", "train"])[part], index=items.index)


def by_speaker(items: pd.DataFrame) -> pd.Series:
    """Split by speaker: FSDD's named in `TEST_SPEAKERS`, else the last two in the alphabet."""
    speakers = sorted(items["speaker"].unique())
    parts = TEST_SPEAKERS
    if not parts.keys() <= set(speakers):
        parts = dict(zip(speakers[:0:-1], ("test", "validation"), strict=False))
    return items["speaker"].map(parts).fillna("train")
