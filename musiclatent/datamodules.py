"""From cached windows to batches: the same windows in the same order for the same seed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from musiclatent import cache, config, corpora
from musiclatent.config import SEED, DemoSize, Study, Workspace
from musiclatent.excerpts import Waveform

SPLITS = ("train", "validation", "test")


class Windows(Dataset):
    """Windows of one split, as (x, row) with x (1, N) and its row in the cache.

    Parameters
    ----------
    x
        Cached array (W, N).
    rows
        Rows of the split (W',).
    """

    def __init__(self, x: np.ndarray, rows: np.ndarray):
        self.x, self.rows = x, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row = int(self.rows[index])
        return torch.from_numpy(np.array(self.x[row]))[None], row


class EpochSampler(Sampler):
    """A new order each epoch that depends on nothing but (seed, epoch), so that resuming is exact.

    Parameters
    ----------
    n
        Number of windows.
    seed
        Seed of all orders.
    """

    def __init__(self, n: int, seed: int):
        self.n, self.seed, self.epoch = n, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        return iter(np.random.default_rng([self.seed, self.epoch]).permutation(self.n).tolist())


class CorpusDataModule(pl.LightningDataModule):
    """Windows of one or more corpora, split by group.

    Parameters
    ----------
    names
        Corpora, as `corpora.load` knows them, or folders of one's own music.
    folder
        Folder of the cache.
    root
        Folder of the real datasets.
    work
        Folder for what the corpora need to keep, ``corpora`` in `folder` unless told otherwise.
    transform
        What a window becomes, as `excerpts.Waveform`.
    split
        Name of the split; see `corpora.load`.
    demo
        Size of the embedded corpora.
    keep
        Labels to keep, by corpus name.
    batch_size
        Windows in a batch.
    seed
        Seed of the split and of the order.
    n_jobs, scheduler
        Processes, or the address of a Dask scheduler, for the cache.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        folder: Path,
        root: Path,
        *,
        work: Path | None = None,
        transform=Waveform(),  # noqa: B008, frozen
        split: str = "group",
        demo: DemoSize | None = None,
        keep: dict[str, tuple[str, ...]] | None = None,
        batch_size: int = 16,
        seed: int = SEED,
        n_jobs: int = 2,
        scheduler: str | None = None,
    ):
        super().__init__()
        self.names, self.folder, self.root, self.transform = names, Path(folder), root, transform
        self.work = work or self.folder / "corpora"
        self.split, self.demo, self.keep = split, demo, keep or {}
        self.batch_size, self.seed = batch_size, seed
        self.n_jobs, self.scheduler = n_jobs, scheduler
        self.corpus: corpora.Corpus | None = None
        self.cached: cache.Cached | None = None

    @classmethod
    def of_study(cls, study: Study, space: Workspace, **options) -> "CorpusDataModule":
        """Return the windows that a study works on, from its own corpora or a user's folder."""
        profile = config.profile(space.profile)
        names = (space.corpus,) if space.corpus else study.demo if profile.demo else study.real
        split = "group" if space.corpus or profile.demo else study.split
        return cls(
            names, space.folder("cache"), config.data_root(), work=space.base / "corpora",
            transform=Waveform(study.sr, study.window_s), split=split, demo=profile.demo,
            keep=study.keep, **options,
        )  # fmt: skip

    def index(self) -> corpora.Corpus:
        """Index the corpora, once."""
        if self.corpus is None:
            self.corpus = corpora.load_all(
                self.names, root=self.root, work=self.work, demo=self.demo,
                keep=self.keep, split=self.split, seed=self.seed, n_jobs=self.n_jobs,
            )  # fmt: skip
        return self.corpus

    def prepare_data(self) -> None:
        """Index the corpora and fill the cache; a second call reuses both."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Open the cache, once, computing what is missing."""
        if self.cached is None:
            t = self.transform
            folder = self.folder / f"{t.kind}-{t.window_s:g}s-{t.sr}hz"
            self.cached = cache.build(
                self.index().items, t, folder, n_jobs=self.n_jobs, scheduler=self.scheduler
            )

    def rows(self, split: str, audible: bool = False) -> np.ndarray:
        """Return the rows (W',) of one split in the cache; with `audible` those with sound."""
        items = self.cached.items
        chosen = items["split"].eq(split) & ~(items["silent"] & audible)
        return items.loc[chosen, "row"].to_numpy()

    def steps(self, epochs: int) -> int:
        """Return the number of training batches in `epochs` epochs."""
        return epochs * -(-len(self.rows("train")) // self.batch_size)

    def summary(self) -> dict[str, str | int]:
        """Return what the figures stand on: corpora, split, seed, and windows of each split."""
        about = {"corpora": ", ".join(self.names), "split": self.split, "seed": self.seed}
        return about | {f"{split}_windows": len(self.rows(split)) for split in SPLITS}

    def data_hash(self) -> str:
        """Return a sha256 of which windows stand in which split."""
        table = self.cached.items[["key", "start_s", "split"]].to_csv(index=False)
        return hashlib.sha256(table.encode()).hexdigest()

    def loader(self, split: str, shuffle: bool = False, at_most: int | None = None) -> DataLoader:
        """Return the batches (x (B, 1, N), row (B,)) of a split, or of evenly chosen windows."""
        rows = self.rows(split)
        if at_most and len(rows) > at_most:
            rows = rows[np.linspace(0, len(rows) - 1, at_most).astype(int)]
        data = Windows(self.cached.x, rows)
        sampler = EpochSampler(len(data), self.seed) if shuffle else None
        return DataLoader(data, self.batch_size, sampler=sampler)

    def train_dataloader(self) -> DataLoader:
        """Return the training batches, in a new order each epoch."""
        return self.loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return the validation batches."""
        return self.loader("validation")

    def test_dataloader(self) -> DataLoader:
        """Return the test batches."""
        return self.loader("test")


class GTZANDataModule(CorpusDataModule):
    """Five-second windows of GTZAN, on the fault-filtered split unless told otherwise."""

    def __init__(self, folder: Path, root: Path, *, split: str = "filtered", **options):
        super().__init__(("gtzan",), folder, root, split=split, **options)


class DigitsDataModule(CorpusDataModule):
    """The spoken digits, one window of 0.74 s each, on the official split."""

    def __init__(self, folder: Path, root: Path, *, split: str = "official", **options):
        options = {"transform": Waveform(window_s=0.74), **options}
        super().__init__(("fsdd",), folder, root, split=split, **options)


class EDMDataModule(CorpusDataModule):
    """Fifteen-second sections of dance tracks; versions of a tune stay in one split."""

    def __init__(self, folder: Path, root: Path, **options):
        options = {"transform": Waveform(window_s=15.0), **options}
        super().__init__(("edm",), folder, root, **options)
