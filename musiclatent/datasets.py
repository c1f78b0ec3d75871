"""Find the files of each real dataset, whatever its layout, and what their names say.

An indexer takes the folder above all datasets and a folder for what it must unpack, or None to
unpack nothing. It returns a table of item_id, path, label, group (by name only) and the dataset's
own columns, and `reason`: why a file cannot be used, by its name; else empty.
"""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet as pq

from musiclatent import splits, tables
from musiclatent.audio import SUFFIXES
from musiclatent.errors import CorpusError, one_line

_NAMES = "blues classical country disco hiphop jazz metal pop reggae rock"
GENRES = tuple(_NAMES.split())
LAYOUTS = (
    "gtzan/genres",  # the classic one
    "gtzan/Data/genres_original",  # Kaggle's
    "gtzan/genres_original",
    "Data/genres_original",
)
SPEAKERS = ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"]
VERSION_WORDS = ("full", "variation", "version", "instrumental", "remix", "edit", "loop")
_CLIP = re.compile(rf"({'|'.join(GENRES)})\.\d{{5}}\.(wav|au|mp3|flac|ogg)")
_NO_TEXT = "its name is no valid UTF-8; rename it"
_DIGIT = r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<index>\d+)"


@dataclass(frozen=True)
class Dataset:
    """A named real dataset.

    Parameters
    ----------
    index
        ``index(root, work)``: table of its files.
    folder
        Its folder inside the root.
    expected
        Every item_id of the whole dataset; empty where there is no such list.
    least_s
        Length in seconds below which a file must be cut.
    repeats
        Whether repeated recordings are searched for in the sound.
    splits
        Splits beside ``group``: ``split(items, root, work)``; where the name ends in ``-K``, for
        any number, with the number as a fourth argument.
    spectrograms
        ``spectrograms(root)``: what the corpus holds in place of sound; None for sound.
    note
        What must be said with every figure on it.
    """

    index: Callable[[Path, Path | None], pd.DataFrame]
    folder: str
    expected: tuple[str, ...] = ()
    least_s: float = 0.0
    repeats: bool = True
    splits: dict[str, Callable[..., pd.Series]] = field(default_factory=dict)
    spectrograms: Callable[[Path], np.ndarray] | None = None
    note: str = ""


def walk(folder: Path) -> list[Path]:
    """List the audio files under a folder in the order of their names, without hidden ones."""
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(here, name).absolute() for name in names if not name.startswith(".")]
    found = [path for path in found if path.suffix.lower() in SUFFIXES]
    return sorted(found, key=lambda path: path.relative_to(folder.absolute()).as_posix())


def plain(folder: Path, name: str = "") -> pd.DataFrame:
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
    return _table(paths, [path.relative_to(folder.absolute()).as_posix() for path in paths])


def _table(paths: list[Path], names: list[str]) -> pd.DataFrame:
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


def _folder(root: Path, work: Path | None, name: str) -> pd.DataFrame:
    """Index a dataset that is a plain folder."""
    return plain(root / name, name)


def _edm(root: Path, work: Path | None) -> pd.DataFrame:
    """Index electronic tracks; versions of a tune, by their names, share a group."""
    items = plain(root / "edm", "edm")
    return items.assign(group=[tune(Path(path).stem) for path in items["path"]])


def tune(stem: str) -> str:
    """Cut from a track's name what tells its versions apart: numbers and words such as full."""
    words = re.split(r"[-_ ]+", stem.lower())
    while len(words) > 1 and (words[-1].isdigit() or words[-1] in VERSION_WORDS):
        words.pop()
    return "-".join(words)


def _music_speech(root: Path, work: Path | None, kind: str = "") -> pd.DataFrame:
    """Index the clips of music and speech; glass and glass1 are of one source."""
    folder = root / "music_speech"
    items = plain(folder, "music_speech")
    items["label"] = items["item_id"].str.extract(r"(?:^|/)(music|speech)\w*/")[0].fillna("")
    stems = [Path(path).stem for path in items["path"]]
    items["group"] = items["label"] + "/" + [s.rstrip("0123456789") or s for s in stems]
    if kind and not (items["label"] == kind).any():
        remedy = "run `musiclatent data fetch music_speech`"
        raise CorpusError(f"{str(folder / kind)!r}: the folder holds no audio; {remedy}")
    return items[items["label"] == kind] if kind else items


def _fsdd(root: Path, work: Path | None) -> pd.DataFrame:
    """Index the spoken digits by what their names say."""
    items = plain(root / "fsdd" / "recordings", "fsdd")
    items["item_id"] = items["group"] = items["item_id"].str.replace(r"\.\w+$", "", regex=True)
    named = items["item_id"].str.extract(f"^{_DIGIT}$")
    items["label"] = named["digit"].fillna("")
    items["speaker"] = named["speaker"].fillna("")
    for column in ("digit", "index"):
        items[column] = pd.to_numeric(named[column]).fillna(-1).astype(int)
    reason = "its name is not digit_speaker_index.wav; rename it or take it away"
    items["reason"] = items["reason"].mask(named["digit"].isna(), reason)
    return items


