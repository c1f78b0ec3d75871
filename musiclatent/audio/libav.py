"""Read sound through FFmpeg's libraries, which come with the package `av`, as a stream of frames.

Files are opened by path, so that a decoder may go to any place in them.
"""

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from musiclatent.audio.containers.parts import Part
from musiclatent.audio.stream import Stream
from musiclatent.errors import AudioError, one_line

FORMATS = (
    "mov,asf,aac,mp3,wav,flac,ogg,matroska,webm,aiff,caf,w64,au,ape,wv,tta,tak,dsf,iff,amr,ac3,"
    "eac3,dts,mpc,mpc8,avi,flv,mpeg,mpegts"
)  # none of them leads elsewhere, as playlists do
# Time stamps of one sample, so that one may begin anywhere; all others are decoded from the start.
EXACT = ("mov", "ogg", "wav", "flac", "aiff", "caf", "w64", "ape", "wv", "tta", "tak", "dsf")
VOUCHED = (*EXACT[:1], *EXACT[2:], "asf")  # the header says how long the sound is
PLAIN = "fltp"  # floats, a channel after the other
PREROLL_S = 1.0  # codecs need what came before to decode a frame right


def encode_mp3(y: np.ndarray, sr: int) -> bytes:
    """Compress mono samples (N,) to an mp3 of 48 kbit/s on average, by LAME's quick search.

    Parameters
    ----------
    y
        Samples in [-1, 1].
    sr
        Their rate in Hz, 16,000 or 22,050.
    """
    buffer, options = io.BytesIO(), {"compression_level": "7", "abr": "1"}
    frame = av.AudioFrame.from_ndarray(y[None].astype(np.float32), format=PLAIN, layout="mono")
    frame.sample_rate = sr
    with av.open(buffer, "w", format="mp3", options={"id3v2_version": "0"}) as file:
        stream = file.add_stream("libmp3lame", rate=sr, layout="mono", options=options)
        stream.bit_rate = 48_000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


@contextmanager
def open_libav(path: Path, start_s: float, source: Part | None = None) -> Iterator[Stream]:
    """Open a file, or a part of one, and go to the start.

    Parameters
    ----------
    path
        The file.
    start_s
        Where pulling begins, in seconds.
    source
        The part of the file that is read; None for all of it.

    Yields
    ------
    Stream
        Its frames.

    Raises
    ------
    AudioError
        If FFmpeg reads no sound from it.
    """
    allowed = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    try:
        container = av.open(source or f"file:{path.absolute()}", options=allowed)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise undecodable(path, error) from None
    with container:
        if not container.streams.audio:
            raise AudioError(path, "it holds no sound", "name a file with sound in it")
        yield _stream(path, container, start_s)


def undecodable(path: Path, error: Exception) -> AudioError:
    """Return the error for what FFmpeg refuses."""
    code = getattr(error, "errno", None)
    reason = "unknown format" if code == errno.EINVAL else getattr(error, "strerror", None) or error
    return AudioError(path, f"it is no audio that can be decoded ({one_line(reason)})")


def _stream(path: Path, container: av.container.InputContainer, start_s: float) -> Stream:
    """Return the first sound of an open file as frames from a start on."""
    sound = container.streams.audio[0]
    sr, channels = sound.codec_context.sample_rate, sound.codec_context.channels
    if not sr or not channels:
        raise AudioError(path, "it holds no sound that can be decoded", "get the file again")
    kinds = container.format.name.split(",")
    seconds, promised = _seconds(container, sound, kinds)
    start, frames = round(start_s * sr), round(seconds * sr)
    notes: list[str] = []
    frames_of = _Frames(container, sound, notes)
    frames_of.start_at(start, exact=bool(set(kinds) & set(EXACT)))
    # Codecs pad the end, and the header of an mp4 file says where it is: cut it.
    left = frames - start if promised and "mov" in kinds else None
    return Stream(
        path=path,
        sr=sr,
        channels=channels,
        form=kinds[0],
        start=start,
        frames=frames,
        promised=promised,
        pull=lambda n: frames_of.pull(n, left),
        slack=sr // 10,  # wma counts its last frames whole
        notes=notes,
    )


