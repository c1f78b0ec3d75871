"""Pictures of results: curves, sizes beside errors, paper tables, leakage."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from musiclatent.display import style
from musiclatent.display.words import captions
from musiclatent.display.words.captions import captioned

MARKERS = ("", "o", "^", "s")


@captioned(captions.rate_distortion)
def rate_distortion(table: pd.DataFrame, rates: pd.DataFrame) -> Figure:
    """Draw error against size: bits at several quantisers, and latent dimensions as they are.

    Parameters
    ----------
    table
        As `rate_distortion.rate_distortion_table` returns it.
    rates
        As `rate_distortion.rates_table` returns it.
    """
    figure, axes = style.subplots(1, 2, figsize=(12, 4.8), sharey=True)
    families = table.index.to_series().str.replace(r"_\d+$", "", regex=True)
    colors = {name: style.PALETTE[i % 10] for i, name in enumerate(families.unique())}
    markers = {name: "osD^v*"[i % 6] for i, name in enumerate(colors)}
    lines = {name: "--" if i >= 10 else "-" for i, name in enumerate(colors)}  # ten colours
    for family, names in families.groupby(families, sort=False).groups.items():
        look = {"color": colors[family], "marker": markers[family], "linewidth": 1}
        look["linestyle"] = lines[family]
        for name in names:
            part = rates[rates["coder"] == name]
            label = family if name == names[0] else None
            axes[0].plot(part["bits_s"], part["mse"], **look, markersize=4, label=label)
        part = table.loc[names].dropna(subset="numbers_s").sort_values("numbers_s")
        axes[1].plot(part["numbers_s"], part["mse"], **look)
    labels = ("bits per second, 4 to 10 a value", "latent dimensions per second, not rounded")
    for axis, label in zip(axes, labels, strict=True):
        axis.set(xscale="log", yscale="log", xlabel=label)
        axis.xaxis.set_minor_formatter(NullFormatter())  # of half a decade they overlap
    axes[0].set_ylabel("MSE on held-out excerpts")
    return style.finish(figure, "right", marks=axes[0].get_legend_handles_labels()[0])


@captioned(captions.untrained_columns)
def untrained_columns(
    table: pd.DataFrame, losses: Mapping[str, Sequence[str]], columns: Sequence[str]
) -> Figure:
    """Draw columns of a table side by side, one row per coder; its own loss is hollow.

    Parameters
    ----------
    table
        As `rate_distortion.rate_distortion_table` returns it.
    losses
        Name of a row -> columns that its training made small.
    columns
        Which columns, from left to right.
    """
    shape = (2.1 * len(columns) + 1.5, 1.0 + 0.28 * len(table))
    figure, axes = style.subplots(1, len(columns), figsize=shape, sharey=True)
    for axis, column in zip(axes, columns, strict=True):
        for row, name in enumerate(table.index):
            inside = "none" if column in losses[name] else style.PALETTE[0]
            value = table[column][name]
            axis.plot(value, row, "o", color=style.PALETTE[0], markerfacecolor=inside)
        axis.set_title(column.replace("_", "\n"), fontsize="small")
        axis.grid(alpha=0.4)
        axis.locator_params(axis="x", nbins=2)  # more labels touch each other
    axes[0].set_yticks(range(len(table)), table.index)
    axes[0].set_ylim(len(table) - 0.5, -0.5)
    axes[0].set_xlabel("hollow: its training loss", fontsize="small")
    return figure


@captioned(captions.curves)
def curves(tables: dict[str, pd.DataFrame], paper: dict[str, float]) -> Figure:
    """Draw training and validation loss against the epoch.

    Parameters
    ----------
    tables
        Name of the experiment -> its curves, with the columns epoch, train_mse, validation_mse.
    paper
        The paper's validation losses by name, drawn as dotted lines.
    """
    figure, axis = style.subplots(figsize=(8, 4.5))
    for index, (name, table) in enumerate(tables.items()):
        color = style.PALETTE[index % len(style.PALETTE)]
        # Colours come again with another marker.
        marker = MARKERS[index // len(style.PALETTE) % len(MARKERS)]
        epoch = table["epoch"] + 1
        validation = table["validation_mse"]
        axis.plot(epoch, validation, color=color, marker=marker, markersize=3, label=name)
        axis.plot(epoch, table["train_mse"], color=color, linestyle="--", alpha=0.6)
    for name, value in paper.items():
        axis.axhline(value, color="0.3", linestyle=":", label=f"{name}, paper")
    axis.set(xlabel="epoch", ylabel="MSE (solid: validation, dashed: training)", yscale="log")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return style.finish(figure, "right")


@captioned(captions.size_study)
def size_study(table: pd.DataFrame, paper: list[tuple[int, float]]) -> Figure:
    """Draw error against the number of latent dimensions of a window.

    Parameters
    ----------
    table
        Columns family, latent_numbers, test_mse, and what there is of test_sisdr (dB),
        test_mrstft and test_knn.
    paper
        The paper's figures: (latent dimensions, test MSE).
    """
    measures = {
        "test_mse": "MSE",
        "test_sisdr": "SI-SDR (dB, from -10)",
        "test_mrstft": "STFT distance",
        "test_knn": "accuracy of neighbours",
    }
    measures = {name: label for name, label in measures.items() if name in table}
    figure, axes = style.subplots(
        1, len(measures), figsize=(1 + 4.5 * len(measures), 4), squeeze=False
    )
    axes = axes[0]
    for axis, (name, label) in zip(axes, measures.items(), strict=True):
        columns = {"x": "latent_numbers", "y": name, "hue": "family", "style": "family"}
        look = {"markers": True, "dashes": False, "errorbar": None, "legend": axis is axes[0]}
        sns.lineplot(table, **columns, **look, ax=axis)
        axis.set(xscale="log", xlabel="latent dimensions", ylabel=f"{label}, test")
        ticks = sorted(table["latent_numbers"].unique())
        axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize="small", rotation=20)
        axis.minorticks_off()
    if paper:
        axes[0].plot(*zip(*paper, strict=True), "k*", label="the paper, its own split")
    axes[0].set_yscale("log")
    axes[0].get_legend().remove()
    if "test_sisdr" in measures:
        axes[1].set_ylim(bottom=max(-10, axes[1].get_ylim()[0]))
    return style.finish(figure, "right")


SHAPE_COLUMNS = {
    "mse": "MSE",
    "mrstft": "STFT distance",
    "frame_seams_db": "seams of frames (dB)",
    "ends_db": "ends of windows (dB)",
}


@captioned(captions.shape_study)
def shape_study(table: pd.DataFrame) -> Figure:
    """Draw error, STFT distance and seams against the kernel, one panel for each.

    Parameters
    ----------
    table
        As `shapes.shape_table` returns it: one line per stride, other paddings as marks.
    """
    figure, axes = style.subplots(1, len(SHAPE_COLUMNS), figsize=(14, 3.6))
    for axis, (name, label) in zip(axes, SHAPE_COLUMNS.items(), strict=True):
        for i, (stride, part) in enumerate(table.groupby("stride")):
            rows = part[part["padding"] == "zeros"].sort_values("kernel")
            look = {"color": style.PALETTE[i], "label": f"a frame every {stride:,}"}
            axis.plot(rows["kernel"], rows[name], "o-", **look)
        for mark, padding in zip("x+", ("reflect", "none"), strict=True):
            rows = table[table["padding"] == padding]
            if len(rows):
                axis.plot(rows["kernel"], rows[name], f"k{mark}", label=f"padding {padding}")
        axis.margins(x=0.15)
        axis.set_xscale("log", base=2)
        kernels = sorted(table["kernel"].unique())
        axis.set_xticks(kernels, [f"{k:,}" for k in kernels], fontsize="small", rotation=30)
        axis.set(xlabel="kernel (samples)", ylabel=label)
        axis.minorticks_off()
    return style.finish(figure, "right", marks=axes[0].get_legend_handles_labels()[0])


@captioned(captions.leakage)
def leakage(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw the accuracy of each split protocol, with its interval.

    Parameters
    ----------
    table
        Columns protocol, accuracy, low, high in [0, 1], from top to bottom.
    title
        What must be said of the figures.
    """
    figure, axis = style.subplots(figsize=(8, 1.2 + 0.42 * len(table)))
    _intervals(axis, table, "protocol")
    _column(axis, table["accuracy"], 1.03)
    axis.set(xlabel="accuracy (bar: interval)", xlim=(0, 1))
    axis.set_title(title, fontsize="small")
    sns.despine(figure)
    return figure


