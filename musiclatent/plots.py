"""Pictures and players: arrays and tables in, matplotlib figures and html out."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import librosa
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from musiclatent import audio
from musiclatent.files import whole_file
from musiclatent.style import subplots

PALETTE = sns.color_palette("colorblind")
RAMP = sns.color_palette("viridis", 9)  # for numbers


def save(figure: Figure, path: Path) -> Figure:
    """Write a figure as png, whole or not at all, and give it back."""
    with whole_file(path) as part:
        figure.savefig(part, format="png")
    return figure


def player(y: np.ndarray, sr: int, title: str) -> str:
    """Return html with a title and an audio player that holds its sound.

    Parameters
    ----------
    y
        Samples (N,) in [-1, 1].
    sr
        Sample rate in Hz.
    title
        Plain text; it is escaped.
    """
    sound = base64.b64encode(audio.encode(y, sr)).decode()
    return (
        f"<figure><figcaption>{html.escape(title)}</figcaption>"
        f'<audio controls preload="none" src="data:audio/mpeg;base64,{sound}"></audio></figure>'
    )


def players(sounds: Sequence[tuple[str, np.ndarray]], sr: int) -> str:
    """Return the html of several players side by side; `sounds` holds (title, y (N,)) pairs."""
    style = "display:flex;flex-wrap:wrap;gap:.5em"
    return f'<div style="{style}">{"".join(player(y, sr, title) for title, y in sounds)}</div>'


def _spectrogram(axis: plt.Axes, y: np.ndarray, sr: int) -> None:
    """Draw a log-magnitude spectrogram, its range fixed so that pictures compare."""
    n_fft = min(1024, 2 ** int(np.log2(max(len(y), 2))))
    magnitude = np.abs(librosa.stft(y, n_fft=n_fft))
    decibels = librosa.amplitude_to_db(magnitude, ref=n_fft / 4, amin=1e-6, top_db=None)
    extent = (0, len(y) / sr, 0, sr / 2000)
    axis.imshow(decibels, origin="lower", aspect="auto", extent=extent, vmin=-100, vmax=0)
    axis.set(xlabel="time (s)", ylabel="frequency (kHz)")


def gallery(sounds: Sequence[tuple[str, np.ndarray]], sr: int) -> Figure:
    """Draw waveform above spectrogram for each sound.

    Parameters
    ----------
    sounds
        (title, y (N,)) pairs, one a column; rows wrap after five.
    sr
        Sample rate in Hz.
    """
    columns = min(5, len(sounds))
    rows = -(-len(sounds) // columns)
    figure, axes = subplots(
        2 * rows, columns, figsize=(3.2 * columns, 3.4 * rows), squeeze=False, sharex="col"
    )
    for axis in axes.flat[2 * rows * columns :]:
        axis.remove()
    for index in range(rows * columns):
        top = axes[2 * (index // columns), index % columns]
        low = axes[2 * (index // columns) + 1, index % columns]
        if index >= len(sounds):
            top.remove(), low.remove()
            continue
        title, y = sounds[index]
        _waveform(top, y, sr, title)
        _spectrogram(low, y, sr)
    return figure


def _waveform(axis: plt.Axes, y: np.ndarray, sr: int, title: str = "") -> None:
    """Draw a waveform in full scale."""
    axis.plot(np.arange(len(y)) / sr, y, linewidth=0.4)
    axis.set(ylim=(-1, 1), title=title[:40])


def reconstructions(x: np.ndarray, x_hats: dict[str, np.ndarray], sr: int) -> Figure:
    """Draw an original beside its reconstructions: waveform, 20 ms of it, spectrogram.

    Parameters
    ----------
    x
        Original samples (N,).
    x_hats
        Name of the experiment -> samples (N,).
    sr
        Sample rate in Hz.
    """
    sounds = {"original": x, **x_hats}
    figure, axes = subplots(3, len(sounds), figsize=(3.2 * len(sounds), 6.5), squeeze=False)
    loudest = int(np.abs(x).argmax())
    zoom = slice(max(0, loudest - sr // 100), loudest + sr // 100)
    for (name, y), (top, middle, low) in zip(sounds.items(), axes.T, strict=True):
        _waveform(top, y, sr, name)
        times = np.arange(len(x))[zoom] / sr
        middle.plot(times, x[zoom], color="0.6", linewidth=2.5, label="original")
        middle.plot(times, y[zoom], linewidth=1)
        middle.set(xlabel="time (s)")
        _spectrogram(low, y, sr)
    axes[1, 0].legend(fontsize="x-small")
    return figure


def curves(tables: dict[str, pd.DataFrame], paper: dict[str, float]) -> Figure:
    """Draw training and validation loss against the epoch.

    Parameters
    ----------
    tables
        Name of the experiment -> its curves, with the columns epoch, train_mse, validation_mse.
    paper
        The paper's validation losses by name, drawn as dotted lines.
    """
    figure, axis = subplots(figsize=(8, 4.5))
    for index, (name, table) in enumerate(tables.items()):
        color, marker = PALETTE[index % len(PALETTE)], " o^s"[index // len(PALETTE) % 4].strip()
        style = {"color": color, "marker": marker, "markersize": 3}
        axis.plot(table["epoch"] + 1, table["validation_mse"], label=name, **style)
        axis.plot(table["epoch"] + 1, table["train_mse"], color=color, linestyle="--", alpha=0.6)
    for name, value in paper.items():
        axis.axhline(value, color="0.3", linestyle=":", label=f"{name}, paper")
    axis.set(xlabel="epoch", ylabel="MSE (solid: validation, dashed: training)", yscale="log")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right", fontsize="small")
    sns.despine(figure)
    return figure


def size_study(table: pd.DataFrame, paper: list[tuple[int, float]]) -> Figure:
    """Draw error against the number of latent values in a window.

    Parameters
    ----------
    table
        Columns family, latent_numbers, test_mse, and what there is of test_sisdr (dB),
        test_mrstft and test_knn.
    paper
        The paper's figures: (number of latent values, test MSE).
    """
    measures = {
        "test_mse": "MSE",
        "test_sisdr": "SI-SDR (dB, from -10)",
        "test_mrstft": "STFT distance",
        "test_knn": "accuracy of neighbours",
    }
    measures = {name: label for name, label in measures.items() if name in table}
    figure, axes = subplots(1, len(measures), figsize=(1 + 4.5 * len(measures), 4), squeeze=False)
    axes = axes[0]
    for axis, (name, label) in zip(axes, measures.items(), strict=True):
        sns.lineplot(
            table, x="latent_numbers", y=name, hue="family", style="family", markers=True,
            dashes=False, ax=axis, legend=axis is axes[0], errorbar=None,
        )  # fmt: skip
        axis.set(xscale="log", xlabel="latent numbers a window", ylabel=f"{label}, test")
        ticks = sorted(table["latent_numbers"].unique())
        axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize="small", rotation=20)
        axis.minorticks_off()
    if paper:
        axes[0].plot(*zip(*paper, strict=True), "k*", label="the paper, its own split")
    axes[0].set_yscale("log")
    shown = axes[0].get_legend_handles_labels()
    axes[0].get_legend().remove()
    figure.legend(*shown, loc="outside right", fontsize="small")
    if "test_sisdr" in measures:
        axes[1].set_ylim(bottom=max(-10, axes[1].get_ylim()[0]))
    sns.despine(figure)
    return figure


def counts(items: pd.DataFrame) -> Figure:
    """Draw how many recordings of each label stand in each split.

    Parameters
    ----------
    items
        Corpus index with the columns label and split.
    """
    table = pd.crosstab(items["label"].replace("", "no label"), items["split"])
    order = [name for name in ("train", "validation", "test") if name in table]
    figure, axis = subplots(figsize=(8, 0.6 + 0.34 * len(table)))
    table[order].plot.barh(stacked=True, ax=axis, width=0.75)
    axis.set(xlabel="recordings", ylabel="")
    axis.legend(title="")
    sns.despine(figure)
    return figure


def elbow(tables: dict[str, pd.DataFrame], chosen: dict[str, int]) -> Figure:
    """Draw the spread inside clusters against their number, and where each curve bends.

    Parameters
    ----------
    tables
        Name -> table with the columns k and inertia.
    chosen
        Name -> number of clusters at the elbow.
    """
    figure, axis = subplots(figsize=(7, 4))
    for (name, table), color in zip(tables.items(), PALETTE, strict=False):
        share = table["inertia"] / table["inertia"].iloc[0]
        axis.plot(table["k"], share, "o-", color=color, markersize=4, label=name)
        at = table["k"] == chosen[name]
        axis.plot(table["k"][at], share[at], "o", color=color, markersize=13, fillstyle="none")
    axis.set(xlabel="clusters k", ylabel="inertia, share of k = 1")
    axis.legend(fontsize="small", title="the ring marks the elbow", title_fontsize="small")
    sns.despine(figure)
    return figure


def scatter(
    panels: dict[str, np.ndarray], labels: pd.Series, marked: dict[str, np.ndarray] | None = None
) -> Figure:
    """Draw maps side by side, coloured by label.

    Parameters
    ----------
    panels
        Title -> points (B, 2).
    labels
        B labels; empty ones are grey.
    marked
        Title -> rows to ring, such as the outliers.
    """
    figure, axes = subplots(1, len(panels), figsize=(5 * len(panels), 4.6), squeeze=False)
    names = sorted(label for label in labels.unique() if label)
    colors = dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))
    for axis, (title, points) in zip(axes[0], panels.items(), strict=True):
        for index, name in enumerate(["", *names]):
            mine = points[(labels == name).to_numpy()]
            style = {"color": colors.get(name, "0.6"), "marker": "o^sD"[(index - 1) // 10 % 4]}
            axis.scatter(*mine.T, s=12, label=name, alpha=0.8, **style)
        rows = (marked or {}).get(title, [])
        axis.scatter(*points[rows].T, s=110, facecolors="none", edgecolors="k")
        axis.set(title=title, xticks=[], yticks=[])
    if names:
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(), loc="outside right", fontsize="small"
        )
    return figure


def confusion(
    labels_true: Sequence[str],
    labels_predicted: Sequence[str],
    names: Sequence[str],
    title: str = "",
) -> Figure:
    """Draw which label is taken for which, in percent of each true label.

    Parameters
    ----------
    labels_true, labels_predicted
        B labels each.
    names
        Labels in the order of rows and columns; all others are left out.
    title
        What was judged, and on what.
    """
    counts = pd.crosstab(pd.Series(labels_true), pd.Series(labels_predicted))
    counts = counts.reindex(index=names, columns=names, fill_value=0)
    share = 100 * counts / counts.sum(axis=1).clip(lower=1).to_numpy()[:, None]
    size = 2.4 + 0.5 * len(names)
    figure, axis = subplots(figsize=(size + 1, size))
    sns.heatmap(
        share, annot=share.round().astype(int).replace(0, ""), fmt="", cmap="Blues", vmin=0,
        vmax=100, square=True, linewidths=0.5, ax=axis,
        cbar_kws={"label": "% of the true label", "shrink": 0.8},
    )  # fmt: skip
    axis.set(xlabel="predicted", ylabel="true")
    axis.set_title(title, fontsize="small")
    axis.tick_params(axis="x", rotation=45)
    axis.tick_params(axis="y", rotation=0)
    return figure


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
    figure, axis = subplots(figsize=(2.6 + 1.25 * columns, 1.5 + 0.5 * rows))
    sns.heatmap(
        table.astype(float), annot=True, fmt=".2f", cmap="viridis", vmin=0, vmax=1, linewidths=0.5,
        cbar_kws={"label": "score"}, ax=axis,
    )  # fmt: skip
    axis.set(title=title, xlabel="", ylabel="", facecolor="0.92")
    axis.tick_params(axis="y", rotation=0)
    return figure


def leak(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw the accuracy of each way to split, with its interval.

    Parameters
    ----------
    table
        Columns protocol, accuracy, low, high in [0, 1], from top to bottom.
    title
        What must be said of the figures.
    """
    figure, axis = subplots(figsize=(8, 1.2 + 0.42 * len(table)))
    _intervals(axis, table, "protocol")
    _column(axis, table["accuracy"], 1.03)
    axis.set(xlabel="accuracy (bar: interval)", xlim=(0, 1))
    axis.set_title(title, fontsize="small")
    sns.despine(figure)
    return figure


