"""Index tables of the corpora: one row an item, with its label, its group and its split.

Corpora are the embedded ones (``demo-music``, ``demo-digits``, ``demo-dance``), the real datasets
of `musiclatent.data.folders`, and any folder of music, named by its path. Files whose header cannot be
read are set aside in the quarantine table; repeated recordings, found in the sound, share a group.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent import audio, config
from musiclatent.config import PROFILES, DemoSize, Workspace
from musiclatent.data import fsdd, gtzan_tables, splits, synthetic
from musiclatent.data.cache import ITEM
from musiclatent.data.datasets import DATASETS, Dataset
from musiclatent.data.folders import index
from musiclatent.errors import AudioError, CorpusError
from musiclatent.features import fingerprint
from musiclatent.files import pick, progress, sha256_of

DEMO = {f"demo-{kind}": kind for kind in synthetic.KINDS}
NAMES = (*DEMO, *DATASETS)
SUMS = "SHA256SUMS"
NUMBERED = {
    "fold-K": lambda items, root, work, k: splits.by_fold(items, k),
    "outer-K": lambda items, root, work, k: splits.by_fold(items, k, inner=False),
    "shuffled-K": lambda items, root, work, k: splits.at_random(items, k),
}
attributes = gtzan_tables.read_descriptors


@dataclass(frozen=True)
class Corpus:
    """The index of a corpus.

    Parameters
    ----------
    name
        Its name.
    items
        One row an item: `cache.ITEM` and the corpus' own columns; path is absolute.
    quarantine
        Files set aside: path, reason.
    """

    name: str
    items: pd.DataFrame
    quarantine: pd.DataFrame


def load(
    name: str,
    *,
    root: Path,
    work: Path,
    demo: DemoSize | None = None,
    split: str = "group",
    seed: int = 0,
    n_jobs: int = 1,
) -> Corpus:
    """Index a corpus and split it.

    Parameters
    ----------
    name
        One of `NAMES`, or the path of a folder of music, for which no labels are needed.
    root
        Folder above the real datasets.
    work
        Folder for rendered corpora, fingerprints and whatever has to be unpacked.
    demo
        Size of the embedded corpora; that of the demo profile unless given.
    split
        ``group`` for any corpus; ``filtered`` or ``random`` (the published lists) for gtzan;
        ``official`` or ``speakers`` for fsdd; ``speakers`` for demo-digits.

        K a number, for any corpus: ``fold-K`` tests on fold K (0 to 4) and has an inner eighth of
        the rest for validation, ``outer-K`` has none. ``shuffled-K`` is the latter at random with
        seed K, as papers do: groups straddle it on purpose. ``excerpts-K`` puts gtzan's clips
        where ``fold-K`` has their rows of gtzan_excerpts.
    seed
        Seed of the split and of the rendering.
    n_jobs
        Processes for rendering and fingerprints.

    Returns
    -------
    Corpus
        Without the items that a published split leaves out.

    Raises
    ------
    CorpusError
        If the corpus is missing, empty, or none of its files can be read.
    ValueError
        If the corpus has no such split or fold.
    """
    if name in DEMO:
        dataset, found = _render(name, work, demo, seed, n_jobs)
    else:
        dataset = _dataset(name)
        found = dataset.index(Path(root), Path(work))
    corpus = _measured(Path(name).name if name not in NAMES else name, found)
    items = corpus.items
    if dataset.repeats:
        items["group"] = _grouped(items, items["group"], work, n_jobs)
    if re.fullmatch(r"(fold|outer)-\d+", split) and "fold" not in items:
        items["fold"] = splits.folds(items, gtzan_tables.N_FOLDS)
    by = {"group": lambda items, *_: splits.by_group(items, seed)} | NUMBERED | dataset.splits
    items["split"] = _split(by, split, name)(items, Path(root), Path(work))
    if split == "speakers":
        items["group"] = items["speaker"]
    items = items[items["split"] != ""]
    if items.empty:
        raise CorpusError(f"{name!r}: the split {split!r} has none of its items; use split='group'")
    return replace(corpus, items=_tidy(items))


def load_all(
    names: Sequence[str],
    *,
    root: Path,
    work: Path,
    demo: DemoSize | None = None,
    keep: dict[str, Sequence[str]] | None = None,
    split: str = "group",
    seed: int = 0,
    n_jobs: int = 1,
) -> Corpus:
    """Index one or more corpora as one, with some labels only where `keep` says so.

    Parameters
    ----------
    names
        Corpora, as `load` knows them.
    root, work, demo, seed, n_jobs
        As in `load`.
    keep
        Labels to keep, by corpus name.
    split
        As in `load`; several corpora can only be split by group, over all of them.

    Raises
    ------
    CorpusError
        As `load`, or if no item has a label to keep.
    ValueError
        If several corpora shall be split otherwise than by group, or one of them has no sound.
    """
    silent = [name for name in names if name in DATASETS and DATASETS[name].spectrograms]
    if len(names) > 1 and silent:
        raise ValueError(f"{silent[0]}: it holds no sound and cannot be joined; use it alone")
    if len(names) > 1 and split != "group":
        joined = ", ".join(names)
        raise ValueError(f"{joined}: there is no split {split!r} over several corpora; use group")
    options = {"root": root, "work": work, "demo": demo, "seed": seed, "n_jobs": n_jobs}
    parts = [load(name, split=split, **options) for name in names]
    parts = [_kept(part, (keep or {}).get(part.name)) for part in parts]
    if len(parts) == 1 and (split != "group" or not keep):
        return parts[0]
    return combine(*parts, work=work, seed=seed, n_jobs=n_jobs)


def combine(*corpora: Corpus, work: Path | None = None, seed: int = 0, n_jobs: int = 1) -> Corpus:
    """Join corpora and split them again by group over all.

    Parameters
    ----------
    *corpora
        One or more corpora; where an item_id occurs twice, it gets its corpus' name in front.
    work
        Folder of the fingerprints, to find recordings that are in two of the corpora; None relies
        on the groups as they are.
    seed, n_jobs
        As in `load`.

    Returns
    -------
    Corpus
        With a column `corpus` more.
    """
    names = [c.name for c in corpora]
    names = [f"{n}-{i}" if names.count(n) > 1 else n for i, n in enumerate(names)]
    parts = [c.items.assign(corpus=name) for c, name in zip(corpora, names, strict=True)]
    items = pd.concat(parts, ignore_index=True)
    clash = items["item_id"].duplicated(keep=False)
    items["item_id"] = items["item_id"].mask(clash, items["corpus"] + "/" + items["item_id"])
    keys = items["corpus"] + "/" + items["group"]
    items["group"] = _grouped(items, keys, work if len(corpora) > 1 else None, n_jobs)
    items["split"] = splits.by_group(items, seed)
    quarantine = pd.concat([c.quarantine for c in corpora], ignore_index=True)
    return Corpus("+".join(names), _tidy(items), quarantine)


def require(name: str, root: Path) -> None:
    """Make sure that a corpus is there, without reading its files.

    Raises
    ------
    CorpusError
        If it is missing: where it was looked for, and the command that gets it.
    """
    if name not in DEMO:
        _dataset(name).index(Path(root), None)


def check(name: str, root: Path) -> pd.DataFrame:
    """Verify a corpus: presence, names, published hashes, and that all of it can be read.

    Parameters
    ----------
    name
        As in `load`.
    root
        Folder above the real datasets.

    Returns
    -------
    DataFrame
        Problems: path, reason; no rows when all is well. Embedded corpora have none.
    """
    if name in DEMO:
        return _table([])
    root, dataset = Path(root), _dataset(name)
    if dataset.spectrograms:
        return _table(gtzan_tables.problems(root) + _hashes(root / dataset.folder))
    try:
        found = dataset.index(root, root)
    except CorpusError as error:
        return _table([(root / dataset.folder, str(error))])
    rows = _missing(dataset, found["item_id"], root) + _hashes(root / dataset.folder)
    decoded = _each(lambda path: _decode(path, dataset.least_s), found["path"], f"checking {name}")
    for path, *why in zip(found["path"], found["reason"], decoded, strict=True):
        rows += [(path, reason) for reason in why if reason]
    return _table(rows)


def title(names: Sequence[str]) -> str:
    """Name corpora for a picture or a report, with what must be said of figures on them."""
    notes = {name: DATASETS[name].note if name in DATASETS else "" for name in names}
    return ", ".join(f"{name} ({note})" if note else name for name, note in notes.items())


def spectrograms(name: str, root: Path) -> np.ndarray | None:
    """Read the spectrograms of a corpus that holds them in place of sound.

    Parameters
    ----------
    name
        As in `load`.
    root
        Folder above the real datasets.

    Returns
    -------
    ndarray
        (B, M, T) float32, in the order of the index column `row`; None for a corpus of sound.

    Raises
    ------
    CorpusError
        If the corpus is missing or broken.
    """
    read = None if name in DEMO else _dataset(name).spectrograms
    return read and read(Path(root))


def descriptor_splits(root: Path, kind: str = "filtered") -> pd.Series:
    """Split the table of attributes by the published lists of GTZAN.

    Parameters
    ----------
    root
        Folder above the real datasets.
    kind
        ``filtered``: 443/197/290 clips, faults and repetitions removed, artists kept apart.
        ``random``: 500/250/250, artists mixed.

    Returns
    -------
    Series
        item_id -> train, validation or test; clips in no list are left out.

    Raises
    ------
    CorpusError
        If the table or a list is missing.
    ValueError
        If there are no lists of that kind.
    """
    lists = {kind: DATASETS["gtzan"].splits[kind] for kind in ("filtered", "random")}
    items = attributes(root)
    split = pick(lists, kind, "published split")(items, Path(root), None)
    return split.set_axis(items["item_id"])[lambda parts: parts != ""]


def _split(by: dict[str, Callable], split: str, name: str) -> Callable:
    """Look up a split; one that ends in a number is kept under the name that ends in K."""
    stem, _, number = split.rpartition("-")
    if f"{stem}-K" in by and re.fullmatch("[0-9]{1,9}", number):
        return lambda *given: by[f"{stem}-K"](*given, int(number))
    if number == "K":
        raise ValueError(f"{split}: K stands for a number; write {stem}-0")
    return pick(by, split, f"split of {name}")


def _dataset(name: str) -> Dataset:
    """Look up a real dataset, or take the name for a folder."""
    if name in DATASETS:
        return DATASETS[name]
    folder = Path(name)
    if not folder.is_dir():
        raise CorpusError(
            f"{name!r}: there is no such folder, nor a corpus of that name; name a folder with "
            f"audio files, or one of: {', '.join(NAMES)}"
        )
    return Dataset(lambda root, work: index(folder), str(folder.absolute()))


def _render(
    name: str, work: Path, size: DemoSize | None, seed: int, n_jobs: int
) -> tuple[Dataset, pd.DataFrame]:
    """Render an embedded corpus; its groups are known, so none are searched for."""
    size = size or PROFILES["demo"].demo
    items = synthetic.render(DEMO[name], size, Path(work) / name, seed=seed, n_jobs=n_jobs)
    by = {"speakers": lambda items, *_: fsdd.by_speaker(items)} if "speaker" in items else {}
    return Dataset(lambda root, work: items, "", repeats=False, splits=by), items


def _measured(name: str, found: pd.DataFrame) -> Corpus:
    """Read the length of every file from its header; set aside those without a sound one."""
    if "seconds" in found:
        return Corpus(name, found, _table([]))
    headers = _each(_header, found["path"], f"index of {name}")
    seconds = pd.Series([h if isinstance(h, float) else 0.0 for h in headers], found.index)
    reason = pd.Series([h if isinstance(h, str) else "" for h in headers], found.index)
    reason = found["reason"].mask(found["reason"] == "", reason)
    bad = reason != ""
    if bad.all():
        first = found["path"].iloc[0]
        raise CorpusError(
            f"{name!r}: none of its {len(found)} files can be used; the first, {first!r}: "
            f"{reason.iloc[0]}"
        )
    items = found.assign(seconds=seconds).drop(columns="reason")[~bad].reset_index(drop=True)
    return Corpus(name, items, _table(zip(found["path"][bad], reason[bad], strict=True)))


def _header(path: str) -> float | str:
    """Length of a file in seconds, or why it cannot be used."""
    try:
        return float(audio.info(path).seconds)
    except AudioError as error:
        return error.advice


def _decode(path: str, least_s: float) -> str:
    """Why a file cannot be decoded or is too short; empty if it can."""
    try:
        sr = audio.info(path).sr
        seconds = sum(len(y) for y in audio.blocks(path)) / sr
    except AudioError as error:
        return error.advice
    return f"it lasts {seconds:.1f} s only; get a whole copy" if seconds < least_s else ""


def _each(function: Callable, paths: pd.Series, label: str) -> list:
    """Apply a function to every path, in threads: decoders let others run meanwhile."""
    with ThreadPoolExecutor() as pool:
        done = pool.map(function, paths)
        return list(progress(done, label, "file", total=len(paths), delay=2))


def _missing(dataset: Dataset, ids: pd.Series, root: Path) -> list[tuple]:
    """One row on the items that the whole dataset has and this copy has not."""
    missing = sorted(set(dataset.expected) - set(ids))
    if not missing:
        return []
    total, some = len(dataset.expected), ", ".join(missing[:3])
    return [
        (
            root / dataset.folder,
            f"{len(missing):,} of {total:,} files are missing: {some} ...",
        )
    ]


def _hashes(folder: Path) -> list[tuple]:
    """Rows on the files that differ from what is listed in SHA256SUMS beside them."""
    rows, sums = [], folder / SUMS
    for line in sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []:
        sha256, _, name = line.partition("  ")
        try:
            same = sha256_of(folder / name) == sha256
            rows += [] if same else [(folder / name, f"its sha256 is not the one in {SUMS}")]
        except OSError as error:
            rows.append((folder / name, f"it is listed in {SUMS} but: {error.strerror}"))
    return rows


def _grouped(items: pd.DataFrame, keys: pd.Series, work: Path | None, n_jobs: int) -> pd.Series:
    """Join groups of equal key and, where `work` is given, of equal sound; named by an item."""
    first = pd.Series(range(len(items))).groupby(keys.to_numpy()).transform("min")
    links = pd.DataFrame({"a": first, "b": range(len(items))})
    if work is not None:
        store = Path(work) / "fingerprints.parquet"
        pairs = fingerprint.find_duplicates(list(items["path"]), store=store, n_jobs=n_jobs)
        links = pd.concat([links, pairs[["a", "b"]]])
    return (
        items["item_id"].groupby(fingerprint.connected_groups(len(items), links)).transform("min")
    )


def _kept(corpus: Corpus, labels: Sequence[str] | None) -> Corpus:
    """Leave out the items of other labels, if labels are given."""
    if not labels:
        return corpus
    items = corpus.items[corpus.items["label"].isin(labels)].reset_index(drop=True)
    if items.empty:
        raise CorpusError(f"{corpus.name!r}: it has no items with the label {', '.join(labels)}")
    return replace(corpus, items=items)


def _tidy(items: pd.DataFrame) -> pd.DataFrame:
    """Sort by item, with the common columns first."""
    items = items.sort_values("item_id", ignore_index=True)
    return items[[*ITEM, *(c for c in items.columns if c not in ITEM)]]


def _table(rows: Iterable[tuple]) -> pd.DataFrame:
    """Make a table of path and reason."""
    return pd.DataFrame([(str(path), why) for path, why in rows], columns=["path", "reason"])


def examples(space: Workspace) -> list[Path]:
    """Return files that no model of this profile was trained on.

    Parameters
    ----------
    space
        Names the profile: real ones take ``new_music`` in the data folder, the others render two
        dance tracks.

    Raises
    ------
    CorpusError
        If the folder is missing or holds no music.
    """
    profile = config.profile(space.profile)
    if not profile.demo:
        folder = config.data_root() / "new_music"
        require("new_music", config.data_root())
        return [folder / name for name in index(folder)["item_id"]]
    size = config.PROFILES["tiny"].demo
    tracks = synthetic.render(
        "dance", size, space.base / "corpora" / "new-music", seed=config.SEED + 1
    )
    return [Path(path) for path in tracks["path"].iloc[:2]]
