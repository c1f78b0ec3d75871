"""Silences inside the seconds of a collection, in steps of a millisecond."""

import numpy as np
import pandas as pd

from musiclatent.data import cache
from musiclatent.edm.collection import Collection
from musiclatent.features.descriptors import Gaps
from musiclatent.files import need_columns


def measure(tracks: Collection) -> pd.DataFrame:
    """Measure the gaps of every whole second of the audible sections, or read them from the cache.

    Parameters
    ----------
    tracks
        The collection.

    Returns
    -------
    DataFrame
        One row per second: item_id, path, group, start_s, end_s, section (row of
        `Collection.sections`), gaps (silences of 5 ms or more), silent_share (of its
        milliseconds); see `descriptors.Gaps`.
    """
    take, sections = Gaps(window_s=tracks.study.window_s), tracks.sections
    folder = cache.folder_of(tracks.space.path("cache"), take)
    x = cache.values_of(cache.build(tracks.items, take, folder=folder, n_jobs=2), sections)
    n = take.shape[1]
    row, second = np.repeat(np.arange(len(sections)), n), np.tile(np.arange(n), len(sections))
    table = sections[["item_id", "path", "group", "start_s", "end_s"]].iloc[row]
    start_s = table["start_s"] + second
    inside = start_s + 1 <= table["end_s"] + 1e-6
    columns = {"section": row, "gaps": x[:, 0].ravel().astype(int), "silent_share": x[:, 1].ravel()}
    table = table.assign(start_s=start_s, end_s=start_s + 1, **columns)
    return table[inside].reset_index(drop=True)


def by_section(seconds: pd.DataFrame, n: int) -> pd.DataFrame:
    """Average the gaps of each of n sections.

    Parameters
    ----------
    seconds
        As `measure` returns them.
    n
        Number of sections.

    Returns
    -------
    DataFrame
        gaps_per_s and silent_share of each, NaN for one without a whole second.
    """
    need_columns(seconds, ["section", "gaps", "silent_share"], "seconds lack", "take gaps.measure")
    means = seconds.groupby("section")[["gaps", "silent_share"]].mean().reindex(range(n))
    return means.rename(columns={"gaps": "gaps_per_s"}).rename_axis(None)


def share_at(seconds: pd.DataFrame, items: pd.DataFrame) -> np.ndarray:
    """Look up the silent share of other seconds of the same tracks.

    Parameters
    ----------
    seconds
        As `measure` returns them.
    items
        item_id, start_s, one row per second (B,).

    Returns
    -------
    ndarray
        (B,), of the second that holds its middle; NaN where there is none.
    """
    need_columns(
        seconds, ["item_id", "start_s", "silent_share"], "seconds lack", "take gaps.measure"
    )
    at = items["start_s"].to_numpy(float) + 0.5
    keys = pd.DataFrame({"item_id": items["item_id"].to_numpy(), "start_s": np.floor(at)})
    known = seconds.assign(start_s=np.floor(seconds["start_s"] + 0.5))
    known = known.drop_duplicates(["item_id", "start_s"])
    return keys.merge(known, "left", ["item_id", "start_s"])["silent_share"].to_numpy()
