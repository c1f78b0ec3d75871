"""Write a library for DJ programs; its suffix says for which."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path

import pandas as pd

from musiclatent.edm.programs import rekordbox, traktor
from musiclatent.features.rhythm import Track
from musiclatent.files import write_file

WRITERS = {".xml": rekordbox.render, ".nml": traktor.render}


def write(
    path: Path,
    items: pd.DataFrame,
    *,
    tracks: Mapping[str, Track],
    cues: Mapping[str, Mapping[str, float]],
) -> Path:
    """Write a library for rekordbox (``.xml``) or Traktor (``.nml``), whole or not at all.

    Parameters
    ----------
    path
        The file; its folder is made, and its name is that of the playlist.
    items
        One row per place of the playlist: item_id, path, seconds, and the columns of tags where
        there are any. A track that comes again is in the collection once.
    tracks
        What was measured of each, by its path.
    cues
        Seconds of its cues by their names, by its path; the first `facts.HOT_CUES` become hot cues.

    Raises
    ------
    ValueError
        If the suffix is another.
    """
    check_suffix(path)
    text = WRITERS[path.suffix.lower()](path, items, tracks=tracks, cues=cues)
    return write_file(path, text)


def check_suffix(path: Path) -> None:
    """Refuse a file name that no library has.

    Raises
    ------
    ValueError
        If its suffix is another than ``.xml`` and ``.nml``.
    """
    if path.suffix.lower() not in WRITERS:
        raise ValueError(
            f"{path.name!r} is no library of a DJ program; let its name end in .xml or .nml"
        )


def write_sections(
    path: Path, sections: pd.DataFrame, items: pd.DataFrame, tracks: Mapping[str, Track]
) -> Path:
    """Write a playlist of sections as a library, with a cue at the beginning of each.

    Parameters
    ----------
    path
        As in `write`.
    sections
        path and start_s, one row per section in the order of playing; ``why`` names its cue.
    items
        One row per track: item_id, path, seconds, and its tags.
    tracks
        What was measured of each, by its path; a track without is left out.
    """
    kept = sections[sections["path"].isin(tracks.keys())]
    cues = {
        place: {f"{i} {why}": s for i, why, s in zip(count(1), rows["why"], rows["start_s"])}
        for place, rows in kept.groupby("path")
    }
    rows = items.set_index("path").loc[kept["path"]].reset_index()
    return write(path, rows, tracks=tracks, cues=cues)