def _intervals(axis: plt.Axes, table: pd.DataFrame, names: str) -> None:
    """Draw a named accuracy a row: dot, and bar from low to high."""
    rows = np.arange(len(table))
    axis.hlines(rows, table["low"], table["high"], color=PALETTE[0], linewidth=2)
    axis.plot(table["accuracy"], rows, "o", color=PALETTE[0], label="ours", clip_on=False)
    axis.set_yticks(rows, table[names])
    axis.set_ylim(len(table) - 0.5, -0.5)
    axis.grid(axis="x", alpha=0.4)


def _column(axis: plt.Axes, values: pd.Series, x: float, head: str = "") -> None:
    """Write a column of numbers right of the axis, where no mark can cover them."""
    place = {"transform": axis.get_yaxis_transform(), "va": "center", "fontsize": "small"}
    for row, value in enumerate(values):
        axis.text(x, row, f"{value:.3f}" if np.isfinite(value) else "-", **place)
    axis.text(x, -0.85, head, **place)


def paper_table(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw our accuracies beside the paper's, one row a configuration.

    Parameters
    ----------
    table
        Columns family, name, paper, ours, low, high (`runs.beside_paper`), from top to bottom; a
        panel a family. Accuracies in [0, 1]; ours may be missing.
    title
        What ours were measured on.
    """
    families = dict(list(table.groupby("family", sort=False)))
    figure, axes = subplots(
        len(families), 1, figsize=(9, 1.4 + 0.45 * len(table)), sharex=True, squeeze=False,
        height_ratios=[len(part) for part in families.values()],
    )  # fmt: skip
    for axis, (family, part) in zip(axes[:, 0], families.items(), strict=True):
        _intervals(axis, part.rename(columns={"ours": "accuracy"}), "name")
        axis.plot(part["paper"], range(len(part)), "k*", markersize=9, label="the paper, its split")
        _column(axis, part["ours"], 1.03, "ours")
        _column(axis, part["paper"], 1.12, "paper")
        axis.set_title(family, loc="left", fontsize="medium")
    axes[-1, 0].set(xlabel=f"accuracy of kNN (bar: interval)\n{title}".strip(), xlim=(0, 1))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    sns.despine(figure)
    return figure


def strips(rows: dict[str, np.ndarray], share: float = 1.0) -> Figure:
    """Draw rows of spectrograms, each row a way through the latents.

    Parameters
    ----------
    rows
        Title -> spectrograms (B, F, T) in [0, 1].
    share
        Part of the bins that is shown, from the lowest on.
    """
    n = max(map(len, rows.values()))
    figure, axes = subplots(len(rows), n, figsize=(1.3 * n, 1.9 * len(rows)), squeeze=False)
    for line, (title, row) in zip(axes, rows.items(), strict=True):
        for axis, x in zip(line, row, strict=False):
            top = round(share * len(x))
            axis.imshow(x[:top], origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        for axis in line[len(row) :]:
            axis.axis("off")
        line[0].set_title(title, loc="left", fontsize="small")
    return figure
