"""What was asked for and what came out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from musiclatent.config import SR
from musiclatent.evaluation.controls import judge
from musiclatent.evaluation.controls.material import Piece
from musiclatent.latents.controlled.sampler import Controls

ASKED = Controls(tempo=120.0, tonic=9, mode="minor", brightness=0.2, level_db=-20.0, style="a")


def _beats(controls, seconds=9.0):
    """Chords of a key struck at a tempo, at a level."""
    t = np.arange(round(seconds * SR)) / SR
    third = 4 if controls.mode == "major" else 3
    steps = (0, third, 7, 12)
    hz = [220 * 2 ** ((controls.tonic - 9 + step) / 12) for step in steps]
    y = sum(np.sin(2 * np.pi * f * t) for f in hz) * np.exp(-20 * (t % (60 / controls.tempo)))
    return (y * 10 ** (controls.level_db / 20) / np.sqrt(np.mean(y**2))).astype(np.float32)


def test_readings_of_struck_chords():
    asked = [ASKED, replace(ASKED, tonic=0, mode="major", tempo=100.0, level_db=-30.0)]
    read = judge.readings([_beats(one) for one in asked])
    assert judge.hits(asked, read)[["tempo", "tonic", "level"]].eq(1).all(axis=None)


def test_hits_by_hand():
    asked = [ASKED] * 5
    read = pd.DataFrame(
        {
            "tempo": [120.0, 61.0, 130.0, np.nan, 120.0],
            "tonic": [9, 9, 0, 9, 9],
            "mode": ["minor", "major", "major", "minor", "minor"],
            "level": [-20.0, -20.5, -25.0, -20.0, -20.0],
        }
    )
    found = judge.hits(asked, read)
    assert found["tempo"].tolist() == [1, 1, 0, 0, 1]
    assert found["beat"].tolist() == [1, 0, 0, 0, 1]
    assert found["tonic"].tolist() == [1, 1, 0, 1, 1]
    assert found["key"].tolist() == [1, 0, 0, 1, 1]
    assert found["level"].tolist() == [1, 1, 0, 1, 1]


def test_the_nearest_piece_is_of_the_style_first():
    others = [replace(ASKED, style="b"), replace(ASKED, tempo=60.0), replace(ASKED, tonic=0)]
    pieces = [Piece(y=np.zeros(1), controls=one, starts_s=np.zeros(2)) for one in others]
    assert judge.nearest(pieces, ASKED) is pieces[1]
    assert judge.nearest(pieces[::2], ASKED) is pieces[2]


def test_one_control_is_changed():
    assert judge.changed(ASKED, "tempo") == replace(ASKED, tempo=96.0)
    assert judge.changed(ASKED, "key") == replace(ASKED, tonic=2)
    assert judge.changed(ASKED, "level") == replace(ASKED, level_db=-26.0)
    assert judge.changed(ASKED, "brightness").brightness == pytest.approx(0.6)
    with pytest.raises(ValueError, match="factor to change"):
        judge.changed(ASKED, "swing")


def test_what_moves_is_what_was_changed():
    class Drawing:
        def draw(self, controls, seconds, *, seed):
            return _beats(controls, seconds)

    table = judge.moves(Drawing(), [ASKED], seconds=9.0, seed=0)
    assert table.loc["tempo", "tempo"] == 1 and table.loc["tempo", ["level"]].eq(0).all()
    assert table.loc["key", "key"] == 1 and table.loc["key", "tempo"] == 0
    assert table.loc["level"].to_dict() == {"tempo": 0, "key": 0, "brightness": 0, "level": 1}


def test_a_way_that_repeats_training_pieces_is_told_as_copies():
    rng = np.random.default_rng(0)
    styles = {"a": ("minor", 120.0), "b": ("major", 90.0)}
    pieces = []
    for i in range(12):
        mode, tempo = styles["ab"[i % 2]]
        one = replace(ASKED, style="ab"[i % 2], mode=mode, tempo=tempo + rng.random(), tonic=i)
        y = _beats(one) + 0.01 * rng.standard_normal(9 * SR).astype(np.float32)
        pieces.append(Piece(y=y, controls=one, starts_s=np.zeros(2)))
    asked = [piece.controls for piece in pieces[8:]]
    fresh = [piece.y for piece in pieces[8:]]
    ways = {"rendered": fresh, "nearest": [judge.nearest(pieces[:8], one).y for one in asked]}
    table, metrics = judge.judged(ways, asked, training=pieces[:8], real="rendered")
    assert table.loc["nearest", "copy_test_z"] < table.loc["rendered", "copy_test_z"] == 0
    assert table.loc["rendered", ["tempo", "style", "level"]].eq(1).all()
    assert metrics["rendered_tempo_low"] == 1 and metrics["nearest_tonic"] == 0
