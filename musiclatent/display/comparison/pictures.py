"""Pictures of a comparison of encoders: intervals, factors, damage, agreement, cost."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from musiclatent.display import style

MARKERS = "osD^vP*X"


def intervals(table: pd.DataFrame, keys: Sequence[str]) -> Figure:
    """Draw figures of encoders with their intervals, one panel per figure.

    Parameters
    ----------
    table
        One row per encoder: KEY, KEY_low, KEY_high.
    keys
        Which figures, from left to right; those that nobody has are left out.
    """
    keys = [key for key in keys if key in table and table[key].notna().any()]
    shape = (2.0 + 2.1 * max(1, len(keys)), 1.4 + 0.3 * len(table))
    figure, axes = style.subplots(1, max(1, len(keys)), figsize=shape, sharey=True, squeeze=False)
    for axis, key in zip(axes[0], keys, strict=False):
        middle, rows = table[key], np.arange(len(table))
        for row in rows[middle.notna()]:
            bounds = [table[f"{key}_{end}"].iloc[row] for end in ("low", "high")]
            axis.plot(bounds, [row, row], color=style.PALETTE[0], linewidth=1.5)
        axis.plot(middle, rows, "o", color=style.PALETTE[0])
        style.set_title(axis, key.replace("_", " "), size="small")
        axis.grid(alpha=0.4)
    style.name_rows(axes[0, 0], list(table.index))
    return figure


def matrix(values: pd.DataFrame, title: str, *, top: float | None = 1.0) -> Figure:
    """Draw a table of numbers as a heat map with the numbers in it.

    Parameters
    ----------
    values
        Rows by columns, such as encoders by factors or encoders by encoders.
    title
        What a number means.
    top
        Number that is brightest; the largest if None.
    """
    shape = (2.6 + 0.75 * values.shape[1], 1.8 + 0.42 * len(values))
    figure, axis = style.subplots(figsize=shape)
    numbers = values.to_numpy(float)
    most = float(np.nanmax(numbers)) if top is None and np.isfinite(numbers).any() else top or 1.0
    axis.imshow(numbers, cmap="viridis", vmin=0, vmax=max(most, 1e-9), aspect="auto")
    for (row, column), value in np.ndenumerate(numbers):
        if np.isfinite(value):
            colour = "black" if value > 0.6 * most else "white"
            text = {"ha": "center", "va": "center", "fontsize": "x-small"}
            axis.text(column, row, f"{value:.2f}", color=colour, **text)
    labels = [style.printable(name) for name in values]
    axis.set_xticks(range(values.shape[1]), labels, rotation=40, ha="right", parse_math=False)
    style.name_rows(axis, list(values.index))
    style.set_title(axis, title, size="small")
    return figure


def factors(table: pd.DataFrame, figure_of: str = "moved") -> Figure | None:
    """Draw how far, or how much alike, each factor moves each encoder's vectors.

    Parameters
    ----------
    table
        One row per encoder: ``moved_FACTOR``, ``alike_FACTOR``.
    figure_of
        ``moved`` or ``alike``.

    Returns
    -------
    Figure or None
        None where no factor was judged.
    """
    names = [
        name
        for name in table
        if name.startswith(f"{figure_of}_") and not re.search(r"_(low|high)$", name)
    ]
    if not names:
        return None
    part = table[names].dropna(how="all").rename(columns=lambda name: name.partition("_")[2])
    titles = {
        "moved": "how far a factor moves the vector; 1 is another score",
        "alike": "a factor moves it the same way in every style; 1 is exactly",
    }
    return matrix(part, titles[figure_of], top=None if figure_of == "moved" else 1.0)


def damage(table: pd.DataFrame, title: str) -> Figure:
    """Draw curves over growing damage, one panel per kind, one curve per encoder.

    Parameters
    ----------
    table
        Encoders by kinds such as ``mp3 64``, weakest damage first; numbers in [0, 1].
    title
        What a number means.
    """
    steps = [name for name in table if " " in name]
    kinds = list(dict.fromkeys(name.rpartition(" ")[0] for name in steps))
    figure, axes = style.subplots(
        1, max(1, len(kinds)), figsize=(13, 3.6), sharey=True, squeeze=False
    )
    for axis, kind in zip(axes[0], kinds, strict=False):
        columns = [name for name in steps if name.rpartition(" ")[0] == kind]
        for i, name in enumerate(table.index):
            look = {"color": style.PALETTE[i % 10], "marker": MARKERS[i % 8], "markersize": 4}
            look |= {"linestyle": "--" if i >= 10 else "-", "linewidth": 1}
            axis.plot(range(len(columns)), table.loc[name, columns], label=name, **look)
        axis.set_xticks(range(len(columns)), [name.rpartition(" ")[2] for name in columns])
        axis.set(xlabel=kind, ylim=(-0.03, 1.03))
    axes[0, 0].set_ylabel(title, fontsize="small")
    return style.finish(figure, "right")


def kept_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return encoders by kinds of damage: the share of neighbours that stay.

    Parameters
    ----------
    table
        One row per encoder: ``kept_KIND``.
    """
    names = [name for name in table if re.fullmatch(r"kept_.*\d", name)]
    return table[names].rename(columns=lambda name: name.removeprefix("kept_")).dropna(how="all")


def costs(table: pd.DataFrame, key: str) -> Figure:
    """Draw a figure against the speed on one core.

    Parameters
    ----------
    table
        One row per encoder: speed, numbers_per_s and the figure.
    key
        Which figure.
    """
    figure, axis = style.subplots(figsize=(7, 4.2))
    part = table.dropna(subset=["speed", key])
    for i, (name, row) in enumerate(part.iterrows()):
        look = {"color": style.PALETTE[i % 10], "marker": MARKERS[i % 8], "linestyle": ""}
        axis.plot(row["speed"], row[key], label=style.printable(str(name)), **look)
    axis.set(xscale="log", xlabel="seconds of sound per second, one core")
    axis.set_ylabel(key.replace("_", " "))
    return style.finish(figure, "right")
