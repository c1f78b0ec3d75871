"""Print what every command says in the same words, whatever the stream can take.

Names come from the disk: what is no printable character in them is escaped, so that none forges a
line or colours a terminal. A stream that is closed or full ends no command that has done its work.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from musiclatent.errors import one_line, shown

if TYPE_CHECKING:
    import pandas as pd


def set_aside(quarantine: "pd.DataFrame") -> None:
    """Name the files that could not be read."""
    for path, reason in quarantine.itertuples(index=False):
        print(f"set aside: {shown(path)}: {shown(reason)}", file=sys.stderr)


def passed_over(folder: str | Path, *, work: Path | None = None, anew: bool, verbose: bool) -> None:
    """Count what a folder holds beside music, or name each; note its music for the run.

    Parameters
    ----------
    folder
        A folder of one's own music.
    work
        Where the note of its music goes; None makes none.
    anew
        Whether a note that is there is replaced.
    verbose
        Whether each file is named, with the reason.
    """
    from musiclatent.data import folders

    folder = Path(folder)
    walk = folders.fix(folder, work, anew=anew) if work else folders.walk(folder)
    if summary := walk.summary():
        more = "" if verbose else "; --verbose names each"
        print(f"{shown(folder)}: {summary}{more}", file=sys.stderr)
    for path, kind, reason in walk.passed_over:
        if verbose or kind == "locked folder":
            print(f"passed over: {shown(path)}: {reason}", file=sys.stderr)


def table(rows: "pd.DataFrame") -> str:
    """Return a table as text, in which names are escaped."""
    texts = rows.select_dtypes(exclude="number").columns
    return rows.assign(**{name: rows[name].map(shown) for name in texts}).to_string(index=False)


def sentence(error: Exception) -> str:
    """Return what went wrong in one sentence."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return shown(f"{place}{one_line(error.strerror)}")
    return shown(one_line(error))


class Lenient:
    """A stream that shows what it cannot encode as an escape, and whose reader may be gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> object:
        """Return whatever else the stream has."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, or drop it where nobody can take it."""
        with self._dropping():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Send on what was written."""
        with self._dropping():
            self._stream.flush()

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        """Send the stream nowhere from where it fails: what it still holds shall not fail later."""
        try:
            yield
        except OSError:
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)
        except UnicodeEncodeError:  # it could not be reconfigured
            with suppress(OSError, ValueError):
                self._stream.write("(text that this stream cannot hold)\n")


class _Plain(logging.Formatter):
    """Our messages on one line each."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, escaped where it is ours."""
        text = super().format(record)
        return shown(text) if record.name == "musiclatent" else text


@contextmanager
def speaking() -> Iterator[None]:
    """Let a command print, log and warn in plain words inside the block."""
    before = sys.stdout, sys.stderr, warnings.showwarning
    sys.stdout, sys.stderr = Lenient(sys.stdout), Lenient(sys.stderr)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    warnings.showwarning = _show_warning
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr, warnings.showwarning = before
        logging.getLogger().removeHandler(handler)


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Print a warning; without place where a user can do nothing about it there."""
    own = category is UserWarning and "musiclatent" in Path(filename).parts
    place = "" if own else f"{filename}:{lineno}: {category.__name__}: "
    print(f"note: {place}{shown(one_line(message))}", file=file or sys.stderr)
