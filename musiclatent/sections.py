"""The table of attributes of a corpus, section by section, and how it agrees with a known one."""

from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent import cache
from musiclatent.attributes import CLASSIC, COLUMNS, Attributes
from musiclatent.config import SR

DIFFERENCE, CORRELATION = 0.05, 0.98  # at most, above: one of them is enough to agree
_ENDS = (
    "librosa mirrored the ends of a clip when GTZAN's table was made and now pads them with zeros, "
    "which changes two frames at either end"
)
_MEAN = (
    "the mean of samples that swing around 0 is almost 0, so what the ends of the clip and "
    "rounding add is a large share of it"
)
WHY = {name: _ENDS for name in CLASSIC if not name.startswith("zero_crossing_rate")} | {
    "harmony_mean": _MEAN,
    "perceptr_mean": _MEAN,
    "tempo": "librosa chooses among a few tempi, so that a near tie can turn to the double or half",
}  # column -> why it may disagree with GTZAN's table


def attribute_table(
    items: pd.DataFrame,
    folder: Path,
    *,
    sr: int = SR,
    window_s: float = 30.0,
    n_jobs: int = 2,
    scheduler: str | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute the attributes of every section of a corpus, or read them from the cache.

    Parameters
    ----------
    items
        Corpus index, as in `cache.build`.
    folder
        Folder above the caches; one for each sampling rate and length is made in it.
    sr
        Sampling rate in Hz.
    window_s
        Length of a section in seconds; the last one of a file may be half of it, and a file
        shorter than that is one section.
    n_jobs, scheduler
        As in `cache.build`.

    Returns
    -------
    sections
        One row a section: item_id, path, label, group, split, start_s and end_s in seconds, silent
        (peak below -90 dBFS), and `attributes.COLUMNS`.
    quarantine
        Files set aside: path, reason.

    Raises
    ------
    ValueError
        If a section is too short for attributes, or as in `cache.build`.
    CacheError
        As in `cache.build`.
    """
    transform = Attributes(sr, window_s)
    target = Path(folder) / f"attributes-{window_s:g}s-{sr}hz"
    cached = cache.build(items, transform, target, n_jobs=n_jobs, scheduler=scheduler)
    found = pd.DataFrame(np.asarray(cached.x, np.float64), columns=list(COLUMNS))
    return pd.concat([cached.items[cache.WINDOW], found], axis=1), cached.quarantine


def agreement(found: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Compare attributes of clips with those of the same clips in a known table.

    Parameters
    ----------
    found
        Columns item_id and `attributes.CLASSIC`, one row a clip.
    table
        The same columns, such as `tables.attributes` gives; clips that only one of both has are
        left out.

    Returns
    -------
    DataFrame
        One row a column: column, difference (median over clips of the difference, as a share of
        the known value), correlation (NaN where a column does not change), agrees (difference at
        most 0.05 or correlation above 0.98).

    Raises
    ------
    ValueError
        If both have no clip in common, or the table names one twice.
    """
    known = table.set_index("item_id")[list(CLASSIC)]
    if known.index.has_duplicates:
        twice = known.index[known.index.duplicated()][0]
        raise ValueError(f"the table names {twice!r} twice; keep one row a clip")
    ours = found.set_index("item_id")[list(CLASSIC)]
    ours = ours[ours.index.isin(known.index)]
    if ours.empty:
        raise ValueError(
            "no clip is in both tables; name the clips as the table does, such as "
            f"{str(table['item_id'].iloc[0])!r}"
        )
    theirs = known.loc[ours.index].reset_index(drop=True)
    ours = ours.reset_index(drop=True)
    away = (ours - theirs).abs()
    with np.errstate(invalid="ignore", divide="ignore"):  # of constants there is no correlation
        shares = (away / theirs.abs()).mask(away == 0, 0.0)
        correlation = ours.corrwith(theirs)
    rows = pd.DataFrame({"difference": shares.median(skipna=False), "correlation": correlation})
    close = (rows["difference"] <= DIFFERENCE) | (rows["correlation"] > CORRELATION)
    return rows.assign(agrees=close).rename_axis("column").reset_index()
