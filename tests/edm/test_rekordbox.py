"""A rekordbox library: valid against its format, and read back as DJ programs read it."""

from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from musiclatent.edm import rekordbox
from musiclatent.features import tonal
from musiclatent.features.rhythm import Rhythm, Track

EVIL = ["a & b <c> \"d\" 'e'.mp3", "100%25 #1?.flac", "é 音楽 \U0001f3b5.wav", "C:drive.ogg"]


def _track(tempo=124.0, *, bar=4, steady=1.0, tones=0.2, mode="minor") -> Track:
    beats_s = np.arange(0.25, 120, 60 / tempo) if tempo > 0 else np.zeros(0)
    rhythm = Rhythm(
        tempo=tempo, beats_s=beats_s, downbeat=2, stability=steady, other=tempo / 2, bar=bar
    )
    chroma = np.repeat(np.roll(tonal.PROFILES[mode], 6)[:, None], 120, axis=1)
    return Track(rhythm, chroma, np.ones(120), np.full(120, tones))


def _write(folder: Path, tracks: list[Track], cues=None, **columns) -> ElementTree.Element:
    paths = [str(folder / name) for name in (EVIL * 3)[: len(tracks)]]
    items = pd.DataFrame(
        {"item_id": [Path(p).name for p in paths], "path": paths, "seconds": 120.4}
    )
    path = rekordbox.write_library(
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
        tmp_path, [_track(), _track(100.0, bar=3, mode="major")], cues={"in": 0.0, "a\x00b": 16.5}
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
    root = _write(tmp_path, [_track()] * 4)
    found = [unquote(urlsplit(t.get("Location")).path) for t in root.findall("COLLECTION/TRACK")]
    assert found == [str(tmp_path / name) for name in EVIL]
    names = [t.get("Name") for t in root.findall("COLLECTION/TRACK")]
    assert names == [Path(name).stem for name in EVIL]


def test_tags_are_named_and_what_is_missing_is_left_out(tmp_path):
    tags = {"song_title": "One\x00", "artist": "A & B", "year": 1997.0, "genre": ""}
    track = _write(tmp_path, [_track(np.nan, tones=0.0)], **tags).find("COLLECTION/TRACK")
    assert (track.get("Name"), track.get("Artist"), track.get("Year")) == (
        "One\ufffd",
        "A & B",
        "1997",
    )
    assert not {"Tonality", "AverageBpm", "Genre", "Comments"} & set(track.attrib)
    assert track.find("TEMPO") is None


def test_a_wandering_tempo_is_pinned_again_and_cues_end_at_eight(tmp_path):
    track = _track(steady=0.3)
    root = _write(tmp_path, [track], cues={str(i): float(i) for i in range(20)})
    grids = root.findall("COLLECTION/TRACK/TEMPO")
    assert [float(grid.get("Inizio")) for grid in grids] == pytest.approx(
        track.rhythm.beats_s[2::64][:4], abs=1e-3
    )
    assert len(root.findall("COLLECTION/TRACK/POSITION_MARK")) == rekordbox.HOT_CUES


def test_a_library_of_nothing_and_another_suffix(tmp_path):
    assert _write(tmp_path, []).find("COLLECTION").get("Entries") == "0"
    with pytest.raises(ValueError, match=r"end in \.xml"):
        rekordbox.check_suffix(Path("a.nml"))
