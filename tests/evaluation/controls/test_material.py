"""Music whose controls are known."""

import numpy as np
import pytest

from musiclatent import audio
from musiclatent.config import SR
from musiclatent.data.synthetic.styles import STYLES
from musiclatent.evaluation.controls import material


def test_rendered_clips_are_asked_for_as_they_are():
    clips = material.rendered_clips(1)
    assert {clip.style for clip in clips} == set(STYLES)
    waltz = next(clip for clip in clips if clip.style == "waltz")
    asked = material.asked_of(waltz)
    assert (asked.tempo, asked.mode, asked.beats) == (waltz.tempo, waltz.mode, 3)


def test_a_rendered_piece_knows_its_bars():
    clip = material.rendered_clips(1)[0]
    (piece,) = material.of_clips([clip])
    bar_s = 240 / clip.tempo
    assert np.diff(piece.starts_s) == pytest.approx(np.full(len(piece.starts_s) - 1, bar_s))
    assert piece.starts_s[0] >= 0 and piece.starts_s[-1] <= clip.seconds
    assert len(piece.spectra()) == len(piece.starts_s) - 1


def test_recordings_without_a_rhythm_are_left_out(tmp_path):
    rng, t = np.random.default_rng(0), np.arange(10 * SR) / SR
    beat = np.exp(-30 * (t % 0.5)) * (np.sin(2 * np.pi * 440 * t) + np.sin(2 * np.pi * 554.4 * t))
    sounds = {"beat": 0.2 * beat, "noise": 0.1 * rng.standard_normal(len(t))}
    for name, y in sounds.items():
        audio.write(tmp_path / f"{name}.wav", y.astype(np.float32), SR)
    paths = [tmp_path / f"{name}.wav" for name in sounds]
    (piece,) = material.of_recordings(paths, tmp_path / "rhythm")
    assert piece.controls.tempo == pytest.approx(120, rel=0.01)
    assert piece.controls.tonic == 9 and piece.controls.style == ""
    assert piece.controls.level_db == pytest.approx(
        10 * np.log10(np.mean(sounds["beat"] ** 2)), abs=1
    )
