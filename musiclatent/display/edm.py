"""Pictures of dance music: which sections count, how they cluster, and the route of a mix."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from musiclatent.display import genre, results, style
from musiclatent.display.words import dance_captions
from musiclatent.display.words.captions import captioned
from musiclatent.display.words.numbers import clock
from musiclatent.features import structure

HUES = [*style.PALETTE[:7], *style.PALETTE[8:]]  # without grey, which is for none
ROLES = {"central": style.PALETTE[0], "border": style.PALETTE[1], "quiet": "0.7"}
FADES = {"beats matched": style.PALETTE[2], "plain crossfade": style.PALETTE[1]}
DEEPEST_DB, LOWEST_HZ = 20.0, 50.0  # so far below the quiet line, and below it, all is drawn alike
NUMBERED = 30  # marks that get a number; of more, every n-th
SHOWN = 40  # latent dimensions of an embedding
PAPER = 0.178  # silhouette in Murillo Martinez, EAFIT (2022), on its own 53 tracks


@captioned(dance_captions.section_choice)
def section_choice(
    track: pd.DataFrame, edges_s: Sequence[float], *, title: str, quiet_db=10.0, spread=1.5
) -> Figure:
    """Draw which sections of a track are chosen: along the time, and in the plane that decides.

    Parameters
    ----------
    track
        The rows of one track of `structure.central_sections`. The one section that is chosen of a
        silent track is drawn as central.
    edges_s
        Where the music changes, in seconds (`structure.structural_sections`).
    title
        What the track is called.
    quiet_db, spread
        As `structure.central_sections` took them: the dashed line, and the ellipse around the
        centre in which central sections lie. What is 20 dB below the line or more is drawn alike.

    Raises
    ------
    ValueError
        If there are no rows, or those of several tracks.
    """
    if (count := track["item_id"].nunique()) != 1:
        raise ValueError(f"rows of {count} tracks are given; give those of one")
    silent = track["silent"].astype(bool)
    # Where all are silent, their loud level is that of all.
    quiet = np.percentile(track.loc[silent == silent.min(), "level_db"], structure.LOUD) - quiet_db
    level = track["level_db"].clip(lower=quiet - DEEPEST_DB).to_numpy()
    hz = track["spectral_centroid_mean"].clip(lower=LOWEST_HZ).to_numpy()
    floor = min(quiet, level.min()) - 2
    start_s, end_s = track["start_s"], track["end_s"]
    roles = track["role"].where(~track["chosen"].astype(bool), "central")
    look = {"color": roles.map(ROLES), "alpha": 0.6, "edgecolor": "w"}
    figure, (left, right) = style.subplots(1, 2, figsize=(13, 5), sharey=True, width_ratios=[2, 1])
    left.bar(start_s, level - floor, end_s - start_s, floor, align="edge", linewidth=0.5, **look)
    right.scatter(hz, level, s=110, **look)
    small = {"fontsize": "x-small", "ha": "center"}
    for i in _numbered(track):
        left.text((start_s + end_s).iloc[i] / 2, floor, i + 1, va="bottom", **small)
        right.annotate(i + 1, (hz[i], level[i]), va="center", **small)
    left.set(xlabel="time (s)", ylabel="level (dB)", xlim=(start_s.min(), end_s.max()))
    left.set_ylim(floor, level.max() + spread * structure.LEVEL_DB + 1)
    right.set_xscale("log", base=2, subs=[1.5])
    right.xaxis.set(major_formatter="{x:g}", minor_formatter="{x:g}", label_text="centroid (Hz)")
    if track["distance"].notna().any():
        nearest = np.nanargmin(track["distance"])
        _mark_centre(right, hz[nearest], level[nearest], spread)
    label = f"{quiet_db:g} dB below the loud level"
    lines = [axis.axhline(quiet, color="0.2", ls="--", lw=1, label=label) for axis in (left, right)]
    _mark_changes(left, edges_s)
    style.set_title(left, title)
    marks = [Patch(color=ROLES[k], alpha=0.6, label=f"{k}: {(roles == k).sum()}") for k in ROLES]
    return style.finish(figure, "lower center", marks=[*marks, lines[0]], ncols=4)


@captioned(dance_captions.clusters)
def clusters(
    points: np.ndarray,
    labels: np.ndarray,
    *,
    centres: np.ndarray | None,
    explained: Sequence[float] | None,
    title: str,
) -> Figure:
    """Draw a plane coloured by cluster; crosses are the centres, grey is in none.

    Parameters
    ----------
    points
        (B, 2).
    labels
        Cluster of each row (B,), int; -1 is none.
    centres
        (K, 2) on the same plane, or None.
    explained
        Shares of the variance that the two axes explain, or None where they mean nothing.
    title
        What is clustered, and how.

    Raises
    ------
    ValueError
        If lengths differ.
    """
    figure, axis = style.subplots(figsize=(8, 5.5))
    _cloud(axis, points, labels, s=30, alpha=0.75)
    if centres is not None:
        look = {"marker": "X", "s": 150, "color": "w", "edgecolors": "k", "linewidths": 1.5}
        axis.scatter(*np.asarray(centres).T, zorder=4, label="centre", **look)
    if explained is not None:
        x, y = (f"component {i + 1}: {explained[i]:.1%} of the variance" for i in range(2))
        axis.set(xlabel=x, ylabel=y)
    style.set_title(axis, title)
    return style.finish(figure, "right")


@captioned(dance_captions.importances)
def importances(table: pd.DataFrame) -> Figure:
    """Draw which columns separate clusters: importance, and what speaks for each cluster.

    Parameters
    ----------
    table
        Columns column, importance, and ``cluster K`` with mean SHAP values of its own rows, the
        most important first (`importance.cluster_importance`); the first 20 are drawn.
    """
    table = table.head(genre.LEADING)
    shares = table.filter(regex="^cluster ").rename(columns=lambda k: k.removeprefix("cluster "))
    width = 0.75 * shares.shape[1]
    size = (7.5 + width, 1.6 + 0.34 * len(table))
    figure, (left, right) = style.subplots(1, 2, figsize=size, width_ratios=[3, 1 + width])
    rows = np.arange(len(table)) + 0.5
    left.barh(rows, table["importance"], color=style.PALETTE[0], height=0.7)
    left.set_xlabel("mean decrease of impurity")
    style.name_rows(left, table["column"], 0.5)
    style.signed(right, shares, "mean SHAP of a cluster's own rows", annot=True, fmt=".2f")
    right.set(xlabel="cluster", ylabel="", yticks=[])
    sns.despine(ax=left, left=True)
    return figure


@captioned(dance_captions.cluster_means)
def cluster_means(table: pd.DataFrame) -> Figure:
    """Draw the mean latent of each cluster, and below how far each lies from the mean of all.

    Parameters
    ----------
    table
        One row per cluster, one column per latent dimension, those that differ most first
        (`section_views.cluster_means`); the first 40 are drawn.
    """
    shown = table.iloc[:, :SHOWN].astype(float)
    figure, (top, low) = style.subplots(2, 1, figsize=(13, 2.6 + 0.6 * len(shown)), sharex=True)
    sns.heatmap(shown, cmap="viridis", ax=top, xticklabels=True, cbar_kws={"label": "mean"})
    style.signed(low, shown - shown.mean(), "difference from\nthe mean of all", xticklabels=True)
    for axis in (top, low):
        axis.tick_params(axis="y", rotation=0)
    low.tick_params(axis="x", labelsize="x-small", rotation=90)
    low.set_xlabel(f"{shown.shape[1]} of {table.shape[1]} dimensions, those that differ most first")
    return figure


@captioned(dance_captions.memberships)
def memberships(table: pd.DataFrame, labels: Sequence[str], n: int = 8) -> Figure:
    """Draw how much of each section belongs to each cluster, one strip per track.

    Parameters
    ----------
    table
        As `soft_clustering.membership_table` makes it of sections of a fixed grid; gaps are silent
        or duplicates.
    labels
        What the clusters are called (K,).
    n
        Tracks to draw, at most: those whose sections belong least to one cluster alone.

    Raises
    ------
    ValueError
        If there are not as many labels as clusters.
    """
    columns = [name for name in table if name.removeprefix("cluster").isdigit()]
    if len(labels) != len(columns):
        raise ValueError(f"there are {len(columns)} clusters but {len(labels)} labels; one each")
    tracks = table.groupby("item_id")["entropy"].mean().nlargest(n).index
    step_s = table.groupby("item_id")["start_s"].diff().min()
    shape = {"figsize": (11, 1.2 + 0.85 * len(tracks)), "sharex": True, "squeeze": False}
    figure, axes = style.subplots(len(tracks), 1, **shape)
    for axis, track in zip(axes[:, 0], tracks, strict=True):
        rows = table[table["item_id"] == track].sort_values("start_s")
        width = np.fmin(np.diff(rows["start_s"], append=np.inf), step_s if step_s > 0 else 1.0)
        top = rows[columns].cumsum(axis=1)
        for i, name in enumerate(columns):
            look = {"align": "edge", "color": _hue(i), "edgecolor": "w", "linewidth": 0.4}
            axis.bar(rows["start_s"], rows[name], width, top[name] - rows[name], **look)
        axis.set(ylim=(0, 1), yticks=[])
        style.set_title(axis, track, length=45, size="small")
    axes[-1, 0].set(xlabel="time (s)", xlim=(0, None))
    marks = [Patch(color=_hue(i), label=style.printable(name)) for i, name in enumerate(labels)]
    return style.finish(figure, "right upper", marks=marks)


@captioned(dance_captions.contingency)
def contingency(table: pd.DataFrame, names: tuple[str, str]) -> Figure:
    """Draw how many sections are in each pair of clusters; colours are shares of the rows.

    Parameters
    ----------
    table
        Counts, as `clustering.contingency`.
    names
        What the clusterings of the rows and of the columns are called.
    """
    share = table.div(table.sum(axis=1).clip(lower=1), axis=0)
    figure, axis = style.subplots(figsize=(3 + 0.8 * table.shape[1], 1.8 + 0.55 * len(table)))
    look = {"cmap": "Blues", "vmin": 0, "vmax": 1, "cbar_kws": {"label": "share of the row"}}
    sns.heatmap(share, annot=table.to_numpy(), fmt="d", linewidths=0.5, ax=axis, **look)
    axis.set(ylabel=f"cluster, {names[0]}", xlabel=f"cluster, {names[1]}")
    axis.tick_params(rotation=0)
    return figure


@captioned(dance_captions.versions)
def versions(table: pd.DataFrame) -> Figure:
    """Draw for each view how many sections of a file find another version of their tune.

    Parameters
    ----------
    table
        Index view; files, files_low, files_high (`versions.summarise_views`).
    """
    columns = {"files": "accuracy", "files_low": "low", "files_high": "high"}
    figure = results.leakage(table.rename_axis("protocol").reset_index().rename(columns=columns))
    figure.axes[0].set_xlabel("nearest section is of the same tune (line: 95 % interval of files)")
    return figure


@captioned(dance_captions.views)
def views(table: pd.DataFrame) -> Figure:
    """Draw how well views form clusters in each metric.

    Parameters
    ----------
    table
        One row per view and metric: view, metric, silhouette (`soft_clustering.compare_metrics`).
    """
    figure, axis = style.subplots(figsize=(max(6.0, 2 + 0.6 * len(table)), 4.2))
    sns.barplot(table, x="view", y="silhouette", hue="metric", ax=axis, saturation=1)
    axis.get_legend().remove()
    for group in axis.containers:
        axis.bar_label(group, fmt="%.2f", fontsize="x-small", padding=1)
    axis.axhline(
        PAPER, color="k", ls=":", label=f"the paper, 17 descriptors of its tracks: {PAPER}"
    )
    return style.finish(figure, "lower center", ncols=2)


@captioned(dance_captions.saliency)
def saliency(
    panels: Sequence[tuple], sr: int, *, hop_length: int, bands_hz: np.ndarray | None = None
) -> Figure:
    """Draw mel spectrograms, and below each what in it brings a second near its cluster.

    Parameters
    ----------
    panels
        (title, x (M, T), Grad-CAM map (M, T) in [0, 1], span of the second as shares of the
        width), one column each.
    sr
        Sample rate in Hz.
    hop_length
        Samples from one frame to the next.
    bands_hz
        Centres of the bands (M,) where they are not librosa's up to half the rate.

    Raises
    ------
    ValueError
        As `genre.saliency`, or if there are not as many centres as bands.
    """
    figure = genre.saliency([panel[:3] for panel in panels], sr, hop_length)
    for axis, (_, x, _, span) in zip(figure.axes, [*panels, *panels], strict=False):
        start_s, end_s = np.array(span) * x.shape[1] * hop_length / sr
        axis.axvspan(start_s, end_s, fill=False, edgecolor=style.PALETTE[9], linewidth=3)
        if bands_hz is not None:
            if len(bands_hz) != len(x):
                raise ValueError(f"{len(x)} bands have {len(bands_hz)} centres; give one per band")
            ticks = [hz for hz in (256, 512, 1024, 2048, 4096) if bands_hz[0] < hz < bands_hz[-1]]
            axis.set_yticks(np.interp(ticks, bands_hz, np.arange(len(x)) + 0.5), ticks)
    return figure


@captioned(dance_captions.route)
def route(
    points: np.ndarray, sections: pd.DataFrame, *, route: pd.DataFrame, labels: np.ndarray | None
) -> Figure:
    """Draw the route of a mix through the map of sections.

    Dotted lines lead through a track, from its entry to its exit; arrows to the next. Numbers stand
    at the entries, and in the list of the tracks with the time at which they come in.

    Parameters
    ----------
    points
        (B, 2), one row per section.
    sections
        item_id and start_s of each (B rows), the table that was ordered.
    route
        As `sequencing.Route.tracks`, with start_s: where each comes in, in seconds of the mix.
    labels
        Cluster of each section (B,), -1 for none; None draws all grey.

    Raises
    ------
    ValueError
        If lengths differ, or the route holds a track that the sections do not.
    """
    figure, (axis, side) = style.subplots(1, 2, figsize=(13, 7.5), width_ratios=[2.2, 1])
    _cloud(axis, points, np.full(len(points), -1) if labels is None else labels, s=16, alpha=0.35)
    ends = _entries_and_exits(np.asarray(points), sections, route)  # tracks x 2 x 2
    start_s = route["start_s"].to_numpy(float)
    hues = plt.get_cmap("plasma")(0.8 * start_s / max(start_s.max(), 1e-9))
    look = {"color": "w", "fontsize": 8, "fontweight": "bold", "ha": "center", "va": "center"}
    for i, name in enumerate(route["track"]):
        axis.plot(*ends[i].T, ":", color=hues[i])
        if i + 1 < len(ends):
            arrow = {"arrowstyle": "-|>", "color": hues[i], "lw": 1.5, "shrinkA": 0, "shrinkB": 8}
            axis.annotate("", ends[i + 1, 0], ends[i, 1], arrowprops=arrow)
        badge = {"boxstyle": "circle,pad=0.2", "facecolor": hues[i], "edgecolor": "w"}
        axis.text(*ends[i, 0], i + 1, bbox=badge, zorder=4, **look)
        side.text(0.04, i, i + 1, bbox=badge, **look)
        entry = f"{clock(start_s[i])}  {style.printable(name)}"
        side.text(0.1, i, entry, va="center", fontsize="small", parse_math=False)
    side.set(xlim=(0, 1), ylim=(max(len(ends), 12), -1))
    side.axis("off")
    return style.finish(figure, "lower left", ncols=6)


@captioned(dance_captions.mix)
def mix(tracks: pd.DataFrame, route: pd.DataFrame) -> Figure:
    """Draw a mix along its time: one bar per track, sloped where it is faded.

    Parameters
    ----------
    tracks
        As `mixdown.Mix.tracks`; on the bars stands the tempo.
    route
        As `sequencing.Route.tracks`, by which tracks are named; right of the bars stands the cost
        of going to the next, where no track was left out between.
    """
    planned = tracks[["path"]].merge(route.assign(after=route["path"].shift(-1)), how="left")
    figure, axis = style.subplots(figsize=(13, 1.6 + 0.4 * len(tracks)))
    start, fade, end = (tracks[k].to_numpy(float) / 60 for k in ("start_s", "fade_s", "end_s"))
    full, leave = start + fade, np.append(start[1:], end[-1])
    for i, kind in enumerate(np.where(tracks["beats"] > 0, *FADES)):
        low, high, row = i + 0.4, i - 0.4, planned.iloc[i]
        times = [start[i], full[i], leave[i], end[i]]
        axis.fill(times, [low, high, high, low], color=style.PALETTE[0], alpha=0.4, linewidth=0)
        axis.fill([*times[:2], full[i]], [low, high, low], color=FADES[kind], linewidth=0)
        tempo = "?" if np.isnan(row["tempo"]) else f"{row['tempo']:.0f}"
        small = {"va": "center", "fontsize": "x-small"}
        axis.text((full[i] + end[i]) / 2, i, tempo, ha="center", **small)
        if i + 1 < len(tracks) and row["after"] == tracks["path"].iloc[i + 1]:
            axis.text(end[i], i, f"  {row['cost']:.2f} →", **small)
    style.name_rows(axis, tracks["track"])
    axis.set(xlabel="time of the mix (minutes)", xlim=(0, end[-1]))
    axis.grid(axis="x", alpha=0.4)
    marks = [Patch(color=color, label=name) for name, color in FADES.items()]
    bar = Patch(color=style.PALETTE[0], alpha=0.4, label="tempo; right: cost of the transition")
    return style.finish(figure, "upper right", marks=[*marks, bar], ncols=3)


def _mark_centre(axis: plt.Axes, hz: float, level: float, spread: float) -> None:
    """Mark the centre of a track, and how far from it central sections may lie."""
    turn = np.linspace(0, 2 * np.pi, 200)
    across = hz * 2 ** (spread * structure.OCTAVES * np.cos(turn))
    axis.plot(across, level + spread * structure.LEVEL_DB * np.sin(turn), color=ROLES["central"])
    axis.plot(hz, level, "o", color="k", markersize=13, fillstyle="none")


def _mark_changes(axis: plt.Axes, edges_s: Sequence[float]) -> None:
    """Draw where the music changes, and when that is."""
    look = {"rotation": 90, "ha": "right", "va": "top", "fontsize": "x-small"}
    for i, edge in enumerate(edges_s):
        axis.axvline(edge, color="0.1", linewidth=1, linestyle=":")
        if i in _numbered(edges_s):
            axis.text(edge, 1.0, clock(edge), transform=axis.get_xaxis_transform(), **look)


def _cloud(axis: plt.Axes, points: np.ndarray, labels: np.ndarray, **look: float) -> None:
    """Scatter a plane by cluster; what is in none lies below."""
    points, labels = np.asarray(points), np.asarray(labels)
    if points.shape != (len(labels), 2):
        raise ValueError(f"there are points {points.shape} but {len(labels)} labels; one per point")
    for label in np.unique(labels):
        members = points[labels == label]
        name = "none" if label == -1 else f"cluster {label}"
        look |= {"color": _hue(label), "marker": genre.MARKERS[max(label, 0) // 9 % 10]}
        axis.scatter(*members.T, label=f"{name}: {len(members)}", linewidths=0, **look)
    axis.set(xticks=[], yticks=[])
    style.show_bulk(axis, points)


def _entries_and_exits(points: np.ndarray, sections: pd.DataFrame, route) -> np.ndarray:
    """Return where each track of a route is entered and left on the plane (tracks, 2, 2)."""
    names, places = sections["item_id"].to_numpy(), []
    for track, ends in zip(route["track"], route[["entry", "exit"]].to_numpy(), strict=True):
        rows = np.flatnonzero(names == track)
        if len(names) != len(points) or not len(rows):
            raise ValueError(f"the map lacks {track!r}; give the sections that were ordered")
        first_last = rows[sections["start_s"].to_numpy()[rows].argsort()[[0, -1]]]
        places.append(points[np.where(ends < 0, first_last, ends)])
    return np.array(places, float)


def _hue(label: int) -> tuple | str:
    """Return the colour of a cluster; after nine they come again."""
    return ROLES["quiet"] if label == -1 else HUES[label % len(HUES)]


def _numbered(marks: Sequence) -> range:
    """Return the places of the marks that get a number."""
    return range(0, len(marks), -(-len(marks) // NUMBERED) or 1)
