"""Pictures of genres: descriptors, classifiers, and why they answer as they do."""

from collections.abc import Sequence
from itertools import combinations

import librosa
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from musiclatent.display import results, style
from musiclatent.display.words import captions, genre_captions
from musiclatent.display.words.captions import captioned
from musiclatent.features.mel import log_mel
from musiclatent.files import need_columns

MARKERS = "o^sDvP*X<>"
SHOWN = (0.5, 99.5)  # percentiles between which points are drawn
DECADES = 30  # highest above lowest shown value from which an axis is of logarithms
LEADING = 20  # bars of a picture of importances
POINTS = 2000  # columns of a drawn waveform


@captioned(genre_captions.distributions)
def distributions(table: pd.DataFrame, labels: pd.Series, columns: Sequence[str]) -> Figure:
    """Draw how descriptors are spread: densities of the genres above, their box plots below.

    Parameters
    ----------
    table
        Descriptors, one row per clip.
    labels
        Genre of each row (B,).
    columns
        Descriptors to draw, one column of the picture each, from the 0.5th to the 99.5th
        percentile; those that spread over decades on a logarithmic scale, their box plots too. The
        densities of the later half of the genres are dashed, so that like colours differ.

    Raises
    ------
    ValueError
        If a column is missing or lengths differ.
    """
    table, labels = _chosen(table, labels, columns), labels.to_numpy()
    colors = _colors(labels)
    genres, width = len(colors), len(columns)
    shape = {"squeeze": False, "sharex": "col", "height_ratios": [3, 0.6 + 0.4 * genres]}
    size = (1.2 + 4.3 * width, 3.2 + 0.34 * genres)
    figure, axes = style.subplots(2, width, figsize=size, **shape)
    for column, (top, low) in zip(columns, axes.T, strict=True):
        top.set(xscale=_scale(table[column]), xlim=_range(table[column]))
        for index, (name, color) in enumerate(colors.items()):
            line = {"color": color, "linestyle": "-" if index < genres / 2 else "--"}
            values = table.loc[labels == name, column].to_numpy()
            sns.kdeplot(x=values, ax=top, linewidth=1.8, warn_singular=False, **line)
        boxes = {"x": table[column].to_numpy(), "y": labels, "hue": labels, "order": list(colors)}
        look = {"palette": colors, "legend": False, "fliersize": 2, "linewidth": 0.9}
        sns.boxplot(**boxes, **look, ax=low)
        top.set(ylabel="", yticks=[])
        low.set(xlabel=column, ylabel="")
        low.tick_params(axis="y", length=0, labelleft=low is axes[1, 0])
    axes[0, 0].set_ylabel("density")
    sns.despine(figure)
    return figure


