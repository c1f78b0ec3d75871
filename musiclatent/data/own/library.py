"""Join to a folder of one's own what is known of its files: labels, artists, albums, segments.

Columns come from the parent folder (``folder``), from tags (`tags.FIELDS`) and from ``labels.csv``
in the folder, whose columns take the place of tags of the same name.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from musiclatent.data import folders
from musiclatent.data.own import seen, tags
from musiclatent.errors import CorpusError, first_line

TABLE = "labels.csv"
SPAN = ("start", "end")
FEWEST = 4  # recordings of a genre or folder from which it is a label
GROUPS = 8  # artists or albums from which the split keeps each in one part
NOBODY = {"", "various artists", "various", "unknown artist", "unknown", "va"}
TAKEN = {"item_id", "path", "group", "split", "seconds", "silent", "row", "key", "reason"}


def index(folder: Path, work: Path | None) -> pd.DataFrame:
    """Index a folder of one's own with all that is known of its files.

    Parameters
    ----------
    folder
        Searched with all that lies in it.
    work
        Where what was read of the files is remembered; None reads it anew.

    Returns
    -------
    DataFrame
        As `folders.index`, with the columns named above; `label` is the column ``label`` of the
        table, else its first column that is no tag, else the genre, else the folder, each of the
        latter two where two or more have `FEWEST` recordings; `group` the artist, else the album,
        where there are `GROUPS` of them; `segments`, where the table has spans, a json list of
        what holds from ``start_s`` to ``end_s``.

    Raises
    ------
    CorpusError
        As `folders.index`, or if the table cannot be read or names a file that is not there.
    """
    items = folders.index(Path(folder), names=folders.fixed(Path(folder), work))
    store = work and Path(work) / "tags.parquet"
    found = seen.facts(list(items["path"]), tags.read_tags, store=store, label="tags")
    names = items["item_id"].str.rpartition("/")[0]
    items = items.assign(folder=names, **found)
    table = read_table(Path(folder) / TABLE, set(items["item_id"]))
    columns = [name for name in table if name not in ("file", *SPAN)]
    items = _joined(items, table, columns)
    items["label"] = _label(items, columns)
    items["group"] = _group(items)
    # What nobody filled in would be an empty column of every table.
    known = {name: items[name].replace("", None).notna().any() for name in tags.FIELDS}
    return items.drop(columns=[name for name, some in known.items() if not some])


def read_table(path: Path, known: set[str]) -> pd.DataFrame:
    """Read ``labels.csv``: ``file`` or ``file,start,end`` (in seconds), and any other columns.

    Parameters
    ----------
    path
        The table; without it there are no labels.
    known
        Files of the folder, by their paths below it.

    Returns
    -------
    DataFrame
        Its rows; all but `start` and `end` is text, and `bpm` and `year` numbers.

    Raises
    ------
    CorpusError
        If it cannot be read, lacks ``file``, names a file that is not there, has a file twice
        without spans, or a span that does not rise.
    """
    if not path.is_file():
        return pd.DataFrame({"file": []}, dtype=str)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (ValueError, OSError) as error:
        raise CorpusError(f"{path}: it is no table ({first_line(error)}); save it as csv") from None
    _validate(path, table, known)
    numbers = [name for name in (*SPAN, *tags.NUMBERS) if name in table]
    for name in numbers:
        table[name] = pd.to_numeric(table[name].replace("", "nan"), errors="coerce")
    spans = [name for name in SPAN if name in table]
    if spans and not (table["start"].ge(0) & table["start"].lt(table["end"])).all():
        raise CorpusError(f"{path}: a start is no number below its end; give seconds that rise")
    if not spans and table["file"].duplicated().any():
        twice = table["file"][table["file"].duplicated()].iloc[0]
        raise CorpusError(f"{path}: {twice!r} comes twice; keep one row, or give start and end")
    return table.rename(columns={name: f"own_{name}" for name in TAKEN & set(table)})


def _validate(path: Path, table: pd.DataFrame, known: set[str]) -> None:
    """Refuse a table without files, or of files that are not there."""
    if "file" not in table or ("start" in table) != ("end" in table):
        wanted = "file, or file, start and end"
        raise CorpusError(f"{path}: its columns are {', '.join(table)}; give {wanted}, and labels")
    table["file"] = table["file"].str.removeprefix("./")
    missing = [name for name in table["file"] if name not in known]
    if missing:
        raise CorpusError(
            f"{path}: {missing[0]!r} and {len(missing) - 1} more are no files of this folder; give "
            "paths below it"
        )


def _joined(items: pd.DataFrame, table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Add the columns of a table; of segments, what holds longest, and all of them."""
    if table.empty or not columns:
        return items
    if "start" in table:
        longest = (table["end"] - table["start"]).sort_values(ascending=False, kind="stable").index
        segments = {file: _segments(rows, columns) for file, rows in table.groupby("file")}
        items = items.assign(segments=items["item_id"].map(segments).fillna("[]"))
        table = table.loc[longest].drop_duplicates("file")
    rows = items["item_id"].map(dict(zip(table["file"], table.index, strict=True)))
    for name in columns:
        new = rows.map(table[name])
        old = items[name] if name in items else np.nan if is_numeric_dtype(table[name]) else ""
        items[name] = new.where(rows.notna() & new.replace("", None).notna(), old)
    return items


