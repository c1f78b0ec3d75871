"""Plain folders of music: electronic tracks, music and speech, or a user's own.

An indexer takes the folder above all datasets and a folder for what it must unpack, or None to
unpack nothing. It returns a table of item_id, path, label, group (by name only) and the dataset's
own columns, and `reason`: why a file cannot be used, by its name; else empty.
"""

import os
import re
from pathlib import Path

import pandas as pd

from musiclatent.audio.decoders import SUFFIXES
from musiclatent.errors import CorpusError

VERSION_WORDS = ("full", "variation", "version", "instrumental", "remix", "edit", "loop")
_NO_TEXT = "its name is no valid UTF-8; rename it"


def walk(folder: Path) -> list[Path]:
    """List the audio files under a folder in the order of their names, without hidden ones."""
    paths = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(here, name).absolute() for name in names if not name.startswith(".")]
    audible = [path for path in paths if path.suffix.lower() in SUFFIXES]
    return sorted(audible, key=lambda path: path.relative_to(folder.absolute()).as_posix())


def index(folder: Path, name: str = "") -> pd.DataFrame:
    """Index a folder of music without labels.

    Parameters
    ----------
    folder
        Searched with all that lies in it.
    name
        The dataset's name, for the command that the error gives; empty for a user's own folder.

    Raises
    ------
    CorpusError
        If the folder is missing or holds no audio.
    """
    remedy = f"run `musiclatent data fetch {name}`" if name else "name a folder with audio files"
    if not folder.is_dir():
        raise CorpusError(f"{str(folder)!r}: there is no such folder; {remedy}")
    paths = walk(folder)
    if not paths:
        kinds = " ".join(sorted(SUFFIXES))
        raise CorpusError(f"{str(folder)!r}: the folder holds no audio ({kinds}); {remedy}")
    return file_table(paths, [path.relative_to(folder.absolute()).as_posix() for path in paths])


def file_table(paths: list[Path], names: list[str]) -> pd.DataFrame:
    """Index files by their names; a table holds text only, so other bytes are spelt out."""
    ids, texts = ([_text(path) for path in column] for column in (names, paths))
    same = [text == str(path) for text, path in zip(texts, paths, strict=True)]
    reason = pd.Series(same, dtype=bool).map({True: "", False: _NO_TEXT})
    return pd.DataFrame(
        {"item_id": ids, "path": texts, "label": "", "group": ids, "reason": reason}
    )


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
