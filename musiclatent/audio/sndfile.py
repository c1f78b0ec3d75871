"""Read sound through libsndfile as a stream of frames."""

import os
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import soundfile as sf

from musiclatent.audio.containers.parts import Part
from musiclatent.audio.stream import Stream, starts_late
from musiclatent.errors import AudioError

_PCM = ("PCM", "ULAW", "ALAW")


def _name(path: Path) -> bytes | str:
    """Return a name that libsndfile takes for that of a file."""
    name = str(path.absolute())  # a file named "-" would be standard input
    return os.fsencode(name) if os.name == "posix" else name


def open_sound(path: Path, part: Part | None = None) -> sf.SoundFile:
    """Open a file with libsndfile.

    Parameters
    ----------
    path
        The file.
    part
        What of it is read; None for all.

    Raises
    ------
    AudioError
        If libsndfile does not know the format.
    """
    try:
        file = sf.SoundFile(part or _name(path))
    except (sf.LibsndfileError, TypeError) as error:
        reason = getattr(error, "error_string", "") or "unknown format or broken header"
        raise AudioError(path, f"it is no audio that can be decoded ({reason})") from None
    if file.format == "RAW":  # libsndfile guesses headerless audio from some suffixes
        file.close()
        raise AudioError(path, "it has no audio header", "get the file again")
    return file


def stream_of(file: sf.SoundFile, path: Path, start_s: float, **known) -> Stream:
    """Return an open file as frames from a start on.

    Parameters
    ----------
    file, path
        As `open_sound` gives and takes them.
    start_s
        Where pulling begins, in seconds.
    **known
        Further fields of `Stream`: frames, promised, notes.

    Raises
    ------
    AudioError
        If the file ends before the start.
    """
    start = round(start_s * file.samplerate)
    if start:
        _seek(file, start, path)
    return Stream(
        path=path,
        sr=file.samplerate,
        channels=file.channels,
        start=start,
        pull=partial(_pull, file),
        pcm=file.subtype.startswith(_PCM),
        peak=partial(_peak, path) if file.subtype in ("FLOAT", "DOUBLE") else None,
        **known,
    )


def _peak(path: Path) -> float:
    """Return the largest absolute value of a file of floats."""
    status = path.stat()
    return _largest(path, status.st_size, status.st_mtime_ns)


@lru_cache(256)
def _largest(path: Path, size: int, mtime_ns: int) -> float:
    """Return the largest absolute value of a file that did not change; NaN is none."""
    with open_sound(path) as file:
        found = 0.0
        for y in file.blocks(1 << 18, dtype="float32", always_2d=True):
            top = float(np.abs(y).max(initial=0.0))
            found = max(found, top) if np.isfinite(top) else found
        return found


def _seek(file: sf.SoundFile, start: int, path: Path) -> None:
    """Go to a frame, or report that the file ends before it."""
    with suppress(sf.LibsndfileError):
        if start < file.frames:
            file.seek(start)
            return
    raise starts_late(path, start / file.samplerate)


def _pull(file: sf.SoundFile, n: int) -> np.ndarray:
    """Read the next frames; where the decoder gives up, what it had decoded until then."""
    n = min(n, max(0, file.frames - file.tell()))
    if file.subtype == "PCM_16" and file.format in ("WAV", "WAVEX", "AIFF", "AU"):
        # The same samples: libsndfile takes three times as long to make them floats.
        return file.read(n, dtype="int16", always_2d=True) * np.float32(2**-15)
    y = np.full((n, file.channels), np.nan, np.float32)
    try:
        return file.read(out=y)
    except sf.LibsndfileError:
        return y[: np.count_nonzero(~np.isnan(y[:, 0]))]  # the rest was never written to
