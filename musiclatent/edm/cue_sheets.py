"""Cue sheets, where the tracks of a mix begin in it; and its set, for who mixes it by hand.

Text is UTF-8 without a mark at its beginning, as foobar2000, VLC, mpv and Mixxx read it.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from musiclatent.edm import playlist_files
from musiclatent.edm.decks import deck
from musiclatent.edm.decks.silence import Cuts
from musiclatent.edm.mixdown import Mix
from musiclatent.edm.programs import library
from musiclatent.features.rhythm import Track
from musiclatent.files import write_file

TRACKS = 99  # that a sheet can hold
CUES = ("in", "in full", "out", "gone")  # of a track of a set
MINUTES = 99  # that most players read: MM has two digits


def write_cue_sheet(mix: Mix, path: str | Path) -> Path:
    """Write the cue sheet of a mix.

    Parameters
    ----------
    mix
        A rendered mix.
    path
        The cue sheet to make, ``.cue``; it names the mix without folder, so keep both together.

    Returns
    -------
    Path
        The cue sheet.

    Raises
    ------
    ValueError
        If no sheet can hold the name of the mix, see `check_name`.

    Notes
    -----
    A track begins where its fade does, at 1/75 s. The format knows no escape: in titles, double
    quotes become single ones, line breaks and other control characters spaces. It ends at track
    99; the table of the mix does not. Minutes above 99 are written out, and said.
    """
    path = Path(path)
    check_name(mix.path)
    lines = [f'FILE "{mix.path.name}" WAVE']  # as players expect it for flac too
    if mix.tracks["start_s"].max() >= 60 * (MINUTES + 1):
        lines.insert(0, f"REM minutes go above {MINUTES}, which some players cannot read")
    for number, row in enumerate(mix.tracks[:TRACKS].to_dict("records"), 1):
        frames = int(row["start_s"] * 75)
        index = f"{frames // 4500:02}:{frames // 75 % 60:02}:{frames % 75:02}"
        lines += [f"  TRACK {number:02} AUDIO", f'    TITLE "{_quotable(row["track"])}"']
        lines += [f'    REM COMMENT "{_quotable(row["note"])}"'] if row["note"] else []
        lines += [f"    INDEX 01 {index}"]
    if len(mix.tracks) > TRACKS:
        lines += [f"REM {len(mix.tracks) - TRACKS} more tracks: a cue sheet holds {TRACKS}"]
    return write_file(path, "\n".join(lines) + "\n")


def transition_cues(mix: Mix) -> pd.DataFrame:
    """Find where each track is mixed in and out, in its own time.

    Parameters
    ----------
    mix
        A rendered mix.

    Returns
    -------
    DataFrame
        One row per track, as played: path, and in seconds of its file ``in`` and ``in full``, where
        the fade into it begins and ends, ``out`` and ``gone``, where that out of it does. The first
        has no fade in, and the last none out: both times are then the same.
    """
    rows = mix.tracks.to_dict("records")
    ends = [(row["start_s"], row["start_s"] + row["fade_s"]) for row in rows[1:]]
    ends.append((rows[-1]["end_s"], rows[-1]["end_s"]))
    cues = []
    for row, (out_s, gone_s) in zip(rows, ends, strict=True):
        full_s = row["start_s"] + row["fade_s"]
        moments = dict(zip(CUES, (row["start_s"], full_s, out_s, gone_s), strict=True))
        cuts = mix.cuts.get(row["path"], Cuts(1e9))
        in_file = {name: cuts.source(deck.source(row, t)) for name, t in moments.items()}
        cues.append({"path": row["path"]} | {k: max(0.0, float(t)) for k, t in in_file.items()})
    return pd.DataFrame(cues)


def write_set(mix: Mix, items: pd.DataFrame, tracks: Mapping[str, Track]) -> list[Path]:
    """Write the set of a mix as libraries of DJ programs and as a playlist, with its cues.

    Parameters
    ----------
    mix
        A rendered mix; the files go beside it, under its name.
    items
        One row per track: item_id, path, seconds.
    tracks
        What was measured of each, by its path.

    Returns
    -------
    list
        The libraries of rekordbox (``.xml``) and Traktor (``.nml``): tempo, grid and key of each
        track, and hot cues where it is mixed in and out, in the order of the set; and the playlist
        (``.m3u8``, each track from its fade in to the end of its fade out).
    """
    cues = transition_cues(mix)
    rows = items.set_index("path").loc[cues["path"]].reset_index()
    named = cues.set_index("path")[list(CUES)].to_dict("index")
    libraries = [mix.path.with_suffix(suffix) for suffix in library.WRITERS]
    for path in libraries:
        library.write(path, rows, tracks=tracks, cues=named)
    playlist = mix.path.with_suffix(".m3u8")
    notes = mix.tracks["note"].where(mix.tracks["note"] != "", "beat on beat").to_numpy()
    times = {"start_s": cues["in"].to_numpy(), "end_s": cues["gone"].to_numpy()}
    playlist_files.write_playlist(playlist, rows.assign(why=notes, **times), mix.path.stem)
    return [*libraries, playlist]


def check_name(path: Path) -> None:
    """Refuse the name of a mix that no cue sheet can hold between its quotes.

    Raises
    ------
    ValueError
        If it has a double quote, a control character, or bytes that are no text.
    """
    if '"' in path.name or not path.name.isprintable():
        raise ValueError(
            f"{path.name!r}: a cue sheet cannot name this file, for its name has a double quote or "
            "what cannot be printed; choose another name for the mix"
        )


def _quotable(text: str) -> str:
    """Return text that may stand between double quotes in a cue sheet."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).replace('"', "'").split())