def _seconds(container, sound, kinds: list[str]) -> tuple[float, bool]:
    """Return how long the sound is, and if the header vouches for it."""
    if sound.duration is not None and sound.duration > 0:
        return float(sound.duration * sound.time_base), bool(set(kinds) & set(VOUCHED))
    tag = sound.metadata.get("DURATION", "")  # of mkv and webm: hours:minutes:seconds
    with suppress(ValueError):
        hours, minutes, seconds = map(float, tag.split(":"))
        return 3600 * hours + 60 * minutes + seconds, True
    return max(0, container.duration or 0) / av.time_base, False


class _Frames:
    """Decoded samples in the order of the file, in pieces of any size."""

    def __init__(self, container, sound, notes: list[str]) -> None:
        self.container, self.sound, self.notes = container, sound, notes
        self.sr, self.channels = sound.codec_context.sample_rate, sound.codec_context.channels
        self.layout = sound.codec_context.layout.name
        self.kind = self.resampler = None
        self.bad = self.sent = 0
        self.held = np.zeros((0, self.channels), np.float32)
        self.blocks = self._decoded()

    def start_at(self, start: int, *, exact: bool) -> None:
        """Drop what comes before a frame; where places are known, go there first."""
        place = start - round(PREROLL_S * self.sr)
        if exact and place > 0:
            begin = self.sound.start_time or 0
            stamp = begin + int(place / self.sr / self.sound.time_base)
            with suppress(av.error.FFmpegError):
                self.container.seek(stamp, stream=self.sound)
                self.blocks = self._decoded()
                known, block = next(self.blocks, (None, self.held))
                at = self._place(known)
                if at is not None and at <= start:
                    self.held = block
                    self._drop(start - at)
                    return
            self.container.seek(begin, stream=self.sound)
            self.blocks = self._decoded()
        self._drop(start)

    def _drop(self, n: int) -> None:
        """Decode and drop n frames."""
        while n > 0 and len(y := self.pull(min(n, 1 << 16), None)):
            n -= len(y)
        self.sent = 0

    def pull(self, n: int, left: int | None) -> np.ndarray:
        """Return the next n frames (n, C), fewer at the end or after `left` in all."""
        n = n if left is None else max(0, min(n, left - self.sent))
        parts, count = [self.held], len(self.held)
        while count < n and (found := next(self.blocks, None)):
            parts.append(found[1])
            count += len(found[1])
        y = np.concatenate(parts)
        self.held = y[n:]
        self.sent += min(n, len(y))
        return y[:n]

    def _decoded(self) -> Iterator[tuple[tuple[int, Fraction] | None, np.ndarray]]:
        """Yield the time stamp of each decoded block, where it is known, and its samples (N, C)."""
        for packet in self._packets():
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self._count_bad()
                continue
            for frame in frames:
                known = frame.pts is not None and frame.time_base is not None
                stamp = (frame.pts, frame.time_base) if known else None
                yield stamp, self._samples(frame)

    def _packets(self) -> Iterator[av.Packet]:
        """Yield packets up to the end, or to where the file cannot be read on."""
        packets = self.container.demux(self.sound)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                self._count_bad()
                return
            if packet is None:
                return
            yield packet

    def _count_bad(self) -> None:
        """Note that a part of the file cannot be decoded."""
        self.bad += 1
        self.notes[:] = [f"decoding broke off at {self.bad} of its packets, which are left out"]

    def _place(self, stamp: tuple[int, Fraction] | None) -> int | None:
        """Return which frame of the file a block with a time stamp begins with."""
        if stamp is None:
            return None
        began = (self.sound.start_time or 0) * self.sound.time_base
        return round(float(stamp[0] * stamp[1] - began) * self.sr)

    def _samples(self, frame: av.AudioFrame) -> np.ndarray:
        """Return the samples (N, C) of a block as floats at the rate of the file."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind == (PLAIN, self.layout, self.sr) and not self.resampler:
            return frame.to_ndarray().T  # most codecs: half of the time of the way below
        rest = []
        if kind != self.kind:
            rest = self.resampler.resample(None) if self.resampler else []
            self.resampler = av.AudioResampler("flt", self.layout, self.sr)
            self.kind = kind
        frame.pts = None  # gaps between time stamps are no sound
        parts = [f.to_ndarray() for f in [*rest, *self.resampler.resample(frame)]]
        y = np.concatenate([np.zeros((1, 0), np.float32), *parts], axis=1)  # interleaved
        return y.reshape(-1, self.channels)
