"""One look for all pictures: the palette, and the style that who draws asks for."""

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


def subplots(*shape: int, **options) -> tuple[Figure, np.ndarray | plt.Axes]:
    """Return a figure in our style and its axes; arguments as of `plt.subplots`."""
    use_style()
    return plt.subplots(*shape, **options)
