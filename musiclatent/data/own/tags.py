"""Read the tags of an audio file, and write tempo and key into them where that is asked for."""

import os
import re
import shutil
from pathlib import Path

import mutagen
from mutagen import id3, mp4

from musiclatent.errors import AudioError, first_line
from musiclatent.files import whole_file

# Column of the index -> its name in ID3, MP4, ASF, and in Vorbis comments and APE.
FIELDS = {
    "artist": ("TPE1", "\xa9ART", "Author", "artist"),
    "album": ("TALB", "\xa9alb", "WM/AlbumTitle", "album"),
    "song_title": ("TIT2", "\xa9nam", "Title", "title"),
    "genre": ("TCON", "\xa9gen", "WM/Genre", "genre"),
    "year": ("TDRC", "\xa9day", "WM/Year", "date"),
    "bpm": ("TBPM", "tmpo", "WM/BeatsPerMinute", "bpm"),
    "initial_key": ("TKEY", "----:com.apple.iTunes:initialkey", "WM/InitialKey", "initialkey"),
}
NUMBERS = ("year", "bpm")


def read_tags(path: str | Path) -> dict[str, str | float]:
    """Read the tags of a file.

    Parameters
    ----------
    path
        An audio file.

    Returns
    -------
    dict
        The names of `FIELDS`: text, empty where there is none; `NUMBERS` as float, NaN where there
        is none. Of several artists or genres the first.
    """
    try:
        file = mutagen.File(path)
    except (mutagen.MutagenError, OSError, ValueError, KeyError, IndexError, TypeError):
        file = None  # what is broken in a tag is no reason not to hear the file
    tags = getattr(file, "tags", None)
    found = {name: _first(tags, names) for name, names in FIELDS.items()}
    return found | {name: _number(found[name]) for name in NUMBERS}


def _first(tags: object, names: tuple[str, ...]) -> str:
    """Return the first value of a tag under any of its names, as one line of text."""
    for name in names:
        try:
            value = tags[name] if tags is not None else None
        except (KeyError, ValueError):
            continue
        value = getattr(value, "genres", None) or getattr(value, "text", value)
        value = value[0] if isinstance(value, list) and value else value
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        return " ".join(text.encode("utf-8", "replace").decode().split()) if value else ""
    return ""


def _number(text: str) -> float:
    """Return the first number of a text, such as the year of a date."""
    found = re.search(r"\d+(?:[.,]\d+)?", text)
    return float(found[0].replace(",", ".")) if found else float("nan")


def write_tags(path: str | Path, *, bpm: float | None = None, key: str = "") -> None:
    """Write tempo and key into the tags of a file, whole or not at all; its sound stays as it is.

    Parameters
    ----------
    path
        An audio file.
    bpm
        Beats per minute; None leaves that tag as it is.
    key
        Such as ``Am`` or ``F#``; empty leaves that tag as it is.

    Raises
    ------
    AudioError
        If the file cannot be read or written, or its kind has no tags.
    """
    path = Path(os.path.realpath(path))
    try:
        with whole_file(path) as part:
            shutil.copy2(path, part)
            file = mutagen.File(part)
            if file is None:
                raise AudioError(path, "this kind of file has no tags", "convert it, to flac say")
            if file.tags is None:
                file.add_tags()
            _set(file.tags, bpm, key)
            file.save()
    except (mutagen.MutagenError, OSError) as error:
        reason = f"its tags cannot be written ({first_line(error)})"
        raise AudioError(path, reason, "check the file, its permissions and the space") from error


def _set(tags: object, bpm: float | None, key: str) -> None:
    """Set tags in the way that their kind has; ID3 and MP4 hold whole beats per minute."""
    if isinstance(tags, id3.ID3):
        if bpm is not None:
            tags.setall("TBPM", [id3.TBPM(encoding=3, text=[str(round(bpm))])])
        if key:
            tags.setall("TKEY", [id3.TKEY(encoding=3, text=[key])])
        return
    names = {column: FIELDS[column] for column in ("bpm", "initial_key")}
    kind = 1 if isinstance(tags, mp4.MP4Tags) else 2 if "ASF" in type(tags).__name__ else 3
    if bpm is not None:
        tags[names["bpm"][kind]] = [round(bpm)] if kind == 1 else [f"{bpm:.2f}"]
    if key:
        tags[names["initial_key"][kind]] = [key.encode() if kind == 1 else key]
