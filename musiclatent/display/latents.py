"""Pictures of latents and clusters: elbow, scatter, confusion, heat map."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from musiclatent.display import style
from musiclatent.display.words import captions
from musiclatent.display.words.captions import captioned


@captioned(captions.split_counts)
def split_counts(items: pd.DataFrame) -> Figure:
    """Draw how many recordings of each label stand in each split.

    Parameters
    ----------
    items
        Corpus index with the columns label and split.
    """
    table = pd.crosstab(items["label"].replace("", "no label"), items["split"])
    order = [name for name in ("train", "validation", "test") if name in table]
    figure, axis = style.subplots(figsize=(8, 0.6 + 0.34 * len(table)))
    table[order].plot.barh(stacked=True, ax=axis, width=0.75)
    axis.set(xlabel="recordings", ylabel="")
    axis.get_legend().remove()
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return style.finish(figure, "right")


@captioned(captions.elbow)
def elbow(tables: dict[str, pd.DataFrame], chosen: dict[str, int]) -> Figure:
    """Draw the spread inside clusters against their number, and where each curve bends.

    Parameters
    ----------
    tables
        Name -> table with the columns k and inertia.
    chosen
        Name -> number of clusters at the elbow.
    """
    figure, axis = style.subplots(figsize=(7, 4))
    for (name, table), color in zip(tables.items(), style.PALETTE, strict=False):
        share = table["inertia"] / table["inertia"].iloc[0]
        axis.plot(table["k"], share, "o-", color=color, markersize=4, label=name)
        at = table["k"] == chosen[name]
        axis.plot(table["k"][at], share[at], "o", color=color, markersize=13, fillstyle="none")
    axis.set(xlabel="clusters k", ylabel="inertia, share of k = 1")
    axis.legend(fontsize="small", title="the ring marks the elbow", title_fontsize="small")
    sns.despine(figure)
    return figure


@captioned(captions.scatter)
def scatter(
    panels: dict[str, np.ndarray], labels: pd.Series, marked: dict[str, np.ndarray] | None = None
) -> Figure:
    """Draw projections side by side, coloured by label.

    Parameters
    ----------
    panels
        Title -> points (B, 2).
    labels
        B labels; empty ones are grey.
    marked
        Title -> rows to ring, such as the outliers.
    """
    figure, axes = style.subplots(1, len(panels), figsize=(5 * len(panels), 4.6), squeeze=False)
    names = sorted(label for label in labels.unique() if label)
    colors = dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))
    for axis, (title, points) in zip(axes[0], panels.items(), strict=True):
        for index, name in enumerate(["", *names]):
            of_label = points[(labels == name).to_numpy()]
            marker = "o^sD"[(index - 1) // 10 % 4]  # ten colours, then the next shape
            color = colors.get(name, "0.6")
            axis.scatter(*of_label.T, s=12, label=name, alpha=0.8, color=color, marker=marker)
        rows = (marked or {}).get(title, [])
        axis.scatter(*points[rows].T, s=110, facecolors="none", edgecolors="k")
        axis.set(title=title, xticks=[], yticks=[])
        style.show_bulk(axis, points)
    if names:
        marks = axes[0, 0].get_legend_handles_labels()
        figure.legend(*marks, loc="outside right", fontsize="small")
    return figure


@captioned(captions.confusion)
def confusion(
    labels_true: Sequence[str], labels_predicted: Sequence[str], names: Sequence[str], title: str
) -> Figure:
    """Draw which label is taken for which, in percent of each true label.

    Parameters
    ----------
    labels_true, labels_predicted
        B labels each.
    names
        Labels in the order of rows and columns; all others are left out.
    title
        What was classified, and on what.
    """
    counts = pd.crosstab(pd.Series(labels_true), pd.Series(labels_predicted))
    counts = counts.reindex(index=names, columns=names, fill_value=0)
    share = 100 * counts / counts.sum(axis=1).clip(lower=1).to_numpy()[:, None]
    size = 2.4 + 0.5 * len(names)
    figure, axis = style.subplots(figsize=(size + 1, size))
    annotations = share.round().astype(int).replace(0, "")
    colors = {"cmap": "Blues", "vmin": 0, "vmax": 100, "square": True, "linewidths": 0.5}
    bar = {"label": "% of the true label", "shrink": 0.8}
    sns.heatmap(share, annot=annotations, fmt="", ax=axis, cbar_kws=bar, **colors)
    axis.set(xlabel="predicted", ylabel="true")
    axis.set_title(title, fontsize="small")
    axis.tick_params(axis="x", rotation=45)
    axis.tick_params(axis="y", rotation=0)
    return figure


@captioned(captions.heatmap)
def heatmap(table: pd.DataFrame, title: str) -> Figure:
    """Draw scores as numbers on colours from 0 to 1, such as probes by factor and model.

    Parameters
    ----------
    table
        Scores (R² or accuracy); rows and columns are named by the index and the columns. Scores
        below 0 have the colour of 0; gaps stay empty.
    title
        What is shown.
    """
    rows, columns = table.shape
    figure, axis = style.subplots(figsize=(2.6 + 1.25 * columns, 1.5 + 0.5 * rows))
    colors = {"cmap": "viridis", "vmin": 0, "vmax": 1, "cbar_kws": {"label": "score"}}
    sns.heatmap(table.astype(float), annot=True, fmt=".2f", linewidths=0.5, ax=axis, **colors)
    axis.set(title=title, xlabel="", ylabel="", facecolor="0.92")
    axis.tick_params(axis="y", rotation=0)
    return figure


@captioned(captions.spectrogram_grid)
def spectrogram_grid(rows: dict[str, np.ndarray], share: float = 1.0) -> Figure:
    """Draw rows of spectrograms, each row a path through the latents.

    Parameters
    ----------
    rows
        Title -> spectrograms (B, F, T) in [0, 1].
    share
        Part of the bins that is shown, from the lowest on.
    """
    n = max(map(len, rows.values()))
    figure, axes = style.subplots(len(rows), n, figsize=(1.3 * n, 1.9 * len(rows)), squeeze=False)
    for line, (title, row) in zip(axes, rows.items(), strict=True):
        for axis, x in zip(line, row, strict=False):
            top = round(share * len(x))
            axis.imshow(x[:top], origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        for axis in line[len(row) :]:
            axis.axis("off")
        line[0].set_title(title, loc="left", fontsize="small")
    return figure
