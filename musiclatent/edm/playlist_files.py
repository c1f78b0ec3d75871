"""Playlists of sections as files that players open: XSPF and m3u8.

A section plays from its start to its end where the player can: VLC reads both times from either
format, other players play the whole file. The times are not put into the address as a media
fragment (``#t=15,30``): players that hand addresses to GLib refuse one with a "#" in it, and others
take it for a part of the file's name, so that it would cost the sound where it did not help.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from musiclatent.files import need_columns, write_file

COLUMNS = ("path", "start_s", "end_s", "item_id")
_XSPF = {
    "version": "1",
    "xmlns": "http://xspf.org/ns/0/",
    "xmlns:vlc": "http://www.videolan.org/vlc/playlist/ns/0/",
}
_VLC = "http://www.videolan.org/vlc/playlist/0"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_playlist(path: str | Path, sections: pd.DataFrame, title: str) -> Path:
    """Write a playlist, whole or not at all.

    Parameters
    ----------
    path
        The file, ``.xspf`` or ``.m3u8``; its folder is made. An XSPF file holds absolute file
        addresses; an m3u8 file holds paths, relative to its own folder where the sound lies
        inside it and absolute elsewhere, and file addresses of names that players would misread:
        with ``#``, ``?``, ``%``, a colon or a line break.
    sections
        Rows in the order of playing: path, start_s, end_s, item_id. A column `title` takes the
        place of track and time; a column `why` is shown with it.
    title
        Name of the playlist.

    Raises
    ------
    ValueError
        If the suffix is another, a column is missing, a time is no time or a path no path.

    Notes
    -----
    XSPF version 1, https://www.xspf.org/spec. Characters that XML 1.0 cannot hold become U+FFFD.
    """
    path = Path(path)
    check_suffix(path)
    _validate(sections)
    make = {".xspf": _xspf, ".m3u8": _m3u8}[path.suffix.lower()]
    return write_file(path, make(path, sections, title))


def check_suffix(path: Path, also: Sequence[str] = ()) -> None:
    """Refuse a file name that no playlist has.

    Parameters
    ----------
    path
        The file.
    also
        Suffixes that are taken beside ``.xspf`` and ``.m3u8``.

    Raises
    ------
    ValueError
        If its suffix is another.
    """
    suffixes = (*also, ".xspf", ".m3u8")
    if path.suffix.lower() not in suffixes:
        ends = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
        raise ValueError(f"{path.name!r} is no playlist; let its name end in {ends}")


def _validate(sections: pd.DataFrame) -> None:
    """Refuse rows that cannot be played."""
    need_columns(sections, COLUMNS, "the sections have no column", f"give {COLUMNS}")
    times = sections[["start_s", "end_s"]].to_numpy(float)
    good = np.isfinite(times).all(axis=1) & (times[:, 0] >= 0) & (times[:, 0] < times[:, 1])
    if not good.all():
        start_s, end_s = times[good.argmin()]
        raise ValueError(
            f"section {good.argmin()} goes from {start_s:g} to {end_s:g} s; "
            "give rising times from 0 on"
        )


def _xspf(path: Path, sections: pd.DataFrame, title: str) -> str:
    """Write XSPF version 1; elements in the order of the specification, as old readers want it."""
    # VLC recognises elements by these very prefixes.
    playlist = ElementTree.Element("playlist", _XSPF)
    _add(playlist, "title", title)
    tracks = ElementTree.SubElement(playlist, "trackList")
    for number, (_, row) in enumerate(sections.iterrows(), 1):
        track = ElementTree.SubElement(tracks, "track")
        _add(track, "location", _address(row["path"]))
        _add(track, "title", _title(row))
        _add(track, "annotation", row.get("why", ""))
        _add(track, "trackNum", str(number))
        _add(track, "duration", str(round(1000 * (row["end_s"] - row["start_s"]))))
        extension = ElementTree.SubElement(track, "extension", application=_VLC)
        for option in _times(row):
            _add(extension, "vlc:option", option)
    ElementTree.indent(playlist)
    text = ElementTree.tostring(playlist, "unicode", short_empty_elements=False)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _m3u8(path: Path, sections: pd.DataFrame, title: str) -> str:
    """Write m3u8: a line with the title, VLC's times and a line with the path, for each section."""
    lines = ["#EXTM3U", f"#PLAYLIST:{_line(title)}"]
    folder = path.absolute().parent
    for _, row in sections.iterrows():
        why = _line(row.get("why", ""))
        shown = _line(_title(row)) + (f" ({why})" if why else "")
        lines.append(f"#EXTINF:{round(row['end_s'] - row['start_s'])},{shown}")
        lines += [f"#EXTVLCOPT:{option}" for option in _times(row)]
        lines.append(_path_line(row["path"], folder))
    return "\n".join(lines) + "\n"


def _add(parent: ElementTree.Element, name: str, text: str) -> None:
    """Add an element, unless its text is empty."""
    if _line(text):
        ElementTree.SubElement(parent, name).text = _line(text)


def _line(text: object) -> str:
    """Return text on one line, without what XML 1.0 cannot hold; missing is empty."""
    return "" if pd.isna(text) else _NOT_XML.sub("\ufffd", " ".join(str(text).split()))


def _title(row: pd.Series) -> str:
    """Name a section by its title, else by track and time."""
    if _line(row.get("title", "")):
        return row["title"]
    times = (f"{int(s // 60)}:{int(s % 60):02d}" for s in (row["start_s"], row["end_s"]))
    return f"{row['item_id']} {'–'.join(times)}"


def _times(row: pd.Series) -> list[str]:
    """Return VLC's options for a section."""
    return [f"start-time={row['start_s']:.3f}", f"stop-time={row['end_s']:.3f}"]


def _address(path: str | Path) -> str:
    """Return the file address of a path, in ASCII."""
    if str(path) and "\0" not in str(path):
        with suppress(ValueError):  # half a surrogate pair, too, is in no file's name
            return Path(path).absolute().as_uri()
    raise ValueError(f"{str(path)!r} is no path of a file; correct the column path")


def _path_line(path: str | Path, folder: Path) -> str:
    """Return a path as a line of an m3u8 file."""
    address, place = _address(path), Path(path).absolute()
    line = str(place.relative_to(folder) if place.is_relative_to(folder) else place)
    # Players take some lines for addresses: they cut them at # and ?, undo %41, and take what is
    # before a colon for a protocol. Such a line is spelt out, and what they would trim.
    plain = line == _line(line) and line.isprintable() and not re.search("[#?%:]", line)
    return line if plain else address
