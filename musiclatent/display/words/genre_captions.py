"""Captions of pictures of genres: each takes what its picture is drawn from."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from musiclatent.display.words import captions
from musiclatent.display.words.numbers import counted, extremes, listed, percent, short

STRONG = 0.9  # a correlation that makes one of two columns needless


def distributions(table: pd.DataFrame, labels: pd.Series, columns: Sequence[str]) -> str:
    """Say between which genres the medians of each descriptor lie."""
    medians = table[list(columns)].groupby(labels.to_numpy()).median()
    spans = "; ".join(f"{name} {extremes(medians[name])}" for name in columns)
    return f"Densities above, box plots below. Medians of the genres: {spans}."


def pairs(table: pd.DataFrame, labels: pd.Series, columns: Sequence[str]) -> str:
    """Say which genre lies farthest from the others, and which two are nearest."""
    scaled = (table[list(columns)] - table[list(columns)].mean()) / table[list(columns)].std()
    medians = scaled.groupby(labels.to_numpy()).median()
    text = "Large marks are the medians of genres"
    if len(medians) < 2:
        return f"{text}."
    apart = {
        (a, b): float(np.linalg.norm(medians.loc[a] - medians.loc[b]))
        for a, b in combinations(medians.index, 2)
    }
    far = (medians - medians.mean()).pow(2).sum(axis=1).idxmax()
    near = min(apart, key=apart.get)
    return f"{text}: {far} lies farthest from the middle, {listed(near)} are nearest to each other."


def correlations(table: pd.DataFrame) -> str:
    """Say how many pairs say nearly the same, and which most."""
    table = table.loc[:, table.nunique() > 1]
    values = table.corr().abs().to_numpy()
    if len(values) < 2:
        return "There are no two descriptors that change."
    rows, columns = np.triu_indices(len(values), 1)
    pairs_ = values[rows, columns]
    top = int(pairs_.argmax())
    return (
        f"{int((pairs_ > STRONG).sum())} of {len(pairs_):,} pairs of {len(values)} descriptors "
        f"correlate by more than {STRONG:g}, most {table.columns[rows[top]]} and "
        f"{table.columns[columns[top]]} ({pairs_[top]:.2f}); related ones stand side by side."
    )


def contrasts(table: pd.DataFrame) -> str:
    """Say what sets each type apart most."""
    first = table.groupby("type", sort=False).first()
    words = [
        f"{row.genres} by {row.attribute} ({row.difference:+.1f})" for row in first.itertuples()
    ]
    most = "; ".join(words)
    return f"Standard deviations from all other clips; what sets a type apart most: {most}."


def reliability(curves: Mapping[str, pd.DataFrame]) -> str:
    """Say how far confidence and accuracy lie apart."""
    gaps = []
    for name, table in curves.items():
        apart = (table["confidence"] - table["accuracy"]).abs() * table["n"]
        gaps.append(f"{name} {short(apart.sum() / max(table['n'].sum(), 1), 2)}")
    return f"On the diagonal is as sure as right; the mean distance from it is {listed(gaps)}."


def saliency(panels: Sequence[tuple[str, np.ndarray, np.ndarray]], sr: int, hop_length: int) -> str:
    """Say in which half of the bands the weight of each map lies."""
    shares = []
    for title, _, cam in panels:
        weight = np.asarray(cam, float)
        low = weight[: len(weight) // 2].sum() / max(weight.sum(), 1e-12)
        share = percent(low) if weight.any() else "nothing"
        shares.append(f"{share} for “{title[:40]}”")
    said = "Below: bright speaks for the name. In the lower half of the bands lies"
    return f"{said} of this weight: {listed(shares)}."


def importances(table: pd.DataFrame) -> str:
    """Say which family costs most, and how many cost more than their deviation."""
    top = table.iloc[0]
    clear = int((table["drop"] > table["sd"]).sum())
    return (
        f"Without {top.family} accuracy falls by {short(top['drop'], 2)} (sd {short(top.sd, 2)}), "
        f"the most; {clear} of {counted(len(table), 'family', 'families')} cost more than one sd."
    )


def reasons(table: pd.DataFrame, title: str) -> str:
    """Say which descriptor moves the answer most."""
    top = table.iloc[0]
    return (
        f"{title}: {top.attribute} adds most, {top.toward:+.2f} to {top.label} and "
        f"{top.toward_rival:+.2f} to {top.rival}."
    )


def timeline(probabilities: pd.DataFrame, title: str, *, y: np.ndarray | None, sr: int) -> str:
    """Say which genre is named most along a file, and how often the answer changes."""
    heard = probabilities.dropna()
    if heard.empty:
        return f"{title}: silent."
    named = heard.idxmax(axis=1)
    top, turns = named.value_counts(), int((named != named.shift()).sum()) - 1
    return (
        f"{title}: {top.index[0]} in {top.iloc[0]} of {counted(len(named), 'section')}; the answer "
        f"changes {counted(turns, 'time')}."
    )


def methods(table: pd.DataFrame, title: str) -> str:
    """Say which method is best, and where the paper's figure lies."""
    named = table.rename(columns={"method": "name", "accuracy": "ours"})
    return f"{title[:1].upper()}{title[1:]}. {captions.paper_table(named)}"
