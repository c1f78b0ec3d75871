import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from musiclatent.display import results, sounds, style

SR = 8000


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def _tone(hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(SR) / SR)).astype(np.float32)


def test_reconstructions_curves_and_sizes_draw_what_they_are_given():
    figure = sounds.reconstructions(_tone(), {"a": _tone(), "b": _tone(220.0)}, SR)
    assert [axis.get_title() for axis in figure.axes[:3]] == ["original", "a", "b"]
    table = pd.DataFrame({"epoch": [0, 1], "train_mse": [2.0, 1.0], "validation_mse": [2.0, 1.5]})
    axis = results.curves({"a": table}, {"b": 1.2}).axes[0]
    assert [line.get_ydata()[-1] for line in axis.lines] == [1.5, 1.0, 1.2]
    sizes = pd.DataFrame({"family": ["a", "a"], "latent_numbers": [10, 20]})
    sizes = sizes.assign(test_mse=[2.0, 1.0], test_sisdr=[1.0, 2.0], test_mrstft=[3.0, 2.0])
    assert len(results.size_study(sizes, [(20, 1.5)]).axes) == 3


def test_the_leak_is_drawn_from_top_to_bottom():
    table = pd.DataFrame({"protocol": ["random", "filtered"], "accuracy": [0.764, 0.479]})
    axis = results.leakage(table.assign(low=0.4, high=0.8)).axes[0]
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
    figure = results.paper_table(table.assign(low=table["ours"] - 0.1, high=0.7))
    assert [axis.get_title("left") for axis in figure.axes] == ["MSE", "triplet"]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["0.300", "-", "ours", "0.485", "0.455", "paper"]
    assert [len(axis.get_yticks()) for axis in figure.axes] == [2, 1]


def test_ticks_of_logarithms_are_plain_numbers(tmp_path):
    rows = {"family": ["waveform"] * 3, "latent_numbers": [6_912, 13_824, 27_648]}
    table = pd.DataFrame(rows | {"test_mse": [0.002, 0.001, 0.0006]})
    figure = results.size_study(table, [(13_824, 0.0033)])
    style.save_figure(figure, tmp_path / "size.png")
    axis = figure.axes[0].yaxis
    texts = [tick.get_text() for tick in (*axis.get_ticklabels(), *axis.get_minorticklabels())]
    assert "0.001" in texts and not any("$" in text for text in texts)
