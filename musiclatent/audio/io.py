"""Read and write audio files.

Conventions: samples are float32 in [-1, 1], mono ``(N,)`` or by channel ``(C, N)``. Whatever keeps
a file from being read becomes an `AudioError`: one sentence with the file, the reason, the remedy.
`decoders` says which formats there are and who reads them.
"""

import errno
import io
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from musiclatent.audio import libav
from musiclatent.audio.decoders import open_stream
from musiclatent.audio.pieces import MAX_PEAK, MAX_VALUES, Pieces, check_length, mean, report, scale
from musiclatent.audio.stream import Stream
from musiclatent.errors import AudioError, one_line
from musiclatent.files import whole_file

_MAX_WAV = 2**32 - 256  # bytes of samples that the sizes in a wav header can name
_WRITABLE = {".wav": "WAV", ".flac": "FLAC", ".mp3": "MP3"}


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """What the header of an audio file promises.

    Parameters
    ----------
    path
        The file.
    sr
        Sampling rate in Hz.
    channels
        Number of channels.
    seconds
        Length as the header promises it; a guess where it does not, NaN without even that.
    """

    path: Path
    sr: int
    channels: int
    seconds: float


def info(path: str | Path) -> AudioInfo:
    """Read what the header promises, without decoding.

    Parameters
    ----------
    path
        An audio file.

    Raises
    ------
    AudioError
        If the file is missing, unreadable, of unknown format or holds no samples.
    """
    with open_stream(Path(path), 0.0) as stream:
        seconds = stream.frames / stream.sr if stream.frames else math.nan
        return AudioInfo(path=stream.path, sr=stream.sr, channels=stream.channels, seconds=seconds)


