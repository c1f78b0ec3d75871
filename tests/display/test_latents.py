import numpy as np
import pandas as pd

from musiclatent.display import latents


def test_counts_draw_a_bar_a_label_and_split():
    items = pd.DataFrame(
        {"label": ["a", "a", "b", ""], "split": ["train", "test", "train", "train"]}
    )
    axis = latents.split_counts(items).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b", "no label"]
    assert sum(bar.get_width() for bar in axis.patches) == 4


def test_the_elbow_is_ringed_and_maps_are_coloured_by_label():
    table = pd.DataFrame({"k": [1, 2, 3], "inertia": [4.0, 1.0, 0.8]})
    axis = latents.elbow({"a": table}, {"a": 2}).axes[0]
    assert axis.lines[0].get_ydata()[1] == 0.25 and axis.lines[1].get_xdata() == [2]
    points, labels = np.random.default_rng(0).random((4, 2)), pd.Series(["x", "y", "", "x"])
    figure = latents.scatter({"one": points, "two": points}, labels, {"one": np.array([3])})
    assert [axis.get_title() for axis in figure.axes] == ["one", "two"]
    sizes = [len(dots.get_offsets()) for dots in figure.axes[0].collections]
    assert sizes == [1, 2, 1, 1]
    assert len(latents.scatter({"one": points}, pd.Series([""] * 4)).legends) == 0


def test_a_confusion_is_in_percent_of_the_true_label():
    true, predicted = list("aaaabbc"), list("aaabbbb")
    figure = latents.confusion(true, predicted, names=["b", "a", "none"], title="")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["100", "", "", "25", "75", "", "", "", ""]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["b", "a", "none"]


def test_a_heatmap_names_its_rows_and_keeps_gaps_empty():
    table = pd.DataFrame({"one": [0.5, -0.3], "two": [1.0, np.nan]}, index=["tempo", "key"])
    axis = latents.heatmap(table, "probes").axes[0]
    assert [text.get_text() for text in axis.texts] == ["0.50", "1.00", "-0.30"]
    assert axis.collections[0].get_clim() == (0, 1) and axis.get_title() == "probes"


def test_strips_have_a_row_a_title_and_show_the_lowest_bins():
    rows = {"first": np.zeros((3, 20, 5)), "second": np.ones((2, 20, 5))}
    figure = latents.spectrogram_grid(rows, 0.5)
    assert len(figure.axes) == 6
    assert [axis.get_title(loc="left") for axis in figure.axes[::3]] == ["first", "second"]
    shown = [axis.images[0].get_array().shape for axis in figure.axes if axis.images]
    assert shown == [(10, 5)] * 5
    assert not figure.axes[5].axison  # no more in this row
