"""A collection of Traktor, read back as programs read it."""

from pathlib import Path, PurePosixPath, PureWindowsPath
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from helpers.dj_track import EVIL, track

from musiclatent.edm.programs import facts, library, traktor
from musiclatent.features.rhythm import Track


def _write(folder: Path, tracks: list[Track], cues=None, order=None, **columns):
    paths = [str(folder / name) for name in (EVIL * 3)[: len(tracks)]]
    items = pd.DataFrame({"item_id": [Path(p).name for p in paths], "path": paths})
    items = items.assign(seconds=120.4, **columns)
    path = library.write(
        folder / "new" / "a & b.nml",
        items.iloc[order or slice(None)],
        tracks=dict(zip(paths, tracks, strict=True)),
        cues=dict.fromkeys(paths, cues or {}),
    )
    text = path.read_bytes().decode("utf-8")
    assert text.startswith('<?xml version="1.0" encoding="UTF-8" standalone="no" ?>\n<NML VERS')
    return ElementTree.fromstring(text)


def test_tempo_grid_key_and_cues_are_read_back(tmp_path):
    moments = {"in": 0.0, "in full": 8.5, "out": 100.25, "a\x00b": 16.5}
    root = _write(tmp_path, [track(), track(100.0, mode="major")], cues=moments)
    first, second = root.findall("COLLECTION/ENTRY")
    assert root.find("COLLECTION").get("ENTRIES") == "2"
    tempi = [float(entry.find("TEMPO").get("BPM")) for entry in (first, second)]
    assert tempi == [124, 100]
    keys = [entry.find("MUSICAL_KEY").get("VALUE") for entry in (first, second)]
    assert keys == ["18", "6"]  # majors from 0 for C, minors from 12 for C minor
    assert first.find("INFO").get("KEY") == "F#m"
    assert first.find("INFO").get("COMMENT") == "124.0 or 62.0 bpm"
    assert first.find("INFO").get("PLAYTIME") == "120"
    grid, *cues = first.findall("CUE_V2")
    assert (grid.get("TYPE"), grid.get("HOTCUE"), grid.get("NAME")) == ("4", "-1", "AutoGrid")
    assert float(grid.get("START")) == pytest.approx(1000 * (0.25 + 2 * 60 / 124), abs=1e-3)
    assert float(grid.find("GRID").get("BPM")) == pytest.approx(124)
    read = [[cue.get(name) for name in ("NAME", "TYPE", "START", "HOTCUE")] for cue in cues]
    assert read == [
        ["in", "1", "0.000000", "0"],
        ["in full", "0", "8500.000000", "1"],
        ["out", "2", "100250.000000", "2"],
        ["a\ufffdb", "0", "16500.000000", "3"],
    ]


def test_every_name_leads_back_to_its_file_and_the_playlist_to_the_collection(tmp_path):
    root = _write(tmp_path, [track()] * 4, order=[2, 0, 1, 3, 0])
    places = [entry.find("LOCATION").attrib for entry in root.findall("COLLECTION/ENTRY")]
    assert len(places) == 4
    found = ["/".join(at["DIR"].split("/:")) + at["FILE"].replace("//", ":") for at in places]
    assert found == [str(tmp_path / EVIL[i]) for i in (2, 0, 1, 3)]
    (node,) = root.findall("PLAYLISTS/NODE/SUBNODES/NODE")
    assert (node.get("TYPE"), node.get("NAME")) == ("PLAYLIST", "a & b")
    keys = [entry.find("PRIMARYKEY").get("KEY") for entry in node.findall("PLAYLIST/ENTRY")]
    ids = [at["VOLUME"] + at["DIR"] + at["FILE"] for at in places]
    assert keys == [*ids, ids[1]] and node.find("PLAYLIST").get("ENTRIES") == "5"


@pytest.mark.parametrize(
    ("path", "where"),
    [
        (PurePosixPath("/Users/me/Music/a.mp3"), ("Macintosh HD", "/:Users/:me/:Music/:", "a.mp3")),
        (PurePosixPath("/Volumes/My USB/Sets/a.mp3"), ("My USB", "/:Sets/:", "a.mp3")),
        (PureWindowsPath("D:/Music/a.mp3"), ("D:", "/:Music/:", "a.mp3")),
        (PurePosixPath("/a:b/\udcffc\x01.mp3"), ("Macintosh HD", "/:a//b/:", "\ufffdc\ufffd.mp3")),
        (PurePosixPath("/two  spaces.mp3"), ("Macintosh HD", "/:", "two  spaces.mp3")),
    ],
)
def test_a_place_is_written_as_traktor_writes_it(path, where):
    assert traktor.location(path) == where


def test_tags_are_named_and_what_is_missing_is_left_out(tmp_path):
    tags = {"song_title": "One\x00", "artist": "A & B", "year": 1997.0, "genre": "", "album": "X"}
    (entry,) = _write(tmp_path, [track(np.nan, tones=0.0)], **tags).findall("COLLECTION/ENTRY")
    assert entry.attrib == {"TITLE": "One\ufffd", "ARTIST": "A & B"}
    info = entry.find("INFO").attrib
    assert info == {"PLAYTIME": "120", "PLAYTIME_FLOAT": "120.400000", "RELEASE_DATE": "1997/1/1"}
    assert [part.tag for part in entry] == ["LOCATION", "ALBUM", "INFO"]


def test_a_wandering_tempo_is_pinned_again_and_cues_end_at_eight(tmp_path):
    one = track(steady=0.3)
    (entry,) = _write(tmp_path, [one], cues={str(i): float(i) for i in range(20)}).findall(
        "COLLECTION/ENTRY"
    )
    kinds = [cue.get("TYPE") for cue in entry.findall("CUE_V2")]
    assert kinds.count("4") == len(facts.grid(one.rhythm)) > 2 and kinds.count("0") == 8
