"""Shapes of one model of one size."""

import numpy as np
import pytest
import torch
from helpers.models import untrained, waveform_experiment

from musiclatent import studies
from musiclatent.audio.windows import Waveform
from musiclatent.display import results
from musiclatent.evaluation.waveforms import shapes

SR = 8000


def test_a_sound_that_jumps_at_borders_alone_is_found():
    borders = shapes.frame_borders(16, 4, 0)
    assert np.flatnonzero(borders).tolist() == [0, 4, 8, 12]
    assert np.flatnonzero(shapes.frame_borders(16, 8, 2)).tolist() == [2, 6, 10, 14]
    assert np.flatnonzero(shapes.frame_borders(16, 4, 6)).tolist() == [2, 6, 10, 14]
    stairs = np.repeat([0.0, 1.0, 0.0, 1.0], 4)[None]
    slope = np.where(np.arange(16) % 2, 0.1, 0.0)[None]  # steps of 0.1 everywhere
    assert shapes.seams_db(slope, borders) == pytest.approx(0)
    both = shapes.seams_db(stairs * 1.0 + slope, borders)
    # At the three borders the steps are 1 - 0.1, -1 - 0.1 and 1 - 0.1.
    assert both == pytest.approx(10 * np.log10((0.81 + 1.21 + 0.81) / 3 / 0.01))
    assert shapes.seams_db(np.zeros((2, 16)), borders) == 0


def test_borders_that_tell_nothing_are_refused():
    for borders in (np.zeros(8, bool), np.ones(8, bool)):
        with pytest.raises(ValueError, match="the borders are all samples or none; give those"):
            shapes.seams_db(np.zeros((1, 8)), borders)


def test_all_shapes_of_the_study_have_its_size():
    rows = studies.study("waveform").shapes
    assert len(rows) == len({row.key for row in rows.values()}) == 11
    for row in rows.values():
        maps, stride, kernel = (row.options[k] for k in ("maps", "stride", "kernel_size"))
        assert abs(maps * 110_250 / stride / 13_824 - 1) < 0.01
        assert row.name.startswith(f"waveform-shape-{stride}-{kernel}")
    few = list(rows.values())[:4]  # of the embedded profiles
    assert {row.options.get("padding", "zeros") for row in few} == {"zeros", "reflect"}
    assert not set(rows) & set(studies.study("waveform").experiments)


def test_the_table_has_a_row_for_each_shape_and_its_picture_is_drawn(tmp_path, rng):
    sizes = {"maps": 8, "kernel_size": 64, "stride": 32}
    runs = {
        "first": untrained(tmp_path, waveform_experiment("WaveformAutoencoder", sizes)),
        "apart": untrained(
            tmp_path, waveform_experiment("WaveformAutoencoder", sizes | {"kernel_size": 32}, "b")
        ),
        "mirrored": untrained(
            tmp_path, waveform_experiment("PaddedAutoencoder", sizes | {"padding": "reflect"}, "c")
        ),
    }
    x = (0.1 * rng.normal(size=(4, 8000))).astype(np.float32)
    table = shapes.shape_table(runs, x, np.array(list("aabb")), Waveform(SR, 1.0))
    assert table["kernel"].tolist() == [64, 32, 64] and table["numbers"].tolist() == [2000] * 3
    assert table["padding"].tolist() == ["zeros", "zeros", "reflect"]
    assert table.loc["first", ["mse_ratio", "mse_ratio_low", "mse_ratio_high"]].eq(1).all()
    x_hat = runs["apart"].load()(torch.from_numpy(x)[:, None]).x_hat.detach().numpy()[:, 0]
    assert table.loc["apart", "mse"] == pytest.approx(np.square(x_hat - x).mean())
    assert table.notna().all(axis=None)
    figure = results.shape_study(table)
    assert [axis.get_ylabel() for axis in figure.axes] == list(results.SHAPE_COLUMNS.values())
    assert "3 shapes of about 2,000 latent dimensions" in figure.get_label()
