"""Playlists: read back as players read them, valid against the schema; and what is chosen."""

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musiclatent.edm import playlist_files

NS = {"x": "http://xspf.org/ns/0/", "vlc": "http://www.videolan.org/vlc/playlist/ns/0/"}
EVIL = ["a & b <c> \"d\" 'e'.wav", "]]>&amp;.mp3", "100%25 #1?.flac", "é 音楽 \U0001f3b5.wav"]
EVIL += ["two\nlines\r.wav", "\ud800half\x00\x0b\ufffe", "-->", " spaces ", "http://x/y.mp3"]


def _sections(n: int = 6) -> pd.DataFrame:
    row = np.arange(n)
    return pd.DataFrame(
        {
            "item_id": [f"track{i // 2}" for i in row],
            "path": [f"/music/track {i // 2}.wav" for i in row],
            "start_s": 15.0 * (row % 2),
            "end_s": 15.0 * (row % 2) + 15,
        }
    )


def _with(n: int = 1, **columns: str) -> pd.DataFrame:
    """Sections with the same words in every row, of a type that holds any words."""
    words = {name: pd.Series([word] * n, dtype=object) for name, word in columns.items()}
    return _sections(n).assign(**words)


@pytest.fixture(scope="module")
def schema():
    xmlschema = pytest.importorskip("xmlschema", reason="needs pip install xmlschema")
    return xmlschema.XMLSchema(Path(__file__).with_name("xspf.xsd"))


def _xspf(path: Path) -> list[dict]:
    """Tracks of an XSPF file."""
    tracks = ElementTree.parse(path).getroot().findall("x:trackList/x:track", NS)
    return [
        {
            "path": os.fsdecode(unquote_to_bytes(urlsplit(t.findtext("x:location", "", NS)).path)),
            "title": t.findtext("x:title", None, NS),
            "why": t.findtext("x:annotation", None, NS),
            "ms": int(t.findtext("x:duration", "", NS)),
            "options": [o.text for o in t.findall("x:extension/vlc:option", NS)],
        }
        for t in tracks
    ]


def _m3u8(path: Path) -> list[dict]:
    """Entries of an m3u8 file, read as VLC reads it: `#` lines first, then the place."""
    entries, entry = [], {"options": []}
    for line in path.read_bytes().decode().split("\n")[1:-1]:
        if line.startswith("#EXTINF:"):
            entry["seconds"], entry["title"] = line[8:].split(",", 1)
        elif line.startswith("#EXTVLCOPT:"):
            entry["options"].append(line[11:])
        elif not line.startswith("#"):
            uri = line.startswith("file://")
            place = os.fsdecode(unquote_to_bytes(line[7:])) if uri else line
            entries.append(entry | {"path": os.path.join(path.parent, place)})  # noqa: PTH118
            entry = {"options": []}
    return entries


# Files


