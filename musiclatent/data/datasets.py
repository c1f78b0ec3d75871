"""The datasets by name: who indexes them, where they come from, how they are split.

To add one: an indexer in a module of its own, an entry here, a row in ``data/README.md``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.data import fsdd, gtzan, gtzan_tables
from musiclatent.data.download import Remote, Source
from musiclatent.data.folders import index_edm, index_music_speech, index_named
from musiclatent.data.fsdd import SOURCE, SPEAKERS
from musiclatent.data.gtzan import _LIST_SHA256, _LISTS, GENRES, index, published_split


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


DATASETS = {
    "gtzan": Dataset(
        index,
        "gtzan",
        expected=tuple(f"{genre}.{i:05d}" for genre in GENRES for i in range(100)),
        least_s=29.0,  # 18 clips are a little shorter than 30 s
        splits={
            "filtered": partial(published_split, kind="filtered"),
            "random": partial(published_split, kind="stratified"),
            "excerpts-K": gtzan_tables.split_as_excerpts,
        },
    ),
    "gtzan_excerpts": Dataset(
        gtzan_tables.index_excerpts,
        "gtzan_excerpts",
        repeats=False,
        spectrograms=gtzan_tables.read_spectrograms,
        note="artists not kept apart",
    ),
    "music_speech": Dataset(index_music_speech, "music_speech"),
    "music_speech/music": Dataset(partial(index_music_speech, kind="music"), "music_speech"),
    "fsdd": Dataset(
        fsdd.index,
        "fsdd",
        expected=tuple(f"{d}_{s}_{i}" for d in range(10) for s in SPEAKERS for i in range(50)),
        repeats=False,
        splits={
            "official": lambda items, root, work: fsdd.by_index(items),
            "speakers": lambda items, root, work: fsdd.by_speaker(items),
        },
    ),
    "edm": Dataset(index_edm, "edm"),
    "new_music": Dataset(partial(index_named, name="new_music"), "new_music"),
}
_HUB = "https://huggingface.co"
_VGGISH = "https://github.com/harritaylor/torchvggish/releases/download/v0.1"
_VGGISH_SHA256 = {  # the names hold the first digits; of the second file no more is published
    "vggish-10086976.pth": "10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b",
    "vggish_pca_params-970ea276.pth": "970ea276",
}
SOURCES = {
    "fsdd": Source(
        "fsdd",
        ("recordings/*.wav",),
        "put the 3,000 recordings of github.com/Jakobovski/free-spoken-digit-dataset "
        "into fsdd/recordings",
        # GitHub packs archives anew when it likes, so the content is verified, not the archive
        (Remote(SOURCE, "recordings", inside="*/recordings"),),
        count=3_000,
        sums="04e1baae96c6a26e39c623f2b01d0182ddae627ba0ac02a3cdc17ba2af99fd9b",
    ),
    "gtzan": Source(
        "gtzan",
        ("parquet/*.parquet", "genres/*/*", "Data/genres_original/*/*"),
        "unpack Kaggle's copy (it needs a login) as gtzan/Data/genres_original/<genre> "
        "or another copy as gtzan/genres/<genre>",
        tuple(Remote(f"{_LISTS}/{n}.txt", f"splits/{n}.txt", h) for n, h in _LIST_SHA256.items()),
        shards=(f"{_HUB}/api/{gtzan.SOURCE}/tree/main/data", f"{_HUB}/{gtzan.SOURCE}/resolve/main"),
    ),
    "gtzan_excerpts": Source(
        "gtzan_excerpts",
        ("mel3s.npz",),
        "put mel3s.npz, as data/README.md describes it, into gtzan_excerpts",
    ),
    "music_speech": Source(
        "music_speech",
        ("music/*", "speech/*"),
        "put the music clips into music_speech/music and the speech clips into music_speech/speech",
    ),
    "edm": Source("edm", ("*.*",), "put electronic tracks (mp3, ogg, flac, wav) into edm"),
    "new_music": Source("new_music", ("*.*",), "put any audio files of your own into new_music"),
    "vggish": Source(
        "vggish",
        ("vggish*.pth",),
        f"put {' and '.join(_VGGISH_SHA256)} of github.com/harritaylor/torchvggish, release v0.1, "
        "into vggish",
        tuple(Remote(f"{_VGGISH}/{name}", name, h) for name, h in _VGGISH_SHA256.items()),
        count=2,
    ),
}
