"""Playlists: read back as players read them, valid against the schema; and what is chosen."""

import os
import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musiclatent import playlists

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
    path = playlists.write(tmp_path / "new" / "p.xspf", sections, "A & B <c>")
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
    path = playlists.write(tmp_path / "p.xspf", _sections(1), "t")
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
    text = playlists.write(tmp_path / "p.xspf", _sections(1), "").read_text("utf-8")
    assert "<vlc:option>start-time=0.000</vlc:option>" in text  # it compares prefix and all
    assert "ns0:" not in text
    assert "<title></title>" not in text
    assert "#t=" not in text


@pytest.mark.parametrize("name", ["p.xspf", "p.m3u8"])
def test_a_playlist_of_nothing_is_a_playlist(tmp_path, schema, name):
    path = playlists.write(tmp_path / name, _sections(0), "nothing")
    if path.suffix == ".xspf":
        schema.validate(path)
        assert "<trackList></trackList>" in path.read_text()
    else:
        assert path.read_text() == "#EXTM3U\n#PLAYLIST:nothing\n"


def test_m3u8_is_relative_inside_its_folder_and_absolute_outside(tmp_path):
    inside = str(tmp_path / "sub" / "a b.wav")
    paths = [inside, "/elsewhere/c.mp3", str(tmp_path / "#1.wav"), str(tmp_path / "two\nlines.wav")]
    sections = _sections(4).assign(path=paths, title=["one\ntwo", "b", "c", "d"], why="near, very")
    path = playlists.write(tmp_path / "p.M3U8", sections, "My\nlist")
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


def test_names_that_are_not_utf8_are_found_again(tmp_path, schema):
    strange = os.fsdecode(b"/music/caf\xe9 \xff.wav")
    for name, read in (("p.xspf", _xspf), ("p.m3u8", _m3u8)):
        path = playlists.write(tmp_path / name, _with(path=strange), "t")
        assert [entry["path"] for entry in read(path)] == [strange]


