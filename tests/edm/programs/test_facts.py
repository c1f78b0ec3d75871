import numpy as np
import pytest
from helpers.dj_track import track

from musiclatent.edm.programs import facts
from musiclatent.features.rhythm import Rhythm
from musiclatent.features.tonal import NO_KEY, Key


def test_a_steady_grid_begins_at_the_first_downbeat_and_a_wandering_one_again():
    ((start_s, bpm),) = facts.grid(track(120.0).rhythm)
    assert (start_s, bpm) == (pytest.approx(1.25), pytest.approx(120))
    grids = facts.grid(track(120.0, steady=0.3).rhythm)
    assert [start_s for start_s, _ in grids] == pytest.approx([1.25, 31.25, 61.25, 91.25])
    beats = Rhythm(tempo=60.0, beats_s=np.array([0.0, 1, 2, 4]), downbeat=0, stability=0.1)
    assert facts.grid(beats) == [(0.0, pytest.approx(45))]
    assert facts.grid(track(np.nan).rhythm) == []


def test_keys_titles_and_years_are_written_short():
    assert facts.short_name(Key(6, "minor")) == "F#m" and facts.short_name(Key(0, "major")) == "C"
    assert facts.short_name(NO_KEY) == ""
    assert facts.title({"item_id": "x/a.b.mp3"}) == "a.b"
    assert facts.title({"item_id": "a.mp3", "song_title": " One\n two "}) == "One two"
    assert facts.year({"year": 1997.0}) == "1997"
    assert facts.year({"year": np.nan}) == facts.year({}) == facts.text(None) == ""
    assert facts.printable("a  \x01\udcff") == "a  \ufffd\ufffd"
