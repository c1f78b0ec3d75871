import librosa
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from musiclatent.data import corpus, gtzan_tables
from musiclatent.display import genre, style

SR, HOP = 22050, 512
GENRES = list("abcdefghij")


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.fixture
def table(rng):
    columns = ["bright", "loud", "tempo", "rough"]
    values = pd.DataFrame(rng.normal(size=(120, 4)), columns=columns)
    return values.assign(loud=10 ** (2 * values["loud"])), pd.Series(GENRES * 12)


def _texts(labels) -> list[str]:
    return [label.get_text() for label in labels]


def test_distributions_have_a_density_and_a_box_a_genre(table):
    figure = genre.distributions(*table, ["bright", "loud"])
    top, other, low, right = figure.axes
    assert len(top.lines) == len(other.lines) == len(GENRES)
    styles = {(line.get_color(), line.get_linestyle()) for line in top.lines}
    assert len(styles) == len(GENRES)
    assert _texts(low.get_yticklabels()) == GENRES and low.get_xlabel() == "bright"
    assert (top.get_xscale(), other.get_xscale(), right.get_xscale()) == ("linear", "log", "log")


def test_far_points_do_not_stretch_an_axis(table):
    values, labels = (pd.concat([part] * 3, ignore_index=True) for part in table)
    values.loc[0, "bright"] = 1e6
    low, high = genre.distributions(values, labels, ["bright"]).axes[0].get_xlim()
    assert -5 < low < -1 and 1 < high < 10
    constant = genre.distributions(values.assign(bright=3.0), labels, ["bright"])
    assert constant.axes[0].get_xlim() == (2.5, 3.5)


@pytest.mark.parametrize(("count", "panels"), [(2, 1), (3, 3), (4, 6)])
def test_pairs_show_each_pair_once_and_each_genre_apart(table, count, panels):
    figure = genre.pairs(*table, list(table[0])[:count])
    shown = {(axis.get_xlabel(), axis.get_ylabel()) for axis in figure.axes}
    assert len(figure.axes) == len(shown) == panels
    assert _texts(figure.legends[0].texts) == GENRES
    marks = figure.axes[0].collections[1::2]
    medians = table[0][["bright", "loud"]].groupby(table[1].to_numpy()).median()
    assert np.allclose([mark.get_offsets()[0] for mark in marks], medians)


def test_attributes_are_refused_in_a_sentence(table):
    values, labels = table
    with pytest.raises(ValueError, match="no descriptor x; choose from"):
        genre.distributions(values, labels, ["x"])
    with pytest.raises(ValueError, match="120 rows but 3 labels"):
        genre.pairs(values, labels[:3], ["bright", "loud"])
    with pytest.raises(ValueError, match="1 descriptors to pair"):
        genre.pairs(values, labels, ["bright"])


def test_related_columns_stand_together_and_constant_ones_are_left_out(rng):
    a, b = rng.normal(size=(2, 50))
    twin, far = a + 0.01 * rng.normal(size=50), b - 0.01 * rng.normal(size=50)
    found = pd.DataFrame({"a": a, "b": b, "still": 1.0, "a2": -twin, "b2": far})
    axis = genre.correlations(found).axes[0]
    names = _texts(axis.get_yticklabels())
    assert sorted(map(sorted, (names[:2], names[2:]))) == [["a", "a2"], ["b", "b2"]]
    assert _texts(axis.get_xticklabels()) == names
    assert len(genre.correlations(found[["a", "b"]]).axes[0].get_yticks()) == 2


def test_contrasts_have_a_panel_a_type():
    rows = [("loud", "a, b", "rms", 1.5), ("loud", "a, b", "tempo", -1.0), ("dull", "c", "x", -2.0)]
    table = pd.DataFrame(rows, columns=["type", "genres", "attribute", "difference"])
    first, second = genre.contrasts(table).axes
    assert first.get_title("left") == "loud\na, b" and second.get_title("left") == "dull\nc"
    assert [bar.get_width() for bar in first.patches] == [1.5, -1.0]
    assert first.yaxis_inverted() and _texts(first.get_yticklabels()) == ["rms", "tempo"]


def test_reliability_has_a_curve_a_model_beside_the_diagonal():
    curve = pd.DataFrame({"confidence": [0.3, 0.9], "accuracy": [0.2, 0.7], "n": [5, 20]})
    top, low = genre.reliability({"svm": curve, "cnn": curve}).axes
    diagonal, svm, cnn = top.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert svm.get_ydata().tolist() == [0.2, 0.7] and svm.get_color() != cnn.get_color()
    assert low.lines[0].get_ydata().tolist() == [5, 20]


