"""The datasets by name: who indexes them, where they come from, how they are split.

To add one: a module with its indexer and its source, an entry here, a row in ``data/README.md``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.data import folders, fsdd, gtzan, gtzan_tables
from musiclatent.data.download import Remote, Source


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


_VGGISH = "https://github.com/harritaylor/torchvggish/releases/download/v0.1"
_VGGISH_SHA256 = {  # the names hold the first digits; of the second file no more is published
    "vggish-10086976.pth": "10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b",
    "vggish_pca_params-970ea276.pth": "970ea276",
}
DATASETS = {
    "gtzan": Dataset(
        index=gtzan.index,
        source=gtzan.SOURCE,
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
        source=gtzan_tables.SOURCE,
        repeats=False,
        spectrograms=gtzan_tables.read_spectrograms,
        note="artists not kept apart",
    ),
    "music_speech": Dataset(index=folders.index_music_speech, source=folders.MUSIC_SPEECH),
    "music_speech/music": Dataset(
        index=partial(folders.index_music_speech, label="music"), source=folders.MUSIC_SPEECH
    ),
    "fsdd": Dataset(
        index=fsdd.index,
        source=fsdd.SOURCE,
        expected=fsdd.EXPECTED,
        repeats=False,
        splits={
            "official": lambda items, root, work: fsdd.by_index(items),
            "speakers": lambda items, root, work: fsdd.by_speaker(items),
        },
    ),
    "edm": Dataset(index=folders.index_edm, source=folders.EDM),
    "new_music": Dataset(index=folders.index_new_music, source=folders.NEW_MUSIC),
}
VGGISH = Source(  # weights and no music, but fetched in the same way
    folder="vggish",
    present=("vggish*.pth",),
    by_hand=f"put {' and '.join(_VGGISH_SHA256)} of github.com/harritaylor/torchvggish, "
    "release v0.1, into vggish",
    remotes=tuple(
        Remote(url=f"{_VGGISH}/{name}", to=name, sha256=sha256)
        for name, sha256 in _VGGISH_SHA256.items()
    ),
    count=2,
)
SOURCES = {source.folder: source for source in (*(d.source for d in DATASETS.values()), VGGISH)}
