"""Cue sheets: where the tracks of a mix begin, for players that know the format.

Text is UTF-8 without a mark at its beginning, as foobar2000, VLC, mpv and Mixxx read it.
"""

from pathlib import Path

from musiclatent.edm.mixdown import Mix
from musiclatent.files import write_file

TRACKS = 99  # that a sheet can hold
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
