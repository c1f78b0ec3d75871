"""The datasets by name: who indexes them, where they come from, how they are split.

To add one: a module with its indexer, an entry here and in ``sources.toml``, a row in
``data/README.md``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.data import folders, fsdd, gtzan, gtzan_tables
from musiclatent.data.download import Remote, Source
from musiclatent.files import read_toml


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A named real dataset.

    Parameters
    ----------
    index
        ``index(root, work)``: table of its files.
    source
        Its folder inside the root, and where it comes from.
    expected
        Every item_id of the whole dataset; empty where there is no such list.
    least_s
        Length in seconds below which a file must be cut.
    repeats
        Whether duplicates are searched for in the sound.
    splits
        Splits beside ``group``: ``split(items, root, work)``; where the name ends in ``-K``, for
        any number, with the number as a fourth argument.
    spectrograms
        ``spectrograms(root)``: what the corpus holds in place of sound; None for sound.
    note
        What every figure on it must state.
    """

    index: Callable[[Path, Path | None], pd.DataFrame]
    source: Source
    expected: tuple[str, ...] = ()
    least_s: float = 0.0
    repeats: bool = True
    splits: dict[str, Callable[..., pd.Series]] = field(default_factory=dict)
    spectrograms: Callable[[Path], np.ndarray] | None = None
    note: str = ""


_TABLE = read_toml(Path(__file__).with_name("sources.toml"))
SOURCES = {
    name: Source(
        folder=name, remotes=tuple(Remote(**file) for file in row.pop("remotes", ())), **row
    )
    for name, row in _TABLE.items()
}
DATASETS = {
    "gtzan": Dataset(
        index=gtzan.index,
        source=SOURCES["gtzan"],
        expected=gtzan.EXPECTED,
        least_s=29.0,  # 18 clips are a little shorter than 30 s
        splits={
            "filtered": partial(gtzan.published_split, kind="filtered"),
            "random": partial(gtzan.published_split, kind="stratified"),
            "excerpts-K": gtzan_tables.split_as_excerpts,
        },
    ),
    "gtzan_excerpts": Dataset(
        index=gtzan_tables.index_excerpts,
        source=SOURCES["gtzan_excerpts"],
        repeats=False,
        spectrograms=gtzan_tables.read_spectrograms,
        note="artists not kept apart",
    ),
    "music_speech": Dataset(index=folders.index_music_speech, source=SOURCES["music_speech"]),
    "music_speech/music": Dataset(
        index=partial(folders.index_music_speech, label="music"), source=SOURCES["music_speech"]
    ),
    "fsdd": Dataset(
        index=fsdd.index,
        source=SOURCES["fsdd"],
        expected=fsdd.EXPECTED,
        repeats=False,
        splits={
            "official": lambda items, root, work: fsdd.by_index(items),
            "speakers": lambda items, root, work: fsdd.by_speaker(items),
        },
    ),
    "edm": Dataset(index=folders.index_edm, source=SOURCES["edm"]),
    "new_music": Dataset(index=folders.index_new_music, source=SOURCES["new_music"]),
}
