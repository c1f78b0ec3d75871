"""Plain folders of music: electronic tracks, music and speech, or a user's own.

An indexer takes the folder above all datasets and a folder for what it must unpack, or None to
unpack nothing. It returns a table of item_id, path, label, group (by name only) and the dataset's
own columns, and `reason`: why a file cannot be used, by its name; else empty.
"""

import json
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from musiclatent.audio.decoders import SUFFIXES
from musiclatent.errors import CorpusError, printable, shown
from musiclatent.files import own_output, write_json

VERSION_WORDS = ("full", "variation", "version", "instrumental", "remix", "edit", "loop")
NO_TEXT = "its name is no valid UTF-8; rename it"
# What a folder of music holds beside music, by suffix; what has none of these is another file.
KINDS = {
    "cover": {".jpg", ".jpeg", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"},
    "playlist": {".m3u", ".m3u8", ".pls", ".xspf", ".wpl", ".asx", ".cue"},
    "text": {
        ".txt",
        ".nfo",
        ".md",
        ".log",
        ".pdf",
        ".rtf",
        ".doc",
        ".docx",
        ".html",
        ".htm",
        ".url",
        ".csv",
        ".json",
        ".xml",
    },
}
FIXED = "music.json"  # note of the files that a run works on
_KIND_OF = {suffix: kind for kind, suffixes in KINDS.items() for suffix in suffixes}


@dataclass(frozen=True)
class Walk:
    """What a folder holds.

    Parameters
    ----------
    found
        Its files of music by name, in their order; links that lead nowhere too.
    passed_over
        Everything else: path, kind, reason.
    """

    found: list[Path] = field(default_factory=list)
    passed_over: list[tuple[Path, str, str]] = field(default_factory=list)

    @property
    def unreadable(self) -> list[tuple[Path, str]]:
        """Folders whose music is missing, since they may not be read: path, reason."""
        return [(path, why) for path, kind, why in self.passed_over if kind == "locked folder"]

    def summary(self) -> str:
        """Count in one line what was passed over; empty where nothing was."""
        counts = Counter(kind for _, kind, _ in self.passed_over)
        parts = [f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts.most_common()]
        others = [path for path, kind, _ in self.passed_over if kind == "other file"]
        suffixes = Counter(shown(path.suffix[1:].lower()) or "without suffix" for path in others)
        named = [f"{n} {suffix}" for suffix, n in sorted(suffixes.items())]
        more = f" ({', '.join(named)})" if named else ""
        return f"{', '.join(parts)} passed over{more}" if parts else ""


def walk(folder: Path) -> Walk:
    """List the music under a folder in the order of names, and what else it holds.

    Folders that links lead to are walked too, each folder once. Hidden files, whose names begin
    with one dot, and what `musiclatent` itself has made are passed over.

    Parameters
    ----------
    folder
        Any folder.
    """
    walker = _Walker(folder.absolute())
    walker.go()
    return walker.walk


class _Walker:
    """A walk: the folders that were seen, and the links that wait until all others are."""

    def __init__(self, top: Path) -> None:
        self.top, self.walk = top, Walk()
        self.seen: set[tuple[int, int]] = set()
        self.links: list[Path] = []

    def go(self) -> None:
        """Walk the folder, then what links in it lead to."""
        waiting = [self.top]
        while waiting or self.links:
            here = waiting.pop() if waiting else self.links.pop(0)
            if self._is_new(here):
                waiting += reversed(self._enter(here))
        self.walk.found.sort(key=lambda path: path.relative_to(self.top).as_posix())

    def _pass(self, path: Path, kind: str, reason: str) -> None:
        """Note what is no music, or not taken for it."""
        self.walk.passed_over.append((path, kind, reason))

    def _is_new(self, folder: Path) -> bool:
        """Return whether a folder was not walked yet."""
        try:
            status = folder.stat()
        except OSError as error:
            self._pass(folder, "locked folder", _locked(error))
            return False
        new = (status.st_dev, status.st_ino) not in self.seen
        self.seen.add((status.st_dev, status.st_ino))
        if not new:
            self._pass(folder, "link", "it leads to a folder that is walked already")
        return new

    def _enter(self, here: Path) -> list[Path]:
        """Sort what a folder holds; return the folders in it."""
        own = own_output(here)
        if "*" in own and here != self.top:
            self._pass(here, "own folder", "musiclatent made it")
            return []
        try:
            names = sorted(entry.name for entry in os.scandir(here))
        except OSError as error:
            self._pass(here, "locked folder", _locked(error))
            return []
        return [path for name in names if (path := self._sort(here / name, name in own))]

    def _sort(self, path: Path, own: bool) -> Path | None:
        """Note a file or a link; return a folder."""
        hidden = path.name.startswith(".") and not path.name.startswith("..")
        is_folder, is_link = path.is_dir(), path.is_symlink()
        if own or hidden:
            kind = "own file" if own else f"hidden {'folder' if is_folder else 'file'}"
            self._pass(path, kind, "musiclatent made it" if own else "its name begins with a dot")
        elif is_folder and is_link:
            self.links.append(path)
        elif is_folder:
            return path
        elif path.suffix.lower() in SUFFIXES:
            self.walk.found.append(path)
        elif is_link and not path.exists():
            self._pass(path, "link", "it leads to nothing")
        else:
            kind = _KIND_OF.get(path.suffix.lower(), "other file")
            self._pass(path, kind, "it is no music by its suffix")
        return None


def _locked(error: OSError) -> str:
    """Report why a folder was not walked."""
    return f"the folder cannot be read ({error.strerror}); change its permissions"


def index(folder: Path, name: str = "", names: list[str] | None = None) -> pd.DataFrame:
    """Index a folder of music without labels.

    Parameters
    ----------
    folder
        Searched with all that lies in it.
    name
        The dataset's name, for the command that the error gives; empty for a user's own folder.
    names
        Files below the folder that are its music, as they were found before; None looks for them.

    Raises
    ------
    CorpusError
        If the folder is missing or holds no audio.
    """
    remedy = f"run `musiclatent data fetch {name}`" if name else "name a folder with audio files"
    if not folder.is_dir():
        raise CorpusError(f"{str(folder)!r}: there is no such folder; {remedy}")
    top = folder.absolute()
    found = walk(folder) if names is None else Walk([top / name for name in names])
    if not found.found:
        raise CorpusError(f"{str(folder)!r}: the folder holds no audio ({_seen(found)}); {remedy}")
    locked = dict(found.unreadable)
    paths = [*found.found, *locked]
    table = file_table(paths, [path.relative_to(top).as_posix() for path in paths])
    reasons = [locked.get(path, "") for path in paths]
    return table.assign(reason=table["reason"].where(table["reason"].ne(""), reasons))


def fix(folder: Path, work: Path, *, anew: bool = True) -> Walk:
    """Note which files of a folder are its music, so that all notebooks of a run take the same.

    Parameters
    ----------
    folder
        A folder of one's own music.
    work
        Where the note goes.
    anew
        Whether a note that is there is replaced.

    Returns
    -------
    Walk
        What the folder holds now.
    """
    found = walk(folder)
    if found.found and (anew or fixed(folder, work) is None):
        names = [path.relative_to(folder.absolute()).as_posix() for path in found.found]
        write_json(work / FIXED, {"folder": str(folder.absolute()), "names": names})
    return found


def fixed(folder: Path, work: Path | None) -> list[str] | None:
    """Return the files that `fix` noted of a folder; None where there is no such note."""
    try:
        note = json.loads((work / FIXED).read_bytes()) if work else {}
    except (OSError, ValueError):
        return None
    return note["names"] if note.get("folder") == str(folder.absolute()) else None


def _seen(found: Walk) -> str:
    """Return what a folder without music holds, else which kinds of file are music."""
    reasons = [f"{printable(path)}: {why}" for path, why in found.unreadable]
    return "; ".join(reasons) or found.summary() or " ".join(sorted(SUFFIXES))


def file_table(paths: list[Path], names: list[str]) -> pd.DataFrame:
    """Index files by their names; a table holds text only, so other bytes are spelt out."""
    ids, texts = ([_text(path) for path in column] for column in (names, paths))
    reason = [name_problem(path) for path in paths]
    return pd.DataFrame(
        {"item_id": ids, "path": texts, "label": "", "group": ids, "reason": reason}
    )


def name_problem(path: Path) -> str:
    """Return why a file cannot be named in tables; empty if it can."""
    return "" if _text(path) == str(path) else NO_TEXT


def _text(path: Path | str) -> str:
    """Spell a path out as valid UTF-8."""
    return str(path).encode("utf-8", "surrogateescape").decode(errors="backslashreplace")


def index_new_music(root: Path, work: Path | None) -> pd.DataFrame:
    """Index music that no model was trained on."""
    return index(root / "new_music", "new_music")


def index_edm(root: Path, work: Path | None) -> pd.DataFrame:
    """Index electronic tracks; versions of a tune, by their names, share a group."""
    items = index(root / "edm", "edm")
    return items.assign(group=[tune(Path(path).stem) for path in items["path"]])


def tune(stem: str) -> str:
    """Cut from a track's name what tells its versions apart: numbers and words such as full."""
    words = re.split(r"[-_ ]+", stem.lower())
    while len(words) > 1 and (words[-1].isdigit() or words[-1] in VERSION_WORDS):
        words.pop()
    return "-".join(words)


def index_music_speech(root: Path, work: Path | None, label: str = "") -> pd.DataFrame:
    """Index the clips of music and speech, or of one label; glass and glass1 are of one source."""
    folder = root / "music_speech"
    items = index(folder, "music_speech")
    items["label"] = items["item_id"].str.extract(r"(?:^|/)(music|speech)\w*/")[0].fillna("")
    stems = [Path(path).stem for path in items["path"]]
    items["group"] = items["label"] + "/" + [s.rstrip("0123456789") or s for s in stems]
    if not label:
        return items
    if label not in set(items["label"]):
        remedy = "run `musiclatent data fetch music_speech`"
        raise CorpusError(f"{str(folder / label)!r}: the folder holds no audio; {remedy}")
    return items[items["label"] == label]
