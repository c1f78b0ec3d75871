"""Index tables of the corpora: one row per item, with its label, its group and its split.

Corpora are the embedded ones (``demo-music``, ``demo-digits``, ``demo-dance`` and ``demo-probes``),
the real datasets of `datasets`, and any folder of music, named by its path. Files whose header
cannot be read are set aside in the quarantine table; duplicates of a recording, by their sound,
share a group.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent import audio, config
from musiclatent.config import DemoSize, Workspace
from musiclatent.data import download, folders, fsdd, gtzan_tables, splits
from musiclatent.data.cache import ITEM
from musiclatent.data.datasets import DATASETS, Dataset
from musiclatent.data.own import library, seen
from musiclatent.errors import AudioError, CorpusError
from musiclatent.features import fingerprint
from musiclatent.files import pick, progress, sha256_of

# Of `synthetic`, which is imported where it renders: it brings 0.5 s that few commands need.
DEMO = {f"demo-{kind}": kind for kind in ("music", "digits", "dance", "probes")}
NAMES = (*DEMO, *DATASETS)
NUMBERED = {
    "fold-K": lambda items, root, work, k: splits.by_fold(items, k),
    "outer-K": lambda items, root, work, k: splits.by_fold(items, k, inner=False),
    "shuffled-K": lambda items, root, work, k: splits.at_random(items, k),
}


@dataclass(frozen=True)
class Corpus:
    """The index of a corpus.

    Parameters
    ----------
    name
        Its name.
    items
        One row per item: `cache.ITEM` and the corpus' own columns; path is absolute.
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
        dataset, table = _render(name, work, demo, seed, n_jobs)
    else:
        dataset = _dataset(name)
        table = dataset.index(Path(root), Path(work))
    corpus = _measured(name if name in NAMES else Path(name).name, table, Path(work))
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


def open_corpus(name_or_folder: str | Path, split: str = "group") -> Corpus:
    """Index a corpus, or a folder of one's own music, and split it.

    Parameters
    ----------
    name_or_folder
        As in `load`, which has the real corpora in `config.data_root`.
    split
        As there.

    Raises
    ------
    CorpusError, ValueError
        As there.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> from musiclatent import audio
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, hz in {"a": 200, "b": 300, "c": 450}.items():
    ...     y = 0.5 * np.sin(2 * np.pi * hz * np.arange(8000) / 8000)
    ...     _ = audio.write(folder / f"{name}.wav", y, 8000)
    >>> open_corpus(folder).items["item_id"].tolist()
    ['a.wav', 'b.wav', 'c.wav']
    """
    work = config.cache_home() / "corpora"
    return load(str(name_or_folder), root=config.data_root(), work=work, split=split)


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
    """Index one or more corpora as one, with some labels only where `keep` names them.

    Parameters
    ----------
    names
        Corpora, as `load` takes them.
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
    parts = [
        load(name, root=root, work=work, demo=demo, split=split, seed=seed, n_jobs=n_jobs)
        for name in names
    ]
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
        With one more column, `corpus`.
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
    """Validate that a corpus is there, without reading its files.

    Raises
    ------
    CorpusError
        If it is missing: where it was looked for, and the command that gets it.
    """
    if name in DATASETS:
        DATASETS[name].index(Path(root), None)
    elif name not in DEMO:
        _dataset(name)
        folders.index(Path(name))  # by names alone: tags take a while


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
    rows = []
    root = Path(root)
    dataset = _dataset(name)
    folder = root / dataset.source.folder
    if dataset.spectrograms:
        return _table(gtzan_tables.problems(root) + _hashes(folder))
    try:
        items = dataset.index(root, root if name in DATASETS else None)
    except CorpusError as error:
        return _table([(folder, str(error))])
    missing = sorted(set(dataset.expected) - set(items["item_id"]))
    if missing:
        counts = f"{len(missing):,} of {len(dataset.expected):,} files are missing"
        rows.append((folder, f"{counts}: {', '.join(missing[:3])} ..."))
    rows += _hashes(folder)
    decoded = _each(lambda path: _decode(path, dataset.least_s), items["path"], f"checking {name}")
    for path, *reasons in zip(items["path"], items["reason"], decoded, strict=True):
        rows += [(path, reason) for reason in reasons if reason]
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
    return read(Path(root)) if read else None


def descriptor_splits(root: Path, kind: str = "filtered") -> pd.Series:
    """Split the table of descriptors by the published lists of GTZAN.

    Parameters
    ----------
    root
        Folder above the real datasets.
    kind
        ``filtered``: 443/197/290 clips, faults and duplicates removed, artists kept apart.
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
    items = gtzan_tables.read_descriptors(root)
    split = pick(lists, kind, "published split")(items, Path(root), None)
    return split.set_axis(items["item_id"])[lambda parts: parts != ""]