def read(
    path: str | Path,
    sr: int | None = None,
    *,
    mono: bool = True,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> tuple[np.ndarray, int]:
    """Read a file, or a part of it, as one array.

    Parameters
    ----------
    path
        An audio file.
    sr
        Sampling rate to resample to, in Hz; None keeps the file's own.
    mono
        Whether to average the channels.
    start_s, duration_s
        The part to read, in seconds; it may end beyond the end of the file.

    Returns
    -------
    y
        Samples ``(N,)``, or ``(C, N)`` when not `mono`; float32 in [-1, 1].
    sr
        Their sampling rate in Hz.

    Raises
    ------
    AudioError
        If the file cannot be read, or less than 95 % of the promised length can be decoded.

    Examples
    --------
    >>> import tempfile
    >>> path = write(tempfile.mkdtemp() + "/a.wav", np.zeros(800), 8000)
    >>> y, sr = read(path, sr=4000)
    >>> y.shape, sr
    ((400,), 4000)
    """
    _check_part(sr, start_s, duration_s)
    with open_stream(Path(path), start_s) as stream:
        parts = list(_blocks(stream, sr, mono, 60.0, duration_s))
        y = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        return y, sr or stream.sr


def blocks(
    path: str | Path,
    sr: int | None = None,
    *,
    mono: bool = True,
    block_s: float = 60.0,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> Iterator[np.ndarray]:
    """Read a file of any length block by block; the joined blocks equal `read`.

    Parameters
    ----------
    path, sr, mono, start_s, duration_s
        As in `read`.
    block_s
        Longest block in seconds; files of many channels or high rates come in shorter ones.

    Yields
    ------
    y
        Samples ``(N,)``, or ``(C, N)`` when not `mono`; float32 in [-1, 1].

    Raises
    ------
    AudioError
        As `read`; that a file is cut short is raised only after its last block.
    """
    _check_part(sr, start_s, duration_s)
    if not block_s > 0:
        raise ValueError(f"block_s is {block_s}; it must be above 0")
    with open_stream(Path(path), start_s) as stream:
        yield from _blocks(stream, sr, mono, block_s, duration_s)


def convert(y: np.ndarray, sr: int, to_sr: int) -> np.ndarray:
    """Mix and resample samples as `read` does those of a file.

    Parameters
    ----------
    y
        Samples ``(N,)`` or by channel ``(C, N)``; floats in [-1, 1].
    sr, to_sr
        Their sampling rate, and the one that is wanted, in Hz.

    Returns
    -------
    ndarray
        Samples ``(N',)`` float32, clipped to [-1, 1].

    Raises
    ------
    ValueError
        If the samples are empty, not finite, no floats, far beyond [-1, 1], too few to be
        resampled, or have more channels than samples.
    """
    y = _checked(y)
    if y.ndim == 2 and len(y) > y.shape[1]:
        raise ValueError(f"samples have shape {y.shape}; give channels first, (C, N): y.T")
    if (peak := np.abs(y).max()) > MAX_PEAK:
        raise ValueError(f"samples reach {peak:.3g}; divide them by the full scale, to [-1, 1]")
    _check_part(sr, 0.0, None)
    y = mean(y.T) if y.ndim == 2 else y
    y = y.astype(np.float32, copy=False)
    if sr != to_sr:
        y = soxr.resample(y, sr, to_sr, quality="HQ")
    if not len(y):
        raise ValueError(f"samples are too few to be resampled from {sr} to {to_sr} Hz")
    return np.clip(y, -1.0, 1.0)


def write(path: str | Path, y: np.ndarray, sr: int, *, subtype: str | None = None) -> Path:
    """Write samples to a wav, flac or mp3 file, whole or not at all.

    Parameters
    ----------
    path
        The file to make; its suffix names the format.
    y
        Samples ``(N,)`` or ``(C, N)``; floats, clipped to [-1, 1].
    sr
        Their sampling rate in Hz.
    subtype
        Sample format as libsndfile names it, such as ``PCM_24`` or ``FLOAT``; None is 16 bits.

    Raises
    ------
    ValueError
        If the samples are empty, not finite, or of a kind that the format cannot hold.
    OSError
        If the file cannot be written, as when the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> write(tempfile.mkdtemp() + "/a.flac", np.zeros(800), 8000).name
    'a.flac'
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITABLE:
        raise ValueError(f"{path}: cannot write this suffix; use one of {', '.join(_WRITABLE)}")
    data = _encode(y, sr, _WRITABLE[path.suffix.lower()], subtype)
    with _writing(path) as part:
        part.write_bytes(data)
    return path


def write_blocks(path: str | Path, blocks: Iterable[np.ndarray], sr: int) -> Path:
    """Write blocks of samples to a 16-bit wav or flac file as they come, whole or not at all.

    Parameters
    ----------
    path
        The file to make; its suffix names the format.
    blocks
        Samples, each ``(N,)`` or each ``(C, N)``; floats, clipped to [-1, 1].
    sr
        Their sampling rate in Hz.

    Raises
    ------
    ValueError
        If there is no block, one is empty or not finite, their channels differ, or the format
        cannot hold them.
    OSError
        If the file cannot be written, as when the disk is full.
    """
    path = Path(path)
    blocks = iter(blocks)
    format = _WRITABLE.get(path.suffix.lower())
    if format not in ("WAV", "FLAC"):
        raise ValueError(f"{path}: cannot write this suffix block by block; use .wav or .flac")
    first = _checked(next(blocks, np.zeros(0)))
    # Refuses what the format cannot hold before a file is made.
    _encode(first[..., :1], sr, format)
    channels, written = first[..., 0].size, 0
    with (
        _writing(path) as part,
        sf.SoundFile(part, "w", sr, channels, subtype="PCM_16", format=format) as file,
    ):
        for y in chain([first], blocks):
            y = _checked(y)
            if y.shape[:-1] != first.shape[:-1]:
                raise ValueError(f"a block has shape {y.shape} after one of shape {first.shape}")
            written += y.size
            require_room(path, written)
            file.write(_integers(np.clip(y, -1.0, 1.0), 16).T)
    return path


def require_room(path: Path, values: float) -> None:
    """Refuse more samples of 16 bits than a wav file can hold.

    Parameters
    ----------
    path
        The file; its suffix names the format.
    values
        How many, of all channels.

    Raises
    ------
    ValueError
        If there are too many.
    """
    if path.suffix.lower() == ".wav" and 2 * values > _MAX_WAV:
        raise ValueError(f"{path}: a wav file cannot hold more than 4 GiB; use .flac")


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """Yield a name to write to, as `whole_file`, and report why a sound cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            yield part
    except (OSError, sf.LibsndfileError) as error:
        # libsndfile knows only that the system refused; a full disk is the usual reason.
        code = getattr(error, "errno", None) or errno.EIO
        cause = os.strerror(code) if isinstance(error, OSError) else "the disk may be full"
        reason = f"could not write the audio file ({cause})"
        remedy = f"free some space in {path.parent} or choose another folder"
        raise OSError(code, f"{reason}; {remedy}", str(path)) from error


def to_mp3(y: np.ndarray, sr: int) -> bytes:
    """Compress samples to an mp3 of 48 kbit/s on average, which an html page can embed.

    Parameters
    ----------
    y
        Samples ``(N,)`` or ``(C, N)``; floats, averaged to mono and clipped to [-1, 1].
    sr
        Their sampling rate in Hz; they are resampled to 16,000 or 22,050 Hz.

    Raises
    ------
    ValueError
        If the samples are empty or not finite.
    """
    y, rate = _small(y, sr)
    return _encode(y, rate, "MP3", kbit_s=48)


def to_preview(y: np.ndarray, sr: int) -> bytes:
    """Compress samples as `to_mp3` does, in half the time: for what is heard and never measured.

    Parameters
    ----------
    y, sr
        As in `to_mp3`.

    Raises
    ------
    ValueError
        If the samples are empty or not finite.
    """
    y, rate = _small(y, sr)
    return libav.encode_mp3(np.clip(y, -1, 1), rate)


def _small(y: np.ndarray, sr: int) -> tuple[np.ndarray, int]:
    """Return samples as mono (N,) at the nearest rate that pages take, and that rate in Hz."""
    y = _checked(y)
    y = mean(y.T) if y.ndim == 2 else y
    rate = 16_000 if sr <= 16_000 else 22_050
    return soxr.resample(y, sr, rate, quality="HQ"), rate


def _blocks(
    stream: Stream, sr: int | None, mono: bool, block_s: float, duration_s: float | None
) -> Iterator[np.ndarray]:
    """Pull, check, mix and resample until the part or the file ends."""
    size = max(1, min(round(block_s * stream.sr), MAX_VALUES // stream.channels))
    wanted = math.inf if duration_s is None else max(1, round(duration_s * stream.sr))
    pieces = Pieces(stream, wanted)
    channel = pieces.loud_channel() if mono and stream.channels > 1 else None
    factor = scale(stream)
    resampler = None
    if sr not in (None, stream.sr):
        channels = 1 if mono else stream.channels
        resampler = soxr.ResampleStream(stream.sr, sr, channels, dtype="float32", quality="HQ")
    sent = 0
    while not pieces.last:
        y = pieces.take(size)
        y = y * factor if factor != 1 else y
        if mono:
            y = mean(y) if channel is None else y[:, channel].copy()
        if resampler:
            y = resampler.resample_chunk(y, last=pieces.last)
        if resampler or not stream.pcm:
            y = np.clip(y, -1.0, 1.0, out=y)  # resampling and lossy codecs overshoot a little
        if len(y):
            yield y if mono else np.ascontiguousarray(y.T)
        sent += len(y)
    if pieces.got < wanted:
        check_length(stream, pieces.got)
    report(stream)
    if not sent:
        reason = f"its {pieces.got} samples are too few to be resampled from {stream.sr} to {sr} Hz"
        raise AudioError(stream.path, reason, "read it at its own rate")


def _check_part(sr: int | None, start_s: float, duration_s: float | None) -> None:
    """Validate the part and the rate that are asked for."""
    if sr is not None and not sr > 0:
        raise ValueError(f"sr is {sr}; it must be above 0 Hz")
    if not 0 <= start_s < math.inf:
        raise ValueError(f"start_s is {start_s}; it must be 0 or more")
    if duration_s is not None and not 0 < duration_s < math.inf:
        raise ValueError(f"duration_s is {duration_s}; it must be above 0, or None for all")


def _encode(
    y: np.ndarray, sr: int, format: str, subtype: str | None = None, kbit_s: int | None = None
) -> bytes:
    """Encode samples in memory, so that a full disk shows where the bytes are written."""
    y = np.clip(_checked(y), -1.0, 1.0)
    subtype = subtype or (None if format == "MP3" else "PCM_16")
    rate = {}
    if kbit_s:  # libsndfile: level 0 is the highest bit rate, at these sampling rates 160
        # A constant 48 kbit/s has no room for the tag that tells players where the sound begins.
        rate = {"bitrate_mode": "AVERAGE", "compression_level": (160 - kbit_s) / 152}
    if subtype and subtype in ("PCM_16", "PCM_24"):
        y = _integers(y, int(subtype[4:]))
    buffer = io.BytesIO()
    try:
        sf.write(buffer, y.T, sr, format=format, subtype=subtype, **rate)
    except (sf.LibsndfileError, ValueError, TypeError) as error:
        channels = 1 if y.ndim == 1 else len(y)
        reason = getattr(error, "error_string", "") or str(error)
        raise ValueError(
            f"{format.lower()} cannot hold {channels} channels at {sr} Hz as "
            f"{subtype or 'lossy'} ({one_line(reason)}); choose another format, rate or subtype"
        ) from None
    return buffer.getvalue()


def _checked(y: np.ndarray) -> np.ndarray:
    """Refuse samples that cannot be written."""
    y = np.asarray(y)
    if y.ndim not in (1, 2) or not y.size:
        raise ValueError(f"samples have shape {y.shape}; give (N,) or (C, N), not empty")
    if y.dtype.kind != "f":
        raise ValueError(f"samples are {y.dtype}; give floats in [-1, 1]")
    if not np.isfinite(y).all():
        raise ValueError("samples hold NaN or infinity; repair them first")
    return y if y.dtype == np.float64 else y.astype(np.float32, copy=False)


def _integers(y: np.ndarray, bits: int) -> np.ndarray:
    """Round to the steps that reading divides by, so that read and write round-trip."""
    full = 2 ** (bits - 1)
    steps = np.clip(np.rint(y.astype(np.float64) * full), -full, full - 1)
    return steps.astype(np.int32) << (32 - bits)
