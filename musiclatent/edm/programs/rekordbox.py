"""Write tracks as a rekordbox library: tempo, beat grid, key and cues of each.

rekordbox and Mixxx read it as it is; converters make Serato's library of it.
Format: rekordbox xml, format list of Pioneer DJ, version 1.0.0.
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import pandas as pd

from musiclatent import __version__
from musiclatent.edm.programs import facts
from musiclatent.features.rhythm import Track

_TAGS = {"Artist": "artist", "Album": "album", "Genre": "genre"}


def render(
    path: Path,
    items: pd.DataFrame,
    *,
    tracks: Mapping[str, Track],
    cues: Mapping[str, Mapping[str, float]],
) -> str:
    """Return a library as text.

    Parameters
    ----------
    path, items, tracks, cues
        As in `library.write`.
    """
    root = ElementTree.Element("DJ_PLAYLISTS", Version="1.0.0")
    about = {"Name": "musiclatent", "Version": __version__, "Company": "musiclatent"}
    ElementTree.SubElement(root, "PRODUCT", about)
    once = items.drop_duplicates("path")
    collection = ElementTree.SubElement(root, "COLLECTION", Entries=str(len(once)))
    for number, (_, row) in enumerate(once.iterrows(), 1):
        _add_track(collection, number, row, tracks[row["path"]], cues.get(row["path"], {}))
    playlists = ElementTree.SubElement(root, "PLAYLISTS")
    top = ElementTree.SubElement(playlists, "NODE", Type="0", Name="ROOT", Count="1")
    names = {"Name": facts.text(path.stem), "Type": "1", "KeyType": "0", "Entries": str(len(items))}
    node = ElementTree.SubElement(top, "NODE", names)
    numbers = {path: str(number) for number, path in enumerate(once["path"], 1)}
    for place in items["path"]:
        ElementTree.SubElement(node, "TRACK", Key=numbers[place])
    ElementTree.indent(root)
    text = ElementTree.tostring(root, "unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _add_track(
    collection: ElementTree.Element,
    number: int,
    row: pd.Series,
    track: Track,
    cues: Mapping[str, float],
) -> None:
    """Add one track with its grid and cues."""
    words = {"Name": facts.title(row)}
    words |= {name: facts.text(row.get(column, "")) for name, column in _TAGS.items()}
    key, rhythm = track.key(), track.rhythm
    about = {"TrackID": str(number), "Kind": f"{_kind(row['path'])} File"}
    about |= {"TotalTime": str(round(row["seconds"])), "Tonality": facts.short_name(key)}
    about |= {"AverageBpm": f"{rhythm.tempo:.2f}"} if rhythm.tempo > 0 else {}
    about |= {"Comments": f"{rhythm.said} bpm"} if rhythm.tempo > 0 else {}
    about |= {"Year": facts.year(row)}
    about |= {"Location": address(row["path"])}
    known = {name: value for name, value in (words | about).items() if value}
    element = ElementTree.SubElement(collection, "TRACK", known)
    metre = "3/4" if rhythm.bar % 3 == 0 else "4/4"
    for start_s, bpm in facts.grid(rhythm):
        grid = {"Inizio": f"{start_s:.3f}", "Bpm": f"{bpm:.2f}", "Metro": metre, "Battito": "1"}
        ElementTree.SubElement(element, "TEMPO", grid)
    for place, (name, start_s) in enumerate(list(cues.items())[: facts.HOT_CUES]):
        mark = {"Name": facts.text(name), "Type": "0", "Start": f"{start_s:.3f}"}
        ElementTree.SubElement(element, "POSITION_MARK", mark | {"Num": str(place)})


def _kind(path: str) -> str:
    """Return how rekordbox names the kind of a file."""
    return Path(path).suffix[1:].upper()


def address(path: str | Path) -> str:
    """Return the address of a file as rekordbox writes it, in ASCII."""
    return "file://localhost" + quote(bytes(Path(path).absolute()))
