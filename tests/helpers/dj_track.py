"""Tracks as DJ programs are told of them, and names of files that programs misread."""

import numpy as np

from musiclatent.features import tonal
from musiclatent.features.rhythm import Rhythm, Track

EVIL = ["a & b <c> \"d\" 'e'.mp3", "100%25 #1?.flac", "é 音楽 \U0001f3b5.wav", "C:drive.ogg"]


def track(tempo=124.0, *, bar=4, steady=1.0, tones=0.2, mode="minor") -> Track:
    """Two minutes in F sharp, whose first bar begins at the third beat."""
    beats_s = np.arange(0.25, 120, 60 / tempo) if tempo > 0 else np.zeros(0)
    rhythm = Rhythm(
        tempo=tempo, beats_s=beats_s, downbeat=2, stability=steady, other=tempo / 2, bar=bar
    )
    chroma = np.repeat(np.roll(tonal.PROFILES[mode], 6)[:, None], 120, axis=1)
    return Track(rhythm, chroma, np.ones(120), np.full(120, tones))
