"""One look for all pictures: palette, style, titles and legends that any text can stand in."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from musiclatent.files import whole_file

PALETTE = sns.color_palette("colorblind")
RAMP = sns.color_palette("viridis", 9)  # for numbers


def save_figure(figure: Figure, path: Path) -> Figure:
    """Write a figure as png, whole or not at all, and give it back."""
    with whole_file(path) as part:
        figure.savefig(part, format="png")
    return figure


def use_style() -> None:
    """Set our style in matplotlib; to import a module of pictures leaves it as it is."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    plt.rcParams |= {"figure.constrained_layout.use": True, "figure.dpi": 90, "savefig.dpi": 110}
    plt.rcParams["text.parse_math"] = False  # names of files are no formulas


def subplots(*shape: int, **options) -> tuple[Figure, np.ndarray | plt.Axes]:
    """Return a figure in our style and its axes; arguments as of `plt.subplots`."""
    use_style()
    return plt.subplots(*shape, **options)


def finish(figure: Figure, place: str, *, marks: list | None = None, ncols: int = 1) -> Figure:
    """Add a legend outside the axes, by default of the first axis, and remove the frame."""
    marks = figure.axes[0].get_legend_handles_labels()[0] if marks is None else marks
    figure.legend(handles=marks, loc=f"outside {place}", ncols=ncols, fontsize="small")
    sns.despine(figure)
    return figure


def name_rows(axis: plt.Axes, names: Sequence[str], middle: float = 0.0) -> None:
    """Name rows from top to bottom; `middle` is where the first one lies."""
    labels = [printable(name) for name in names]
    axis.set_yticks(np.arange(len(labels)) + middle, labels, parse_math=False)
    axis.set_ylim(len(labels) - 0.5 + middle, middle - 0.5)
    axis.tick_params(axis="y", length=0)


def set_title(axis: plt.Axes, title: str, *, length: int = 100, size: str = "medium") -> None:
    """Write a title, such as a file name, whatever it holds."""
    axis.set_title(printable(title, length), loc="left", fontsize=size, parse_math=False)


def printable(text: str, length: int = 45) -> str:
    """Return any text, such as a file name, as one that can be drawn."""
    text = "".join(c if c.isprintable() else " " for c in str(text))
    return text if len(text) <= length else f"{text[: length - 1]}…"
