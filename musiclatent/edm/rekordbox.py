"""Write tracks as a rekordbox library: tempo, beat grid, key and cues of each.

rekordbox and Mixxx read it as it is; converters make Traktor's and Serato's libraries of it.
Format: rekordbox xml, format list of Pioneer DJ, version 1.0.0.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from musiclatent import __version__
from musiclatent.features.rhythm import STABLE, Rhythm, Track
from musiclatent.features.tonal import NAMES, Key
from musiclatent.files import write_file

HOT_CUES = 8
GRID_S = 30.0  # how often a grid is pinned to the beats where the tempo is not steady
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {"Name": "song_title", "Artist": "artist", "Album": "album", "Genre": "genre"}


def write_library(
    path: Path,
    items: pd.DataFrame,
    *,
    tracks: Mapping[str, Track],
    cues: Mapping[str, Mapping[str, float]],
) -> Path:
    """Write a library, whole or not at all.

    Parameters
    ----------
    path
        The file, ``.xml``; its folder is made.
    items
        One row per track, in the order of the playlist: item_id, path, seconds, and the columns of
        tags where there are any.
    tracks
        What was measured of each, by its path.
    cues
        Seconds of its cues by their names, by its path; the first `HOT_CUES` become hot cues.

    Raises
    ------
    ValueError
        If the suffix is another.
    """
    path = Path(path)
    check_suffix(path)
    root = ElementTree.Element("DJ_PLAYLISTS", Version="1.0.0")
    about = {"Name": "musiclatent", "Version": __version__, "Company": "musiclatent"}
    ElementTree.SubElement(root, "PRODUCT", about)
    collection = ElementTree.SubElement(root, "COLLECTION", Entries=str(len(items)))
    for number, (_, row) in enumerate(items.iterrows(), 1):
        _add_track(collection, number, row, tracks[row["path"]], cues.get(row["path"], {}))
    playlists = ElementTree.SubElement(root, "PLAYLISTS")
    top = ElementTree.SubElement(playlists, "NODE", Type="0", Name="ROOT", Count="1")
    names = {"Name": _text(path.stem), "Type": "1", "KeyType": "0", "Entries": str(len(items))}
    node = ElementTree.SubElement(top, "NODE", names)
    for number in range(1, len(items) + 1):
        ElementTree.SubElement(node, "TRACK", Key=str(number))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, "unicode")
    return write_file(path, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')


def check_suffix(path: Path) -> None:
    """Refuse a file name that no library has.

    Raises
    ------
    ValueError
        If its suffix is another than ``.xml``.
    """
    if path.suffix.lower() != ".xml":
        raise ValueError(f"{path.name!r} is no library; let its name end in .xml")


def _add_track(
    collection: ElementTree.Element,
    number: int,
    row: pd.Series,
    track: Track,
    cues: Mapping[str, float],
) -> None:
    """Add one track with its grid and cues."""
    words = {name: _text(row.get(column, "")) for name, column in _TAGS.items()}
    words["Name"] = words["Name"] or _text(Path(row["item_id"]).stem)
    key, rhythm = track.key(), track.rhythm
    facts = {"TrackID": str(number), "Kind": f"{_kind(row['path'])} File"}
    facts |= {"TotalTime": str(round(row["seconds"])), "Tonality": short_name(key)}
    facts |= {"AverageBpm": f"{rhythm.tempo:.2f}"} if rhythm.tempo > 0 else {}
    facts |= {"Comments": f"{rhythm.said} bpm"} if rhythm.tempo > 0 else {}
    facts |= {"Year": f"{row['year']:.0f}"} if row.get("year", np.nan) > 0 else {}
    facts |= {"Location": address(row["path"])}
    known = {name: value for name, value in (words | facts).items() if value}
    element = ElementTree.SubElement(collection, "TRACK", known)
    for grid in _grid(rhythm):
        ElementTree.SubElement(element, "TEMPO", grid)
    for place, (name, start_s) in enumerate(list(cues.items())[:HOT_CUES]):
        mark = {"Name": _text(name), "Type": "0", "Start": f"{start_s:.3f}"}
        ElementTree.SubElement(element, "POSITION_MARK", mark | {"Num": str(place)})


def _kind(path: str) -> str:
    """Return how rekordbox names the kind of a file."""
    return Path(path).suffix[1:].upper()


def _grid(rhythm: Rhythm) -> list[dict[str, str]]:
    """Return where a grid begins and how fast it is; of a wandering tempo every `GRID_S`."""
    if not rhythm.tempo > 0 or len(rhythm.beats_s) < 2:
        return []
    beats_s, starts = rhythm.beats_s, [rhythm.downbeat]
    if rhythm.stability < STABLE:
        step = max(1, round(GRID_S * rhythm.tempo / 60 / rhythm.bar)) * rhythm.bar
        starts = list(range(rhythm.downbeat, len(beats_s) - 1, step))
    ends = [*starts[1:], len(beats_s) - 1]
    metre = "3/4" if rhythm.bar % 3 == 0 else "4/4"
    return [
        {"Inizio": f"{beats_s[a]:.3f}", "Bpm": f"{_bpm(beats_s, a, b):.2f}"}
        | {"Metro": metre, "Battito": "1"}
        for a, b in zip(starts, ends, strict=True)
        if a < b
    ]


def _bpm(beats_s: np.ndarray, a: int, b: int) -> float:
    """Return beats per minute from one beat to another."""
    return 60 * (b - a) / (beats_s[b] - beats_s[a])


def short_name(key: Key) -> str:
    """Return a key as DJ programs and tags write it, such as ``F#m``; empty for none."""
    return f"{NAMES[key.tonic]}{'m' if key.mode == 'minor' else ''}" if key else ""


def address(path: str | Path) -> str:
    """Return the address of a file as rekordbox writes it, in ASCII."""
    return "file://localhost" + quote(bytes(Path(path).absolute()))


def _text(value: object) -> str:
    """Return text on one line, without what XML 1.0 cannot hold; missing is empty."""
    return "" if pd.isna(value) else _NOT_XML.sub("\ufffd", " ".join(str(value).split()))
