"""What a decoder gives: frames of an open file, and what its header promises of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from musiclatent.errors import AudioError


@dataclass(frozen=True, kw_only=True)
class Stream:
    """An open file: `pull(n)` gives the next frames ``(<= n, C)``, fewer only at the end."""

    path: Path
    sr: int
    channels: int
    start: int  # frame at which pulling begins
    frames: int  # length in frames, or 0 where nothing says it
    promised: bool  # whether the header vouches for `frames`
    pull: Callable[[int], np.ndarray]
    form: str = ""  # of the file, where it was asked for
    pcm: bool = False  # whole numbers in the file: never NaN, never out of range
    slack: int = 0  # frames by which a sound promise may be wrong
    peak: Callable[[], float] | None = None  # of all samples, where floats may go beyond 1
    notes: list[str] = field(default_factory=list)  # what the decoder found odd, so far


def starts_late(path: Path, start_s: float) -> AudioError:
    """Return the error for a part that starts where the sound has ended."""
    reason = f"the part starts at {start_s:.2f} s, at or after the end"
    return AudioError(path, reason, "choose an earlier start, or get a whole copy of the file")
