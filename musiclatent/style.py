"""Our style of figures, set by who draws one and not by an import."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure


def use_style() -> None:
    """Set our style in matplotlib; to import a module of pictures leaves it as it is."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    plt.rcParams |= {"figure.constrained_layout.use": True, "figure.dpi": 90, "savefig.dpi": 110}


def subplots(*shape: int, **options) -> tuple[Figure, np.ndarray | plt.Axes]:
    """Return a figure in our style and its axes; arguments as of `plt.subplots`."""
    use_style()
    return plt.subplots(*shape, **options)