def _gtzan(root: Path, work: Path | None) -> pd.DataFrame:
    """Index GTZAN's clips by genre and stem; of two files with one stem the first counts."""
    paths = _clips(root) or (_clips(work) if work else []) or _from_parquet(root, work)
    items = _table(paths, [path.stem for path in paths])
    items["label"] = [path.parent.name for path in paths]
    twice = items["item_id"].duplicated()
    items["reason"] = items["reason"].mask(twice, "a second file of the same clip; keep one")
    return items


def _clips(root: Path) -> list[Path]:
    """GTZAN's clips in the layout under `root` that holds most of them; wav first."""
    found = []
    for layout in LAYOUTS:
        clips = [path for genre in GENRES for path in walk(root / layout / genre)]
        found = max(found, clips, key=len)
    return sorted(found, key=lambda p: (p.parent.name, p.stem, p.suffix.lower() != ".wav", p.name))


def _from_parquet(root: Path, work: Path | None) -> list[Path]:
    """Unpack the Hugging Face copy, once, beside its shards or else into the folder `work`."""
    shards = sorted((root / "gtzan").rglob("*.parquet"))
    if not shards:
        raise CorpusError(
            f"{str(root / 'gtzan')!r}: there is no genres/<genre>/*.wav, Kaggle's "
            "Data/genres_original or parquet copy in it; run `musiclatent data fetch gtzan`"
        )
    if work is None:
        return []
    problem = None
    for base in (root, work):  # the root may be read-only
        try:
            _extract(shards, base / LAYOUTS[0])
            return _clips(base)
        except OSError as error:
            problem = error
    raise CorpusError(
        f"{str(root / 'gtzan')!r}: its clips cannot be unpacked ({problem.strerror}); free space "
        "or give permission to write there"
    ) from problem


def _extract(shards: list[Path], target: Path) -> None:
    """Write the clips in parquet shards to target/genre/name, all of them or none."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        for shard in shards:
            _unpack(shard, part)
        if target.is_dir():
            target.rmdir()  # empty, or there would be clips and nothing to unpack
        part.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _unpack(shard: Path, part: Path) -> None:
    """Write the clips in one shard, a few at a time."""
    try:
        for batch in pq.ParquetFile(shard).iter_batches(8, columns=["audio"]):
            for clip in batch.column("audio").to_pylist():
                _place(clip, part)
    except (pyarrow.ArrowException, KeyError, TypeError, ValueError) as error:
        raise CorpusError(
            f"{str(shard)!r}: it is no whole parquet copy of GTZAN ({one_line(error)}); "
            "delete it and run `musiclatent data fetch gtzan`"
        ) from error


def _place(clip: dict, part: Path) -> None:
    """Write one clip; only a name that a GTZAN clip can have is used, so nothing lands outside."""
    name = PurePosixPath(clip["path"] or "").name
    match = _CLIP.fullmatch(name)
    if not match:
        raise ValueError(f"{clip['path']!r} is no name of a GTZAN clip")
    folder = part / match[1]
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(clip["bytes"])


def _listed(items: pd.DataFrame, root: Path, work: Path | None, *, kind: str) -> pd.Series:
    """Split GTZAN by the lists of one kind: filtered or stratified."""
    folder = root / "gtzan" / "splits"
    short = {"train": "train", "validation": "valid", "test": "test"}
    lists = {split: folder / f"{name}_{kind}.txt" for split, name in short.items()}
    for path in lists.values():
        if not path.is_file():
            raise CorpusError(
                f"{str(path)!r}: the list of this split is missing; put it there (data/README.md "
                "says where from) or use split='group'"
            )
    return splits.by_lists(items, lists)


DATASETS = {
    "gtzan": Dataset(
        _gtzan,
        "gtzan",
        expected=tuple(f"{genre}.{i:05d}" for genre in GENRES for i in range(100)),
        least_s=29.0,  # 18 clips are a little shorter than 30 s
        splits={
            "filtered": partial(_listed, kind="filtered"),
            "random": partial(_listed, kind="stratified"),
            "excerpts-K": tables.as_excerpts,
        },
    ),
    "gtzan_excerpts": Dataset(
        tables.excerpts,
        "gtzan_excerpts",
        repeats=False,
        spectrograms=tables.spectrograms,
        note="artists not kept apart",
    ),
    "music_speech": Dataset(_music_speech, "music_speech"),
    "music_speech/music": Dataset(partial(_music_speech, kind="music"), "music_speech"),
    "fsdd": Dataset(
        _fsdd,
        "fsdd",
        expected=tuple(f"{d}_{s}_{i}" for d in range(10) for s in SPEAKERS for i in range(50)),
        repeats=False,
        splits={
            "official": lambda items, root, work: splits.by_index(items),
            "speakers": lambda items, root, work: splits.by_speaker(items),
        },
    ),
    "edm": Dataset(_edm, "edm"),
    "new_music": Dataset(partial(_folder, name="new_music"), "new_music"),
}