def test_a_map_lies_over_its_spectrogram(rng):
    x, cam = rng.normal(size=(128, 130)), rng.random((128, 130))
    figure = genre.saliency([("one $5$", x, cam), ("two", x, cam)], SR, HOP)
    top, low = figure.axes[0], figure.axes[2]
    assert top.get_title() == "one $5$" and len(top.images) == 1 and len(low.images) == 2
    assert low.images[1].get_clim() == (0, 1) and (low.images[1].get_array() == cam).all()
    assert top.get_xlim() == pytest.approx((0, 130 * HOP / SR))
    assert _texts(top.get_yticklabels())[-1] == "8192"
    filters, bins = (
        librosa.filters.mel(sr=SR, n_fft=32768),
        librosa.fft_frequencies(sr=SR, n_fft=32768),
    )
    for text, y in zip(_texts(top.get_yticklabels()), top.get_yticks(), strict=True):
        response = filters[:, np.abs(bins - int(text)).argmin()] / filters.max(axis=1)
        assert abs(response.argmax() + 0.5 - y) < 0.6  # the band that hears this frequency best
    with pytest.raises(ValueError, match="give one size"):
        genre.saliency([("one", x, cam[:64])], SR, HOP)


def test_the_leading_importances_are_drawn_with_their_spread():
    names = [f"mfcc{i}" for i in range(29)]
    table = pd.DataFrame({"family": names, "drop": np.linspace(0.1, -0.01, 29), "sd": 0.01})
    axis = genre.importances(table).axes[0]
    assert _texts(axis.get_yticklabels()) == names[: genre.LEADING]
    assert axis.patches[0].get_width() == pytest.approx(0.1) and len(axis.containers) == 2


def test_reasons_are_toward_the_label_and_its_rival():
    table = pd.DataFrame(
        {
            "attribute": ["rolloff_var", "rms_mean"],
            "value": [358236.7, 0.03731],
            "label": "jazz",
            "toward": [0.2, -0.1],
            "rival": "blues",
            "toward_rival": [-0.1, 0.05],
        }
    )
    figure = genre.reasons(table, "a $b$ c")
    axis = figure.axes[0]
    assert _texts(axis.get_yticklabels()) == ["rolloff_var = 358,237", "rms_mean = 0.0373"]
    assert [bar.get_width() for bar in axis.patches] == [0.2, -0.1, -0.1, 0.05]
    assert _texts(figure.legends[0].texts) == ["toward jazz", "toward blues"]


def _probabilities(count: int = 4) -> pd.DataFrame:
    values = np.random.default_rng(0).dirichlet(np.ones(3), count)
    return pd.DataFrame(values, index=3.0 * np.arange(count), columns=["a", "b", "c"])


def test_a_timeline_marks_the_best_genre_of_each_section():
    found = _probabilities()
    found.iloc[1] = np.nan  # silence
    wave, low, _ = genre.timeline(found, "x.wav", y=np.zeros(12 * SR), sr=SR).axes
    best = found.dropna().to_numpy().argmax(axis=1)
    assert low.lines[0].get_ydata().tolist() == best.tolist()
    assert low.lines[0].get_xdata().tolist() == [1.5, 7.5, 10.5]
    assert low.get_xlim() == wave.get_xlim() == (0, 12)
    assert _texts(low.get_yticklabels()) == ["a", "b", "c"] and wave.get_title("left") == "x.wav"


def test_a_timeline_needs_no_sound_and_no_second_section(tmp_path):
    figure = genre.timeline(_probabilities(1), "of one $a_$ " + 200 * "x", y=None, sr=SR)
    assert figure.axes[0].get_xlabel() == "one section"
    style.save_figure(figure, tmp_path / "a.png")
    silent = genre.timeline(_probabilities(2) * np.nan, "silent", y=np.zeros(1000), sr=SR)
    assert len(silent.axes[1].lines[0].get_xdata()) == 0


def test_an_hour_is_drawn_by_its_extremes():
    y = np.zeros(3600 * 100)
    y[123456], y[200000] = 0.9, -0.8
    axis = genre.timeline(_probabilities(), "", y=y, sr=100).axes[0]
    points = axis.collections[0].get_paths()[0].vertices
    assert len(points) < 3 * genre.POINTS
    assert points[:, 1].max() == 0.9 and points[:, 1].min() == -0.8


def test_methods_stand_beside_the_paper():
    table = pd.DataFrame(
        {"method": ["svm", "mlp"], "accuracy": [0.5, 0.6], "paper": [np.nan, 0.69]}
    )
    axis = genre.methods(table.assign(low=0.4, high=0.7), "ten genres").axes[0]
    assert (
        axis.get_title("left") == "ten genres" and axis.get_xlabel() == "accuracy (bar: interval)"
    )
    assert _texts(axis.texts) == ["0.500", "0.600", "ours", "-", "0.690", "paper"]


@pytest.mark.real
def test_the_table_of_gtzan_can_be_drawn(data_root, tmp_path):
    table = gtzan_tables.read_descriptors(data_root)
    split = table["item_id"].map(corpus.descriptor_splits(data_root, "filtered"))
    train = table[split == "train"]
    figure = genre.distributions(train, train["label"], ["perceptr_var", "tempo"])
    assert figure.axes[0].get_xscale() == "log" and figure.axes[1].get_xscale() == "linear"
    style.save_figure(figure, tmp_path / "a.png")
    numbers = train.drop(columns=["item_id", "label"])
    assert len(genre.correlations(numbers).axes[0].get_yticks()) == 57
