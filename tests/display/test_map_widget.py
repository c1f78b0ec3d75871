"""The widgets without a browser: what travels, what comes back, what is refused."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from helpers.browser import pitch_hz

from musiclatent import audio
from musiclatent.display import map_page, map_widget

SR = 22050
N = 6


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    rows = []
    for k in range(1, N + 1):
        y = 0.5 * np.sin(2 * np.pi * 110 * k * np.arange(SR) / SR)
        path = audio.write(folder / f"{k}.wav", y, SR)
        rows.append({"item_id": f"tone {k}", "path": str(path), "start_s": 0.0, "end_s": 1.0})
    return pd.DataFrame(rows).assign(label=[*"aabbb", ""], hz=110.5 * np.arange(1, N + 1))


@pytest.fixture
def points():
    return np.stack([np.arange(N), np.zeros(N)], 1)


def _sounds(widget) -> list[bytes]:
    ends = np.frombuffer(widget.offsets, "<u4")
    return [widget.sound[a:b] for a, b in pairwise(ends)]


def _said(widget, message: dict, buffers: list = ()) -> list:
    """What the widget answers to a message of the browser."""
    answers = []
    widget.send = lambda content, buffers=None: answers.append((content, buffers))
    widget._handle_custom_msg(message, buffers)
    return answers


def test_all_sound_travels_with_the_map_in_the_order_of_the_rows(items, points):
    drawn = map_widget.Map(points, items, SR, "tones", z=points, columns=("label", "hz"))
    np.testing.assert_allclose(
        [pitch_hz(sound) for sound in _sounds(drawn)], 110 * np.arange(1, N + 1), atol=2
    )
    np.testing.assert_array_equal(drawn.place(), points)
    near = drawn.nearest()
    assert near.shape == (N, N - 1)
    assert map_widget.Map(points, items, SR, "tones").nearest() is None
    assert near[0].tolist() == [1, 2, 3, 4, 5]
    assert drawn.table["columns"][0] == {
        "name": "label",
        "labels": ["a", "b"],
        "codes": [0, 0, 1, 1, 1, -1],
    }
    assert drawn.table["columns"][1]["values"][:2] == [110.5, 221.0]
    assert str(items["path"][0]) not in str(drawn.get_state(["table", "selected", "kind"]))


def test_above_the_limit_each_click_asks_for_its_own_sound(items, points):
    drawn = map_widget.Map(points, items, SR, "tones", limit_mb=0.01)
    assert drawn.sound == drawn.offsets == b""
    [(answer, buffers)] = _said(drawn, {"ask": 3, "number": 7})
    assert answer == {"number": 7, "index": 3}
    assert pitch_hz(buffers[0]) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("index", [-1, N, 99, "../secret.wav", None, 1.0, [1]])
def test_an_index_that_is_no_row_is_refused(items, points, index):
    drawn = map_widget.Map(points, items, SR, "tones", limit_mb=0.01)
    drawn.folder = None
    [(answer, buffers)] = _said(drawn, {"ask": index, "number": 1})
    assert answer["refused"].endswith("rows go from 0 to 5")
    assert buffers is None
    for message in ({"playlist": [index]}, {"name": "x", "rows": [index]}):
        assert "rows go from 0 to 5" in _said(drawn, message)[0][0]["said"]


def test_a_selection_becomes_a_table_a_playlist_and_a_label(items, points, tmp_path):
    drawn = map_widget.Map(points, items, SR, "tones", folder=tmp_path)
    drawn.selected = [1, 4]
    assert drawn.selection()["item_id"].tolist() == ["tone 2", "tone 5"]
    [(answer, _)] = _said(drawn, {"playlist": [1, 4]})
    assert answer["said"] == "Written: selection.xspf"
    text = (tmp_path / "selection.xspf").read_text()
    assert text.count("<track>") == 2
    assert "5.wav" in text
    assert _said(drawn, {"name": "mine", "rows": [1, 4]}) == []
    assert drawn.items["named"].tolist() == ["", "mine", "", "", "mine", ""]
    assert drawn.table["columns"][-1] == {
        "name": "named",
        "labels": ["mine"],
        "codes": [-1, 0, -1, -1, 0, -1],
    }
    assert _said(drawn, {"playlist": []})[0][0]["said"].startswith("no segment of a file")


def test_a_click_reaches_python_each_time(items, points):
    drawn, heard = map_widget.Map(points, items, SR, "tones"), []
    drawn.on_click(heard.append)
    for count in (1, 2, 3):
        drawn.clicked = {"index": 4, "count": count}
    assert heard == [4, 4, 4]


def test_a_dropped_file_reaches_python_as_name_and_bytes(items, points):
    drawn, got = map_widget.Map(points, items, SR, "tones"), []
    assert _said(drawn, {"file": "a.wav"}, [memoryview(b"123")]) == []
    assert not drawn.drops
    drawn.on_drop(got.append)
    _said(drawn, {"file": "../a.wav"}, [memoryview(b"123")])
    assert drawn.drops
    assert got == [("../a.wav", b"123")]
    assert _said(drawn, {"file": "a.wav"})  # without its bytes: a sentence


def test_rows_that_are_added_bring_their_sound_and_neighbours(items, points, tmp_path):
    drawn = map_widget.Map(points, items, SR, "tones", z=points, folder=tmp_path)
    y = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(SR) / SR)
    row = pd.DataFrame([{"item_id": "<b>new", "path": "", "start_s": 0.0, "end_s": 1.0}])
    assert drawn.add([[9, 9]], row, [y], near=[[5, 4, 3, 2, 1]]).tolist() == [N]
    assert pitch_hz(drawn.of_row(N)) == pytest.approx(1000, abs=2)
    assert pitch_hz(drawn.of_row(0)) == pytest.approx(110, abs=2)
    assert drawn.table["titles"][-1] == "<b>new"
    assert np.frombuffer(drawn.near, "<i4").reshape(N + 1, -1)[-1, 0] == 5
    with pytest.raises(ValueError, match="1 rows and 0 sounds"):
        drawn.add([[9, 9]], row, [], near=[[5, 4, 3, 2, 1]])
    with pytest.raises(ValueError, match="give each new row 5 neighbours"):
        drawn.add([[9, 9]], row, [y])
    with pytest.raises(ValueError, match="0 rows and 0 sounds"):
        drawn.add(np.zeros((0, 2)), row[:0], [])
    assert len(drawn.items) == N + 1
    drawn.name([0], "mine")
    drawn.add([[9, 9]], row, [y], near=[[5, 4, 3, 2, 1]])
    assert drawn.items["named"].tolist() == ["mine", *[""] * (N + 1)]
    [(answer, _)] = _said(drawn, {"playlist": [0, N]})
    assert answer["said"] == "Written: selection.xspf, without 1 segments that are no file's"
    with pytest.raises(ValueError, match="no segment of a file is selected"):
        drawn.playlist([N])


def test_a_table_shows_cells_as_text_and_may_show_other_rows(items):
    rows = map_widget.Rows(items, SR, "tones", ("label", "hz"))
    assert rows.table["columns"][1] == {
        "name": "hz",
        "cells": ["110", "221", "332", "442", "552", "663"],
    }
    rows.show(items.iloc[[4, 2]])
    assert rows.table["titles"] == ["tone 5", "tone 3"]
    np.testing.assert_allclose([pitch_hz(s) for s in _sounds(rows)], [550, 330], atol=2)
    assert pitch_hz(rows.of_row(0)) == pytest.approx(550, abs=2)
    seen = []
    rows.observe(lambda change: seen.append(change["name"]), ["table", "sound"])
    rows.show(items.iloc[[3, 1]].assign(item_id=["tone 5", "tone 3"], label=["b", "b"], hz=1.0))
    rows.show(items.iloc[[2, 0]].assign(item_id=["tone 5", "tone 3"], label=["b", "b"], hz=1.0))
    assert seen.count("table") == 2  # equal tables of other sounds are told apart
    rows.show(items.iloc[:0])
    assert rows.table["titles"] == []


def test_sound_that_was_cut_is_kept_and_another_file_is_another_sound(items, points, tmp_path):
    folder = tmp_path / "kept"
    map_widget.Map(points, items, SR, "tones", folder=folder)
    files = {path: path.stat().st_mtime_ns for path in (folder / "sounds").iterdir()}
    assert len(files) == N
    map_widget.Map(points, items, SR, "tones", folder=folder)
    assert {path: path.stat().st_mtime_ns for path in (folder / "sounds").iterdir()} == files
    copy = tmp_path / "a.wav"
    audio.write(copy, np.zeros(SR), SR)
    row = items.iloc[[0]].assign(path=str(copy))
    before = map_page.keep_segment(row.iloc[0], SR, folder=folder)
    audio.write(copy, 0.5 * np.sin(np.arange(2 * SR)), SR)
    assert map_page.keep_segment(row.iloc[0], SR, folder=folder) != before


def test_what_fails_names_no_folder_to_the_browser(items, points):
    drawn = map_widget.Map(points, items.assign(path="/secret/a.wav"), SR, "tones", limit_mb=0)
    [(answer, _)] = _said(drawn, {"ask": 0, "number": 1})
    assert "secret" not in answer["refused"]
    repeated = map_widget.Map(points, items.set_axis([0] * N), SR, "tones")
    assert len(_sounds(repeated)) == N