def test_xspf_is_valid_and_holds_what_was_asked(tmp_path, schema):
    sections = _sections(3).assign(why=["", None, 'near & "dear" <3'])
    path = playlist_files.write_playlist(tmp_path / "new" / "p.xspf", sections, "A & B <c>")
    schema.validate(path)
    assert path.read_text("utf-8").startswith('<?xml version="1.0" encoding="UTF-8"?>\n<playlist v')
    assert ElementTree.parse(path).getroot().findtext("x:title", "", NS) == "A & B <c>"
    first, second, third = _xspf(path)
    assert first == {
        "path": "/music/track 0.wav",
        "title": "track0 0:00–0:15",
        "why": None,
        "ms": 15000,
        "options": ["start-time=0.000", "stop-time=15.000"],
    }
    assert second["options"] == ["start-time=15.000", "stop-time=30.000"]
    assert third["why"] == 'near & "dear" <3'
    assert "file:///music/track%200.wav</location>" in path.read_text("utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["p.xspf"]


def test_the_schema_refuses_what_is_not_xspf(tmp_path, schema):
    path = playlist_files.write_playlist(tmp_path / "p.xspf", _sections(1), "t")
    good = path.read_text("utf-8")
    for before, after in (
        ("duration>15000<", "duration>1.5<"),
        ("trackList", "tracklist"),
        ('version="1"', 'version="2"'),
        ("trackNum>1<", "trackNum>0<"),
        ('application="http://www.videolan.org/vlc/playlist/0"', ""),
        ("<title>t</title>", "<title>t</title><title>t</title>"),
        ("http://xspf.org/ns/0/", "http://xspf.org/ns/1/"),
    ):
        assert before in good
        assert not schema.is_valid(good.replace(before, after))


def test_vlc_finds_the_names_it_looks_for(tmp_path):
    text = playlist_files.write_playlist(tmp_path / "p.xspf", _sections(1), "").read_text("utf-8")
    assert "<vlc:option>start-time=0.000</vlc:option>" in text  # it compares prefix and all
    assert "ns0:" not in text
    assert "<title></title>" not in text
    assert "#t=" not in text


@pytest.mark.parametrize("name", ["p.xspf", "p.m3u8"])
def test_a_playlist_of_nothing_is_a_playlist(tmp_path, schema, name):
    path = playlist_files.write_playlist(tmp_path / name, _sections(0), "nothing")
    if path.suffix == ".xspf":
        schema.validate(path)
        assert "<trackList></trackList>" in path.read_text()
    else:
        assert path.read_text() == "#EXTM3U\n#PLAYLIST:nothing\n"


def test_m3u8_is_relative_inside_its_folder_and_absolute_outside(tmp_path):
    inside = str(tmp_path / "sub" / "a b.wav")
    paths = [inside, "/elsewhere/c.mp3", str(tmp_path / "#1.wav"), str(tmp_path / "two\nlines.wav")]
    sections = _sections(4).assign(path=paths, title=["one\ntwo", "b", "c", "d"], why="near, very")
    path = playlist_files.write_playlist(tmp_path / "p.M3U8", sections, "My\nlist")
    assert path.read_text("utf-8").split("\n")[:6] == [
        "#EXTM3U",
        "#PLAYLIST:My list",
        "#EXTINF:15,one two (near, very)",
        "#EXTVLCOPT:start-time=0.000",
        "#EXTVLCOPT:stop-time=15.000",
        "sub/a b.wav",
    ]
    lines = [
        line for line in path.read_text("utf-8").split("\n") if line[:4] not in ("#EXT", "#PLA")
    ]
    assert lines[1] == "/elsewhere/c.mp3"
    assert lines[2].startswith("file:///")
    assert lines[2].endswith("/%231.wav")
    assert lines[3].endswith("/two%0Alines.wav")
    assert [entry["path"] for entry in _m3u8(path)] == paths


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Tom & Jerry; ünï.wav", "Tom & Jerry; ünï.wav"),
        ("A# minor.wav", "A%23%20minor.wav"),
        ("what is love?.wav", "what%20is%20love%3F.wav"),
        ("100%41 sure.wav", "100%2541%20sure.wav"),
        ("01: intro.wav", "01%3A%20intro.wav"),
        ("http:look.wav", "http%3Alook.wav"),
        ("a\x1b[31mred.wav", "a%1B%5B31mred.wav"),
    ],
)
def test_a_line_is_an_address_where_players_take_it_for_one(tmp_path, name, line):
    path = playlist_files.write_playlist(tmp_path / "p.m3u8", _with(path=str(tmp_path / name)), "")
    expected = line if line == name else f"file://{tmp_path}/{line}"
    assert path.read_text("utf-8").splitlines()[-1] == expected


def test_names_that_are_not_utf8_are_found_again(tmp_path, schema):
    strange = os.fsdecode(b"/music/caf\xe9 \xff.wav")
    for name, read in (("p.xspf", _xspf), ("p.m3u8", _m3u8)):
        path = playlist_files.write_playlist(tmp_path / name, _with(path=strange), "t")
        assert [entry["path"] for entry in read(path)] == [strange]


_TEXT = st.one_of(st.sampled_from(EVIL), st.text(st.characters(), max_size=20))
_NAME = st.one_of(st.sampled_from(EVIL), st.text(st.characters(codec="utf-8"), min_size=1))


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(title=_TEXT, name=_NAME, why=_TEXT, inside=st.booleans())
def test_any_title_and_path_read_back(tmp_path, schema, title, name, why, inside):
    name = re.sub("[\0\ud800-\udfff]", "", name).replace("/", "_").strip(".") or "x"
    place = f"{tmp_path if inside else '/elsewhere'}/{name}"
    row = _with(path=place, title=title, why=why)
    path = playlist_files.write_playlist(tmp_path / "p.xspf", row, title)
    schema.validate(path)
    (track,) = _xspf(path)
    assert track["path"] == place
    shown = " ".join(title.split())
    assert track["title"] == (
        re.sub("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", shown)
        or "track0 0:00–0:15"
    )
    (entry,) = _m3u8(playlist_files.write_playlist(tmp_path / "p.m3u8", row, title))
    assert entry["path"] == place
    assert entry["title"].startswith(track["title"])
    assert entry["seconds"] == "15"


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = playlist_files.write_playlist(tmp_path / "p.xspf", _sections(1), "old")
    before = path.read_bytes()
    for bad, words in (
        (_sections(2).assign(end_s=[15.0, np.nan]), "section 1 goes from 15 to nan s"),
        (_sections(2).assign(end_s=0.0), "section 0 goes from 0 to 0 s; give rising times"),
        (_sections(2).assign(start_s=-1.0), "section 0 goes from -1"),
        (_sections(2).drop(columns=["path", "end_s"]), "no column path, end_s"),
        (_with(path="a\0b"), "is no path of a file; correct the column path"),
        (_with(path=""), "is no path of a file"),
        (_with(path="\ud800"), "is no path of a file"),
    ):
        with pytest.raises(ValueError, match=words):
            playlist_files.write_playlist(path, bad, "new")
    with pytest.raises(ValueError, match=r"'p.pls' is no playlist; .* \.xspf or \.m3u8"):
        playlist_files.write_playlist(tmp_path / "p.pls", _sections(), "t")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.xspf"]
