"""Tracks of a collection by what people call them, and by where they lie."""

import unicodedata
from pathlib import Path

import pandas as pd


def find(sections: pd.DataFrame, track: str) -> str:
    """Return the item_id of a track by its name, however accents are spelt, or by its path.

    Parameters
    ----------
    sections
        item_id and path, one row per section.
    track
        Name below the folder, or path from where the command was given.

    Returns
    -------
    str
        The name as the table has it; what was given where it has no such track.
    """
    rows = sections.drop_duplicates("item_id")
    names = {_composed(name): name for name in rows["item_id"]}
    paths = {
        _composed(path): name for path, name in zip(rows["path"], rows["item_id"], strict=True)
    }
    place = Path(track).expanduser()
    places = [_composed(str(at)) for at in (place.absolute(), place.resolve())]
    return next(
        (found for at in places if (found := paths.get(at))), names.get(_composed(track), track)
    )


def _composed(name: str) -> str:
    """Return a name with accents composed: keyboards type them so, disks may hold them apart."""
    return unicodedata.normalize("NFC", name)


def row_at(sections: pd.DataFrame, track: str, at_s: float) -> int:
    """Find the section of a track at a moment.

    Parameters
    ----------
    sections
        item_id, start_s, end_s; B rows.
    track
        item_id.
    at_s
        Seconds of the track.

    Raises
    ------
    ValueError
        If there is no such track or moment.
    """
    of_track = sections[sections["item_id"] == track]
    if of_track.empty:
        raise ValueError(f"there is no track {track!r} with sound; name one of the folder")
    rows = of_track.index[(of_track["start_s"] <= at_s) & (of_track["end_s"] > at_s)]
    if rows.empty:
        raise ValueError(f"{track} has no section with sound at {at_s:g} s; name another moment")
    return int(rows[0])


def left_out(rows: pd.DataFrame, kept: set[str], least_s: float) -> pd.DataFrame:
    """Name the tracks of which no section can be used: item_id, reason.

    Parameters
    ----------
    rows
        item_id and silent, one row per section of all tracks but copies.
    kept
        item_id of those of which one can.
    least_s
        Seconds that a section has at least.
    """
    lost = rows[~rows["item_id"].isin(kept)].groupby("item_id")
    reasons = [
        (name, "it is silent" if part["silent"].all() else f"it lasts less than {least_s:g} s")
        for name, part in lost
    ]
    return pd.DataFrame(reasons, columns=["item_id", "reason"])


def none_usable(rows: pd.DataFrame, least_s: float) -> str:
    """Say why no section can be used.

    Parameters
    ----------
    rows
        item_id, start_s, end_s and silent of all sections.
    least_s
        Seconds that a section has at least.
    """
    if rows["silent"].all():
        return "all tracks are silent; name a folder with sound in it"
    longest = (rows["end_s"] - rows["start_s"])[~rows["silent"]].max()
    return (
        f"the longest of {rows['item_id'].nunique()} tracks lasts {longest:.2f} s; give one of "
        f"{least_s:g} s or more"
    )
