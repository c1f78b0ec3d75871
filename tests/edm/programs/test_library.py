from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from helpers.dj_track import track

from musiclatent.edm.programs import library


def test_the_suffix_says_for_which_program(tmp_path):
    items = pd.DataFrame({"item_id": ["a"], "path": ["/a.mp3"], "seconds": [9.0]})
    known = {"tracks": {"/a.mp3": track()}, "cues": {}}
    for suffix, root in ((".xml", "DJ_PLAYLISTS"), (".NML", "NML")):
        path = library.write(tmp_path / f"a{suffix}", items, **known)
        assert ElementTree.parse(path).getroot().tag == root
    with pytest.raises(ValueError, match=r"'a.flac' is no library .* end in \.xml or \.nml"):
        library.write(Path("a.flac"), items, **known)


def test_a_playlist_of_sections_has_a_cue_at_each(tmp_path):
    items = pd.DataFrame({"item_id": list("abc"), "path": ["/a", "/b", "/c"], "seconds": 60.0})
    sections = pd.DataFrame({"path": ["/b", "/a", "/b", "/c"], "start_s": [15.0, 0.0, 30.0, 0.0]})
    known = {"/a": track(), "/b": track()}
    path = library.write_sections(tmp_path / "a.nml", sections.assign(why="x"), items, known)
    root = ElementTree.parse(path).getroot()
    keys = [entry.get("KEY")[-1] for entry in root.iter("PRIMARYKEY")]
    assert keys == ["b", "a", "b"]  # what has no measurement is left out
    first = root.find("COLLECTION/ENTRY")
    marks = [(c.get("NAME"), float(c.get("START"))) for c in first.iter("CUE_V2")][1:]
    assert first.get("TITLE") == "b" and marks == [("1 x", 15_000.0), ("2 x", 30_000.0)]


def test_a_track_that_comes_again_is_in_a_rekordbox_library_once(tmp_path):
    items = pd.DataFrame({"item_id": list("bab"), "path": ["/b", "/a", "/b"], "seconds": 60.0})
    known = {"/a": track(), "/b": track()}
    root = ElementTree.parse(library.write(tmp_path / "a.xml", items, tracks=known, cues={}))
    ids = {t.get("TrackID"): t.get("Location")[-1] for t in root.findall("COLLECTION/TRACK")}
    assert sorted(ids.values()) == ["a", "b"]
    listed = [ids[t.get("Key")] for t in root.iter("TRACK") if t.get("Key")]
    assert listed == ["b", "a", "b"]
