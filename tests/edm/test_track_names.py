import unicodedata

import pandas as pd
import pytest

from musiclatent.edm import track_names

NAMES = [unicodedata.normalize("NFD", "Señorita.wav"), "b.wav", "sub/b.wav"]
SECTIONS = pd.DataFrame(
    {
        "item_id": [name for name in NAMES for _ in range(2)],
        "path": [f"/music/{name}" for name in NAMES for _ in range(2)],
        "start_s": [0.0, 15.0] * 3,
        "end_s": [15.0, 22.0] * 3,
        "silent": [False, False, True, True, False, True],
    }
)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (unicodedata.normalize("NFC", "Señorita.wav"), NAMES[0]),
        (NAMES[0], NAMES[0]),
        ("/music/sub/b.wav", "sub/b.wav"),
        (unicodedata.normalize("NFC", "/music/Señorita.wav"), NAMES[0]),
        ("sub/b.wav", "sub/b.wav"),
        ("none.wav", "none.wav"),
    ],
)
def test_a_track_has_several_names(asked, name):
    assert track_names.find(SECTIONS, asked) == name


def test_a_path_from_where_the_command_was_given(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    sections = SECTIONS.assign(path=[str(tmp_path / name) for name in SECTIONS["item_id"]])
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert track_names.find(sections, "b.wav") == "sub/b.wav"
    assert track_names.find(sections, "../b.wav") == "b.wav"


def test_the_section_at_a_moment():
    assert track_names.row_at(SECTIONS, "b.wav", 16) == 3
    with pytest.raises(ValueError, match="there is no track 'c.wav' with sound"):
        track_names.row_at(SECTIONS, "c.wav", 0)
    with pytest.raises(ValueError, match="no section with sound at 22 s; name another moment"):
        track_names.row_at(SECTIONS, "b.wav", 22)


def test_tracks_without_a_section_are_named():
    lost = track_names.left_out(SECTIONS, {NAMES[0]}, 1.5)
    reasons = dict(lost.to_numpy().tolist())
    assert reasons == {"b.wav": "it is silent", "sub/b.wav": "it lasts less than 1.5 s"}


def test_why_no_section_can_be_used_is_said():
    brief = SECTIONS.assign(end_s=SECTIONS["start_s"] + 1.25)
    assert "longest of 3 tracks lasts 1.25 s; give one of 1.5 s" in track_names.none_usable(
        brief, 1.5
    )
    assert "all tracks are silent" in track_names.none_usable(brief.assign(silent=True), 1.5)