def _split(by: dict[str, Callable], split: str, name: str) -> Callable:
    """Return a split; one that ends in a number is kept under the name that ends in K."""
    stem, _, number = split.rpartition("-")
    if f"{stem}-K" in by and re.fullmatch("[0-9]{1,9}", number):
        return partial(by[f"{stem}-K"], k=int(number))
    if number == "K":
        raise ValueError(f"{split}: K stands for a number; write {stem}-0")
    return pick(by, split, f"split of {name}")


def _dataset(name: str) -> Dataset:
    """Return a real dataset, or that of a folder of this name."""
    if name in DATASETS:
        return DATASETS[name]
    folder = Path(name)
    if not folder.is_dir():
        raise CorpusError(
            f"{name!r}: there is no such folder, nor a corpus of that name; name a folder with "
            f"audio files, or one of: {', '.join(NAMES)}"
        )
    source = download.Source(folder=str(folder.absolute()))
    return Dataset(index=lambda root, work: library.index(folder, work), source=source)


def _render(
    name: str, work: Path, size: DemoSize | None, seed: int, n_jobs: int
) -> tuple[Dataset, pd.DataFrame]:
    """Render an embedded corpus; its groups are known, so none are searched for."""
    from musiclatent.data import synthetic

    size = size or config.PROFILES["demo"].demo
    items = synthetic.render(DEMO[name], size, Path(work) / name, seed=seed, n_jobs=n_jobs)
    by = {"speakers": lambda items, *_: fsdd.by_speaker(items)} if "speaker" in items else {}
    source = download.Source(folder="")
    return Dataset(index=lambda root, work: items, source=source, repeats=False, splits=by), items


def _measured(name: str, table: pd.DataFrame, work: Path) -> Corpus:
    """Read the length of every file from its header; set aside those without a sound one."""
    if "seconds" in table:
        return Corpus(name, table, _table([]))
    store, label = work / "headers.parquet", f"index of {name}"
    measured = seen.facts(list(table["path"]), _header, store=store, label=label)
    measured.index = table.index
    reason = table["reason"].where(table["reason"] != "", measured["problem"])
    bad = reason != ""
    if bad.all():
        raise CorpusError(
            f"{name!r}: none of its {len(table)} files can be used; the first, "
            f"{table['path'].iloc[0]!r}: {reason.iloc[0]}"
        )
    items = table.assign(seconds=measured["seconds"]).drop(columns="reason")[~bad]
    aside = _table(zip(table["path"][bad], reason[bad], strict=True))
    return Corpus(name, items.reset_index(drop=True), aside)


def _header(path: str) -> dict[str, float | str]:
    """Return the seconds of a file, and the problem why it cannot be used; empty if it can."""
    try:
        return {"seconds": float(audio.info(path).seconds), "problem": ""}
    except AudioError as error:
        return {"seconds": 0.0, "problem": error.advice}


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


def _hashes(folder: Path) -> list[tuple]:
    """Return rows on the files that differ from what SHA256SUMS beside them lists."""
    rows = []
    sums = folder / download.SUMS
    for line in sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []:
        sha256, _, name = line.partition("  ")
        try:
            if sha256_of(folder / name) != sha256:
                rows.append((folder / name, f"its sha256 is not the one in {sums.name}"))
        except OSError as error:
            rows.append((folder / name, f"it is listed in {sums.name} but: {error.strerror}"))
    return rows


def _grouped(items: pd.DataFrame, keys: pd.Series, work: Path | None, n_jobs: int) -> pd.Series:
    """Join groups of equal key and, where `work` is given, of equal sound; named by an item."""
    order = pd.Series(range(len(items)))
    links = pd.DataFrame({"a": order.groupby(keys.to_numpy()).transform("min"), "b": order})
    if work is not None:
        store = Path(work) / "fingerprints.parquet"
        where = {"store": store, "n_jobs": n_jobs, "remember": True}
        pairs = fingerprint.find_duplicates(list(items["path"]), **where)
        links = pd.concat([links, pairs[["a", "b"]]])
    group = fingerprint.connected_groups(len(items), links)
    return items["item_id"].groupby(group).transform("min")


def _kept(corpus: Corpus, labels: Sequence[str] | None) -> Corpus:
    """Return a corpus without the items of other labels, if labels are given."""
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
    """Return a table of path and reason."""
    rows = [(str(path), reason) for path, reason in rows]
    return pd.DataFrame(rows, columns=["path", "reason"])


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
    if not config.profile(space.profile).demo:
        items = _dataset("new_music").index(config.data_root(), None)
        return [Path(path) for path in items["path"]]
    from musiclatent.data import synthetic

    size = config.PROFILES["tiny"].demo
    folder = space.base / "corpora" / "new-music"
    tracks = synthetic.render("dance", size, folder, seed=config.SEED + 1)
    return [Path(path) for path in tracks["path"].iloc[:2]]
