import importlib
import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from musiclatent.display import latents, style
from musiclatent.display.words import captions, dance_captions, genre_captions


@pytest.mark.parametrize("name", ["edm", "genre", "latents", "results", "sounds"])
def test_every_picture_has_a_caption(name):
    module = importlib.import_module(f"musiclatent.display.{name}")
    drawn = [
        function
        for function in vars(module).values()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and inspect.signature(function).return_annotation is Figure
    ]
    assert drawn and all(hasattr(function, "__wrapped__") for function in drawn)


def test_the_caption_is_the_sentence_of_the_arguments_and_stands_in_the_png(tmp_path):
    draw = captions.captioned(lambda n, *, name: f"{name} has {n}\n lines é.")(
        lambda n, *, name: Figure()
    )
    figure = draw(3, name="It")
    assert figure.get_label() == "It has 3 lines é."
    style.save_figure(figure, tmp_path / "a.png")
    read = plt.imread(tmp_path / "a.png", format="png")
    assert read.size and style.read_caption(tmp_path / "a.png") == "It has 3 lines é."


def test_a_picture_is_shown_with_its_caption_as_text(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    style.present(style.caption(Figure(), "<b>It</b> is 5\u00a0%."), tmp_path / "a.png")
    picture, said = shown
    assert picture.data == (tmp_path / "a.png").read_bytes()
    assert said.data == "<p><em>&lt;b&gt;It&lt;/b&gt; is 5\u00a0%.</em></p>"
    style.present(Figure(), tmp_path / "b.png")
    assert len(shown) == 3  # without a caption there is none


def test_a_confusion_names_what_is_mistaken_most():
    true, said = list("aabbb"), list("abbba")
    text = captions.confusion(true, said, ["a", "b"], "on x")
    assert text == "on x: 60 % of 5 are on the diagonal; most often a is taken for b (1)."
    assert captions.confusion(true, true, ["a", "b"], "t").endswith("none is mistaken.")


def test_splits_are_counted():
    items = pd.DataFrame({"label": list("aab"), "split": ["train", "test", "train"]})
    assert captions.split_counts(items) == (
        "3 recordings of 2 labels: 2 train and 1 test; the rarest label, b, has 1, the commonest, "
        "a, 2."
    )
    assert captions.split_counts(items[1:]).endswith("each label has 1.")


def test_a_reconstruction_is_compared_with_silence():
    x = np.array([1.0, -1.0, 1.0, -1.0])
    text = captions.reconstructions(x, {"half": 0.5 * x, "none": 0 * x}, 4)
    assert "half 6.02 dB and none 0 dB" in text


def test_a_level_of_half_scale_is_6_db_lower():
    tone = np.sin(2 * np.pi * 100 * np.arange(800) / 800)
    text = captions.gallery([("loud", tone), ("soft", 0.5 * tone)], 800)
    assert "from -9.03 dB (soft) to -3.01 dB (loud)" in text
    assert text.endswith("the centre of the spectrum 100 Hz (loud).")


def test_a_file_that_changes_its_mind():
    shares = pd.DataFrame({"jazz": [0.9, 0.9, 0.1], "rock": [0.1, 0.1, 0.9]}, [0.0, 3.0, 6.0])
    text = genre_captions.timeline(shares, "song", y=None, sr=1)
    assert text == "song: jazz in 2 of 3 sections; the answer changes 1 time."
    assert genre_captions.timeline(shares * np.nan, "song", y=None, sr=1) == "song: silent."


def test_descriptors_that_say_the_same():
    table = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [2.0, 4, 6, 8], "c": [1.0, -1, -1, 1]})
    text = genre_captions.correlations(table)
    assert text.startswith("1 of 3 pairs of 3 descriptors correlate by more than 0.9, most a and b")


def test_crossed_clusters_and_a_mix():
    table = pd.DataFrame([[3, 1], [0, 4]])
    text = dance_captions.contingency(table, ("descriptors", "network"))
    assert text.startswith("8 sections by descriptors (rows)") and "88 % stand in" in text
    tracks = pd.DataFrame({"beats": [0, 32, 0], "end_s": [60.0, 120.0, 150.0]})
    text = dance_captions.mix(tracks, tracks)
    assert text.startswith("3 tracks in 2.5 minutes; 1 of 2 transitions run beat on beat")


@pytest.fixture
def squeezed():
    points = np.random.default_rng(0).normal(size=(200, 2))
    points[:3] = [[80, 0], [0, -90], [50, 60]]
    return points


def test_far_points_do_not_squeeze_the_others_and_are_marked(squeezed):
    assert style.far(squeezed).sum() == 3 and style.far(squeezed)[:3].all()
    figure = latents.scatter({"plane": squeezed}, pd.Series(["a", "b"] * 100))
    (low, high), heads = figure.axes[0].get_xlim(), figure.axes[0].collections[-4:]
    assert -12 < low < -1 and 1 < high < 12
    assert [len(c.get_offsets()) for c in heads] == [0, 2, 1, 1]  # left, right, below, above
    assert "arrow heads at the edge stand for 3 points beyond it" in figure.get_label()
    plt.close(figure)


def test_points_without_outliers_are_all_shown(squeezed):
    assert not style.far(squeezed[3:]).any() and not style.far(squeezed[:2]).any()
    figure = latents.scatter({"plane": squeezed[3:]}, pd.Series(["a"] * 197))
    assert "beyond" not in figure.get_label()
    assert "the nearest one has the same label for 100 %" in figure.get_label()
    plt.close(figure)


def test_a_wide_figure_becomes_as_wide_as_a_page():
    for size, shown in (((20, 6), (10, 4)), ((8, 6), (8, 6))):
        figure, _ = style.subplots(figsize=size)
        assert tuple(figure.get_size_inches()) == shown
        plt.close(figure)
