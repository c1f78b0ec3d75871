"""GTZAN: its layouts on disk, its parquet copy, and its published lists of a split."""

import re
import shutil
from pathlib import Path, PurePosixPath

import pandas as pd
import pyarrow
import pyarrow.parquet as pq

from musiclatent.data import folders, splits
from musiclatent.errors import CorpusError, one_line

_NAMES = "blues classical country disco hiphop jazz metal pop reggae rock"
GENRES = tuple(_NAMES.split())
EXPECTED = tuple(f"{genre}.{i:05d}" for genre in GENRES for i in range(100))
LAYOUTS = (
    "gtzan/genres",  # the classic one
    "gtzan/Data/genres_original",  # Kaggle's
    "gtzan/genres_original",
    "Data/genres_original",
)
_CLIP = re.compile(rf"({'|'.join(GENRES)})\.\d{{5}}\.(wav|au|mp3|flac|ogg)")


def index(root: Path, work: Path | None) -> pd.DataFrame:
    """Index GTZAN's clips by genre and stem; of two files with one stem the first counts."""
    paths = _clips(root) or (_clips(work) if work else []) or _from_parquet(root, work)
    items = folders.file_table(paths, [path.stem for path in paths])
    items["label"] = [path.parent.name for path in paths]
    twice = items["item_id"].duplicated()
    items["reason"] = items["reason"].mask(twice, "a second file of the same clip; keep one")
    return items


def _clips(root: Path) -> list[Path]:
    """List GTZAN's clips in the layout under `root` that holds most of them; wav first."""
    layouts = [
        [path for genre in GENRES for path in folders.walk(root / layout / genre).found]
        for layout in LAYOUTS
    ]
    return sorted(
        max(layouts, key=len),
        key=lambda p: (p.parent.name, p.stem, p.suffix.lower() != ".wav", p.name),
    )


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


def published_split(items: pd.DataFrame, root: Path, work: Path | None, *, kind: str) -> pd.Series:
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
