"""One look for all pictures: palette, size, captions, titles that any text can stand in.

The caption of a figure, a sentence that says what is seen in it, is its label; it is written into
the png too, so that it is nowhere without its picture.
"""

import html
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterMathtext, NullFormatter, StrMethodFormatter
from PIL import Image

from musiclatent.files import whole_file

PALETTE = sns.color_palette("colorblind")
RAMP = sns.color_palette("viridis", 9)  # for numbers
WIDEST = 10.0  # inches: all pictures have one scale, and fit on a page
HARD = "\u00a0"  # a space at which no line ends
CAPTION = "Description"  # of the png's texts
BULK = (10.0, 90.0)  # percentiles between which the bulk of points lies
STRETCHED = 5.0  # widths of the bulk from which on an axis shows the bulk alone


def save_figure(figure: Figure, path: Path) -> Figure:
    """Write a figure as png with its caption, whole or not at all, and give it back."""
    _plain_logarithms(figure)
    with whole_file(path) as part:
        figure.savefig(part, format="png", metadata={CAPTION: figure.get_label()})
    return figure


def _plain_logarithms(figure: Figure) -> None:
    """Write the ticks of logarithmic axes as plain numbers: `use_style` reads no formulas."""
    for axis in (one for axes in figure.axes for one in (axes.xaxis, axes.yaxis)):
        plain = StrMethodFormatter("{x:g}")
        if isinstance(axis.get_major_formatter(), LogFormatterMathtext):
            axis.set_major_formatter(plain)
        if isinstance(axis.get_minor_formatter(), LogFormatterMathtext):
            few = len(axis.get_majorticklocs()) < 4  # less than a decade: name those between too
            axis.set_minor_formatter(plain if few else NullFormatter())


def read_caption(path: Path) -> str:
    """Return the caption of a png that `save_figure` wrote, or nothing."""
    with Image.open(path) as picture:
        return picture.info.get(CAPTION, "")


def caption(figure: Figure, sentence: str) -> Figure:
    """Give a figure its caption: a sentence that says what is seen in it; give the figure back."""
    text = "".join(c if c.isprintable() or c == HARD else " " for c in sentence)
    figure.set_label(" ".join(filter(None, text.split(" "))))
    return figure


def present(figure: Figure, path: Path) -> None:
    """Write a figure as png, show that picture with its caption, and close the figure."""
    save_figure(figure, path)
    plt.close(figure)
    show(path)


def show(path: Path) -> None:
    """Show a png in a notebook, with its caption below."""
    from IPython.display import HTML, display
    from IPython.display import Image as Shown

    display(Shown(path))
    if said := read_caption(path):
        display(HTML(f"<p><em>{html.escape(said)}</em></p>"))


def use_style() -> None:
    """Set our style in matplotlib; to import a module of pictures leaves it as it is."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    plt.rcParams |= {"figure.constrained_layout.use": True, "figure.dpi": 90, "savefig.dpi": 110}
    plt.rcParams["text.parse_math"] = False  # names of files are no formulas


def subplots(*shape: int, **options) -> tuple[Figure, np.ndarray | plt.Axes]:
    """Return a figure in our style and its axes; arguments as of `plt.subplots`.

    A figure that would be wider than `WIDEST` is made that wide, and lower by half as much.
    """
    use_style()
    if "figsize" in options and (too_wide := options["figsize"][0] / WIDEST) > 1:
        options["figsize"] = (WIDEST, options["figsize"][1] / (1 + (too_wide - 1) / 2))
    return plt.subplots(*shape, **options)


def far(points: np.ndarray) -> np.ndarray:
    """Return which points (B, 2) a picture leaves beyond its edge, so that the others spread.

    None where the bulk of them fills a fifth of each side of the picture; else it fills a third.
    """
    if len(points) < 3:
        return np.zeros(len(points), bool)
    low, high = _limits(points)
    return ((points < low) | (points > high)).any(axis=1)


def _limits(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower left and the upper right corner of a picture of points."""
    points = np.asarray(points, float)
    low, high = np.percentile(points, BULK, axis=0)
    width, whole = np.maximum(high - low, 1e-12), np.ptp(points, axis=0)
    wide = whole > STRETCHED * width
    low = np.where(wide, low - width, points.min(axis=0) - 0.04 * whole)
    return low, np.where(wide, high + width, points.max(axis=0) + 0.04 * whole)


def show_bulk(axis: plt.Axes, points: np.ndarray) -> None:
    """Limit an axis whose points (B, 2) a few far ones squeeze; mark these at the edge."""
    points = np.asarray(points, float)
    if not len(points) or not (beyond := points[far(points)]).size:
        return
    low, high = _limits(points)
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    for side, sign, marker in ((0, -1, "<"), (0, 1, ">"), (1, -1, "v"), (1, 1, "^")):
        edge = (low, high)[sign > 0][side]
        marks = beyond[sign * (beyond[:, side] - edge) > 0].clip(low, high)
        axis.scatter(*marks.T, s=45, color="k", marker=marker, clip_on=False, zorder=5)


def finish(figure: Figure, place: str, *, marks: list | None = None, ncols: int = 1) -> Figure:
    """Add a legend outside the axes, by default of the first axis, and remove the frame."""
    marks = figure.axes[0].get_legend_handles_labels()[0] if marks is None else marks
    figure.legend(handles=marks, loc=f"outside {place}", ncols=ncols, fontsize="small")
    sns.despine(figure)
    return figure


def signed(axis: plt.Axes, table: pd.DataFrame, label: str, **options: object) -> None:
    """Draw numbers above and below 0 as colours; `label` says what they are."""
    most = max(float(table.abs().to_numpy().max()), 1e-9)
    options |= {"cmap": "vlag", "vmin": -most, "vmax": most, "cbar_kws": {"label": label}}
    sns.heatmap(table, ax=axis, **options)


def name_rows(axis: plt.Axes, names: Sequence[str], middle: float = 0.0) -> None:
    """Name rows from top to bottom; `middle` is where the first one lies."""
    labels = [printable(name) for name in names]
    axis.set_yticks(np.arange(len(labels)) + middle, labels, parse_math=False)
    axis.set_ylim(len(labels) - 0.5 + middle, middle - 0.5)
    axis.tick_params(axis="y", length=0)


def set_title(axis: plt.Axes, title: str, *, length: int = 100, size: str = "medium") -> None:
    """Write a title, such as a file name, whatever it holds."""
    axis.set_title(printable(title, length), loc="left", fontsize=size, parse_math=False)


def wrapped(text: str, width: int = 18) -> str:
    """Return a title, such as a file name, in two lines of a narrow picture at most."""
    return "\n".join(textwrap.wrap(printable(text, 2 * width), width)[:2])


def printable(text: str, length: int = 45) -> str:
    """Return any text, such as a file name, as one that can be drawn."""
    text = "".join(c if c.isprintable() else " " for c in str(text))
    return text if len(text) <= length else f"{text[: length - 1]}…"
