"""Pictures of encoders: what they draw is what the table says."""

import numpy as np
import pandas as pd

from musiclatent.display.comparison import pictures

TABLE = pd.DataFrame(
    {
        "artist_map": [0.5, 0.75],
        "artist_map_low": [0.4, 0.7],
        "artist_map_high": [0.6, 0.8],
        "moved_key": [0.2, 3.0],
        "moved_key_low": [0.1, 2.0],
        "kept_gain 6": [1.0, 0.5],
        "kept_gain 20": [0.9, 0.2],
        "kept_gain 6_low": [1.0, 0.4],
        "kept_mp3 64": [1.0, 0.7],
        "speed": [100.0, 10.0],
    },
    index=["a", "$b_1$"],
)


def test_intervals_are_drawn_from_low_to_high_and_missing_figures_left_out():
    figure = pictures.intervals(TABLE, ["artist_map", "genre_probe"])
    [axis] = figure.axes
    bars, points = axis.lines[:2], axis.lines[2]
    assert [list(line.get_xdata()) for line in bars] == [[0.4, 0.6], [0.7, 0.8]]
    assert list(points.get_xdata()) == [0.5, 0.75]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "$b_1$"]


def test_a_matrix_writes_its_numbers_and_leaves_gaps_blank():
    values = pd.DataFrame([[1.0, np.nan], [0.25, 1]], index=["a", "b"], columns=["a", "b"])
    [axis] = pictures.matrix(values, "t").axes
    assert [text.get_text() for text in axis.texts] == ["1.00", "0.25", "1.00"]


def test_factors_take_only_figures_of_factors():
    [axis] = pictures.factors(TABLE).axes
    assert [text.get_text() for text in axis.texts] == ["0.20", "3.00"]
    assert pictures.factors(TABLE, "alike") is None


def test_damage_has_a_panel_per_kind_and_a_curve_per_encoder():
    kept = pictures.kept_table(TABLE)
    assert list(kept) == ["gain 6", "gain 20", "mp3 64"]
    figure = pictures.damage(kept, "kept")
    assert [axis.get_xlabel() for axis in figure.axes] == ["gain", "mp3"]
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [[1, 0.9], [0.5, 0.2]]


def test_costs_stand_at_their_speed():
    [axis] = pictures.costs(TABLE, "artist_map").axes
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines] == [
        (100, 0.5),
        (10, 0.75),
    ]
