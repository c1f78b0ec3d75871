"""Cue sheets hold what players read, and name the file that lies beside them."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from musiclatent.edm import cue_sheets, mixdown
from musiclatent.edm.decks.silence import Cuts


@pytest.fixture
def mix(tmp_path) -> mixdown.Mix:
    """Three tracks, which nobody rendered."""
    starts = [0.0, 61.013, 3599.999]
    tracks = pd.DataFrame({"track": ["a", "b", "c"], "start_s": starts, "note": ["", "why", ""]})
    return mixdown.Mix(
        path=tmp_path / "mix.flac", sr=8000, seconds=9e3, tracks=tracks, quarantine=tracks[:0]
    )


def test_a_cue_sheet_holds_what_players_read(mix, tmp_path):
    path = cue_sheets.write_cue_sheet(mix, tmp_path / "mix.cue")
    assert path.read_bytes()[:4] == b"FILE"  # no mark of the byte order
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == 'FILE "mix.flac" WAVE'
    assert lines[1:4] == ["  TRACK 01 AUDIO", '    TITLE "a"', "    INDEX 01 00:00:00"]
    assert '    REM COMMENT "why"' in lines
    times = re.findall(r"^    INDEX 01 (\d\d):(\d\d):(\d\d)$", "\n".join(lines), re.M)
    starts = [60 * int(m) + int(s) + int(f) / 75 for m, s, f in times]
    np.testing.assert_allclose(starts, mix.tracks["start_s"], atol=1 / 75)
    assert [each.name for each in tmp_path.iterdir()] == ["mix.cue"]


def test_titles_are_escaped_and_the_sheet_ends_at_track_99(mix, tmp_path):
    rows = mix.tracks.iloc[[0] * 101].assign(
        track='say "hi"\n  TRACK 07\x00 – naïve', start_s=3599.999 + 60.0 * np.arange(101)
    )
    path = cue_sheets.write_cue_sheet(replace(mix, tracks=rows), tmp_path / "many.cue")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "REM minutes go above 99, which some players cannot read"
    assert lines[3] == "    TITLE \"say 'hi' TRACK 07 – naïve\""
    assert lines[4] == "    INDEX 01 59:59:74"
    assert "    INDEX 01 157:59:74" in lines
    assert sum(line.startswith("  TRACK") for line in lines) == 99
    assert lines[-1] == "REM 2 more tracks: a cue sheet holds 99"


@pytest.mark.parametrize("name", ["two  spaces.flac", "it's.flac", "日本 – ü.flac", " .flac"])
def test_the_file_is_named_as_it_is(mix, tmp_path, name):
    mix = replace(mix, path=tmp_path / name)
    text = cue_sheets.write_cue_sheet(mix, tmp_path / "x.cue").read_text(encoding="utf-8")
    assert text.startswith(f'FILE "{name}" WAVE\n')


@pytest.mark.parametrize("name", ['say "it".flac', "a\nb.flac", "a\x1b[31m.flac", "a\udcff.flac"])
def test_a_name_that_no_sheet_can_hold_is_refused(name):
    with pytest.raises(ValueError, match="choose another name for the mix"):
        cue_sheets.check_name(Path(name))


# The set: where a DJ would mix each track in and out


def test_cues_are_seconds_of_the_file_silence_and_speed_undone(tmp_path):
    row = {"rate": 1.0, "glide_s": 0.0, "note": "", "beats": 16}
    rows = [
        row | {"path": "a", "start_s": 0.0, "from_s": 0.0, "fade_s": 0.0, "end_s": 68.0},
        row | {"path": "b", "start_s": 60.0, "from_s": 5.0, "fade_s": 8.0, "end_s": 130.0},
        row | {"path": "c", "start_s": 122.0, "from_s": -1e-9, "fade_s": 8.0, "end_s": 200.0},
    ]
    rows[1] |= {"rate": 1.05}
    mix = mixdown.Mix(
        path=tmp_path / "mix.flac", sr=8000, seconds=200.0, tracks=pd.DataFrame(rows),
        quarantine=pd.DataFrame(), cuts={"a": Cuts(90.0, ((0.0, 3.0), (30.0, 31.0)))},
    )  # fmt: skip
    cues = cue_sheets.transition_cues(mix).set_index("path")
    assert cues.loc["a"].tolist() == [3, 3, 64, 72]  # three seconds before the music, one inside
    assert cues.loc["b"].tolist() == pytest.approx([5, 13.4, 67.4, 75.4])
    assert cues.loc["c"].tolist() == pytest.approx([0, 8, 78, 78])