def _intervals(axis: plt.Axes, table: pd.DataFrame, names: str) -> None:
    """Draw a named accuracy per row: dot, and bar from low to high."""
    rows = np.arange(len(table))
    axis.hlines(rows, table["low"], table["high"], color=style.PALETTE[0], linewidth=2)
    axis.plot(table["accuracy"], rows, "o", color=style.PALETTE[0], label="ours", clip_on=False)
    axis.set_yticks(rows, table[names])
    axis.set_ylim(len(table) - 0.5, -0.5)
    axis.grid(axis="x", alpha=0.4)


def _column(axis: plt.Axes, values: pd.Series, x: float, head: str = "") -> None:
    """Write a column of numbers right of the axis, where no mark can cover them."""
    place = {"transform": axis.get_yaxis_transform(), "va": "center", "fontsize": "small"}
    for row, value in enumerate(values):
        axis.text(x, row, f"{value:.3f}" if np.isfinite(value) else "-", **place)
    axis.text(x, -0.85, head, **place)


@captioned(captions.paper_table)
def paper_table(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw our accuracies beside the paper's, one row per configuration.

    Parameters
    ----------
    table
        Columns family, name, paper, ours, low, high (`metrics.beside_paper`), from top to bottom;
        one panel per family. Accuracies in [0, 1]; ours may be missing.
    title
        What ours were measured on.
    """
    families = dict(list(table.groupby("family", sort=False)))
    shape = {"sharex": True, "squeeze": False, "height_ratios": [*map(len, families.values())]}
    figure, axes = style.subplots(len(families), 1, figsize=(9, 1.4 + 0.45 * len(table)), **shape)
    for axis, (family, part) in zip(axes[:, 0], families.items(), strict=True):
        _intervals(axis, part.rename(columns={"ours": "accuracy"}), "name")
        axis.plot(part["paper"], range(len(part)), "k*", markersize=9, label="the paper, its split")
        _column(axis, part["ours"], 1.03, "ours")
        _column(axis, part["paper"], 1.12, "paper")
        axis.set_title(family, loc="left", fontsize="medium")
    axes[-1, 0].set(xlabel=f"accuracy of kNN (bar: interval)\n{title}".strip(), xlim=(0, 1))
    return style.finish(figure, "upper right", ncols=2)
