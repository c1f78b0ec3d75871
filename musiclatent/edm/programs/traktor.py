"""Write tracks as a collection and a playlist of Traktor (NML): tempo, grid, key and cues of each.

The format is documented nowhere; it is written as Traktor 3 writes it (version 19), whose later
versions read it. Times are in milliseconds.
"""

import uuid
from collections.abc import Mapping
from pathlib import Path, PurePath
from xml.etree import ElementTree

import pandas as pd

from musiclatent.edm.programs import facts
from musiclatent.features.rhythm import Track

HEAD = {"COMPANY": "www.native-instruments.com", "PROGRAM": "Traktor"}  # readers look for it
START_VOLUME = "Macintosh HD"  # as Macs are delivered; what lies elsewhere names its own
FADES = {"in": "1", "out": "2"}  # cues that Traktor knows as a fade in and out; others are plain
GRID = "4"


def render(
    path: Path,
    items: pd.DataFrame,
    *,
    tracks: Mapping[str, Track],
    cues: Mapping[str, Mapping[str, float]],
) -> str:
    """Return a collection and a playlist of it as text.

    Parameters
    ----------
    path, items, tracks, cues
        As in `library.write`.
    """
    root = ElementTree.Element("NML", VERSION="19")
    ElementTree.SubElement(root, "HEAD", HEAD)
    once = items.drop_duplicates("path")
    collection = ElementTree.SubElement(root, "COLLECTION", ENTRIES=str(len(once)))
    for _, row in once.iterrows():
        _add_track(collection, row, tracks[row["path"]], cues.get(row["path"], {}))
    ElementTree.SubElement(root, "SETS", ENTRIES="0")
    _add_playlist(root, path, items)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, "unicode", short_empty_elements=False)
    declared = '<?xml version="1.0" encoding="UTF-8" standalone="no" ?>'
    return f"{declared}\n{text}\n"


def _add_playlist(root: ElementTree.Element, path: Path, items: pd.DataFrame) -> None:
    """Add the folder of playlists with the one that holds all items in their order."""
    playlists = ElementTree.SubElement(root, "PLAYLISTS")
    top = ElementTree.SubElement(playlists, "NODE", TYPE="FOLDER", NAME="$ROOT")
    inside = ElementTree.SubElement(top, "SUBNODES", COUNT="1")
    node = ElementTree.SubElement(inside, "NODE", TYPE="PLAYLIST", NAME=facts.text(path.stem))
    about = {"ENTRIES": str(len(items)), "TYPE": "LIST"}
    about |= {"UUID": uuid.uuid5(uuid.NAMESPACE_URL, facts.text(path.absolute())).hex}
    listed = ElementTree.SubElement(node, "PLAYLIST", about)
    for place in items["path"]:
        entry = ElementTree.SubElement(listed, "ENTRY")
        key = "".join(location(Path(place).absolute()))
        ElementTree.SubElement(entry, "PRIMARYKEY", TYPE="TRACK", KEY=key)


def _add_track(
    collection: ElementTree.Element, row: pd.Series, track: Track, cues: Mapping[str, float]
) -> None:
    """Add one track with its grid and cues; the order of elements is Traktor's."""
    key, rhythm, known = track.key(), track.rhythm, _tempo(track)
    names = {"TITLE": facts.title(row), "ARTIST": facts.text(row.get("artist", ""))}
    entry = ElementTree.SubElement(collection, "ENTRY", _given(names))
    volume, folder, file = location(Path(row["path"]).absolute())
    where = {"DIR": folder, "FILE": file, "VOLUME": volume, "VOLUMEID": volume}
    ElementTree.SubElement(entry, "LOCATION", where)
    if album := facts.text(row.get("album", "")):
        ElementTree.SubElement(entry, "ALBUM", TITLE=album)
    about = {"GENRE": facts.text(row.get("genre", "")), "KEY": facts.short_name(key)}
    about |= {"COMMENT": f"{rhythm.said} bpm" if known else ""}
    about |= {"PLAYTIME": str(round(row["seconds"])), "PLAYTIME_FLOAT": f"{row['seconds']:.6f}"}
    about |= {"RELEASE_DATE": f"{facts.year(row)}/1/1" if facts.year(row) else ""}
    ElementTree.SubElement(entry, "INFO", _given(about))
    if known:
        ElementTree.SubElement(entry, "TEMPO", known)
    if key:
        number = key.tonic + 12 * (key.mode == "minor")
        ElementTree.SubElement(entry, "MUSICAL_KEY", VALUE=str(number))
    for start_s, bpm in facts.grid(rhythm):
        mark = _add_cue(entry, "AutoGrid", GRID, start_s, -1)
        ElementTree.SubElement(mark, "GRID", BPM=f"{bpm:.6f}")
    for place, (name, start_s) in enumerate(list(cues.items())[: facts.HOT_CUES]):
        _add_cue(entry, facts.text(name), FADES.get(name, "0"), start_s, place)


def _tempo(track: Track) -> dict[str, str]:
    """Return the tempo of a track as attributes; nothing where there is none."""
    tempo = track.rhythm.tempo
    return {"BPM": f"{tempo:.6f}", "BPM_QUALITY": "100.000000"} if tempo > 0 else {}


def _add_cue(
    entry: ElementTree.Element, name: str, kind: str, start_s: float, place: int
) -> ElementTree.Element:
    """Add a cue; -1 is no hot cue."""
    cue = {"NAME": name or "n.n.", "DISPL_ORDER": "0", "TYPE": kind}
    cue |= {"START": f"{1000 * start_s:.6f}", "LEN": "0.000000", "REPEATS": "-1"}
    return ElementTree.SubElement(entry, "CUE_V2", cue | {"HOTCUE": str(place)})


def _given(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes that are not empty."""
    return {name: value for name, value in attributes.items() if value}


def location(path: PurePath) -> tuple[str, str, str]:
    """Return where a file lies as Traktor writes it.

    Parameters
    ----------
    path
        An absolute path.

    Returns
    -------
    volume, folder, file
        Such as ``Macintosh HD``, ``/:Users/:me/:Music/:`` and ``a.mp3``; joined they are its key in
        a playlist. A colon in a name is written ``//``. What XML cannot hold is U+FFFD: Traktor
        will not find such a file.
    """
    volume, parts = path.drive or START_VOLUME, path.parts[1:]
    if parts[0] == "Volumes" and len(parts) > 2 and not path.drive:
        volume, parts = parts[1], parts[2:]
    *folders, file = (facts.printable(part.replace(":", "//")) for part in parts)
    return facts.printable(volume), "/:" + "".join(f"{folder}/:" for folder in folders), file
