"""What we raise for the user to read: one sentence with the value, the reason and the remedy."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

_CONVERT = "get the file again, or export it anew as wav or flac"


class MusicLatentError(Exception):
    """Whatever we refuse by name; each child is also the built-in error that it was a case of."""


class AudioError(MusicLatentError, ValueError):
    """One line on why a file cannot be used as audio, and what to do.

    Parameters
    ----------
    path
        The file.
    reason
        What is wrong with it.
    remedy
        What the reader can do.
    """

    def __init__(self, path: str | Path, reason: str, remedy: str = _CONVERT):
        super().__init__(path, reason, remedy)  # all three, so that it crosses processes
        self.path, self.reason, self.remedy = path, reason, remedy

    def __str__(self) -> str:
        return f"{printable(self.path)}: {self.advice}"

    @property
    def advice(self) -> str:
        """Reason and remedy on one line, for tables that name the file in another column."""
        return f"{one_line(self.reason)}; {one_line(self.remedy)}"


class CorpusError(MusicLatentError, ValueError):
    """A corpus is missing or cannot be used: path, reason and remedy in one sentence."""


class FetchError(MusicLatentError, RuntimeError):
    """A download or an archive that cannot be used: one sentence with reason and remedy."""


class CacheError(MusicLatentError, RuntimeError):
    """A cache cannot be written, or the cluster that should compute it does not answer."""


class CheckpointError(MusicLatentError, RuntimeError):
    """A checkpoint cannot be used; the message says which, why and what to do."""


class LatentsError(MusicLatentError, ValueError):
    """A folder of latents is missing, broken, or was made by something else."""


class MissingToolError(MusicLatentError, RuntimeError):
    """A program that a codec needs is not there; the message says which, and how to get it."""


class ReproduceError(MusicLatentError, RuntimeError):
    """A notebook failed, or a study that was asked for by name cannot run."""


def printable(path: str | Path) -> str:
    """Return a path on one line, whatever characters it holds."""
    return str(path) if str(path).isprintable() else repr(str(path))


def shown(text: object) -> str:
    """Return a text with unprintable characters escaped: it forges no line and no colour."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def one_line(text: object) -> str:
    """Return a text or an error's message on one line, without a full stop at its end."""
    return " ".join(str(text).split()).rstrip(".")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, of 120 characters at most; else its name."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


@contextlib.contextmanager
def plain_errors(place: str) -> Iterator[None]:
    """Turn what the operating system reports of a file or folder into one sentence.

    Parameters
    ----------
    place
        File or folder to name where the system names none.

    Raises
    ------
    FetchError
        For an OSError inside the block.
    """
    try:
        yield
    except OSError as error:
        raise FetchError(
            f"{error.filename or place}: {error.strerror or error}: check that it can be read and "
            "written and that the disk has space, then run the command again"
        ) from error
