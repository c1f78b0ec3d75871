"""Open audio files as streams of frames, by libsndfile or by the libraries of FFmpeg.

Where the one refuses a file the other is asked, for real libraries hold files of both kinds. Added
to what the decoders report: how long the header promises the sound to be, what stands behind the
promised end, and one sentence for whatever keeps a file from being read.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import soundfile as sf

from musiclatent.audio.chain import Chain
from musiclatent.audio.containers import links as joined
from musiclatent.audio.containers import mpeg
from musiclatent.audio.containers.chunks import LITTLE, Chunk, data_chunk
from musiclatent.audio.containers.others import what_else
from musiclatent.audio.libav import open_libav
from musiclatent.audio.sndfile import open_sound, stream_of
from musiclatent.audio.stream import Stream
from musiclatent.errors import AudioError, printable

LIBAV_SUFFIXES = frozenset(
    {
        ".m4a",
        ".m4b",
        ".m4r",
        ".mp4",
        ".mov",
        ".3gp",
        ".aac",
        ".wma",
        ".mkv",
        ".mka",
        ".webm",
        ".ape",
        ".wv",
        ".tta",
        ".tak",
        ".dsf",
        ".amr",
        ".ac3",
        ".dts",
        ".mpc",
        ".mp2",
    }
)
SUFFIXES = LIBAV_SUFFIXES | {
    ".wav",
    ".wave",
    ".bwf",
    ".rf64",
    ".w64",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".mpga",
    ".au",
    ".snd",
    ".aif",
    ".aiff",
    ".aifc",
    ".caf",
}


@contextmanager
def open_stream(path: Path, start_s: float) -> Iterator[Stream]:
    """Open a file with its decoder, after validating that it holds something.

    Parameters
    ----------
    path
        An audio file.
    start_s
        Where pulling begins, in seconds.

    Yields
    ------
    Stream
        Its frames.

    Raises
    ------
    AudioError
        If it is missing, or no decoder reads it.
    """
    _check(path)
    links = joined.links(path)
    with ExitStack() as stack:
        if len(links) > 1:
            stream = Chain(path, links, stack).stream(start_s)
        else:
            stream = _first_that_opens(path, start_s, _openers(path), stack)
        stream.notes.extend(_ogg_note(path))
        yield stream


def _ogg_note(path: Path) -> list[str]:
    """Return what to say of an Ogg file that may be cut short."""
    cut = joined.is_cut_ogg(path)
    return ["its last page is not whole, so it may be cut short; kept"] if cut else []


def _openers(path: Path) -> list:
    """Return who opens a file, the better one first."""
    suffix = path.suffix.lower()
    other = suffix in LIBAV_SUFFIXES or joined.is_opus(path)  # libsndfile loses packets of it
    # libsndfile, which writes to stderr what it misses, finds no other mp3 than we do.
    other |= suffix == ".mp3" and mpeg.is_unknown(path)
    return [_open_other, _open_soundfile] if other else [_open_soundfile, _open_other]


def _check(path: Path) -> None:
    """Refuse what is no file that can be read."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if os.path.islink(path):  # noqa: PTH114 (False too where the name is impossible)
            reason = f"it is a link to {printable(path.readlink())}, which is not there"
            raise AudioError(path, reason, "mend the link or remove it") from None
        raise AudioError(path, f"it cannot be opened ({reason})", "check the path") from None
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(path, "it is a folder or device, not a file", "name an audio file")
    if not os.access(path, os.R_OK):
        raise AudioError(path, "there is no permission to read it", "change its permissions")
    if not status.st_size:
        raise AudioError(path, "it is empty (0 bytes)", "get the file again")


def _first_that_opens(path: Path, start_s: float, openers: list, stack: ExitStack) -> Stream:
    """Return the stream of the first decoder that reads a file, or why the usual one does not."""
    problems = []
    for opener in openers:
        try:
            return stack.enter_context(opener(path, start_s))
        except AudioError as error:
            problems.append(error)
    if kind := what_else(path):
        raise AudioError(path, f"it is no audio that can be decoded but {kind[0]}", kind[1])
    raise problems[0]


@contextmanager
def _open_soundfile(path: Path, start_s: float) -> Iterator[Stream]:
    """Open a file with libsndfile, or hand over what it would read only in part."""
    with ExitStack() as stack:
        layout = mpeg.mpeg(path)
        # It never decodes beyond a count, and guesses without one. From the middle of an mp3 on it
        # lacks frames before, and says so on stderr: at 1 of 88 real places 72 ms were wrong.
        if layout and (start_s or not layout.whole):
            yield stack.enter_context(_open_other(path, start_s))
            return
        file = stack.enter_context(open_sound(path))
        yield stack.enter_context(_open_counted(file, path, start_s, stack))


@contextmanager
def _open_other(path: Path, start_s: float) -> Iterator[Stream]:
    """Open a file with FFmpeg's libraries; the length of an mp3 is counted here."""
    with open_libav(path, start_s) as stream:
        layout = mpeg.mpeg(path) if stream.form == "mp3" else None
        yield _counted_mp3(stream, layout) if layout else stream


def _counted_mp3(stream: Stream, layout: mpeg.Mpeg) -> Stream:
    """Return an mp3 with the length that its table, or the rate of its first frame, gives."""
    several = layout.size and layout.left > LITTLE
    promised = bool(layout.samples) and not several
    frames = layout.samples if promised else layout.guess
    return replace(stream, frames=frames, promised=promised, slack=2 * 1152)


@contextmanager
def _open_counted(
    file: sf.SoundFile, path: Path, start_s: float, stack: ExitStack
) -> Iterator[Stream]:
    """Open what is no mp3; where sound follows the promised end, with a header that knows of it."""
    frames, promised, notes = file.frames, file.format != "OGG", []  # known by its last page
    chunk = data_chunk(path)
    if file.frames > 1 << 60:  # a flac of unknown length
        frames, promised = 0, False
    elif chunk and chunk.left:
        file = stack.enter_context(open_sound(path, chunk.mended(path)))
        frames, promised, notes = file.frames, False, [_longer(file, chunk)]
    elif chunk:
        frames, promised = _counted(file, chunk)
    if not file.frames:
        raise AudioError(path, "it has a header but holds no samples", "get the file again")
    yield stream_of(file, path, start_s, frames=frames, promised=promised, notes=notes)


def _longer(file: sf.SoundFile, chunk: Chunk) -> str:
    """Report that sound follows the end that the header promises."""
    if not chunk.size:
        return "its header says that it is empty, as where a recording was stopped; all is read"
    promised_s = file.frames * chunk.size / chunk.present / file.samplerate
    return f"sound follows the {promised_s:.2f} s that its header promises; all is read"


def _counted(file: sf.SoundFile, chunk: Chunk) -> tuple[int, bool]:
    """Return the length in frames, and whether the header promises it.

    libsndfile cuts the count of wav, aiff and the like to the bytes there are.
    """
    if not chunk.size or chunk.present <= 0:
        return file.frames, False
    return max(file.frames, round(file.frames * chunk.size / chunk.present)), True