def _segments(rows: pd.DataFrame, columns: list[str]) -> str:
    """Return the segments of a file as json, in the order of time."""
    rows = rows.sort_values("start").rename(columns={"start": "start_s", "end": "end_s"})
    own = _own(columns)
    rows = rows.assign(label=rows[own[0]]) if own else rows
    names = dict.fromkeys(["start_s", "end_s", *columns, *["label"] * bool(own)])
    return rows[list(names)].to_json(orient="records")


def _own(columns: list[str]) -> list[str]:
    """Return the columns of the table that may be the label, the first of them is."""
    return [name for name in columns if name == "label"] or [
        name for name in columns if name not in tags.FIELDS
    ]


def _label(items: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Choose the column that is the label of a recording."""
    if own := _own(columns):
        return items[own[0]].astype(str)
    for name in ("genre", "folder"):
        common = items[name].map(items[name].value_counts()) >= FEWEST
        label = items[name].where(common, "")
        if label.replace("", None).nunique() > 1:
            return label
    return items["label"]


def _group(items: pd.DataFrame) -> pd.Series:
    """Keep an artist, else an album, in one part of the split, where there are enough of them."""
    for name in ("artist", "album"):
        words = items[name].fillna("").str.casefold().str.strip()
        somebody = ~words.isin(NOBODY)
        if words[somebody].nunique() >= GROUPS:
            return items["group"].where(~somebody, f"{name}: " + words)
    return items["group"]


def with_segments(windows: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Give windows the values of the segment that holds their middle.

    Parameters
    ----------
    windows
        item_id, start_s, end_s, label, one row per window.
    items
        The index, perhaps with the column `segments`.

    Returns
    -------
    DataFrame
        The windows; in a file with segments, those outside of all have no label.
    """
    if "segments" not in items:
        return windows
    segments = items.loc[items["segments"] != "[]", ["item_id", "segments"]]
    windows, rows = windows.reset_index(drop=True), windows.groupby("item_id", sort=False).indices
    middle = ((windows["start_s"] + windows["end_s"]) / 2).to_numpy()
    for item_id, text in segments.itertuples(index=False):
        spans, of_item = json.loads(text), rows.get(item_id, [])
        names = [name for name in spans[0] if name in windows and name not in ("start_s", "end_s")]
        windows.loc[of_item, names] = ""
        for span in spans:
            inside = (middle[of_item] >= span["start_s"]) & (middle[of_item] < span["end_s"])
            windows.loc[of_item[inside], names] = [span[name] for name in names]
    return windows
