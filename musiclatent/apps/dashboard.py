"""The dashboard of dance music: sections by descriptors, seconds by a network, both compared."""

import html

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from musiclatent.analysis import importance
from musiclatent.apps import dashboard_data
from musiclatent.apps.dashboard_data import DashboardData
from musiclatent.display import edm, map_widget, style
from musiclatent.display.words.numbers import listed
from musiclatent.edm import section_views


def counted(table: pd.DataFrame) -> Figure:
    """Draw how many sections are in each cluster; `table` is `DashboardData.counts`."""
    figure = Figure(figsize=(dashboard_data.WIDTH, 0.5 + 0.24 * len(table)), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, side in zip(axes, table, strict=True):
        axis.bar_label(axis.barh(table.index, table[side], color=style.PALETTE[0]), padding=2)
        axis.set(xticks=[], title=f"sections by {side}", xlim=(0, 1.2 * table.to_numpy().max()))
        axis.spines[["top", "right", "bottom"]].set_visible(False)
    axes[0].invert_yaxis()
    largest = listed(f"{table[side].idxmax()} ({table[side].max()}) by {side}" for side in table)
    return dashboard_data.small(style.caption(figure, f"The largest clusters: {largest}."))


def reasons(data: DashboardData, i: int) -> Figure:
    """Draw what pushes a section into its cluster; a quiet one, toward the nearest cluster.

    Parameters
    ----------
    data
        What is shown.
    i
        Row of its sections.

    Raises
    ------
    ValueError
        As `importance.strongest_reasons`.
    """
    row, values = data.sections.iloc[i], data.z["reasons"][i]
    names = dashboard_data.names_of(np.arange(values.shape[1]))
    quiet = row["cluster"] == dashboard_data.NONE
    label = names[values.sum(axis=0).argmax()] if quiet else row["cluster"]
    columns = list(section_views.SEVENTEEN)
    table = importance.strongest_reasons(
        values,
        columns,
        x=row[columns].to_numpy(float),
        classes=names,
        label=label,
        strongest=dashboard_data.STRONGEST,
    )[::-1]
    size = (dashboard_data.WIDTH, 2.6)
    figure = Figure(figsize=size, layout="none")  # half the time of a fitted layout
    axis = figure.add_axes((0.41, 0.17, 0.56, 0.74))
    bars = [f"{a.removesuffix('_mean')} = {v:.4g}" for a, v in table[["attribute", "value"]].values]
    hues = [style.PALETTE[1 if toward < 0 else 0] for toward in table["toward"]]
    axis.bar_label(axis.barh(bars, table["toward"], color=hues), fmt="%+.2f", padding=2)
    axis.axvline(0, color="k", linewidth=0.8)
    axis.margins(x=0.15)
    note = " (quiet, in none)" if quiet else ""
    axis.set_xlabel(f"added to the probability of {label}{note}")
    figure.text(0.02, 0.94, _where(row), parse_math=False, fontsize=dashboard_data.LETTERS)
    axis.spines[["top", "right", "left"]].set_visible(False)
    first = table.iloc[-1]
    said = f"{_where(row)}: most is added to {label} by {first.attribute} ({first.toward:+.2f})."
    return dashboard_data.small(style.caption(figure, said))


def _where(row: pd.Series) -> str:
    """Return what a section is called, and where it stands in its track."""
    minutes, seconds = divmod(int(row["start_s"]), 60)
    return f"{style.printable(row['item_id'], 60)}, {minutes}:{seconds:02}"


class Dashboard(ipywidgets.Tab):
    """Three views of the sections of dance tracks; every point and every row plays.

    Parameters
    ----------
    data
        What is shown.

    Attributes
    ----------
    plane, table, why
        The sections: map, table, and what pushes the chosen one into its cluster (png).
    network, seconds
        The network's map of seconds, and the seconds of one section.
    compared
        Both clusters of every section.
    """

    def __init__(self, data: DashboardData) -> None:
        self.data = data
        shares = [name for name in data.sections if name.startswith("belongs to ")]
        colours = ["cluster", *shares, "network", "item_id", "tempo", *section_views.SEVENTEEN]
        self.plane = self._map("Sections by 17 descriptors", data.sections, "attributes", colours)
        self.table = self._rows("Sections", data.sections, ["cluster", *shares, "tempo"])
        self.why = _image(dashboard_data.png(reasons(data, 0)))
        title = f"Seconds by {data.name}"
        asked = {"limit_mb": 0}  # a click asks: together seconds are as long as all the music
        self.network = self._map(title, data.seconds, "numbers", ["cluster", "item_id"], **asked)
        self.seconds = self._rows("Seconds of the first section", self._of(0), ["cluster"])
        both = data.sections.rename(columns={"cluster": "attributes"})
        self.compared = self._rows("Both views", both, ["attributes", "network"])
        super().__init__([self._first(), self._second(), self._third()])
        for i, name in enumerate(("Descriptors", "Network", "Comparison")):
            self.set_title(i, name)
        for player in (self.plane, self.table, self.compared):
            player.on_click(self.choose)
        self.table.on_click(lambda i: self._mark([i]))
        self.plane.on_click(lambda _: self._mark([]))
        self.network.on_click(lambda i: self.list_seconds(int(data.seconds["section"].iloc[i])))

    def choose(self, i: int) -> None:
        """Show what pushes a section into its cluster, and list its seconds."""
        self.why.value = dashboard_data.png(reasons(self.data, i))
        self.list_seconds(i)

    def list_seconds(self, i: int) -> None:
        """List the seconds of a section, in the second view; a click asks for their sound."""
        self.seconds.title = f"Seconds of {_where(self.data.sections.iloc[i])}"
        self.seconds.show(self._of(i))

    def _mark(self, rows: list[int]) -> None:
        """Mark the row of the table on the map, unless several points are selected there."""
        if len(self.plane.selected) < 2:
            self.plane.selected = rows

    def _of(self, i: int) -> pd.DataFrame:
        """Take the seconds of a section."""
        return self.data.seconds[self.data.seconds["section"] == i]

    def _map(
        self, title: str, items: pd.DataFrame, z: str, columns: list[str], **options: float
    ) -> map_widget.Map:
        """Make a map of sections or seconds."""
        return map_widget.Map(
            items[["x", "y"]].to_numpy(),
            items,
            self.data.sr,
            title,
            z=self.data.z[z],
            columns=columns,
            folder=self.data.folder,
            height=560,
            playlists=False,  # a visitor gets a table instead, in the browser
            **options,
        )

    def _rows(self, title: str, items: pd.DataFrame, columns: list[str]) -> map_widget.Rows:
        """Make a table; a click asks for its sound, which the maps hold already."""
        data = self.data
        options = {"folder": data.folder, "limit_mb": 0, "height": 520}
        return map_widget.Rows(items, data.sr, title, columns, **options)

    def _first(self) -> ipywidgets.VBox:
        """Return the view of sections by their descriptors."""
        text = "Click a point or a row: it plays, and bars say what pushes it into its cluster."
        pictures = _beside(_image(dashboard_data.png(counted(self.data.counts()))), self.why)
        return ipywidgets.VBox([_text(text), self.plane, pictures, self.table])

    def _second(self) -> ipywidgets.VBox:
        """Return the view of seconds by a network."""
        text = "Click a point: that second plays, and the seconds of its section are listed."
        means = _beside(*map(_image, self.data.pictures.values()))
        return ipywidgets.VBox([_text(text), self.network, self.seconds, means])

    def _third(self) -> ipywidgets.VBox:
        """Return both views of the same sections."""
        scores = self.data.agreement()
        text = ", ".join(f"{name.replace('_', ' ')} {x:.3f}" for name, x in scores.items())
        figure = edm.contingency(self.data.crossed(), ("17 descriptors", self.data.name))
        picture = _beside(_image(dashboard_data.png(figure), "420px"))
        return ipywidgets.VBox(
            [_text(f"How far both views agree: {text}."), picture, self.compared]
        )


def _text(text: str) -> ipywidgets.HTML:
    """Show a sentence, whatever it holds."""
    return ipywidgets.HTML(f"<p>{html.escape(text)}</p>")


def _image(picture: bytes, width: str = "560px") -> ipywidgets.Image:
    """Show a png, no wider than there is room."""
    layout = {"max_width": "100%", "width": width, "height": "auto", "margin": "0"}
    return ipywidgets.Image(value=picture, format="png", layout=layout)


def _beside(*children: ipywidgets.Widget) -> ipywidgets.Box:
    """Put widgets side by side where there is room, else below each other."""
    layout = {"flex_flow": "row wrap", "align_items": "flex-start", "margin": "12px 0"}
    return ipywidgets.Box(children, layout=layout)
