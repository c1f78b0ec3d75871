"""A rekordbox library: valid against its format, and read back as DJ programs read it."""

from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from helpers.dj_track import EVIL, track

from musiclatent.edm.programs import facts, library
from musiclatent.features.rhythm import Track


def _write(folder: Path, tracks: list[Track], cues=None, **columns) -> ElementTree.Element:
    paths = [str(folder / name) for name in (EVIL * 3)[: len(tracks)]]
    items = pd.DataFrame(
        {"item_id": [Path(p).name for p in paths], "path": paths, "seconds": 120.4}
    )
    path = library.write(
        folder / "new" / "library.xml",
        items.assign(**columns),
        tracks=dict(zip(paths, tracks, strict=True)),
        cues=dict.fromkeys(paths, cues or {}),
    )
    xmlschema = pytest.importorskip("xmlschema", reason="needs pip install xmlschema")
    xmlschema.XMLSchema(Path(__file__).with_name("rekordbox.xsd")).validate(path)
    return ElementTree.parse(path).getroot()


def test_tempo_grid_key_and_cues_are_read_back(tmp_path):
    root = _write(
        tmp_path, [track(), track(100.0, bar=3, mode="major")], cues={"in": 0.0, "a\x00b": 16.5}
    )
    first, second = root.findall("COLLECTION/TRACK")
    assert (first.get("AverageBpm"), first.get("Tonality")) == ("124.00", "F#m")
    assert first.get("Comments") == "124.0 or 62.0 bpm" and first.get("TotalTime") == "120"
    grid = first.find("TEMPO").attrib
    assert grid == {"Inizio": "1.218", "Bpm": "124.00", "Metro": "4/4", "Battito": "1"}
    assert second.find("TEMPO").get("Metro") == "3/4" and second.get("Tonality") == "F#"
    marks = [mark.attrib for mark in first.findall("POSITION_MARK")]
    read = [[mark[name] for name in ("Num", "Name", "Start")] for mark in marks]
    assert read == [["0", "in", "0.000"], ["1", "a\ufffdb", "16.500"]]
    keys = [track.get("Key") for track in root.findall("PLAYLISTS/NODE/NODE/TRACK")]
    assert keys == ["1", "2"] and root.find("COLLECTION").get("Entries") == "2"


def test_every_name_leads_back_to_its_file(tmp_path):
    root = _write(tmp_path, [track()] * 4)
    found = [unquote(urlsplit(t.get("Location")).path) for t in root.findall("COLLECTION/TRACK")]
    assert found == [str(tmp_path / name) for name in EVIL]
    names = [t.get("Name") for t in root.findall("COLLECTION/TRACK")]
    assert names == [Path(name).stem for name in EVIL]


def test_tags_are_named_and_what_is_missing_is_left_out(tmp_path):
    tags = {"song_title": "One\x00", "artist": "A & B", "year": 1997.0, "genre": ""}
    found = _write(tmp_path, [track(np.nan, tones=0.0)], **tags).find("COLLECTION/TRACK")
    assert (found.get("Name"), found.get("Artist"), found.get("Year")) == (
        "One\ufffd",
        "A & B",
        "1997",
    )
    assert not {"Tonality", "AverageBpm", "Genre", "Comments"} & set(found.attrib)
    assert found.find("TEMPO") is None


def test_a_wandering_tempo_is_pinned_again_and_cues_end_at_eight(tmp_path):
    one = track(steady=0.3)
    root = _write(tmp_path, [one], cues={str(i): float(i) for i in range(20)})
    grids = root.findall("COLLECTION/TRACK/TEMPO")
    assert [float(grid.get("Inizio")) for grid in grids] == pytest.approx(
        one.rhythm.beats_s[2::64][:4], abs=1e-3
    )
    assert len(root.findall("COLLECTION/TRACK/POSITION_MARK")) == facts.HOT_CUES


def test_a_library_of_nothing(tmp_path):
    assert _write(tmp_path, []).find("COLLECTION").get("Entries") == "0"