_TEXT = st.one_of(st.sampled_from(EVIL), st.text(st.characters(), max_size=20))
_NAME = st.one_of(st.sampled_from(EVIL), st.text(st.characters(codec="utf-8"), min_size=1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(title=_TEXT, name=_NAME, why=_TEXT, inside=st.booleans())
def test_any_title_and_path_read_back(tmp_path, schema, title, name, why, inside):
    name = re.sub("[\0\ud800-\udfff]", "", name).replace("/", "_").strip(".") or "x"
    place = f"{tmp_path if inside else '/elsewhere'}/{name}"
    row = _with(path=place, title=title, why=why)
    path = playlists.write(tmp_path / "p.xspf", row, title)
    schema.validate(path)
    (track,) = _xspf(path)
    assert track["path"] == place
    shown = " ".join(title.split())
    assert track["title"] == (
        re.sub("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", shown)
        or "track0 0:00–0:15"
    )
    (entry,) = _m3u8(playlists.write(tmp_path / "p.m3u8", row, title))
    assert entry["path"] == place
    assert entry["title"].startswith(track["title"])
    assert entry["seconds"] == "15"


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = playlists.write(tmp_path / "p.xspf", _sections(1), "old")
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
            playlists.write(path, bad, "new")
    with pytest.raises(ValueError, match=r"'p.pls' is no playlist; .* \.xspf or \.m3u8"):
        playlists.write(tmp_path / "p.pls", _sections(), "t")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.xspf"]


# Choices


@pytest.fixture
def two():
    """Two clusters on a line, around 0 and 10, a row halfway and one of no cluster."""
    z = np.array([[0.0], [1], [-1], [4.9], [10], [11], [8.1], [99]])
    return z, _sections(8), np.array([0, 0, 0, 0, 1, 1, 1, -1])


def test_a_cluster_comes_whole_and_in_order(two):
    _, sections, labels = two
    found = playlists.cluster(sections, labels, 1)
    assert list(found.index) == [4, 5, 6]
    assert set(found["why"]) == {"of cluster 1"}
    with pytest.raises(ValueError, match="no section is of cluster 7; choose one of 0, 1"):
        playlists.cluster(sections, labels, 7)
    with pytest.raises(ValueError, match="8 sections but 3 labels"):
        playlists.cluster(sections, labels[:3], 1)


def test_central_sections_come_nearest_first(two):
    z, sections, labels = two
    found = playlists.central(z, sections, labels, 0, 2)  # mean 1.225
    assert list(found.index) == [1, 0]
    assert found["why"].iloc[0] == "0.225 from the centre of cluster 0, half lie within 1.73"
    assert len(playlists.central(z, sections, labels, 0, 99)) == 4


def test_border_sections_lie_between_two_clusters(two):
    z, sections, labels = two
    found = playlists.border(z, sections, labels, 3)
    assert found.index[0] == 3
    assert found["why"].iloc[0] == (
        "between clusters 0 and 1: 3.68 from one centre, 4.8 from the other"
    )
    assert len(playlists.border(z, sections, labels, 99)) == 7  # not the one of no cluster
    with pytest.raises(ValueError, match="1 clusters have no border"):
        playlists.border(z, sections, np.zeros(8, int), 3)


def test_neighbours_are_of_other_tracks_first(two):
    z, sections, _ = two
    found = playlists.neighbours(z, sections, 0, 99)  # rows 0 and 1 are one track
    assert list(found.index) == [2, 3, 6, 4, 5, 7, 1]
    assert found["why"].iloc[0] == "1 away"
    assert found["why"].iloc[-1] == "1 away, of the same track"
    with pytest.raises(ValueError, match="there is no section 8; choose one of 0 to 7"):
        playlists.neighbours(z, sections, 8, 1)


def _attributes(rng, n: int = 60) -> tuple[np.ndarray, pd.DataFrame]:
    z = rng.uniform(size=(n, 4))
    sections = _sections(n).assign(silent=False, clipped=0.0, fold=0)
    sections["rms_mean"] = 0.1 + 0.001 * rng.normal(size=n)
    sections["spectral_centroid_mean"] = 2000 + 10 * rng.normal(size=n)
    return z, sections


def test_anomalies_say_why(rng):
    z, sections = _attributes(rng)
    sections.loc[3, "silent"] = True
    sections.loc[5, "rms_mean"] = 0.001
    sections.loc[7, "clipped"] = 0.031
    sections.loc[9, "end_s"] = sections.loc[9, "start_s"] + 7.9
    z[11], sections.loc[11, "spectral_centroid_mean"] = 20, 9000
    z[13], sections.loc[13, "clipped"], sections.loc[13, "rms_mean"] = -30, 0.5, 0.2
    found = playlists.anomalies(z, sections, 10)["why"]
    assert list(found.index)[:2] == [13, 11]  # most reasons first, then the farthest
    assert set(found.index) == {3, 5, 7, 9, 11, 13}
    assert found[3] == "silence"
    assert found[5] == "almost silence, 40 dB below the median"
    assert found[7] == "clipping, 3.1% of the samples at full scale"
    assert found[9] == "cut at the end of the file, 7.9 of 15.0 s are sound"
    assert found[11].startswith("unlike all others: spectral_centroid_mean 9000 is far above the")
    assert re.match(r"clipping, 50.0%.*; unlike all others: rms_mean 0.2 is far above", found[13])
    assert list(playlists.anomalies(z, sections, 2).index) == [13, 11]


def test_ordinary_sections_are_no_anomalies(rng):
    _, sections = _attributes(rng)
    z = np.arange(60.0)[:, None]  # all as far from the next
    assert playlists.anomalies(z, sections, 10).empty
    assert playlists.anomalies(np.zeros((60, 2)), sections, 10).empty
    lengths = sections.assign(end_s=sections["start_s"] + rng.uniform(8, 30, 60))
    assert playlists.anomalies(np.zeros((60, 2)), lengths, 10).empty  # no grid, nothing is cut
    bare = sections[["item_id", "path", "start_s", "end_s"]]
    assert (
        playlists.anomalies(np.eye(60)[:, :5], bare, 3)["why"]
        .eq("unlike all others: nothing is known of it")
        .all()
    )


def test_what_cannot_be_judged_is_refused(two):
    z, sections, labels = two
    with pytest.raises(ValueError, match="2 sections are too few"):
        playlists.anomalies(z[:2], sections[:2], 1)
    for bad, words in ((z[:3], "do not fit 8 sections"), (z * np.nan, "hold NaN or infinity")):
        for ask in (
            lambda z: playlists.central(z, sections, labels, 0, 1),
            lambda z: playlists.border(z, sections, labels, 1),
            lambda z: playlists.anomalies(z, sections, 1),
            lambda z: playlists.neighbours(z, sections, 0, 1),
        ):
            with pytest.raises(ValueError, match=words):
                ask(bad)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(4, 30), k=st.integers(2, 3))
def test_choices_are_rows_without_repetition_and_the_same_again(seed, n, k):
    rng = np.random.default_rng(seed)
    z, sections, labels = rng.integers(0, 3, (n, 2)), _sections(n), np.arange(n) % k
    for ask in (
        lambda: playlists.central(z, sections, labels, 1, 5),
        lambda: playlists.border(z, sections, labels, 5),
        lambda: playlists.anomalies(z, sections, 5),
        lambda: playlists.neighbours(z, sections, n - 1, 5),
    ):
        found = ask()
        pd.testing.assert_frame_equal(found, ask())
        assert found.index.is_unique
        pd.testing.assert_frame_equal(found.drop(columns="why"), sections.loc[found.index])
    away = np.linalg.norm(z - z[n - 1], axis=1)
    order = [away[i] for i in playlists.neighbours(z, sections, n - 1, n).index if i < n - 2]
    assert all(a <= b for a, b in pairwise(order))