@captioned(genre_captions.pairs)
def pairs(table: pd.DataFrame, labels: pd.Series, columns: Sequence[str]) -> Figure:
    """Draw descriptors against each other, coloured by genre; large marks are genre medians.

    Parameters
    ----------
    table
        Descriptors, one row per clip.
    labels
        Genre of each row (B,).
    columns
        Two to four descriptors, scaled as in `distributions`.

    Raises
    ------
    ValueError
        If a column is missing, lengths differ, or there are fewer than two or more than four.
    """
    if not 2 <= len(columns) <= 4:
        raise ValueError(f"there are {len(columns)} descriptors to pair; choose two to four")
    table = _chosen(table, labels, columns)
    shown = list(combinations(columns, 2))
    wide, high = min(3, len(shown)), -(-len(shown) // 3)
    figure, axes = style.subplots(high, wide, figsize=(1.6 + 4.4 * wide, 4.2 * high), squeeze=False)
    for axis, (x, y) in zip(axes.flat, shown, strict=True):
        for (name, color), marker in zip(_colors(labels).items(), MARKERS * 9, strict=False):
            values = table.loc[(labels == name).to_numpy(), [x, y]]
            mark = {"color": color, "marker": marker}
            axis.scatter(*values.to_numpy().T, s=24, alpha=0.6, linewidths=0, **mark)
            axis.scatter(*values.median(), s=150, edgecolors="k", zorder=3, label=name, **mark)
        axis.set(xlabel=x, xscale=_scale(table[x]), xlim=_range(table[x]))
        axis.set(ylabel=y, yscale=_scale(table[y]), ylim=_range(table[y]))
    return style.finish(figure, "right")


@captioned(genre_captions.correlations)
def correlations(table: pd.DataFrame) -> Figure:
    """Draw the correlation of each descriptor with each, related ones side by side.

    Parameters
    ----------
    table
        Descriptors, one row per clip; columns that never change are left out.
    """
    table = table.loc[:, table.nunique() > 1]
    correlation = table.corr()
    if len(correlation) > 2:
        distance = squareform(1 - correlation.abs().to_numpy().clip(0, 1), checks=False)
        order = leaves_list(linkage(distance, "average", optimal_ordering=True))
        correlation = correlation.iloc[order, order]
    size = min(3 + 0.19 * len(correlation), style.WIDEST - 1)
    figure, axis = style.subplots(figsize=(size + 1, size))
    look = {"cmap": "vlag", "vmin": -1, "vmax": 1, "xticklabels": True, "yticklabels": True}
    bar = {"label": "correlation", "shrink": 0.5, "pad": 0.01}
    sns.heatmap(correlation, **look, cbar_kws=bar, ax=axis)
    axis.tick_params(labelsize=min(9, 60 * size / len(correlation)), length=0)
    return figure


@captioned(genre_captions.contrasts)
def contrasts(table: pd.DataFrame) -> Figure:
    """Draw what sets each music type apart.

    Parameters
    ----------
    table
        Columns type, genres, attribute and difference (in standard deviations), the strongest of
        each type first, as `genre_groups.GenreGroups.contrasts`.
    """
    types = dict(list(table.groupby("type", sort=False)))
    shape = {"sharex": True, "squeeze": False, "height_ratios": [*map(len, types.values())]}
    size = (8.5, 1.0 + 0.7 * len(types) + 0.32 * len(table))
    figure, axes = style.subplots(len(types), 1, figsize=size, **shape)
    for axis, (name, part) in zip(axes[:, 0], types.items(), strict=True):
        _bars(axis, part["attribute"], part["difference"])
        axis.set_title(f"{name}\n{part['genres'].iloc[0]}", loc="left", fontsize="medium")
    axes[-1, 0].set_xlabel("above or below all other clips (standard deviations)")
    sns.despine(figure, left=True)
    return figure


@captioned(genre_captions.reliability)
def reliability(curves: dict[str, pd.DataFrame]) -> Figure:
    """Draw how often answers are right against how sure they are, and how many are so sure.

    Parameters
    ----------
    curves
        Name of the model -> one row per bin: confidence (mean probability of the answers),
        accuracy, n (`classifiers.reliability_curve`).
    """
    figure, (top, low) = style.subplots(2, 1, figsize=(8, 6.5), sharex=True, height_ratios=[3, 1])
    top.plot([0, 1], [0, 1], color="0.5", linestyle=":", label="as sure as right")
    for index, (name, table) in enumerate(curves.items()):
        color, marker = style.PALETTE[index % len(style.PALETTE)], MARKERS[index % len(MARKERS)]
        mark = {"color": color, "marker": marker, "clip_on": False}
        top.plot(table["confidence"], table["accuracy"], label=name, **mark)
        low.plot(table["confidence"], table["n"], **mark)
    top.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    low.set(xlabel="confidence (probability of the answer)", ylabel="answers", ylim=(0, None))
    return style.finish(figure, "right")


@captioned(captions.gallery)
def mels(sounds: Sequence[tuple[str, np.ndarray]], sr: int) -> Figure:
    """Draw waveform above mel spectrogram for each sound, on one scale, so that they compare.

    Parameters
    ----------
    sounds
        (title, y (N,) in [-1, 1]) pairs, one a column.
    sr
        Sample rate in Hz.
    """
    figure, axes = _pairs_of_rows(len(sounds))
    for (title, y), (top, low) in zip(sounds, axes.T, strict=True):
        _envelope(top, y, sr)
        x = log_mel(y, sr)
        extent = (0, len(y) / sr, 0, len(x))
        look = {"origin": "lower", "aspect": "auto", "cmap": "magma", "vmin": -50, "vmax": 40}
        shown = low.imshow(x, extent=extent, **look)
        top.set_title(style.wrapped(title, 24), fontsize="small", parse_math=False)
    axes[0, 0].set_ylabel("amplitude")
    axes[1, 0].set_ylabel("frequency (Hz)")
    _hertz(axes[1, 0], len(x), sr)
    figure.colorbar(shown, ax=axes[1], label="dB")
    return figure


@captioned(genre_captions.saliency)
def saliency(
    panels: Sequence[tuple[str, np.ndarray, np.ndarray]], sr: int, hop_length: int
) -> Figure:
    """Draw mel spectrograms, and below each where the classifier looked.

    Parameters
    ----------
    panels
        (title, x (M, T) of any unit, Grad-CAM map (M, T) in [0, 1]), one column each.
    sr
        Sample rate in Hz; the bands reach to half of it.
    hop_length
        Samples from one frame to the next.

    Raises
    ------
    ValueError
        If a map has not the size of its spectrogram.
    """
    figure, axes = _pairs_of_rows(len(panels))
    for (title, x, cam), (top, low) in zip(panels, axes.T, strict=True):
        if x.shape != cam.shape:
            raise ValueError(f"the spectrogram is {x.shape} and its map {cam.shape}; give one size")
        extent = (0, x.shape[1] * hop_length / sr, 0, len(x))
        place = {"origin": "lower", "aspect": "auto", "extent": extent}
        darkest, brightest = np.percentile(x, SHOWN)
        for axis, colors in ((top, "magma"), (low, "gray")):
            axis.imshow(x, cmap=colors, vmin=darkest, vmax=brightest, **place)
            _hertz(axis, len(x), sr)
        over = low.imshow(cam, cmap="viridis", vmin=0, vmax=1, alpha=0.75 * cam.clip(0, 1), **place)
        top.set_title(style.wrapped(title, 24), fontsize="small", parse_math=False)
    axes[0, 0].set_ylabel("frequency (Hz, mel)")
    axes[1, 0].set_ylabel("Grad-CAM")
    figure.colorbar(over, ax=axes, label="weight", shrink=0.45, anchor=(0, 0.08))
    return figure


@captioned(genre_captions.importances)
def importances(table: pd.DataFrame) -> Figure:
    """Draw what a classifier loses without each family of descriptors; bars are one sd.

    Parameters
    ----------
    table
        Columns family, drop and sd, the largest drop first (`importance.permutation_importance`);
        the first 20 are drawn.
    """
    table = table.head(LEADING)
    figure, axis = style.subplots(figsize=(7.5, 1.2 + 0.3 * len(table)))
    _bars(axis, table["family"], table["drop"], xerr=table["sd"], ecolor="0.3")
    axis.set_xlabel("loss of accuracy when permuted (bar: sd over permutations)")
    sns.despine(figure, left=True)
    return figure


@captioned(genre_captions.reasons)
def reasons(table: pd.DataFrame, title: str) -> Figure:
    """Draw which descriptors moved one answer, toward its label and toward the rival.

    Parameters
    ----------
    table
        Columns attribute, value, label, toward, rival, toward_rival, as
        `importance.strongest_reasons` returns them.
    title
        Which clip, and what was answered.
    """
    figure, axis = style.subplots(figsize=(8.5, 1.6 + 0.46 * len(table)))
    rows = np.arange(len(table))
    names = [f"{a} = {_figure(v)}" for a, v in zip(table["attribute"], table["value"], strict=True)]
    sides = (("label", "toward", -0.2), ("rival", "toward_rival", 0.2))
    for (side, column, shift), color in zip(sides, style.PALETTE, strict=False):
        label = f"toward {table[side].iloc[0]}"
        axis.barh(rows + shift, table[column], height=0.38, color=color, label=label)
    style.name_rows(axis, names)
    axis.set(xlabel="added to the probability")
    style.set_title(axis, title)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower right", ncols=2)
    sns.despine(figure, left=True)
    return figure


@captioned(genre_captions.timeline)
def timeline(probabilities: pd.DataFrame, title: str, *, y: np.ndarray | None, sr: int) -> Figure:
    """Draw the probability of each genre along a file; a dot marks the best of each section.

    Parameters
    ----------
    probabilities
        Index start_s of each section, in equal steps; a column per genre, in [0, 1]. Rows of
        NaN, such as those of silence, stay grey. The colours follow the square root.
    title
        What was classified.
    y
        Samples (N,) in [-1, 1] to draw above, or None.
    sr
        Sample rate of `y` in Hz.
    """
    starts, (count, genres) = probabilities.index.to_numpy(float), probabilities.shape
    step = np.median(np.diff(starts)) if count > 1 else (1 if y is None else len(y) / sr)
    edges = np.append(starts, starts[-1] + step)
    heights = [0.32 * genres] if y is None else [1.2, 0.32 * genres]
    shape = {"figsize": (11, sum(heights) + 1.4 + 0.1 * (len(heights) - 1)), "squeeze": False}
    figure, axes = style.subplots(len(heights), 1, sharex=True, height_ratios=heights, **shape)
    low = axes[-1, 0]
    rows = np.arange(genres + 1) - 0.5
    values = np.ma.masked_invalid(probabilities.to_numpy().T)
    image = low.pcolormesh(edges, rows, values, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    audible = ~np.ma.getmaskarray(values).any(axis=0)
    middles = (edges[:-1] + edges[1:]) / 2
    low.plot(
        middles[audible], values.argmax(axis=0)[audible], "o", color=style.PALETTE[3], markersize=5
    )
    style.name_rows(low, probabilities.columns)
    low.set(xlabel="time (s)", xlim=(edges[0], edges[-1]), facecolor="0.85")
    if count == 1 and y is None:
        low.set(xlabel="one section", xticks=[])  # nothing says how long it is
    figure.colorbar(image, ax=low, label="probability")
    if y is not None:
        _envelope(axes[0, 0], y, sr)
    style.set_title(axes[0, 0], title)
    return figure


@captioned(genre_captions.methods)
def methods(table: pd.DataFrame, title: str) -> Figure:
    """Draw the accuracy of each method, with its interval, beside the paper's.

    Parameters
    ----------
    table
        Columns method, accuracy, low, high, paper in [0, 1], from top to bottom; the paper's may be
        missing.
    title
        What was measured, and how.
    """
    named = table.rename(columns={"method": "name", "accuracy": "ours"})
    figure = results.paper_table(named.assign(family=title))
    figure.axes[-1].set_xlabel("accuracy (bar: interval)")
    return figure


def _chosen(table: pd.DataFrame, labels: pd.Series, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of a table, once inputs are validated."""
    need_columns(table, columns, "there is no descriptor", f"choose from {list(table)}")
    if len(labels) != len(table) or not len(table):
        raise ValueError(f"there are {len(table)} rows but {len(labels)} labels; one per row")
    return table[list(columns)]


def _colors(labels: Sequence[str]) -> dict[str, tuple]:
    """Return one colour per label, in the order of the alphabet."""
    names = sorted(set(labels))
    return dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))


def _scale(values: pd.Series) -> str:
    """Return the scale that separates values: logarithmic for those that spread over decades."""
    low, high = np.percentile(values, SHOWN)
    return "log" if values.min() > 0 and high > DECADES * low else "linear"


def _range(values: pd.Series) -> tuple[float, float]:
    """Return limits of an axis that a few far points do not stretch."""
    low, high = np.percentile(values, SHOWN)
    if _scale(values) == "log":
        return low / 1.1, high * 1.1
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _figure(value: float) -> str:
    """Write a number in three figures, a large one in full."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _pairs_of_rows(columns: int) -> tuple[Figure, np.ndarray]:
    """Return a figure of two rows of spectrograms or waveforms over time, and its axes."""
    shape = {"figsize": (1 + 3.8 * columns, 5.6), "squeeze": False, "sharex": "col"}
    figure, axes = style.subplots(2, columns, sharey="row", **shape)
    for axis in axes[1]:
        axis.set_xlabel("time (s)")
    return figure, axes


def _bars(axis: plt.Axes, names: Sequence[str], values: pd.Series, **options: object) -> None:
    """Draw bars from a line at 0, one colour above and one below."""
    colors = [style.PALETTE[0 if value >= 0 else 3] for value in values]
    axis.barh(range(len(values)), values, color=colors, height=0.7, **options)
    axis.axvline(0, color="0.3", linewidth=0.8)
    axis.grid(axis="x", alpha=0.4)
    style.name_rows(axis, names)


def _hertz(axis: plt.Axes, n_mels: int, sr: int) -> None:
    """Mark octaves on an axis of mel bands."""
    centres = librosa.mel_frequencies(n_mels + 2, fmax=sr / 2)[1:-1]
    ticks = [hz for hz in (256, 512, 1024, 2048, 4096, 8192) if hz < sr / 2]
    axis.set_yticks(np.interp(ticks, centres, np.arange(n_mels) + 0.5), ticks)


def _envelope(axis: plt.Axes, y: np.ndarray, sr: int) -> None:
    """Draw the lowest and the highest sample of each short stretch: hours draw as seconds do."""
    size = -(-len(y) // POINTS)
    filled = np.pad(y, (0, -len(y) % size), mode="edge").reshape(-1, size)
    times = np.arange(len(filled)) * size / sr
    axis.fill_between(times, filled.min(axis=1), filled.max(axis=1), linewidth=0.3)
    axis.set(ylim=(-1, 1), yticks=[-1, 0, 1])
