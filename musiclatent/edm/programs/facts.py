"""What DJ programs are told of a track, in words and numbers that they have in common."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.features.rhythm import STABLE, Rhythm
from musiclatent.features.tonal import NAMES, Key

HOT_CUES = 8
GRID_S = 30.0  # how often a grid is pinned to the beats where the tempo is not steady
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def grid(rhythm: Rhythm) -> list[tuple[float, float]]:
    """Find where a grid of beats begins and how fast it is.

    Parameters
    ----------
    rhythm
        Of a track.

    Returns
    -------
    list
        Pairs of the second of a downbeat and the beats per minute from there on: one where the
        tempo is steady, else one every `GRID_S`; none without beats.
    """
    if not rhythm.tempo > 0 or len(rhythm.beats_s) < 2:
        return []
    beats_s, starts = rhythm.beats_s, [rhythm.downbeat]
    if rhythm.stability < STABLE:
        step = max(1, round(GRID_S * rhythm.tempo / 60 / rhythm.bar)) * rhythm.bar
        starts = list(range(rhythm.downbeat, len(beats_s) - 1, step))
    ends = [*starts[1:], len(beats_s) - 1]
    pairs = [(a, b) for a, b in zip(starts, ends, strict=True) if a < b]
    return [(float(beats_s[a]), _bpm(beats_s, a, b)) for a, b in pairs]


def _bpm(beats_s: np.ndarray, a: int, b: int) -> float:
    """Return beats per minute from one beat to another."""
    return float(60 * (b - a) / (beats_s[b] - beats_s[a]))


def short_name(key: Key) -> str:
    """Return a key as DJ programs and tags write it, such as ``F#m``; empty for none."""
    return f"{NAMES[key.tonic]}{'m' if key.mode == 'minor' else ''}" if key else ""


def title(row: Mapping) -> str:
    """Return the title of a track, else the name of its file."""
    return text(row.get("song_title", "")) or text(Path(row["item_id"]).stem)


def year(row: Mapping) -> str:
    """Return the year of a track; empty where it is not known."""
    return f"{row['year']:.0f}" if row.get("year", np.nan) > 0 else ""


def text(value: object) -> str:
    """Return text on one line, without what XML 1.0 cannot hold; missing is empty."""
    return "" if pd.isna(value) else printable(" ".join(str(value).split()))


def printable(value: str) -> str:
    """Return text with U+FFFD in the place of what XML 1.0 cannot hold."""
    return _NOT_XML.sub("\ufffd", value)
