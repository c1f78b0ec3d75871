"""GTZAN's published tables, without sound: log-mel excerpts of all its clips, and descriptors.

``gtzan_excerpts/mel3s.npz`` holds the first 3 s of the 1,000 clips as spectrograms. Excerpts of
one recording share a group, but artists are not kept apart. Its rows stand in no known order inside
a genre, so they cannot be joined with the descriptors in ``gtzan/features_30_sec.csv``, which
`agreement` compares with ours.
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.data import splits
from musiclatent.errors import CorpusError
from musiclatent.features.descriptors import CLASSIC
from musiclatent.files import write_file

EXCERPTS = "gtzan_excerpts"
COUNT = 1_000  # clips of GTZAN
MEL_SHAPE = (128, 130)  # mel bands and frames
TYPES = {"mel": np.floating, "repeated_pairs": np.integer}
SECONDS = 3.02
N_FOLDS = 5
N_DESCRIPTORS = 57
_BROKEN = (OSError, EOFError, LookupError, TypeError, ValueError, zipfile.BadZipFile, zlib.error)
_BY_HAND = "data/README.md says where it comes from"


def index_excerpts(root: Path, work: Path | None) -> pd.DataFrame:
    """Index the excerpts: one row each, in the order of the spectrograms.

    Parameters
    ----------
    root
        Folder above the datasets.
    work
        Folder that keeps the fold table, which is made once and then read; None leaves `fold` out.

    Returns
    -------
    DataFrame
        item_id (the clip's name, or genre and row where it is unknown), path, label, group,
        seconds, row, clip (empty if unknown) and fold (0 to 4).

    Raises
    ------
    CorpusError
        If the file is missing or broken, or the fold table is of other excerpts.
    """
    label, clip, group = (part.astype(str) for part in _arrays(root, "label", "clip", "group"))
    items = pd.DataFrame({"label": label, "clip": clip, "row": np.arange(len(label))})
    numbered = items["label"] + items["row"].map("-{:04d}".format)
    items["item_id"] = items["clip"].mask(items["clip"] == "", numbered)
    if items["item_id"].duplicated().any():
        raise _unusable(_npz(root), "it names a clip twice")
    items["group"] = items["item_id"].groupby(group).transform("min")
    items = items.assign(path=str(_npz(root).absolute()), seconds=SECONDS)
    return items if work is None else items.assign(fold=_folds(items, Path(work)))


def _folds(items: pd.DataFrame, work: Path) -> np.ndarray:
    """Read the fold table; write it first where there is none."""
    path = work / EXCERPTS / "folds.csv"
    excerpts = items[["row", "item_id", "label", "group"]]
    if not path.is_file():
        table = excerpts.assign(fold=splits.folds(items, N_FOLDS))
        write_file(path, table.to_csv(index=False))
    try:
        table = pd.read_csv(path, keep_default_na=False)
        same = table[list(excerpts)].equals(excerpts) and set(table["fold"]) == set(range(N_FOLDS))
        if same and not splits.straddling(table["group"], table["fold"]):
            return table["fold"].to_numpy()
    except (KeyError, ValueError):
        pass
    raise CorpusError(
        f"{str(path)!r}: this fold table is broken or of other excerpts; delete it and all that "
        "was trained on its folds, and run again"
    )


def split_as_excerpts(items: pd.DataFrame, root: Path, work: Path, k: int) -> pd.Series:
    """Split GTZAN's clips as their excerpts are split with fold `k` as test part, by name.

    Parameters
    ----------
    items
        Column item_id: the name of the clip; clips that no excerpt names are left out.
    root, work
        As in `index_excerpts`.
    k
        Fold for the test, 0 to 4.
    """
    table = index_excerpts(root, work)
    split = splits.by_fold(table, k).set_axis(table["item_id"])
    return items["item_id"].map(split).fillna("")


def read_spectrograms(root: Path) -> np.ndarray:
    """Read the spectrograms of the excerpts.

    Parameters
    ----------
    root
        Folder above the datasets.

    Returns
    -------
    ndarray
        (B, M, T) = (1000, 128, 130) float32, in the order of the index column `row`. Decibels of
        22,050 Hz sound (n_fft 2048, hop_length 512), normalised to mean 0 and variance 1 over the
        whole clip of 30 s, so their level in decibels is lost.

    Raises
    ------
    CorpusError
        If the file is missing or broken, or holds values that are not finite.
    """
    (mel,) = _arrays(root, "mel")
    if not np.isfinite(mel).all():
        raise _unusable(_npz(root), "it holds values that are not finite")
    return np.ascontiguousarray(mel, dtype=np.float32)


def problems(root: Path) -> list[tuple[Path, str]]:
    """Verify the excerpts: presence, shapes, finite values, duplicates in one group.

    Parameters
    ----------
    root
        Folder above the datasets.

    Returns
    -------
    list
        Path and reason of each problem.
    """
    path = _npz(root)
    try:
        items = index_excerpts(root, None)
        count = len(read_spectrograms(root))
        (pairs,) = _arrays(root, "repeated_pairs")
        straddling = [pair for pair in pairs if items["group"].iloc[pair].nunique() > 1]
    except CorpusError as error:
        return [(path, str(error))]
    except IndexError:
        return [(path, f"its repeated_pairs name no rows; {_BY_HAND}")]
    reasons = []
    if count != COUNT:
        reasons.append(f"it holds {count:,} of {COUNT:,} excerpts")
    if straddling:
        reasons.append(f"{len(straddling)} of its repeated pairs lie in two groups")
    return [(path, f"{reason}; {_BY_HAND}") for reason in reasons]


def _npz(root: Path) -> Path:
    """Return the path of the excerpts."""
    return Path(root) / EXCERPTS / "mel3s.npz"


def _unusable(path: Path, reason: str) -> CorpusError:
    """Return the error for a file that is missing or broken."""
    return CorpusError(f"{str(path)!r}: {reason}; get a good copy, {_BY_HAND}")


def _arrays(root: Path, *names: str) -> list[np.ndarray]:
    """Read arrays from the file of the excerpts, one row per excerpt; never unpickle any."""
    path = _npz(root)
    if not path.is_file():
        raise _unusable(path, f"there is no such file; see `musiclatent data fetch {EXCERPTS}`")
    try:
        with np.load(path, allow_pickle=False) as file:
            count = len(file["label"])
            return [_shaped(name, file[name], count) for name in names]
    except _BROKEN as error:
        raise _unusable(path, f"it cannot be read ({error})") from error


def _shaped(name: str, array: np.ndarray, count: int) -> np.ndarray:
    """Validate an array: refuse the wrong shape or type."""
    expected = {"mel": (count, *MEL_SHAPE), "repeated_pairs": (len(array), 2)}.get(name, (count,))
    if array.shape != expected:
        raise ValueError(f"the shape of {name} is {array.shape}, not {expected}")
    if name in TYPES and not np.issubdtype(array.dtype, TYPES[name]):
        raise ValueError(f"the type of {name} is {array.dtype}")
    return array


def descriptors_path(root: Path) -> Path:
    """Return where the table of descriptors lies under the folder `root` of the datasets."""
    return Path(root) / "gtzan" / "features_30_sec.csv"


def read_descriptors(root: Path) -> pd.DataFrame:
    """Read the table of descriptors of GTZAN's clips.

    Parameters
    ----------
    root
        Folder above the datasets.

    Returns
    -------
    DataFrame
        One row per clip, 1,000 in all: item_id (its name, such as blues.00000), label, and the 57
        descriptors, in the units of librosa; jazz.00054 and duplicates are among them.

    Raises
    ------
    CorpusError
        If the file is missing or broken.
    """
    path = descriptors_path(root)
    if not path.is_file():
        raise _unusable(path, "there is no table of descriptors")
    try:
        table = pd.read_csv(path)
        names = table["filename"].astype(str).str.removesuffix(".wav").rename("item_id")
        values = table.drop(columns=["filename", "length", "label"]).astype(float)
    except (LookupError, ValueError) as error:
        raise _unusable(path, f"it cannot be read ({error})") from error
    if values.shape[1] != N_DESCRIPTORS or not np.isfinite(values.to_numpy()).all():
        counts = f"{values.shape[1]} descriptors, or gaps; there must be {N_DESCRIPTORS}"
        raise _unusable(path, f"it has {counts}, all finite")
    return pd.concat([names, table["label"], values], axis=1)


DIFFERENCE = 0.05  # columns agree where they differ by this share at most,
CORRELATION = 0.98  # or where their correlation is above this
_ENDS = (
    "librosa mirrored the ends of a clip when GTZAN's table was made and now pads them with zeros, "
    "which changes two frames at either end"
)
_MEAN = (
    "the mean of samples that swing around 0 is almost 0, so what the ends of the clip and "
    "rounding add is a large share of it"
)
WHY = {name: _ENDS for name in CLASSIC if not name.startswith("zero_crossing_rate")} | {
    "harmony_mean": _MEAN,
    "perceptr_mean": _MEAN,
    "tempo": "librosa chooses among a few tempi, so that a near tie can turn to the double or half",
}  # column -> why it may disagree with GTZAN's table


def agreement(measured: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Compare descriptors of clips with those of the same clips in a published table.

    Parameters
    ----------
    measured
        Columns item_id and `descriptors.CLASSIC`, one row per clip.
    table
        The same columns, such as `read_descriptors` gives; clips that only one of both has are
        left out.

    Returns
    -------
    DataFrame
        One row per column: column, difference (median over clips of the difference, as a share of
        the published value), correlation (NaN where a column does not change), agrees (difference
        at most 0.05 or correlation above 0.98).

    Raises
    ------
    ValueError
        If both have no clip in common, or the table names one twice.
    """
    theirs = table.set_index("item_id")[list(CLASSIC)]
    if theirs.index.has_duplicates:
        twice = theirs.index[theirs.index.duplicated()][0]
        raise ValueError(f"the table names {twice!r} twice; keep one row per clip")
    ours = measured.set_index("item_id")[list(CLASSIC)]
    ours = ours[ours.index.isin(theirs.index)]
    if ours.empty:
        raise ValueError(
            "no clip is in both tables; name the clips as the table does, such as "
            f"{str(table['item_id'].iloc[0])!r}"
        )
    theirs = theirs.loc[ours.index].reset_index(drop=True)
    ours = ours.reset_index(drop=True)
    difference = (ours - theirs).abs()
    with np.errstate(invalid="ignore", divide="ignore"):  # of constants there is no correlation
        shares = (difference / theirs.abs()).mask(difference == 0, 0.0)
        correlation = ours.corrwith(theirs)
    rows = pd.DataFrame({"difference": shares.median(skipna=False), "correlation": correlation})
    close = (rows["difference"] <= DIFFERENCE) | (rows["correlation"] > CORRELATION)
    return rows.assign(agrees=close).rename_axis("column").reset_index()
