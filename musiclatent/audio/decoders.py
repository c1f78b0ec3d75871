"""Open audio files as streams of frames: libsndfile for most formats, ffmpeg for the rest.

Added to what the decoders report: how long the header promises the sound to be, and one sentence
for whatever keeps a file from being read.
"""

import io
import json
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile as sf

from musiclatent.errors import AudioError, one_line, printable

FFMPEG_SUFFIXES = frozenset({".m4a", ".mp4", ".aac", ".wma"})
SUFFIXES = FFMPEG_SUFFIXES | {".wav", ".flac", ".ogg", ".opus", ".mp3", ".au", ".aif", ".aiff"}
_STREAMING = 0x7FFF0000  # sizes from here on are what recorders write before they know the size


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
    pcm: bool = False  # whole numbers in the file: never NaN, never out of range
    slack: int = 0  # frames by which a sound promise may be wrong
    note: str = ""  # what the decoder found odd


def open_stream(path: Path, start_s: float) -> AbstractContextManager[Stream]:
    """Open a file with its decoder, after validating that it holds something."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioError(path, f"it cannot be opened ({reason})", "check the path") from None
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(path, "it is a folder or device, not a file", "name an audio file")
    if not os.access(path, os.R_OK):
        raise AudioError(path, "there is no permission to read it", "change its permissions")
    if not status.st_size:
        raise AudioError(path, "it is empty (0 bytes)", "get the file again")
    opener = _open_ffmpeg if _needs_ffmpeg(path) else _open_soundfile
    return opener(path, start_s)


def _needs_ffmpeg(path: Path) -> bool:
    """Return whether libsndfile does not read a format, or this file, and ffmpeg is there."""
    if path.suffix.lower() != ".opus" or not shutil.which("ffprobe"):
        return path.suffix.lower() in FFMPEG_SUFFIXES
    with suppress(AudioError):  # libsndfile refuses streams that begin before time 0
        _libsndfile(path, _name(path)).close()
        return False
    return True


def _name(path: Path) -> bytes | str:
    """Return a name that libsndfile takes for that of a file."""
    name = str(path.absolute())  # a file named "-" would be standard input
    return os.fsencode(name) if os.name == "posix" else name


@contextmanager
def _open_soundfile(path: Path, start_s: float) -> Iterator[Stream]:
    """Open a file with libsndfile and go to the start."""
    with ExitStack() as stack:
        file = stack.enter_context(_libsndfile(path, _name(path)))
        frames, promised, head = _promise(file, path)
        start = round(start_s * file.samplerate)
        if head is not None and os.name == "posix":  # elsewhere libsndfile takes no pipe
            file = stack.enter_context(_libsndfile(path, _feed(path, head)))
            _skip(file, start, path)
        elif not file.frames:
            raise AudioError(path, "it has a header but holds no samples", "get the file again")
        elif start:
            _seek(file, start, path)
        pcm = file.subtype.startswith(("PCM", "ULAW", "ALAW"))
        cut = file.format == "OGG" and re.search("lacks an end|Junk after", file.extra_info)
        note = "its last page is not whole, so it may be cut short" if cut else ""
        yield Stream(
            path=path,
            sr=file.samplerate,
            channels=file.channels,
            start=start,
            frames=frames,
            promised=promised,
            pull=partial(_pull, file, path),
            pcm=pcm,
            note=note,
        )


def _libsndfile(path: Path, source: bytes | str | int) -> sf.SoundFile:
    """Open a name or a pipe with libsndfile."""
    try:
        file = sf.SoundFile(source)
    except (sf.LibsndfileError, TypeError) as error:
        reason = getattr(error, "error_string", "") or "unknown format or broken header"
        raise AudioError(path, f"it is no audio that can be decoded ({reason})") from None
    if file.format == "RAW":  # libsndfile guesses headerless audio from some suffixes
        file.close()
        raise AudioError(path, "it has no audio header")
    return file


def _seek(file: sf.SoundFile, start: int, path: Path) -> None:
    """Go to a frame, or report that the file ends before it."""
    with suppress(sf.LibsndfileError):
        if start < file.frames:
            file.seek(start)
            return
    raise starts_late(path, start / file.samplerate)


def starts_late(path: Path, start_s: float) -> AudioError:
    """Return the error for a part that starts where the sound has ended."""
    reason = f"the part starts at {start_s:.2f} s, at or after the end"
    return AudioError(path, reason, "choose an earlier start, or get a whole copy of the file")


def _skip(file: sf.SoundFile, start: int, path: Path) -> None:
    """Decode and drop frames where seeking is not possible."""
    while start > 0 and (n := len(_pull(file, path, min(start, 1 << 16)))):
        start -= n


def _pull(file: sf.SoundFile, path: Path, n: int) -> np.ndarray:
    """Read the next frames; where the decoder gives up, what it had decoded until then."""
    if file.seekable():
        n = min(n, max(0, file.frames - file.tell()))
    if file.subtype == "PCM_16" and file.format in ("WAV", "WAVEX", "AIFF", "AU"):
        # The same samples: libsndfile takes three times as long to make them floats.
        return file.read(n, dtype="int16", always_2d=True) * np.float32(2**-15)
    y = np.full((n, file.channels), np.nan, np.float32)
    try:
        return file.read(out=y)
    except sf.LibsndfileError:
        if not file.seekable():  # an mp3 that promises no length
            warnings.warn(f"{printable(path)}: decoding broke off before the end", stacklevel=5)
        got = y[: np.count_nonzero(~np.isnan(y[:, 0]))]  # the rest was never written to
        if file.subtype == "OPUS" and len(got):  # a time stamp is off: the next packet is lost
            return np.concatenate([got, _pull(file, path, n - len(got))])
        return got


def _feed(path: Path, head: bytes) -> int:
    """Send a file through a pipe, its first bytes replaced by `head`; return where to read it.

    From a pipe libsndfile decodes all there is, rather than the length it guesses.
    """
    source, sink = os.pipe()

    def send() -> None:
        with suppress(BrokenPipeError), os.fdopen(sink, "wb") as pipe, path.open("rb") as f:
            f.seek(len(head))
            pipe.write(head)
            shutil.copyfileobj(f, pipe)

    threading.Thread(target=send, daemon=True).start()
    return source


def _promise(file: sf.SoundFile, path: Path) -> tuple[int, bool, bytes | None]:
    """Find the length in frames, whether the header promises it, and how to feed the file.

    libsndfile cuts the frame count of wav, aiff and au to the bytes there are, guesses that of an
    mp3 without a Xing table (and never decodes beyond the guess), takes a wav whose recorder was
    stopped before it filled in the size for empty, and knows the length of an ogg only from its
    last page. The last value is None where libsndfile may read the file by itself.
    """
    if file.frames > 1 << 60:  # a flac of unknown length
        return 0, False, None
    if file.format == "OGG":
        return file.frames, False, None
    with path.open("rb") as f:
        if file.format == "MP3":
            return _promise_mp3(file, f)
        if file.format not in ("WAV", "WAVEX", "AIFF", "AU"):
            return file.frames, True, None
        size, offset = _data_chunk(f)
        present = os.fstat(f.fileno()).st_size - offset
        f.seek(0)
        if not size and offset and present and f.read(4) == b"RIFF":
            return 0, False, (b"RIFF" + f.read(offset - 8)) + b"\xff" * 4
    if not size or size >= _STREAMING or present <= 0:
        return file.frames, False, None
    return max(file.frames, round(file.frames * size / present)), True, None


def _promise_mp3(file: sf.SoundFile, f: io.BufferedReader) -> tuple[int, bool, bytes | None]:
    """Take the length from the table in the first mp3 frame (Xing, Info or VBRI), if any."""
    head = f.read(10)
    if head[:3] == b"ID3":  # skip the tag: its size is four bytes of 7 bits
        f.seek(10 + int("".join(f"{b & 127:07b}" for b in head[6:10]), 2))
        head = b""
    head += f.read(2048)
    if re.search(rb"(Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f]", head, re.DOTALL):
        return file.frames, True, None  # the flag says that the table counts the frames
    if table := re.search(rb"VBRI.{10}(.{4})", head, re.DOTALL):
        frame = 1152 if head[1] & 8 else 576  # MPEG-1, or MPEG-2 and 2.5
        return frame * int.from_bytes(table[1]), True, b""
    return file.frames, False, b""


def _data_chunk(f: io.BufferedReader) -> tuple[int, int]:
    """Return size and offset in bytes of the samples in a wav, aiff or au file, else zeros."""
    form = f.read(4)
    if form in (b".snd", b"dns."):
        offset, size = struct.unpack(">2I" if form == b".snd" else "<2I", f.read(8))
        return size, offset
    f.seek(12)
    while len(head := f.read(8)) == 8:
        name, size = struct.unpack("<4sI" if form == b"RIFF" else ">4sI", head)
        if name in (b"data", b"SSND"):
            return size, f.tell()
        f.seek(size + size % 2, os.SEEK_CUR)
    return 0, 0


@contextmanager
def _open_ffmpeg(path: Path, start_s: float) -> Iterator[Stream]:
    """Start an ffmpeg process that sends float32 samples through a pipe, and end it."""
    sr, channels, seconds, promised = _probe(path)
    start, frames = round(start_s * sr), round(seconds * sr)
    early_s = max(0, int(start_s) - 1)  # codecs need what came before to decode a frame right
    command = [_tool("ffmpeg", path), "-v", "error", "-nostdin", "-ss", str(early_s)]
    command += [*_source(path), "-map", "0:a:0", "-ar", str(sr), "-ac", str(channels)]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [*command, "-f", "f32le", "pipe:1"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        ) as process,
    ):
        left = frames - early_s * sr if promised else sys.maxsize  # codecs pad the end: cut it

        def pull(n: int) -> np.ndarray:
            nonlocal left
            n = max(0, min(n, left))
            data = process.stdout.read(4 * channels * n)
            if len(data) < 4 * channels * n and process.wait() and not promised:
                log.seek(0)
                raise _undecodable(path, log.read())
            y = np.frombuffer(data, "<f4", len(data) // (4 * channels) * channels)
            left -= len(y) // channels
            return y.reshape(-1, channels).copy()

        try:
            pull(start - early_s * sr)
            yield Stream(
                path=path,
                sr=sr,
                channels=channels,
                start=start,
                frames=frames,
                promised=promised,
                pull=pull,
                slack=sr // 10,  # wma counts its last frames whole
            )
        finally:
            process.kill()


def _probe(path: Path) -> tuple[int, int, float, bool]:
    """Ask ffprobe for rate, channels and seconds of the sound, and if the header has these."""
    command = [_tool("ffprobe", path), "-v", "error", "-select_streams", "a:0", "-of", "json"]
    command += ["-show_entries", "format=format_name:stream=sample_rate,channels,duration"]
    done = subprocess.run(
        [*command, *_source(path)], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        raise _undecodable(path, done.stderr)
    header = json.loads(done.stdout)
    if not header["streams"]:
        raise AudioError(path, "it holds no sound", "name a file with sound in it")
    stream = header["streams"][0]
    seconds = float(stream.get("duration", 0.0))
    guessed = header["format"]["format_name"] == "aac"  # no header: a guess from the bit rate
    return int(stream["sample_rate"]), stream["channels"], seconds, seconds > 0 and not guessed


def _source(path: Path) -> list[str]:
    """Name a file to ffmpeg: no character of it means more, no playlist leads elsewhere."""
    formats = "mov,asf,aac,mp3,wav,flac,ogg"
    allowed = ["-protocol_whitelist", "file,pipe", "-format_whitelist", formats]
    return [*allowed, "-i", f"file:{path.absolute()}"]


def _tool(name: str, path: Path) -> str:
    """Find ffmpeg or ffprobe, or report how to get it."""
    program = shutil.which(name)
    if not program:
        remedy = (
            "install ffmpeg (apt install ffmpeg, brew install ffmpeg, winget install ffmpeg, or "
            "conda install -c conda-forge ffmpeg) or convert the file to wav or flac"
        )
        raise AudioError(path, f"this format needs {name}, which is not on the PATH", remedy)
    return program


def _undecodable(path: Path, log: bytes) -> AudioError:
    """Turn the first line of ffmpeg's log, which is the most exact, into the reason."""
    text = log.decode(errors="replace").replace(f"file:{path.absolute()}: ", "").strip()
    line = re.sub(r"^\[.*?\] ", "", text.splitlines()[0] if text else "it gives no reason")
    return AudioError(path, f"ffmpeg cannot decode it ({one_line(line)})")
