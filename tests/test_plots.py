import base64
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from musiclatent import plots

SR = 8000


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def _tone(hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(SR) / SR)).astype(np.float32)


def test_a_player_holds_its_sound_and_escapes_its_title():
    text = plots.player(_tone(), SR, "<script>alert(1)</script>")
    assert "<script>" not in text and "&lt;script&gt;" in text
    sound = base64.b64decode(re.search(r"base64,([^\"]+)\"", text)[1])
    assert len(sound) > 1000 and (sound[:1] == b"\xff" or sound[:3] == b"ID3")


@pytest.mark.parametrize("count", [1, 5, 7])
def test_a_gallery_has_two_axes_a_sound(count):
    figure = plots.gallery([(f"a title ${i}_", _tone()) for i in range(count)], SR)
    assert len(figure.axes) == 2 * count


def test_short_and_silent_sounds_can_be_drawn(tmp_path):
    figure = plots.gallery([("short", np.zeros(100, np.float32)), ("silent", np.zeros(SR))], SR)
    plots.save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_the_spectrogram_shows_the_tone_where_it_is():
    figure = plots.gallery([("tone", _tone(1000.0))], SR)
    image = figure.axes[1].images[0]
    peak_khz = image.get_array().mean(axis=1).argmax() / image.get_array().shape[0] * SR / 2000
    assert peak_khz == pytest.approx(1.0, abs=0.02)
    assert image.get_array().max() == pytest.approx(-6.0, abs=1.5)  # half of full scale


def test_reconstructions_curves_and_sizes_draw_what_they_are_given():
    figure = plots.reconstructions(_tone(), {"a": _tone(), "b": _tone(220.0)}, SR)
    assert [axis.get_title() for axis in figure.axes[:3]] == ["original", "a", "b"]
    table = pd.DataFrame({"epoch": [0, 1], "train_mse": [2.0, 1.0], "validation_mse": [2.0, 1.5]})
    axis = plots.curves({"a": table}, {"b": 1.2}).axes[0]
    assert [line.get_ydata()[-1] for line in axis.lines] == [1.5, 1.0, 1.2]
    sizes = pd.DataFrame({"family": ["a", "a"], "latent_numbers": [10, 20]})
    sizes = sizes.assign(test_mse=[2.0, 1.0], test_sisdr=[1.0, 2.0], test_mrstft=[3.0, 2.0])
    assert len(plots.size_study(sizes, [(20, 1.5)]).axes) == 3


def test_counts_draw_a_bar_a_label_and_split():
    items = pd.DataFrame(
        {"label": ["a", "a", "b", ""], "split": ["train", "test", "train", "train"]}
    )
    axis = plots.counts(items).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b", "no label"]
    assert sum(bar.get_width() for bar in axis.patches) == 4


def test_the_elbow_is_ringed_and_maps_are_coloured_by_label():
    table = pd.DataFrame({"k": [1, 2, 3], "inertia": [4.0, 1.0, 0.8]})
    axis = plots.elbow({"a": table}, {"a": 2}).axes[0]
    assert axis.lines[0].get_ydata()[1] == 0.25 and axis.lines[1].get_xdata() == [2]
    points, labels = np.random.default_rng(0).random((4, 2)), pd.Series(["x", "y", "", "x"])
    figure = plots.scatter({"one": points, "two": points}, labels, {"one": np.array([3])})
    assert [axis.get_title() for axis in figure.axes] == ["one", "two"]
    sizes = [len(dots.get_offsets()) for dots in figure.axes[0].collections]
    assert sizes == [1, 2, 1, 1]
    assert len(plots.scatter({"one": points}, pd.Series([""] * 4)).legends) == 0


def test_a_confusion_is_in_percent_of_the_true_label():
    true, predicted = list("aaaabbc"), list("aaabbbb")
    figure = plots.confusion(true, predicted, ["b", "a", "none"])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["100", "", "", "25", "75", "", "", "", ""]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["b", "a", "none"]


def test_a_heatmap_names_its_rows_and_keeps_gaps_empty():
    table = pd.DataFrame({"one": [0.5, -0.3], "two": [1.0, np.nan]}, index=["tempo", "key"])
    axis = plots.heatmap(table, "probes").axes[0]
    assert [text.get_text() for text in axis.texts] == ["0.50", "1.00", "-0.30"]
    assert axis.collections[0].get_clim() == (0, 1) and axis.get_title() == "probes"


def test_the_leak_is_drawn_from_top_to_bottom():
    table = pd.DataFrame({"protocol": ["random", "filtered"], "accuracy": [0.764, 0.479]})
    axis = plots.leak(table.assign(low=0.4, high=0.8)).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["random", "filtered"]
    assert axis.yaxis_inverted() and axis.lines[0].get_xdata().tolist() == [0.764, 0.479]
    assert [text.get_text() for text in axis.texts][:2] == ["0.764", "0.479"]


def test_the_paper_table_has_a_panel_a_family_and_both_numbers():
    table = pd.DataFrame(
        {
            "family": ["MSE", "MSE", "triplet"],
            "name": ["1", "2", "1"],
            "paper": [0.485, 0.455, 0.885],
            "ours": [0.3, np.nan, 0.6],
        }
    )
    figure = plots.paper_table(table.assign(low=table["ours"] - 0.1, high=0.7))
    assert [axis.get_title("left") for axis in figure.axes] == ["MSE", "triplet"]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["0.300", "-", "ours", "0.485", "0.455", "paper"]
    assert [len(axis.get_yticks()) for axis in figure.axes] == [2, 1]


def test_strips_have_a_row_a_title_and_show_the_lowest_bins():
    rows = {"first": np.zeros((3, 20, 5)), "second": np.ones((2, 20, 5))}
    figure = plots.strips(rows, 0.5)
    assert len(figure.axes) == 6
    assert [axis.get_title(loc="left") for axis in figure.axes[::3]] == ["first", "second"]
    shown = [axis.images[0].get_array().shape for axis in figure.axes if axis.images]
    assert shown == [(10, 5)] * 5
    assert not figure.axes[5].axison  # no more in this row
