"""Select descriptors: drop those that hardly separate the labels or repeat one another.

All is computed on the training rows that are given; other rows then keep the same columns.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import beta
from sklearn.preprocessing import StandardScaler

from musiclatent.analysis import validation

CHANCE = 0.99  # share of random relabellings that a column must separate better than
WHISKER = 1.5  # interquartile ranges that a box plot's whiskers reach
STEADY = 0.5  # intraclass correlation below which a column tells more of a slice than of its song


@dataclass(frozen=True)
class FeatureSelection:
    """Columns that stay, and why the others go.

    Parameters
    ----------
    kept
        Names of the columns that stay, in their order.
    report
        One row per column, in their order: `column`; `separation`, share of its variance that lies
        between the labels (eta squared), 0 to 1; `outliers`, values that a box plot of their label
        draws beyond its whiskers; `twin`, the column that it correlates most strongly with, and
        `correlation`, how strongly, 0 to 1; `kept`; `reason` why it goes.
    """

    kept: tuple[str, ...]
    report: pd.DataFrame


def select_features(
    table: pd.DataFrame,
    labels: Iterable[str],
    *,
    correlation: float = 0.9,
    separation: float | None = None,
    steady: Mapping[str, float] | None = None,
) -> FeatureSelection:
    """Drop columns that hardly separate the labels or repeat one that separates better.

    Parameters
    ----------
    table
        Descriptors (B, D) of training rows only, in any units.
    labels
        Their labels (B,).
    correlation
        From this absolute correlation (Pearson's) on, of two columns only the one stays that
        separates better; of equal ones the one with fewer outliers.
    separation
        Least eta squared of a column that stays; where left out, what 99 of 100 random
        relabellings of so many rows stay below.
    steady
        Intraclass correlation of columns, as `song_shares` gives it: what is below `STEADY` goes.
        None leaves that out.

    Returns
    -------
    FeatureSelection
        What stays, and the report.

    Raises
    ------
    ValueError
        If lengths differ, numbers or labels are missing, there are not two labels and more rows
        than labels, or a threshold is not between 0 and 1.

    Notes
    -----
    Fisher (1925), Statistical Methods for Research Workers: eta squared of columns without
    effect follows a beta distribution. Tukey (1977), Exploratory Data Analysis: box plots.
    """
    labels = validation.labelled_table(table, labels)
    least = _by_chance(labels) if separation is None else separation
    for threshold in (correlation, least):
        if not 0 <= threshold <= 1:
            raise ValueError(f"a threshold of {threshold} cannot be; it lies between 0 and 1")
    z = pd.DataFrame(StandardScaler().fit_transform(table), columns=table.columns)
    between = z.groupby(labels).transform("mean").pow(2).mean().round(9)  # ties despite rounding
    related = (z.T @ z / len(z)).abs().round(9)
    related = related.mask(np.eye(len(related), dtype=bool), 0.0)
    report = pd.DataFrame({"separation": between, "outliers": _outliers(table, labels)})
    report["twin"] = related.idxmax().where(related.max() > 0, "")
    report["correlation"] = related.max()
    report["reason"] = _reasons(report, related, table.nunique() == 1, correlation, least)
    if steady is not None:
        share = pd.Series(dict(steady), dtype=float).reindex(report.index)
        moving = share.lt(STEADY) & report["reason"].eq("")
        report["reason"] = report["reason"].mask(moving, "changes within a song")
    report.insert(4, "kept", report["reason"] == "")
    kept = tuple(report.index[report["kept"]])
    return FeatureSelection(kept, report.rename_axis("column").reset_index())


def song_shares(table: pd.DataFrame, songs: Iterable[str]) -> pd.DataFrame:
    """Measure what each column tells of a song: how it stays in it, and differs between songs.

    Parameters
    ----------
    table
        Descriptors (B, D) of slices of songs, in any units.
    songs
        The song of each slice (B,).

    Returns
    -------
    DataFrame
        By column, the highest first: `share`, the intraclass correlation: the part of the variance
        of slices that lies between songs, 1 where a song is the same throughout and 0, or a little
        below, where its slices are as unlike as those of two songs; `within` and `between`, the
        standard deviation of slices of a song and of songs, in the column's unit. A column that
        never changes has the share 0.

    Raises
    ------
    ValueError
        If lengths differ, numbers are missing, or there are not two songs, one of them of two
        slices.

    Notes
    -----
    Shrout and Fleiss (1979), Intraclass correlations: uses in assessing rater reliability, case 1.
    """
    names = validation.labelled_table(table, songs)
    sizes = pd.Series(names).value_counts()
    if len(sizes) < 2 or sizes.max() < 2:
        raise ValueError(
            f"{len(names)} slices of {len(sizes)} songs do not show what stays within a song; "
            "give two songs or more, cut into slices"
        )
    means = table.groupby(names).transform("mean")
    inner = (table - means).pow(2).sum() / (len(names) - len(sizes))
    outer = (means - table.mean()).pow(2).sum() / (len(sizes) - 1)
    each = (len(names) - sizes.pow(2).sum() / len(names)) / (len(sizes) - 1)  # slices of a song
    between = ((outer - inner) / each).clip(lower=0)
    share = ((outer - inner) / (outer + (each - 1) * inner)).fillna(0.0)
    found = pd.DataFrame({"share": share, "within": inner**0.5, "between": between**0.5})
    return found.sort_values("share", ascending=False, kind="stable").rename_axis("column")


def _by_chance(labels: np.ndarray) -> float:
    """Return the eta squared that random labels stay below."""
    n_labels, n_rows = len(np.unique(labels)), len(labels)
    if not 2 <= n_labels < n_rows:
        raise ValueError(
            f"{n_rows} rows of {n_labels} labels do not show what separates them; "
            "give two labels or more, and more rows than labels"
        )
    return float(beta.ppf(CHANCE, (n_labels - 1) / 2, (n_rows - n_labels) / 2))


def _outliers(table: pd.DataFrame, labels: np.ndarray) -> pd.Series:
    """Count the values beyond the whiskers of the box plot of their label."""
    low, high = (table.groupby(labels).transform("quantile", q) for q in (0.25, 0.75))
    reach = WHISKER * (high - low)
    return ((table < low - reach) | (table > high + reach)).sum()


def _reasons(
    report: pd.DataFrame, related: pd.DataFrame, same: pd.Series, correlation: float, least: float
) -> pd.Series:
    """Return why each column goes, the best first; empty where it stays."""
    ranked = report.sort_values(["separation", "outliers"], ascending=[False, True], kind="stable")
    reasons: dict[str, str] = {}
    for name, separation in ranked["separation"].items():
        kept = [other for other, reason in reasons.items() if not reason]
        twins = related.loc[name, kept]
        if same[name]:
            reasons[name] = "never changes"
        elif separation < least:
            reasons[name] = "hardly separates"
        elif (twins >= correlation).any():
            twin = twins.idxmax()
            better = report.loc[twin, "separation"] > separation
            advantage = "separates better" if better else "has no more outliers"
            reasons[name] = f"as {twin}, which {advantage}"
        else:
            reasons[name] = ""
    return pd.Series(reasons)
